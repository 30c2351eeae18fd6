//! The contents of a recording, counted.

use std::{fmt, sync::Arc};

use crate::store::{Report, StoreError};

/// The most notes in a report.
const MAX_NOTES: usize = 100;

/// The contents of a recording, counted: exchanges, skipped parts and notes.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FileReport {
    /// Number of exchanges.
    pub exchanges: usize,
    /// The parts that cannot be read, and were skipped.
    pub skipped: Vec<Arc<StoreError>>,
    /// Changes and omissions in exchanges, because HTTP forbids a value or the file lacks it; at
    /// most 100 different ones.
    pub notes: Vec<Note>,
    /// For a folder, its contents by layout.
    pub folder: Option<Report>,
}

/// A change to an exchange that was needed to read it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Note {
    /// The first place in the file, such as `$.log.entries[3].request.headers[0]`.
    pub path: String,
    /// The change.
    pub what: String,
    /// Number of places with the same change.
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

impl FileReport {
    #[cfg_attr(not(any(feature = "har", feature = "vcr")), allow(dead_code))]
    pub(super) fn add(&mut self, note: Note) {
        if let Some(same) = self.notes.iter_mut().find(|n| n.what == note.what) {
            same.count += note.count;
        } else if self.notes.len() < MAX_NOTES {
            self.notes.push(note);
        }
    }
}
