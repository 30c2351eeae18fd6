//! Replay of a stream in S3: lists pages, fetches a few segments ahead, decodes one exchange at a
//! time.

mod fetch;
mod list;
mod selection;

use std::path::{Path, PathBuf};

use futures_util::{FutureExt, StreamExt, stream};
use tokio::{runtime::Handle, sync::mpsc};

use self::fetch::{Fetched, Fetching};
pub(super) use self::selection::Selection;
use super::S3;
use crate::{
    format::warc::{self, Depth, SegmentItem},
    message::Exchange,
    store::{
        BoxStream, Bucket, Location, Replay, StoreError,
        reader_thread::{Reader, on_a_thread},
    },
};

/// Number of segments that are fetched ahead.
const SEGMENTS_AHEAD: usize = 2;

/// A step of the replay.
enum Job {
    Segment(Segment),
    Failed(StoreError),
}

struct Segment {
    key: String,
    size: u64,
    fetching: Fetching,
}

impl Replay for S3 {
    /// Streams the segments in the order of their keys: by the hour in which they were begun, then
    /// by writer, in written order. [`began`](S3::began) and [`share`](S3::share) select a part.
    ///
    /// A bucket and prefix without segments are an error ([`StoreError::NotFound`]), because an
    /// empty replay would look like success.
    fn replay(&self) -> BoxStream<'static, Result<Exchange, StoreError>> {
        let bucket = self.settings.bucket.clone();
        let selection = self.settings.selection.clone();
        async move { start(bucket, selection) }
            .into_stream()
            .flatten()
            .boxed()
    }
}

/// Lists and fetches in tasks of the caller's runtime, and decodes on a thread. All end when the
/// stream is dropped.
fn start(bucket: Bucket, selection: Selection) -> BoxStream<'static, Result<Exchange, StoreError>> {
    let Ok(runtime) = Handle::try_current() else {
        let error = StoreError::other("S3 needs a tokio runtime");
        return stream::iter([Err(error)]).boxed();
    };
    let (jobs, mut jobs_receiver) = mpsc::channel(SEGMENTS_AHEAD);
    runtime.spawn(list::segments(bucket.clone(), selection.clone(), jobs));
    on_a_thread(move |output| {
        let mut decoding = Decoding {
            output,
            selection,
            place: bucket,
        };
        while let Some(job) = jobs_receiver.blocking_recv() {
            if !decoding.job(job) {
                return;
            }
        }
    })
}

struct Decoding {
    output: Reader,
    selection: Selection,
    place: Bucket,
}

impl Decoding {
    /// Runs a step. Returns false if the stream was dropped.
    fn job(&mut self, job: Job) -> bool {
        match job {
            Job::Failed(error) => self.output.send(Err(error)),
            Job::Segment(segment) => {
                let path = PathBuf::from(format!("s3://{}/{}", self.place.name(), segment.key));
                let input = Fetched::new(segment.fetching);
                match self.segment(&path, input, segment.size) {
                    Ok(listening) => listening,
                    Err(error) => self.output.send(Err(error)),
                }
            }
        }
    }

    fn segment(&mut self, path: &Path, input: Fetched, size: u64) -> Result<bool, StoreError> {
        let failed = |error: std::io::Error| match error.downcast::<StoreError>() {
            Ok(error) => error,
            Err(error) => StoreError::io("read the object", path, error),
        };
        let mut reader = warc::Reader::new(input, size).map_err(failed)?;
        while let Some(item) = reader.next(Depth::Whole).map_err(failed)? {
            let item = match item {
                SegmentItem::Exchange(_, exchange) | SegmentItem::Within(exchange) => {
                    if !self.selection.contains(exchange.began) {
                        continue;
                    }
                    Ok(*exchange)
                }
                // This crate writes neither.
                SegmentItem::Revisit { .. } | SegmentItem::Noted(..) => continue,
                SegmentItem::Bad(offset, reason) => Err(damaged(path, offset, reason)),
                SegmentItem::Torn(offset) => {
                    let reason = "the object ends within the exchange";
                    Err(damaged(path, offset, reason))
                }
            };
            if let Err(error) = &item {
                tracing::warn!(%error, "part of a recording skipped");
            }
            if !self.output.send(item) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn damaged(path: &Path, offset: u64, reason: impl Into<String>) -> StoreError {
    StoreError::damaged(Location::new(path).at_byte(offset), reason)
}
