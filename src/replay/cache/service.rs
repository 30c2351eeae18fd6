//! The service: hits, misses, and misses that are recorded.

use std::{
    collections::{HashMap, hash_map::Entry},
    fmt,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use http::{HeaderMap, Request, Response, header, request::Parts};
use http_body::Body;
use tokio::sync::OnceCell;
use tower::{Service, ServiceExt};

use super::{
    coalesce::{Coalescer, Lead, Turn},
    layer::{Config, OnMiss, Order},
};
use crate::{
    body::{NotWhole, ReplayBody, TeeBody, read_ahead},
    content::media_type,
    matching::MatchKey,
    message::{Exchange, RecordedBody, RecordedRequest},
    recorder::{Capture, InFlight, Recorder},
    replay::response,
    store::{StoreError, Which},
    util::sync::lock,
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
                && let Some(response) = response::recorded(exchange)
            {
                return Ok(response);
            }
            // In a box of its own: a hit would otherwise move the room for all this.
            shared.miss(inner, parts, body, lookup).boxed().await
        }
        .boxed()
    }
}

impl<S: fmt::Debug> fmt::Debug for ReplayCacheService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayCacheService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

/// What all services of a layer share.
pub(in crate::replay) struct Shared {
    pub(super) config: Config,
    pub(super) recorder: Option<Recorder>,
    pub(super) coalescer: Coalescer,
    /// How often each key was answered, in recorded order.
    answered: Mutex<HashMap<MatchKey, usize>>,
    was_empty: OnceCell<bool>,
    has_told: AtomicBool,
}

/// What came of a look-up.
pub(in crate::replay) enum Lookup {
    /// A whole recording.
    Hit(Arc<Exchange>),
    /// There is none; and the request's body as far as it matters, for the one that is to be made.
    Miss(MatchKey, RecordedBody),
    /// The request cannot be matched.
    Unmatched(NotWhole),
}

impl Shared {
    pub(super) fn new(config: Config) -> Self {
        let records = matches!(config.on_miss, OnMiss::Record | OnMiss::Once);
        let recorder = config.sink.clone().filter(|_| records).map(|sink| {
            let recorder = Recorder::new(sink);
            recorder.set(|settings| {
                settings.redact = config.redact.clone();
                settings.on_error.clone_from(&config.on_error);
            });
            recorder
        });
        if records && recorder.is_none() {
            tracing::error!("misses are not recorded: say where to, with `record_to`");
        }
        Self {
            recorder,
            config,
            coalescer: Coalescer::default(),
            answered: Mutex::default(),
            was_empty: OnceCell::new(),
            has_told: AtomicBool::new(false),
        }
    }

    /// Looks a request up. The body that comes back is the request's, with nothing missing.
    pub(in crate::replay) async fn look_up<B>(
        &self,
        parts: &Parts,
        body: B,
    ) -> (Lookup, ReplayBody<B>)
    where
        B: Body<Data = Bytes>,
    {
        let matching = self.config.source.matching();
        let (read, body) = if !matching.needs_body() || body.is_end_stream() {
            (Ok(RecordedBody::default()), ReplayBody::live(body))
        } else {
            Box::pin(read_ahead(body, self.config.body_limit)).await
        };
        let seen = match read {
            Ok(seen) => seen,
            Err(why) => return (Lookup::Unmatched(why), body),
        };
        let key = matching.key_of_parts(parts, &seen);
        let lookup = match self.find(key).await {
            Some(exchange) => Lookup::Hit(exchange),
            None => Lookup::Miss(key, seen),
        };
        (lookup, body)
    }

    pub(super) async fn find(&self, key: MatchKey) -> Option<Arc<Exchange>> {
        let which = match self.config.order {
            Order::Latest => Which::Latest,
            Order::Recorded => {
                let mut answered = self.answered();
                let count = answered.entry(key).or_default();
                *count += 1;
                Which::Nth(*count - 1)
            }
        };
        let found = match self.config.source.find(key, which).await {
            Ok(found) => found.filter(|exchange| response::whole(exchange).is_some()),
            Err(error) => {
                self.tell(&error);
                None
            }
        };
        if found.is_none()
            && let Entry::Occupied(mut count) = self.answered().entry(key)
        {
            *count.get_mut() -= 1;
            // Anybody can ask for what is not recorded: nothing is kept of it.
            if *count.get() == 0 {
                count.remove();
            }
        }
        found
    }

    fn answered(&self) -> MutexGuard<'_, HashMap<MatchKey, usize>> {
        lock(&self.answered)
    }

    fn tell(&self, error: &StoreError) {
        if !self.has_told.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "a recording cannot be read; later failures are not told");
        }
        if let Some(on_error) = &self.config.on_error {
            on_error(error);
        }
    }

    /// What a miss comes to: `Once` is decided here.
    pub(super) async fn on_miss(&self) -> OnMiss {
        if self.config.on_miss != OnMiss::Once {
            return self.config.on_miss;
        }
        let is_empty = || async {
            self.config.source.is_empty().await.unwrap_or_else(|error| {
                self.tell(&error);
                false
            })
        };
        if *self.was_empty.get_or_init(is_empty).await {
            OnMiss::Record
        } else {
            OnMiss::Refuse
        }
    }

    pub(in crate::replay) fn refuse<B: Body>(
        &self,
        parts: &Parts,
        lookup: Lookup,
    ) -> Response<ReplayBody<B>> {
        let mut request = RecordedRequest::from_parts(parts);
        let why = match lookup {
            Lookup::Unmatched(NotWhole::Long) => {
                format!(
                    "its body is over the limit of {} bytes",
                    self.config.body_limit
                )
            }
            Lookup::Unmatched(NotWhole::Failed) => "its body broke off".to_owned(),
            Lookup::Miss(_, body) => {
                request.body = body;
                "no recording answers this request".to_owned()
            }
            Lookup::Hit(_) => String::new(),
        };
        let matching = self.config.source.matching();
        let request = matching.describe(&request);
        response::explain(
            self.config.refuse_with,
            format!("tower-traffic: {why}\n\n{request}\n"),
        )
    }

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
        key: MatchKey,
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
            let lead = match self.coalescer.turn(key) {
                Turn::Lead(lead) => Some(lead),
                // The one waited for brought nothing. One more tries now, and the rest do not queue
                // up behind it.
                Turn::Follow(_) if has_waited => return pass(inner, parts, body).await,
                Turn::Follow(follow) => {
                    follow.done().await;
                    has_waited = true;
                    None
                }
            };
            // Between the miss and this turn, somebody may have landed.
            if let Some(exchange) = self.find(key).await
                && let Some(response) = response::recorded(&exchange)
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
        let in_flight =
            InFlight::begin_with(recorder, request, self.config.capture_limit, Box::new(lead));
        // A body that need not be known for the look-up was not read ahead.
        let is_live = !self.config.source.matching().needs_body();
        let capture = in_flight.request_body(&body).filter(|_| is_live);
        let body = TeeBody::new(body, capture);
        match inner.oneshot(Request::from_parts(parts, body)).await {
            Ok(response) => {
                let capture = in_flight.head(&response);
                if is_event_stream(response.headers()) {
                    capture.give_up_waiting();
                }
                Ok(response.map(|body| ReplayBody::live(TeeBody::new(body, Some(capture)))))
            }
            Err(error) => {
                in_flight.failed(&error);
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
    let content_type = headers.get(header::CONTENT_TYPE);
    content_type.is_some_and(|value| media_type::is_event_stream(value.as_bytes()))
}
