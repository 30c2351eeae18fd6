//! The response future.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use http::Response;

/// Response future of [`ReplayCache`](super::ReplayCache), [`ReplayStream`](super::ReplayStream)
/// and [`Responder`](super::Responder).
pub struct ResponseFuture<B, E>(BoxFuture<'static, Result<Response<B>, E>>);

impl<B, E> ResponseFuture<B, E> {
    pub(super) fn new(
        response: impl Future<Output = Result<Response<B>, E>> + Send + 'static,
    ) -> Self {
        Self(Box::pin(response))
    }
}

impl<B, E> Future for ResponseFuture<B, E> {
    type Output = Result<Response<B>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl<B, E> fmt::Debug for ResponseFuture<B, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
