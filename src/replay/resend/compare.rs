//! In what a new response differs from the recorded one.

use std::{fmt, pin::pin};

use bytes::Bytes;
use http::{Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use memchr::memmem;

use super::sender::{Resend, Verdict};
use crate::{
    message::{BodyEnd, HeaderList, RecordedBody, RecordedResponse},
    redact::REDACTED,
};

/// How much more than twice a recorded body is read of a new one whose secrets are to be replaced
/// before it is compared, in bytes.
const READ_ON: usize = 64 << 10;

/// In what a response differs from the recorded one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// Another status.
    Status {
        /// As it was recorded.
        recorded: StatusCode,
        /// As it is now.
        now: StatusCode,
    },
    /// Other values under one field name, or none on one side.
    Header {
        /// The field, in lower case.
        name: String,
        /// The values as they were recorded.
        recorded: Vec<Bytes>,
        /// The values as they are now.
        now: Vec<Bytes>,
    },
    /// Other content.
    Body {
        /// The first byte that differs, counted from 0; where one content is the other's
        /// beginning, the length of the shorter.
        at: usize,
    },
    /// Other trailers.
    Trailers,
}

impl Resend {
    pub(super) async fn compare<R>(
        &self,
        recorded: &RecordedResponse,
        response: Response<R>,
    ) -> Verdict
    where
        R: Body<Data = Bytes>,
        R::Error: fmt::Display,
    {
        let (parts, body) = response.into_parts();
        let mut now = RecordedResponse::from_parts(&parts);
        let expected = recorded.body.to_bytes();
        let body_difference = if self.may_be_redacted(&expected) {
            match collect(body, 2 * expected.len() + READ_ON).await {
                Ok(body) => now.body = body,
                Err(error) => return Verdict::Failed(error),
            }
            self.redact.response(&mut now);
            difference(&recorded.body, &now.body)
        } else {
            self.redact.headers(&mut now.headers);
            match self.compare_body(&recorded.body, body).await {
                Ok(difference) => difference,
                Err(error) => return Verdict::Failed(error),
            }
        };
        let mut different = Vec::new();
        if now.status != recorded.status {
            different.push(Difference::Status {
                recorded: recorded.status,
                now: now.status,
            });
        }
        self.compare_headers(&recorded.headers, &now.headers, &mut different);
        different.extend(body_difference);
        if different.is_empty() {
            Verdict::Same
        } else {
            Verdict::Different(different)
        }
    }

    fn compare_headers(
        &self,
        recorded: &HeaderList,
        now: &HeaderList,
        different: &mut Vec<Difference>,
    ) {
        let mut names: Vec<&str> = recorded
            .iter()
            .chain(now.iter())
            .map(|(name, _)| name)
            .collect();
        names.sort_unstable();
        names.dedup();
        names.retain(|name| !self.ignored.iter().any(|ignored| ignored == name));
        for name in names {
            let values = |headers: &HeaderList| -> Vec<Bytes> {
                let values = headers.get_all(name);
                values.map(Bytes::copy_from_slice).collect()
            };
            let (recorded, now) = (values(recorded), values(now));
            if recorded != now {
                different.push(Difference::Header {
                    name: name.to_owned(),
                    recorded,
                    now,
                });
            }
        }
    }

    /// Whether secrets were replaced in a recorded body, so that a new one must be read to its end
    /// before it can be compared.
    fn may_be_redacted(&self, recorded: &[u8]) -> bool {
        let (_, functions) = self.redact.has_functions();
        functions || memmem::find(recorded, REDACTED.as_bytes()).is_some()
    }

    /// Compares as the content comes, and stops where it differs: what comes now may have no end.
    async fn compare_body<R>(
        &self,
        recorded: &RecordedBody,
        body: R,
    ) -> Result<Option<Difference>, String>
    where
        R: Body<Data = Bytes>,
        R::Error: fmt::Display,
    {
        let expected = recorded.to_bytes();
        let mut at = 0;
        let mut trailers = None;
        let mut body = pin!(body);
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| error.to_string())?;
            match frame.into_data() {
                Ok(data) => {
                    let same = expected[at..].iter().zip(&data).take_while(|(a, b)| a == b);
                    let same = same.count();
                    at += same;
                    if same < data.len() {
                        return Ok(Some(Difference::Body { at }));
                    }
                }
                Err(frame) => {
                    trailers = frame.trailers_ref().map(HeaderList::from);
                }
            }
        }
        if at < expected.len() {
            return Ok(Some(Difference::Body { at }));
        }
        if let Some(trailers) = &mut trailers {
            self.redact.headers(trailers);
        }
        Ok((trailers != recorded.trailers).then_some(Difference::Trailers))
    }
}

/// Reads a body up to a limit.
async fn collect<R>(body: R, limit: usize) -> Result<RecordedBody, String>
where
    R: Body<Data = Bytes>,
    R::Error: fmt::Display,
{
    let mut collected = RecordedBody::default();
    let mut len = 0;
    let mut body = pin!(body);
    while let Some(frame) = body.frame().await {
        match frame.map_err(|error| error.to_string())?.into_data() {
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

/// Where two bodies differ.
fn difference(recorded: &RecordedBody, now: &RecordedBody) -> Option<Difference> {
    let (recorded_bytes, now_bytes) = (recorded.to_bytes(), now.to_bytes());
    if recorded_bytes != now_bytes || now.end != BodyEnd::Complete {
        let same = recorded_bytes.iter().zip(&now_bytes);
        let at = same.take_while(|(a, b)| a == b).count();
        return Some(Difference::Body { at });
    }
    (now.trailers != recorded.trailers).then_some(Difference::Trailers)
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |values: &[Bytes]| {
            let values: Vec<_> = values
                .iter()
                .map(|v| v.escape_ascii().to_string())
                .collect();
            if values.is_empty() {
                "nothing".to_owned()
            } else {
                values.join(", ")
            }
        };
        match self {
            Self::Status { recorded, now } => {
                write!(f, "status: {recorded} was recorded, now {now}")
            }
            Self::Header {
                name,
                recorded,
                now,
            } => {
                write!(
                    f,
                    "{name}: {} was recorded, now {}",
                    text(recorded),
                    text(now)
                )
            }
            Self::Body { at } => write!(f, "content: other from byte {at} on"),
            Self::Trailers => f.write_str("other trailers"),
        }
    }
}
