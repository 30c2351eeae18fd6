//! The queue between the request path and the writer.

use std::{sync::Arc, time::Duration};

use super::in_flight::Log;
use crate::util::bounded_queue::{Counts, DropReason, GatherTime, Job, Queue};

pub(super) type RecordQueue = Queue<Recording>;

/// Runs a function when it is dropped: that is when an exchange has been stored, or has been given
/// up.
pub(crate) struct OnSettled(Option<Box<dyn FnOnce() + Send>>);

impl OnSettled {
    pub(crate) fn new(run: impl FnOnce() + Send + 'static) -> Self {
        Self(Some(Box::new(run)))
    }
}

impl Drop for OnSettled {
    fn drop(&mut self) {
        if let Some(run) = self.0.take() {
            run();
        }
    }
}

/// A finished exchange on its way to the store.
pub(super) struct Recording {
    pub(super) log: Arc<Log>,
    pub(super) reserved: usize,
    pub(super) settled: Option<OnSettled>,
}

impl Job for Recording {
    const THREAD: &'static str = "tower-traffic-writer";
    const GATHER_TIME: GatherTime = GatherTime::AfterFirst(Duration::from_millis(20));
    const CANNOT_START: &'static str =
        "cannot start the recorder's thread: nothing is recorded until a later attempt succeeds";
    const HANGS: &'static str = "the store hangs: the last exchanges are not recorded";

    fn reserved_bytes(&self) -> usize {
        self.reserved
    }

    fn is_awaited(&self) -> bool {
        self.settled.is_some()
    }

    fn log_first_drop(reason: DropReason, _: &Counts) {
        let why = match reason {
            DropReason::QueueFull => {
                "the store is slower than the traffic: raise `max_buffered_bytes`, record less, or \
                 let requests wait with `WhenFull::Wait`"
            }
            DropReason::Failed | DropReason::TimedOut => "the store failed",
            DropReason::RedactionFailed => "a function that redacts panicked",
            DropReason::ShutDown => "the recorder is shut down",
        };
        tracing::warn!(why, "exchanges are not recorded; requests are not affected");
    }
}
