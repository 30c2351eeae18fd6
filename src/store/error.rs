use std::{
    error::Error,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

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

impl StoreError {
    /// Wraps the error of a store of your own.
    pub fn other(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }

    /// The error of a file system call, with the path that the system leaves out.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
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

    pub(crate) fn corrupt(file: &Path, offset: u64, reason: impl Into<String>) -> Self {
        Self::Corrupt {
            file: file.to_owned(),
            offset,
            reason: reason.into(),
        }
    }
}
