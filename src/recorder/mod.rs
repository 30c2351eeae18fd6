//! From a message in passing to a store: capture, queue, writer, and the count of what became of
//! each exchange. What records (`RecordTraffic`, a `ReplayCache` that records on a miss) does it
//! through here.

mod capture;
mod flight;
mod queue;
mod stats;
mod writer;

use std::{
    fmt,
    sync::{
        Arc, Mutex, OnceLock,
        mpsc::{self, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

pub(crate) use self::flight::Flight;
use self::queue::Queue;
pub use self::{
    capture::Capture,
    stats::{Dropped, Stats},
};
use crate::{
    redact::Redact,
    store::{Memory, OnError, Sink},
    util::sync::get_mut,
};

const GRACE: Duration = Duration::from_millis(200);

/// What a recorder does, and how much of it.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) sink: Arc<dyn Sink>,
    /// The sink, if it is the memory that the layer made itself.
    pub(crate) memory: Option<Memory>,
    /// Bytes kept of a body.
    pub(crate) capture_limit: usize,
    /// Bytes held at once, in flight and queued.
    pub(crate) queue_budget: usize,
    /// Takes only exchanges that a replay could answer with; others are not counted either.
    pub(crate) only_whole: bool,
    pub(crate) store_timeout: Duration,
    pub(crate) drain_deadline: Duration,
    pub(crate) redact: Redact,
    pub(crate) on_error: Option<OnError>,
}

impl Config {
    pub(crate) fn new(sink: Arc<dyn Sink>) -> Self {
        Self {
            sink,
            memory: None,
            capture_limit: 16 << 20,
            queue_budget: 64 << 20,
            only_whole: false,
            store_timeout: Duration::from_secs(30),
            drain_deadline: Duration::from_secs(5),
            redact: Redact::default(),
            on_error: None,
        }
    }
}

/// A handle to what records: [`flush`](Self::flush) it, read its [`stats`](Self::stats).
///
/// Clones, the layer, its services and the exchanges in flight share one recorder. When the last of
/// them is dropped, that drop waits until everything is stored and the store has flushed, or until
/// the deadline.
#[derive(Clone)]
pub struct Recorder {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    queue: Arc<Queue>,
    /// Started with the first exchange; the receiver hears when it has ended. `None` if the system
    /// has no thread for it.
    writer: OnceLock<Option<Mutex<mpsc::Receiver<()>>>>,
}

impl Recorder {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            inner: Arc::new(Inner {
                queue: Arc::new(Queue::new(config.queue_budget)),
                config,
                writer: OnceLock::new(),
            }),
        }
    }

    /// Returns when every exchange that had ended before is stored or dropped, and the store was
    /// told to flush; gives the counters as they are then.
    ///
    /// It does not wait for exchanges in flight, nor longer for the store than a recorder does.
    pub async fn flush(&self) -> Stats {
        if self.has_writer() {
            self.inner.queue.flush().await;
        }
        self.stats()
    }

    /// What became of the exchanges so far.
    pub fn stats(&self) -> Stats {
        self.inner.queue.stats()
    }

    /// The store behind [`RecordTraffic::memory`](crate::RecordTraffic::memory).
    pub fn memory(&self) -> Option<&Memory> {
        self.inner.config.memory.as_ref()
    }

    /// Whether who can wait for room should.
    pub(crate) fn is_crowded(&self) -> bool {
        self.inner.queue.is_crowded()
    }

    /// Returns when it no longer does.
    pub(crate) async fn room(&self) {
        self.inner.queue.room().await;
    }

    /// Whether there is a writer; starts it the first time.
    fn has_writer(&self) -> bool {
        let inner = &self.inner;
        inner
            .writer
            .get_or_init(|| {
                writer::start(inner.config.clone(), inner.queue.clone())
                    .inspect_err(|error| tracing::error!(%error, "nothing can be recorded"))
                    .ok()
                    .map(Mutex::new)
            })
            .is_some()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let Some(Some(mut ended)) = self.writer.take() else {
            return;
        };
        let deadline = self.config.drain_deadline;
        self.queue.close(Instant::now() + deadline);

        // A little longer: the writer keeps the deadline too, and then still has to say so.
        if let Err(RecvTimeoutError::Timeout) = get_mut(&mut ended).recv_timeout(deadline + GRACE) {
            let left = self.queue.stats().queued;
            tracing::warn!(left, "a store hangs: the last exchanges are not recorded");
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
