use std::{
    fmt, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{
    block::{Blocks, Format},
    message::{Context, Message},
    output::Output,
};
use crate::util::{
    bounded_queue::{Batch, Counts, DropReason, GatherTime, Job, Jobs, Queue, Worker},
    pool::Pool,
    sync::lock,
};

/// The size at which a batch is written, in bytes.
const BATCH_BYTES: usize = 256 << 10;

/// The default maximum of bytes that messages occupy.
const DEFAULT_MAX_BUFFERED_BYTES: usize = 16 << 20;

/// The number of messages kept to be filled again, 4 MiB at most: as many as gather at 25,000
/// requests a second.
const MAX_SPARE_MESSAGES: usize = 512;

/// A handle to a printer: [flushes](Self::flush) it, and switches it [on and off](Self::enable).
///
/// Clones of the handle, the layer, its services and the calls in flight share one printer. The
/// drop of the last of these values waits until everything is printed, or until the drain timeout.
#[derive(Clone)]
pub struct Printer {
    shared: Arc<Shared>,
}

struct Shared {
    is_enabled: AtomicBool,
    last_id: AtomicU64,
    output: Output,
    // The thread shares these two, but not the worker: its drop waits for the thread.
    format: Arc<Mutex<Format>>,
    spare: Arc<Pool<Box<Message>>>,
    worker: Worker<Box<Message>>,
}

impl Job for Box<Message> {
    const THREAD: &'static str = "tower-traffic-printer";
    const GATHER_TIME: GatherTime = GatherTime::AfterBatch(Duration::from_millis(10));
    const CANNOT_START: &'static str =
        "cannot start the printer's thread: nothing is printed until a later attempt succeeds";
    const HANGS: &'static str = "the output hangs: the last messages are not printed";

    fn reserved_bytes(&self) -> usize {
        self.reserved
    }

    fn log_first_drop(_: DropReason, counts: &Counts) {
        log_lost(counts, 1);
    }
}

/// Logs that `count` messages were lost, unless a loss was logged before.
fn log_lost(counts: &Counts, count: u64) {
    if counts.dropped_total() == count {
        tracing::warn!(
            "messages are not printed: the output fails, or is slower than the traffic; requests \
             are not affected"
        );
    }
}

impl Printer {
    /// Creates a printer, without I/O: the first message starts the printer's thread.
    pub(super) fn new(output: Output) -> Self {
        Self {
            shared: Arc::new(Shared {
                is_enabled: AtomicBool::new(true),
                last_id: AtomicU64::new(0),
                output,
                format: Arc::default(),
                spare: Arc::new(Pool::new(MAX_SPARE_MESSAGES)),
                worker: Worker::new(DEFAULT_MAX_BUFFERED_BYTES),
            }),
        }
    }

    /// Whether calls that begin now are printed.
    #[inline]
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.shared.is_enabled.load(Ordering::Relaxed)
    }

    /// Sets whether calls that begin from now on are printed. Calls in flight are not affected.
    pub fn enable(&self, is_enabled: bool) {
        self.shared.is_enabled.store(is_enabled, Ordering::Relaxed);
    }

    /// Waits until every message that has ended is printed or dropped.
    ///
    /// The wait has no time limit: it lasts forever if the output hangs.
    pub async fn flush(&self) {
        self.start();
        self.queue().flush().await;
    }

    /// Returns the number of messages that could not be printed, because the output failed or was
    /// slower than the traffic.
    #[must_use]
    pub fn not_printed(&self) -> u64 {
        self.queue().counts().dropped_total()
    }

    /// Begins a call. Returns its number, and its context if the output is `tracing`; `None` if the
    /// output is disabled.
    pub(super) fn begin(&self) -> Option<(u64, Option<Box<Context>>)> {
        let output = &self.shared.output;
        if !output.is_enabled() {
            return None;
        }
        self.start();
        let id = self.shared.last_id.fetch_add(1, Ordering::Relaxed) + 1;
        Some((
            id,
            output.is_tracing().then(|| Box::new(Context::current())),
        ))
    }

    pub(super) fn queue(&self) -> &Queue<Box<Message>> {
        self.shared.worker.queue()
    }

    /// Returns an empty message.
    pub(super) fn message(&self) -> Box<Message> {
        self.shared.spare.take().unwrap_or_default()
    }

    /// Drops a message that has nothing to print.
    #[expect(clippy::needless_pass_by_value, reason = "the message ends here")]
    pub(super) fn discard(&self, message: Box<Message>) {
        self.queue().release(message.reserved);
    }

    /// Counts a message that did not enter the queue, and drops the message.
    pub(super) fn lose(&self, message: Box<Message>) {
        self.discard(message);
        self.queue().count_dropped(DropReason::QueueFull);
    }

    /// Changes the format for all handles.
    pub(super) fn set(&self, change: impl FnOnce(&mut Format)) {
        change(&mut lock(&self.shared.format));
    }

    /// Starts the printer's thread, if it has not started yet.
    fn start(&self) {
        let shared = &self.shared;
        let started = shared.worker.start(|| {
            let output = shared.output.clone();
            let format = shared.format.clone();
            let spare = shared.spare.clone();
            move |jobs| Printing::new(output, format, spare, jobs).run()
        });
        // The queue counts the messages that are lost meanwhile.
        let _ = started;
    }
}

impl fmt::Debug for Printer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Printer")
            .field("is_enabled", &self.is_enabled())
            .field("not_printed", &self.not_printed())
            .finish_non_exhaustive()
    }
}

/// The state of the printer's thread, which formats and writes messages.
struct Printing {
    output: Output,
    wants_color: bool,
    format: Arc<Mutex<Format>>,
    spare: Arc<Pool<Box<Message>>>,
    jobs: Jobs<Box<Message>>,
    blocks: Blocks,
    /// The formatted blocks that are not written yet.
    text: Vec<u8>,
    count: u64,
    /// The number of lost messages that the output mentions already.
    reported: u64,
}

impl Printing {
    fn new(
        output: Output,
        format: Arc<Mutex<Format>>,
        spare: Arc<Pool<Box<Message>>>,
        jobs: Jobs<Box<Message>>,
    ) -> Self {
        Self {
            wants_color: output.wants_color(),
            output,
            format,
            spare,
            jobs,
            blocks: Blocks::default(),
            text: Vec::new(),
            count: 0,
            reported: 0,
        }
    }

    async fn run(mut self) {
        while let Some(Batch { jobs, flush }) = self.jobs.take().await {
            if self.jobs.is_past_deadline() {
                self.lost(jobs.len() as u64, DropReason::ShutDown);
            } else {
                self.print_all(&jobs);
            }
            self.give_back(jobs);
            if let Some(flush) = flush {
                self.jobs.flushed(flush);
            }
        }
    }

    fn print_all(&mut self, messages: &[Box<Message>]) {
        let format = lock(&self.format).clone();
        let is_colored = format.color.unwrap_or(self.wants_color);
        self.blocks = Blocks::new(format, is_colored, self.output.is_tracing());
        for message in messages {
            self.print(message);
        }
        self.report_lost();
        self.write();
        self.output.flush();
    }

    #[expect(clippy::vec_box, reason = "messages move between threads as pointers")]
    fn give_back(&self, mut messages: Vec<Box<Message>>) {
        let reserved = messages.iter().map(|message| message.reserved).sum();
        messages.truncate(MAX_SPARE_MESSAGES);
        for message in &mut messages {
            message.reset();
        }
        self.spare.give_back(messages);
        self.jobs.queue().release(reserved);
    }

    fn print(&mut self, message: &Message) {
        self.report_lost();
        let start = self.text.len();
        // Decoders are other people's code, and their input is anything.
        let block = AssertUnwindSafe(|| self.blocks.print(message, &mut self.text));
        if catch_unwind(block).is_err() {
            self.text.truncate(start);
            return self.lost(1, DropReason::Failed);
        }
        self.count += 1;
        if let Some(context) = &message.context {
            self.trace(context);
        } else if self.text.len() >= BATCH_BYTES {
            self.write();
        }
    }

    /// Writes a note about messages that were lost since the last note.
    fn report_lost(&mut self) {
        let total = self.jobs.queue().counts().dropped_total();
        if total == self.reported || self.output.is_tracing() {
            return;
        }
        self.write();
        self.blocks.lost(total - self.reported, &mut self.text);
        if self.write() {
            self.reported = total;
        }
    }

    /// Writes `text` in one piece. Returns false if that failed.
    fn write(&mut self) -> bool {
        if self.text.is_empty() {
            return true;
        }
        let is_written = self.output.write(&self.text);
        self.text.clear();
        self.text.shrink_to(2 * BATCH_BYTES);
        let count = mem::take(&mut self.count);
        if is_written {
            self.jobs.queue().settle(count, 0, Ok(()));
        } else if count > 0 {
            self.lost(count, DropReason::Failed);
        }
        is_written
    }

    /// Sends one block to `tracing`, in the context of its call.
    fn trace(&mut self, context: &Context) {
        let text = String::from_utf8_lossy(&self.text);
        // A subscriber is the user's code, and may panic.
        let event = AssertUnwindSafe(|| context.event(text.trim_end()));
        let is_sent = catch_unwind(event).is_ok();
        self.text.clear();
        self.count = 0;
        if is_sent {
            self.jobs.queue().settle(1, 0, Ok(()));
        } else {
            self.lost(1, DropReason::Failed);
        }
    }

    fn lost(&self, count: u64, reason: DropReason) {
        let counts = self.jobs.queue().settle(count, 0, Err(reason));
        if count > 0 {
            log_lost(&counts, count);
        }
    }
}
