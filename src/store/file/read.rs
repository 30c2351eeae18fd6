//! Reads a file of any format, item by item.

use std::path::Path;

use super::Note;
use crate::{
    message::Exchange,
    store::{
        StoreError,
        folder::segment::{self, SegmentEvent},
    },
};

/// The format of a recording in one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum FileFormat {
    Warc,
    Har,
    Vcr,
}

/// An item of a file, in order.
pub(in crate::store) enum FileItem {
    Exchange(Box<Exchange>),
    Skipped(StoreError),
    #[cfg_attr(not(any(feature = "har", feature = "vcr")), allow(dead_code))]
    Noted(Note),
}

/// Reads a file until its end, or until `on_item` returns false.
pub(in crate::store) fn read(
    path: &Path,
    format: FileFormat,
    on_item: &mut dyn FnMut(FileItem) -> bool,
) -> Result<(), StoreError> {
    match format {
        FileFormat::Warc => segment::read_unchanged(path, |event| match event {
            SegmentEvent::Exchange(_, exchange) | SegmentEvent::Unplaced(exchange) => {
                on_item(FileItem::Exchange(exchange))
            }
            SegmentEvent::Skipped(error) => on_item(FileItem::Skipped(error)),
            SegmentEvent::Repaired(_) => true,
        }),
        #[cfg(feature = "har")]
        FileFormat::Har => entries(path, on_item, |input, on_event| {
            crate::format::har::read(input, on_event)
        }),
        #[cfg(feature = "vcr")]
        FileFormat::Vcr => entries(path, on_item, |input, on_event| {
            crate::format::vcr::read(input, on_event)
        }),
        #[cfg(not(feature = "har"))]
        FileFormat::Har => Err(StoreError::feature_off(path, "har")),
        #[cfg(not(feature = "vcr"))]
        FileFormat::Vcr => Err(StoreError::feature_off(path, "vcr")),
    }
}

#[cfg(any(feature = "har", feature = "vcr"))]
fn entries(
    path: &Path,
    on_item: &mut dyn FnMut(FileItem) -> bool,
    read: impl FnOnce(
        std::io::BufReader<std::fs::File>,
        crate::format::OnEvent<'_>,
    ) -> Result<(), crate::format::ReadFault>,
) -> Result<(), StoreError> {
    use crate::{
        format::{ReadEvent, ReadFault},
        store::Location,
    };

    const BUFFER: usize = 256 << 10;

    let failed = |error| StoreError::io("read the file", path, error);
    let file = std::fs::File::open(path).map_err(failed)?;
    let input = std::io::BufReader::with_capacity(BUFFER, file);
    let result = read(input, &mut |event| {
        on_item(match event {
            ReadEvent::Exchange(exchange) => FileItem::Exchange(exchange),
            ReadEvent::Skipped(bad) => {
                let error =
                    StoreError::damaged(Location::new(path).at_json_path(bad.path), bad.reason);
                tracing::warn!(%error, "a part of a recording cannot be read");
                FileItem::Skipped(error)
            }
            ReadEvent::Noted(bad) => FileItem::Noted(Note {
                path: bad.path,
                what: bad.reason,
                count: 1,
            }),
        })
    });
    result.map_err(|fault| match fault {
        ReadFault::Io(error) => failed(error),
        ReadFault::Syntax {
            line,
            column,
            reason,
        } => StoreError::damaged(Location::new(path).at_column(line, column), reason),
    })
}
