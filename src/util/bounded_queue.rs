//! `Worker`: a thread that does work for the request path, behind a queue that is bounded in bytes.

use std::{
    future::Future,
    io, mem,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock,
        atomic::{AtomicUsize, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::{Notify, watch},
};

use super::{
    sync::{get_mut, lock},
    time::FOREVER,
};

/// The time that a drop waits beyond the drain timeout, at which the thread stops by itself.
const GRACE: Duration = Duration::from_millis(200);

/// The default of [`Queue::set_drain_timeout`].
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The time after the first failed start until the next attempt; doubled after each failure.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const MAX_RETRY: Duration = Duration::from_secs(10);

/// One unit of work for a [`Worker`].
pub(crate) trait Job: Send + 'static {
    /// The name of the thread.
    const THREAD: &'static str;
    const GATHER_TIME: GatherTime;
    /// The message that is logged when the thread cannot be started for the first time.
    const CANNOT_START: &'static str;
    /// The message that is logged if the thread exceeds the drain timeout.
    const HANGS: &'static str;

    /// Returns the number of bytes that stay reserved until the job is settled.
    fn reserved_bytes(&self) -> usize;

    /// Whether a caller waits until the job is settled.
    fn is_awaited(&self) -> bool {
        false
    }

    /// Logs that a job was dropped for `reason` before it entered the queue, if it is the first
    /// one.
    fn log_first_drop(reason: DropReason, counts: &Counts);
}

/// The time during which jobs gather in the queue, unless a caller waits or the queue is crowded.
/// The worker is woken once in that time instead of once for each job, which saves system calls on
/// the request path.
#[derive(Clone, Copy)]
pub(crate) enum GatherTime {
    /// Counted from the first job.
    AfterFirst(Duration),
    /// Counted from the end of the last batch: the first job after a pause is taken at once.
    AfterBatch(Duration),
}

/// The reason why a job was not done.
#[derive(Clone, Copy, Debug)]
pub(crate) enum DropReason {
    QueueFull,
    Failed,
    TimedOut,
    ShutDown,
    RedactionFailed,
}

/// The counts of all jobs so far: `served = done + dropped_total() + queued`.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts {
    pub(crate) served: u64,
    pub(crate) done: u64,
    pub(crate) queued: u64,
    dropped: [u64; 5],
}

impl Counts {
    pub(crate) fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }

    pub(crate) fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }
}

/// A queue, and the thread that processes its jobs. The thread starts with the first job. The drop
/// waits until all jobs are processed.
pub(crate) struct Worker<J: Job> {
    queue: Arc<Queue<J>>,
    /// A receiver that is disconnected when the thread ends; empty until the thread has started.
    thread: OnceLock<Mutex<mpsc::Receiver<()>>>,
    retry: Mutex<Option<Retry>>,
}

/// The next attempt to start a thread, after a failure.
#[derive(Clone, Copy)]
struct Retry {
    at: Instant,
    delay: Duration,
}

impl<J: Job> Worker<J> {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            queue: Arc::new(Queue::new(max_bytes)),
            thread: OnceLock::new(),
            retry: Mutex::new(None),
        }
    }

    pub(crate) fn queue(&self) -> &Queue<J> {
        &self.queue
    }

    /// Starts the thread, unless it has started: it runs the future that `make` prepares, on a
    /// runtime of its own, because the app's runtime may end earlier.
    ///
    /// A start can fail for lack of descriptors or threads. Until a later call succeeds, the queue
    /// counts its jobs as failed. Calls before the next attempt is due do nothing.
    ///
    /// # Errors
    /// If this call made an attempt, and the attempt failed.
    #[inline]
    pub(crate) fn start<R, F>(&self, make: impl FnOnce() -> R) -> io::Result<()>
    where
        R: FnOnce(Jobs<J>) -> F + Send + 'static,
        F: Future<Output = ()>,
    {
        if self.thread.get().is_some() {
            return Ok(());
        }
        self.attempt(make)
    }

    #[cold]
    fn attempt<R, F>(&self, make: impl FnOnce() -> R) -> io::Result<()>
    where
        R: FnOnce(Jobs<J>) -> F + Send + 'static,
        F: Future<Output = ()>,
    {
        // Locked during the attempt: a call at the same time waits for its outcome.
        let mut retry = lock(&self.retry);
        let is_early = retry.is_some_and(|retry| Instant::now() < retry.at);
        if is_early || self.thread.get().is_some() {
            return Ok(());
        }
        match spawn(self.queue.clone(), make()) {
            Ok(thread) => {
                self.queue.lock().has_worker = true;
                let _ = self.thread.set(Mutex::new(thread));
                Ok(())
            }
            Err(error) => {
                let delay = if let Some(Retry { delay, .. }) = *retry {
                    (2 * delay).min(MAX_RETRY)
                } else {
                    tracing::error!(%error, "{}", J::CANNOT_START);
                    FIRST_RETRY
                };
                let at = Instant::now() + delay;
                *retry = Some(Retry { at, delay });
                Err(error)
            }
        }
    }
}

impl<J: Job> Drop for Worker<J> {
    fn drop(&mut self) {
        let Some(mut ended) = self.thread.take() else {
            return;
        };
        let timeout = self.queue.drain_timeout();
        self.queue.close(Instant::now() + timeout);
        if let Err(RecvTimeoutError::Timeout) = get_mut(&mut ended).recv_timeout(timeout + GRACE) {
            let left = self.queue.counts().queued;
            tracing::warn!(left, "{}", J::HANGS);
        }
    }
}

fn spawn<J, R, F>(queue: Arc<Queue<J>>, run: R) -> io::Result<mpsc::Receiver<()>>
where
    J: Job,
    R: FnOnce(Jobs<J>) -> F + Send + 'static,
    F: Future<Output = ()>,
{
    let (ended, receiver) = mpsc::channel();
    // Built here, so that the caller learns of a failure.
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let runtime = BackgroundRuntime(Some(runtime));
    thread::Builder::new()
        .name(J::THREAD.to_owned())
        .spawn(move || {
            // Dropped with the thread, even if it panics.
            let _ended = ended;
            let jobs = Jobs {
                queue,
                has_taken: false,
            };
            runtime.block_on(run(jobs));
        })?;
    Ok(receiver)
}

/// A runtime whose drop never waits: it may be dropped on the request path, where a wait panics, and
/// a call that hangs must not keep the thread.
struct BackgroundRuntime(Option<Runtime>);

impl BackgroundRuntime {
    fn block_on(&self, future: impl Future<Output = ()>) {
        if let Some(runtime) = &self.0 {
            runtime.block_on(future);
        }
    }
}

impl Drop for BackgroundRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// A queue of jobs with a limit on the number of bytes that the jobs occupy.
pub(crate) struct Queue<J> {
    state: Mutex<State<J>>,
    /// Wakes the worker.
    wake: Notify,
    /// Wakes callers that wait for a flush or for room.
    progress: Notify,
    /// The number of reserved bytes: of jobs in flight, in the queue, and in the worker.
    reserved: AtomicUsize,
    max_bytes: AtomicUsize,
    drain_timeout: Mutex<Duration>,
    /// The time at which the worker must end; set once, when the queue is closed.
    deadline: watch::Sender<Option<Instant>>,
}

#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
struct State<J> {
    jobs: Vec<J>,
    counts: Counts,
    /// Whether the worker sleeps, so that the next job must wake it.
    is_idle: bool,
    /// Whether the worker must process its jobs without waiting for more.
    is_urgent: bool,
    /// Whether the worker has started.
    has_worker: bool,
    is_closed: bool,
    flushes_requested: u64,
    flushes_done: u64,
}

impl<J: Job> Queue<J> {
    fn new(max_bytes: usize) -> Self {
        Self {
            state: Mutex::new(State {
                jobs: Vec::new(),
                counts: Counts::default(),
                is_idle: false,
                is_urgent: false,
                has_worker: false,
                is_closed: false,
                flushes_requested: 0,
                flushes_done: 0,
            }),
            wake: Notify::new(),
            progress: Notify::new(),
            reserved: AtomicUsize::new(0),
            max_bytes: AtomicUsize::new(max_bytes),
            drain_timeout: Mutex::new(DRAIN_TIMEOUT),
            deadline: watch::Sender::new(None),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        lock(&self.state)
    }

    pub(crate) fn set_max_bytes(&self, bytes: usize) {
        self.max_bytes.store(bytes, Ordering::Relaxed);
        self.progress.notify_waiters();
    }

    pub(crate) fn set_drain_timeout(&self, timeout: Duration) {
        *lock(&self.drain_timeout) = timeout.min(FOREVER);
    }

    pub(crate) fn drain_timeout(&self) -> Duration {
        *lock(&self.drain_timeout)
    }

    /// Reserves `bytes` bytes. Returns false, and reserves nothing, if the limit would be exceeded.
    pub(crate) fn reserve(&self, bytes: usize) -> bool {
        let before = self.reserved.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= self.max_bytes.load(Ordering::Relaxed);
        if !fits {
            self.reserved.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }

    pub(crate) fn release(&self, bytes: usize) {
        if bytes > 0 {
            self.reserved.fetch_sub(bytes, Ordering::Relaxed);
            self.progress.notify_waiters();
        }
    }

    /// Whether more than half of the limit is reserved. New requests that may wait should wait
    /// then: the other half is for requests in flight.
    pub(crate) fn is_crowded(&self) -> bool {
        self.reserved.load(Ordering::Relaxed) > self.max_bytes.load(Ordering::Relaxed) / 2
    }

    /// Waits until the queue is no longer crowded, or is closed.
    pub(crate) async fn room(&self) {
        self.wait(|queue, state| !queue.is_crowded() || state.is_closed)
            .await;
    }

    /// Adds a job whose bytes are reserved already. The job is dropped if the queue is closed, or
    /// the worker could not start.
    pub(crate) fn push(&self, job: J) {
        let mut state = self.lock();
        if state.is_closed || !state.has_worker {
            let reason = if state.is_closed {
                DropReason::ShutDown
            } else {
                DropReason::Failed
            };
            drop(state);
            self.release(job.reserved_bytes());
            return self.count_dropped(reason);
        }
        let is_awaited = job.is_awaited();
        state.counts.served += 1;
        state.counts.queued += 1;
        state.jobs.push(job);
        let is_late = is_awaited || self.is_crowded();
        let wake = mem::take(&mut state.is_idle) || (is_late && !state.is_urgent);
        state.is_urgent |= is_late;
        drop(state);
        if wake {
            self.wake.notify_one();
        }
    }

    /// Counts a job that never entered the queue.
    pub(crate) fn count_dropped(&self, reason: DropReason) {
        let mut state = self.lock();
        state.counts.served += 1;
        state.counts.dropped[reason as usize] += 1;
        let counts = state.counts;
        drop(state);
        // The failed start is logged with its error.
        if counts.dropped(reason) == 1 && !matches!(reason, DropReason::Failed) {
            J::log_first_drop(reason, &counts);
        }
    }

    /// Counts the outcome of jobs that were taken, and releases their reserved bytes.
    pub(crate) fn settle(
        &self,
        count: u64,
        reserved: usize,
        outcome: Result<(), DropReason>,
    ) -> Counts {
        let mut state = self.lock();
        state.counts.queued -= count;
        match outcome {
            Ok(()) => state.counts.done += count,
            Err(reason) => state.counts.dropped[reason as usize] += count,
        }
        let counts = state.counts;
        drop(state);
        self.release(reserved);
        counts
    }

    pub(crate) fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Waits until every job pushed before is settled, and the worker has called
    /// [`Jobs::flushed`] for them. Without a worker, every job is settled already.
    pub(crate) async fn flush(&self) {
        let requested = {
            let mut state = self.lock();
            if !state.has_worker {
                return;
            }
            state.flushes_requested += 1;
            state.is_urgent = true;
            state.flushes_requested
        };
        self.wake.notify_one();
        self.wait(|_, state| state.flushes_done >= requested).await;
    }

    /// Rejects further jobs. The worker may process queued jobs until `deadline`.
    fn close(&self, deadline: Instant) {
        let mut state = self.lock();
        state.is_closed = true;
        state.is_urgent = true;
        drop(state);
        self.deadline.send_replace(Some(deadline));
        self.wake.notify_one();
        self.progress.notify_waiters();
    }

    async fn wait(&self, is_over: impl Fn(&Self, &State<J>) -> bool) {
        loop {
            let progress = self.progress.notified();
            // Notifications from here on are received.
            if is_over(self, &self.lock()) {
                return;
            }
            progress.await;
        }
    }
}

/// The end of a queue from which the worker takes jobs.
pub(crate) struct Jobs<J: Job> {
    queue: Arc<Queue<J>>,
    has_taken: bool,
}

/// The jobs that a worker takes at once.
pub(crate) struct Batch<J> {
    pub(crate) jobs: Vec<J>,
    /// The number to be passed to [`Jobs::flushed`] when the jobs are settled.
    pub(crate) flush: Option<u64>,
}

impl<J: Job> Jobs<J> {
    pub(crate) fn queue(&self) -> &Queue<J> {
        &self.queue
    }

    /// Waits for jobs or a flush, lets jobs gather, and takes them. Returns `None` when the queue
    /// is closed and empty.
    pub(crate) async fn take(&mut self) -> Option<Batch<J>> {
        let last_batch = mem::replace(&mut self.has_taken, true).then(Instant::now);
        while !self.has_work()? {
            self.queue.wake.notified().await;
        }
        let gathered = match J::GATHER_TIME {
            GatherTime::AfterFirst(time) => Some(Instant::now() + time),
            GatherTime::AfterBatch(time) => last_batch.map(|last| last + time),
        };
        if let Some(gathered) = gathered.filter(|time| *time > Instant::now()) {
            let gathered = tokio::time::sleep_until(gathered.into());
            tokio::pin!(gathered);
            while !self.queue.lock().is_urgent {
                tokio::select! {
                    () = &mut gathered => break,
                    // A permit left over from an earlier push wakes too, hence the loop.
                    () = self.queue.wake.notified() => {}
                }
            }
        }
        let mut state = self.queue.lock();
        state.is_urgent = state.is_closed;
        Some(Batch {
            jobs: mem::take(&mut state.jobs),
            flush: (state.flushes_requested > state.flushes_done)
                .then_some(state.flushes_requested),
        })
    }

    /// Whether there is work; otherwise the next job wakes the worker. Returns `None` when the
    /// queue is closed and empty.
    fn has_work(&self) -> Option<bool> {
        let mut state = self.queue.lock();
        let has_work = !state.jobs.is_empty() || state.flushes_requested > state.flushes_done;
        state.is_idle = !has_work;
        (has_work || !state.is_closed).then_some(has_work)
    }

    /// Completes the flushes of a batch.
    pub(crate) fn flushed(&self, flush: u64) {
        self.queue.lock().flushes_done = flush;
        self.queue.progress.notify_waiters();
    }

    pub(crate) fn is_past_deadline(&self) -> bool {
        let deadline = *self.queue.deadline.borrow();
        deadline.is_some_and(|deadline| Instant::now() >= deadline)
    }

    /// Waits until the queue is closed and its deadline has passed.
    pub(crate) async fn deadline(&self) {
        let mut deadline = self.queue.deadline.subscribe();
        if let Ok(deadline) = deadline.wait_for(Option::is_some).await
            && let Some(deadline) = *deadline
        {
            tokio::time::sleep_until(deadline.into()).await;
        }
    }
}
