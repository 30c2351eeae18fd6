//! `Resend`: the settings, and the requests.

use std::{fmt, path::PathBuf, pin::pin, sync::Arc};

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{Request, Response, Uri, Version, header};
use http_body::Body;
use tower::{Service, ServiceExt};

use super::{ResendOutcome, ResendSummary, Resent};
use crate::{
    message::{BodyEnd, Exchange},
    redact::Redact,
    replay::{StoredBody, response},
    store::{BoxStream, Disk, Memory, Replay, StoreError},
    util::error::{BoxError, source_chain},
};

/// Headers that depend on the connection or the time.
const VOLATILE: [&str; 5] = [
    "date",
    "connection",
    "keep-alive",
    "transfer-encoding",
    "content-length",
];

/// Sends every request of a recording to a service, one at a time, and compares each response with
/// the recorded response.
///
/// ```no_run
/// # async fn resend() -> Result<(), Box<dyn std::error::Error>> {
/// use hyper_util::{client::legacy::Client, rt::TokioExecutor};
/// use tower_traffic::Resend;
///
/// let client = Client::builder(TokioExecutor::new()).build_http();
/// let summary = Resend::disk("./t")
///     .origin("http://127.0.0.1:3000".parse()?)
///     .run(client, |resent| println!("{resent}"))
///     .await?;
/// assert_eq!(summary.different, 0);
/// # Ok(())
/// # }
/// ```
///
/// Status, headers, content and trailers are compared, except for the headers `date`, `connection`,
/// `keep-alive`, `transfer-encoding`, `content-length` and those of
/// [`ignore_header`](Self::ignore_header). Secrets are redacted in the new response first. A secret
/// that was redacted in a recorded request is sent as [`REDACTED`](crate::REDACTED).
///
/// Exchanges with an incomplete request or response are skipped, and counted.
#[derive(Clone)]
#[must_use = "requests are sent by `run` or `send`"]
pub struct Resend {
    replay: Arc<dyn Replay>,
    origin: Option<Uri>,
    pub(super) ignored_headers: Vec<String>,
    pub(super) redact: Redact,
}

impl Resend {
    /// Sends the requests of `replay`.
    pub fn new(replay: impl Replay) -> Self {
        Self {
            replay: Arc::new(replay),
            origin: None,
            ignored_headers: VOLATILE.map(String::from).into(),
            redact: Redact::default(),
        }
    }

    /// Sends the requests of a folder of any layout.
    pub fn disk(folder: impl Into<PathBuf>) -> Self {
        Self::new(Disk::new(folder))
    }

    /// Sends the requests of a recording in memory.
    pub fn memory(memory: &Memory) -> Self {
        Self::new(memory.clone())
    }

    /// Sends the requests to `origin`: its scheme and authority replace the recorded ones, and the
    /// client sets `Host`. `origin` needs a scheme and an authority; its path is ignored.
    ///
    /// By default, requests keep the recorded URI. A URI that was recorded at a server has no
    /// authority: set the origin if `service` is an HTTP client, which cannot send such a request.
    pub fn origin(mut self, origin: Uri) -> Self {
        self.origin = Some(origin);
        self
    }

    /// Excludes the header `name` from the comparison.
    pub fn ignore_header(mut self, name: impl AsRef<str>) -> Self {
        self.ignored_headers
            .push(name.as_ref().to_ascii_lowercase());
        self
    }

    /// Redacts new responses with `redact` before the comparison. Use the redaction of the
    /// recorder.
    pub fn redact(mut self, redact: Redact) -> Self {
        self.redact = redact;
        self
    }

    /// Sends all requests, calls `on_each` with each outcome, and returns the counts.
    ///
    /// # Errors
    /// If the recording is missing, or reading it fails. Unreadable parts of the recording
    /// ([`StoreError::Damaged`]) are skipped and counted.
    pub async fn run<S, R>(
        self,
        service: S,
        mut on_each: impl FnMut(&Resent),
    ) -> Result<ResendSummary, StoreError>
    where
        S: Service<Request<StoredBody>, Response = Response<R>>,
        S::Error: Into<BoxError>,
        R: Body<Data = Bytes>,
        R::Error: Into<BoxError>,
    {
        let mut summary = ResendSummary::default();
        let mut outcomes = pin!(self.send(service));
        while let Some(resent) = outcomes.next().await {
            match resent {
                Ok(resent) => {
                    summary.count(&resent.outcome);
                    on_each(&resent);
                }
                Err(StoreError::Damaged { location, .. }) if location.column().is_none() => {
                    summary.unreadable += 1;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(summary)
    }

    /// Returns a stream that sends one request each time it is polled for an outcome.
    pub fn send<S, R>(self, service: S) -> impl Stream<Item = Result<Resent, StoreError>>
    where
        S: Service<Request<StoredBody>, Response = Response<R>>,
        S::Error: Into<BoxError>,
        R: Body<Data = Bytes>,
        R::Error: Into<BoxError>,
    {
        let exchanges = self.replay.replay();
        stream::unfold((self, service, exchanges), Self::next)
    }

    async fn next<S, R>(
        (this, mut service, mut exchanges): (Self, S, Exchanges),
    ) -> Option<(Result<Resent, StoreError>, (Self, S, Exchanges))>
    where
        S: Service<Request<StoredBody>, Response = Response<R>>,
        S::Error: Into<BoxError>,
        R: Body<Data = Bytes>,
        R::Error: Into<BoxError>,
    {
        let resent = match exchanges.next().await? {
            Ok(exchange) => Ok(Resent {
                outcome: this.send_one(&mut service, &exchange).await,
                exchange,
            }),
            Err(error) => Err(error),
        };
        Some((resent, (this, service, exchanges)))
    }

    async fn send_one<S, R>(&self, service: &mut S, exchange: &Exchange) -> ResendOutcome
    where
        S: Service<Request<StoredBody>, Response = Response<R>>,
        S::Error: Into<BoxError>,
        R: Body<Data = Bytes>,
        R::Error: Into<BoxError>,
    {
        let Some(recorded) = response::complete(exchange) else {
            return ResendOutcome::Skipped;
        };
        if exchange.request.body.end != BodyEnd::Complete {
            return ResendOutcome::Skipped;
        }
        let request = match self.request(exchange) {
            Ok(request) => request,
            Err(error) => return ResendOutcome::Failed(error.to_string()),
        };
        let response = match service.ready().await {
            Ok(service) => service.call(request).await,
            Err(error) => Err(error),
        };
        match response {
            Ok(response) => self.compare(recorded, response).await,
            Err(error) => {
                let mut reason = source_chain(&*error.into());
                if self.origin.is_none() && exchange.request.uri.host().is_none() {
                    reason.push_str("; the recorded URI has no host: set `Resend::origin`");
                }
                ResendOutcome::Failed(reason)
            }
        }
    }

    fn request(&self, exchange: &Exchange) -> Result<Request<StoredBody>, http::Error> {
        let recorded = &exchange.request;
        let mut request = Request::new(StoredBody::recorded(&recorded.body));
        *request.method_mut() = recorded.method.clone();
        // The client chooses the version of its connection.
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

impl fmt::Debug for Resend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resend")
            .field("origin", &self.origin)
            .field("ignored_headers", &self.ignored_headers)
            .finish_non_exhaustive()
    }
}
