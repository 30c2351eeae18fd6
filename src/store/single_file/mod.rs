//! Recordings that are one file.

#[cfg(feature = "har")]
mod har;
mod read;
mod report;
#[cfg(feature = "vcr")]
mod vcr;

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

#[cfg(feature = "har")]
pub use self::har::Har;
pub(super) use self::read::{Form, Item, read};
pub use self::report::{FileReport, Note};
#[cfg(feature = "vcr")]
pub use self::vcr::Vcr;
use super::{BoxStream, Memory, StoreError, Which, read_ahead::on_a_thread};
use crate::{
    matching::{Key, Matching},
    message::Exchange,
    util::sync::lock,
};

/// A file that is read: as a stream from its place, and for look-ups all of it into memory.
pub(super) struct File {
    path: Arc<Path>,
    form: Form,
    loaded: Mutex<Option<Loaded>>,
}

struct Loaded {
    memory: Memory,
    report: FileReport,
}

impl File {
    pub(super) fn new(path: Arc<Path>, form: Form) -> Self {
        Self {
            path,
            form,
            loaded: Mutex::default(),
        }
    }

    /// The same file, yet to be read.
    pub(super) fn anew(&self) -> Self {
        Self::new(self.path.clone(), self.form)
    }

    #[cfg(any(feature = "har", feature = "vcr"))]
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Calls `ask` with what is in memory; reads the file before, if need be.
    fn with_loaded<T>(
        &self,
        matching: &Matching,
        ask: impl FnOnce(&Loaded) -> T,
    ) -> Result<T, StoreError> {
        let mut slot = lock(&self.loaded);
        let loaded = match slot.take() {
            Some(loaded) => loaded,
            None => self.load(matching)?,
        };
        Ok(ask(slot.insert(loaded)))
    }

    fn load(&self, matching: &Matching) -> Result<Loaded, StoreError> {
        // What was loaded is all there is, so nothing may make room for it.
        let mut memory = Memory::new().limit(usize::MAX).match_by(matching.clone());
        let report = self.read_all(|exchange| memory.extend([exchange]))?;
        Ok(Loaded { memory, report })
    }

    fn read_all(&self, mut on_exchange: impl FnMut(Exchange)) -> Result<FileReport, StoreError> {
        let mut report = FileReport::default();
        let result = read(&self.path, self.form, &mut |item| {
            report.add(&item);
            match item {
                Item::Exchange(exchange) => on_exchange(*exchange),
                Item::Skipped(error) => report.skipped.push(Arc::new(error)),
                Item::Noted(..) => {}
            }
            true
        });
        match result {
            Ok(()) => {}
            // What stands before is there.
            Err(error @ StoreError::Syntax { .. }) => report.skipped.push(Arc::new(error)),
            Err(error) => return Err(error),
        }
        Ok(report)
    }

    /// Says what is in the file, and keeps nothing of it.
    pub(super) fn scan(&self) -> Result<FileReport, StoreError> {
        if let Some(loaded) = &*lock(&self.loaded) {
            return Ok(loaded.report.clone());
        }
        self.read_all(drop)
    }

    #[cfg(any(feature = "har", feature = "vcr"))]
    pub(super) fn report(&self, matching: &Matching) -> Result<FileReport, StoreError> {
        self.with_loaded(matching, |loaded| loaded.report.clone())
    }

    pub(super) fn find(
        &self,
        matching: &Matching,
        key: Key,
        which: Which,
    ) -> Result<Option<Arc<Exchange>>, StoreError> {
        let found = self.with_loaded(matching, |loaded| loaded.memory.get(key, which));
        match found {
            // The first look-up of a recording that is yet to be made, or a slip in its path.
            Err(StoreError::NotFound { path }) => {
                tracing::warn!(path = %path.display(), "there is no recording here (yet)");
                Ok(None)
            }
            found => found,
        }
    }

    pub(super) fn is_empty(&self, matching: &Matching) -> Result<bool, StoreError> {
        match self.with_loaded(matching, |loaded| loaded.memory.is_empty()) {
            Err(StoreError::NotFound { .. }) => Ok(true),
            is_empty => is_empty,
        }
    }

    /// Every exchange, read on a thread as it is asked for.
    pub(super) fn replay(&self) -> BoxStream<'static, Result<Exchange, StoreError>> {
        let (path, form) = (self.path.clone(), self.form);
        on_a_thread(move |listener| {
            let result = read(&path, form, &mut |item| match item {
                Item::Exchange(exchange) => listener.send(Ok(*exchange)),
                Item::Skipped(error) => listener.send(Err(error)),
                Item::Noted(..) => true,
            });
            if let Err(error) = result {
                // Nobody listening is no error: the stream was dropped.
                listener.send(Err(error));
            }
        })
    }
}
