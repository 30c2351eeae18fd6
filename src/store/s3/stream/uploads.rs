//! Background tasks of the spool: seal, compress and upload segments.

use std::{
    error::Error,
    fs,
    io::{self, ErrorKind},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Mutex, MutexGuard},
    time::{Instant, sleep, sleep_until},
};

use super::{
    delivery::{Delivery, is_there_already},
    folder::FileKind,
    queue::{QueueState, Refusal, Sealed},
    spool::{Spool, is_gone},
};
use crate::{
    store::{
        Bucket, InvalidBucket, OnError, S3Problem, StoreError, blocking,
        s3::{backoff::Backoff, objects::is_transient},
    },
    util::panic::Guard,
};

/// The number of concurrent uploads, so that a hanging one does not block the others.
const MAX_CONCURRENT_UPLOADS: usize = 3;
/// The interval of searches for segments of dead processes.
const RECOVERY_INTERVAL: Duration = Duration::from_mins(1);
/// The pauses after a refusal.
const FIRST_REFUSAL_PAUSE: Duration = Duration::from_secs(30);
const MAX_REFUSAL_PAUSE: Duration = Duration::from_mins(10);
/// The maximum speed of compression in bytes per second: on two processors even a thread of low
/// priority slows down the other processor.
const MAX_PACKED_PER_SECOND: u64 = 8 << 20;
/// The maximum number of times that a segment is released from quarantine because other segments
/// are accepted.
const MAX_REFUSALS: u32 = 3;

pub(super) struct Uploads {
    pub(super) spool: Arc<Spool>,
    pub(super) bucket: Bucket,
    /// The size of a part in bytes; larger segments are uploaded in parts.
    pub(super) part_size: u64,
    pub(super) on_error: Option<OnError>,
    /// Locked by the only upload that may test whether the bucket accepts segments after a refusal.
    probe: Mutex<Backoff>,
    guard: Guard,
}

impl Uploads {
    pub(super) fn new(
        spool: Arc<Spool>,
        bucket: Bucket,
        part_size: u64,
        on_error: Option<OnError>,
    ) -> Self {
        spool.queue.with(|state| state.has_ended = false);
        Self {
            spool,
            bucket,
            part_size,
            on_error,
            probe: Mutex::new(Backoff::new(FIRST_REFUSAL_PAUSE, MAX_REFUSAL_PAUSE)),
            guard: Guard::default(),
        }
    }

    /// Runs until the store is dropped.
    pub(super) async fn run(self) {
        let queue = &self.spool.queue;
        let sends =
            futures_util::future::join_all((0..MAX_CONCURRENT_UPLOADS).map(|_| self.send_all()));
        tokio::select! {
            () = self.seal_old() => {}
            () = self.recover_all() => {}
            () = self.pack_all() => {}
            () = queue.give_back() => {}
            () = self.try_refused() => {}
            _ = sends => {}
            () = queue.closed() => {}
        }
        let (left, folder) = (queue.with(|state| state.stats.spooled), &self.spool.folder);
        if left > 0 {
            tracing::warn!(
                segments = left, folder = %folder.path().display(), bucket = %self.bucket,
                "segments stay in the spool until the next recording to this bucket"
            );
        }
    }

    async fn seal_old(&self) {
        let queue = &self.spool.queue;
        loop {
            let until = queue.until(|state| state.open_until).await;
            tokio::select! {
                () = sleep_until(until) => {
                    let spool = self.spool.clone();
                    let now = Instant::now();
                    let _ = blocking(move || { spool.seal(Some(now)); Ok(()) }).await;
                }
                // The segment was full before.
                () = queue.until(|state| (state.open_until != Some(until)).then_some(())) => {}
            }
        }
    }

    async fn recover_all(&self) {
        loop {
            sleep(RECOVERY_INTERVAL).await;
            let spool = self.spool.clone();
            if let Err(error) = blocking(move || spool.recover()).await {
                tracing::debug!(%error, "recovery of the spool failed");
            }
        }
    }

    async fn pack_all(&self) {
        loop {
            let queue = &self.spool.queue;
            let sealed = queue.until(|state| state.to_pack.pop_front()).await;
            let size = sealed.size;
            self.pack(sealed).await;
            let time = Duration::from_millis(size.saturating_mul(1000) / MAX_PACKED_PER_SECOND);
            self.spool.rest(time).await;
        }
    }

    async fn pack(&self, sealed: Sealed) {
        let flushes = self.spool.queue.flushes();
        let (spool, segment) = (self.spool.clone(), sealed.clone());
        let packed = blocking(move || spool.pack(&segment, spool.is_urgent())).await;
        match packed {
            Ok(size) => self.packed(sealed, size),
            Err(error) if is_hopeless(&error) => {
                self.quarantine(sealed, FileKind::Plain, true, &error).await;
            }
            Err(error) if is_gone(&error) => self.spool.lose(&sealed, &error),
            Err(error) => {
                tracing::warn!(%error, "compressing a segment failed; retrying");
                self.spool.queue.put_back(sealed, false, flushes);
            }
        }
    }

    /// Counts a compressed segment, or removes a segment without exchanges.
    fn packed(&self, mut sealed: Sealed, size: Option<u64>) {
        self.spool.queue.change(|state| {
            state.stats.spooled_bytes -= sealed.size;
            if let Some(size) = size {
                state.stats.spooled_bytes += size;
                sealed.size = size;
                sealed.backoff.reset();
                state.to_send.push_back(sealed);
            } else {
                state.stats.spooled -= 1;
                state.settle(&sealed.name);
            }
        });
    }

    async fn send_all(&self) {
        loop {
            let queue = &self.spool.queue;
            let sealed = queue.until(|state| state.to_send.pop_front()).await;
            self.send(sealed).await;
        }
    }

    /// Uploads a segment, with retries until it succeeds. A refused segment goes into quarantine,
    /// and an unreadable one back into the queue.
    async fn send(&self, mut sealed: Sealed) {
        loop {
            let flushes = self.spool.queue.flushes();
            let probe = self.admitted().await;
            match self.attempt(&sealed).await {
                Ok(size) => return self.uploaded(sealed, size, probe).await,
                Err(error) if is_permanent(&error) => {
                    // An existing object blocks one segment only.
                    let is_hopeless = is_there_already(&error);
                    self.quarantine(sealed, FileKind::Packed, is_hopeless, &error)
                        .await;
                    if !is_hopeless {
                        self.refused(&error, probe);
                    }
                    return;
                }
                Err(error) if is_gone(&error) => return self.spool.lose(&sealed, &error),
                Err(error) => {
                    sealed.was_tried = true;
                    let first = self.spool.queue.change(|state| {
                        state.stats.retried += 1;
                        state.stats.retried == 1
                    });
                    if first {
                        tracing::warn!(%error, "upload failed; retrying (further failures are only counted)");
                    } else {
                        tracing::debug!(%error, "upload failed; retrying");
                    }
                    if !is_transient(&error) {
                        return self.spool.queue.put_back(sealed, true, flushes);
                    }
                }
            }
            drop(probe);
            let pause = sealed.backoff.next();
            self.spool.queue.pause(pause, flushes).await;
        }
    }

    /// Waits while the bucket refuses all segments. After the wait, one upload at a time may test
    /// the bucket.
    async fn admitted(&self) -> Option<MutexGuard<'_, Backoff>> {
        let queue = &self.spool.queue;
        queue.with(|state| state.refusal.as_ref().map(drop))?;
        let probe = self.probe.lock().await;
        loop {
            let try_again =
                |state: &mut QueueState| state.refusal.as_ref().map(|known| known.try_again);
            let time = queue.with(try_again)?;
            tokio::select! {
                () = sleep_until(time) => return Some(probe),
                // An upload in progress succeeded, or a flush began.
                () = queue.until(|state| (try_again(state) != Some(time)).then_some(())) => {}
            }
        }
    }

    fn refused(&self, error: &StoreError, probe: Option<MutexGuard<'_, Backoff>>) {
        let was_probe = probe.is_some();
        // Only the testing upload extends the pause.
        let wait = match probe {
            Some(mut backoff) => backoff.next(),
            None => FIRST_REFUSAL_PAUSE,
        };
        let is_first = self.spool.queue.change(|state| {
            state.refusals += 1;
            let is_first = state.refusal.is_none();
            if is_first || was_probe {
                state.refusal = Some(Refusal {
                    reason: error.to_string(),
                    try_again: Instant::now() + wait,
                });
            }
            is_first
        });
        if is_first {
            tracing::error!(
                %error, folder = %self.spool.folder.quarantine().display(),
                "the bucket refuses all segments: they are kept, and one is retried at intervals"
            );
        }
    }

    async fn attempt(&self, sealed: &Sealed) -> Result<u64, StoreError> {
        let delivery = Delivery {
            bucket: &self.bucket,
            folder: &self.spool.folder,
            name: &sealed.name,
            part_size: self.part_size,
            was_tried: sealed.was_tried,
        };
        delivery.attempt().await
    }

    async fn uploaded(&self, sealed: Sealed, size: u64, probe: Option<MutexGuard<'_, Backoff>>) {
        let file = self.spool.folder.file(&sealed.name, FileKind::Packed);
        let deleted = blocking(move || {
            fs::remove_file(&file).map_err(|error| StoreError::io("delete the file", &file, error))
        });
        if let Err(error) = deleted.await {
            tracing::warn!(%error, "uploaded segment left in the spool");
        }
        let (was_refused, released) = self.spool.queue.change(|state| {
            state.stats.uploaded += 1;
            state.stats.uploaded_bytes += size;
            state.stats.spooled -= 1;
            state.stats.spooled_bytes -= sealed.size;
            state.settle(&sealed.name);
            let was_refused = state.refusal.take().is_some();
            // A limited number of times: the segment itself may be the cause.
            let released = state.release(|sealed| {
                was_refused && !sealed.is_hopeless && sealed.refusals <= MAX_REFUSALS
            });
            (was_refused, released)
        });
        if was_refused {
            tracing::info!(bucket = %self.bucket, "the bucket accepts segments again");
            // An upload that is waiting with it restarts its pauses.
            if let Some(mut backoff) = probe.or_else(|| self.probe.try_lock().ok()) {
                backoff.reset();
            }
        }
        self.resend(released).await;
    }

    /// Retries a segment in quarantine at intervals while no other segment is pending.
    async fn try_refused(&self) {
        let queue = &self.spool.queue;
        loop {
            let try_again = |state: &mut QueueState| {
                let mut sealed = state.in_quarantine.iter();
                let is_due = state.pending.is_empty() && sealed.any(|sealed| !sealed.is_hopeless);
                let refusal = state.refusal.as_ref().filter(|_| is_due);
                refusal.map(|refusal| refusal.try_again)
            };
            let time = queue.until(try_again).await;
            tokio::select! {
                () = sleep_until(time) => {}
                () = queue.until(|state| (try_again(state) != Some(time)).then_some(())) => continue,
            }
            let mut is_first = true;
            let released = queue.change(|state| {
                state.release(|sealed| !sealed.is_hopeless && std::mem::take(&mut is_first))
            });
            let flushes = queue.flushes();
            if !self.resend(released).await {
                queue.pause(FIRST_REFUSAL_PAUSE, flushes).await;
            }
        }
    }

    async fn resend(&self, released: Vec<Sealed>) -> bool {
        let spool = self.spool.clone();
        let resent = blocking(move || Ok(spool.resend(released)));
        resent.await.unwrap_or_default()
    }

    async fn quarantine(
        &self,
        mut sealed: Sealed,
        kind: FileKind,
        is_hopeless: bool,
        error: &StoreError,
    ) {
        let (spool, name) = (self.spool.clone(), sealed.name.clone());
        if let Err(error) = blocking(move || spool.quarantine(&name, kind)).await {
            tracing::warn!(%error, "moving a refused segment into quarantine failed");
        }
        tracing::warn!(%error, segment = %sealed.name, "segment moved into quarantine");
        if let Some(hook) = &self.on_error {
            self.guard.call("on_error", || hook(error));
        }
        self.spool.queue.change(|state| {
            sealed.was_tried = true;
            sealed.refusals += 1;
            sealed.is_hopeless = is_hopeless;
            state.quarantine(sealed);
        });
    }
}

impl Drop for Uploads {
    /// Ends the uploads, also if the runtime ends before or during them.
    fn drop(&mut self) {
        self.spool.queue.change(|state| state.has_ended = true);
    }
}

/// Whether a retry is useless until a person changes the configuration.
fn is_permanent(error: &StoreError) -> bool {
    match error {
        StoreError::Other(error) => error.is::<InvalidBucket>(),
        error => S3Problem::of(error).is_some_and(|problem| !problem.is_transient()),
    }
}

/// Whether the file of a segment is not WARC.
fn is_hopeless(error: &StoreError) -> bool {
    let is_format = |kind| matches!(kind, ErrorKind::InvalidData | ErrorKind::UnexpectedEof);
    let source = error.source().and_then(|source| source.downcast_ref());
    source.is_some_and(|error: &io::Error| is_format(error.kind()))
}
