//! `FolderReport`: the contents of a folder.

use std::{fmt, path::PathBuf, sync::Arc};

use crate::store::{Note, StoreError};

/// The maximum number of items that are listed in a section.
const MAX_LISTED: usize = 20;

/// The contents of a folder, counted by layout.
///
/// Displayed:
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
pub struct FolderReport {
    /// Number of WARC files.
    pub segments: usize,
    /// Number of exchanges in all layouts.
    pub exchanges: usize,
    /// Number of exchanges that are entries of a [`DiskCache`](crate::store::DiskCache).
    pub entries: usize,
    /// Number of folders of http4k streams.
    pub http4k_streams: usize,
    /// Number of folders of http4k caches.
    pub http4k_caches: usize,
    /// Number of entries and http4k cache folders that never answer, because another entry or
    /// folder has the same match key.
    pub hidden: usize,
    /// Files that end within an exchange, because their writer was killed.
    pub repairs: Vec<Repair>,
    /// Parts that cannot be read ([`StoreError::Damaged`]), and files that cannot be read
    /// ([`StoreError::Io`]).
    ///
    /// Response bodies in WARC files are not read for the report. Their damage is found by a
    /// look-up or a replay.
    pub skipped: Vec<Arc<StoreError>>,
    /// Changes and omissions in exchanges of WARC files of other tools; at most 100 different ones.
    pub notes: Vec<Note>,
    /// Number of other files in the folder, which are not read.
    pub others: usize,
    /// The paths of other files, at most 100.
    pub left_alone: Vec<PathBuf>,
}

/// A torn tail: the last exchange of a file, cut short because its writer was killed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Repair {
    /// The path of the file.
    pub file: PathBuf,
    /// The offset of the torn exchange, in bytes from the start of the file.
    pub offset: u64,
    /// Number of bytes of the torn exchange.
    pub bytes: u64,
    /// Whether the bytes were moved into a file beside it, whose name ends with `.torn`. They stay
    /// in a file that is read-only or that another program wrote.
    pub cut: bool,
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        let done = if self.cut {
            "moved to a file beside it"
        } else {
            "left in place"
        };
        write!(
            f,
            "{file}: at byte {}: {} bytes of a torn exchange, {done}",
            self.offset, self.bytes
        )
    }
}

impl fmt::Display for FolderReport {
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
    for item in items.into_iter().take(MAX_LISTED) {
        write!(f, "\n  {item}")?;
    }
    if number > MAX_LISTED {
        write!(f, "\n  and {} more", number - MAX_LISTED)?;
    }
    Ok(())
}

fn count(number: usize, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}
