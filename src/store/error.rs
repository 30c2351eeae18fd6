//! `StoreError`, and the location that it names.

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

/// The error of a store.
///
/// The details of one kind of store, such as `S3Error`, are the [`source`](Error::source).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The recording does not exist.
    #[error("{location}: recording not found: record one first, or correct the path")]
    NotFound {
        /// The path or URL.
        location: Location,
    },
    /// A part of a recording cannot be read: some bytes, an entry, or one file of several. The rest
    /// can be read.
    #[error("{location}: {reason}{}", location.consequence())]
    Damaged {
        /// The file and the position in it.
        location: Location,
        /// The content that was expected, and the content that was found.
        reason: String,
    },
    /// A recording cannot be read by this build of the crate: its format is unknown, or its feature
    /// is off.
    #[error("{location}: {reason}")]
    Unsupported {
        /// The path or URL.
        location: Location,
        /// The format that was found or the feature that is missing, and what to do.
        reason: String,
    },
    /// An operation failed: the file system or the server refused it or did not complete it.
    #[error("{location}: cannot {action}: {source}")]
    Io {
        /// The failed operation, for messages such as "cannot open the file".
        action: &'static str,
        /// The path or URL.
        location: Location,
        /// The cause, such as an [`io::Error`].
        source: Box<dyn Error + Send + Sync>,
    },
    /// A store has reached its limit.
    #[error("{location}: full: the limit is {max_bytes} bytes")]
    Full {
        /// The path or URL.
        location: Location,
        /// The limit, in bytes.
        max_bytes: u64,
    },
    /// A store did not respond within this time.
    #[error("the store did not answer within {0:?}")]
    TimedOut(Duration),
    /// The code of a store panicked, with this message.
    #[error("the store panicked: {0}")]
    Panicked(String),
    /// Any other error.
    #[error(transparent)]
    Other(Box<dyn Error + Send + Sync>),
}

impl StoreError {
    /// Wraps the error of a custom store.
    pub fn other(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Other(error.into())
    }

    /// Returns the error of a file system call: adds the path, and tells a missing file from a
    /// failure.
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        let inner = source.get_ref();
        if let Some(NeedsFeature(feature)) = inner.and_then(|error| error.downcast_ref()) {
            return Self::feature_off(path, feature);
        }
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound {
                location: path.into(),
            },
            io::ErrorKind::NotADirectory => Self::not_a_folder(path),
            _ => Self::failed(action, path, source),
        }
    }

    /// Returns the error of a call that creates a file or folder, like [`io`](Self::io): a missing
    /// parent is a failure too.
    pub(crate) fn failed(
        action: &'static str,
        location: impl Into<Location>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Io {
            action,
            location: location.into(),
            source: source.into(),
        }
    }

    pub(crate) fn not_a_folder(path: &Path) -> Self {
        Self::unsupported(
            path,
            "expected a folder, found a file: read files with `store::open`",
        )
    }

    pub(crate) fn feature_off(path: &Path, feature: &str) -> Self {
        Self::unsupported(
            path,
            format!("needs the crate's feature `{feature}`: enable it in Cargo.toml"),
        )
    }

    pub(crate) fn unsupported(location: impl Into<Location>, reason: impl Into<String>) -> Self {
        Self::Unsupported {
            location: location.into(),
            reason: reason.into(),
        }
    }

    pub(crate) fn damaged(location: impl Into<Location>, reason: impl Into<String>) -> Self {
        Self::Damaged {
            location: location.into(),
            reason: reason.into(),
        }
    }
}

/// A path or URL, and optionally a position in its content.
///
/// ```
/// use tower_traffic::store::Location;
///
/// let location = Location::new("session.har").at_json_path("$.log.entries[3]");
/// assert_eq!(location.to_string(), "session.har: $.log.entries[3]");
/// assert_eq!(location.json_path(), Some("$.log.entries[3]"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    path: PathBuf,
    position: Position,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Position {
    Whole,
    Byte(u64),
    Line(usize),
    Column { line: usize, column: usize },
    JsonPath(String),
}

impl Location {
    /// Creates the location of all of `path`, a path or URL.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            position: Position::Whole,
        }
    }

    /// Points to the record that begins `offset` bytes from the start.
    #[must_use]
    pub fn at_byte(mut self, offset: u64) -> Self {
        self.position = Position::Byte(offset);
        self
    }

    /// Points to a line, counted from 1.
    #[must_use]
    pub fn at_line(mut self, line: usize) -> Self {
        self.position = Position::Line(line);
        self
    }

    /// Points to a line and a column, both counted from 1, after which nothing can be read.
    #[must_use]
    pub fn at_column(mut self, line: usize, column: usize) -> Self {
        self.position = Position::Column { line, column };
        self
    }

    /// Adds the path of the value that caused the error, such as `$.log.entries[3].request.url`.
    #[must_use]
    pub fn at_json_path(mut self, path: impl Into<String>) -> Self {
        self.position = Position::JsonPath(path.into());
        self
    }

    /// Returns the path or URL.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the position in bytes from the start.
    #[must_use]
    pub fn byte(&self) -> Option<u64> {
        match self.position {
            Position::Byte(offset) => Some(offset),
            _ => None,
        }
    }

    /// Returns the line, counted from 1.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        match self.position {
            Position::Line(line) | Position::Column { line, .. } => Some(line),
            _ => None,
        }
    }

    /// Returns the column, counted from 1.
    #[must_use]
    pub fn column(&self) -> Option<usize> {
        match self.position {
            Position::Column { column, .. } => Some(column),
            _ => None,
        }
    }

    /// Returns the path of the JSON or YAML value that caused the error.
    #[must_use]
    pub fn json_path(&self) -> Option<&str> {
        match &self.position {
            Position::JsonPath(path) => Some(path),
            _ => None,
        }
    }

    /// Returns the effect of damage at this location.
    fn consequence(&self) -> &'static str {
        match self.position {
            Position::Whole => "",
            Position::Byte(_) => "; the record is skipped",
            Position::Line(_) | Position::JsonPath(_) => "; the entry is skipped",
            Position::Column { .. } => "; the rest of the file is not read",
        }
    }
}

impl<P: Into<PathBuf>> From<P> for Location {
    fn from(path: P) -> Self {
        Self::new(path)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path.display();
        match &self.position {
            Position::Whole => write!(f, "{path}"),
            Position::Byte(offset) => write!(f, "{path}: at byte {offset}"),
            Position::Line(line) => write!(f, "{path}:{line}"),
            Position::Column { line, column } => write!(f, "{path}:{line}:{column}"),
            Position::JsonPath(value) => write!(f, "{path}: {value}"),
        }
    }
}
