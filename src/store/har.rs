//! `Har`: a HAR 1.2 file.

use std::{
    fmt, fs,
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use futures_util::FutureExt;

use super::{
    BoxFuture, BoxStream, RecordingReport, Replay, Sink, Source, StoreError, Which,
    access::Access,
    blocking,
    file::{FileFormat, RecordingFile},
};
use crate::{
    format::har::{OPENING, TAIL, write_entry},
    matching::{MatchKey, Matching},
    message::Exchange,
    util::sync::lock,
};

/// The size at which the buffer is written to the file.
const WRITE_BUFFER: usize = 256 << 10;

/// A HAR 1.2 file (HTTP Archive), the format that browsers, mitmproxy and Charles export and
/// import. Clones share it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_traffic::{Matching, OnMiss, ReplayCache, store::Har};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("session.har");
/// # std::fs::write(&path, r#"{"log": {"entries": []}}"#)?;
/// let har = Har::open(path).await?.match_by(Matching::new().ignore_authority(true));
/// let replay = ReplayCache::read_only(har).on_miss(OnMiss::Refuse);
/// # Ok(())
/// # }
/// ```
///
/// **Reading.** URIs in a HAR are absolute. At a server, whose requests have only a path, match
/// with [`Matching::ignore_authority`]. Many files deviate from the specification, and are read as
/// far as possible:
/// - Content that is stored decoded loses its `content-encoding`, and `content-length` is corrected.
/// - Content that is missing or cut, of a response or of a request, makes a body that is cut at the
///   limit; the exchange never answers. Only a size of 0 or an empty text is an empty content.
/// - HTTP/2 pseudo-headers (`:authority`) become parts of the URI, international host names become
///   ASCII, and characters that a URI cannot contain are percent-encoded.
/// - Status 0, by which browsers mark a blocked or failed request, makes an exchange without a
///   response. Entries of other schemes (`data:`, `blob:`, `chrome-extension:`) are left out.
/// - Binary content of Polly, and files that are compressed with gzip (feature `gzip`), are decoded.
///
/// An entry that cannot be an exchange is skipped, and the others are served. After a JSON syntax
/// error, reading continues at the next entry; unpaired surrogates become U+FFFD. The
/// [`report`](Self::report) lists such entries, and what was changed in others.
///
/// A HAR from a browser contains every cookie and token. Cookies and tokens are redacted before a
/// look-up ([`Matching::redact`]), but not when the file is read.
///
/// **Writing.** Exchanges are appended, and the file is a complete HAR after every batch. Files of
/// other tools are never written to. Facts without a field in HAR (trailers, how a body ended, the
/// bytes before decoding) are stored in fields whose names begin with `_`, which other tools
/// ignore: reading returns exactly the exchange that was written. With the feature `decompress`,
/// compressed content of up to 64 MiB is decoded, as HAR requires. Dates range from 1970 to 9999,
/// durations up to a hundred days.
///
/// A [replay](Replay) keeps one or two entries in memory; a look-up keeps all exchanges of the file
/// in memory.
#[derive(Clone)]
#[must_use]
pub struct Har {
    file: RecordingFile,
    /// The permissions of a new file.
    access: Access,
    writer: Arc<Mutex<Option<Writer>>>,
}

/// A file that entries are appended to.
struct Writer {
    file: fs::File,
    /// Position of the tail that completes the JSON.
    end: u64,
    is_empty: bool,
}

impl Har {
    /// Creates a recording in the file at `path`, which may be missing.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            file: RecordingFile::new(path.into().into(), FileFormat::Har),
            access: Access::default(),
            writer: Arc::default(),
        }
    }

    /// Opens the recording at `path` and loads it.
    ///
    /// # Errors
    /// If the file is missing or cannot be read. Parts that cannot be read are listed in the
    /// [`report`](Self::report).
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let har = Self::new(path);
        har.report().await?;
        Ok(har)
    }

    /// Sets whether other users may read the file (default `false`): by default, a new file is
    /// readable by its user only (on Unix 0600, and new folders have 0700). With `true`, the
    /// process's umask decides. An existing file keeps its permissions.
    pub fn shared(mut self, shared: bool) -> Self {
        self.access.is_shared = shared;
        self
    }

    /// Sets the rule by which look-ups match requests.
    ///
    /// The returned recording loads the file again. Clones made before keep their rule.
    pub fn match_by(self, matching: Matching) -> Self {
        Self {
            file: self.file.match_by(matching),
            access: self.access,
            writer: Arc::default(),
        }
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Loads the file unless it is loaded already, and reports its contents.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn report(&self) -> Result<RecordingReport, StoreError> {
        self.file.report().await
    }

    fn append(&self, exchanges: &[Arc<Exchange>]) -> Result<(), StoreError> {
        if exchanges.is_empty() {
            return Ok(());
        }
        // Held throughout: a load meanwhile would miss this batch, or have it twice.
        let mut loaded = self.file.loaded();
        let mut slot = lock(&self.writer);
        let writer = match slot.take() {
            Some(writer) => writer,
            None => Writer::open(self.path(), self.access)?,
        };
        let writer = slot.insert(writer);
        if let Err(error) = writer.append(exchanges) {
            // The next batch opens the file again if its tail cannot be restored.
            if writer.restore_tail().is_err() {
                *slot = None;
            }
            return Err(StoreError::io("append to the file", self.path(), error));
        }
        if let Some(loaded) = &mut *loaded {
            loaded.report.exchanges += exchanges.len();
            loaded
                .memory
                .extend(exchanges.iter().map(|exchange| Exchange::clone(exchange)));
        }
        Ok(())
    }
}

impl Writer {
    fn open(path: &Path, access: Access) -> Result<Self, StoreError> {
        let failed = |error| StoreError::io("write the file", path, error);
        if let Some(folder) = path.parent() {
            access
                .create_folders(folder)
                .map_err(|error| StoreError::io("create the folder", folder, error))?;
        }
        let mut file = access
            .options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        // Two writers would overwrite each other's entries. On a file system without locks, the
        // user must prevent that.
        if let Err(fs::TryLockError::WouldBlock) = file.try_lock() {
            let error = io::Error::other("another process is writing to it");
            return Err(failed(error));
        }
        let len = file.metadata().map_err(failed)?.len();
        if len == 0 {
            let text = [OPENING, TAIL].concat();
            file.write_all(text.as_bytes()).map_err(failed)?;
            return Ok(Self {
                file,
                end: OPENING.len() as u64,
                is_empty: true,
            });
        }
        let last = (TAIL.len() + 1) as u64;
        let mut end = Vec::new();
        file.seek(SeekFrom::Start(len.saturating_sub(last)))
            .and_then(|_| file.read_to_end(&mut end))
            .map_err(failed)?;
        if end.get(1..) != Some(TAIL.as_bytes()) {
            let error = io::Error::other(
                "its end was not written by this crate: give a new file, or convert this one",
            );
            return Err(failed(error));
        }
        Ok(Self {
            file,
            end: len - TAIL.len() as u64,
            is_empty: end[0] == b'[',
        })
    }

    /// Appends entries, all or none.
    fn append(&mut self, exchanges: &[Arc<Exchange>]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.end))?;
        let mut end = self.end;
        let mut is_first = self.is_empty;
        let mut buffer = Vec::new();
        for exchange in exchanges {
            write_entry(&mut buffer, exchange, is_first);
            is_first = false;
            if buffer.len() >= WRITE_BUFFER {
                self.file.write_all(&buffer)?;
                end += buffer.len() as u64;
                buffer.clear();
            }
        }
        end += buffer.len() as u64;
        buffer.extend_from_slice(TAIL.as_bytes());
        self.file.write_all(&buffer)?;
        self.end = end;
        self.is_empty = false;
        Ok(())
    }

    /// Removes a partly written batch, and writes the tail again.
    fn restore_tail(&mut self) -> io::Result<()> {
        self.file.set_len(self.end)?;
        self.file.seek(SeekFrom::Start(self.end))?;
        self.file.write_all(TAIL.as_bytes())
    }
}

impl Sink for Har {
    fn store(&self, exchanges: Vec<Arc<Exchange>>) -> BoxFuture<'_, Result<(), StoreError>> {
        let har = self.clone();
        blocking(move || har.append(&exchanges)).boxed()
    }
}

impl Source for Har {
    fn matching(&self) -> &Matching {
        self.file.matching()
    }

    fn find(
        &self,
        key: MatchKey,
        which: Which,
    ) -> BoxFuture<'_, Result<Option<Arc<Exchange>>, StoreError>> {
        self.file.find(key, which)
    }

    fn is_empty(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.file.is_empty()
    }
}

impl Replay for Har {
    /// Streams the entries in the order of the file. A missing file is an error.
    fn replay(&self) -> BoxStream<'static, Result<Exchange, StoreError>> {
        self.file.replay()
    }
}

impl fmt::Debug for Har {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Har")
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}
