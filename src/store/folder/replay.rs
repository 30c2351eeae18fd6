//! Replay of a folder.

use std::{path::Path, sync::Arc};

use super::{
    scan::{Found, scan},
    segment::{self, SegmentEvent},
};
use crate::{
    format::warc::Depth,
    message::Exchange,
    store::{BoxStream, StoreError, reader_thread::on_a_thread},
};

/// Replays a folder: WARC files and http4k's streams in the order of their names, then entries and
/// http4k's caches by path.
///
/// A missing folder is an error, because an empty replay would look like success. Without
/// `may_repair` a torn tail is an error too, and the folder stays as it is.
pub(super) fn replay(
    folder: Arc<Path>,
    may_repair: bool,
) -> BoxStream<'static, Result<Exchange, StoreError>> {
    on_a_thread(move |reader| {
        // A dropped stream ends the reading.
        let _ = read_all(&folder, may_repair, &mut |item| {
            if reader.send(item) {
                Ok(())
            } else {
                Err(Dropped)
            }
        });
    })
}

/// The stream was dropped.
struct Dropped;

type Send<'a> = &'a mut dyn FnMut(Result<Exchange, StoreError>) -> Result<(), Dropped>;

fn read_all(folder: &Path, may_repair: bool, send: Send<'_>) -> Result<(), Dropped> {
    let Found {
        segments,
        folders,
        errors,
        ..
    } = match scan(folder) {
        Ok(found) => found,
        Err(error) => return send(Err(error)),
    };
    for error in errors {
        send(Err(error))?;
    }
    for file in segments {
        read_segment(&file, may_repair, send)?;
    }
    for (layout, folder) in folders {
        send(layout.read(&folder))?;
    }
    Ok(())
}

fn read_segment(file: &Path, may_repair: bool, send: Send<'_>) -> Result<(), Dropped> {
    let mut outcome = Ok(());
    let on_event = |event| {
        let item = match event {
            SegmentEvent::Exchange(_, exchange) | SegmentEvent::Unplaced(exchange) => Ok(*exchange),
            SegmentEvent::Skipped(error) => Err(error),
            SegmentEvent::Repaired(_) => return true,
        };
        outcome = send(item);
        outcome.is_ok()
    };
    let read = if may_repair {
        segment::read(file, Depth::Whole, on_event)
    } else {
        segment::read_unchanged(file, on_event)
    };
    outcome?;
    read.or_else(|error| send(Err(error)))
}
