//! A file or folder that appears in the file system when it is complete.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
};

use crate::failure::Failure;

pub(crate) struct AtomicPath {
    target: PathBuf,
    partial: PathBuf,
    /// Whether the target is the single file in the folder that is written.
    is_one_of: bool,
    is_taken: bool,
}

impl AtomicPath {
    pub(crate) fn new(place: &Path, is_one_of: bool, force: bool) -> Result<Self, Failure> {
        if let Ok(there) = fs::symlink_metadata(place) {
            if !force {
                return Err(Failure::Exists(place.to_owned()));
            }
            if there.is_dir() {
                refuse_others(place)?;
            }
        }
        Ok(Self {
            partial: beside(place, "partial")?,
            target: place.to_owned(),
            is_one_of,
            is_taken: false,
        })
    }

    /// Returns the temporary path to which the recording is written.
    pub(crate) fn partial(&self) -> &Path {
        &self.partial
    }

    /// Renames the temporary path to the target.
    pub(crate) fn take(mut self) -> Result<(), Failure> {
        let mut written = self.partial.clone();
        if self.is_one_of {
            let failed = |error| failed("list", &self.partial, error);
            let mut files = fs::read_dir(&self.partial).map_err(failed)?;
            if let Some(first) = files.next() {
                written = first.map_err(failed)?.path();
            }
        }
        // A folder cannot be renamed over another: the old one is renamed first.
        let old = beside(&self.target, "old")?;
        let has_old = fs::symlink_metadata(&self.target).is_ok_and(|there| there.is_dir());
        if has_old {
            fs::rename(&self.target, &old)
                .map_err(|error| failed("replace", &self.target, error))?;
        }
        if let Err(error) = fs::rename(&written, &self.target) {
            if has_old {
                let _ = fs::rename(&old, &self.target);
            }
            return Err(failed("write", &self.target, error));
        }
        self.is_taken = !self.is_one_of;
        if has_old {
            fs::remove_dir_all(&old).map_err(|error| failed("remove", &old, error))?;
        }
        Ok(())
    }
}

impl Drop for AtomicPath {
    fn drop(&mut self) {
        if !self.is_taken {
            let _ = fs::remove_file(&self.partial);
            let _ = fs::remove_dir_all(&self.partial);
        }
    }
}

/// Fails if a folder has files of other kinds than those of recordings.
fn refuse_others(folder: &Path) -> Result<(), Failure> {
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        let failed = |error| failed("list", &next, error);
        for item in fs::read_dir(&next).map_err(failed)? {
            let item = item.map_err(failed)?;
            if item.file_type().map_err(failed)?.is_dir() {
                open.push(item.path());
            } else if !is_of_recording(&item.file_name().to_string_lossy()) {
                return Err(Failure::Target {
                    what: folder.display().to_string(),
                    reason: format!(
                        "--force would delete {}, which belongs to no recording: give another \
                         name, or move it away",
                        item.path().display()
                    ),
                });
            }
        }
    }
    Ok(())
}

fn is_of_recording(name: &str) -> bool {
    let begins = ["request.body.", "response.body."];
    let ends = [".warc", ".warc.gz", ".warc.zst", ".warc.torn"];
    matches!(
        name,
        "request.http" | "response.http" | "request.txt" | "response.txt"
    ) || begins.iter().any(|begin| name.starts_with(begin))
        || ends.iter().any(|end| name.ends_with(end))
}

/// Returns a path in the same folder as `place`, so that a rename is atomic.
fn beside(place: &Path, what: &str) -> Result<PathBuf, Failure> {
    let Some(name) = place.file_name() else {
        return Err(Failure::Target {
            what: place.display().to_string(),
            reason: "invalid target: expected a path that ends with a name".to_owned(),
        });
    };
    let name = name.to_string_lossy();
    Ok(place.with_file_name(format!(".{name}.{what}-{}", process::id())))
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> Failure {
    Failure::File {
        action,
        path: path.to_owned(),
        source,
    }
}
