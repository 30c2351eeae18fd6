use std::{
    fmt, mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use http::request::Parts;

use super::{
    Config,
    block::Blocks,
    message::{Context, Message},
    output::Output,
    queue::{Queue, Taken},
};
use crate::util::sync::get_mut;

/// A batch is written when it has become so long.
const BATCH_BYTES: usize = 256 << 10;

/// How long the last drop waits for the thread beyond the deadline, which the thread keeps too.
const GRACE: Duration = Duration::from_millis(200);

/// A handle to what prints: [`flush`](Self::flush) it, switch it on and off.
///
/// Clones, the layer, its services and the calls under way share one printer. When the last of them
/// is dropped, that drop waits until everything is printed, or until the deadline.
#[derive(Clone)]
pub struct Printer {
    inner: Arc<Inner>,
}

struct Inner {
    is_enabled: AtomicBool,
    config: Config,
    ids: AtomicU64,
    queue: Arc<Queue>,
    /// Started with the first message; the receiver hears when it has ended. `None` if the system has
    /// no thread for it.
    thread: OnceLock<Option<Mutex<mpsc::Receiver<()>>>>,
}

impl Printer {
    pub(super) fn new(config: Config) -> Self {
        Self {
            inner: Arc::new(Inner {
                is_enabled: AtomicBool::new(config.is_enabled),
                ids: AtomicU64::new(0),
                queue: Arc::new(Queue::new(config.queue_budget)),
                config,
                thread: OnceLock::new(),
            }),
        }
    }

    /// Whether calls that begin now are printed.
    #[inline]
    pub fn is_enabled(&self) -> bool {
        self.inner.is_enabled.load(Ordering::Relaxed)
    }

    /// Prints the calls that begin from now on, or does not. Calls under way are not affected.
    pub fn enable(&self, is_enabled: bool) {
        self.inner.is_enabled.store(is_enabled, Ordering::Relaxed);
    }

    /// Returns when every message that had ended before is printed or given up.
    ///
    /// It waits as long as the output takes: for ever, if that hangs.
    pub async fn flush(&self) {
        if self.has_thread() {
            self.inner.queue.flush().await;
        }
    }

    /// How many messages could not be printed: the output failed, or was slower than the traffic for
    /// so long that the queue was full.
    pub fn not_printed(&self) -> u64 {
        self.inner.queue.lost()
    }

    /// The number of a call that begins, and where an event of `tracing` belongs; `None` if it is not
    /// printed.
    pub(super) fn begin(&self, parts: &Parts) -> Option<(u64, Option<Box<Context>>)> {
        let config = &self.inner.config;
        let is_wanted = config
            .filter
            .as_ref()
            .is_none_or(|filter| filter.takes(parts));
        if !is_wanted || !config.output.is_heard() {
            return None;
        }
        self.has_thread();
        let id = self.inner.ids.fetch_add(1, Ordering::Relaxed) + 1;
        let is_tracing = config.output.is_tracing();
        Some((id, is_tracing.then(|| Box::new(Context::current()))))
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.inner.queue
    }

    pub(super) fn capture_limit(&self) -> usize {
        self.inner.config.show.limit
    }

    pub(super) fn shows_events(&self) -> bool {
        self.inner.config.show_events
    }

    /// Whether there is a thread that prints; starts it the first time.
    fn has_thread(&self) -> bool {
        let inner = &self.inner;
        let thread = inner.thread.get_or_init(|| {
            start(&inner.config, &inner.queue)
                .inspect_err(|error| {
                    tracing::error!(%error, "nothing can be printed");
                    let lost = inner.queue.abandon();
                    inner.queue.count_lost(lost);
                })
                .ok()
                .map(Mutex::new)
        });
        thread.is_some()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let Some(Some(mut ended)) = self.thread.take() else {
            return;
        };
        let deadline = self.config.drain_deadline;
        self.queue.close(Instant::now() + deadline);
        if let Err(RecvTimeoutError::Timeout) = get_mut(&mut ended).recv_timeout(deadline + GRACE) {
            tracing::warn!("an output hangs: the last messages are not printed");
        }
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

/// Starts the thread. The receiver hears when it has ended.
fn start(config: &Config, queue: &Arc<Queue>) -> std::io::Result<mpsc::Receiver<()>> {
    let (ended, receiver) = mpsc::channel();
    let (config, queue) = (config.clone(), queue.clone());
    thread::Builder::new()
        .name("tower-traffic-printer".to_owned())
        .spawn(move || {
            // Dropped with the thread, whatever happens.
            let _ended = ended;
            let is_tracing = config.output.is_tracing();
            let is_colored = config.color.unwrap_or_else(|| config.output.wants_color());
            let mut printing = Printing {
                blocks: Blocks::new(config.show, config.redact, is_colored, is_tracing),
                output: config.output,
                queue,
                text: Vec::new(),
                count: 0,
            };
            printing.run();
        })?;
    Ok(receiver)
}

/// The thread that formats and writes.
struct Printing {
    blocks: Blocks,
    output: Output,
    queue: Arc<Queue>,
    /// Whole blocks that are not written yet, and how many messages they are.
    text: Vec<u8>,
    count: u64,
}

impl Printing {
    fn run(&mut self) {
        let mut last = None;
        while let Some(Taken { messages, flush }) = self.queue.take(last) {
            for message in &messages {
                self.print(message);
            }
            self.tell_lost();
            self.write();
            self.output.flush();
            self.queue.give_back(messages);
            if let Some(flush) = flush {
                self.queue.flushed(flush);
            }
            last = Some(Instant::now());
        }
        let left = self.queue.abandon();
        if left > 0 {
            self.queue.count_lost(left);
        }
    }

    fn print(&mut self, message: &Message) {
        self.tell_lost();
        let start = self.text.len();
        // Decoders are others' code, and what they are fed is anybody's.
        let block = AssertUnwindSafe(|| self.blocks.print(message, &mut self.text));
        if catch_unwind(block).is_err() {
            self.text.truncate(start);
            self.queue.count_lost(1);
            return;
        }
        self.count += 1;
        if let Some(context) = &message.context {
            self.trace(context);
        } else if self.text.len() >= BATCH_BYTES {
            self.write();
        }
    }

    /// Says how many messages were given up.
    fn tell_lost(&mut self) {
        let lost = self.queue.take_lost();
        if lost == 0 || self.output.is_tracing() {
            return;
        }
        self.write();
        self.blocks.lost(lost, &mut self.text);
        if !self.write() {
            self.queue.put_lost(lost);
        }
    }

    /// Writes what there is, all at once; false if that failed.
    fn write(&mut self) -> bool {
        if self.text.is_empty() {
            return true;
        }
        let is_written = self.output.write(&self.text);
        self.text.clear();
        // A batch that was large once is not kept for ever.
        self.text.shrink_to(2 * BATCH_BYTES);
        let count = mem::take(&mut self.count);
        if !is_written && count > 0 {
            self.queue.count_lost(count);
        }
        is_written
    }

    /// Hands one block to `tracing`, where its call was made.
    fn trace(&mut self, context: &Context) {
        let text = String::from_utf8_lossy(&self.text);
        // The subscriber is the caller's code.
        let event = AssertUnwindSafe(|| context.event(text.trim_end()));
        if catch_unwind(event).is_err() {
            self.queue.count_lost(1);
        }
        self.text.clear();
        self.count = 0;
    }
}
