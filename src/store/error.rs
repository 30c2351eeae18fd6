use std::{
    error::Error,
    fmt, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::format::NeedsFeature;

/// A hook that receives every error of a store.
pub(crate) type OnError = Arc<dyn Fn(&StoreError) + Send + Sync>;

/// Why a store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no recording there.
    #[error("{}: there is no recording here: record one first, or correct the path", path.display())]
    NotFound {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// A recording is a folder, and this is something else.
    #[error("{}: this is no folder: a recording is one, give its path", path.display())]
    NotAFolder {
        /// What was named.
        path: PathBuf,
    },
    /// The file system refused.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// What was tried, as in "cannot ...".
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Some bytes are not what a recording has in that place. What stands before and after is read.
    #[error("{}: at byte {offset}: {reason}; the record is skipped", file.display())]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// Where the bad record begins, in bytes from the start of the file.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// What was given as the place in S3 cannot be one.
    #[error("{location:?} is no place in S3: {reason}")]
    BadBucket {
        /// What was given.
        location: String,
        /// What is wrong with it, and how it should look.
        reason: &'static str,
    },
    /// S3 refused, or could not be asked.
    #[error("s3://{bucket}/{key}: cannot {action}: {problem} ({source})")]
    S3 {
        /// What was tried, as in "cannot ...".
        action: &'static str,
        /// The bucket.
        bucket: String,
        /// The object's key, or what was to be listed.
        key: String,
        /// What kind of failure it is, and what to do about it.
        problem: S3Problem,
        /// What the server or the client said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The spool of a recording in S3 holds as much as it may.
    #[error(
        "{}: the spool holds {limit} bytes, as many as it may: S3 does not take them as fast as they \
         come, or not at all", folder.display()
    )]
    SpoolFull {
        /// The spool's folder.
        folder: PathBuf,
        /// The limit, in bytes.
        limit: u64,
    },
    /// A file is compressed as a whole, and not record by record: its exchanges are replayed, but a
    /// look-up cannot find them.
    #[error("{}: compressed as a whole: its {exchanges} exchanges are replayed, but not looked up; convert the file to find them", file.display())]
    WholeFile {
        /// The file.
        file: PathBuf,
        /// How many exchanges a look-up does not find.
        exchanges: usize,
    },
    /// A file is not in its format from some place on. What stands before is read.
    #[error("{}:{line}:{column}: {reason}; what follows is not read", file.display())]
    Syntax {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The column, counted from 1.
        column: usize,
        /// What is wrong.
        reason: String,
    },
    /// An entry of a file cannot be an exchange. The others are read.
    #[error("{}: {path}: {reason}; the entry is skipped", file.display())]
    BadEntry {
        /// The file.
        file: PathBuf,
        /// Where in it, as in `$.log.entries[3].request.url`.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A message of an entry, which a person may have edited, is not what it should be. The other
    /// entries are read.
    #[error("{}:{line}: expected {expected}; the entry is skipped", file.display())]
    BadMessage {
        /// The file.
        file: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What was expected, and what was found.
        expected: String,
    },
    /// An entry has one message, and not the other.
    #[error("{}: there is no such file, but the other message of the entry: write it, or delete the folder", file.display())]
    HalfEntry {
        /// The file that is missing.
        file: PathBuf,
    },
    /// A file is in no format that this crate knows.
    #[error("{}: this is no recording: {reason}", path.display())]
    UnknownFormat {
        /// The file.
        path: PathBuf,
        /// What was expected, or how it begins.
        reason: String,
    },
    /// The recording is in a form that this build of the crate cannot read.
    #[error("{}: reading this needs the crate's feature `{feature}`: enable it in Cargo.toml", path.display())]
    FeatureOff {
        /// The file.
        path: PathBuf,
        /// The feature's name.
        feature: &'static str,
    },
    /// Segments of a recording in S3 are not where they should be.
    #[error(
        "{}: segments wait here: {reason}; they are sent again when the bucket takes others, and at \
         the next start", folder.display()
    )]
    Quarantined {
        /// The folder with the segments.
        folder: PathBuf,
        /// Why the bucket does not take them.
        reason: String,
    },
    /// The store did not answer in time.
    #[error("the store did not answer within {0:?}")]
    TimedOut(Duration),
    /// The store's code panicked.
    #[error("the store panicked: {0}")]
    Panicked(String),
    /// An error of a store that is not part of this crate.
    #[error(transparent)]
    Other(Box<dyn Error + Send + Sync>),
}

/// Why S3 did not do what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum S3Problem {
    /// There is no such object.
    NotFound,
    /// There is no such bucket.
    NoSuchBucket,
    /// There is an object of that key already, and it was not to be replaced.
    AlreadyThere,
    /// It may work the next time: no connection, no answer in time, 500, 503 (`SlowDown`), 429,
    /// or somebody else was changing the object (409).
    Transient,
    /// There are no credentials, or S3 does not know them, or they do not allow this.
    Denied,
    /// The clock of this machine is off.
    ClockSkew,
    /// The bucket is in another region.
    WrongRegion,
    /// There is more of it than was to be read.
    TooLarge,
    /// S3 refused for another reason.
    Refused,
}

impl S3Problem {
    /// Whether the same request may succeed if it is only sent again.
    pub fn is_transient(self) -> bool {
        self == Self::Transient
    }
}

impl fmt::Display for S3Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "there is no such object",
            Self::NoSuchBucket => "there is no such bucket: create it, or correct its name",
            Self::AlreadyThere => "there is an object of that key already",
            Self::Transient => "S3 cannot be reached, or cannot do it now",
            Self::Denied => "not allowed: check the credentials and the bucket's policy",
            Self::ClockSkew => "the time of this machine and of S3 differ: set the clock",
            Self::WrongRegion => "the bucket is in another region: set that one",
            Self::TooLarge => "it is larger than may be read at once",
            Self::Refused => "S3 refused",
        })
    }
}

impl StoreError {
    /// Wraps the error of a store of your own.
    pub fn other(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }

    /// The error of a file system call, with the path that the system leaves out.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        let inner = source.get_ref();
        if let Some(NeedsFeature(feature)) = inner.and_then(|error| error.downcast_ref()) {
            return Self::FeatureOff { path, feature };
        }
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { path },
            io::ErrorKind::NotADirectory => Self::NotAFolder { path },
            _ => Self::Io {
                action,
                path,
                source,
            },
        }
    }

    /// Whether it is about a part of a recording, of which the rest is read: bytes, an entry, a file
    /// among others.
    pub fn is_of_a_part(&self) -> bool {
        matches!(
            self,
            Self::Corrupt { .. }
                | Self::Syntax { .. }
                | Self::BadEntry { .. }
                | Self::BadMessage { .. }
                | Self::HalfEntry { .. }
                | Self::WholeFile { .. }
        )
    }

    /// What a file is in can be read by another build only.
    #[allow(dead_code)] // with all features there is none
    pub(crate) fn feature_off(path: &Path, feature: &'static str) -> Self {
        let path = path.to_owned();
        Self::FeatureOff { path, feature }
    }

    pub(crate) fn corrupt(file: &Path, offset: u64, reason: impl Into<String>) -> Self {
        Self::Corrupt {
            file: file.to_owned(),
            offset,
            reason: reason.into(),
        }
    }
}
