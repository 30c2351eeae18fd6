//! The response body.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

pin_project! {
    /// The response body of [`ProxyHost`](super::ProxyHost): the inner service's body, or the text
    /// of a refusal.
    pub struct ResponseBody<B> {
        #[pin]
        kind: Kind<B>,
    }
}

pin_project! {
    #[project = KindProjection]
    enum Kind<B> {
        Live {
            #[pin]
            body: B,
        },
        Text { text: Bytes },
    }
}

impl<B> ResponseBody<B> {
    /// Wraps `body`, whose frames pass unchanged.
    #[inline]
    pub(super) fn live(body: B) -> Self {
        Self {
            kind: Kind::Live { body },
        }
    }

    /// Creates a body of `text`.
    pub(super) fn text(text: impl Into<Bytes>) -> Self {
        Self {
            kind: Kind::Text { text: text.into() },
        }
    }
}

/// Creates an empty body.
impl<B> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::text("")
    }
}

impl<B: Body<Data = Bytes>> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    #[inline]
    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().kind.project() {
            KindProjection::Live { body } => body.poll_frame(cx),
            KindProjection::Text { text } if text.is_empty() => Poll::Ready(None),
            KindProjection::Text { text } => {
                Poll::Ready(Some(Ok(Frame::data(std::mem::take(text)))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Live { body } => body.is_end_stream(),
            Kind::Text { text } => text.is_empty(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Live { body } => body.size_hint(),
            Kind::Text { text } => SizeHint::with_exact(text.len() as u64),
        }
    }
}

impl<B> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Live { .. } => f.write_str("ResponseBody::Live"),
            Kind::Text { text } => f.debug_tuple("ResponseBody::Text").field(text).finish(),
        }
    }
}
