//! What a folder has in it, to be looked up: shared by the stores that keep a recording in one.

use std::{
    io,
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, RwLock, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use super::{
    Report,
    index::{Index, Place},
    segment::{self, Event},
    walk::{Found, walk},
};
use crate::{
    format::warc::Depth,
    matching::{Key, Matching},
    message::Exchange,
    store::{BoxStream, StoreError, Which, read_ahead::on_a_thread},
    util::sync::{lock, read, write},
};

/// The index of a folder, and the one who writes into it.
#[derive(Default)]
pub(in crate::store) struct Contents<W> {
    writer: Mutex<W>,
    index: RwLock<Option<Index>>,
    has_told: AtomicBool,
}

impl<W> Contents<W> {
    /// The writer. As long as it is held nobody builds the index: what is written meanwhile would be
    /// missing from it, or be there twice.
    pub(in crate::store) fn writer(&self) -> MutexGuard<'_, W> {
        lock(&self.writer)
    }

    /// The index, if there is one already.
    pub(in crate::store) fn index(&self) -> RwLockWriteGuard<'_, Option<Index>> {
        write(&self.index)
    }

    pub(in crate::store) fn is_indexed(&self) -> bool {
        read(&self.index).is_some()
    }

    /// Builds the index if there is none.
    pub(in crate::store) fn build(
        &self,
        _writer: &MutexGuard<'_, W>,
        folder: &Path,
        matching: &Matching,
    ) -> Result<(), StoreError> {
        let mut slot = self.index();
        if slot.is_none() {
            *slot = Some(Index::build(folder, matching)?);
        }
        Ok(())
    }

    /// Calls `ask` with the index, which is built if need be.
    fn with_index<T>(
        &self,
        folder: &Path,
        matching: &Matching,
        ask: impl Fn(&Index) -> T,
    ) -> Result<T, StoreError> {
        loop {
            if let Some(index) = &*read(&self.index) {
                return Ok(ask(index));
            }
            self.build(&self.writer(), folder, matching)?;
        }
    }

    pub(in crate::store) fn report(
        &self,
        folder: &Path,
        matching: &Matching,
    ) -> Result<Report, StoreError> {
        self.with_index(folder, matching, |index| index.report.clone())
    }

    /// Whether nothing is recorded. A folder that is not there is empty.
    pub(in crate::store) fn is_empty(
        &self,
        folder: &Path,
        matching: &Matching,
    ) -> Result<bool, StoreError> {
        match self.with_index(folder, matching, |index| index.report.exchanges == 0) {
            Err(StoreError::NotFound { .. }) => Ok(true),
            answer => answer,
        }
    }

    pub(in crate::store) fn look_up(
        &self,
        folder: &Path,
        matching: &Matching,
        key: Key,
        which: Which,
    ) -> Result<Option<Arc<Exchange>>, StoreError> {
        loop {
            let place = match self.with_index(folder, matching, |index| index.find(key, which)) {
                Ok(Some(place)) => place,
                Ok(None) => return Ok(None),
                Err(StoreError::NotFound { path }) => {
                    // The first look-up of a recording that is yet to be made, or a slip in its path.
                    if !self.has_told.swap(true, Ordering::Relaxed) {
                        tracing::warn!(path = %path.display(), "there is no recording here (yet)");
                    }
                    return Ok(None);
                }
                Err(error) => return Err(error),
            };
            let (kind, path) = match place {
                Place::Segment(file, offset) => return segment::read_at(&file, offset).map(Some),
                Place::Folder(kind, path) => (kind, path),
            };
            match kind.read(&path) {
                Ok(exchange) => return Ok(Some(Arc::new(exchange))),
                // Deleting an entry is how a person has it recorded anew.
                Err(StoreError::NotFound { .. } | StoreError::HalfEntry { .. })
                    if self.forget(key, &path) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn forget(&self, key: Key, path: &Path) -> bool {
        self.index()
            .as_mut()
            .is_some_and(|index| index.forget(key, path))
    }
}

/// Replays a folder: WARC files and http4k's streams in the order of their names, then entries and
/// http4k's caches by path. A folder that does not exist is an error: replaying nothing would look
/// like success.
pub(in crate::store) fn replay(
    folder: Arc<Path>,
) -> BoxStream<'static, Result<Exchange, StoreError>> {
    read_ahead(folder, true)
}

/// Replays a folder and changes nothing in it: a torn tail is an error.
pub(in crate::store) fn examine(
    folder: Arc<Path>,
) -> BoxStream<'static, Result<Exchange, StoreError>> {
    read_ahead(folder, false)
}

fn read_ahead(
    folder: Arc<Path>,
    may_mend: bool,
) -> BoxStream<'static, Result<Exchange, StoreError>> {
    on_a_thread(move |listener| {
        // Nobody listening is no error: the stream was dropped.
        let _ = read_all(&folder, may_mend, &mut |item| {
            if listener.send(item) {
                Ok(())
            } else {
                Err(Gone)
            }
        });
    })
}

/// Nobody listens any more.
struct Gone;

type Send<'a> = &'a mut dyn FnMut(Result<Exchange, StoreError>) -> Result<(), Gone>;

fn read_all(folder: &Path, may_mend: bool, send: Send<'_>) -> Result<(), Gone> {
    let Found {
        segments,
        folders,
        errors,
        ..
    } = match walk(folder) {
        Ok(found) => found,
        Err(error) => return send(Err(error)),
    };
    for error in errors {
        send(Err(error))?;
    }
    for file in segments {
        read_segment(&file, may_mend, send)?;
    }
    for (kind, folder) in folders {
        send(kind.read(&folder))?;
    }
    Ok(())
}

fn read_segment(file: &Path, may_mend: bool, send: Send<'_>) -> Result<(), Gone> {
    let mut outcome = Ok(());
    let on_event = |event| {
        let item = match event {
            Event::Exchange(_, exchange) | Event::Unplaced(exchange) => Ok(*exchange),
            Event::Skipped(error) => Err(error),
            Event::Repaired(_) => return true,
        };
        outcome = send(item);
        outcome.is_ok()
    };
    let read = if may_mend {
        segment::read(file, Depth::Whole, on_event)
    } else {
        segment::examine(file, on_event)
    };
    outcome?;
    read.or_else(|error| send(Err(error)))
}

/// Makes a recording's folder.
pub(in crate::store) fn create(folder: &Path) -> Result<(), StoreError> {
    std::fs::create_dir_all(folder).map_err(|error| match error.kind() {
        // A file of that name.
        io::ErrorKind::AlreadyExists => StoreError::NotAFolder {
            path: folder.to_owned(),
        },
        io::ErrorKind::NotADirectory => StoreError::io("create the folder", folder, error),
        // That it is not found is what is to be changed.
        _ => StoreError::Io {
            action: "create the folder",
            path: folder.to_owned(),
            source: error,
        },
    })
}
