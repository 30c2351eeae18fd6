use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::time::Instant;
use tower::Service;

use super::{
    config::Config,
    stopwatch::{Stopwatch, Underway},
};
use crate::{body::TeeBody, message::ExchangeEnd};

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
}

impl<S, B, R> Service<Request<B>> for ReportLatencyService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: fmt::Display,
    R: Body<Data = Bytes>,
{
    type Response = Response<TeeBody<R, Stopwatch>>;
    type Error = S::Error;
    type Future = ReportLatencyFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let began = Instant::now();
        let name = self.config.name(&mut request);
        let underway = Underway::begin(&self.config, began, &request, name.as_deref());
        let mut underway = Some(underway);
        let on_panic = OnPanic(&mut underway);
        let future = self.inner.call(request);
        mem::forget(on_panic);
        ReportLatencyFuture { future, underway }
    }
}

/// Dropped only if the service inside panics: nobody gets an answer then either, but the caller did
/// not go away.
struct OnPanic<'a>(&'a mut Option<Underway>);

impl Drop for OnPanic<'_> {
    fn drop(&mut self) {
        if let Some(mut underway) = self.0.take() {
            underway.panicked();
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for ReportLatencyService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReportLatencyService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of a [`ReportLatencyService`].
    pub struct ReportLatencyFuture<F> {
        #[pin]
        future: F,
        // Taken with the answer; dropped with the future, it tells that the caller went away.
        underway: Option<Underway>,
    }
}

impl<F, R, E> Future for ReportLatencyFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: fmt::Display,
    R: Body<Data = Bytes>,
{
    type Output = Result<Response<TeeBody<R, Stopwatch>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let on_panic = OnPanic(this.underway);
        let answer = this.future.poll(cx);
        mem::forget(on_panic);
        answer.map(|answer| match (answer, this.underway.take()) {
            (Ok(mut response), underway) => {
                let stopwatch = underway.map(|mut underway| {
                    underway.head(&mut response);
                    Stopwatch::new(underway)
                });
                Ok(response.map(|body| TeeBody::new(body, stopwatch)))
            }
            (Err(error), underway) => {
                if let Some(mut underway) = underway {
                    underway.end(ExchangeEnd::Error(error.to_string()), false);
                }
                Err(error)
            }
        })
    }
}

impl<F> fmt::Debug for ReportLatencyFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReportLatencyFuture")
            .finish_non_exhaustive()
    }
}
