//! `ReplayCache`: the layer and its settings.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use http::StatusCode;
use tower::Layer;

use super::service::{ReplayCacheService, Shared};
use crate::{
    recorder::Recorder,
    redact::Redact,
    store::{DiskCache, Memory, OnError, Sink, Source, StoreError},
};

/// A layer that answers from a recording, and calls the service inside only on a miss.
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
/// In a test that must not touch the network, refuse instead:
///
/// ```
/// use tower_traffic::{OnMiss, ReplayCache};
///
/// let replay = ReplayCache::disk("tests/fixtures").on_miss(OnMiss::Refuse);
/// ```
///
/// - **What matches** is said by the recording ([`Source::matching`]): method, URI and body by
///   default, with secrets replaced on both sides. To change it, give the store:
///   `ReplayCache::cache(DiskCache::new("./t").match_by(..))`.
/// - **What answers** is a whole recording, never one that was cut short.
/// - **The service inside** is not asked whether it is ready until it is needed: hits are answered
///   while it is down or busy. It is cloned for each miss.
/// - **A request's body** is read before the look-up, up to [`body_limit`](Self::body_limit). A longer
///   one, or one that breaks off, cannot be matched: it is passed through whole, as it came.
/// - **A recording that cannot be read** answers like one that has nothing: see
///   [`on_error`](Self::on_error).
///
/// It knows nothing of HTTP caching: no expiry, no `Cache-Control`, no validation.
#[derive(Clone)]
pub struct ReplayCache {
    config: Config,
    // Made when the layer is first used, so that the settings before it can still change.
    shared: Arc<OnceLock<Arc<Shared>>>,
}

/// What happens when nothing recorded answers a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnMiss {
    /// The service inside answers, and nothing is recorded (http4k: `ServeCachedFrom`).
    #[default]
    PassThrough,
    /// The service inside answers once, and the recording from then on. Requests for the same that
    /// come meanwhile wait for that one answer, but for 10 s at most, and not if it is an event
    /// stream or over the capture limit: then the service inside answers them too.
    Record,
    /// As `Record` if the recording was empty when the layer was first used, else as `Refuse`
    /// (VCR: `once`).
    Once,
    /// It is refused: with 503, or what [`refuse_with`](ReplayCache::refuse_with) says.
    Refuse,
}

/// Which recording answers when the same request was recorded several times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Order {
    /// The last.
    #[default]
    Latest,
    /// The first to the first such request, the second to the second, and so on; when there are no
    /// more, the last again.
    Recorded,
}

#[derive(Clone)]
pub(super) struct Config {
    pub(super) source: Arc<dyn Source>,
    pub(super) on_miss: OnMiss,
    pub(super) order: Order,
    pub(super) refuse_with: StatusCode,
    pub(super) body_limit: usize,
    /// Where misses are recorded.
    pub(super) sink: Option<Arc<dyn Sink>>,
    pub(super) redact: Redact,
    pub(super) capture_limit: usize,
    pub(super) on_error: Option<OnError>,
}

impl ReplayCache {
    /// Answers from a folder of any layout; misses can be recorded into it ([`OnMiss::Record`]), as
    /// entries that a person can read, edit and compare ([`DiskCache`]).
    pub fn disk(folder: impl Into<PathBuf>) -> Self {
        Self::cache(DiskCache::new(folder))
    }

    /// Answers from a cache in S3; misses can be recorded into it. The place is `"bucket"`,
    /// `"bucket/prefix"` or `"s3://bucket/prefix"`, or a [`Bucket`](crate::store::Bucket).
    ///
    /// It finds what such a layer recorded: see [`S3Cache`](crate::store::S3Cache) for how, what it
    /// costs and how long it may take.
    #[cfg(feature = "s3")]
    pub fn s3(bucket: impl Into<crate::store::Bucket>) -> Self {
        Self::cache(crate::store::S3Cache::new(bucket))
    }

    /// Answers from memory; misses can be recorded into it.
    pub fn memory(memory: Memory) -> Self {
        Self::cache(memory)
    }

    /// Answers from a store; misses can be recorded into it.
    pub fn cache(store: impl Source + Sink) -> Self {
        let store = Arc::new(store);
        Self::from(store.clone()).record_to(store)
    }

    /// Answers from a store. To record misses, say where: [`record_to`](Self::record_to).
    pub fn from(source: impl Source) -> Self {
        Self {
            config: Config {
                source: Arc::new(source),
                on_miss: OnMiss::default(),
                order: Order::default(),
                refuse_with: StatusCode::SERVICE_UNAVAILABLE,
                body_limit: 16 << 20,
                sink: None,
                redact: Redact::default(),
                capture_limit: 16 << 20,
                on_error: None,
            },
            shared: Arc::default(),
        }
    }

    /// What happens when nothing recorded answers: by default the service inside does.
    pub fn on_miss(self, on_miss: OnMiss) -> Self {
        self.set(|config| config.on_miss = on_miss)
    }

    /// Where [`OnMiss::Record`] and [`OnMiss::Once`] record. Only a store made by
    /// [`from`](Self::from) needs it; without it nothing can be recorded, misses are passed through,
    /// and that is told once through `tracing`.
    pub fn record_to(self, sink: impl Sink) -> Self {
        self.set(|config| config.sink = Some(Arc::new(sink)))
    }

    /// Which recording answers when there are several: by default the last.
    pub fn order(self, order: Order) -> Self {
        self.set(|config| config.order = order)
    }

    /// The status of a refusal; 503 by default.
    pub fn refuse_with(self, status: StatusCode) -> Self {
        self.set(|config| config.refuse_with = status)
    }

    /// Reads at most so many bytes of a request's body to find its recording; 16 MiB by default.
    pub fn body_limit(self, bytes: usize) -> Self {
        self.set(|config| config.body_limit = bytes)
    }

    /// Records responses with at most so many bytes of body; 16 MiB by default.
    pub fn capture_limit(self, bytes: usize) -> Self {
        self.set(|config| config.capture_limit = bytes)
    }

    /// Which secrets are replaced in what is recorded on a miss. What is replaced before the look-up
    /// is said by [`Matching::redact`](crate::Matching::redact).
    pub fn redact(self, redact: Redact) -> Self {
        self.set(|config| config.redact = redact)
    }

    /// Called with every error of the recording, on reading it and on recording into it. The first
    /// is told through `tracing` too.
    pub fn on_error(self, hook: impl Fn(&StoreError) + Send + Sync + 'static) -> Self {
        self.set(|config| config.on_error = Some(Arc::new(hook)))
    }

    /// A handle to what records misses; `None` if nothing does. Ask for it when everything is set.
    pub fn recorder(&self) -> Option<Recorder> {
        self.shared().recorder.clone()
    }

    pub(in crate::replay) fn shared(&self) -> Arc<Shared> {
        self.shared
            .get_or_init(|| Arc::new(Shared::new(self.config.clone())))
            .clone()
    }

    fn set(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self.shared = Arc::default();
        self
    }
}

impl<S> Layer<S> for ReplayCache {
    type Service = ReplayCacheService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ReplayCacheService {
            inner,
            shared: self.shared(),
        }
    }
}

impl fmt::Debug for ReplayCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayCache")
            .field("on_miss", &self.config.on_miss)
            .field("order", &self.config.order)
            .finish_non_exhaustive()
    }
}
