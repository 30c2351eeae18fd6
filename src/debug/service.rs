use std::{
    fmt,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use tower::Service;

use super::{
    RequestBody, ResponseBody, ResponseFuture, in_flight::Pending, layer::Settings,
    printer::Printer,
};
use crate::util::panic::OnPanic;

/// The service that [`DebugDump`](super::DebugDump) makes.
#[derive(Clone)]
pub struct DebugDumpService<S> {
    inner: S,
    printer: Printer,
    settings: Settings,
}

impl<S> DebugDumpService<S> {
    pub(super) fn new(inner: S, printer: Printer, settings: Settings) -> Self {
        Self {
            inner,
            printer,
            settings,
        }
    }

    /// Returns a handle to the printer.
    pub fn printer(&self) -> Printer {
        self.printer.clone()
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

impl<S, B, R> Service<Request<B>> for DebugDumpService<S>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>>,
    S::Error: fmt::Display,
    B: Body<Data = Bytes>,
    R: Body<Data = Bytes>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    // While the printer is off, nearly all of the cost is the moves of request and response into
    // messages with another body type. The code here and in `ResponseFuture::poll` is in the form
    // that compiles to the fewest moves.
    #[inline]
    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let mut pending = Pending::default();
        let mut tap = None;
        if self.printer.is_enabled() {
            (request, tap) = pending.begin(&self.printer, &self.settings, request);
        }
        let on_panic = OnPanic::new(|| pending.panicked());
        let future = self
            .inner
            .call(request.map(|body| RequestBody::new(body, tap)));
        on_panic.disarm();
        ResponseFuture::new(future, pending)
    }
}

impl<S: fmt::Debug> fmt::Debug for DebugDumpService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DebugDumpService")
            .field("inner", &self.inner)
            .field("printer", &self.printer)
            .finish_non_exhaustive()
    }
}
