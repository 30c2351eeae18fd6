//! Finds the recordings in a folder and its subfolders.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{fixture, http4k, segment};
use crate::{message::Exchange, store::StoreError};

/// The maximum number of other files whose paths are kept.
const MAX_LISTED: usize = 100;

/// The layout of a folder with one exchange. The order of the variants is the replay order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) enum Layout {
    Http4kStream,
    Fixture,
    Http4kCache,
}

#[derive(Default)]
pub(super) struct Found {
    /// WARC files.
    pub(super) segments: Vec<PathBuf>,
    /// Folders with an exchange, by layout and path.
    pub(super) folders: Vec<(Layout, PathBuf)>,
    /// The number of other files, and the paths of some of them.
    pub(super) others: usize,
    pub(super) named: Vec<PathBuf>,
    /// The errors of subfolders that cannot be listed.
    pub(super) errors: Vec<StoreError>,
}

/// Scans a folder and its subfolders. Hidden folders and files, and links, are skipped.
pub(super) fn scan(folder: &Path) -> Result<Found, StoreError> {
    let mut found = Found::default();
    let mut open = Vec::new();
    list(folder, &mut open, &mut found)?;
    while let Some(folder) = open.pop() {
        if let Err(error) = list(&folder, &mut open, &mut found) {
            found.errors.push(error);
        }
    }
    found.segments.sort_unstable();
    found.folders.sort_unstable();
    found.named.sort_unstable();
    Ok(found)
}

fn list(folder: &Path, open: &mut Vec<PathBuf>, found: &mut Found) -> Result<(), StoreError> {
    let failed = |error| StoreError::io("list the folder", folder, error);
    let mut is_fixture = false;
    let mut is_http4k = false;
    let mut bodies = Vec::new();
    for item in fs::read_dir(folder).map_err(failed)? {
        let item = item.map_err(failed)?;
        let name = item.file_name();
        let name = name.as_encoded_bytes();
        if name.starts_with(b".") {
            continue;
        }
        let kind = item.file_type().map_err(failed)?;
        if kind.is_dir() {
            open.push(item.path());
            continue;
        }
        // A pipe, a device, or a link to one or to a folder.
        if !kind.is_file() && !item.path().is_file() {
            found.leave(item.path());
            continue;
        }
        match str::from_utf8(name) {
            Ok(fixture::REQUEST | fixture::RESPONSE) => is_fixture = true,
            Ok(http4k::REQUEST | http4k::RESPONSE) => is_http4k = true,
            _ if segment::is_segment(name) => found.segments.push(item.path()),
            _ if fixture::is_body(name) => bodies.push(item.path()),
            _ => found.leave(item.path()),
        }
    }
    if is_fixture {
        found.folders.push((Layout::Fixture, folder.to_owned()));
    } else {
        for body in bodies {
            found.leave(body);
        }
    }
    if is_http4k {
        let name = folder.file_name().unwrap_or_default();
        let layout = if http4k::is_digest(name.as_encoded_bytes()) {
            Layout::Http4kCache
        } else {
            Layout::Http4kStream
        };
        found.folders.push((layout, folder.to_owned()));
    }
    Ok(())
}

impl Layout {
    /// Reads the exchange in a folder.
    pub(super) fn read(self, folder: &Path) -> Result<Exchange, StoreError> {
        match self {
            Self::Fixture => fixture::read(folder),
            Self::Http4kStream | Self::Http4kCache => http4k::read(folder),
        }
    }
}

impl Found {
    fn leave(&mut self, file: PathBuf) {
        self.others += 1;
        if self.named.len() < MAX_LISTED {
            self.named.push(file);
        }
    }
}
