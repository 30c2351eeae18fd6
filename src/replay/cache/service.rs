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
use http::{Request, Response, StatusCode, header, request::Parts};
use http_body::Body;
use tokio::sync::OnceCell;
use tower::{Service, ServiceExt};

use super::{
    coalesce::{Coalescer, LeaderGuard, Role},
    layer::{AnswerOrder, OnMiss},
};
use crate::{
    body::{ReadAheadError, ReplayBody, read_ahead},
    content::media_type::is_event_stream,
    matching::MatchKey,
    message::{Exchange, RecordedBody, RecordedRequest},
    recorder::{DEFAULT_MAX_BODY_BYTES, InFlight, OnSettled, Recorder},
    replay::{RequestBody, ResponseBody, ResponseFuture, StoredBody, response},
    store::{OnError, Sink, Source, StoreError, Which},
    util::sync::lock,
};

/// The service of [`ReplayCache`](super::ReplayCache).
#[derive(Clone)]
pub struct ReplayCacheService<S> {
    inner: S,
    answers: Answers,
}

impl<S> ReplayCacheService<S> {
    pub(super) fn new(inner: S, answers: Answers) -> Self {
        Self { inner, answers }
    }

    /// Returns a reference to the inner service.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for ReplayCacheService<S>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>>,
    S: Clone + Send + 'static,
    S::Future: Send,
    S::Error: fmt::Display + Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: fmt::Display + Send,
    R: Body<Data = Bytes> + Send,
    R::Error: fmt::Display,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<ResponseBody<R>, S::Error>;

    /// Always ready: the inner service is polled on a miss.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let answers = self.answers.clone();
        let inner = self.inner.clone();
        ResponseFuture::new(async move {
            let (parts, body) = request.into_parts();
            let (lookup, body) = answers.look_up(&parts, body).await;
            if let Lookup::Hit(exchange) = &lookup
                && let Some(response) = response::replayed(exchange)
            {
                let response = response::to_request(response, &parts.uri);
                return Ok(response.map(ResponseBody::stored));
            }
            // Boxed, so that the future of a hit stays small.
            answers.miss(inner, parts, body, lookup).boxed().await
        })
    }
}

impl<S: fmt::Debug> fmt::Debug for ReplayCacheService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayCacheService")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

/// The settings of one service.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) on_miss: OnMiss,
    pub(super) order: AnswerOrder,
    pub(super) refusal_status: StatusCode,
    pub(super) max_request_body_bytes: usize,
    pub(super) max_body_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            on_miss: OnMiss::default(),
            order: AnswerOrder::default(),
            refusal_status: StatusCode::SERVICE_UNAVAILABLE,
            max_request_body_bytes: 16 << 20,
            max_body_bytes: DEFAULT_MAX_BODY_BYTES,
        }
    }
}

/// The state that a layer, its clones and its services share.
pub(super) struct Shared {
    source: Arc<dyn Source>,
    pub(super) recorder: Recorder,
    /// Whether a sink was set in place of [`NoSink`].
    pub(super) has_sink: AtomicBool,
    pub(super) on_error: Mutex<Option<OnError>>,
    coalescer: Coalescer,
    /// The number of answers so far for each match key, for [`AnswerOrder::Recorded`].
    answered: Mutex<HashMap<MatchKey, usize>>,
    /// Whether the source was empty at the first miss, for [`OnMiss::Once`].
    was_empty: OnceCell<bool>,
    error_logged: AtomicBool,
    no_sink_logged: AtomicBool,
}

impl Shared {
    pub(super) fn new(source: Arc<dyn Source>, sink: Option<Arc<dyn Sink>>) -> Self {
        Self {
            source,
            has_sink: AtomicBool::new(sink.is_some()),
            recorder: Recorder::new(sink.unwrap_or_else(|| Arc::new(NoSink))),
            on_error: Mutex::default(),
            coalescer: Coalescer::default(),
            answered: Mutex::default(),
            was_empty: OnceCell::new(),
            error_logged: AtomicBool::new(false),
            no_sink_logged: AtomicBool::new(false),
        }
    }

    fn answered(&self) -> MutexGuard<'_, HashMap<MatchKey, usize>> {
        lock(&self.answered)
    }

    /// Whether misses can be recorded; logs once if not.
    fn can_record(&self) -> bool {
        let can_record = self.has_sink.load(Ordering::Relaxed);
        if !can_record && !self.no_sink_logged.swap(true, Ordering::Relaxed) {
            tracing::error!("cannot record misses: no sink, set one with `record_to`");
        }
        can_record
    }

    /// Whether the source has no exchanges; false if it cannot be read.
    async fn is_source_empty(&self) -> bool {
        self.source.is_empty().await.unwrap_or_else(|error| {
            self.report(&error);
            false
        })
    }

    fn report(&self, error: &StoreError) {
        if !self.error_logged.swap(true, Ordering::Relaxed) {
            tracing::error!(%error, "cannot read a recording; later errors are not logged");
        }
        let hook = lock(&self.on_error).clone();
        if let Some(hook) = hook {
            hook(error);
        }
    }
}

/// The sink of a read-only cache. It is never called: see [`Shared::can_record`].
struct NoSink;

impl Sink for NoSink {
    fn store(&self, _: Vec<Arc<Exchange>>) -> BoxFuture<'_, Result<(), StoreError>> {
        std::future::ready(Ok(())).boxed()
    }
}

/// Looks up recordings and handles misses, by the settings of one service.
#[derive(Clone)]
pub(in crate::replay) struct Answers {
    shared: Arc<Shared>,
    settings: Settings,
}

/// The outcome of a look-up.
pub(in crate::replay) enum Lookup {
    /// A complete recording.
    Hit(Arc<Exchange>),
    /// No recording has the match key. The body is the part of the request body that was read for
    /// the key.
    Miss(MatchKey, RecordedBody),
    /// The request has no match key, because its body is too long or incomplete.
    Unmatched(ReadAheadError),
}

impl Answers {
    pub(super) fn new(shared: Arc<Shared>, settings: Settings) -> Self {
        Self { shared, settings }
    }

    /// Looks up the recording for a request. The returned body is the complete body of the request.
    pub(in crate::replay) async fn look_up<B>(
        &self,
        parts: &Parts,
        body: B,
    ) -> (Lookup, ReplayBody<B>)
    where
        B: Body<Data = Bytes>,
    {
        let matching = self.shared.source.matching();
        let (read, body) = if !matching.needs_body() || body.is_end_stream() {
            (Ok(RecordedBody::default()), ReplayBody::live(body))
        } else {
            Box::pin(read_ahead(body, self.settings.max_request_body_bytes)).await
        };
        let read = match read {
            Ok(read) => read,
            Err(reason) => return (Lookup::Unmatched(reason), body),
        };
        let key = matching.key_of_parts(parts, &read);
        let lookup = match self.find(key).await {
            Some(exchange) => Lookup::Hit(exchange),
            None => Lookup::Miss(key, read),
        };
        (lookup, body)
    }

    async fn find(&self, key: MatchKey) -> Option<Arc<Exchange>> {
        let shared = &self.shared;
        let which = match self.settings.order {
            AnswerOrder::Latest => Which::Latest,
            AnswerOrder::Recorded => {
                let mut answered = shared.answered();
                let count = answered.entry(key).or_default();
                *count += 1;
                Which::Nth(*count - 1)
            }
        };
        let found = match shared.source.find(key, which).await {
            Ok(found) => found.filter(|exchange| response::complete(exchange).is_some()),
            Err(error) => {
                shared.report(&error);
                None
            }
        };
        if found.is_none()
            && self.settings.order == AnswerOrder::Recorded
            && let Entry::Occupied(mut count) = shared.answered().entry(key)
        {
            *count.get_mut() -= 1;
            // Misses must not accumulate: any client can cause them.
            if *count.get() == 0 {
                count.remove();
            }
        }
        found
    }

    /// Builds the response to a request that no recording answers.
    pub(in crate::replay) async fn refuse(
        &self,
        parts: &Parts,
        lookup: Lookup,
    ) -> Response<StoredBody> {
        let mut request = RecordedRequest::from_parts(parts);
        let reason = match lookup {
            Lookup::Unmatched(ReadAheadError::TooLong) => format!(
                "the request body exceeds the limit of {} bytes",
                self.settings.max_request_body_bytes
            ),
            Lookup::Unmatched(ReadAheadError::Failed) => {
                "the request body is incomplete".to_owned()
            }
            Lookup::Miss(_, body) => {
                request.body = body;
                if self.shared.is_source_empty().await {
                    "the recording is missing or empty: record one first, or correct the path"
                } else {
                    "no recording matches this request"
                }
                .to_owned()
            }
            Lookup::Hit(_) => "the recording is incomplete".to_owned(),
        };
        let request = self.shared.source.matching().describe(&request);
        let response = response::plain_text(
            self.settings.refusal_status,
            format!("tower-traffic: {reason}\n\n{request}\n"),
        );
        response::to_request(response, &parts.uri)
    }

    async fn miss<S, B, R>(
        &self,
        inner: S,
        parts: Parts,
        body: ReplayBody<B>,
        lookup: Lookup,
    ) -> Result<Response<ResponseBody<R>>, S::Error>
    where
        S: Service<Request<RequestBody<B>>, Response = Response<R>>,
        S::Error: fmt::Display,
        B: Body<Data = Bytes>,
        R: Body<Data = Bytes>,
    {
        match (self.on_miss().await, lookup) {
            (OnMiss::Refuse, lookup) => {
                let refusal = self.refuse(&parts, lookup).await;
                Ok(refusal.map(ResponseBody::stored))
            }
            (OnMiss::Record, Lookup::Miss(key, read)) if self.shared.can_record() => {
                self.record(inner, parts, body, key, read).await
            }
            _ => pass(inner, parts, body).await,
        }
    }

    /// Returns the setting for misses; `Once` is replaced by `Record` or `Refuse`.
    async fn on_miss(&self) -> OnMiss {
        if self.settings.on_miss != OnMiss::Once {
            return self.settings.on_miss;
        }
        let was_empty = self
            .shared
            .was_empty
            .get_or_init(|| self.shared.is_source_empty());
        if *was_empty.await {
            OnMiss::Record
        } else {
            OnMiss::Refuse
        }
    }

    /// Fetches and records a response, once for all concurrent misses of `key`.
    async fn record<S, B, R>(
        &self,
        inner: S,
        parts: Parts,
        body: ReplayBody<B>,
        key: MatchKey,
        read: RecordedBody,
    ) -> Result<Response<ResponseBody<R>>, S::Error>
    where
        S: Service<Request<RequestBody<B>>, Response = Response<R>>,
        S::Error: fmt::Display,
        B: Body<Data = Bytes>,
        R: Body<Data = Bytes>,
    {
        let mut has_waited = false;
        let lead = loop {
            let lead = match self.shared.coalescer.join(key) {
                Role::Leader(lead) => Some(lead),
                // The first leader stored nothing, and another miss leads now: do not queue behind
                // it.
                Role::Follower(_) if has_waited => return pass(inner, parts, body).await,
                Role::Follower(follower) => {
                    follower.wait().await;
                    has_waited = true;
                    None
                }
            };
            // A leader may have finished between the look-up and `join`.
            if let Some(exchange) = self.find(key).await
                && let Some(response) = response::replayed(&exchange)
            {
                let response = response::to_request(response, &parts.uri);
                return Ok(response.map(ResponseBody::stored));
            }
            if let Some(lead) = lead {
                break lead;
            }
        };
        self.fetch(inner, parts, body, read, lead).await
    }

    async fn fetch<S, B, R>(
        &self,
        inner: S,
        parts: Parts,
        body: ReplayBody<B>,
        read: RecordedBody,
        lead: LeaderGuard,
    ) -> Result<Response<ResponseBody<R>>, S::Error>
    where
        S: Service<Request<RequestBody<B>>, Response = Response<R>>,
        S::Error: fmt::Display,
        B: Body<Data = Bytes>,
        R: Body<Data = Bytes>,
    {
        let mut request = RecordedRequest::from_parts(&parts);
        request.body = read;
        let in_flight = InFlight::begin_with(
            &self.shared.recorder,
            request,
            self.settings.max_body_bytes,
            OnSettled::new(move || drop(lead)),
        );
        // A body that is not part of the match key was not read ahead.
        let is_live = !self.shared.source.matching().needs_body();
        let capture = in_flight.request_body(&body).filter(|_| is_live);
        let request = Request::from_parts(parts, RequestBody::new(body, capture));
        match inner.oneshot(request).await {
            Ok(response) => {
                let capture = in_flight.head(&response);
                // An event stream may never end.
                let content_type = response.headers().get(header::CONTENT_TYPE);
                if content_type.is_some_and(|value| is_event_stream(value.as_bytes())) {
                    capture.give_up_waiting();
                }
                Ok(response.map(|body| ResponseBody::live(body, Some(capture))))
            }
            Err(error) => {
                in_flight.failed(&error);
                Err(error)
            }
        }
    }
}

/// Calls the inner service without recording.
async fn pass<S, B, R>(
    inner: S,
    parts: Parts,
    body: ReplayBody<B>,
) -> Result<Response<ResponseBody<R>>, S::Error>
where
    S: Service<Request<RequestBody<B>>, Response = Response<R>>,
    B: Body<Data = Bytes>,
    R: Body<Data = Bytes>,
{
    let request = Request::from_parts(parts, RequestBody::new(body, None));
    let response = inner.oneshot(request).await?;
    Ok(response.map(|body| ResponseBody::live(body, None)))
}
