//! Recovery of segments that earlier runs and dead writers left in the spool.

use std::fs;

use super::{
    folder::{FileKind, SpoolFile},
    owner::Owner,
    queue::Sealed,
    spool::Spool,
};
use crate::{store::StoreError, util::sync::lock};

impl Spool {
    /// Queues the segments of dead writers, and those that a user moved into the folder.
    pub(super) fn recover(&self) -> Result<(), StoreError> {
        let writer = &mut *lock(&self.writer);
        let entries = match self.folder.entries() {
            Err(StoreError::NotFound { .. }) => return Ok(()),
            entries => entries?,
        };
        let quarantined = self.folder.in_quarantine()?;
        let segments = entries.iter().chain(&quarantined);
        let segments = segments.filter(|entry| entry.kind != FileKind::Torn);
        let mut writers: Vec<_> = segments.map(|entry| entry.name.writer.clone()).collect();
        // Writers without segments only need a cleanup.
        writers.extend(self.folder.locks()?);
        writers.sort_unstable();
        writers.dedup();
        for name in writers {
            let mut ours = writer.adopted.iter().chain(&writer.owner);
            if ours.any(|owner| owner.writer == name) {
                continue;
            }
            match Owner::adopt(&self.folder, &name) {
                Ok(None) => {}
                Ok(Some(owner)) => {
                    self.tidy(&name)?;
                    writer.adopted.push(owner);
                }
                Err(error) => tracing::warn!(
                    %error, folder = %self.folder.path().display(),
                    "segments of an earlier run stay in the spool: locking them failed"
                ),
            }
        }
        // Listed again: under the lock, the files no longer change.
        for entry in self.folder.entries()? {
            let mut ours = writer.adopted.iter().chain(&writer.owner);
            let Some(owner) = ours.find(|owner| owner.writer == entry.name.writer) else {
                continue;
            };
            let is_open = writer.open.as_ref().map(|open| &open.name) == Some(&entry.name);
            let is_packed = entry.kind == FileKind::Packed;
            if is_open || !(is_packed || entry.kind == FileKind::Plain) {
                continue;
            }
            let mut sealed = Sealed::new(entry.name, entry.size, owner.clone());
            (sealed.needs_repair, sealed.was_tried) = (!is_packed, is_packed);
            let file = self.folder.file(&sealed.name, entry.kind);
            self.queue.change(|state| {
                // The segment may have been uploaded or quarantined since the folder was listed.
                if state.pending.contains(&sealed.name) || !file.exists() {
                    return;
                }
                let mut quarantined = state.in_quarantine.iter();
                // A user may have moved it out of quarantine, with changes.
                if let Some(index) = quarantined.position(|other| other.name == sealed.name) {
                    let previous = state.in_quarantine.remove(index);
                    state.stats.spooled_bytes -= previous.size;
                } else {
                    state.stats.recovered += 1;
                    state.stats.spooled += 1;
                }
                state.stats.spooled_bytes += sealed.size;
                state.push(sealed, is_packed);
            });
        }
        // A writer without segments loses its lock.
        let queue = &self.queue;
        writer.adopted.retain(|owner| {
            queue.with(|state| {
                let mut quarantined = state.in_quarantine.iter();
                state.pending.iter().any(|name| name.writer == owner.writer)
                    || quarantined.any(|other| other.name.writer == owner.writer)
            })
        });
        Ok(())
    }

    /// Removes duplicate files of a dead writer, and empties its quarantine.
    fn tidy(&self, writer: &str) -> Result<(), StoreError> {
        let entries = self.folder.entries()?;
        let of_writer = |entry: &&SpoolFile| entry.name.writer == writer;
        for entry in entries.iter().filter(of_writer) {
            let is_packed =
                |other: &SpoolFile| other.kind == FileKind::Packed && other.name == entry.name;
            let is_spare = entry.kind == FileKind::Part
                || entry.kind == FileKind::Plain && entries.iter().any(is_packed);
            if is_spare {
                let path = self.folder.file(&entry.name, entry.kind);
                fs::remove_file(&path)
                    .map_err(|error| StoreError::io("delete the file", &path, error))?;
            }
        }
        for entry in self.folder.in_quarantine()?.iter().filter(of_writer) {
            self.release(&entry.name, entry.kind)?;
        }
        Ok(())
    }
}
