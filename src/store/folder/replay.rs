//! Replay of a folder.

use std::{path::Path, sync::Arc};

use super::{
    originals::Originals,
    scan::{Found, scan},
    segment::{self, SegmentEvent},
};
use crate::{
    format::warc::Depth,
    message::Exchange,
    store::{BoxStream, StoreError, reader_thread::on_a_thread},
};

/// Streams all exchanges of a folder: those of WARC files, then those of http4k streams, of
/// `DiskCache` entries and of http4k caches, each group in the order of the paths.
///
/// A missing folder is an error, because an empty replay would look like success. A torn tail, the
/// incomplete last exchange of a file whose writer was killed, is skipped if `may_repair` is true,
/// and cut off where that is possible; otherwise it is an error, and the folder is not changed.
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
    let segments: Vec<Arc<Path>> = segments.into_iter().map(Arc::from).collect();
    let originals = Originals::new(segments.iter().cloned());
    for file in &segments {
        read_segment(file, &originals, may_repair, send)?;
    }
    for (layout, folder) in folders {
        send(layout.read(&folder))?;
    }
    Ok(())
}

fn read_segment(
    file: &Path,
    originals: &Originals,
    may_repair: bool,
    send: Send<'_>,
) -> Result<(), Dropped> {
    let mut outcome = Ok(());
    let on_event = |event| {
        let item = match event {
            SegmentEvent::Exchange(_, exchange) | SegmentEvent::Unplaced(exchange) => Ok(*exchange),
            SegmentEvent::Skipped(error) => Err(error),
            SegmentEvent::Repaired(_) | SegmentEvent::Noted(_) => return true,
        };
        outcome = send(item);
        outcome.is_ok()
    };
    let read = if may_repair {
        segment::read(file, Depth::Whole, originals, on_event)
    } else {
        segment::read_unchanged(file, originals, on_event)
    };
    outcome?;
    read.or_else(|error| send(Err(error)))
}
