use std::{
    fmt,
    sync::Mutex,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use http::{Request, Response};
use http_body::Body;
use tokio::{runtime::Handle, time};
use tower::Service;

use super::{RequestBody, ResponseBody, ResponseFuture, WhenFull, layer::Settings};
use crate::{
    recorder::{InFlight, Recorder},
    util::{panic::OnPanic, sync::get_mut},
};

/// The service that [`RecordTraffic`](super::RecordTraffic) makes.
pub struct RecordTrafficService<S> {
    inner: S,
    recorder: Recorder,
    settings: Settings,
    /// The wait for room in the buffer. The mutex only makes the future `Sync`, and is never
    /// locked.
    waiting: Mutex<Option<BoxFuture<'static, ()>>>,
    /// Whether the wait for the next request is over, even if `inner` is not ready yet.
    has_waited: bool,
}

impl<S> RecordTrafficService<S> {
    pub(super) fn new(inner: S, recorder: Recorder, settings: Settings) -> Self {
        Self {
            inner,
            recorder,
            settings,
            waiting: Mutex::new(None),
            has_waited: false,
        }
    }

    /// Returns a handle to the recorder.
    pub fn recorder(&self) -> Recorder {
        self.recorder.clone()
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

    fn poll_room(&mut self, timeout: Duration, cx: &mut Context<'_>) -> Poll<()> {
        if self.has_waited {
            return Poll::Ready(());
        }
        let waiting = get_mut(&mut self.waiting);
        if waiting.is_none() {
            // Outside of tokio there is no timer.
            if !self.recorder.is_crowded() || Handle::try_current().is_err() {
                return Poll::Ready(());
            }
            let recorder = self.recorder.clone();
            *waiting = Some(
                async move {
                    // After the timeout the request is served; its exchange may be dropped.
                    let _ = time::timeout(timeout, recorder.room()).await;
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
            self.settings.clone(),
        )
    }
}

impl<S, B, R> Service<Request<B>> for RecordTrafficService<S>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>>,
    S::Error: fmt::Display,
    B: Body<Data = Bytes>,
    R: Body<Data = Bytes>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        if let WhenFull::Wait { timeout } = self.settings.when_full {
            ready!(self.poll_room(timeout, cx));
        }
        self.inner.poll_ready(cx)
    }

    #[inline]
    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.has_waited = false;
        let (parts, body) = request.into_parts();
        let filter = self.settings.filter.as_ref();
        let is_recorded = filter.is_none_or(|filter| filter.matches(&parts));
        let mut in_flight = is_recorded
            .then(|| InFlight::begin(&self.recorder, &parts, self.settings.max_body_bytes));
        let capture = in_flight
            .as_ref()
            .and_then(|in_flight| in_flight.request_body(&body));
        let body = RequestBody::new(body, capture);
        let on_panic = OnPanic::new(|| InFlight::panicked(&mut in_flight));
        let future = self.inner.call(Request::from_parts(parts, body));
        on_panic.disarm();
        ResponseFuture::new(future, in_flight)
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
