//! The spool: exchanges on disk until they are uploaded.

use std::{
    fs, mem,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use tokio::time::{Instant, sleep};

use super::{
    folder::{FileKind, SpoolFolder},
    name::{SegmentName, new_writer},
    owner::Owner,
    pack,
    queue::{QueueState, Sealed, SegmentQueue},
    segment::OpenSegment,
};
use crate::{
    message::Exchange,
    store::StoreError,
    util::{sync::lock, time::FOREVER},
};

pub(super) struct Spool {
    pub(super) folder: SpoolFolder,
    pub(super) queue: SegmentQueue,
    max_bytes: u64,
    max_segment_bytes: u64,
    max_segment_age: Duration,
    pub(super) writer: Mutex<SpoolWriter>,
}

#[derive(Default)]
pub(super) struct SpoolWriter {
    /// The lock on this writer's files; `None` before the first exchange.
    pub(super) owner: Option<Arc<Owner>>,
    /// The locks of dead writers, whose segments this store uploads.
    pub(super) adopted: Vec<Arc<Owner>>,
    pub(super) open: Option<OpenSegment>,
    /// The number of exchanges that were stored so far.
    sequence: u64,
    /// The start time of the last segment: a clock that is set back must not change the order of
    /// segments.
    begun: Option<SystemTime>,
    buffer: Vec<u8>,
}

impl Spool {
    pub(super) fn new(
        folder: SpoolFolder,
        max_bytes: u64,
        max_segment_bytes: u64,
        max_segment_age: Duration,
    ) -> Self {
        Self {
            folder,
            queue: SegmentQueue::default(),
            max_bytes,
            max_segment_bytes,
            max_segment_age: max_segment_age.min(FOREVER),
            writer: Mutex::default(),
        }
    }

    /// Appends exchanges, all or none, to the open segment, and seals it when it is full.
    pub(super) fn append(
        &self,
        exchanges: &[Arc<Exchange>],
        now: Instant,
    ) -> Result<(), StoreError> {
        // An empty segment would have the name of the next one.
        if exchanges.is_empty() {
            return Ok(());
        }
        let writer = &mut *lock(&self.writer);
        let full = || StoreError::Full {
            location: self.folder.path().into(),
            max_bytes: self.max_bytes,
        };
        let room = || {
            let spooled = self.queue.with(|state| state.stats.spooled_bytes);
            self.max_bytes.saturating_sub(spooled)
        };
        // An estimate, which avoids a new file without room for the batch.
        let more: usize = exchanges.iter().map(|exchange| exchange.weight()).sum();
        if more as u64 > room() {
            return Err(full());
        }
        // Exchanges appended to a deleted file would be lost.
        if writer.open.as_ref().is_some_and(|open| !open.is_there()) {
            tracing::error!(folder = %self.folder.path().display(), "exchanges lost: a file of the spool was deleted");
            let lost = mem::take(&mut writer.open).map_or(0, |open| open.len);
            self.queue.change(|state| {
                state.open_until = None;
                state.stats.spooled -= 1;
                state.stats.spooled_bytes -= lost;
            });
        }
        if writer.open.is_none() {
            let segment = self.begin(writer)?;
            self.queue.change(|state| {
                state.open_until = Some(now + self.max_segment_age);
                state.stats.spooled += 1;
                state.stats.spooled_bytes += segment.len;
            });
            writer.open = Some(segment);
        }
        let Some(open) = &mut writer.open else {
            return Ok(());
        };
        let before = open.len;
        let appended = open.append(exchanges, &mut writer.buffer, room());
        let appended = appended.and_then(|has_room| has_room.then_some(()).ok_or_else(full));
        let grown = open.len - before;
        self.queue.with(|state| state.stats.spooled_bytes += grown);
        // A torn segment may contain some of them, and the next one needs another name.
        if appended.is_ok() || open.is_torn {
            writer.sequence += exchanges.len() as u64;
        }
        if open.is_torn || open.len >= self.max_segment_bytes {
            self.seal_open(writer);
        }
        appended
    }

    fn begin(&self, writer: &mut SpoolWriter) -> Result<OpenSegment, StoreError> {
        SpoolFolder::create(self.folder.path())?;
        let owner = match &writer.owner {
            Some(owner) => owner,
            None => writer
                .owner
                .insert(Owner::new(&self.folder, &new_writer())?),
        };
        let now = SystemTime::now();
        let begun = writer.begun.map_or(now, |before| before.max(now));
        writer.begun = Some(begun);
        let name = SegmentName::new(begun, &owner.writer, writer.sequence);
        OpenSegment::create(&self.folder, name)
    }

    /// Seals the open segment. If `only_if_old_at` is given, seals the segment only if it has
    /// reached its maximum age at that time.
    pub(super) fn seal(&self, only_if_old_at: Option<Instant>) {
        let writer = &mut *lock(&self.writer);
        let until = self.queue.with(|state| state.open_until);
        if only_if_old_at.is_none_or(|now| until.is_some_and(|until| until <= now)) {
            self.seal_open(writer);
        }
    }

    fn seal_open(&self, writer: &mut SpoolWriter) {
        let (Some(segment), Some(owner)) = (writer.open.take(), &writer.owner) else {
            return;
        };
        let mut sealed = Sealed::new(segment.name.clone(), segment.len, owner.clone());
        sealed.needs_repair = segment.is_torn || segment.is_empty;
        // Closed before another thread opens it.
        drop(segment);
        self.queue.change(|state| {
            state.open_until = None;
            state.stats.sealed += 1;
            state.push(sealed, false);
        });
    }

    /// Queues segments that were released from quarantine. Returns false if a file could not be
    /// moved.
    pub(super) fn resend(&self, released: Vec<Sealed>) -> bool {
        let mut all = true;
        for sealed in released {
            let file = self.folder.file(&sealed.name, FileKind::Packed);
            match self.release(&sealed.name, FileKind::Packed) {
                Ok(()) => self.queue.change(|state| state.to_send.push_back(sealed)),
                Err(error) if is_gone(&error) && !file.exists() => self.lose(&sealed, &error),
                Err(error) => {
                    tracing::warn!(%error, "segment left in quarantine");
                    self.queue.change(|state| state.quarantine(sealed));
                    all = false;
                }
            }
        }
        all
    }

    /// Removes a segment whose file is missing from the queue. If the file returns, recovery finds
    /// it.
    pub(super) fn lose(&self, sealed: &Sealed, error: &StoreError) {
        tracing::error!(%error, "exchanges lost: a file of the spool was deleted");
        self.queue.change(|state| state.lose(sealed));
    }

    /// Moves a segment out of quarantine.
    pub(super) fn release(&self, name: &SegmentName, kind: FileKind) -> Result<(), StoreError> {
        let from = self.folder.quarantined(name, kind);
        fs::rename(&from, self.folder.file(name, kind))
            .map_err(|error| StoreError::io("move the file out of quarantine", &from, error))
    }

    /// Moves a segment into quarantine.
    pub(super) fn quarantine(&self, name: &SegmentName, kind: FileKind) -> Result<(), StoreError> {
        SpoolFolder::create(&self.folder.quarantine())?;
        let from = self.folder.file(name, kind);
        fs::rename(&from, self.folder.quarantined(name, kind))
            .map_err(|error| StoreError::io("move the file into quarantine", &from, error))
    }

    /// Compresses a segment, on a thread of low priority unless `is_urgent`. Returns `None` if the
    /// segment had no exchanges and was deleted.
    pub(super) fn pack(&self, sealed: &Sealed, is_urgent: bool) -> Result<Option<u64>, StoreError> {
        let name = &sealed.name;
        let path = self.folder.file(name, FileKind::Plain);
        if sealed.needs_repair && !pack::repair(&self.folder, name)? {
            fs::remove_file(&path)
                .map_err(|error| StoreError::io("delete the file", &path, error))?;
            return Ok(None);
        }
        let pack = || pack::pack(&self.folder, name);
        let packed = if is_urgent {
            pack()
        } else {
            pack::in_the_background(pack).and_then(|packed| packed)
        };
        packed
            .map(Some)
            .map_err(|error| StoreError::io("compress the file", &path, error))
    }

    /// Whether compression must not pause: the spool is three quarters full, or a flush is waiting.
    pub(super) fn is_urgent(&self) -> bool {
        self.queue.with(|state| self.is_urgent_in(state))
    }

    fn is_urgent_in(&self, state: &QueueState) -> bool {
        state.stats.spooled_bytes > self.max_bytes - self.max_bytes / 4 || state.is_flushing()
    }

    /// Waits for `time`, or until compression is urgent, whichever is first.
    pub(super) async fn rest(&self, time: Duration) {
        let urgent = |state: &mut QueueState| self.is_urgent_in(state).then_some(());
        tokio::select! {
            () = sleep(time) => {}
            () = self.queue.until(urgent) => {}
        }
    }
}

/// Whether the error is that of a missing file.
pub(super) fn is_gone(error: &StoreError) -> bool {
    matches!(error, StoreError::NotFound { .. })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use bytes::Bytes;
    use http::{Request, Response};

    use super::*;
    use crate::store::Bucket;

    #[test]
    fn a_waiting_flush_makes_compression_urgent() {
        let folder = tempfile::tempdir().unwrap();
        let folder = SpoolFolder::of(Some(folder.path()), &Bucket::from("traffic"));
        let spool = Spool::new(folder, 1 << 20, 1 << 20, Duration::from_mins(1));
        assert!(!spool.is_urgent());
        let waits = [spool.queue.begin_flush(), spool.queue.begin_flush()];
        assert!(spool.is_urgent());
        drop(waits);
        assert!(!spool.is_urgent());
        spool
            .queue
            .with(|state| state.stats.spooled_bytes = 1 << 20);
        assert!(spool.is_urgent());
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_ends_when_compression_becomes_urgent() {
        let folder = tempfile::tempdir().unwrap();
        let folder = SpoolFolder::of(Some(folder.path()), &Bucket::from("traffic"));
        let spool = Spool::new(folder, 1 << 20, 1 << 20, Duration::from_mins(1));
        let (began, minute) = (Instant::now(), Duration::from_mins(1));
        spool.rest(minute).await;
        assert_eq!(began.elapsed(), minute);

        let fill = async {
            sleep(minute).await;
            let fill = |state: &mut QueueState| state.stats.spooled_bytes = 1 << 20;
            spool.queue.change(fill);
        };
        tokio::join!(spool.rest(minute * 60), fill);
        assert_eq!(began.elapsed(), minute * 2);
    }

    #[test]
    fn a_torn_segment_is_followed_by_a_new_name() {
        let folder = tempfile::tempdir().unwrap();
        let folder = SpoolFolder::of(Some(folder.path()), &Bucket::from("traffic"));
        let spool = Spool::new(folder, 1 << 20, 1 << 20, Duration::from_mins(1));
        let exchange = Exchange::new(
            Request::new(Bytes::new()),
            Response::new(Bytes::from_static(b"hello")),
        );
        let exchanges = [Arc::new(exchange)];
        let mut open = spool.begin(&mut lock(&spool.writer)).unwrap();
        open.break_file();
        let torn = open.name.clone();
        lock(&spool.writer).open = Some(open);
        spool.append(&exchanges, Instant::now()).unwrap_err();
        assert!(spool.queue.with(|state| state.pending.contains(&torn)));

        // As if it had been compressed.
        fs::remove_file(spool.folder.file(&torn, FileKind::Plain)).unwrap();
        spool.append(&exchanges, Instant::now()).unwrap();
        let next = lock(&spool.writer).open.as_ref().unwrap().name.clone();
        assert_ne!(next, torn);
    }
}
