//! Where the exchanges of a recording stand.

use std::{collections::HashMap, path::Path, sync::Arc};

use super::{
    Report,
    segment::{self, Event, segments},
};
use crate::{Key, Matching, StoreError, format::warc::Depth, store::Which};

/// A hash and a position for each exchange: a look-up costs the same in any recording.
pub(super) struct Index {
    pub(super) report: Report,
    files: Vec<Arc<Path>>,
    positions: HashMap<Key, Positions>,
}

/// Nearly every request was recorded once: the first position needs no allocation.
struct Positions {
    first: Position,
    more: Vec<Position>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Position {
    file: usize,
    offset: u64,
}

impl Index {
    pub(super) fn build(folder: &Path, matching: &Matching) -> Result<Self, StoreError> {
        let mut index = Self {
            report: Report::default(),
            files: Vec::new(),
            positions: HashMap::new(),
        };
        for path in segments(folder)? {
            let file: Arc<Path> = path.into();
            index.report.segments += 1;
            let mut unplaced = 0;
            let read = segment::read(&file, Depth::Lookup, |event| {
                match event {
                    Event::Exchange(offset, exchange) => {
                        index.add(&file, offset, matching.key_of(&exchange));
                    }
                    Event::Unplaced(_) => {
                        index.report.exchanges += 1;
                        unplaced += 1;
                    }
                    Event::Skipped(error) => index.report.skipped.push(Arc::new(error)),
                    Event::Repaired(repair) => index.report.repairs.push(repair),
                }
                true
            });
            if unplaced > 0 {
                let error = StoreError::WholeFile {
                    file: file.to_path_buf(),
                    exchanges: unplaced,
                };
                tracing::warn!(%error, "a part of a recording cannot be looked up");
                index.report.skipped.push(Arc::new(error));
            }
            if let Err(error) = read {
                index.report.skipped.push(Arc::new(error));
            }
        }
        Ok(index)
    }

    /// Adds an exchange; without a key it is only counted.
    pub(super) fn add(&mut self, file: &Arc<Path>, offset: u64, key: Option<Key>) {
        self.report.exchanges += 1;
        let Some(key) = key else { return };
        if self.files.last() != Some(file) {
            self.files.push(file.clone());
        }
        let position = Position {
            file: self.files.len() - 1,
            offset,
        };
        self.positions
            .entry(key)
            .and_modify(|positions| positions.more.push(position))
            .or_insert(Positions {
                first: position,
                more: Vec::new(),
            });
    }

    pub(super) fn find(&self, key: Key, which: Which) -> Option<(Arc<Path>, u64)> {
        let positions = self.positions.get(&key)?;
        let position = match which.index(1 + positions.more.len())? {
            0 => positions.first,
            n => positions.more[n - 1],
        };
        Some((self.files[position.file].clone(), position.offset))
    }
}
