//! The files of a spool.

use std::{
    env,
    fs::{self, Metadata},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha256};

use super::name::SegmentName;
use crate::store::{Bucket, StoreError, access::Access};

pub(super) const LOCK: &str = "lock";
/// The file extension of an open or sealed segment before compression.
const PLAIN: &str = "warc";
const PACKED: &str = "warc.gz";
const PART: &str = "warc.gz.part";
const TORN: &str = "warc.torn";
const QUARANTINE: &str = "quarantine";

/// The folder of one bucket and prefix in a spool.
#[derive(Clone, Debug)]
pub(super) struct SpoolFolder {
    path: Arc<Path>,
    /// The folder for temporary files, if the spool is below it. Other users may write there too.
    temporary: Option<Arc<Path>>,
}

/// A file of a spool.
#[derive(Debug)]
pub(super) struct SpoolFile {
    pub(super) name: SegmentName,
    pub(super) kind: FileKind,
    pub(super) size: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FileKind {
    Plain,
    Packed,
    Part,
    Torn,
}

impl SpoolFolder {
    /// Returns the folder `<spool>/<bucket>-<hash of bucket and prefix>`: each bucket and prefix
    /// has its own segments.
    pub(super) fn of(spool: Option<&Path>, bucket: &Bucket) -> Self {
        let (spool, temporary) = match spool {
            Some(spool) => (spool.to_owned(), None),
            None => default_spool(),
        };
        let digest = Sha256::digest(bucket.to_string());
        let hash = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        Self {
            path: spool.join(format!("{}-{hash:08x}", bucket.name())).into(),
            temporary: temporary.map(Into::into),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn quarantine(&self) -> PathBuf {
        self.path.join(QUARANTINE)
    }

    /// Creates the folder, readable by its user only, because it contains traffic.
    pub(super) fn create(path: &Path) -> Result<(), StoreError> {
        let created = Access::default().create_folders(path);
        created.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => StoreError::not_a_folder(path),
            _ => StoreError::failed(
                "create the folder of the spool (set another one with `S3::spool`)",
                path,
                error,
            ),
        })
    }

    /// Fails if the folder may be under the control of another user than that of `created`, a file
    /// that this process has created in it.
    pub(super) fn check_owner(&self, created: &Metadata) -> io::Result<()> {
        if fs::symlink_metadata(&self.path)?.is_symlink() {
            return Err(denied("is a link"));
        }
        Access::default().check_owner(&self.path, created)?;
        #[cfg(unix)]
        if let Some(temporary) = &self.temporary {
            use std::os::unix::fs::MetadataExt;
            let below = self.path.ancestors();
            for folder in below.take_while(|folder| *folder != &**temporary) {
                let found = fs::symlink_metadata(folder)?;
                if found.is_symlink() || found.uid() != created.uid() || found.mode() & 0o022 != 0 {
                    return Err(denied("may be changed by other users"));
                }
            }
        }
        Ok(())
    }

    pub(super) fn file(&self, name: &SegmentName, kind: FileKind) -> PathBuf {
        self.path.join(format!("{name}.{}", kind.extension()))
    }

    pub(super) fn quarantined(&self, name: &SegmentName, kind: FileKind) -> PathBuf {
        self.quarantine()
            .join(format!("{name}.{}", kind.extension()))
    }

    /// Returns the files of segments, oldest first.
    pub(super) fn entries(&self) -> Result<Vec<SpoolFile>, StoreError> {
        entries(&self.path)
    }

    /// Returns the files of segments in quarantine.
    pub(super) fn in_quarantine(&self) -> Result<Vec<SpoolFile>, StoreError> {
        match entries(&self.quarantine()) {
            Err(StoreError::NotFound { .. }) => Ok(Vec::new()),
            entries => entries,
        }
    }

    /// Returns the writers with a lock file.
    pub(super) fn locks(&self) -> Result<Vec<String>, StoreError> {
        let names = file_names(&self.path)?.into_iter();
        let writers = names.filter_map(|name| {
            let writer = name.strip_suffix(LOCK)?.strip_suffix('.')?;
            Some(writer.to_owned())
        });
        Ok(writers.collect())
    }

    /// Whether all segments of a writer are gone.
    pub(super) fn has_none_of(&self, writer: &str) -> bool {
        let is_free = |entries: Result<Vec<SpoolFile>, StoreError>| {
            entries.is_ok_and(|entries| {
                let mut entries = entries.iter();
                entries.all(|entry| entry.name.writer != writer || entry.kind == FileKind::Torn)
            })
        };
        is_free(self.entries()) && is_free(self.in_quarantine())
    }
}

impl FileKind {
    fn extension(self) -> &'static str {
        match self {
            Self::Plain => PLAIN,
            Self::Packed => PACKED,
            Self::Part => PART,
            Self::Torn => TORN,
        }
    }
}

fn entries(folder: &Path) -> Result<Vec<SpoolFile>, StoreError> {
    let mut entries: Vec<_> = file_names(folder)?
        .into_iter()
        .filter_map(|file| {
            let (stem, extension) = file.split_once('.')?;
            let kinds = [
                FileKind::Plain,
                FileKind::Packed,
                FileKind::Part,
                FileKind::Torn,
            ];
            // A file that vanishes meanwhile belongs to a live process.
            let metadata = fs::metadata(folder.join(&file)).ok()?;
            metadata.is_file().then_some(SpoolFile {
                name: SegmentName::parse(stem)?,
                kind: kinds
                    .into_iter()
                    .find(|kind| kind.extension() == extension)?,
                size: metadata.len(),
            })
        })
        .collect();
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(entries)
}

fn file_names(folder: &Path) -> Result<Vec<String>, StoreError> {
    let failed = |error| StoreError::io("list the folder", folder, error);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        names.extend(entry.map_err(failed)?.file_name().into_string());
    }
    Ok(names)
}

fn denied(reason: &str) -> io::Error {
    let text = format!("the folder of the spool {reason}: set another one with `S3::spool`");
    io::Error::new(io::ErrorKind::PermissionDenied, text)
}

/// Returns the folder for state that survives a restart: systemd's `$STATE_DIRECTORY`, or
/// `$XDG_STATE_HOME` of the XDG base directories. Without a home folder, returns a folder below the
/// one for temporary files, which is returned too.
fn default_spool() -> (PathBuf, Option<PathBuf>) {
    let var = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let state = var("STATE_DIRECTORY").or_else(|| {
        let state = var("XDG_STATE_HOME").or_else(|| Some(env::home_dir()?.join(".local/state")));
        Some(state?.join("tower-traffic"))
    });
    let temporary = state.is_none().then(env::temp_dir);
    let state = state.unwrap_or_else(|| env::temp_dir().join("tower-traffic"));
    (state.join("spool"), temporary)
}
