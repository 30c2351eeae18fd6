/// What became of the exchanges that a recorder saw.
///
/// At every moment `served = stored + dropped.total() + queued`; after a
/// [`flush`](super::Recorder::flush) with nothing in flight, `queued` is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Exchanges that have ended, of those that were to be recorded.
    pub served: u64,
    /// Exchanges that the store has taken.
    pub stored: u64,
    /// Exchanges that were given up, by reason.
    pub dropped: Dropped,
    /// Exchanges on their way to the store.
    pub queued: u64,
}

/// Why exchanges were not stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// The recorder held as many bytes as it may: the store is slower than the traffic.
    pub queue_full: u64,
    /// The store returned an error, or panicked.
    pub store_failed: u64,
    /// The store did not answer in time.
    pub store_timed_out: u64,
    /// The recorder was shut down before the store had taken them, or has no thread to write on.
    pub shut_down: u64,
    /// A function given to [`Redact`](crate::Redact) panicked: there may still be secrets in them.
    pub redaction_failed: u64,
}

impl Dropped {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.queue_full
            + self.store_failed
            + self.store_timed_out
            + self.shut_down
            + self.redaction_failed
    }
}

/// Why an exchange is dropped.
#[derive(Clone, Copy, Debug)]
pub(super) enum Reason {
    QueueFull,
    StoreFailed,
    StoreTimedOut,
    ShutDown,
    RedactionFailed,
}

impl Stats {
    /// Counts drops; true if they are the first for this reason.
    pub(super) fn drop(&mut self, reason: Reason, count: u64) -> bool {
        let counter = match reason {
            Reason::QueueFull => &mut self.dropped.queue_full,
            Reason::StoreFailed => &mut self.dropped.store_failed,
            Reason::StoreTimedOut => &mut self.dropped.store_timed_out,
            Reason::ShutDown => &mut self.dropped.shut_down,
            Reason::RedactionFailed => &mut self.dropped.redaction_failed,
        };
        let is_first = *counter == 0;
        *counter += count;
        is_first && count > 0
    }
}

impl Reason {
    /// Says why exchanges do not even get into the queue; how often is told by the counters.
    pub(super) fn tell(self) {
        let why = match self {
            Self::QueueFull => {
                "the store is slower than the traffic: raise the queue's budget, record less, or \
                 let requests wait"
            }
            Self::StoreFailed | Self::StoreTimedOut => "the store failed",
            Self::RedactionFailed => "a function that redacts panicked",
            Self::ShutDown => "the recorder was shut down first, or has no thread to write on",
        };
        tracing::warn!(why, "exchanges are not recorded; requests are not affected");
    }
}
