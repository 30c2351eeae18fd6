//! What reading a recording's folder came to.

use std::{fmt, path::PathBuf, sync::Arc};

use crate::store::StoreError;

/// How many of a kind are shown one by one.
const SHOWN: usize = 20;

/// What reading a recording's folder came to.
///
/// It is made to be shown:
///
/// ```text
/// 1003 exchanges
///   3 in 1 WARC file
///   1000 entries
/// left alone: 1 other file
///   t/README.md
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Report {
    /// How many WARC files were read.
    pub segments: usize,
    /// How many exchanges there are, in all layouts together.
    pub exchanges: usize,
    /// How many of them are entries of a [`DiskCache`](crate::store::DiskCache).
    pub entries: usize,
    /// How many are folders of an http4k stream.
    pub http4k_streams: usize,
    /// How many are folders of an http4k cache.
    pub http4k_caches: usize,
    /// How many entries and folders of an http4k cache never answer, because another one answers the
    /// same requests: by the rule that requests are matched by, or because one was copied.
    pub hidden: usize,
    /// Files that ended within an exchange.
    pub repairs: Vec<Repair>,
    /// Parts of files that could not be read, and were skipped ([`StoreError::Corrupt`],
    /// [`StoreError::BadMessage`], [`StoreError::HalfEntry`]), and files that could not be
    /// ([`StoreError::Io`]).
    ///
    /// The content of responses in WARC files is not read for this: damage there is told when it is
    /// looked up or replayed.
    pub skipped: Vec<Arc<StoreError>>,
    /// How many other files there are. They are not read.
    pub others: usize,
    /// The first 100 of them.
    pub left_alone: Vec<PathBuf>,
}

/// A torn tail.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repair {
    /// The file.
    pub file: PathBuf,
    /// Where the torn exchange began, in bytes from the start of the file.
    pub offset: u64,
    /// How many bytes of it were there.
    pub bytes: u64,
    /// Whether they were cut off, and kept in `....warc.torn` beside the file; not if the file could not be written, or does not have the name
    /// that this crate gives its files.
    pub cut: bool,
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        let done = if self.cut {
            "cut off, and kept beside it"
        } else {
            "left where it is"
        };
        write!(
            f,
            "{file}: at byte {}: {} bytes of a torn exchange, {done}",
            self.offset, self.bytes
        )
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", count(self.exchanges, "exchange", "exchanges"))?;
        let in_folders = self.entries + self.http4k_streams + self.http4k_caches;
        if self.segments > 0 {
            let files = count(self.segments, "WARC file", "WARC files");
            write!(f, "\n  {} in {files}", self.exchanges - in_folders)?;
        }
        for (number, one, many) in [
            (self.entries, "entry", "entries"),
            (
                self.http4k_streams,
                "folder of an http4k stream",
                "folders of http4k streams",
            ),
            (
                self.http4k_caches,
                "folder of an http4k cache",
                "folders of http4k caches",
            ),
        ] {
            if number > 0 {
                write!(f, "\n  {}", count(number, one, many))?;
            }
        }
        if self.hidden > 0 {
            let hidden = count(self.hidden, "never answers", "never answer");
            write!(f, "\n  {hidden}: another one answers the same requests")?;
        }
        section(
            f,
            "skipped",
            "part",
            "parts",
            self.skipped.len(),
            &self.skipped,
        )?;
        section(
            f,
            "torn",
            "file",
            "files",
            self.repairs.len(),
            &self.repairs,
        )?;
        let left_alone = self.left_alone.iter().map(|file| file.display());
        section(
            f,
            "left alone",
            "other file",
            "other files",
            self.others,
            left_alone,
        )
    }
}

fn section<T: fmt::Display>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    one: &str,
    many: &str,
    number: usize,
    items: impl IntoIterator<Item = T>,
) -> fmt::Result {
    if number == 0 {
        return Ok(());
    }
    write!(f, "\n{title}: {}", count(number, one, many))?;
    for item in items.into_iter().take(SHOWN) {
        write!(f, "\n  {item}")?;
    }
    if number > SHOWN {
        write!(f, "\n  and {} more", number - SHOWN)?;
    }
    Ok(())
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
