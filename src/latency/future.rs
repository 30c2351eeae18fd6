use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Response;
use http_body::Body;
use pin_project_lite::pin_project;

use super::{
    ResponseBody,
    in_flight::{InFlight, Stopwatch},
};
use crate::{message::ExchangeEnd, util::panic::OnPanic};

pin_project! {
    /// The response future of [`ReportLatency`](super::ReportLatency).
    pub struct ResponseFuture<F> {
        #[pin]
        future: F,
        // Taken when the response arrives. Dropped with the future, it reports that the client is
        // gone.
        in_flight: Option<InFlight>,
    }
}

impl<F> ResponseFuture<F> {
    #[inline]
    pub(super) fn new(future: F, in_flight: Option<InFlight>) -> Self {
        Self { future, in_flight }
    }
}

impl<F, R, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: fmt::Display,
    R: Body<Data = Bytes>,
{
    type Output = Result<Response<ResponseBody<R>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let on_panic = OnPanic::new(|| InFlight::panicked(this.in_flight));
        let result = this.future.poll(cx);
        on_panic.disarm();
        result.map(|result| match (result, this.in_flight.take()) {
            (Ok(mut response), in_flight) => {
                let stopwatch = in_flight.map(|mut in_flight| {
                    in_flight.head(&mut response);
                    Stopwatch::new(in_flight)
                });
                Ok(response.map(|body| ResponseBody::new(body, stopwatch)))
            }
            (Err(error), in_flight) => {
                if let Some(mut in_flight) = in_flight {
                    in_flight.end(ExchangeEnd::Error(error.to_string()), false);
                }
                Err(error)
            }
        })
    }
}

impl<F> fmt::Debug for ResponseFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
