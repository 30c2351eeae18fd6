//! The contents of a recording, counted.

use std::{fmt, sync::Arc};

use crate::store::{FolderReport, StoreError};

/// The maximum number of notes in a report.
const MAX_NOTES: usize = 100;

/// The contents of a recording: the number of exchanges, the parts that were skipped, and notes.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RecordingReport {
    /// The number of exchanges.
    pub exchanges: usize,
    /// The parts that cannot be read, and were skipped.
    pub skipped: Vec<Arc<StoreError>>,
    /// Changes and omissions in exchanges, because HTTP forbids a value or the file lacks one; at
    /// most 100 different ones.
    pub notes: Vec<Note>,
    /// The contents of the folder by layout; `None` unless the recording is a folder.
    pub folder: Option<FolderReport>,
}

/// A change that was made to exchanges in order to read them.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Note {
    /// The first changed value in the file, such as `$.log.entries[3].request.headers[0]`.
    pub path: String,
    /// The change, in words.
    pub what: String,
    /// The number of values in the file with the same change, the first one included.
    pub count: usize,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.what)?;
        match self.count - 1 {
            0 => Ok(()),
            1 => f.write_str(" (and in one other place)"),
            more => write!(f, " (and in {more} other places)"),
        }
    }
}

impl Note {
    /// Adds the note to `notes`, or counts it with the same one.
    pub(in crate::store) fn add(self, notes: &mut Vec<Self>) {
        if let Some(same) = notes.iter_mut().find(|note| note.what == self.what) {
            same.count += self.count;
        } else if notes.len() < MAX_NOTES {
            notes.push(self);
        }
    }
}

impl RecordingReport {
    pub(super) fn add(&mut self, note: Note) {
        note.add(&mut self.notes);
    }
}
