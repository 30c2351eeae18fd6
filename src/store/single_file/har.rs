use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use futures_util::FutureExt;

use super::{File, FileReport, Form};
use crate::{
    format::har::{OPENING, TAIL, write_entry},
    matching::{Key, Matching},
    message::Exchange,
    store::{BoxFuture, BoxStream, Replay, Sink, Source, StoreError, Which, blocking},
    util::sync::lock,
};

/// Written when it is this full, in bytes.
const WRITE_BUFFER: usize = 256 << 10;

/// A HAR 1.2 file (HTTP Archive): what browsers, mitmproxy and Charles export and import. Clones share
/// it.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_traffic::{Matching, OnMiss, ReplayCache, store::Har};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("session.har");
/// # std::fs::write(&path, r#"{"log": {"entries": []}}"#)?;
/// let har = Har::open(path).await?.match_by(Matching::new().ignore_authority());
/// let replay = ReplayCache::from(har).on_miss(OnMiss::Refuse);
/// # Ok(())
/// # }
/// ```
///
/// **Reading.** URIs in a HAR are absolute: at a server, whose requests are `/path`, match with
/// [`Matching::ignore_authority`]. Files are rarely all that the specification asks for, and what is
/// missing is put up with as far as that makes sense:
/// - content stands there decoded while `content-encoding` says `gzip`: the field goes, and
///   `content-length` is set right;
/// - HTTP/2's pseudo-header fields (`:authority`) become what they mean;
/// - a content that the browser had let go of makes an exchange that is cut at the limit, and never
///   answers;
/// - status 0, with which browsers say that they blocked a request or that it failed, makes an exchange
///   without a response.
///
/// An entry that cannot be an exchange is skipped, and the others are served;
/// [`report`](Self::report) lists such entries, and what was changed in others.
///
/// A HAR from a browser has every cookie and token in it. They are replaced before a look-up
/// ([`Matching::redact`]), but not by reading.
///
/// **Writing.** Exchanges are appended to the file, which is a whole HAR after every batch. A file of
/// another tool is not written to. What HAR has no field for (trailers, how a body ended, bytes as they
/// were before they were decoded) stands in fields whose names begin with `_`: other tools ignore them,
/// and read back by this crate an exchange is exactly the one that was written. Content that is
/// compressed is decoded, as HAR wants it, with the feature `decompress` and up to 64 MiB. Dates go from
/// 1970 to 9999, durations up to a hundred days.
///
/// A [replay](Replay) holds an entry or two in memory, a look-up all of the file's exchanges.
#[derive(Clone)]
pub struct Har {
    file: Arc<File>,
    writer: Arc<Mutex<Option<Writer>>>,
    matching: Arc<Matching>,
}

/// A file that entries are appended to.
struct Writer {
    file: fs::File,
    /// Where the tail begins.
    end: u64,
    is_empty: bool,
}

impl Har {
    /// The recording in this file, whether it exists or not.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            file: Arc::new(File::new(path.into().into(), Form::Har)),
            writer: Arc::default(),
            matching: Arc::default(),
        }
    }

    /// The recording in this file, read now.
    ///
    /// # Errors
    /// If there is no such file or the system does not let it be read. A part that cannot be read is
    /// no error: see [`report`](Self::report).
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let har = Self::new(path);
        har.report().await?;
        Ok(har)
    }

    /// What makes two requests the same in a look-up.
    ///
    /// To be set before the recording is used.
    pub fn match_by(self, matching: Matching) -> Self {
        Self {
            file: Arc::new(self.file.anew()),
            writer: Arc::default(),
            matching: Arc::new(matching),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Reads the file, unless that was done already, and says what it found.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn report(&self) -> Result<FileReport, StoreError> {
        let har = self.clone();
        blocking(move || har.file.report(&har.matching)).await
    }

    fn append(&self, exchanges: &[Arc<Exchange>]) -> Result<(), StoreError> {
        if exchanges.is_empty() {
            return Ok(());
        }
        // Nothing is loaded meanwhile: it would be missing there, or be there twice.
        let mut loaded = lock(&self.file.loaded);
        let mut slot = lock(&self.writer);
        let writer = match slot.take() {
            Some(writer) => writer,
            None => Writer::open(self.path())?,
        };
        let writer = slot.insert(writer);
        if let Err(error) = writer.append(exchanges) {
            // The tail may be gone: it is put back with the next file handle, or not at all.
            let repaired = writer.finish();
            if repaired.is_err() {
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
    fn open(path: &Path) -> Result<Self, StoreError> {
        let failed = |error| StoreError::io("write the file", path, error);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .map_err(|error| StoreError::io("create the folder", folder, error))?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        // Two writers would overwrite each other's entries. Where a file system has no locks, that
        // is for the user to see to.
        if let Err(fs::TryLockError::WouldBlock) = file.try_lock() {
            let error = io::Error::other("another process writes to it");
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
                "it does not end as a HAR of this crate: give a new file, or convert this one",
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

    /// Takes back what was written of a batch.
    fn finish(&mut self) -> io::Result<()> {
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
        &self.matching
    }

    fn find(
        &self,
        key: Key,
        which: Which,
    ) -> BoxFuture<'_, Result<Option<Arc<Exchange>>, StoreError>> {
        let har = self.clone();
        blocking(move || har.file.find(&har.matching, key, which)).boxed()
    }

    fn is_empty(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        let har = self.clone();
        blocking(move || har.file.is_empty(&har.matching)).boxed()
    }
}

impl Replay for Har {
    /// In the file's order. A file that does not exist is an error here.
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
