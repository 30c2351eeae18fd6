//! `Disk`: a stream of WARC files in a folder.

mod appender;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::FutureExt;

use self::appender::Appender;
use super::{
    BoxFuture, BoxStream, Compression, FolderReport, Replay, Sink, Source, StoreError, Which,
    blocking, folder::Folder,
};
use crate::{
    matching::{MatchKey, Matching},
    message::Exchange,
};

/// The default of [`Disk::max_segment_bytes`]: 256 MiB.
const DEFAULT_MAX_SEGMENT_BYTES: u64 = 256 << 20;

/// A recording in a folder of WARC files, to which exchanges are appended. Clones share it.
///
/// The files are WARC 1.1 (ISO 28500), which a pager and every WARC tool can read. The files are
/// named `traffic-<start>-<writer>-<number>.warc`, with `.gz` or `.zst` added when they are
/// [compressed](Self::compress). A new file is begun every 256 MiB
/// ([`max_segment_bytes`](Self::max_segment_bytes)). Several processes may record into one folder:
/// each writes its own files.
///
/// `Disk` does no I/O until it is used: the first exchange creates the folder, and the first
/// look-up builds an index (a hash and a position for each exchange). Exchanges that another
/// process records later are missing from this index.
///
/// Each batch is handed to the operating system in one call, without `fsync`: stored exchanges
/// survive the process, but not a power cut.
///
/// **Torn tails.** A process that is killed while it writes leaves a file that ends within an
/// exchange. The next reader moves that torn tail into a file beside it (`....warc.torn`), logs a
/// warning and lists it in the [`report`](Self::report). A file that a process is still writing is
/// locked and left alone. Damage anywhere else is skipped and listed; those bytes stay in the file.
///
/// # Any layout
///
/// `Disk` and [`DiskCache`](crate::store::DiskCache) read everything in a folder and its
/// subfolders:
///
/// | layout | look-up order | replay order |
/// |---|---|---|
/// | WARC files (`.warc`, `.warc.gz`, `.warc.zst`), then http4k streams, each by path | third; [`Which`] selects among them | first |
/// | entries of a `DiskCache`, by path | first | second |
/// | http4k caches, by path | second | third |
///
/// The folders of [http4k] contain a `request.txt` and a `response.txt` each. A folder named like a
/// SHA-1 digest in base64 belongs to a cache, any other to a stream. Exchanges from http4k's
/// folders and from entries have `began` at the Unix epoch.
///
/// Hidden files and folders (`.git`) and links to folders are skipped. The
/// [`report`](Self::report) counts all other files.
///
/// ```
/// use tower_traffic::{Matching, ReplayCache, store::Disk};
///
/// let recording = Disk::new("./t").match_by(Matching::new().ignore_query("nonce"));
/// let cache = ReplayCache::read_only(recording);
/// ```
///
/// [http4k]: https://www.http4k.org
#[derive(Clone)]
#[must_use]
pub struct Disk {
    folder: Folder<Appender>,
    max_segment_bytes: u64,
    compression: Compression,
}

impl Disk {
    /// Creates a stream in `folder`, which may be missing.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: Folder::new(folder.into().into()),
            max_segment_bytes: DEFAULT_MAX_SEGMENT_BYTES,
            compression: Compression::default(),
        }
    }

    /// Opens the stream in `folder` and builds its index. To read a single file, use
    /// [`store::open`](crate::store::open).
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if `folder` is missing, [`StoreError::Unsupported`] if it is a
    /// file, [`StoreError::Io`] if it cannot be listed. Damage in its files is listed in the
    /// [`report`](Self::report).
    pub async fn open(folder: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let disk = Self::new(folder);
        disk.report().await?;
        Ok(disk)
    }

    /// Begins a new file when the current file has at least `bytes` bytes (default 256 MiB). A file
    /// can exceed the limit by one batch; with 0, every batch has its own file.
    ///
    /// Set this before recording. The returned stream writes a new file and builds a new index.
    /// Clones made before keep their file and index; all of them use the same folder.
    pub fn max_segment_bytes(mut self, bytes: u64) -> Self {
        self.max_segment_bytes = bytes;
        self.folder.detach();
        self
    }

    /// Compresses the files that are written (default: [`Compression::None`]). Files of any
    /// compression are read. A compressed file cannot hold a message of more than 1 GiB: a batch
    /// with such a message fails with [`StoreError::Io`].
    ///
    /// Set this before recording. The returned stream writes a new file and builds a new index.
    /// Clones made before keep their file and index; all of them use the same folder.
    pub fn compress(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self.folder.detach();
        self
    }

    /// Sets whether other users may read the recording (default `false`): by default, new files are
    /// readable by their user only (on Unix 0600, in folders of 0700), and a folder of another user
    /// is refused. With `true`, the process's umask decides. Existing folders keep their
    /// permissions.
    ///
    /// Set this before recording, as [`compress`](Self::compress).
    ///
    /// ```
    /// use tower_traffic::{RecordTraffic, store::Disk};
    ///
    /// let record = RecordTraffic::new(Disk::new("/var/log/traffic").shared(true));
    /// # let _ = record;
    /// ```
    pub fn shared(mut self, shared: bool) -> Self {
        self.folder.access.is_shared = shared;
        self.folder.detach();
        self
    }

    /// Sets the rule by which look-ups match requests.
    ///
    /// The returned stream builds an index of its own by this rule. Clones made before keep their
    /// index; all of them use the same folder.
    pub fn match_by(mut self, matching: Matching) -> Self {
        self.folder.match_by(matching);
        self
    }

    /// Returns the folder of the stream.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Builds the index unless it exists, and reports the contents of the folder.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn report(&self) -> Result<FolderReport, StoreError> {
        self.folder.report().await
    }

    fn append(&self, exchanges: Vec<Arc<Exchange>>) -> Result<(), StoreError> {
        let mut appender = self.folder.writer();
        let is_indexed = self.folder.is_indexed();
        let keys: Vec<_> = exchanges
            .iter()
            .filter(|_| is_indexed)
            .map(|exchange| self.matching().key_of(exchange))
            .collect();
        let (file, offsets) = appender.append(self, exchanges)?;
        if let Some(index) = &mut *self.folder.index() {
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
        self.folder.matching()
    }

    fn find(
        &self,
        key: MatchKey,
        which: Which,
    ) -> BoxFuture<'_, Result<Option<Arc<Exchange>>, StoreError>> {
        self.folder.find(key, which)
    }

    fn is_empty(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.folder.is_empty()
    }
}

impl Replay for Disk {
    /// Streams WARC files in the order in which their writers began, then the [other
    /// layouts](Self#any-layout). A missing folder is an error, because an empty replay would look
    /// like success.
    fn replay(&self) -> BoxStream<'static, Result<Exchange, StoreError>> {
        self.folder.replay()
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk")
            .field("folder", &self.folder())
            .finish_non_exhaustive()
    }
}
