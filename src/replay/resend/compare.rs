//! Comparison of a response with the recorded one.

use std::{fmt, pin::pin};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use memchr::memmem;

use super::{Resend, ResendOutcome};
use crate::{
    message::{BodyEnd, HeaderList, RecordedBody, RecordedResponse},
    redact::REDACTED,
    util::{
        error::{BoxError, source_chain},
        printable,
    },
};

/// The number of bytes beyond twice the recorded body up to which a new body is read if it must be
/// redacted as a whole.
const SLACK_BYTES: usize = 64 << 10;

/// A difference between a new response and the recorded response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResponseDifference {
    /// The status.
    Status {
        /// The recorded status.
        recorded: StatusCode,
        /// The new status.
        now: StatusCode,
    },
    /// The values of a header; a side without the header has no values.
    Header {
        /// The name, in lower case.
        name: String,
        /// The recorded values.
        recorded: Vec<Bytes>,
        /// The new values.
        now: Vec<Bytes>,
    },
    /// The content.
    Body {
        /// The offset of the first byte that differs; if one content is a prefix of the other, the
        /// length of the shorter.
        at: usize,
    },
    /// The trailers.
    Trailers,
}

impl Resend {
    pub(super) async fn compare<R>(
        &self,
        recorded: &RecordedResponse,
        response: Response<R>,
    ) -> ResendOutcome
    where
        R: Body<Data = Bytes>,
        R::Error: Into<BoxError>,
    {
        let (parts, body) = response.into_parts();
        let mut now = RecordedResponse::from_parts(&parts);
        let expected = recorded.body.to_bytes();
        let body_difference = if self.may_be_redacted(&expected) {
            match collect(body, 2 * expected.len() + SLACK_BYTES).await {
                Ok(body) => now.body = body,
                Err(error) => return ResendOutcome::Failed(error),
            }
            self.redact.response(&mut now);
            difference(&recorded.body, &now.body)
        } else {
            self.redact.headers(&mut now.headers);
            match self.compare_body(&recorded.body, body).await {
                Ok(difference) => difference,
                Err(error) => return ResendOutcome::Failed(error),
            }
        };
        let mut different = Vec::new();
        if now.status != recorded.status {
            different.push(ResponseDifference::Status {
                recorded: recorded.status,
                now: now.status,
            });
        }
        self.compare_headers(&recorded.headers, &now.headers, &mut different);
        different.extend(body_difference);
        if different.is_empty() {
            ResendOutcome::Same
        } else {
            ResendOutcome::Different(different)
        }
    }

    fn compare_headers(
        &self,
        recorded: &HeaderList,
        now: &HeaderList,
        different: &mut Vec<ResponseDifference>,
    ) {
        let mut names: Vec<&str> = recorded
            .iter()
            .chain(now.iter())
            .map(|(name, _)| name)
            .collect();
        names.sort_unstable();
        names.dedup();
        names.retain(|name| !self.ignored_headers.iter().any(|ignored| ignored == name));
        for name in names {
            let values = |headers: &HeaderList| -> Vec<Bytes> {
                let values = headers.get_all(name);
                values.map(Bytes::copy_from_slice).collect()
            };
            let (recorded, now) = (values(recorded), values(now));
            if recorded != now {
                different.push(ResponseDifference::Header {
                    name: name.to_owned(),
                    recorded,
                    now,
                });
            }
        }
    }

    /// Whether the recorded body may be redacted, so that the new body must be redacted as a whole
    /// before the comparison.
    fn may_be_redacted(&self, recorded: &[u8]) -> bool {
        let (_, functions) = self.redact.has_functions();
        functions || memmem::find(recorded, REDACTED.as_bytes()).is_some()
    }

    /// Compares frame by frame, and stops at the first difference: the new body may be endless.
    async fn compare_body<R>(
        &self,
        recorded: &RecordedBody,
        body: R,
    ) -> Result<Option<ResponseDifference>, String>
    where
        R: Body<Data = Bytes>,
        R::Error: Into<BoxError>,
    {
        let expected = recorded.to_bytes();
        let mut at = 0;
        let mut trailers = None;
        let mut body = pin!(body);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| source_chain(&*error.into()))?;
            match frame.into_data() {
                Ok(data) => {
                    let same = expected[at..].iter().zip(&data).take_while(|(a, b)| a == b);
                    let same = same.count();
                    at += same;
                    if same < data.len() {
                        return Ok(Some(ResponseDifference::Body { at }));
                    }
                }
                Err(frame) => {
                    trailers = frame.trailers_ref().map(HeaderList::from);
                }
            }
        }
        if at < expected.len() {
            return Ok(Some(ResponseDifference::Body { at }));
        }
        if let Some(trailers) = &mut trailers {
            self.redact.headers(trailers);
        }
        Ok((trailers != recorded.trailers).then_some(ResponseDifference::Trailers))
    }
}

/// Reads a body, up to about `limit` bytes.
async fn collect<R>(body: R, limit: usize) -> Result<RecordedBody, String>
where
    R: Body<Data = Bytes>,
    R::Error: Into<BoxError>,
{
    let mut collected = RecordedBody::default();
    let mut len = 0;
    let mut body = pin!(body);
    while let Some(frame) = body.frame().await {
        match frame
            .map_err(|error| source_chain(&*error.into()))?
            .into_data()
        {
            Ok(data) => {
                len += data.len();
                collected.push(data);
                if len > limit {
                    collected.end = BodyEnd::Limit;
                    break;
                }
            }
            Err(frame) => collected.trailers = frame.trailers_ref().map(HeaderList::from),
        }
    }
    Ok(collected)
}

/// Returns the first difference between two bodies.
fn difference(recorded: &RecordedBody, now: &RecordedBody) -> Option<ResponseDifference> {
    let (recorded_bytes, now_bytes) = (recorded.to_bytes(), now.to_bytes());
    if recorded_bytes != now_bytes || now.end != BodyEnd::Complete {
        let same = recorded_bytes.iter().zip(&now_bytes);
        let at = same.take_while(|(a, b)| a == b).count();
        return Some(ResponseDifference::Body { at });
    }
    (now.trailers != recorded.trailers).then_some(ResponseDifference::Trailers)
}

impl fmt::Display for ResponseDifference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |values: &[Bytes]| {
            let values: Vec<_> = values.iter().map(|value| printable::shown(value)).collect();
            if values.is_empty() {
                "none".to_owned()
            } else {
                values.join(", ")
            }
        };
        match self {
            Self::Status { recorded, now } => {
                write!(f, "status: recorded {recorded}, now {now}")
            }
            Self::Header {
                name,
                recorded,
                now,
            } => {
                write!(f, "{name}: recorded {}, now {}", text(recorded), text(now))
            }
            Self::Body { at } => write!(f, "content: differs from byte {at}"),
            Self::Trailers => f.write_str("trailers: differ"),
        }
    }
}
