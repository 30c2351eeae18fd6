//! The index of a folder: the positions of its exchanges by match key.

use std::{
    collections::{
        HashMap,
        hash_map::Entry::{Occupied, Vacant},
    },
    path::{Path, PathBuf},
    sync::Arc,
    thread,
};

use super::{
    FolderReport, fixture,
    originals::Originals,
    scan::{Layout, scan},
    segment::{self, SegmentEvent},
};
use crate::{
    format::warc::Depth,
    matching::{MatchKey, Matching},
    store::{Note, StoreError, Which},
};

/// The maximum number of threads that read entries: reading mostly waits for the system.
const MAX_THREADS: usize = 8;
/// The minimum number of folders for each thread: with fewer, a further thread costs more than it
/// saves.
const MIN_FOLDERS_PER_THREAD: usize = 64;

/// Maps match keys to the positions of exchanges: the cost of a look-up does not depend on the
/// number of exchanges.
pub(in crate::store) struct Index {
    pub(super) report: FolderReport,
    pub(super) originals: Arc<Originals>,
    files: Vec<ExchangeLocation>,
    /// Exchanges with a recorded order, by match key.
    positions: HashMap<MatchKey, Positions>,
    /// The only entry for each match key. It answers before all other recordings.
    entries: HashMap<MatchKey, (Layout, Arc<Path>)>,
    /// Entries whose response has a mistake. If nothing else answers, the look-up reports the
    /// mistake.
    faulty: HashMap<MatchKey, Arc<Path>>,
}

/// The location of a stored exchange.
#[derive(Clone)]
pub(super) enum ExchangeLocation {
    Segment(Arc<Path>, u64),
    Folder(Layout, Arc<Path>),
}

/// The positions of all exchanges with one match key. The first position needs no allocation,
/// because most keys have only one.
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
        let found = scan(folder)?;
        let segments: Vec<Arc<Path>> = found.segments.into_iter().map(Arc::from).collect();
        let mut index = Self {
            report: FolderReport::default(),
            originals: Arc::new(Originals::new(segments.iter().cloned())),
            files: Vec::new(),
            positions: HashMap::new(),
            entries: HashMap::new(),
            faulty: HashMap::new(),
        };
        for error in found.errors {
            index.skip(error);
        }
        for path in &segments {
            index.read_segment(path, matching);
        }
        let keys = read_folders(&found.folders, matching);
        for ((layout, path), key) in found.folders.into_iter().zip(keys) {
            match key {
                Ok(key) => index.add_folder(layout, path.into(), key),
                Err((error, key)) => {
                    index.skip(error);
                    if let Some(key) = key {
                        index.faulty.entry(key).or_insert_with(|| path.into());
                    }
                }
            }
        }
        index.report.others = found.others;
        index.report.left_alone = found.named;
        Ok(index)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.report.exchanges == 0 && self.report.skipped.is_empty()
    }

    fn skip(&mut self, error: StoreError) {
        tracing::warn!(%error, "part of a recording skipped");
        self.report.skipped.push(Arc::new(error));
    }

    fn read_segment(&mut self, file: &Arc<Path>, matching: &Matching) {
        self.report.segments += 1;
        let mut unplaced = 0;
        let originals = self.originals.clone();
        let read = segment::read(file, Depth::Lookup, &originals, |event| {
            match event {
                SegmentEvent::Exchange(offset, exchange) => {
                    self.add(file, offset, matching.key_of(&exchange));
                }
                SegmentEvent::Unplaced(_) => {
                    self.report.exchanges += 1;
                    unplaced += 1;
                }
                SegmentEvent::Skipped(error) => self.report.skipped.push(Arc::new(error)),
                SegmentEvent::Noted(mut note) => {
                    note.path = format!("{}: {}", file.display(), note.path);
                    Note::add(note, &mut self.report.notes);
                }
                SegmentEvent::Repaired(repair) => self.report.repairs.push(repair),
            }
            true
        });
        if unplaced > 0 {
            let error = StoreError::damaged(
                &**file,
                format!(
                    "compressed as a whole: its {unplaced} exchanges can be replayed, but not looked up; convert the file"
                ),
            );
            tracing::warn!(%error, "part of a recording cannot be looked up");
            self.report.skipped.push(Arc::new(error));
        }
        if let Err(error) = read {
            self.report.skipped.push(Arc::new(error));
        }
    }

    fn add_folder(&mut self, layout: Layout, path: Arc<Path>, key: Option<MatchKey>) {
        self.report.exchanges += 1;
        match layout {
            Layout::Fixture => self.report.entries += 1,
            Layout::Http4kStream => self.report.http4k_streams += 1,
            Layout::Http4kCache => self.report.http4k_caches += 1,
        }
        let Some(key) = key else { return };
        match layout {
            Layout::Http4kStream => {
                self.files.push(ExchangeLocation::Folder(layout, path));
                self.push(key, 0);
            }
            // They come by layout and path: entries before http4k's, and of several the first
            // answers.
            Layout::Fixture | Layout::Http4kCache => match self.entries.entry(key) {
                Vacant(place) => {
                    place.insert((layout, path));
                }
                Occupied(_) => self.report.hidden += 1,
            },
        }
    }

    /// Adds an exchange of a WARC file. An exchange without a key is only counted.
    pub(in crate::store) fn add(&mut self, file: &Arc<Path>, offset: u64, key: Option<MatchKey>) {
        self.report.exchanges += 1;
        let Some(key) = key else { return };
        let is_last =
            matches!(self.files.last(), Some(ExchangeLocation::Segment(last, _)) if last == file);
        if !is_last {
            self.files.push(ExchangeLocation::Segment(file.clone(), 0));
        }
        self.push(key, offset);
    }

    /// Adds a position in the file that was added last.
    fn push(&mut self, key: MatchKey, offset: u64) {
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

    pub(super) fn find(&self, key: MatchKey, which: Which) -> Option<ExchangeLocation> {
        if let Some((layout, path)) = self.entries.get(&key) {
            return Some(ExchangeLocation::Folder(*layout, path.clone()));
        }
        let Some(positions) = self.positions.get(&key) else {
            let faulty = self.faulty.get(&key)?;
            return Some(ExchangeLocation::Folder(Layout::Fixture, faulty.clone()));
        };
        let position = match which.index(1 + positions.more.len())? {
            0 => positions.first,
            n => positions.more[n - 1],
        };
        Some(match &self.files[position.file] {
            ExchangeLocation::Segment(file, _) => {
                ExchangeLocation::Segment(file.clone(), position.offset)
            }
            folder @ ExchangeLocation::Folder(..) => folder.clone(),
        })
    }

    /// Returns the folder of the entry for `key`.
    pub(in crate::store) fn entry(&self, key: MatchKey) -> Option<&Arc<Path>> {
        match self.entries.get(&key) {
            Some((Layout::Fixture, path)) => Some(path),
            _ => None,
        }
    }

    /// Sets the folder of the entry for `key`.
    pub(in crate::store) fn put(&mut self, layout: Layout, key: MatchKey, path: Arc<Path>) {
        if let Some((k, p)) = self.entries.remove(&key) {
            if (k, &p) == (layout, &path) {
                self.entries.insert(key, (k, p));
                return;
            }
            self.report.hidden += 1;
        }
        self.add_folder(layout, path, Some(key));
    }

    /// Removes a deleted entry. Returns false if another entry has taken its place.
    pub(super) fn forget(&mut self, key: MatchKey, path: &Path) -> bool {
        if self.faulty.get(&key).is_some_and(|p| **p == *path) {
            return self.faulty.remove(&key).is_some();
        }
        let is_there = self.entries.get(&key).is_some_and(|(_, p)| **p == *path);
        if is_there && let Some((layout, _)) = self.entries.remove(&key) {
            self.report.exchanges -= 1;
            match layout {
                Layout::Http4kCache => self.report.http4k_caches -= 1,
                _ => self.report.entries -= 1,
            }
        }
        is_there
    }
}

/// The keys of entries. An entry that cannot be read has an error, with its key if the request is
/// intact.
type Keys = Vec<Result<Option<MatchKey>, (StoreError, Option<MatchKey>)>>;

/// Whether the error is a mistake in one line of a message: the other message may be intact.
fn is_in_a_line(error: &StoreError) -> bool {
    matches!(error, StoreError::Damaged { location, .. } if location.line().is_some())
}

/// Reads entries on several threads, and returns their keys.
fn read_folders(folders: &[(Layout, PathBuf)], matching: &Matching) -> Keys {
    let read = |folders: &[(Layout, PathBuf)]| -> Keys {
        folders
            .iter()
            .map(|(layout, folder)| match layout.read(folder) {
                Ok(exchange) => Ok(matching.key_of(&exchange)),
                Err(error) if is_in_a_line(&error) => {
                    let request = fixture::read_request(folder).ok();
                    Err((error, request.map(|request| matching.key(&request))))
                }
                Err(error) => Err((error, None)),
            })
            .collect()
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let share = folders.len().div_ceil(threads.min(MAX_THREADS));
    let mut shares = folders.chunks(share.max(MIN_FOLDERS_PER_THREAD));
    let first = shares.next().unwrap_or_default();
    thread::scope(|scope| {
        let others: Vec<_> = shares
            .map(|share| {
                (
                    share,
                    thread::Builder::new().spawn_scoped(scope, move || read(share)),
                )
            })
            .collect();
        let mut keys = read(first);
        for (share, thread) in others {
            match thread.map(thread::ScopedJoinHandle::join) {
                Ok(Ok(more)) => keys.extend(more),
                // The thread could not start.
                _ => keys.extend(read(share)),
            }
        }
        keys
    })
}
