use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use http::request::Parts;
use tower::Layer;

use super::RecordTrafficService;
use crate::{
    recorder::{DEFAULT_MAX_BODY_BYTES, Recorder},
    redact::Redact,
    store::{Disk, Memory, Sink, StoreError},
    util::filter::RequestFilter,
};

/// A layer that records every exchange into a store, off the request path.
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
/// Requests and responses pass unchanged and undelayed, frame by frame; the layer keeps cheap
/// clones of the frames. A finished exchange enters a queue that is bounded in bytes, and a thread
/// of the recorder hands it to the store. A store that fails, hangs or is slow costs recordings,
/// which are counted, but never a request.
///
/// # All settings
///
/// With every setting at its default:
///
/// ```
/// use std::time::Duration;
/// use tower_traffic::{RecordTraffic, Redact, WhenFull};
///
/// let record = RecordTraffic::disk("./t")
///     // of this layer and the services that it makes:
///     .max_body_bytes(16 << 20)                   // recorded of each body
///     .when_full(WhenFull::Drop)
///     .filter(|_request| true)
///     // of the recorder:
///     .max_buffered_bytes(64 << 20)               // in flight and queued
///     .store_timeout(Duration::from_secs(30))
///     .drain_timeout(Duration::from_secs(5))
///     .redact(Redact::default())
///     .on_error(|_error| {});
/// let recorder = record.recorder();               // to flush and to read the counters
/// ```
///
/// Building the layer does no I/O and needs no runtime. Clones of the layer and all their services
/// share one recorder. The settings of the recorder are shared: set at any time, they apply to all
/// clones, services and handles. All other settings are copied with the layer: a clone or service
/// made before keeps its own.
///
/// # Shutdown
///
/// When the layer, its services, its handles and the exchanges in flight are all dropped, the last
/// drop waits until the queue is stored and the store is flushed, for
/// [`drain_timeout`](Self::drain_timeout) at most. The wait also works after the app's runtime has
/// ended. `std::process::exit` runs no drops: call [`Recorder::flush`] before it.
#[derive(Clone)]
#[must_use = "layers do nothing unless applied"]
pub struct RecordTraffic {
    recorder: Recorder,
    settings: Settings,
}

/// The settings of one service.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) max_body_bytes: usize,
    pub(super) filter: Option<RequestFilter>,
    pub(super) when_full: WhenFull,
}

/// What happens to requests while the recorder's buffer is
/// [full](RecordTraffic::max_buffered_bytes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// Serves the request without recording it, and counts the exchange as dropped.
    #[default]
    Drop,
    /// Delays the request while more than half of the limit is in use, for `timeout` at most, and
    /// then serves it. The other half is for exchanges in flight; an exchange that exceeds the
    /// limit is dropped as with `Drop`. The service waits in `poll_ready`, which needs tokio's
    /// timer.
    Wait {
        /// The longest delay of one request.
        timeout: Duration,
    },
}

impl RecordTraffic {
    /// Records into `sink`.
    pub fn new(sink: impl Sink) -> Self {
        Self {
            recorder: Recorder::new(Arc::new(sink)),
            settings: Settings {
                max_body_bytes: DEFAULT_MAX_BODY_BYTES,
                filter: None,
                when_full: WhenFull::default(),
            },
        }
    }

    /// Records into a folder, as WARC files: see [`Disk`]. The first exchange creates the folder.
    pub fn disk(folder: impl Into<PathBuf>) -> Self {
        Self::new(Disk::new(folder))
    }

    /// Records into memory.
    ///
    /// ```
    /// use tower_traffic::{RecordTraffic, store::Memory};
    ///
    /// let memory = Memory::new();
    /// let record = RecordTraffic::memory(&memory);
    /// // .. serve requests, and `record.recorder().flush().await`
    /// assert!(memory.exchanges().is_empty());
    /// ```
    pub fn memory(memory: &Memory) -> Self {
        Self::new(memory.clone())
    }

    /// Records into a bucket, as compressed segments that are uploaded in the background: see
    /// [`S3`](crate::store::S3), which has more settings.
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
        Self::new(crate::store::S3::new(bucket))
    }

    /// Records at most `bytes` bytes of each body; 16 MiB by default. A longer body passes
    /// unchanged; its beginning is recorded and marked with
    /// [`BodyEnd::Limit`](crate::BodyEnd::Limit).
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.settings.max_body_bytes = bytes;
        self
    }

    /// Sets how requests are treated while the buffer is full; [`WhenFull::Drop`] by default.
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.settings.when_full = when_full;
        self
    }

    /// Records only the requests for which `predicate` is true. All other requests pass as if the
    /// layer were absent, and are not counted.
    ///
    /// The predicate runs on the request path. A panic in it counts as `false`, and is logged once
    /// through `tracing`.
    pub fn filter(mut self, predicate: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        self.settings.filter = Some(RequestFilter::new(predicate));
        self
    }

    /// Buffers at most `bytes` bytes of exchanges, in flight and queued; 64 MiB by default. A
    /// setting of the recorder. [`when_full`](Self::when_full) decides about requests that exceed
    /// the limit.
    pub fn max_buffered_bytes(self, bytes: usize) -> Self {
        self.recorder.set_max_buffered_bytes(bytes);
        self
    }

    /// Limits the time that the store may take for one batch; 30 s by default. A setting of the
    /// recorder. After this time, the exchanges of the batch count as dropped.
    pub fn store_timeout(self, timeout: Duration) -> Self {
        self.recorder
            .set(|settings| settings.store_timeout = timeout);
        self
    }

    /// Limits how long the drop of the last handle waits for the store; 5 s by default. A setting
    /// of the recorder.
    pub fn drain_timeout(self, timeout: Duration) -> Self {
        self.recorder.set_drain_timeout(timeout);
        self
    }

    /// Selects the secrets to redact before an exchange is stored; [`Redact::default`] by default.
    /// A setting of the recorder.
    pub fn redact(self, redact: Redact) -> Self {
        self.recorder.set(|settings| settings.redact = redact);
        self
    }

    /// Calls `hook` with every error of the store, on the recorder's thread. A setting of the
    /// recorder. The first error is logged through `tracing` too.
    ///
    /// If that thread cannot start, for lack of file descriptors or threads, the hook is called on
    /// the thread of a request. The recorder tries again after 0.1 s, later after up to 10 s.
    pub fn on_error(self, hook: impl Fn(&StoreError) + Send + Sync + 'static) -> Self {
        let hook = Arc::new(hook);
        self.recorder.set(|settings| settings.on_error = Some(hook));
        self
    }

    /// Returns a handle to the recorder.
    #[must_use]
    pub fn recorder(&self) -> Recorder {
        self.recorder.clone()
    }
}

impl<S> Layer<S> for RecordTraffic {
    type Service = RecordTrafficService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        RecordTrafficService::new(inner, self.recorder(), self.settings.clone())
    }
}

impl fmt::Debug for RecordTraffic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordTraffic")
            .field("recorder", &self.recorder)
            .field("when_full", &self.settings.when_full)
            .finish_non_exhaustive()
    }
}
