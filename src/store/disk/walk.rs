//! What a recording's folder has in it.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::segment;
use crate::store::{StoreError, disk_cache::entry, http4k};

/// Of other files, so many are named.
const MOST_NAMED: usize = 100;

/// A folder with one exchange, by who laid it out. In the order in which they are replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::store) enum Kind {
    Http4kStream,
    Entry,
    Http4kCache,
}

#[derive(Default)]
pub(super) struct Found {
    /// WARC files.
    pub(super) segments: Vec<PathBuf>,
    /// Folders with an exchange, by kind and path.
    pub(super) folders: Vec<(Kind, PathBuf)>,
    /// Other files: how many there are, and the first of them.
    pub(super) others: usize,
    pub(super) named: Vec<PathBuf>,
    /// Folders within that cannot be listed.
    pub(super) errors: Vec<StoreError>,
}

/// Looks through a folder and those within. Hidden ones are left out, and links to folders are not
/// followed.
pub(super) fn walk(folder: &Path) -> Result<Found, StoreError> {
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
    let mut is_entry = false;
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
            Ok(entry::REQUEST | entry::RESPONSE) => is_entry = true,
            Ok(http4k::REQUEST | http4k::RESPONSE) => is_http4k = true,
            _ if segment::is_segment(name) => found.segments.push(item.path()),
            _ if entry::is_body(name) => bodies.push(item.path()),
            _ => found.leave(item.path()),
        }
    }
    if is_entry {
        found.folders.push((Kind::Entry, folder.to_owned()));
    } else {
        for body in bodies {
            found.leave(body);
        }
    }
    if is_http4k {
        let name = folder.file_name().unwrap_or_default();
        let kind = if http4k::is_digest(name.as_encoded_bytes()) {
            Kind::Http4kCache
        } else {
            Kind::Http4kStream
        };
        found.folders.push((kind, folder.to_owned()));
    }
    Ok(())
}

impl Found {
    fn leave(&mut self, file: PathBuf) {
        self.others += 1;
        if self.named.len() < MOST_NAMED {
            self.named.push(file);
        }
    }
}
