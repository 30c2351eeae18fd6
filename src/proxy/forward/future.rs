//! The response future.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::future::BoxFuture;
use http::Response;

use super::body::ForwardBody;

/// Response future of [`Forward`](super::Forward).
pub struct ForwardFuture(BoxFuture<'static, Response<ForwardBody>>);

impl ForwardFuture {
    pub(super) fn new(
        response: impl Future<Output = Response<ForwardBody>> + Send + 'static,
    ) -> Self {
        Self(Box::pin(response))
    }
}

impl Future for ForwardFuture {
    type Output = Result<Response<ForwardBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for ForwardFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForwardFuture").finish_non_exhaustive()
    }
}
