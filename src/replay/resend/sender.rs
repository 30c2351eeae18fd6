//! `Resend`: sends the requests of a recording again and compares what comes back.

use std::{fmt, path::PathBuf, pin::pin, sync::Arc};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{Request, Response, Uri, Version, header};
use http_body::Body;
use tower::{Service, ServiceExt};

use super::compare::Difference;
use crate::replay::response;
use crate::{
    body::{ReplayBody, StoredBody},
    message::{BodyEnd, Exchange},
    redact::Redact,
    store::{BoxStream, Disk, Memory, Replay, StoreError},
};

/// Fields that belong to a connection or to the moment, and so differ without a reason.
const VOLATILE: [&str; 5] = [
    "date",
    "connection",
    "keep-alive",
    "transfer-encoding",
    "content-length",
];

/// Sends every request of a recording to a service, one after the other, and compares each response
/// with the recorded one.
///
/// ```no_run
/// # async fn resend() -> Result<(), Box<dyn std::error::Error>> {
/// use hyper_util::{client::legacy::Client, rt::TokioExecutor};
/// use tower_traffic::Resend;
///
/// let client = Client::builder(TokioExecutor::new()).build_http();
/// let summary = Resend::disk("./t")
///     .to("http://127.0.0.1:3000".parse()?)
///     .run(client, |resent| println!("{resent}"))
///     .await?;
/// assert_eq!(summary.different, 0);
/// # Ok(())
/// # }
/// ```
///
/// Compared are status, header fields, content and trailers; not the fields that belong to a
/// connection or to the moment (`date`, `connection`, `keep-alive`, `transfer-encoding`,
/// `content-length`) and those named with [`ignore_header`](Self::ignore_header). Secrets are
/// replaced in the new response before it is compared. A secret that was replaced in a recorded
/// request is sent as [`REDACTED`](crate::REDACTED).
///
/// Exchanges whose request or response was not recorded whole are skipped, and counted.
#[derive(Clone)]
pub struct Resend {
    replay: Arc<dyn Replay>,
    origin: Option<Uri>,
    pub(super) ignored: Vec<String>,
    pub(super) redact: Redact,
}

/// One request that was sent again, and what came of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Resent {
    /// What was recorded.
    pub exchange: Exchange,
    /// What came of sending it again.
    pub verdict: Verdict,
}

/// What came of sending a request again.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// The response was as recorded.
    Same,
    /// It was another, in all of this.
    Different(Vec<Difference>),
    /// There was no response, or not all of it: the error says why.
    Failed(String),
    /// It was not sent: the recording has not all of it.
    Skipped,
}

/// What came of a whole recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Responses that were as recorded.
    pub same: u64,
    /// Responses that were not.
    pub different: u64,
    /// Requests without a response.
    pub failed: u64,
    /// Exchanges that were not recorded whole, and so not sent.
    pub skipped: u64,
    /// Parts of the recording that could not be read.
    pub unreadable: u64,
}

impl Resend {
    /// Sends what is recorded in a folder.
    pub fn disk(folder: impl Into<PathBuf>) -> Self {
        Self::from(Disk::new(folder))
    }

    /// Sends what is recorded in memory.
    pub fn memory(memory: Memory) -> Self {
        Self::from(memory)
    }

    /// Sends what is recorded in a store.
    pub fn from(replay: impl Replay) -> Self {
        Self {
            replay: Arc::new(replay),
            origin: None,
            ignored: VOLATILE.map(String::from).into(),
            redact: Redact::default(),
        }
    }

    /// Sends to this origin: its scheme and authority replace what each request had, and the `host`
    /// field is left to the client. Without it, requests go out with the URI that was recorded,
    /// which for a recording made at a server has no authority.
    pub fn to(mut self, origin: Uri) -> Self {
        self.origin = Some(origin);
        self
    }

    /// Does not compare this field either. Case does not matter.
    pub fn ignore_header(mut self, name: impl AsRef<str>) -> Self {
        self.ignored.push(name.as_ref().to_ascii_lowercase());
        self
    }

    /// What is replaced in a new response before it is compared. Give the recorder's.
    pub fn redact(mut self, redact: Redact) -> Self {
        self.redact = redact;
        self
    }

    /// Sends everything, and tells `on_each` of each.
    ///
    /// # Errors
    /// If there is no recording, or it cannot be read on. Damage in it ([`StoreError::Damaged`]) is
    /// counted and passed over.
    pub async fn run<S, R>(
        self,
        service: S,
        mut on_each: impl FnMut(&Resent),
    ) -> Result<Summary, StoreError>
    where
        S: Service<Request<StoredBody>, Response = Response<R>>,
        S::Error: fmt::Display,
        R: Body<Data = Bytes>,
        R::Error: fmt::Display,
    {
        let mut summary = Summary::default();
        let mut all = pin!(self.send(service));
        while let Some(resent) = all.next().await {
            let resent = match resent {
                Ok(resent) => resent,
                Err(StoreError::Damaged { location, .. }) if location.column().is_none() => {
                    summary.unreadable += 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            match resent.verdict {
                Verdict::Same => summary.same += 1,
                Verdict::Different(_) => summary.different += 1,
                Verdict::Failed(_) => summary.failed += 1,
                Verdict::Skipped => summary.skipped += 1,
            }
            on_each(&resent);
        }
        Ok(summary)
    }

    /// Sends one request after the other, each when the stream is asked for it.
    pub fn send<S, R>(self, service: S) -> impl Stream<Item = Result<Resent, StoreError>>
    where
        S: Service<Request<StoredBody>, Response = Response<R>>,
        S::Error: fmt::Display,
        R: Body<Data = Bytes>,
        R::Error: fmt::Display,
    {
        let exchanges = self.replay.replay();
        stream::unfold((self, service, exchanges), Self::next)
    }

    async fn next<S, R>(
        (this, mut service, mut exchanges): (Self, S, Exchanges),
    ) -> Option<(Result<Resent, StoreError>, (Self, S, Exchanges))>
    where
        S: Service<Request<StoredBody>, Response = Response<R>>,
        S::Error: fmt::Display,
        R: Body<Data = Bytes>,
        R::Error: fmt::Display,
    {
        let resent = match exchanges.next().await? {
            Ok(exchange) => Ok(Resent {
                verdict: this.send_one(&mut service, &exchange).await,
                exchange,
            }),
            Err(error) => Err(error),
        };
        Some((resent, (this, service, exchanges)))
    }

    async fn send_one<S, R>(&self, service: &mut S, exchange: &Exchange) -> Verdict
    where
        S: Service<Request<StoredBody>, Response = Response<R>>,
        S::Error: fmt::Display,
        R: Body<Data = Bytes>,
        R::Error: fmt::Display,
    {
        let Some(recorded) = response::whole(exchange) else {
            return Verdict::Skipped;
        };
        if exchange.request.body.end != BodyEnd::Complete {
            return Verdict::Skipped;
        }
        let request = match self.request(exchange) {
            Ok(request) => request,
            Err(error) => return Verdict::Failed(error.to_string()),
        };
        let response = match service.ready().await {
            Ok(service) => service.call(request).await,
            Err(error) => Err(error),
        };
        match response {
            Ok(response) => self.compare(recorded, response).await,
            Err(error) => Verdict::Failed(error.to_string()),
        }
    }

    fn request(&self, exchange: &Exchange) -> Result<Request<StoredBody>, http::Error> {
        let recorded = &exchange.request;
        let mut request = Request::new(ReplayBody::stored(&recorded.body));
        *request.method_mut() = recorded.method.clone();
        // Which version is spoken is for the client and the server to settle.
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = recorded.headers.to_map();
        request.headers_mut().remove(header::CONNECTION);
        request.headers_mut().remove(header::TRANSFER_ENCODING);
        *request.uri_mut() = match &self.origin {
            None => recorded.uri.clone(),
            Some(origin) => {
                request.headers_mut().remove(header::HOST);
                let mut parts = recorded.uri.clone().into_parts();
                parts.scheme = origin.scheme().cloned();
                parts.authority = origin.authority().cloned();
                Uri::from_parts(parts)?
            }
        };
        Ok(request)
    }
}

type Exchanges = BoxStream<'static, Result<Exchange, StoreError>>;

impl Summary {
    /// How many requests were sent.
    pub fn sent(&self) -> u64 {
        self.same + self.different + self.failed
    }
}

/// A line for the request, and one for each difference.
impl fmt::Display for Resent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {}: ",
            self.exchange.request.method, self.exchange.request.uri
        )?;
        match &self.verdict {
            Verdict::Same => f.write_str("same"),
            Verdict::Failed(error) => write!(f, "failed: {error}"),
            Verdict::Skipped => f.write_str("skipped, not recorded whole"),
            Verdict::Different(differences) => {
                f.write_str("different")?;
                differences
                    .iter()
                    .try_for_each(|difference| write!(f, "\n  {difference}"))
            }
        }
    }
}

impl fmt::Debug for Resend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resend")
            .field("origin", &self.origin)
            .field("ignored", &self.ignored)
            .finish_non_exhaustive()
    }
}
