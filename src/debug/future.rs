use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::{ResponseBody, in_flight::Pending};
use crate::util::panic::OnPanic;

pin_project! {
    /// The response future of [`DebugDump`](super::DebugDump).
    pub struct ResponseFuture<F> {
        #[pin]
        future: F,
        // Dropped with the future, it prints that the client is gone.
        pending: Pending,
    }
}

impl<F> ResponseFuture<F> {
    #[inline]
    pub(super) fn new(future: F, pending: Pending) -> Self {
        Self { future, pending }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: fmt::Display,
    R: Body<Data = Bytes>,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    // Written for few moves of the response: see `DebugDumpService::call`.
    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if this.pending.is_some() {
            let on_panic = OnPanic::new(|| this.pending.panicked());
            let result = this.future.poll(cx);
            on_panic.disarm();
            let result = ready!(result);
            let tap = match &result {
                Ok(response) => this.pending.head(response),
                Err(error) => {
                    this.pending.failed(error);
                    None
                }
            };
            return Poll::Ready(
                result.map(|response| response.map(|body| ResponseBody::new(body, tap))),
            );
        }
        let result = this.future.poll(cx);
        result.map_ok(|response| response.map(|body| ResponseBody::new(body, None)))
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
