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

/// For so long an error is kept back: hyper throws away what it has not yet written when a body
/// fails, even the head, and the client should see all that came before.
const LINGER: Duration = Duration::from_millis(100);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A response's body as it comes from the origin, or the text that says why there is none.
pub struct ForwardBody {
    kind: Kind,
}

enum Kind {
    Origin(Incoming),
    Broken(Pin<Box<Sleep>>, Option<BrokenOff>),
    Text(Bytes),
}

/// The origin's response broke off within its body.
#[derive(Debug, thiserror::Error)]
#[error("the origin's response broke off")]
pub struct BrokenOff {
    #[from]
    source: hyper::Error,
}

impl ForwardBody {
    pub(super) fn origin(body: Incoming) -> Self {
        Self {
            kind: Kind::Origin(body),
        }
    }

    pub(super) fn text(text: impl Into<Bytes>) -> Self {
        Self {
            kind: Kind::Text(text.into()),
        }
    }
}

/// Nothing.
impl Default for ForwardBody {
    fn default() -> Self {
        Self::text("")
    }
}

impl Body for ForwardBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match &mut self.kind {
            Kind::Origin(body) => {
                let frame = ready!(Pin::new(body).poll_frame(cx));
                match frame {
                    Some(Err(error)) => {
                        self.kind = Kind::Broken(Box::pin(sleep(LINGER)), Some(error.into()));
                        self.poll_frame(cx)
                    }
                    frame => Poll::Ready(frame.map(|frame| frame.map_err(BrokenOff::from))),
                }
            }
            Kind::Broken(linger, error) => {
                if error.is_some() {
                    ready!(linger.as_mut().poll(cx));
                }
                Poll::Ready(error.take().map(Err))
            }
            Kind::Text(text) if text.is_empty() => Poll::Ready(None),
            Kind::Text(text) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(text))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Origin(body) => body.is_end_stream(),
            Kind::Broken(_, error) => error.is_none(),
            Kind::Text(text) => text.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Origin(body) => body.size_hint(),
            Kind::Broken(..) => SizeHint::default(),
            Kind::Text(text) => SizeHint::with_exact(text.len() as u64),
        }
    }
}

impl fmt::Debug for ForwardBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Origin(_) => "ForwardBody::Origin",
            Kind::Broken(..) => "ForwardBody::Broken",
            Kind::Text(_) => "ForwardBody::Text",
        })
    }
}

/// A request's body on its way to the origin.
pub(super) enum RequestBody {
    Empty,
    // One type for all, so that all share one pool of connections.
    Live(UnsyncBoxBody<Bytes, BoxError>, Progress),
}

/// When something of a body passed last.
#[derive(Clone)]
pub(super) struct Progress {
    start: Instant,
    /// Milliseconds from there.
    last: Arc<AtomicU64>,
}

impl Progress {
    fn new() -> Self {
        Self {
            start: Instant::now(),
            last: Arc::default(),
        }
    }

    fn passes(&self) {
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

    /// How far it is, if there is anything to send.
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
                progress.passes();
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
