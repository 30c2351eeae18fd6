//! WARC files in a folder: names and reading.

use std::{
    fs::File,
    io::{BufReader, Seek, SeekFrom},
    path::Path,
    sync::Arc,
};

use super::{Repair, torn_tail};
use crate::{
    format::warc::{Depth, Reader, SegmentItem},
    message::Exchange,
    store::{Location, StoreError},
};

/// The file extensions that are read.
const EXTENSIONS: [&str; 3] = [".warc", ".warc.gz", ".warc.zst"];
/// The prefix of this crate's file names.
pub(in crate::store) const PREFIX: &str = "traffic-";
const READ_BUFFER: usize = 256 << 10;
const LOOKUP_BUFFER: usize = 8 << 10;

/// Whether a file with this name is read.
pub(super) fn is_segment(name: &[u8]) -> bool {
    EXTENSIONS
        .iter()
        .any(|end| name.ends_with(end.as_bytes()) && name.len() > end.len())
}

/// What is read from a file: an exchange or a problem, in the order of the file.
pub(in crate::store) enum SegmentEvent {
    /// An exchange, and the offset at which it begins in the file.
    Exchange(u64, Box<Exchange>),
    /// An exchange that cannot be read by an offset, because the file is compressed as a whole.
    Unplaced(Box<Exchange>),
    /// A part that cannot be read.
    Skipped(StoreError),
    /// A torn tail: an exchange at the end of the file that is incomplete, because its writer was
    /// killed.
    Repaired(Repair),
}

/// Reads a file until its end, or until `on_event` returns false.
pub(in crate::store) fn read(
    path: &Path,
    depth: Depth,
    on_event: impl FnMut(SegmentEvent) -> bool,
) -> Result<(), StoreError> {
    read_with(path, depth, torn_tail::repair, on_event)
}

/// Reads a file without changing it. A torn tail is an error.
pub(in crate::store) fn read_unchanged(
    path: &Path,
    mut on_event: impl FnMut(SegmentEvent) -> bool,
) -> Result<(), StoreError> {
    read_with(path, Depth::Whole, torn_tail::find, |event| {
        on_event(match event {
            SegmentEvent::Repaired(torn) => {
                let reason = format!(
                    "the file ends within this exchange, after {} bytes",
                    torn.bytes
                );
                SegmentEvent::Skipped(damaged(path, torn.offset, reason))
            }
            event => event,
        })
    })
}

fn read_with(
    path: &Path,
    depth: Depth,
    torn: fn(&Path, u64, u64) -> Option<Repair>,
    mut on_event: impl FnMut(SegmentEvent) -> bool,
) -> Result<(), StoreError> {
    let failed = |error| StoreError::io("read the file", path, error);
    let file = File::open(path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    let mut reader =
        Reader::new(BufReader::with_capacity(READ_BUFFER, file), len).map_err(failed)?;
    while let Some(item) = reader.next(depth).map_err(failed)? {
        let event = match item {
            SegmentItem::Exchange(offset, exchange) => SegmentEvent::Exchange(offset, exchange),
            SegmentItem::Within(exchange) => SegmentEvent::Unplaced(exchange),
            SegmentItem::Bad(offset, reason) => {
                let error = damaged(path, offset, reason);
                tracing::warn!(%error, "part of a recording skipped");
                SegmentEvent::Skipped(error)
            }
            SegmentItem::Torn(offset) => match torn(path, offset, len) {
                Some(repair) => SegmentEvent::Repaired(repair),
                None => continue,
            },
        };
        if !on_event(event) {
            break;
        }
    }
    Ok(())
}

/// Reads the exchange that begins at `offset`.
pub(super) fn read_at(path: &Path, offset: u64) -> Result<Arc<Exchange>, StoreError> {
    let failed = |error| StoreError::io("read the file", path, error);
    let mut file = File::open(path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let input = BufReader::with_capacity(LOOKUP_BUFFER, file);
    let item = Reader::new(input, len)
        .and_then(|mut reader| reader.next(Depth::Whole))
        .map_err(failed)?;
    match item {
        Some(SegmentItem::Exchange(_, exchange) | SegmentItem::Within(exchange)) => {
            Ok(Arc::from(exchange))
        }
        Some(SegmentItem::Bad(_, reason)) => Err(damaged(path, offset, reason)),
        Some(SegmentItem::Torn(_)) | None => Err(damaged(path, offset, "the file was truncated")),
    }
}

fn damaged(path: &Path, offset: u64, reason: impl Into<String>) -> StoreError {
    StoreError::damaged(Location::new(path).at_byte(offset), reason)
}
