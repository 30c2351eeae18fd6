//! The recorded part of a body in flight.

use std::mem;

use bytes::Bytes;

use super::recording::RecordQueue;
use crate::message::{BodyEnd, HeaderList, RecordedBody};

/// Frames up to this length are copied: cheaper than to keep the network buffer that they are
/// slices of, and many small frames become one piece.
const MAX_COPIED_BYTES: usize = 256;

/// The recorded part of a body in flight, up to a limit.
#[derive(Default)]
pub(super) struct CapturedBody {
    /// The first frame of the body, if it is longer than [`MAX_COPIED_BYTES`]; otherwise empty.
    /// Most bodies have one frame, which then needs no list.
    first: Bytes,
    /// Later pieces, trailers and the end; boxed, because few bodies need them.
    more: Option<Box<More>>,
    /// The short frames since the last long one; the buffer is reused.
    small: Vec<u8>,
    /// The number of recorded bytes, for which the queue has reserved room.
    pub(super) reserved: usize,
    /// The number of bytes that passed, recorded or not.
    pub(super) seen: u64,
    /// Whether the queue had no room, so that nothing is recorded.
    pub(super) is_rejected: bool,
}

#[derive(Default)]
struct More {
    /// The pieces after `first`.
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
        if !queue.reserve(len) {
            self.is_rejected = true;
            return;
        }
        self.reserved = len;
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

    /// Records a frame, up to `max_bytes` of the body in total. Returns false if a part of the body
    /// is not recorded.
    pub(super) fn data(&mut self, data: &Bytes, max_bytes: usize, queue: &RecordQueue) -> bool {
        self.seen += data.len() as u64;
        if self.is_rejected {
            return false;
        }
        let kept = data.len().min(max_bytes.saturating_sub(self.reserved));
        if !queue.reserve(kept) {
            queue.release(self.reserved);
            *self = Self {
                seen: self.seen,
                is_rejected: true,
                ..Self::default()
            };
            return false;
        }
        self.reserved += kept;
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
        self.reserved as u64 == self.seen
    }

    /// Moves the short frames before a long one into a piece of their own.
    fn close_small(&mut self) {
        if !self.small.is_empty() {
            let piece = mem::take(&mut self.small).into();
            self.more().rest.push(piece);
        }
    }

    pub(super) fn end(&mut self, end: BodyEnd) {
        let end = match end {
            BodyEnd::Complete if (self.reserved as u64) < self.seen => BodyEnd::Limit,
            end => end,
        };
        if end != BodyEnd::Complete {
            self.more().end = end;
        }
    }

    /// Whether the whole body was recorded.
    pub(super) fn is_whole(&self) -> bool {
        let more = self.more.as_ref();
        more.is_none_or(|more| more.end == BodyEnd::Complete)
    }

    /// Takes the recorded body, after the body has ended.
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

    /// Empties the recorded body, and keeps its buffer.
    pub(super) fn reset(&mut self) {
        let mut small = mem::take(&mut self.small);
        small.clear();
        *self = Self {
            small,
            ..Self::default()
        };
    }

    /// Returns the capacity of the buffer that is reused.
    pub(super) fn capacity(&self) -> usize {
        self.small.capacity()
    }
}
