//! `RecordTraffic`: hands every exchange to a store.

mod service;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::request::Parts;
use tower::Layer;

pub use self::service::{RecordTrafficFuture, RecordTrafficService};
use crate::{
    recorder::{Config, Recorder},
    redact::Redact,
    store::{Disk, Memory, Sink, StoreError},
    util::{panic::Filter, time::FOREVER},
};

/// A layer that hands every exchange to a store, off the request path.
///
/// Requests and responses pass unchanged and undelayed, frame by frame; what is kept are cheap
/// clones of the frames. When an exchange has ended, and however it did, it goes into a queue that
/// is bounded in bytes, and a thread of the recorder's own hands it to the store. A store that
/// fails, hangs or is slow costs recordings, which are counted, but never a request.
///
/// ```
/// use axum::{Router, routing::get};
/// use tower_traffic::RecordTraffic;
///
/// let app: Router = Router::new()
///     .route("/", get(|| async { "hello" }))
///     .layer(RecordTraffic::disk("./t"));
/// ```
///
/// With everything that can be set, at its default:
///
/// ```
/// use std::time::Duration;
/// use tower_traffic::{Redact, RecordTraffic, WhenFull};
///
/// let record = RecordTraffic::disk("./t")
///     .capture_limit(16 << 20)                    // bytes kept of each body
///     .queue_budget(64 << 20)                     // bytes held in all, in flight and queued
///     .when_full(WhenFull::Drop)
///     .store_timeout(Duration::from_secs(30))
///     .drain_deadline(Duration::from_secs(5))
///     .redact(Redact::default())
///     .filter(|_request| true)
///     .on_error(|_error| {});
/// let recorder = record.recorder();               // to flush and to read the counters
/// ```
///
/// Building the layer does no I/O and needs no runtime. Clones of the layer share one recorder, and
/// so do all services made by them.
///
/// # Where the recorder ends
///
/// When the layer, its services, the handles and the exchanges in flight are all gone, the last
/// drop waits until the queue is stored and the store has flushed, at most for
/// [`drain_deadline`](Self::drain_deadline), also when the runtime is gone already. `std::process::exit` drops nothing: before it, call
/// [`Recorder::flush`].
#[derive(Clone)]
pub struct RecordTraffic {
    config: Config,
    filter: Option<Filter>,
    when_full: WhenFull,
    // Made when the layer is first used, so that the settings before it can still change.
    recorder: Arc<OnceLock<Recorder>>,
}

/// What happens to a request while the recorder holds as many bytes as it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// It is served and not recorded; the recorder counts that.
    #[default]
    Drop,
    /// It waits while more than half of the budget is used, but no longer than this, and is served;
    /// the other half is for the exchanges under way, and what does not fit there is dropped as with
    /// `Drop`. The service says that it is not ready, so the wait needs a caller who asks
    /// (`poll_ready`), and tokio.
    Wait {
        /// The longest wait for one request.
        at_most: Duration,
    },
}

impl RecordTraffic {
    /// Records into a folder, as WARC: see [`Disk`]. It is created with the first exchange.
    pub fn disk(folder: impl Into<PathBuf>) -> Self {
        Self::to(Disk::new(folder))
    }

    /// Records into a bucket, as compressed segments that are uploaded in the background: see
    /// [`S3`](crate::store::S3), which has settings.
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use tower_traffic::RecordTraffic;
    ///
    /// let app: Router = Router::new()
    ///     .route("/", get(|| async { "hello" }))
    ///     .layer(RecordTraffic::s3("s3://traffic/checkout"));
    /// ```
    #[cfg(feature = "s3")]
    pub fn s3(bucket: impl Into<crate::store::Bucket>) -> Self {
        Self::to(crate::store::S3::new(bucket))
    }

    /// Records into memory, to be read through [`Recorder::memory`].
    pub fn memory() -> Self {
        let memory = Memory::new();
        let mut record = Self::to(memory.clone());
        record.config.memory = Some(memory);
        record
    }

    /// Records into a store.
    pub fn to(sink: impl Sink) -> Self {
        Self {
            config: Config::new(Arc::new(sink)),
            filter: None,
            when_full: WhenFull::default(),
            recorder: Arc::default(),
        }
    }

    /// Keeps at most so many bytes of each body; 16 MiB by default. A longer one passes whole, its
    /// beginning is recorded, and the recording says so ([`BodyEnd::Limit`](crate::BodyEnd::Limit)).
    pub fn capture_limit(self, bytes: usize) -> Self {
        self.set(|config| config.capture_limit = bytes)
    }

    /// Holds at most so many bytes in all, in flight and on their way to the store; 64 MiB by
    /// default. What happens when they are full is said by [`when_full`](Self::when_full).
    pub fn queue_budget(self, bytes: usize) -> Self {
        self.set(|config| config.queue_budget = bytes)
    }

    /// What happens when the budget is used up: by default the exchange is dropped and counted.
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }

    /// How long the store may take for a batch, before that is counted as dropped; 30 s by default.
    pub fn store_timeout(self, timeout: Duration) -> Self {
        self.set(|config| config.store_timeout = timeout)
    }

    /// How long the last drop waits for the store; 5 s by default.
    pub fn drain_deadline(self, deadline: Duration) -> Self {
        self.set(|config| config.drain_deadline = deadline.min(FOREVER))
    }

    /// Which secrets are replaced before anything is stored; [`Redact::default`] if not said.
    pub fn redact(self, redact: Redact) -> Self {
        self.set(|config| config.redact = redact)
    }

    /// Records only requests for which this is true. Others pass as if the layer were not there,
    /// and are not counted.
    ///
    /// It runs on the request path. If it panics, that counts as `false`, and is told once through
    /// `tracing`.
    pub fn filter(mut self, filter: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.filter = Some(Filter::new(filter));
        self
    }

    /// Called with every error of the store, on the recorder's thread. The first is told through
    /// `tracing` too.
    pub fn on_error(self, hook: impl Fn(&StoreError) + Send + Sync + 'static) -> Self {
        self.set(|config| config.on_error = Some(Arc::new(hook)))
    }

    /// A handle to this layer's recorder. Ask for it when everything is set: a layer that is
    /// changed afterwards has a recorder of its own.
    pub fn recorder(&self) -> Recorder {
        self.recorder
            .get_or_init(|| Recorder::new(self.config.clone()))
            .clone()
    }

    fn set(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        self.recorder = Arc::default();
        self
    }
}

impl<S> Layer<S> for RecordTraffic {
    type Service = RecordTrafficService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RecordTrafficService::new(inner, self.recorder(), self.filter.clone(), self.when_full)
    }
}

impl fmt::Debug for RecordTraffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordTraffic")
            .field("recorder", &self.recorder.get())
            .field("when_full", &self.when_full)
            .finish_non_exhaustive()
    }
}
