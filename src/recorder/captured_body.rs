//! The recorded part of a body in flight.

use std::mem;

use bytes::Bytes;

use super::recording::RecordQueue;
use crate::message::{BodyEnd, HeaderList, RecordedBody};

/// Frames up to this length are copied: cheaper than to keep the network buffer that they are
/// slices of, and many small frames become one piece.
const MAX_COPIED_BYTES: usize = 256;

/// A body in flight, recorded up to a limit.
#[derive(Default)]
pub(super) struct CapturedBody {
    /// The first frame, if it is large. Nearly every body is one frame.
    first: Bytes,
    /// Boxed, because it is rarely needed.
    more: Option<Box<More>>,
    /// Small frames after all others; the buffer is reused.
    small: Vec<u8>,
    /// Bytes recorded, and held in the queue.
    pub(super) held: usize,
    /// Bytes that passed.
    pub(super) seen: u64,
    /// The queue had no room: nothing is recorded.
    pub(super) is_rejected: bool,
}

#[derive(Default)]
struct More {
    /// The pieces after the first frame.
    rest: Vec<Bytes>,
    trailers: Option<HeaderList>,
    end: BodyEnd,
}

impl CapturedBody {
    /// Records a body that was read already.
    pub(super) fn set_whole(&mut self, body: RecordedBody, queue: &RecordQueue) {
        let len = body.len();
        if len == 0 && body.trailers.is_none() {
            return;
        }
        if !queue.hold(len) {
            self.is_rejected = true;
            return;
        }
        self.held = len;
        self.seen = len as u64;
        let more = self.more();
        more.rest.extend(body.chunks().cloned());
        more.trailers = body.trailers;
    }

    fn more(&mut self) -> &mut More {
        self.more.get_or_insert_default()
    }

    pub(super) fn set_trailers(&mut self, trailers: HeaderList) {
        self.more().trailers = Some(trailers);
    }

    /// Records a frame up to `max_bytes` of the body; false if a part of the body is not recorded.
    pub(super) fn data(&mut self, data: &Bytes, max_bytes: usize, queue: &RecordQueue) -> bool {
        self.seen += data.len() as u64;
        if self.is_rejected {
            return false;
        }
        let kept = data.len().min(max_bytes.saturating_sub(self.held));
        if !queue.hold(kept) {
            queue.release(self.held);
            *self = Self {
                seen: self.seen,
                is_rejected: true,
                ..Self::default()
            };
            return false;
        }
        self.held += kept;
        if kept <= MAX_COPIED_BYTES {
            self.small.extend_from_slice(&data[..kept]);
        } else {
            self.close_small();
            if self.first.is_empty() && self.more.is_none() {
                self.first = data.slice(..kept);
            } else {
                self.more().rest.push(data.slice(..kept));
            }
        }
        self.held as u64 == self.seen
    }

    /// Makes a piece of the small frames before a large one.
    fn close_small(&mut self) {
        if !self.small.is_empty() {
            let piece = mem::take(&mut self.small).into();
            self.more().rest.push(piece);
        }
    }

    pub(super) fn end(&mut self, end: BodyEnd) {
        let end = match end {
            BodyEnd::Complete if (self.held as u64) < self.seen => BodyEnd::Limit,
            end => end,
        };
        if end != BodyEnd::Complete {
            self.more().end = end;
        }
    }

    /// Whether the body was recorded to its end.
    pub(super) fn is_whole(&self) -> bool {
        let more = self.more.as_ref();
        more.is_none_or(|more| more.end == BodyEnd::Complete)
    }

    /// Takes the recorded body, after its end.
    pub(super) fn take(&mut self) -> RecordedBody {
        let mut body = RecordedBody::from(mem::take(&mut self.first));
        if let Some(more) = self.more.take() {
            more.rest.into_iter().for_each(|piece| body.push(piece));
            body.trailers = more.trailers;
            body.end = more.end;
        }
        if !self.small.is_empty() {
            body.push(Bytes::copy_from_slice(&self.small));
        }
        body
    }

    /// Empties the body, and keeps its buffer.
    pub(super) fn reset(&mut self) {
        let mut small = mem::take(&mut self.small);
        small.clear();
        *self = Self {
            small,
            ..Self::default()
        };
    }

    /// The size of the buffer that is reused.
    pub(super) fn capacity(&self) -> usize {
        self.small.capacity()
    }
}
