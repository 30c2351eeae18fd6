//! The response body.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;

use crate::body::AnswerBody;

pin_project! {
    /// Response body of [`ProxyHost`](super::ProxyHost): the inner service's body, or the text of a
    /// refusal.
    #[derive(Debug)]
    pub struct ResponseBody<B> {
        #[pin]
        inner: AnswerBody<B>,
    }
}

impl<B> ResponseBody<B> {
    #[inline]
    pub(super) fn live(body: B) -> Self {
        Self {
            inner: AnswerBody::live(body),
        }
    }

    pub(super) fn text(text: impl Into<Bytes>) -> Self {
        Self {
            inner: AnswerBody::text(text),
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
        self.project().inner.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
