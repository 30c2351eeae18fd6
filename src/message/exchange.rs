//! The recorded exchange: one request and its outcome.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use bytes::{Bytes, BytesMut};
use http::{Method, Request, Response, StatusCode, Uri, Version};

use crate::message::HeaderList;

/// One request and its outcome: a response, an incomplete response, or none.
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use tower_traffic::{ExchangeEnd, Exchange};
///
/// let exchange = Exchange::new(
///     Request::get("/users/1").body(Bytes::new())?,
///     Response::new(Bytes::from_static(b"{\"name\":\"bob\"}")),
/// );
/// assert_eq!(exchange.end(), ExchangeEnd::Complete);
/// # Ok::<(), http::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exchange {
    /// The time at which the request arrived, by the system's clock.
    pub began: SystemTime,
    /// The time from `began` to the response head; `None` if the head never arrived.
    pub time_to_head: Option<Duration>,
    /// The time from `began` to the end of the response body, or to the failure.
    pub time_to_end: Duration,
    /// The request as the recording layer received it.
    pub request: RecordedRequest,
    /// The response, or the reason why it is missing.
    pub response: Result<RecordedResponse, NoResponse>,
}

impl Exchange {
    /// Creates a complete exchange that begins now and has durations of zero: for fixtures and
    /// tests.
    pub fn new(request: impl Into<RecordedRequest>, response: impl Into<RecordedResponse>) -> Self {
        Self {
            began: SystemTime::now(),
            time_to_head: Some(Duration::ZERO),
            time_to_end: Duration::ZERO,
            request: request.into(),
            response: Ok(response.into()),
        }
    }

    /// Creates an exchange without a response.
    pub fn without_response(request: impl Into<RecordedRequest>, why: NoResponse) -> Self {
        Self {
            began: SystemTime::now(),
            time_to_head: None,
            time_to_end: Duration::ZERO,
            request: request.into(),
            response: Err(why),
        }
    }

    /// Returns how the exchange ended. If both bodies are incomplete, the end of the response body
    /// counts.
    ///
    /// A service may respond before it has read the whole request body: such an exchange is
    /// complete, and `request.body.end` is [`BodyEnd::Dropped`].
    pub fn end(&self) -> ExchangeEnd {
        let response = match &self.response {
            Ok(response) => response,
            Err(NoResponse::Failed(error)) => return ExchangeEnd::Error(error.clone()),
            Err(NoResponse::ClientGone) => return ExchangeEnd::ClientGone,
        };
        match (&response.body.end, &self.request.body.end) {
            (BodyEnd::Dropped, _) => ExchangeEnd::ClientGone,
            (BodyEnd::Error(error), _) | (BodyEnd::Complete, BodyEnd::Error(error)) => {
                ExchangeEnd::Error(error.clone())
            }
            (BodyEnd::Limit, _) | (BodyEnd::Complete, BodyEnd::Limit) => ExchangeEnd::Limit,
            (BodyEnd::Complete, BodyEnd::Complete | BodyEnd::Dropped) => ExchangeEnd::Complete,
        }
    }

    /// Returns the approximate memory use of the exchange, in bytes.
    pub(crate) fn weight(&self) -> usize {
        let response = self.response.as_ref().map_or(0, |response| {
            response.headers.weight() + response.body.weight()
        });
        size_of::<Self>() + self.request.headers.weight() + self.request.body.weight() + response
    }
}

/// How an exchange ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExchangeEnd {
    /// The response is complete.
    Complete,
    /// The service failed, or a body ended with this error.
    Error(String),
    /// The client disconnected before the end of the response.
    ClientGone,
    /// A body was longer than the layer's `max_body_bytes`: only its start is recorded.
    Limit,
}

impl fmt::Display for ExchangeEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Complete => f.write_str("complete"),
            Self::Error(error) => write!(f, "error: {error}"),
            Self::ClientGone => f.write_str("client gone"),
            Self::Limit => f.write_str("cut at the size limit"),
        }
    }
}

/// The reason why an exchange has no response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoResponse {
    /// The service returned this error instead of a response.
    Failed(String),
    /// The caller dropped the call before the response head arrived.
    ClientGone,
}

/// A recorded request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordedRequest {
    /// The method.
    pub method: Method,
    /// The request target in the form that the layer received: `/path?query` at an HTTP/1 server,
    /// absolute in a client, in a proxy and in HTTP/2.
    pub uri: Uri,
    /// The protocol version.
    pub version: Version,
    /// The headers.
    pub headers: HeaderList,
    /// The content and the trailers.
    pub body: RecordedBody,
}

/// A recorded response.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecordedResponse {
    /// The status code.
    pub status: StatusCode,
    /// The protocol version.
    pub version: Version,
    /// The headers.
    pub headers: HeaderList,
    /// The content and the trailers.
    pub body: RecordedBody,
}

impl RecordedRequest {
    /// Creates a request with an empty body from the parts of a request.
    #[must_use]
    pub fn from_parts(parts: &http::request::Parts) -> Self {
        Self {
            method: parts.method.clone(),
            uri: parts.uri.clone(),
            version: parts.version,
            headers: HeaderList::from(&parts.headers),
            body: RecordedBody::default(),
        }
    }
}

impl RecordedResponse {
    /// Creates a response with an empty body from the parts of a response.
    #[must_use]
    pub fn from_parts(parts: &http::response::Parts) -> Self {
        Self {
            status: parts.status,
            version: parts.version,
            headers: HeaderList::from(&parts.headers),
            body: RecordedBody::default(),
        }
    }
}

impl<B: Into<RecordedBody>> From<Request<B>> for RecordedRequest {
    fn from(request: Request<B>) -> Self {
        let (parts, body) = request.into_parts();
        Self {
            body: body.into(),
            ..Self::from_parts(&parts)
        }
    }
}

impl<B: Into<RecordedBody>> From<Response<B>> for RecordedResponse {
    fn from(response: Response<B>) -> Self {
        let (parts, body) = response.into_parts();
        Self {
            body: body.into(),
            ..Self::from_parts(&parts)
        }
    }
}

/// The recorded content of a message, its trailers, and how it ended.
///
/// Two bodies are equal if their bytes, trailers and ends are equal; the division into frames does
/// not matter.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RecordedBody {
    /// The trailers, if there were any.
    pub trailers: Option<HeaderList>,
    /// How the body ended.
    pub end: BodyEnd,
    // Most bodies have one frame: it is stored here, and `rest` does not allocate.
    first: Bytes,
    rest: Vec<Bytes>,
}

/// How a body ended, as the layer saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyEnd {
    /// All bytes and trailers were read.
    #[default]
    Complete,
    /// The body was longer than the layer's `max_body_bytes`: the bytes are its beginning.
    Limit,
    /// The body ended with this error.
    Error(String),
    /// The body was dropped before its end: by a client that disconnected, for a response, or by a
    /// service that did not read it all, for a request.
    Dropped,
}

impl RecordedBody {
    /// Returns the number of recorded bytes.
    pub fn len(&self) -> usize {
        self.chunks().map(Bytes::len).sum()
    }

    /// Whether the recorded content is empty.
    pub fn is_empty(&self) -> bool {
        self.chunks().next().is_none()
    }

    /// Returns the non-empty pieces in which the content is stored.
    pub fn chunks(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.first)
            .chain(&self.rest)
            .filter(|chunk| !chunk.is_empty())
    }

    /// Returns all content in one piece. The bytes are copied only if there are several pieces.
    pub fn to_bytes(&self) -> Bytes {
        if self.rest.is_empty() {
            return self.first.clone();
        }
        let mut bytes = BytesMut::with_capacity(self.len());
        for chunk in self.chunks() {
            bytes.extend_from_slice(chunk);
        }
        bytes.freeze()
    }

    /// Replaces the content. Trailers and end are kept.
    pub fn set_bytes(&mut self, bytes: impl Into<Bytes>) {
        self.first = bytes.into();
        self.rest = Vec::new();
    }

    /// Appends a piece of content.
    pub(crate) fn push(&mut self, chunk: Bytes) {
        if self.first.is_empty() {
            self.first = chunk;
        } else {
            self.rest.push(chunk);
        }
    }

    /// Copies the content into a buffer of its own. A frame is often a slice of a much larger
    /// network buffer, which it keeps alive: acceptable in a queue, but not in a store.
    pub(crate) fn compact(&mut self) {
        if self.is_empty() {
            return;
        }
        self.first = if self.rest.is_empty() {
            Bytes::copy_from_slice(&self.first)
        } else {
            self.to_bytes()
        };
        self.rest = Vec::new();
    }

    fn weight(&self) -> usize {
        self.len()
            + self.rest.len() * size_of::<Bytes>()
            + self.trailers.as_ref().map_or(0, HeaderList::weight)
    }
}

impl PartialEq for RecordedBody {
    fn eq(&self, other: &Self) -> bool {
        self.end == other.end
            && self.trailers == other.trailers
            && self.len() == other.len()
            && self
                .chunks()
                .flat_map(|chunk| chunk.iter())
                .eq(other.chunks().flat_map(|chunk| chunk.iter()))
    }
}

impl Eq for RecordedBody {}

impl<T: Into<Bytes>> From<T> for RecordedBody {
    fn from(bytes: T) -> Self {
        Self {
            first: bytes.into(),
            ..Self::default()
        }
    }
}
