//! Ownership of files in a spool that several processes share.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::folder::{LOCK, SpoolFolder};
use crate::store::{StoreError, access::Access};

/// The right to the files of one writer: a lock on `<writer>.lock`, held until the last `Arc` is
/// dropped.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) writer: String,
    folder: SpoolFolder,
    path: PathBuf,
    _lock: File,
}

impl Owner {
    /// Creates the lock of a new writer.
    pub(super) fn new(folder: &SpoolFolder, writer: &str) -> Result<Arc<Self>, StoreError> {
        let path = path(folder, writer);
        let new = path.with_added_extension("new");
        let failed = |error| StoreError::io("create the file", &new, error);
        let access = Access::default();
        let lock = access
            .options()
            .write(true)
            .create_new(true)
            .open(&new)
            .map_err(failed)?;
        let checked = lock
            .metadata()
            .and_then(|created| folder.check_owner(&created));
        if let Err(error) = checked {
            let _ = fs::remove_file(&new);
            return Err(failed(error));
        }
        // Locked under a temporary name, so that no other process takes it for an orphan. On a file
        // system without locks, no other process can adopt it either.
        let _ = lock.lock();
        fs::rename(&new, &path).map_err(failed)?;
        Ok(Arc::new(Self {
            writer: writer.to_owned(),
            folder: folder.clone(),
            path,
            _lock: lock,
        }))
    }

    /// Takes the lock of a dead writer. Returns `None` if the writer is alive.
    pub(super) fn adopt(folder: &SpoolFolder, writer: &str) -> io::Result<Option<Arc<Self>>> {
        let path = path(folder, writer);
        let lock = Access::default()
            .options()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Arc::new(Self {
                writer: writer.to_owned(),
                folder: folder.clone(),
                path,
                _lock: lock,
            }))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        // The lock is still held here, so no other process adopts the writer meanwhile.
        if self.folder.has_none_of(&self.writer) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn path(folder: &SpoolFolder, writer: &str) -> PathBuf {
    let path: &Path = folder.path();
    path.join(format!("{writer}.{LOCK}"))
}
