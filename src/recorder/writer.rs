//! The writer: hands exchanges to the store in batches, on the recorder's thread.

use std::{
    any::Any,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    vec,
};

use futures_util::FutureExt;
use tokio::time::sleep;

use super::{Settings, in_flight::Log, recording::Recording};
use crate::{
    store::{BoxFuture, StoreError},
    util::{
        bounded_queue::{Batch, DropReason, Jobs},
        pool::Pool,
        sync::lock,
    },
};

/// The maximum number of exchanges in a batch.
const MAX_BATCH_EXCHANGES: usize = 512;
const MAX_BATCH_BYTES: usize = 1 << 20;

pub(super) struct Writer {
    settings: Arc<Mutex<Arc<Settings>>>,
    spare_logs: Arc<Pool<Arc<Log>>>,
    jobs: Jobs<Recording>,
    has_logged: bool,
}

impl Writer {
    pub(super) fn new(
        settings: Arc<Mutex<Arc<Settings>>>,
        spare_logs: Arc<Pool<Arc<Log>>>,
        jobs: Jobs<Recording>,
    ) -> Self {
        Self {
            settings,
            spare_logs,
            jobs,
            has_logged: false,
        }
    }

    /// Runs until the queue is closed and empty.
    pub(super) async fn run(mut self) {
        while let Some(Batch { jobs, flush }) = self.jobs.take().await {
            let mut recordings = jobs.into_iter();
            while recordings.len() > 0 {
                self.store(&mut recordings).await;
            }
            if let Some(flush) = flush {
                self.flush().await;
                self.jobs.flushed(flush);
            }
        }
        self.flush().await;
    }

    async fn flush(&mut self) {
        let settings = self.settings();
        let sink = settings.sink.clone();
        // The exchanges were counted when the sink accepted them; the error is logged.
        let flushed = async move { sink.flush().await };
        let _ = self.call_store(&settings, flushed.boxed()).await;
    }

    /// Stores one batch.
    async fn store(&mut self, recordings: &mut vec::IntoIter<Recording>) {
        let settings = self.settings();
        let mut reserved = 0;
        let mut settled = Vec::new();
        let mut logs = Vec::with_capacity(recordings.len().min(MAX_BATCH_EXCHANGES));
        let mut exchanges = Vec::with_capacity(recordings.len().min(MAX_BATCH_EXCHANGES));
        while exchanges.len() < MAX_BATCH_EXCHANGES
            && reserved < MAX_BATCH_BYTES
            && let Some(recording) = recordings.next()
        {
            let mut exchange = recording.log.take();
            logs.push(recording.log);
            if settings.redact.try_exchange(&mut exchange).is_err() {
                let outcome = Err(DropReason::RedactionFailed);
                self.jobs.queue().settle(1, recording.reserved, outcome);
                continue;
            }
            exchanges.push(Arc::new(exchange));
            reserved += recording.reserved;
            settled.extend(recording.settled);
        }
        logs.retain_mut(Log::is_reusable);
        self.spare_logs.give_back(logs);
        if exchanges.is_empty() {
            return;
        }
        let count = exchanges.len() as u64;
        let sink = settings.sink.clone();
        let stored = async move { sink.store(exchanges).await };
        let outcome = self.call_store(&settings, stored.boxed()).await;
        self.jobs.queue().settle(count, reserved, outcome);
    }

    /// Awaits a call of the store within the time limits. Catches a panic of the store, and reports
    /// an error.
    async fn call_store(
        &mut self,
        settings: &Settings,
        call: BoxFuture<'_, Result<(), StoreError>>,
    ) -> Result<(), DropReason> {
        let timeout = settings.store_timeout;
        let (error, reason) = tokio::select! {
            biased;
            result = AssertUnwindSafe(call).catch_unwind() => match result {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => (error, DropReason::Failed),
                Err(panic) => (StoreError::Panicked(panic_text(&*panic)), DropReason::Failed),
            },
            () = self.jobs.deadline() => {
                let timeout = self.jobs.queue().drain_timeout();
                (StoreError::TimedOut(timeout), DropReason::ShutDown)
            }
            () = sleep(timeout) => (StoreError::TimedOut(timeout), DropReason::TimedOut),
        };
        if !self.has_logged {
            self.has_logged = true;
            tracing::error!(%error, "the store failed; later failures are only counted");
        }
        settings.report(&error);
        Err(reason)
    }

    fn settings(&self) -> Arc<Settings> {
        lock(&self.settings).clone()
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no text".to_owned())
}
