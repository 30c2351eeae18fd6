//! The service: hits, misses, and misses that are recorded.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use http::{HeaderMap, Request, Response, header, request::Parts};
use http_body::Body;
use tower::{Service, ServiceExt};

use super::{Lookup, OnMiss, Shared};
use crate::{
    body::{ReplayBody, TeeBody},
    matching::Key,
    message::{RecordedBody, RecordedRequest},
    recorder::{Capture, Flight, Recorder},
    replay::{
        answer,
        flights::{Lead, Turn},
    },
};

/// The service that [`ReplayCache`](super::ReplayCache) makes.
#[derive(Clone)]
pub struct ReplayCacheService<S> {
    pub(super) inner: S,
    pub(super) shared: Arc<Shared>,
}

type Answer<R> = Response<ReplayBody<TeeBody<R, Capture>>>;

impl<S, B, R> Service<Request<B>> for ReplayCacheService<S>
where
    S: Service<Request<TeeBody<ReplayBody<B>, Capture>>, Response = Response<R>>,
    S: Clone + Send + 'static,
    S::Future: Send,
    S::Error: fmt::Display + Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: fmt::Display + Send,
    R: Body<Data = Bytes> + Send,
    R::Error: fmt::Display,
{
    type Response = Answer<R>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    /// Always: the service inside is asked on a miss.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = self.shared.clone();
        let inner = self.inner.clone();
        async move {
            let (parts, body) = request.into_parts();
            let (lookup, body) = shared.look_up(&parts, body).await;
            if let Lookup::Hit(exchange) = &lookup
                && let Some(response) = answer::recorded(exchange)
            {
                return Ok(response);
            }
            // In a box of its own: a hit would otherwise move the room for all this.
            shared.miss(inner, parts, body, lookup).boxed().await
        }
        .boxed()
    }
}

impl Shared {
    async fn miss<S, B, R>(
        &self,
        inner: S,
        parts: Parts,
        body: ReplayBody<B>,
        lookup: Lookup,
    ) -> Result<Answer<R>, S::Error>
    where
        S: Service<Request<TeeBody<ReplayBody<B>, Capture>>, Response = Response<R>>,
        S::Error: fmt::Display,
        B: Body<Data = Bytes>,
        B::Error: fmt::Display,
        R: Body<Data = Bytes>,
        R::Error: fmt::Display,
    {
        match (self.on_miss().await, lookup) {
            (OnMiss::Refuse, lookup) => Ok(self.refuse(&parts, lookup)),
            (OnMiss::Record, Lookup::Miss(key, seen)) => {
                self.record(inner, parts, body, key, seen).await
            }
            _ => pass(inner, parts, body).await,
        }
    }

    /// Fetches what is missing, once for all who miss it now.
    async fn record<S, B, R>(
        &self,
        inner: S,
        parts: Parts,
        body: ReplayBody<B>,
        key: Key,
        seen: RecordedBody,
    ) -> Result<Answer<R>, S::Error>
    where
        S: Service<Request<TeeBody<ReplayBody<B>, Capture>>, Response = Response<R>>,
        S::Error: fmt::Display,
        B: Body<Data = Bytes>,
        B::Error: fmt::Display,
        R: Body<Data = Bytes>,
        R::Error: fmt::Display,
    {
        let mut has_waited = false;
        let lead = loop {
            let lead = match self.flights.turn(key) {
                Turn::Lead(lead) => Some(lead),
                // The one waited for brought nothing. One more tries now, and the rest do not queue
                // up behind it.
                Turn::Follow(_) if has_waited => return pass(inner, parts, body).await,
                Turn::Follow(follow) => {
                    follow.landed().await;
                    has_waited = true;
                    None
                }
            };
            // Between the miss and this turn, somebody may have landed.
            if let Some(exchange) = self.find(key).await
                && let Some(response) = answer::recorded(&exchange)
            {
                return Ok(response);
            }
            if let Some(lead) = lead {
                break lead;
            }
        };
        let Some(recorder) = &self.recorder else {
            return pass(inner, parts, body).await;
        };
        self.fetch(inner, parts, body, seen, recorder, lead).await
    }

    async fn fetch<S, B, R>(
        &self,
        inner: S,
        parts: Parts,
        body: ReplayBody<B>,
        seen: RecordedBody,
        recorder: &Recorder,
        lead: Lead,
    ) -> Result<Answer<R>, S::Error>
    where
        S: Service<Request<TeeBody<ReplayBody<B>, Capture>>, Response = Response<R>>,
        S::Error: fmt::Display,
        B: Body<Data = Bytes>,
        B::Error: fmt::Display,
        R: Body<Data = Bytes>,
        R::Error: fmt::Display,
    {
        let mut request = RecordedRequest::from_parts(&parts);
        request.body = seen;
        let flight = Flight::begin_with(recorder, request, Box::new(lead));
        // A body that need not be known for the look-up was not read ahead.
        let is_live = !self.config.source.matching().needs_body();
        let capture = flight.request_body(&body).filter(|_| is_live);
        let body = TeeBody::new(body, capture);
        match inner.oneshot(Request::from_parts(parts, body)).await {
            Ok(response) => {
                let capture = flight.head(&response);
                if is_event_stream(response.headers()) {
                    capture.flight().give_up_waiting();
                }
                Ok(response.map(|body| ReplayBody::live(TeeBody::new(body, Some(capture)))))
            }
            Err(error) => {
                flight.failed(&error);
                Err(error)
            }
        }
    }
}

/// Lets the service inside answer.
async fn pass<S, B, R>(inner: S, parts: Parts, body: ReplayBody<B>) -> Result<Answer<R>, S::Error>
where
    S: Service<Request<TeeBody<ReplayBody<B>, Capture>>, Response = Response<R>>,
    B: Body<Data = Bytes>,
    B::Error: fmt::Display,
    R: Body<Data = Bytes>,
    R::Error: fmt::Display,
{
    let request = Request::from_parts(parts, TeeBody::new(body, None));
    let response = inner.oneshot(request).await?;
    Ok(response.map(|body| ReplayBody::live(TeeBody::new(body, None))))
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"text/event-stream"))
}

impl<S: fmt::Debug> fmt::Debug for ReplayCacheService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayCacheService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}
