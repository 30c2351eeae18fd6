//! The one that hands exchanges to the store, on a thread of its own.

use std::{
    any::Any,
    io,
    panic::AssertUnwindSafe,
    sync::{Arc, mpsc},
    thread, vec,
};

use futures_util::FutureExt;
use tokio::{runtime::Builder, time::sleep};

use super::{
    Config,
    queue::{Item, Queue, Taken},
    stats::Reason,
};
use crate::store::{BoxFuture, StoreError};

/// A batch ends with whichever comes first.
const BATCH_ITEMS: usize = 512;
const BATCH_BYTES: usize = 1 << 20;

/// Starts the writer. The receiver hears when it has ended.
pub(super) fn start(config: Config, queue: Arc<Queue>) -> io::Result<mpsc::Receiver<()>> {
    let (ended, receiver) = mpsc::channel();
    thread::Builder::new()
        .name("tower-traffic-writer".to_owned())
        .spawn(move || {
            // Dropped with the thread, whatever happens.
            let _ended = ended;
            // A runtime of its own: the app's may be gone when the last exchanges are stored.
            let runtime = match Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    tracing::error!(%error, "nothing can be recorded");
                    return queue.abandon();
                }
            };
            let mut writer = Writer {
                config,
                queue,
                has_told: false,
            };
            runtime.block_on(writer.run());
            // A store's call that hangs must not keep the thread.
            runtime.shutdown_background();
        })?;
    Ok(receiver)
}

struct Writer {
    config: Config,
    queue: Arc<Queue>,
    has_told: bool,
}

impl Writer {
    async fn run(&mut self) {
        while let Some(Taken { items, flush }) = self.queue.take().await {
            let mut items = items.into_iter();
            while items.len() > 0 {
                self.store(&mut items).await;
            }
            if let Some(flush) = flush {
                self.flush().await;
                self.queue.flushed(flush);
            }
        }
        // Nobody comes after this to tell it to.
        self.flush().await;
    }

    async fn flush(&mut self) {
        let sink = self.config.sink.clone();
        // What the sink held back was counted when it took it; the error is told.
        let _ = self.ask(async move { sink.flush().await }.boxed()).await;
    }

    /// Stores a batch.
    async fn store(&mut self, items: &mut vec::IntoIter<Item>) {
        let mut held = 0;
        let mut settled = Vec::new();
        let mut logs = Vec::with_capacity(items.len().min(BATCH_ITEMS));
        let mut exchanges = Vec::with_capacity(items.len().min(BATCH_ITEMS));
        while exchanges.len() < BATCH_ITEMS
            && held < BATCH_BYTES
            && let Some(item) = items.next()
        {
            let mut exchange = item.log.take();
            logs.push(item.log);
            if self.config.redact.try_exchange(&mut exchange).is_err() {
                self.queue
                    .settle(1, item.held, Err(Reason::RedactionFailed));
                continue;
            }
            exchanges.push(Arc::new(exchange));
            held += item.held;
            settled.extend(item.settled);
        }
        self.queue.give_back(logs);
        if exchanges.is_empty() {
            return;
        }
        let count = exchanges.len() as u64;
        let sink = self.config.sink.clone();
        let outcome = self
            .ask(async move { sink.store(exchanges).await }.boxed())
            .await;
        self.queue.settle(count, held, outcome);
    }

    /// Waits for the store, but not for ever, and survives it.
    async fn ask(&mut self, call: BoxFuture<'_, Result<(), StoreError>>) -> Result<(), Reason> {
        let limit = self.config.store_timeout;
        let (error, reason) = tokio::select! {
            biased;
            answer = AssertUnwindSafe(call).catch_unwind() => match answer {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => (error, Reason::StoreFailed),
                Err(panic) => (StoreError::Panicked(panic_text(&*panic)), Reason::StoreFailed),
            },
            () = self.queue.deadline() => (StoreError::TimedOut(self.config.drain_deadline), Reason::ShutDown),
            () = sleep(limit) => (StoreError::TimedOut(limit), Reason::StoreTimedOut),
        };
        if !self.has_told {
            self.has_told = true;
            tracing::error!(%error, "a recording's store failed; later failures are only counted");
        }
        if let Some(on_error) = &self.config.on_error {
            // The hook is the caller's code, and nobody's request may hang on it.
            let _ = std::panic::catch_unwind(AssertUnwindSafe(|| on_error(&error)));
        }
        Err(reason)
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no text".to_owned())
}
