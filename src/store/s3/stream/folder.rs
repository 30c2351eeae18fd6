//! The files of a spool.

use std::{
    env,
    fs::{self, DirBuilder},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha256};

use super::name::SegmentName;
use crate::store::{Bucket, StoreError};

pub(super) const LOCK: &str = "lock";
/// The file extension of an open or sealed segment before compression.
const PLAIN: &str = "warc";
const PACKED: &str = "warc.gz";
const PART: &str = "warc.gz.part";
const TORN: &str = "warc.torn";
const QUARANTINE: &str = "quarantine";

/// The folder of one bucket and prefix in a spool.
#[derive(Clone, Debug)]
pub(super) struct SpoolFolder(Arc<Path>);

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
        let spool = spool.map_or_else(default_spool, Path::to_owned);
        let digest = Sha256::digest(bucket.to_string());
        let hash = u32::from_be_bytes([digest[0], digest[1], digest[2], digest[3]]);
        Self(spool.join(format!("{}-{hash:08x}", bucket.name())).into())
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn quarantine(&self) -> PathBuf {
        self.0.join(QUARANTINE)
    }

    /// Creates the folder, readable by its user only, because it contains traffic.
    pub(super) fn create(path: &Path) -> Result<(), StoreError> {
        let mut builder = DirBuilder::new();
        builder.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => StoreError::not_a_folder(path),
            _ => StoreError::failed(
                "create the folder of the spool (set another one with `S3::spool`)",
                path,
                error,
            ),
        })
    }

    pub(super) fn file(&self, name: &SegmentName, kind: FileKind) -> PathBuf {
        self.0.join(format!("{name}.{}", kind.extension()))
    }

    pub(super) fn quarantined(&self, name: &SegmentName, kind: FileKind) -> PathBuf {
        self.quarantine()
            .join(format!("{name}.{}", kind.extension()))
    }

    /// Returns the files of segments, oldest first.
    pub(super) fn entries(&self) -> Result<Vec<SpoolFile>, StoreError> {
        entries(&self.0)
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
        let names = file_names(&self.0)?.into_iter();
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

/// Returns the folder for state that survives a restart: systemd's `$STATE_DIRECTORY`, or
/// `$XDG_STATE_HOME` of the XDG base directories.
fn default_spool() -> PathBuf {
    let var = |name| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let state = var("STATE_DIRECTORY").or_else(|| {
        let state = var("XDG_STATE_HOME").or_else(|| Some(env::home_dir()?.join(".local/state")));
        Some(state?.join("tower-traffic"))
    });
    state
        .unwrap_or_else(|| env::temp_dir().join("tower-traffic"))
        .join("spool")
}
