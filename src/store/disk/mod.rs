//! A recording in a folder: WARC segments, each written by one process, all read as one.

mod index;
pub(super) mod segment;

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use futures_util::{FutureExt, StreamExt, stream};
use tokio::sync::mpsc;

use self::{
    index::Index,
    segment::{Appender, Event, segments},
};
use super::{BoxFuture, BoxStream, Compression, Replay, Sink, Source, StoreError, Which, blocking};
use crate::{
    Exchange, Key, Matching,
    format::warc::Depth,
    locks::{lock, read, write},
};

/// 256 MiB.
const DEFAULT_SEGMENT_SIZE: u64 = 256 << 20;

/// How many exchanges a replay reads ahead.
const READ_AHEAD: usize = 16;

/// A recording in a folder. Clones share it.
///
/// It is written as WARC 1.1 (ISO 28500), one exchange after the other, into files that can be read
/// in a pager and by every WARC tool: `traffic-<start>-<writer>-<number>.warc`. A file is full at
/// 256 MiB ([`segment_size`](Self::segment_size)), and the next is begun. Several processes may
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
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    appender: Mutex<Appender>,
    index: RwLock<Option<Index>>,
    has_told: AtomicBool,
}

/// What reading a recording's folder came to.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// How many files were read.
    pub segments: usize,
    /// How many exchanges are in them.
    pub exchanges: usize,
    /// Files that ended within an exchange.
    pub repairs: Vec<Repair>,
    /// Parts of files that could not be read, and were skipped ([`StoreError::Corrupt`]), and files
    /// that could not be ([`StoreError::Io`]).
    ///
    /// The content of responses is not read for this: damage there is told when it is looked up or
    /// replayed.
    pub skipped: Vec<Arc<StoreError>>,
}

/// A torn tail.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repair {
    /// The file.
    pub file: PathBuf,
    /// Where the torn exchange began, in bytes from the start of the file.
    pub offset: u64,
    /// How many bytes of it were there.
    pub bytes: u64,
    /// Whether they were cut off, and kept in `....warc.torn` beside the file; not if the file could not be written, or does not have the name
    /// that this crate gives its files.
    pub cut: bool,
}

impl Disk {
    /// The recording in this folder, whether it exists or not.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into().into(),
            matching: Arc::default(),
            segment_size: DEFAULT_SEGMENT_SIZE,
            compression: Compression::default(),
            state: Arc::default(),
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
        self.state = Arc::default();
        self
    }

    /// Writes files that are compressed: not by default. What is read may be compressed in any way.
    /// A message of more than 1 GiB cannot be stored then: the batch fails with [`StoreError::Io`].
    ///
    /// To be set before the recording is used.
    pub fn compress(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self.state = Arc::default();
        self
    }

    /// What makes two requests the same in a look-up.
    ///
    /// To be set before the recording is used.
    pub fn match_by(mut self, matching: Matching) -> Self {
        self.matching = Arc::new(matching);
        self.state = Arc::default();
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
        blocking(move || disk.with_index(|index| Ok(index.report.clone()))).await
    }

    /// Calls `ask` with the index, which is built if need be.
    fn with_index<T>(
        &self,
        ask: impl FnOnce(&Index) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if let Some(index) = &*read(&self.state.index) {
            return ask(index);
        }
        // Nothing is appended meanwhile: it would be missing from the index, or be there twice.
        let _appender = lock(&self.state.appender);
        let mut slot = write(&self.state.index);
        let index = match slot.take() {
            // Somebody else was faster.
            Some(index) => index,
            None => Index::build(&self.folder, &self.matching)?,
        };
        ask(slot.insert(index))
    }

    fn append(&self, exchanges: Vec<Arc<Exchange>>) -> Result<(), StoreError> {
        let mut appender = lock(&self.state.appender);
        // Nobody builds the index meanwhile: that needs the appender too.
        let is_indexed = read(&self.state.index).is_some();
        let keys: Vec<_> = exchanges
            .iter()
            .filter(|_| is_indexed)
            .map(|exchange| self.matching.key_of(exchange))
            .collect();
        let (file, offsets) = appender.append(self, exchanges)?;
        if let Some(index) = &mut *write(&self.state.index) {
            for (key, offset) in keys.into_iter().zip(offsets) {
                index.add(&file, offset, key);
            }
        }
        Ok(())
    }

    fn look_up(&self, key: Key, which: Which) -> Result<Option<Arc<Exchange>>, StoreError> {
        let found = self.with_index(|index| Ok(index.find(key, which)));
        match found {
            Ok(Some((file, offset))) => segment::read_at(&file, offset).map(Some),
            Ok(None) => Ok(None),
            Err(StoreError::NotFound { path }) => {
                // The first look-up of a recording that is yet to be made, or a slip in its path.
                if !self.state.has_told.swap(true, Ordering::Relaxed) {
                    tracing::warn!(path = %path.display(), "there is no recording here (yet)");
                }
                Ok(None)
            }
            Err(error) => Err(error),
        }
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
        blocking(move || disk.look_up(key, which)).boxed()
    }

    fn is_empty(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        let report = self.report();
        async move {
            match report.await {
                Ok(report) => Ok(report.exchanges == 0),
                Err(StoreError::NotFound { .. }) => Ok(true),
                Err(error) => Err(error),
            }
        }
        .boxed()
    }
}

impl Replay for Disk {
    /// Segment after segment, in the order in which their writers began. A folder that does not
    /// exist is an error here: replaying nothing would look like success.
    fn replay(&self) -> BoxStream<'static, Result<Exchange, StoreError>> {
        let folder = self.folder.clone();
        stream::once(async move { read_on_a_thread(folder) })
            .flatten()
            .boxed()
    }
}

fn read_on_a_thread(folder: Arc<Path>) -> BoxStream<'static, Result<Exchange, StoreError>> {
    let (sender, mut receiver) = mpsc::channel(READ_AHEAD);
    let read = move || {
        // Nobody listening is no error: the stream was dropped.
        let files = match segments(&folder) {
            Ok(files) => files,
            Err(error) => return drop(sender.blocking_send(Err(error))),
        };
        for file in files {
            let mut listening = true;
            let read = segment::read(&file, Depth::Whole, |event| {
                let item = match event {
                    Event::Exchange(_, exchange) | Event::Unplaced(exchange) => Ok(*exchange),
                    Event::Skipped(error) => Err(error),
                    Event::Repaired(_) => return true,
                };
                listening = sender.blocking_send(item).is_ok();
                listening
            });
            if let Err(error) = read {
                listening = sender.blocking_send(Err(error)).is_ok();
            }
            if !listening {
                return;
            }
        }
    };
    match thread::Builder::new()
        .name("tower-traffic-replay".to_owned())
        .spawn(read)
    {
        Ok(_) => stream::poll_fn(move |cx| receiver.poll_recv(cx)).boxed(),
        Err(error) => stream::iter([Err(StoreError::other(error))]).boxed(),
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}
