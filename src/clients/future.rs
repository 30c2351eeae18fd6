//! The response future.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use http::Response;

/// Response future of the services in this module.
pub struct ResponseFuture<E>(BoxFuture<'static, Result<Response<reqwest::Body>, E>>);

impl<E> ResponseFuture<E> {
    pub(super) fn new(
        response: impl Future<Output = Result<Response<reqwest::Body>, E>> + Send + 'static,
    ) -> Self {
        Self(Box::pin(response))
    }
}

impl<E> Future for ResponseFuture<E> {
    type Output = Result<Response<reqwest::Body>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx)
    }
}

impl<E> fmt::Debug for ResponseFuture<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
