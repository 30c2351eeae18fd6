//! The recorder: takes exchanges from the request path to a store.
//!
//! An [`InFlight`] exchange captures both messages as they pass, enters the queue when it ends, and
//! is stored by the writer on a thread of its own. `RecordTraffic`, and a `ReplayCache` that
//! records its misses, use it.

mod captured_body;
mod in_flight;
mod recording;
mod stats;
mod writer;

use std::{
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
    time::Duration,
};

pub use self::stats::{DroppedCounts, RecorderStats};
use self::{
    in_flight::Log,
    recording::{RecordQueue, Recording},
    writer::Writer,
};
pub(crate) use self::{
    in_flight::{Capture, InFlight},
    recording::OnSettled,
};
use crate::{
    redact::Redact,
    store::{OnError, Sink, StoreError},
    util::{bounded_queue::Worker, pool::Pool, sync::lock},
};

/// The default maximum of recorded bytes per body.
pub(crate) const DEFAULT_MAX_BODY_BYTES: usize = 16 << 20;

/// The default maximum of bytes in flight and queued.
const DEFAULT_MAX_BUFFERED_BYTES: usize = 64 << 20;

/// The number of logs kept to be filled again, of 1 to 5 KiB each: as many as gather at 200,000
/// requests a second.
const MAX_SPARE_LOGS: usize = 4096;

/// A handle to a recorder: [flushes](Self::flush) it and reads its [counters](Self::stats).
///
/// Clones of the handle, the layer, its services and the exchanges in flight share one recorder.
/// The drop of the last of these values waits until everything is stored and the store is flushed,
/// or until the drain timeout.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
}

struct Shared {
    // The writer shares these two, but not the worker: its drop waits for the writer.
    settings: Arc<Mutex<Arc<Settings>>>,
    spare_logs: Arc<Pool<Arc<Log>>>,
    worker: Worker<Recording>,
}

/// The settings of the writer, which reads them for each batch.
#[derive(Clone)]
pub(crate) struct Settings {
    pub(crate) sink: Arc<dyn Sink>,
    pub(crate) store_timeout: Duration,
    pub(crate) redact: Redact,
    pub(crate) on_error: Option<OnError>,
}

impl Settings {
    /// Calls the hook for errors. A panic of the hook must fail neither the writer nor a request.
    fn report(&self, error: &StoreError) {
        if let Some(on_error) = &self.on_error {
            let _ = catch_unwind(AssertUnwindSafe(|| on_error(error)));
        }
    }
}

/// The error of a writer that cannot start.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the recorder's thread: {0}")]
struct StartError(#[source] io::Error);

impl Recorder {
    /// Creates a recorder, without I/O: the first exchange starts the writer's thread.
    pub(crate) fn new(sink: Arc<dyn Sink>) -> Self {
        Self {
            shared: Arc::new(Shared {
                settings: Arc::new(Mutex::new(Arc::new(Settings {
                    sink,
                    store_timeout: Duration::from_secs(30),
                    redact: Redact::default(),
                    on_error: None,
                }))),
                spare_logs: Arc::new(Pool::new(MAX_SPARE_LOGS)),
                worker: Worker::new(DEFAULT_MAX_BUFFERED_BYTES),
            }),
        }
    }

    /// Waits until every exchange that has ended is stored or dropped and the store is flushed, and
    /// returns the counts at that time.
    ///
    /// Exchanges in flight are not waited for. The wait for the store is limited by the recorder's
    /// timeouts.
    pub async fn flush(&self) -> RecorderStats {
        self.start_writer();
        self.queue().flush().await;
        self.stats()
    }

    /// Returns the counts of exchanges so far.
    #[must_use]
    pub fn stats(&self) -> RecorderStats {
        self.queue().counts().into()
    }

    /// Changes the settings of the writer for all handles.
    pub(crate) fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(Arc::make_mut(&mut lock(&self.shared.settings)));
    }

    pub(crate) fn set_max_buffered_bytes(&self, bytes: usize) {
        self.queue().set_max_bytes(bytes);
    }

    pub(crate) fn set_drain_timeout(&self, timeout: Duration) {
        self.queue().set_drain_timeout(timeout);
    }

    /// Whether the buffer is so full that requests that may wait should wait for
    /// [room](Self::room).
    pub(crate) fn is_crowded(&self) -> bool {
        self.queue().is_crowded()
    }

    /// Waits until the buffer has room for new requests.
    pub(crate) async fn room(&self) {
        self.queue().room().await;
    }

    fn queue(&self) -> &RecordQueue {
        self.shared.worker.queue()
    }

    /// Starts the writer's thread, if it has not started yet. A failure is reported like an error
    /// of the store.
    fn start_writer(&self) {
        let shared = &self.shared;
        let started = shared.worker.start(|| {
            let settings = shared.settings.clone();
            let spare_logs = shared.spare_logs.clone();
            move |jobs| Writer::new(settings, spare_logs, jobs).run()
        });
        if let Err(error) = started {
            let settings = lock(&shared.settings).clone();
            settings.report(&StoreError::other(StartError(error)));
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}
