use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tokio::time::Instant;
use tower::Service;

use super::{ResponseBody, ResponseFuture, config::Config, in_flight::InFlight};
use crate::util::panic::OnPanic;

/// The service that [`ReportLatency`](super::ReportLatency) makes.
#[derive(Clone)]
pub struct ReportLatencyService<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> ReportLatencyService<S> {
    pub(super) fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config }
    }

    /// Returns a reference to the inner service.
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for ReportLatencyService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: fmt::Display,
    R: Body<Data = Bytes>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let began = Instant::now();
        let name = self.config.name(&mut request);
        let in_flight = InFlight::begin(&self.config, began, &request, name.as_deref());
        let mut in_flight = Some(in_flight);
        let on_panic = OnPanic::new(|| InFlight::panicked(&mut in_flight));
        let future = self.inner.call(request);
        on_panic.disarm();
        ResponseFuture::new(future, in_flight)
    }
}

impl<S: fmt::Debug> fmt::Debug for ReportLatencyService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReportLatencyService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
