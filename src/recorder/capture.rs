//! What is kept of a body while it passes.

use std::{fmt, mem};

use bytes::Bytes;
use http::HeaderMap;

use super::{Inner, flight::Flight, queue::Queue};
use crate::{
    body::Tap,
    message::{BodyEnd, HeaderList, RecordedBody},
};

/// A frame up to this many bytes is copied: that is cheaper than to keep the network buffer which it
/// is a slice of, and many small frames become one piece.
const COPIED: usize = 256;

/// Keeps what passes through a body, up to the capture limit.
pub struct Capture {
    // Small, because it is moved along with the body: what is kept stands in the flight.
    flight: Flight,
    side: Side,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Response,
}

impl Capture {
    pub(super) fn new(flight: Flight, side: Side) -> Self {
        Self { flight, side }
    }

    /// The exchange that the body belongs to.
    pub(crate) fn flight(&self) -> &Flight {
        &self.flight
    }
}

impl Tap for Capture {
    fn data(&mut self, data: &Bytes) {
        let mut entries = self.flight.entries();
        let entries = &mut *entries;
        let passed = match self.side {
            Side::Request => &mut entries.request,
            Side::Response => &mut entries.response,
        };
        let recorder = entries.recorder.as_ref();
        let is_all_kept = recorder.is_some_and(|recorder| passed.data(data, &recorder.inner));
        let settled = if is_all_kept {
            None
        } else {
            entries.settled.take()
        };
        drop(settled);
    }

    fn trailers(&mut self, trailers: &HeaderMap) {
        let trailers = HeaderList::from(trailers);
        self.flight
            .entries()
            .passed(self.side)
            .set_trailers(trailers);
    }

    fn end(self, end: BodyEnd) {
        self.flight.entries().end(self.side, end);
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture")
            .field("side", &self.side)
            .finish_non_exhaustive()
    }
}

/// What passed of a body.
#[derive(Default)]
pub(super) struct Passed {
    /// A large frame that came first. Nearly every body is one frame.
    first: Bytes,
    /// What else there is to know: boxed, because there seldom is.
    more: Option<Box<More>>,
    /// Small frames, after all others; a buffer that is used again.
    small: Vec<u8>,
    /// Bytes kept, which the queue counts as held.
    pub(super) held: usize,
    /// Bytes that passed.
    pub(super) seen: u64,
    /// The queue had no room.
    pub(super) has_no_room: bool,
}

#[derive(Default)]
struct More {
    /// What was kept after the first frame.
    rest: Vec<Bytes>,
    trailers: Option<HeaderList>,
    end: BodyEnd,
}

impl Passed {
    /// The body was there before.
    pub(super) fn set_whole(&mut self, body: RecordedBody, queue: &Queue) {
        let len = body.len();
        if len == 0 && body.trailers.is_none() {
            return;
        }
        if !queue.hold(len) {
            self.has_no_room = true;
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

    /// Keeps a frame, as far as there is room for it; false if not all of the body is kept.
    fn data(&mut self, data: &Bytes, recorder: &Inner) -> bool {
        self.seen += data.len() as u64;
        if self.has_no_room {
            return false;
        }
        let room = recorder.config.capture_limit.saturating_sub(self.held);
        let kept = data.len().min(room);
        if !recorder.queue.hold(kept) {
            recorder.queue.release(self.held);
            *self = Self {
                seen: self.seen,
                has_no_room: true,
                ..Self::default()
            };
            return false;
        }
        self.held += kept;
        if kept <= COPIED {
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

    /// Makes a piece of the small frames, because a large one follows.
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

    /// Whether the body was seen and kept to its end.
    pub(super) fn is_whole(&self) -> bool {
        let more = self.more.as_ref();
        more.is_none_or(|more| more.end == BodyEnd::Complete)
    }

    /// The body, once it is over.
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

    /// As new, with its buffer.
    pub(super) fn reset(&mut self) {
        let mut small = mem::take(&mut self.small);
        small.clear();
        *self = Self {
            small,
            ..Self::default()
        };
    }

    /// The bytes that are held to be used again.
    pub(super) fn capacity(&self) -> usize {
        self.small.capacity()
    }
}
