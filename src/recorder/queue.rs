//! What stands between the request path and the writer.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::{Notify, watch};

use super::{
    Stats,
    flight::{Log, Settled},
    stats::Reason,
};
use crate::util::sync::lock;

/// How long the writer lets exchanges gather before it takes them, if nobody waits for them. It is
/// woken once in that time and not once an exchange, which would cost the request path a system call
/// each, and takes a processor from the app so much less often.
const GATHER: Duration = Duration::from_millis(20);

/// How many logs are kept to be filled again: as many as gather at 200,000 requests a second. They
/// hold 1 to 5 KiB each.
const SPARE: usize = 4096;

/// A queue that is bounded in bytes.
pub(super) struct Queue {
    state: Mutex<State>,
    /// Wakes the writer.
    wake: Notify,
    /// Wakes whoever waits for the writer: to have flushed, or to have made room.
    progress: Notify,
    /// Bytes held: by bodies in flight, in the queue, and by the writer.
    held: AtomicUsize,
    budget: usize,
    /// Set once, when the queue is closed: until when the writer may go on.
    deadline: watch::Sender<Option<Instant>>,
}

#[derive(Default)]
struct State {
    items: Vec<Item>,
    /// Logs to be filled again.
    spare: Vec<Arc<Log>>,
    stats: Stats,
    /// The writer sleeps, and the next item has to wake it.
    is_idle: bool,
    /// The writer was told not to gather but to come at once.
    is_urgent: bool,
    is_closed: bool,
    flushes_asked: u64,
    flushes_done: u64,
}

/// An exchange on its way.
pub(super) struct Item {
    pub(super) log: Arc<Log>,
    /// Bytes that count as held until the store has decided.
    pub(super) held: usize,
    /// Dropped when the store has decided.
    pub(super) settled: Option<Settled>,
}

/// What the writer takes at once.
pub(super) struct Taken {
    pub(super) items: Vec<Item>,
    /// The flushes that wait for these items.
    pub(super) flush: Option<u64>,
}

impl Queue {
    pub(super) fn new(budget: usize) -> Self {
        Self {
            state: Mutex::default(),
            wake: Notify::new(),
            progress: Notify::new(),
            held: AtomicUsize::new(0),
            budget,
            deadline: watch::Sender::new(None),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics between two changes that belong together.
        lock(&self.state)
    }

    /// Asks for room; without it, nothing is held.
    pub(super) fn hold(&self, bytes: usize) -> bool {
        let before = self.held.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= self.budget;
        if !fits {
            self.held.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }

    pub(super) fn release(&self, bytes: usize) {
        if bytes > 0 {
            self.held.fetch_sub(bytes, Ordering::Relaxed);
            self.progress.notify_waiters();
        }
    }

    /// More than half of the budget is used. New requests should wait then, if they may: the other
    /// half is for those under way, and when nothing is left it is too late to wait.
    pub(super) fn is_crowded(&self) -> bool {
        self.held.load(Ordering::Relaxed) > self.budget / 2
    }

    /// Returns when there is room, or the queue is closed.
    pub(super) async fn room(&self) {
        self.wait(|queue, state| !queue.is_crowded() || state.is_closed)
            .await;
    }

    /// A log to be filled, if one is spare.
    pub(super) fn spare_log(&self) -> Option<Arc<Log>> {
        self.lock().spare.pop()
    }

    /// Gives logs back that were read.
    pub(super) fn give_back(&self, mut logs: Vec<Arc<Log>>) {
        logs.retain_mut(Log::is_spare);
        let mut state = self.lock();
        let room = SPARE.saturating_sub(state.spare.len());
        state.spare.extend(logs.drain(..room.min(logs.len())));
        // What is left is freed without the lock.
        drop(state);
    }

    /// Puts an item in for the writer, or drops it and counts that.
    pub(super) fn push(&self, item: Item) {
        let mut state = self.lock();
        if state.is_closed {
            drop(state);
            self.release(item.held);
            return self.drop_served(Reason::ShutDown);
        }
        let item_is_awaited = item.settled.is_some();
        state.stats.served += 1;
        state.stats.queued += 1;
        state.items.push(item);
        let is_late = item_is_awaited || self.is_crowded();
        let wake = mem::take(&mut state.is_idle) || (is_late && !state.is_urgent);
        state.is_urgent |= is_late;
        drop(state);
        if wake {
            self.wake.notify_one();
        }
    }

    /// Counts an exchange that does not even get into the queue.
    pub(super) fn drop_served(&self, reason: Reason) {
        let mut state = self.lock();
        state.stats.served += 1;
        let is_first = state.stats.drop(reason, 1);
        drop(state);
        if is_first {
            reason.tell();
        }
    }

    /// Whether there is something to do; if not, the next item wakes the writer. `None` when the
    /// queue is closed and empty.
    fn has_work(&self) -> Option<bool> {
        let mut state = self.lock();
        let has_work = !state.items.is_empty() || state.flushes_asked > state.flushes_done;
        state.is_idle = !has_work;
        (has_work || !state.is_closed).then_some(has_work)
    }

    /// Waits until there is something to do, lets exchanges gather, and takes them. `None` when the
    /// queue is closed and empty.
    pub(super) async fn take(&self) -> Option<Taken> {
        while !self.has_work()? {
            self.wake.notified().await;
        }
        let gathered = tokio::time::sleep(GATHER);
        tokio::pin!(gathered);
        while !self.lock().is_urgent {
            tokio::select! {
                () = &mut gathered => break,
                // A permit left over from an earlier push wakes as well, hence the loop.
                () = self.wake.notified() => {}
            }
        }
        let mut state = self.lock();
        state.is_urgent = state.is_closed;
        let flush = (state.flushes_asked > state.flushes_done).then_some(state.flushes_asked);
        Some(Taken {
            items: mem::take(&mut state.items),
            flush,
        })
    }

    /// Counts what has become of exchanges that were taken.
    pub(super) fn settle(&self, count: u64, held: usize, outcome: Result<(), Reason>) {
        let mut state = self.lock();
        state.stats.queued -= count;
        match outcome {
            Ok(()) => state.stats.stored += count,
            // Whoever had the error has told it.
            Err(reason) => {
                state.stats.drop(reason, count);
            }
        }
        drop(state);
        self.release(held);
    }

    /// Returns when everything pushed before is settled and the sink is flushed.
    pub(super) async fn flush(&self) {
        let asked = {
            let mut state = self.lock();
            state.flushes_asked += 1;
            state.is_urgent = true;
            state.flushes_asked
        };
        self.wake.notify_one();
        self.wait(|_, state| state.flushes_done >= asked).await;
    }

    pub(super) fn flushed(&self, flush: u64) {
        self.lock().flushes_done = flush;
        self.progress.notify_waiters();
    }

    /// Takes no more, and lets the writer go on until the deadline.
    pub(super) fn close(&self, deadline: Instant) {
        let mut state = self.lock();
        state.is_closed = true;
        state.is_urgent = true;
        drop(state);
        self.deadline.send_replace(Some(deadline));
        self.wake.notify_one();
        self.progress.notify_waiters();
    }

    /// Gives everything up: there is nobody to write it.
    pub(super) fn abandon(&self) {
        self.close(Instant::now());
        let mut state = self.lock();
        let items = mem::take(&mut state.items);
        state.flushes_done = u64::MAX;
        drop(state);
        let held = items.iter().map(|item| item.held).sum();
        self.settle(items.len() as u64, held, Err(Reason::ShutDown));
        self.progress.notify_waiters();
    }

    /// Returns when the queue was closed and its deadline has passed.
    pub(super) async fn deadline(&self) {
        let mut deadline = self.deadline.subscribe();
        if let Ok(deadline) = deadline.wait_for(Option::is_some).await
            && let Some(deadline) = *deadline
        {
            tokio::time::sleep_until(deadline.into()).await;
        }
    }

    pub(super) fn stats(&self) -> Stats {
        self.lock().stats
    }

    async fn wait(&self, is_over: impl Fn(&Self, &State) -> bool) {
        loop {
            let progress = self.progress.notified();
            // From here on no notification is missed.
            if is_over(self, &self.lock()) {
                return;
            }
            progress.await;
        }
    }
}
