//! Request and response bodies as bodies of reqwest.

use std::{
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::util::{
    error::BoxError,
    sync::{get_mut, lock},
};

/// Converts a request body. Returns `None` if the body is empty.
///
/// A body that is available at once, in one frame, becomes bytes, which reqwest can send again:
/// after a 307, or on another connection.
pub(super) fn request_body<B>(body: B) -> Option<reqwest::Body>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError> + Send,
{
    if body.is_end_stream() {
        return None;
    }
    let mut body = Box::pin(body);
    let mut first = None;
    // A later poll registers the waker of its own task.
    let mut cx = Context::from_waker(Waker::noop());
    if let Some(len) = body.size_hint().exact()
        && let Poll::Ready(frame) = body.as_mut().poll_frame(&mut cx)
    {
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && data.len() as u64 == len
            && body.is_end_stream()
        {
            return Some(data.clone().into());
        }
        first = Some(FirstPoll { frame, len });
    }
    Some(wrap_polled(first, body))
}

/// Wraps a body, which reqwest then reads frame by frame.
#[cfg(feature = "reqwest-middleware")]
pub(super) fn wrap<B>(body: B) -> reqwest::Body
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError> + Send,
{
    wrap_polled(None, Box::pin(body))
}

fn wrap_polled<B>(first: Option<FirstPoll<B>>, rest: Pin<Box<B>>) -> reqwest::Body
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError> + Send,
{
    reqwest::Body::wrap(PolledBody(Mutex::new(Inner { first, rest })))
}

/// The result of the first poll, and the length of the body before it.
struct FirstPoll<B: Body> {
    frame: Option<Result<Frame<Bytes>, B::Error>>,
    len: u64,
}

/// A body that may have been polled once.
///
/// The mutex is uncontended. The mutex makes the body `Sync`, which reqwest requires, and which
/// axum's bodies are not.
struct PolledBody<B: Body>(Mutex<Inner<B>>);

struct Inner<B: Body> {
    first: Option<FirstPoll<B>>,
    rest: Pin<Box<B>>,
}

impl<B: Body> Unpin for PolledBody<B> {}

impl<B: Body<Data = Bytes>> Body for PolledBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let inner = get_mut(&mut self.0);
        match inner.first.take() {
            Some(first) => Poll::Ready(first.frame),
            None => inner.rest.as_mut().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        let inner = lock(&self.0);
        inner.first.is_none() && inner.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let inner = lock(&self.0);
        match &inner.first {
            Some(first) => SizeHint::with_exact(first.len),
            None => inner.rest.size_hint(),
        }
    }
}
