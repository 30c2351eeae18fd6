//! `ReplayCache`: the layer and its settings.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, atomic::Ordering},
};

use http::StatusCode;
use tower::Layer;

use super::service::{Answers, ReplayCacheService, Settings, Shared};
use crate::{
    recorder::Recorder,
    redact::Redact,
    store::{DiskCache, Memory, Sink, Source, StoreError},
    util::sync::lock,
};

/// A layer that answers from a recording, and calls the inner service only on a miss.
///
/// ```
/// use axum::{Router, routing::get};
/// use tower_traffic::ReplayCache;
///
/// let app: Router = Router::new()
///     .route("/", get(|| async { "only on a miss" }))
///     .layer(ReplayCache::disk("./t"));
/// ```
///
/// In a test that must not use the network, refuse misses:
///
/// ```
/// use tower_traffic::{OnMiss, ReplayCache};
///
/// let replay = ReplayCache::disk("tests/fixtures").on_miss(OnMiss::Refuse);
/// ```
///
/// With every setting at its default:
///
/// ```
/// use http::StatusCode;
/// use tower_traffic::{OnMiss, Redact, ReplayCache, replay::AnswerOrder};
///
/// let replay = ReplayCache::disk("./t")
///     .on_miss(OnMiss::PassThrough)
///     .order(AnswerOrder::Latest)
///     .refuse_with(StatusCode::SERVICE_UNAVAILABLE)
///     .max_request_body_bytes(16 << 20)
///     .max_body_bytes(16 << 20)
///     .redact(Redact::default());
/// ```
///
/// - **Matching**: the store defines which requests match ([`Source::matching`]): by default those
///   with equal method, URI and body, after secrets are redacted in both requests. To change the
///   rule, configure the store: `ReplayCache::new(DiskCache::new("./t").match_by(..))`.
/// - **Answers** are complete recordings; incomplete ones are never replayed.
/// - **The inner service** is cloned and polled for readiness on each miss, so hits are answered
///   while the inner service is unavailable.
/// - **The request body** is read before the look-up, up to
///   [`max_request_body_bytes`](Self::max_request_body_bytes). A request with a longer or
///   incomplete body matches no recording: it is refused if misses are refused; otherwise it passes
///   through unchanged, and its response is not recorded.
/// - **Errors of the store** count as misses; see [`on_error`](Self::on_error).
///
/// The layer does not implement HTTP caching (RFC 9111): recordings do not expire, and
/// `Cache-Control` has no effect.
///
/// # Settings and handles
///
/// Clones of the layer, its services and its [`recorder`](Self::recorder) share the store, the
/// recorder, the position of [`AnswerOrder::Recorded`] and the decision of [`OnMiss::Once`].
/// [`record_to`](Self::record_to), [`redact`](Self::redact) and [`on_error`](Self::on_error) change
/// this shared state, and so apply to all clones, services and handles. All other settings are
/// copied with the layer: a clone or service made before keeps its own.
#[derive(Clone)]
#[must_use = "layers do nothing unless applied"]
pub struct ReplayCache {
    shared: Arc<Shared>,
    settings: Settings,
}

/// What a [`ReplayCache`] does on a miss: a request that no recording matches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnMiss {
    /// Calls the inner service, and records nothing (http4k: `ServeCachedFrom`).
    #[default]
    PassThrough,
    /// Calls the inner service, and records its response, which answers from then on, without a
    /// flush. Concurrent
    /// misses of the same request wait up to 10 s for the response to the first request, unless
    /// that response is an event stream or exceeds [`max_body_bytes`](ReplayCache::max_body_bytes).
    Record,
    /// [`Record`](Self::Record) if the recording is empty at the first miss, else
    /// [`Refuse`](Self::Refuse) (VCR: `once`).
    Once,
    /// Responds with 503, or the status of [`refuse_with`](ReplayCache::refuse_with).
    Refuse,
}

/// Which of several recordings of the same request answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnswerOrder {
    /// The last recording.
    #[default]
    Latest,
    /// The first recording answers the first such request, the second recording the second request,
    /// and so on. When all were used, the last recording answers.
    Recorded,
}

impl ReplayCache {
    /// Answers from `store`, and records misses into it with [`OnMiss::Record`] or
    /// [`OnMiss::Once`].
    pub fn new(store: impl Source + Sink) -> Self {
        let store = Arc::new(store);
        Self::with(store.clone(), Some(store))
    }

    /// Answers from `source`. To record misses, set a sink with [`record_to`](Self::record_to).
    pub fn read_only(source: impl Source) -> Self {
        Self::with(Arc::new(source), None)
    }

    /// Answers from the recording in `folder`, in any layout. With [`OnMiss::Record`] or
    /// [`OnMiss::Once`], misses are recorded into the folder as fixtures, which can be edited and
    /// reviewed ([`DiskCache`]).
    pub fn disk(folder: impl Into<PathBuf>) -> Self {
        Self::new(DiskCache::new(folder))
    }

    /// Answers from a recording in memory, and records misses into it with [`OnMiss::Record`] or
    /// [`OnMiss::Once`].
    pub fn memory(memory: &Memory) -> Self {
        Self::new(memory.clone())
    }

    /// Answers from a cache in S3, and records misses into it with [`OnMiss::Record`] or
    /// [`OnMiss::Once`]: see [`S3Cache`](crate::store::S3Cache) for its layout, cost and latency.
    /// `bucket` is `"bucket"`, `"bucket/prefix"`, `"s3://bucket/prefix"` or a
    /// [`Bucket`](crate::store::Bucket).
    #[cfg(feature = "s3")]
    pub fn s3(bucket: impl Into<crate::store::Bucket>) -> Self {
        Self::new(crate::store::S3Cache::new(bucket))
    }

    fn with(source: Arc<dyn Source>, sink: Option<Arc<dyn Sink>>) -> Self {
        Self {
            shared: Arc::new(Shared::new(source, sink)),
            settings: Settings::default(),
        }
    }

    /// Defines what happens on a miss; by default the request [passes
    /// through](OnMiss::PassThrough).
    pub fn on_miss(mut self, on_miss: OnMiss) -> Self {
        self.settings.on_miss = on_miss;
        self
    }

    /// Records misses into `sink` instead of the store. Applies to all clones and handles of this
    /// layer.
    ///
    /// A [`read_only`](Self::read_only) cache without a sink passes misses through, even if misses
    /// should be recorded, and logs that once.
    pub fn record_to(self, sink: impl Sink) -> Self {
        self.shared
            .recorder
            .set(|settings| settings.sink = Arc::new(sink));
        self.shared.has_sink.store(true, Ordering::Relaxed);
        self
    }

    /// Defines which recording answers if several match; by default the latest.
    pub fn order(mut self, order: AnswerOrder) -> Self {
        self.settings.order = order;
        self
    }

    /// Sets the status of refusals ([`OnMiss::Refuse`]); 503 by default.
    pub fn refuse_with(mut self, status: StatusCode) -> Self {
        self.settings.refusal_status = status;
        self
    }

    /// Reads at most `bytes` bytes of a request body for the look-up; 16 MiB by default. A request
    /// with a longer body matches no recording: it is refused if misses are refused; otherwise it
    /// passes through, and its response is not recorded.
    pub fn max_request_body_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_request_body_bytes = bytes;
        self
    }

    /// Records responses with bodies of at most `bytes` bytes; 16 MiB by default. Responses with
    /// longer bodies pass through and are not recorded.
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_body_bytes = bytes;
        self
    }

    /// Selects the secrets to redact in recorded misses. Applies to all clones and handles of this
    /// layer. For the look-up, see [`Matching::redact`](crate::Matching::redact).
    pub fn redact(self, redact: Redact) -> Self {
        self.shared
            .recorder
            .set(|settings| settings.redact = redact);
        self
    }

    /// Calls `hook` with every error of the store, on look-up and on recording; the first error of
    /// a look-up and the first error of recording are logged too. Applies to all clones and handles
    /// of this layer. A thread for recording that cannot start is an error of the store too; see
    /// [`RecordTraffic::on_error`](crate::RecordTraffic::on_error).
    pub fn on_error(self, hook: impl Fn(&StoreError) + Send + Sync + 'static) -> Self {
        let hook = Arc::new(hook);
        *lock(&self.shared.on_error) = Some(hook.clone());
        self.shared
            .recorder
            .set(|settings| settings.on_error = Some(hook));
        self
    }

    /// Returns a handle to the recorder of misses.
    #[must_use]
    pub fn recorder(&self) -> Recorder {
        self.shared.recorder.clone()
    }

    pub(in crate::replay) fn answers(&self) -> Answers {
        Answers::new(self.shared.clone(), self.settings)
    }
}

impl<S> Layer<S> for ReplayCache {
    type Service = ReplayCacheService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ReplayCacheService::new(inner, self.answers())
    }
}

impl fmt::Debug for ReplayCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayCache")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
