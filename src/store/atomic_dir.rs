//! Folders whose files are replaced atomically.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;

use super::access::Access;
use crate::store::StoreError;

/// The files of a folder, in the order in which they are moved to the folder.
#[derive(Default)]
pub(super) struct Files {
    first: Vec<(String, Bytes)>,
    last: Vec<(String, Bytes)>,
}

impl Files {
    pub(super) fn add(&mut self, name: impl Into<String>, content: impl Into<Bytes>) {
        self.first.push((name.into(), content.into()));
    }

    /// Adds a file that may refer to another file, and is therefore moved last.
    pub(super) fn add_last(&mut self, name: impl Into<String>, content: impl Into<Bytes>) {
        self.last.push((name.into(), content.into()));
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.iter().any(|(n, _)| n == name)
    }

    fn iter(&self) -> impl Iterator<Item = &(String, Bytes)> {
        self.first.iter().chain(&self.last)
    }

    /// Creates `folder` and writes the files there.
    pub(super) fn stage(&self, folder: &Path, access: Access) -> Result<(), StoreError> {
        access
            .create_folder(folder)
            .map_err(|error| failed(folder, error))?;
        for (name, content) in self.iter() {
            let path = folder.join(name);
            access
                .write(&path, content)
                .map_err(|error| failed(&path, error))?;
        }
        Ok(())
    }

    /// Moves the staged files to `folder`, which is below `base` without a link in between. A
    /// concurrent reader finds the old or the new version of each file.
    pub(super) fn commit(
        &self,
        staged: &Path,
        base: &Path,
        folder: &Path,
        access: Access,
    ) -> Result<(), StoreError> {
        refuse_links(base, folder)?;
        let parent = folder.parent().unwrap_or(folder);
        access
            .create_folders(parent)
            .map_err(|error| failed(parent, error))?;
        if !folder.exists() && fs::rename(staged, folder).is_ok() {
            return Ok(());
        }
        // The folder exists, perhaps since a moment ago.
        access
            .create_folders(folder)
            .map_err(|error| failed(folder, error))?;
        for (name, content) in self.iter() {
            let path = folder.join(name);
            // An equal file keeps its modification time.
            if read_own(&path, u64::MAX).is_ok_and(|there| there == *content) {
                continue;
            }
            fs::rename(staged.join(name), &path).map_err(|error| failed(&path, error))?;
        }
        Ok(())
    }
}

/// Reads a file. A pipe or a device is an error, because it may never end.
pub(super) fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    read_at_most(path, u64::MAX)
}

/// Reads a file of at most `limit` bytes, as [`read_regular`].
pub(super) fn read_at_most(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    let kind = metadata.file_type();
    if kind.is_file() || kind.is_dir() {
        let mut content = Vec::new();
        let mut len = metadata.len();
        if len <= limit {
            content.try_reserve_exact(usize::try_from(len).unwrap_or_default())?;
            // The file may grow meanwhile.
            let mut file = File::open(path)?.take(limit.saturating_add(1));
            file.read_to_end(&mut content)?;
            len = content.len() as u64;
        }
        if len <= limit {
            return Ok(content);
        }
        let what = format!("the file exceeds {limit} bytes");
        Err(io::Error::new(io::ErrorKind::FileTooLarge, what))
    } else {
        let what = "expected a file, found a pipe or a device";
        Err(io::Error::new(io::ErrorKind::InvalidInput, what))
    }
}

/// Reads a file of at most `limit` bytes, as [`read_at_most`]. A link is an error: it may lead out
/// of the folder.
pub(super) fn read_own(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    if fs::symlink_metadata(path)?.is_symlink() {
        return Err(link());
    }
    read_at_most(path, limit)
}

/// Fails if a folder between `base` and `folder`, or `folder` itself, is a link.
fn refuse_links(base: &Path, folder: &Path) -> Result<(), StoreError> {
    let is_link = |path: &&Path| fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
    let mut below = folder.ancestors().take_while(|path| *path != base);
    match below.find(is_link) {
        Some(path) => Err(failed(path, link())),
        None => Ok(()),
    }
}

fn link() -> io::Error {
    let what = "expected a file or folder, found a link, which is not followed";
    io::Error::new(io::ErrorKind::InvalidInput, what)
}

/// Returns the error of a failed write: a missing parent is a failure, and not
/// [`StoreError::NotFound`].
fn failed(path: &Path, source: io::Error) -> StoreError {
    StoreError::failed("write", path, source)
}

/// A temporary folder for files that are moved to their destination later.
pub(super) struct Staging {
    folder: PathBuf,
}

impl Staging {
    const PREFIX: &str = ".tower-traffic-tmp-";
    /// The age above which a temporary folder is left over: longer than any batch takes to write.
    const STALE: Duration = Duration::from_hours(1);

    pub(super) fn new(base: &Path, access: Access) -> Result<Self, StoreError> {
        Self::clean(base);
        let id = uuid::Uuid::new_v4().simple();
        let folder = base.join(format!("{}{id}", Self::PREFIX));
        access
            .create_folder(&folder)
            .map_err(|error| failed(&folder, error))?;
        let staging = Self { folder };
        fs::metadata(&staging.folder)
            .and_then(|created| access.check_owner(base, &created))
            .map_err(|error| failed(base, error))?;
        Ok(staging)
    }

    pub(super) fn folder(&self, number: usize) -> PathBuf {
        self.folder.join(number.to_string())
    }

    /// Removes the temporary folders of killed writers.
    fn clean(base: &Path) {
        let Ok(entries) = fs::read_dir(base) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if !name.as_encoded_bytes().starts_with(Self::PREFIX.as_bytes()) {
                continue;
            }
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            if modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > Self::STALE)) {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
