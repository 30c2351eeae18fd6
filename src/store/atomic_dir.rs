//! Folders that appear whole.

use std::{
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;

use crate::store::StoreError;

/// The files of a folder, in the order in which they are put there.
#[derive(Default)]
pub(super) struct Files {
    first: Vec<(String, Bytes)>,
    last: Vec<(String, Bytes)>,
}

impl Files {
    pub(super) fn add(&mut self, name: impl Into<String>, content: impl Into<Bytes>) {
        self.first.push((name.into(), content.into()));
    }

    /// Adds one that may name another, and so comes after it.
    pub(super) fn add_last(&mut self, name: impl Into<String>, content: impl Into<Bytes>) {
        self.last.push((name.into(), content.into()));
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.iter().any(|(n, _)| n == name)
    }

    fn iter(&self) -> impl Iterator<Item = &(String, Bytes)> {
        self.first.iter().chain(&self.last)
    }

    /// Writes them into a folder, which is made.
    pub(super) fn stage(&self, folder: &Path) -> Result<(), StoreError> {
        fs::create_dir(folder).map_err(|error| failed(folder, error))?;
        for (name, content) in self.iter() {
            let path = folder.join(name);
            fs::write(&path, content).map_err(|error| failed(&path, error))?;
        }
        Ok(())
    }

    /// Moves what was staged to where it belongs. Whoever reads meanwhile finds each file as it was
    /// or as it is to be.
    pub(super) fn commit(&self, staged: &Path, folder: &Path) -> Result<(), StoreError> {
        let parent = folder.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
        if !folder.exists() && fs::rename(staged, folder).is_ok() {
            return Ok(());
        }
        // There is one already, or somebody was faster.
        fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        for (name, content) in self.iter() {
            let path = folder.join(name);
            // What is the same is not touched.
            if fs::read(&path).is_ok_and(|there| there == *content) {
                continue;
            }
            fs::rename(staged.join(name), &path).map_err(|error| failed(&path, error))?;
        }
        Ok(())
    }
}

/// Reads a file. A pipe or a device is an error, because reading it might never end.
pub(super) fn read_regular(path: &Path) -> io::Result<Vec<u8>> {
    read_at_most(path, u64::MAX)
}

/// Reads a file as [`read_regular`] does, unless it has more bytes.
pub(super) fn read_at_most(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let metadata = fs::metadata(path)?;
    let kind = metadata.file_type();
    if kind.is_file() || kind.is_dir() {
        let mut content = Vec::new();
        let mut len = metadata.len();
        if len <= limit {
            content.try_reserve_exact(usize::try_from(len).unwrap_or_default())?;
            // It may grow meanwhile.
            let mut file = File::open(path)?.take(limit.saturating_add(1));
            file.read_to_end(&mut content)?;
            len = content.len() as u64;
        }
        if len <= limit {
            return Ok(content);
        }
        let what = format!("it is larger than {limit} bytes, and no larger one is read");
        Err(io::Error::new(io::ErrorKind::FileTooLarge, what))
    } else {
        let what = "it is a pipe or a device, and no file";
        Err(io::Error::new(io::ErrorKind::InvalidInput, what))
    }
}

/// That something is not found is what is to be changed: it is an error like any other.
fn failed(path: &Path, source: io::Error) -> StoreError {
    StoreError::failed("write", path, source)
}

/// A folder in which others are written before they are moved to their places.
pub(super) struct Staging {
    folder: PathBuf,
}

impl Staging {
    const PREFIX: &str = ".tower-traffic-tmp-";
    /// No batch is written for so long.
    const STALE: Duration = Duration::from_hours(1);

    pub(super) fn new(base: &Path) -> Result<Self, StoreError> {
        Self::clean(base);
        let id = uuid::Uuid::new_v4().simple();
        let folder = base.join(format!("{}{id}", Self::PREFIX));
        fs::create_dir(&folder).map_err(|error| failed(&folder, error))?;
        Ok(Self { folder })
    }

    pub(super) fn folder(&self, number: usize) -> PathBuf {
        self.folder.join(number.to_string())
    }

    /// Removes what a writer left that was killed.
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
