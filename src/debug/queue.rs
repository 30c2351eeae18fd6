//! What stands between the request path and the printer's thread.
//!
//! The recorder has a queue too, but its writer waits for futures and has a runtime. This one waits
//! for nothing but the operating system.

// Messages go to and fro, and are moved as what they are: pointers.
#![expect(clippy::vec_box)]

use std::{
    mem,
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::sync::Notify;

use super::message::Message;
use crate::util::sync::lock;

/// How long messages gather after the last were written. The first after a pause are printed at
/// once; under load the thread is woken once in that time and not for every message, which would
/// cost the request path a system call each, and what it writes is large.
const GATHER: Duration = Duration::from_millis(10);

/// How many messages are kept to be filled again: as many as gather at 25,000 requests a second, and at
/// most some 4 MiB.
const SPARE: usize = 512;

/// A queue that is bounded in bytes.
pub(super) struct Queue {
    state: Mutex<State>,
    /// Wakes the printer.
    wake: Condvar,
    /// Wakes whoever waits for the printer.
    progress: Notify,
    /// Bytes held: by messages under way, in the queue, and being printed.
    held: AtomicUsize,
    budget: usize,
}

#[derive(Default)]
struct State {
    items: Vec<Box<Message>>,
    /// Messages to be filled again.
    spare: Vec<Box<Message>>,
    /// Messages that were given up, in all and since it was last told.
    lost: u64,
    lost_untold: u64,
    has_told: bool,
    /// The printer sleeps, and the next message has to wake it.
    is_idle: bool,
    /// The printer is to come at once.
    is_urgent: bool,
    /// Set when the queue is closed: until when the printer may go on.
    deadline: Option<Instant>,
    flushes_asked: u64,
    flushes_done: u64,
}

/// What the printer takes at once.
pub(super) struct Taken {
    pub(super) messages: Vec<Box<Message>>,
    /// The flushes that wait for these messages.
    pub(super) flush: Option<u64>,
}

impl Queue {
    pub(super) fn new(budget: usize) -> Self {
        Self {
            state: Mutex::default(),
            wake: Condvar::new(),
            progress: Notify::new(),
            held: AtomicUsize::new(0),
            budget,
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

    fn is_crowded(&self) -> bool {
        self.held.load(Ordering::Relaxed) > self.budget / 2
    }

    /// A message to be filled.
    pub(super) fn message(&self) -> Box<Message> {
        let spare = self.lock().spare.pop();
        spare.unwrap_or_default()
    }

    /// Puts a message in for the printer.
    pub(super) fn push(&self, message: Box<Message>) {
        let mut state = self.lock();
        if state.deadline.is_some() {
            drop(state);
            return self.lose(message);
        }
        state.items.push(message);
        let is_late = self.is_crowded() && !mem::replace(&mut state.is_urgent, true);
        let wake = mem::take(&mut state.is_idle) || is_late;
        drop(state);
        if wake {
            self.wake.notify_one();
        }
    }

    /// Gives a message up.
    pub(super) fn lose(&self, message: Box<Message>) {
        self.held.fetch_sub(message.held, Ordering::Relaxed);
        drop(message);
        self.count_lost(1);
    }

    /// Counts messages that are given up, and tells of the first.
    pub(super) fn count_lost(&self, count: u64) {
        let mut state = self.lock();
        state.lost += count;
        state.lost_untold += count;
        let is_first = !mem::replace(&mut state.has_told, true);
        drop(state);
        if is_first {
            tracing::warn!(
                "messages are not printed: the output fails, or is slower than the traffic; requests \
                 are not affected"
            );
        }
    }

    pub(super) fn lost(&self) -> u64 {
        self.lock().lost
    }

    /// How many were given up since this was last asked.
    pub(super) fn take_lost(&self) -> u64 {
        mem::take(&mut self.lock().lost_untold)
    }

    /// It could not be told.
    pub(super) fn put_lost(&self, count: u64) {
        self.lock().lost_untold += count;
    }

    /// Waits until there is something to do, lets messages gather if there was something just before,
    /// and takes them. `None` when the queue is closed, and empty or out of time.
    pub(super) fn take(&self, last: Option<Instant>) -> Option<Taken> {
        let mut state = self.lock();
        loop {
            let has_work = !state.items.is_empty() || state.flushes_asked > state.flushes_done;
            if let Some(deadline) = state.deadline
                && (!has_work || Instant::now() >= deadline)
            {
                return None;
            }
            let gathered =
                last.map_or(Duration::ZERO, |last| GATHER.saturating_sub(last.elapsed()));
            if has_work && (state.is_urgent || gathered.is_zero()) {
                break;
            }
            state.is_idle = !has_work;
            state = if has_work {
                let waited = self.wake.wait_timeout(state, gathered);
                waited.unwrap_or_else(PoisonError::into_inner).0
            } else {
                let waited = self.wake.wait(state);
                waited.unwrap_or_else(PoisonError::into_inner)
            };
        }
        state.is_idle = false;
        state.is_urgent = state.deadline.is_some();
        Some(Taken {
            messages: mem::take(&mut state.items),
            flush: (state.flushes_asked > state.flushes_done).then_some(state.flushes_asked),
        })
    }

    /// Takes messages back that are printed.
    pub(super) fn give_back(&self, mut messages: Vec<Box<Message>>) {
        let held = messages.iter().map(|message| message.held).sum();
        messages.truncate(SPARE);
        for message in &mut messages {
            message.reset();
        }
        let mut state = self.lock();
        let room = SPARE.saturating_sub(state.spare.len());
        state
            .spare
            .extend(messages.drain(..room.min(messages.len())));
        drop(state);
        self.held.fetch_sub(held, Ordering::Relaxed);
    }

    /// Returns when everything pushed before is printed or lost.
    pub(super) async fn flush(&self) {
        let asked = {
            let mut state = self.lock();
            state.flushes_asked += 1;
            state.is_urgent = true;
            state.flushes_asked
        };
        self.wake.notify_one();
        loop {
            let progress = self.progress.notified();
            // From here on no notification is missed.
            if self.lock().flushes_done >= asked {
                return;
            }
            progress.await;
        }
    }

    pub(super) fn flushed(&self, flush: u64) {
        self.lock().flushes_done = flush;
        self.progress.notify_waiters();
    }

    /// Takes no more, and lets the printer go on until the deadline.
    pub(super) fn close(&self, deadline: Instant) {
        let mut state = self.lock();
        state.deadline = Some(deadline);
        state.is_urgent = true;
        drop(state);
        self.wake.notify_one();
    }

    /// Gives everything up: there is nobody to print it.
    pub(super) fn abandon(&self) -> u64 {
        let mut state = self.lock();
        state.deadline.get_or_insert_with(Instant::now);
        state.flushes_done = u64::MAX;
        let items = mem::take(&mut state.items);
        drop(state);
        self.progress.notify_waiters();
        items.len() as u64
    }
}
