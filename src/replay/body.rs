//! Request and response bodies.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Empty;
use pin_project_lite::pin_project;

use crate::{
    body::{ReplayBody, TeeBody},
    message::RecordedBody,
    recorder::Capture,
};

/// A body from a recording, or the text of a refusal.
pub struct StoredBody {
    inner: ReplayBody<Empty<Bytes>>,
}

impl StoredBody {
    pub(super) fn recorded(body: &RecordedBody) -> Self {
        Self {
            inner: ReplayBody::stored(body),
        }
    }

    pub(super) fn text(text: impl Into<Bytes>) -> Self {
        Self {
            inner: ReplayBody::text(text),
        }
    }
}

/// Creates an empty body.
impl Default for StoredBody {
    fn default() -> Self {
        Self::text("")
    }
}

impl Body for StoredBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl fmt::Debug for StoredBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredBody").finish_non_exhaustive()
    }
}

pin_project! {
    /// The response body of [`ReplayCache`](super::ReplayCache): a recorded body, or the body of
    /// the inner service.
    pub struct ResponseBody<B> {
        #[pin]
        source: ResponseSource<B>,
    }
}

pin_project! {
    #[project = ResponseSourceProjection]
    enum ResponseSource<B> {
        Stored {
            #[pin]
            body: StoredBody,
        },
        Live {
            #[pin]
            body: TeeBody<B, Capture>,
        },
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn stored(body: StoredBody) -> Self {
        Self {
            source: ResponseSource::Stored { body },
        }
    }
}

impl<B: Body> ResponseBody<B> {
    /// Wraps the body of the inner service. With a `capture`, the body is recorded.
    pub(super) fn live(body: B, capture: Option<Capture>) -> Self {
        Self {
            source: ResponseSource::Live {
                body: TeeBody::new(body, capture),
            },
        }
    }
}

/// Creates an empty body.
impl<B> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::stored(StoredBody::default())
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().source.project() {
            ResponseSourceProjection::Stored { body } => body
                .poll_frame(cx)
                .map(|frame| frame.map(|frame| frame.map_err(|never| match never {}))),
            ResponseSourceProjection::Live { body } => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            ResponseSource::Stored { body } => body.is_end_stream(),
            ResponseSource::Live { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            ResponseSource::Stored { body } => body.size_hint(),
            ResponseSource::Live { body } => body.size_hint(),
        }
    }
}

impl<B> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.source {
            ResponseSource::Stored { .. } => "ResponseBody::Stored",
            ResponseSource::Live { .. } => "ResponseBody::Live",
        })
    }
}

/// The request body that [`ReplayCache`](super::ReplayCache) gives to the inner service: the bytes
/// that were read for the look-up, then the rest of the client's body.
pub struct RequestBody<B: Body> {
    inner: TeeBody<ReplayBody<B>, Capture>,
}

impl<B: Body> RequestBody<B> {
    pub(super) fn new(body: ReplayBody<B>, capture: Option<Capture>) -> Self
    where
        B: Body<Data = Bytes>,
    {
        Self {
            inner: TeeBody::new(body, capture),
        }
    }
}

/// Creates an empty body.
impl<B: Body> Default for RequestBody<B> {
    fn default() -> Self {
        Self {
            inner: TeeBody::default(),
        }
    }
}

impl<B> Body for RequestBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl<B: Body> fmt::Debug for RequestBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestBody").finish_non_exhaustive()
    }
}
