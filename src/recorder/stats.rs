use crate::util::bounded_queue::{Counts, DropReason};

/// The counters of a [`Recorder`](super::Recorder).
///
/// At all times `served = stored + dropped.total() + queued`. After a
/// [`flush`](super::Recorder::flush) without exchanges in flight, `queued` is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecorderStats {
    /// Exchanges that have ended, among those selected for recording.
    pub served: u64,
    /// Exchanges that the store has accepted.
    pub stored: u64,
    /// Exchanges that were dropped, by reason.
    pub dropped: DroppedCounts,
    /// Exchanges that have ended and are not yet stored or dropped.
    pub queued: u64,
}

/// The numbers of exchanges that were not stored, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct DroppedCounts {
    /// The recorder's buffer was full: the store is slower than the traffic.
    pub queue_full: u64,
    /// The store returned an error, or panicked; or the recorder could not start its thread, for
    /// lack of file descriptors or threads, and tries again later.
    pub store_failed: u64,
    /// The store exceeded its timeout.
    pub store_timed_out: u64,
    /// The recorder was shut down before the store accepted the exchanges.
    pub shut_down: u64,
    /// A function of [`Redact`](crate::Redact) panicked, so that secrets could have remained.
    pub redaction_failed: u64,
}

impl DroppedCounts {
    /// Returns the sum of all reasons.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.queue_full
            + self.store_failed
            + self.store_timed_out
            + self.shut_down
            + self.redaction_failed
    }
}

impl From<Counts> for RecorderStats {
    fn from(counts: Counts) -> Self {
        Self {
            served: counts.served,
            stored: counts.done,
            dropped: DroppedCounts {
                queue_full: counts.dropped(DropReason::QueueFull),
                store_failed: counts.dropped(DropReason::Failed),
                store_timed_out: counts.dropped(DropReason::TimedOut),
                shut_down: counts.dropped(DropReason::ShutDown),
                redaction_failed: counts.dropped(DropReason::RedactionFailed),
            },
            queued: counts.queued,
        }
    }
}
