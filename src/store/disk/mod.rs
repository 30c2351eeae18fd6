//! A recording in a folder: WARC segments, each written by one process, all read as one, and what
//! else a folder may have in it.

pub(super) mod contents;
mod index;
mod report;
pub(super) mod segment;
mod walk;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::FutureExt;

pub use self::report::{Repair, Report};
pub(super) use self::walk::Kind;
use self::{contents::Contents, segment::Appender};
use super::{BoxFuture, BoxStream, Compression, Replay, Sink, Source, StoreError, Which, blocking};
use crate::{
    matching::{Key, Matching},
    message::Exchange,
};

/// 256 MiB.
const DEFAULT_SEGMENT_SIZE: u64 = 256 << 20;

/// A recording in a folder. Clones share it.
///
/// It is written as WARC 1.1 (ISO 28500), one exchange after the other, into files that can be read
/// in a pager and by every WARC tool: `traffic-<start>-<writer>-<number>.warc`, or compressed
/// ([`compress`](Self::compress)) and then `.warc.gz` or `.warc.zst`. A file is full at 256 MiB ([`segment_size`](Self::segment_size)), and the next is begun. Several processes may
/// record into one folder: each writes files of its own.
///
/// Nothing is created or read before it is needed: the folder is made with the first exchange, and
/// an index (a hash and a position for each exchange) is built with the first look-up. Exchanges
/// that another process records later are not seen by the index of this one.
///
/// A batch is handed to the operating system in one call and there is no `fsync`: what was stored
/// survives the process, but not a power cut.
///
/// **Torn tails.** A process that is killed while it writes leaves a file that ends within an
/// exchange. Whoever reads the folder next moves that end into a file beside it (`....warc.torn`), if
/// no process is writing the recording's any more (each holds a lock on its own), says so through
/// `tracing`, and lists it in [`report`](Self::report). Bad bytes anywhere else are never cut, but
/// skipped and listed.
///
/// # Any layout
///
/// Whoever opens a folder, as `Disk` or as [`DiskCache`](crate::store::DiskCache), finds all that is in it and in the folders
/// within:
/// - WARC files (`.warc`, `.warc.gz`, `.warc.zst`),
/// - entries of a `DiskCache`,
/// - http4k's folders, with a `request.txt` and a `response.txt`: streams, and caches, which are
///   told by their names, a digest.
///
/// An entry answers before an http4k cache, and both before what was recorded in order, which is
/// [counted](Which::Nth) through WARC files first, then http4k's streams, each by path. A replay gives these in that
/// order, then entries and http4k's caches by path. Files and folders that are hidden (`.git`) and links to folders are
/// passed over; all other files are counted in the [`report`](Self::report).
///
/// ```
/// use tower_traffic::{Matching, ReplayCache, store::Disk};
///
/// let recording = Disk::new("./t").match_by(Matching::new().ignore_query("nonce"));
/// let cache = ReplayCache::from(recording);
/// ```
#[derive(Clone)]
pub struct Disk {
    folder: Arc<Path>,
    matching: Arc<Matching>,
    segment_size: u64,
    compression: Compression,
    contents: Arc<Contents<Appender>>,
}

impl Disk {
    /// The recording in this folder, whether it exists or not.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into().into(),
            matching: Arc::default(),
            segment_size: DEFAULT_SEGMENT_SIZE,
            compression: Compression::default(),
            contents: Arc::default(),
        }
    }

    /// The recording in this folder, read and indexed now.
    ///
    /// # Errors
    /// If there is no such folder ([`StoreError::NotFound`]), it is a file
    /// ([`StoreError::NotAFolder`]), or the system does not let it be listed. Damage in its files
    /// is no error: see [`report`](Self::report).
    pub async fn open(folder: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let disk = Self::new(folder);
        disk.report().await?;
        Ok(disk)
    }

    /// Begins a new file when one has this many bytes. A file may be larger by what is stored at
    /// once.
    ///
    /// To be set before the recording is used.
    pub fn segment_size(mut self, bytes: u64) -> Self {
        self.segment_size = bytes;
        self.contents = Arc::default();
        self
    }

    /// Writes files that are compressed: not by default. What is read may be compressed in any way.
    /// A message of more than 1 GiB cannot be stored then: the batch fails with [`StoreError::Io`].
    ///
    /// To be set before the recording is used.
    pub fn compress(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self.contents = Arc::default();
        self
    }

    /// What makes two requests the same in a look-up.
    ///
    /// To be set before the recording is used.
    pub fn match_by(mut self, matching: Matching) -> Self {
        self.matching = Arc::new(matching);
        self.contents = Arc::default();
        self
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads the folder, unless that was done already, and says what it found.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn report(&self) -> Result<Report, StoreError> {
        let disk = self.clone();
        blocking(move || disk.contents.report(&disk.folder, &disk.matching)).await
    }

    fn append(&self, exchanges: Vec<Arc<Exchange>>) -> Result<(), StoreError> {
        let mut appender = self.contents.writer();
        let is_indexed = self.contents.is_indexed();
        let keys: Vec<_> = exchanges
            .iter()
            .filter(|_| is_indexed)
            .map(|exchange| self.matching.key_of(exchange))
            .collect();
        let (file, offsets) = appender.append(self, exchanges)?;
        if let Some(index) = &mut *self.contents.index() {
            for (key, offset) in keys.into_iter().zip(offsets) {
                index.add(&file, offset, key);
            }
        }
        Ok(())
    }
}

impl Sink for Disk {
    fn store(&self, exchanges: Vec<Arc<Exchange>>) -> BoxFuture<'_, Result<(), StoreError>> {
        let disk = self.clone();
        blocking(move || disk.append(exchanges)).boxed()
    }
}

impl Source for Disk {
    fn matching(&self) -> &Matching {
        &self.matching
    }

    fn find(
        &self,
        key: Key,
        which: Which,
    ) -> BoxFuture<'_, Result<Option<Arc<Exchange>>, StoreError>> {
        let disk = self.clone();
        blocking(move || {
            disk.contents
                .look_up(&disk.folder, &disk.matching, key, which)
        })
        .boxed()
    }

    fn is_empty(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        let disk = self.clone();
        blocking(move || disk.contents.is_empty(&disk.folder, &disk.matching)).boxed()
    }
}

impl Replay for Disk {
    /// File after file, in the order in which their writers began; then what was laid out otherwise
    /// ([any layout](Self#any-layout)). A folder that does not exist is an error here: replaying nothing would
    /// look like success.
    fn replay(&self) -> BoxStream<'static, Result<Exchange, StoreError>> {
        contents::replay(self.folder.clone())
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}
