//! A folder of recordings in any layout: scan, index, look-up and replay.

mod fixture;
mod http4k;
mod index;
pub(super) mod originals;
mod replay;
mod report;
mod scan;
pub(super) mod segment;
pub(super) mod torn_tail;

use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, RwLock, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::FutureExt;

pub use self::report::{FolderReport, Repair};
pub(super) use self::{
    fixture::{MAX_FILE_BYTES, REQUEST, RESPONSE, is_body, read as read_fixture},
    index::Index,
    scan::Layout,
};
use self::{index::ExchangeLocation, replay::replay};
use super::{BoxFuture, BoxStream, Replay, Source, StoreError, Which, access::Access, blocking};
use crate::{
    matching::{MatchKey, Matching},
    message::Exchange,
    util::sync::{lock, read, write},
};

/// A folder, its match keys, and the state that its clones share: the index and a writer.
pub(super) struct Folder<W> {
    path: Arc<Path>,
    matching: Arc<Matching>,
    /// The permissions of new files.
    pub(super) access: Access,
    shared: Arc<Shared<W>>,
}

#[derive(Default)]
struct Shared<W> {
    writer: Mutex<W>,
    index: RwLock<Option<Index>>,
    missing_logged: AtomicBool,
}

impl<W> Folder<W> {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Locks the writer. The index is built under the same lock, so that no batch is missing from
    /// it or in it twice.
    pub(super) fn writer(&self) -> MutexGuard<'_, W> {
        lock(&self.shared.writer)
    }

    /// Locks the index, which is `None` until the first look-up.
    pub(super) fn index(&self) -> RwLockWriteGuard<'_, Option<Index>> {
        write(&self.shared.index)
    }

    pub(super) fn is_indexed(&self) -> bool {
        read(&self.shared.index).is_some()
    }

    /// Builds the index, unless it exists.
    pub(super) fn build_index(&self, _writer: &MutexGuard<'_, W>) -> Result<(), StoreError> {
        let mut slot = self.index();
        if slot.is_none() {
            *slot = Some(Index::build(&self.path, &self.matching)?);
        }
        Ok(())
    }

    /// Creates the folder.
    pub(super) fn create(&self) -> Result<(), StoreError> {
        let path = &*self.path;
        self.access
            .create_folders(path)
            .map_err(|error| match error.kind() {
                // A file of that name.
                io::ErrorKind::AlreadyExists => StoreError::not_a_folder(path),
                io::ErrorKind::NotADirectory => StoreError::io("create the folder", path, error),
                // Here "not found" is a failure to create, so not `StoreError::NotFound`.
                _ => StoreError::failed("create the folder", path, error),
            })
    }

    /// Streams the exchanges of the folder without changing any file. A torn tail is an error.
    pub(super) fn replay_unchanged(&self) -> BoxStream<'static, Result<Exchange, StoreError>> {
        replay(self.path.clone(), false)
    }

    fn with_index<T>(&self, look: impl Fn(&Index) -> T) -> Result<T, StoreError> {
        loop {
            if let Some(index) = &*read(&self.shared.index) {
                return Ok(look(index));
            }
            self.build_index(&self.writer())?;
        }
    }

    fn read_at(&self, file: &Path, offset: u64) -> Result<Arc<Exchange>, StoreError> {
        let originals = self.with_index(|index| index.originals.clone())?;
        segment::read_at(file, offset, &originals)
    }

    fn look_up(&self, key: MatchKey, which: Which) -> Result<Option<Arc<Exchange>>, StoreError> {
        loop {
            let place = match self.with_index(|index| index.find(key, which)) {
                Ok(Some(place)) => place,
                Ok(None) => return Ok(None),
                Err(error @ StoreError::NotFound { .. }) => {
                    // Either nothing is recorded yet, or the path is mistyped.
                    if !self.shared.missing_logged.swap(true, Ordering::Relaxed) {
                        tracing::warn!("{error}");
                    }
                    return Ok(None);
                }
                Err(error) => return Err(error),
            };
            let (layout, path) = match place {
                ExchangeLocation::Segment(file, offset) => {
                    return self.read_at(&file, offset).map(Some);
                }
                ExchangeLocation::Folder(layout, path) => (layout, path),
            };
            match layout.read(&path) {
                Ok(exchange) => return Ok(Some(Arc::new(exchange))),
                // People delete an entry to have it recorded anew.
                Err(error) if is_missing(&error) && self.forget(key, &path) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn forget(&self, key: MatchKey, path: &Path) -> bool {
        self.index()
            .as_mut()
            .is_some_and(|index| index.forget(key, path))
    }
}

impl<W: Default + Send + 'static> Folder<W> {
    /// Creates a folder that may be missing.
    pub(super) fn new(path: Arc<Path>) -> Self {
        Self {
            path,
            matching: Arc::default(),
            access: Access::default(),
            shared: Arc::default(),
        }
    }

    /// Gives this value its own index and writer, not shared with its clones.
    pub(super) fn detach(&mut self) {
        self.shared = Arc::default();
    }

    pub(super) fn match_by(&mut self, matching: Matching) {
        self.matching = Arc::new(matching);
        self.detach();
    }

    /// Builds the index unless it exists, and reports the contents of the folder.
    pub(super) async fn report(&self) -> Result<FolderReport, StoreError> {
        let folder = self.clone();
        blocking(move || folder.with_index(|index| index.report.clone())).await
    }
}

impl<W: Default + Send + 'static> Source for Folder<W> {
    fn matching(&self) -> &Matching {
        &self.matching
    }

    fn find(
        &self,
        key: MatchKey,
        which: Which,
    ) -> BoxFuture<'_, Result<Option<Arc<Exchange>>, StoreError>> {
        let folder = self.clone();
        blocking(move || folder.look_up(key, which)).boxed()
    }

    /// Whether the folder has no exchanges, readable or not. A missing folder is empty.
    fn is_empty(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        let folder = self.clone();
        blocking(move || match folder.with_index(Index::is_empty) {
            Err(StoreError::NotFound { .. }) => Ok(true),
            answer => answer,
        })
        .boxed()
    }
}

impl<W: Send + 'static> Replay for Folder<W> {
    fn replay(&self) -> BoxStream<'static, Result<Exchange, StoreError>> {
        replay(self.path.clone(), true)
    }
}

/// Whether the error is that of an entry, or a file of an entry, that is missing.
pub(super) fn is_missing(error: &StoreError) -> bool {
    match error {
        StoreError::NotFound { .. } => true,
        StoreError::Damaged { location, .. } => !location.path().exists(),
        _ => false,
    }
}

impl<W> Clone for Folder<W> {
    fn clone(&self) -> Self {
        Self {
            path: self.path.clone(),
            matching: self.matching.clone(),
            access: self.access,
            shared: self.shared.clone(),
        }
    }
}
