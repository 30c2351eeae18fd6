use std::{fmt, sync::Arc};

use super::Item;
use crate::store::{Report, StoreError};

/// So many different notes are kept.
const MOST_NOTES: usize = 100;

/// What reading a recording came to.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct FileReport {
    /// How many exchanges it has.
    pub exchanges: usize,
    /// What could not be read, and was skipped.
    pub skipped: Vec<Arc<StoreError>>,
    /// What was left out of exchanges, or changed in them, because HTTP does not allow it or the file
    /// does not have it; at most 100 different ones.
    pub notes: Vec<Note>,
    /// Of a folder, what it has of each layout.
    pub folder: Option<Report>,
}

/// Something that was left out of an exchange, or changed in it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Note {
    /// Where in the file, as in `$.log.entries[3].request.headers[0]`: the first place of several.
    pub path: String,
    /// What became of it.
    pub what: String,
    /// How many places there are.
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
    /// Counts an item; what is skipped is for the caller to keep.
    pub(super) fn add(&mut self, item: &Item) {
        match item {
            Item::Exchange(_) => self.exchanges += 1,
            Item::Skipped(_) => {}
            Item::Noted(note) => {
                let same = self.notes.iter_mut().find(|n| n.what == note.what);
                if let Some(same) = same {
                    same.count += note.count;
                } else if self.notes.len() < MOST_NOTES {
                    self.notes.push(note.clone());
                }
            }
        }
    }
}
