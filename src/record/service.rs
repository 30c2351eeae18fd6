use std::{
    fmt,
    future::Future,
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

use super::{Filter, WhenFull};
use crate::{
    body::TeeBody,
    locks::get_mut,
    recorder::{Capture, Flight, Recorder},
};

/// The service that [`RecordTraffic`](super::RecordTraffic) makes.
pub struct RecordTrafficService<S> {
    inner: S,
    recorder: Recorder,
    filter: Option<Filter>,
    when_full: WhenFull,
    /// Waiting for room. In a mutex only to be `Sync`: it is never locked.
    waiting: Mutex<Option<BoxFuture<'static, ()>>>,
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
        }
    }

    /// A handle to the recorder.
    pub fn recorder(&self) -> Recorder {
        self.recorder.clone()
    }

    fn poll_room(&mut self, at_most: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let waiting = get_mut(&mut self.waiting);
        if waiting.is_none() {
            // Outside of tokio there is no clock to wait by.
            if !self.recorder.is_full() || Handle::try_current().is_err() {
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
    type Future = RecordFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if let WhenFull::Wait { at_most } = self.when_full {
            ready!(self.poll_room(at_most, cx));
        }
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (parts, body) = request.into_parts();
        let is_recorded = self.filter.as_ref().is_none_or(|filter| filter(&parts));
        let flight = is_recorded.then(|| Flight::begin(&self.recorder, &parts));
        let capture = flight
            .as_ref()
            .and_then(|flight| flight.request_body(&body));
        let body = TeeBody::new(body, capture);
        RecordFuture {
            future: self.inner.call(Request::from_parts(parts, body)),
            flight,
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
    pub struct RecordFuture<F> {
        #[pin]
        future: F,
        // Taken with the answer; dropped with the future, it tells that the caller went away.
        flight: Option<Flight>,
    }
}

impl<F, R, E> Future for RecordFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    E: fmt::Display,
    R: Body<Data = Bytes>,
{
    type Output = Result<Response<TeeBody<R, Capture>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let answer = ready!(this.future.poll(cx));
        let flight = this.flight.take();
        Poll::Ready(match answer {
            Ok(response) => {
                let (parts, body) = response.into_parts();
                let capture = flight.map(|flight| flight.head(&parts));
                Ok(Response::from_parts(parts, TeeBody::new(body, capture)))
            }
            Err(error) => {
                if let Some(flight) = flight {
                    flight.failed(&error);
                }
                Err(error)
            }
        })
    }
}

impl<F> fmt::Debug for RecordFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordFuture").finish_non_exhaustive()
    }
}
