use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower::Service;

use super::{
    call::{Pending, RequestDump, ResponseDump},
    printer::Printer,
};
use crate::body::TeeBody;

/// The service that [`DebugDump`](super::DebugDump) makes.
#[derive(Clone)]
pub struct DebugDumpService<S> {
    inner: S,
    printer: Printer,
}

impl<S> DebugDumpService<S> {
    pub(super) fn new(inner: S, printer: Printer) -> Self {
        Self { inner, printer }
    }

    /// A handle to the printer.
    pub fn printer(&self) -> Printer {
        self.printer.clone()
    }
}

impl<S, B, R> Service<Request<B>> for DebugDumpService<S>
where
    S: Service<Request<TeeBody<B, RequestDump>>, Response = Response<R>>,
    S::Error: fmt::Display,
    B: Body<Data = Bytes>,
    R: Body<Data = Bytes>,
{
    type Response = Response<TeeBody<R, ResponseDump>>;
    type Error = S::Error;
    type Future = DebugDumpFuture<S::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    // Nearly all that a call costs which is not printed are the moves that a request and a response
    // make to get a body of another type. Here and in `poll` the code is the form of which the
    // compiler makes the fewest.
    #[inline]
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let mut pending = Pending::default();
        let mut dump = None;
        if self.printer.is_enabled() {
            (request, dump) = pending.begin(&self.printer, request);
        }
        let on_panic = OnPanic(&mut pending);
        let future = self
            .inner
            .call(request.map(|body| TeeBody::new(body, dump)));
        mem::forget(on_panic);
        DebugDumpFuture { future, pending }
    }
}

/// Dropped only if the service inside panics: nobody gets an answer then either, but the caller did
/// not go away.
struct OnPanic<'a>(&'a mut Pending);

impl Drop for OnPanic<'_> {
    fn drop(&mut self) {
        self.0.failed(&"the service panicked");
    }
}

impl<S: fmt::Debug> fmt::Debug for DebugDumpService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DebugDumpService")
            .field("inner", &self.inner)
            .field("printer", &self.printer)
            .finish()
    }
}

pin_project! {
    /// The future of a [`DebugDumpService`].
    pub struct DebugDumpFuture<F> {
        #[pin]
        future: F,
        // Dropped with the future, it tells that the caller went away.
        pending: Pending,
    }
}

impl<F, R, E> Future for DebugDumpFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: fmt::Display,
    R: Body<Data = Bytes>,
{
    type Output = Result<Response<TeeBody<R, ResponseDump>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        if this.pending.is_some() {
            let on_panic = OnPanic(this.pending);
            let answer = this.future.poll(cx);
            mem::forget(on_panic);
            let answer = ready!(answer);
            let dump = match &answer {
                Ok(response) => this.pending.head(response),
                Err(error) => {
                    this.pending.failed(error);
                    None
                }
            };
            return Poll::Ready(
                answer.map(|response| response.map(|body| TeeBody::new(body, dump))),
            );
        }
        let answer = this.future.poll(cx);
        answer.map_ok(|response| response.map(|body| TeeBody::new(body, None)))
    }
}

impl<F> fmt::Debug for DebugDumpFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DebugDumpFuture").finish_non_exhaustive()
    }
}
