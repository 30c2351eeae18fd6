//! Errors of a command.

use std::{io, path::PathBuf};

use tower_traffic::StoreError;

#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("cannot start: {0}")]
    Start(io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("cannot print: {0}")]
    Print(io::Error),
    #[error("invalid number {number}: the recording has {count} exchanges")]
    NoSuchNumber { number: u64, count: u64 },
    #[error("{}: already exists: give another name, or --force to replace it", .0.display())]
    Exists(PathBuf),
    #[error("{what}: {reason}")]
    Target { what: String, reason: String },
    #[error("{}: cannot {action}: {source}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("interrupted: nothing is written")]
    Interrupted,
}

impl Failure {
    /// Whether the reader of the standard output has closed it.
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Print(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
