//! Bodies for reqwest.

use std::{
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::BoxError;
use crate::util::sync::{get_mut, lock};

/// The body of a request; `None` if it has none.
///
/// A body that is there at once as one piece goes on as bytes: those reqwest can send a second time,
/// after a 307 or on another connection, as it does with the bytes that it is given without a layer.
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
    if let Some(len) = body.size_hint().exact()
        // Who reads on brings a waker of their own.
        && let Poll::Ready(frame) = body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop()))
    {
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && data.len() as u64 == len
            && body.is_end_stream()
        {
            return Some(data.clone().into());
        }
        first = Some(First { frame, len });
    }
    Some(wrap_begun(first, body))
}

/// A body as one of reqwest's, frame by frame.
#[cfg(feature = "reqwest-middleware")]
pub(super) fn wrap<B>(body: B) -> reqwest::Body
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError> + Send,
{
    wrap_begun(None, Box::pin(body))
}

fn wrap_begun<B>(first: Option<First<B>>, rest: Pin<Box<B>>) -> reqwest::Body
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError> + Send,
{
    reqwest::Body::wrap(Begun(Mutex::new(Inner { first, rest })))
}

/// What the first poll gave, and the length that was known before it.
struct First<B: Body> {
    frame: Option<Result<Frame<Bytes>, B::Error>>,
    len: u64,
}

/// A body that may have been polled once.
///
/// In a mutex, because reqwest asks for `Sync`, which bodies like axum's are not. Nobody waits for it.
struct Begun<B: Body>(Mutex<Inner<B>>);

struct Inner<B: Body> {
    first: Option<First<B>>,
    rest: Pin<Box<B>>,
}

impl<B: Body> Unpin for Begun<B> {}

impl<B: Body<Data = Bytes>> Body for Begun<B> {
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
