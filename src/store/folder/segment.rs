//! WARC files in a folder: names and reading.

use std::{
    fs::File,
    io::{BufReader, Seek, SeekFrom},
    path::Path,
    sync::Arc,
};

use super::{Repair, originals::Originals, torn_tail};
use crate::{
    format::warc::{Depth, Reader, SegmentItem},
    message::Exchange,
    store::{Location, Note, StoreError},
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
    /// A part of a record that was left out or changed, or a record that was left out.
    Noted(Note),
    /// A torn tail: an exchange at the end of the file that is incomplete, because its writer was
    /// killed.
    Repaired(Repair),
}

/// Reads a file until its end, or until `on_event` returns false.
pub(in crate::store) fn read(
    path: &Path,
    depth: Depth,
    originals: &Originals,
    on_event: impl FnMut(SegmentEvent) -> bool,
) -> Result<(), StoreError> {
    read_with(path, depth, originals, torn_tail::repair, on_event)
}

/// Reads a file without changing it. A torn tail is an error.
pub(in crate::store) fn read_unchanged(
    path: &Path,
    originals: &Originals,
    mut on_event: impl FnMut(SegmentEvent) -> bool,
) -> Result<(), StoreError> {
    read_with(path, Depth::Whole, originals, torn_tail::find, |event| {
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
    originals: &Originals,
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
            SegmentItem::Revisit {
                place,
                is_placed,
                revisit,
            } => {
                let original = originals.find(&revisit.original);
                let (exchange, notes) = revisit.complete(original.as_ref());
                for what in notes {
                    if !on_event(SegmentEvent::Noted(noted(place, what))) {
                        return Ok(());
                    }
                }
                match exchange.map(Box::new) {
                    Some(exchange) if is_placed => SegmentEvent::Exchange(place, exchange),
                    Some(exchange) => SegmentEvent::Unplaced(exchange),
                    None => continue,
                }
            }
            SegmentItem::Noted(place, what) => SegmentEvent::Noted(noted(place, what)),
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
pub(super) fn read_at(
    path: &Path,
    offset: u64,
    originals: &Originals,
) -> Result<Arc<Exchange>, StoreError> {
    let failed = |error| StoreError::io("read the file", path, error);
    let mut file = File::open(path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let input = BufReader::with_capacity(LOOKUP_BUFFER, file);
    let mut reader = Reader::new(input, len).map_err(failed)?;
    while let Some(item) = reader.next(Depth::Whole).map_err(failed)? {
        match item {
            SegmentItem::Exchange(place, exchange) if place == offset => {
                return Ok(Arc::from(exchange));
            }
            SegmentItem::Revisit { place, revisit, .. } if place == offset => {
                let original = originals.find(&revisit.original);
                if let (Some(exchange), _) = revisit.complete(original.as_ref()) {
                    return Ok(Arc::new(exchange));
                }
            }
            SegmentItem::Bad(place, reason) if place == offset => {
                return Err(damaged(path, offset, reason));
            }
            // Other tools' records may stand between those of a pair.
            _ => {}
        }
    }
    Err(damaged(path, offset, "the file was truncated"))
}

fn noted(offset: u64, what: String) -> Note {
    Note {
        path: format!("at byte {offset}"),
        what,
        count: 1,
    }
}

fn damaged(path: &Path, offset: u64, reason: impl Into<String>) -> StoreError {
    StoreError::damaged(Location::new(path).at_byte(offset), reason)
}
