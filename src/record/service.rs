use std::{
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tokio::{runtime::Handle, time::timeout};
use tower::Service;

use super::WhenFull;
use crate::{
    body::TeeBody,
    recorder::{Capture, Flight, Recorder},
    util::{panic::Filter, sync::get_mut},
};

/// The service that [`RecordTraffic`](super::RecordTraffic) makes.
pub struct RecordTrafficService<S> {
    inner: S,
    recorder: Recorder,
    filter: Option<Filter>,
    when_full: WhenFull,
    /// Waiting for room. In a mutex only to be `Sync`: it is never locked.
    waiting: Mutex<Option<BoxFuture<'static, ()>>>,
    /// The wait for the next request is over: it is not begun again while `inner` is not ready.
    has_waited: bool,
}

impl<S> RecordTrafficService<S> {
    pub(super) fn new(
        inner: S,
        recorder: Recorder,
        filter: Option<Filter>,
        when_full: WhenFull,
    ) -> Self {
        Self {
            inner,
            recorder,
            filter,
            when_full,
            waiting: Mutex::new(None),
            has_waited: false,
        }
    }

    /// A handle to the recorder.
    pub fn recorder(&self) -> Recorder {
        self.recorder.clone()
    }

    fn poll_room(&mut self, at_most: Duration, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_waited {
            return Poll::Ready(());
        }
        let waiting = get_mut(&mut self.waiting);
        if waiting.is_none() {
            // Outside of tokio there is no clock to wait by.
            if !self.recorder.is_crowded() || Handle::try_current().is_err() {
                return Poll::Ready(());
            }
            let recorder = self.recorder.clone();
            *waiting = Some(
                async move {
                    // Too late is no error: the exchange is then dropped and counted.
                    let _ = timeout(at_most, recorder.room()).await;
                }
                .boxed(),
            );
        }
        if let Some(future) = waiting {
            ready!(future.as_mut().poll(cx));
            *waiting = None;
            self.has_waited = true;
        }
        Poll::Ready(())
    }
}

impl<S: Clone> Clone for RecordTrafficService<S> {
    fn clone(&self) -> Self {
        Self::new(
            self.inner.clone(),
            self.recorder.clone(),
            self.filter.clone(),
            self.when_full,
        )
    }
}

impl<S, B, R> Service<Request<B>> for RecordTrafficService<S>
where
    S: Service<Request<TeeBody<B, Capture>>, Response = Response<R>>,
    S::Error: fmt::Display,
    B: Body<Data = Bytes>,
    R: Body<Data = Bytes>,
{
    type Response = Response<TeeBody<R, Capture>>;
    type Error = S::Error;
    type Future = RecordTrafficFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if let WhenFull::Wait { at_most } = self.when_full {
            ready!(self.poll_room(at_most, cx));
        }
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.has_waited = false;
        let (parts, body) = request.into_parts();
        let is_recorded = self
            .filter
            .as_ref()
            .is_none_or(|filter| filter.takes(&parts));
        let mut flight = is_recorded.then(|| Flight::begin(&self.recorder, &parts));
        let capture = flight
            .as_ref()
            .and_then(|flight| flight.request_body(&body));
        let body = TeeBody::new(body, capture);
        let on_panic = OnPanic(&mut flight);
        let future = self.inner.call(Request::from_parts(parts, body));
        mem::forget(on_panic);
        RecordTrafficFuture { future, flight }
    }
}

/// Dropped only if the service inside panics: nobody gets an answer then either, but the caller did
/// not go away.
struct OnPanic<'a>(&'a mut Option<Flight>);

impl Drop for OnPanic<'_> {
    fn drop(&mut self) {
        if let Some(flight) = self.0.take() {
            flight.failed(&"the service panicked");
        }
    }
}

impl<S: fmt::Debug> fmt::Debug for RecordTrafficService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordTrafficService")
            .field("inner", &self.inner)
            .field("recorder", &self.recorder)
            .finish_non_exhaustive()
    }
}

pin_project! {
    /// The future of a [`RecordTrafficService`].
    pub struct RecordTrafficFuture<F> {
        #[pin]
        future: F,
        // Taken with the answer; dropped with the future, it tells that the caller went away.
        flight: Option<Flight>,
    }
}

impl<F, R, E> Future for RecordTrafficFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: fmt::Display,
    R: Body<Data = Bytes>,
{
    type Output = Result<Response<TeeBody<R, Capture>>, E>;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let on_panic = OnPanic(this.flight);
        let answer = this.future.poll(cx);
        mem::forget(on_panic);
        // The response is not taken apart here: each time it is moved costs as much as the filter.
        answer.map(|answer| match (answer, this.flight.take()) {
            (Ok(response), flight) => {
                let capture = flight.map(|flight| flight.head(&response));
                Ok(response.map(|body| TeeBody::new(body, capture)))
            }
            (Err(error), flight) => {
                if let Some(flight) = flight {
                    flight.failed(&error);
                }
                Err(error)
            }
        })
    }
}

impl<F> fmt::Debug for RecordTrafficFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordTrafficFuture")
            .finish_non_exhaustive()
    }
}
