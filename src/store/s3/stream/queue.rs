//! The queue of sealed segments, and their counts.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};

use super::{name::SegmentName, owner::Owner, stats::S3Stats};
use crate::{store::s3::backoff::Backoff, util::sync::lock};

/// The first pause after a transient failure.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_mins(1);

/// A sealed segment.
#[derive(Clone, Debug)]
pub(super) struct Sealed {
    pub(super) name: SegmentName,
    /// The size of the file in bytes.
    pub(super) size: u64,
    /// Whether the tail may be torn.
    pub(super) needs_repair: bool,
    /// The pauses between attempts to compress, and then to upload.
    pub(super) backoff: Backoff,
    /// Whether an earlier attempt to upload may have succeeded.
    pub(super) was_tried: bool,
    /// The number of times that the bucket refused this segment.
    pub(super) refusals: u32,
    /// Whether the cause of the refusal is the segment itself, so that a retry in this run is
    /// useless.
    pub(super) is_hopeless: bool,
    /// The lock on the files of the segment's writer.
    pub(super) _owner: Arc<Owner>,
}

impl Sealed {
    /// Creates a segment that no attempt was made to upload yet.
    pub(super) fn new(name: SegmentName, size: u64, owner: Arc<Owner>) -> Self {
        Self {
            name,
            size,
            needs_repair: false,
            backoff: Backoff::new(FIRST_PAUSE, MAX_PAUSE),
            was_tried: false,
            refusals: 0,
            is_hopeless: false,
            _owner: owner,
        }
    }
}

/// A segment that waits to be compressed or uploaded again after a failed attempt.
#[derive(Debug)]
struct Later {
    at: Instant,
    sealed: Sealed,
    is_packed: bool,
}

/// The state that is shared by the writer, the compression and the uploads.
#[derive(Debug, Default)]
pub(super) struct SegmentQueue {
    state: Mutex<QueueState>,
    changed: Notify,
}

#[derive(Debug, Default)]
pub(super) struct QueueState {
    /// The time at which the open segment reaches its maximum age.
    pub(super) open_until: Option<Instant>,
    pub(super) to_pack: VecDeque<Sealed>,
    pub(super) to_send: VecDeque<Sealed>,
    later: Vec<Later>,
    /// Segments that are sealed, and neither uploaded nor in quarantine.
    pub(super) pending: BTreeSet<SegmentName>,
    pub(super) in_quarantine: Vec<Sealed>,
    pub(super) refusal: Option<Refusal>,
    /// The number of refusals by the bucket.
    pub(super) refusals: u64,
    /// The counts, except for the quarantine, which [`stats`](Self::stats) counts.
    pub(super) stats: S3Stats,
    /// The number of flushes that have begun.
    flushes: u64,
    /// The number of flushes that are waiting now.
    waiting_flushes: usize,
    is_closed: bool,
    /// Whether the uploads have ended.
    pub(super) has_ended: bool,
}

/// The current refusal of the bucket.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) reason: String,
    pub(super) try_again: Instant,
}

impl SegmentQueue {
    /// Calls `look` with the state, and wakes no waiters.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut QueueState) -> T) -> T {
        look(&mut lock(&self.state))
    }

    /// Calls `change` with the state, and wakes all waiters.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut QueueState) -> T) -> T {
        let changed = self.with(change);
        self.changed.notify_waiters();
        changed
    }

    /// Waits until `ask` returns a value for the current state.
    pub(super) async fn until<T>(&self, mut ask: impl FnMut(&mut QueueState) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            // Registered before the check, so that no change is missed.
            if let Some(answer) = self.with(&mut ask) {
                return answer;
            }
            changed.await;
        }
    }

    /// Returns the number of flushes so far, to be passed to [`pause`](Self::pause).
    pub(super) fn flushes(&self) -> u64 {
        self.with(|state| state.flushes)
    }

    /// Waits for `time`, or until a flush begins that is not counted in `flushes`.
    pub(super) async fn pause(&self, time: Duration, flushes: u64) {
        tokio::select! {
            () = sleep(time) => {}
            () = self.until(|state| (state.flushes != flushes).then_some(())) => {}
        }
    }

    /// Begins a flush: ends all pauses, and makes the queue urgent until the guard is dropped.
    pub(super) fn begin_flush(&self) -> FlushGuard<'_> {
        self.change(|state| {
            state.flushes += 1;
            state.waiting_flushes += 1;
            let now = Instant::now();
            state.later.iter_mut().for_each(|later| later.at = now);
            if let Some(refusal) = &mut state.refusal {
                refusal.try_again = now;
            }
        });
        FlushGuard(self)
    }

    /// Schedules a retry of a segment at the end of its pause.
    pub(super) fn put_back(&self, mut sealed: Sealed, is_packed: bool, flushes: u64) {
        let mut at = Instant::now() + sealed.backoff.next();
        self.change(|state| {
            if state.flushes != flushes {
                at = Instant::now();
            }
            state.later.push(Later {
                at,
                sealed,
                is_packed,
            });
        });
    }

    /// Returns segments to the queue when their pause is over.
    pub(super) async fn give_back(&self) {
        let next = |state: &mut QueueState| state.later.iter().map(|later| later.at).min();
        loop {
            let time = self.until(next).await;
            tokio::select! {
                () = sleep_until(time) => self.change(|state| state.give_back(time)),
                // An earlier retry was scheduled, or a flush began.
                () = self.until(|state| (next(state) != Some(time)).then_some(())) => {}
            }
        }
    }

    /// Marks the uploads as ended.
    pub(super) fn close(&self) {
        self.change(|state| state.is_closed = true);
    }

    pub(super) async fn closed(&self) {
        self.until(|state| state.is_closed.then_some(())).await;
    }
}

/// The guard of a flush that is waiting.
pub(super) struct FlushGuard<'a>(&'a SegmentQueue);

impl Drop for FlushGuard<'_> {
    fn drop(&mut self) {
        self.0.with(|state| state.waiting_flushes -= 1);
    }
}

impl QueueState {
    /// Queues a sealed segment, unless it is queued already.
    pub(super) fn push(&mut self, sealed: Sealed, is_packed: bool) {
        if self.pending.insert(sealed.name.clone()) {
            self.line(is_packed).push_back(sealed);
        }
    }

    fn give_back(&mut self, time: Instant) {
        let due: Vec<_> = self
            .later
            .extract_if(.., |later| later.at <= time)
            .collect();
        for later in due {
            self.line(later.is_packed).push_back(later.sealed);
        }
    }

    /// Returns the queue for the next step of a segment: upload if `is_packed`, else compression.
    fn line(&mut self, is_packed: bool) -> &mut VecDeque<Sealed> {
        if is_packed {
            &mut self.to_send
        } else {
            &mut self.to_pack
        }
    }

    /// Whether a flush is waiting.
    pub(super) fn is_flushing(&self) -> bool {
        self.waiting_flushes > 0
    }

    /// Returns the counts, including the segments in quarantine.
    pub(super) fn stats(&self) -> S3Stats {
        S3Stats {
            quarantined: self.in_quarantine.len() as u64,
            ..self.stats
        }
    }

    pub(super) fn settle(&mut self, name: &SegmentName) {
        self.pending.remove(name);
    }

    /// Removes a segment whose file is missing.
    pub(super) fn lose(&mut self, sealed: &Sealed) {
        self.stats.spooled -= 1;
        self.stats.spooled_bytes -= sealed.size;
        self.settle(&sealed.name);
    }

    /// Moves a segment into quarantine.
    pub(super) fn quarantine(&mut self, sealed: Sealed) {
        self.settle(&sealed.name);
        self.in_quarantine.push(sealed);
    }

    /// Takes the selected segments out of quarantine. They are pending from then on, so that
    /// recovery ignores their files.
    pub(super) fn release(&mut self, select: impl FnMut(&mut Sealed) -> bool) -> Vec<Sealed> {
        let released: Vec<_> = self.in_quarantine.extract_if(.., select).collect();
        let names = released.iter().map(|sealed| sealed.name.clone());
        self.pending.extend(names);
        released
    }
}
