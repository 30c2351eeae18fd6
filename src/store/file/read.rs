//! Reads a file of any format, item by item.

use std::path::Path;

use super::Note;
use crate::{
    message::Exchange,
    store::{
        StoreError,
        folder::{
            originals::Originals,
            segment::{self, SegmentEvent},
        },
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
    Noted(Note),
}

/// Reads a file until its end, or until `on_item` returns false.
pub(in crate::store) fn read(
    path: &Path,
    format: FileFormat,
    on_item: &mut dyn FnMut(FileItem) -> bool,
) -> Result<(), StoreError> {
    match format {
        FileFormat::Warc => {
            let originals = Originals::new([path.into()]);
            segment::read_unchanged(path, &originals, |event| match event {
                SegmentEvent::Exchange(_, exchange) | SegmentEvent::Unplaced(exchange) => {
                    on_item(FileItem::Exchange(exchange))
                }
                SegmentEvent::Skipped(error) => on_item(FileItem::Skipped(error)),
                SegmentEvent::Noted(note) => on_item(FileItem::Noted(note)),
                SegmentEvent::Repaired(_) => true,
            })
        }
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
        &mut dyn std::io::BufRead,
        crate::format::OnEvent<'_>,
    ) -> Result<(), crate::format::ReadFault>,
) -> Result<(), StoreError> {
    use std::io::BufRead;

    use crate::{
        format::{ReadEvent, ReadFault},
        store::Location,
    };

    const BUFFER: usize = 256 << 10;

    let failed = |error| StoreError::io("read the file", path, error);
    let file = std::fs::File::open(path).map_err(failed)?;
    let mut input = std::io::BufReader::with_capacity(BUFFER, file);
    let mut input: Box<dyn BufRead> =
        if input.fill_buf().map_err(failed)?.starts_with(&[0x1f, 0x8b]) {
            decoded(input).map_err(failed)?
        } else {
            Box::new(input)
        };
    let result = read(&mut *input, &mut |event| {
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
            ReadEvent::Syntax {
                line,
                column,
                reason,
            } => {
                let place = Location::new(path).at_column(line, column);
                let error = StoreError::damaged(place, reason);
                tracing::warn!(%error, "a part of a recording cannot be read");
                FileItem::Skipped(error)
            }
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

/// Decodes a file that is compressed with gzip.
#[cfg(all(feature = "gzip", any(feature = "har", feature = "vcr")))]
#[expect(clippy::unnecessary_wraps, reason = "as without the feature")]
fn decoded(file: impl std::io::BufRead + 'static) -> std::io::Result<Box<dyn std::io::BufRead>> {
    let decoder = flate2::bufread::MultiGzDecoder::new(file);
    Ok(Box::new(std::io::BufReader::new(decoder)))
}

#[cfg(all(not(feature = "gzip"), any(feature = "har", feature = "vcr")))]
fn decoded(_: impl std::io::BufRead + 'static) -> std::io::Result<Box<dyn std::io::BufRead>> {
    Err(crate::format::needs_feature("gzip"))
}
