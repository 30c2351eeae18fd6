//! Bodies to and from the origin.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};

use crate::util::{error::BoxError, time::BODY_ERROR_DELAY};

/// Response body of [`Forward`](super::Forward): the body of the origin's response, or the text of
/// an error response.
pub struct ForwardBody {
    source: BodySource,
}

enum BodySource {
    Origin(Incoming),
    Failed(Pin<Box<Sleep>>, Option<UpstreamBodyError>),
    Text(Bytes),
}

/// The error of a response body that ended before its announced end.
#[derive(Debug, thiserror::Error)]
#[error("the response of the origin ended within its body")]
pub struct UpstreamBodyError {
    #[from]
    source: hyper::Error,
}

impl ForwardBody {
    pub(super) fn origin(body: Incoming) -> Self {
        Self {
            source: BodySource::Origin(body),
        }
    }

    pub(super) fn text(text: impl Into<Bytes>) -> Self {
        Self {
            source: BodySource::Text(text.into()),
        }
    }
}

/// Creates an empty body.
impl Default for ForwardBody {
    fn default() -> Self {
        Self::text("")
    }
}

impl Body for ForwardBody {
    type Data = Bytes;
    type Error = UpstreamBodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamBodyError>>> {
        match &mut self.source {
            BodySource::Origin(body) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                match frame {
                    Some(Err(error)) => {
                        self.source = BodySource::Failed(
                            Box::pin(sleep(BODY_ERROR_DELAY)),
                            Some(error.into()),
                        );
                        self.poll_frame(cx)
                    }
                    frame => Poll::Ready(frame.map(|frame| frame.map_err(UpstreamBodyError::from))),
                }
            }
            BodySource::Failed(linger, error) => {
                if error.is_some() {
                    ready!(linger.as_mut().poll(cx));
                }
                Poll::Ready(error.take().map(Err))
            }
            BodySource::Text(text) if text.is_empty() => Poll::Ready(None),
            BodySource::Text(text) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            BodySource::Origin(body) => body.is_end_stream(),
            BodySource::Failed(_, error) => error.is_none(),
            BodySource::Text(text) => text.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            BodySource::Origin(body) => body.size_hint(),
            BodySource::Failed(..) => SizeHint::default(),
            BodySource::Text(text) => SizeHint::with_exact(text.len() as u64),
        }
    }
}

impl fmt::Debug for ForwardBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.source {
            BodySource::Origin(_) => "ForwardBody::Origin",
            BodySource::Failed(..) => "ForwardBody::Failed",
            BodySource::Text(_) => "ForwardBody::Text",
        })
    }
}

/// The body of a request on its way to the origin.
pub(super) enum RequestBody {
    Empty,
    // One type for all, since the type selects the pool of connections.
    Live(UnsyncBoxBody<Bytes, BoxError>, Progress),
}

/// The time of the last frame of a body.
#[derive(Clone)]
pub(super) struct Progress {
    start: Instant,
    /// The time of the last frame, in milliseconds since `start`.
    last: Arc<AtomicU64>,
}

impl Progress {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            last: Arc::default(),
        }
    }

    fn advance(&self) {
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(millis, Ordering::Relaxed);
    }

    pub(super) fn last(&self) -> Instant {
        self.start + Duration::from_millis(self.last.load(Ordering::Relaxed))
    }
}

impl RequestBody {
    pub(super) fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        if body.is_end_stream() {
            Self::Empty
        } else {
            let body = body.map_err(Into::into).boxed_unsync();
            Self::Live(body, Progress::new())
        }
    }

    /// Returns the progress of the body, or `None` if the body is empty.
    pub(super) fn progress(&self) -> Option<Progress> {
        match self {
            Self::Empty => None,
            Self::Live(_, progress) => Some(progress.clone()),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut *self {
            Self::Empty => Poll::Ready(None),
            Self::Live(body, progress) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                progress.advance();
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Live(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Live(body, _) => body.size_hint(),
        }
    }
}
