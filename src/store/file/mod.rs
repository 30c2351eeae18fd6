//! A recording in one file: WARC, HAR or VCR.

mod read;
mod report;

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use futures_util::FutureExt;

use self::read::read;
pub(super) use self::read::{FileFormat, FileItem};
pub use self::report::{Note, RecordingReport};
use super::{
    BoxFuture, BoxStream, Memory, Replay, Source, StoreError, Which, blocking,
    reader_thread::on_a_thread,
};
use crate::{
    matching::{MatchKey, Matching},
    message::Exchange,
    util::sync::lock,
};

/// A file that is replayed from disk, and loaded into memory for look-ups. Clones share the loaded
/// content.
#[derive(Clone)]
pub(super) struct RecordingFile {
    path: Arc<Path>,
    format: FileFormat,
    matching: Arc<Matching>,
    loaded: Arc<Mutex<Option<Loaded>>>,
}

pub(super) struct Loaded {
    pub(super) memory: Memory,
    pub(super) report: RecordingReport,
}

impl RecordingFile {
    pub(super) fn new(path: Arc<Path>, format: FileFormat) -> Self {
        Self {
            path,
            format,
            matching: Arc::default(),
            loaded: Arc::default(),
        }
    }

    /// Returns the same file, with a memory of its own for look-ups.
    pub(super) fn match_by(&self, matching: Matching) -> Self {
        Self {
            path: self.path.clone(),
            format: self.format,
            matching: Arc::new(matching),
            loaded: Arc::default(),
        }
    }

    #[cfg(any(feature = "har", feature = "vcr"))]
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Locks the loaded content, `None` if the file is not loaded.
    #[cfg(feature = "har")]
    pub(super) fn loaded(&self) -> std::sync::MutexGuard<'_, Option<Loaded>> {
        lock(&self.loaded)
    }

    /// Calls `look` with the loaded file, which is read first if needed.
    fn with_loaded<T>(&self, look: impl FnOnce(&Loaded) -> T) -> Result<T, StoreError> {
        let mut slot = lock(&self.loaded);
        let loaded = match slot.take() {
            Some(loaded) => loaded,
            None => self.load()?,
        };
        Ok(look(slot.insert(loaded)))
    }

    fn load(&self) -> Result<Loaded, StoreError> {
        // The whole file must fit: eviction would lose exchanges.
        let mut memory = Memory::new()
            .max_bytes(usize::MAX)
            .match_by((*self.matching).clone());
        let report = self.read_all(|exchange| memory.extend([exchange]))?;
        Ok(Loaded { memory, report })
    }

    fn read_all(
        &self,
        mut on_exchange: impl FnMut(Exchange),
    ) -> Result<RecordingReport, StoreError> {
        let mut report = RecordingReport::default();
        let result = read(&self.path, self.format, &mut |item| {
            match item {
                FileItem::Exchange(exchange) => {
                    report.exchanges += 1;
                    on_exchange(*exchange);
                }
                FileItem::Skipped(error) => report.skipped.push(Arc::new(error)),
                FileItem::Noted(note) => report.add(note),
            }
            true
        });
        match result {
            Ok(()) => {}
            // The exchanges before the syntax error are served.
            Err(error @ StoreError::Damaged { .. }) => report.skipped.push(Arc::new(error)),
            Err(error) => return Err(error),
        }
        Ok(report)
    }

    /// Reads the file and reports its contents, without keeping them in memory.
    pub(super) async fn scan(&self) -> Result<RecordingReport, StoreError> {
        let file = self.clone();
        blocking(move || {
            if let Some(loaded) = &*lock(&file.loaded) {
                return Ok(loaded.report.clone());
            }
            file.read_all(drop)
        })
        .await
    }

    /// Loads the file unless it is loaded already, and reports its contents.
    #[cfg(any(feature = "har", feature = "vcr"))]
    pub(super) async fn report(&self) -> Result<RecordingReport, StoreError> {
        let file = self.clone();
        blocking(move || file.with_loaded(|loaded| loaded.report.clone())).await
    }
}

impl Source for RecordingFile {
    fn matching(&self) -> &Matching {
        &self.matching
    }

    fn find(
        &self,
        key: MatchKey,
        which: Which,
    ) -> BoxFuture<'_, Result<Option<Arc<Exchange>>, StoreError>> {
        let file = self.clone();
        blocking(move || {
            match file.with_loaded(|loaded| loaded.memory.get(key, which)) {
                // Either nothing is recorded yet, or the path is mistyped.
                Err(error @ StoreError::NotFound { .. }) => {
                    tracing::warn!("{error}");
                    Ok(None)
                }
                found => found,
            }
        })
        .boxed()
    }

    fn is_empty(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        let file = self.clone();
        blocking(
            move || match file.with_loaded(|loaded| loaded.memory.is_empty()) {
                Err(StoreError::NotFound { .. }) => Ok(true),
                is_empty => is_empty,
            },
        )
        .boxed()
    }
}

impl Replay for RecordingFile {
    fn replay(&self) -> BoxStream<'static, Result<Exchange, StoreError>> {
        let (path, format) = (self.path.clone(), self.format);
        on_a_thread(move |reader| {
            let result = read(&path, format, &mut |item| match item {
                FileItem::Exchange(exchange) => reader.send(Ok(*exchange)),
                FileItem::Skipped(error) => reader.send(Err(error)),
                FileItem::Noted(..) => true,
            });
            if let Err(error) = result {
                // The stream may have been dropped.
                reader.send(Err(error));
            }
        })
    }
}
