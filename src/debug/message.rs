//! What is kept of a message until it is printed.

use std::{
    mem,
    time::{Duration, SystemTime},
};

use http::{Method, StatusCode, Version, request};
use tracing::{Dispatch, Span};

use super::queue::Queue;
use crate::message::{BodyEnd, HeaderList, HeaderText};

/// One block of what is printed. It is filled on the request path with few copies and no formatting,
/// goes to the printer as it is, and comes back to be filled again: what one thread allocates and
/// another frees costs both of them.
pub(super) struct Message {
    /// Pairs a request with its response.
    pub(super) id: u64,
    pub(super) at: SystemTime,
    pub(super) what: What,
    /// The request target, and the header fields.
    pub(super) head: HeaderText,
    /// The beginning of the content.
    pub(super) body: Vec<u8>,
    /// The bytes of content that passed.
    pub(super) seen: u64,
    pub(super) trailers: Option<HeaderList>,
    pub(super) end: End,
    /// Where an event of `tracing` belongs.
    pub(super) context: Option<Box<Context>>,
    /// Bytes that the queue counts as held.
    pub(super) held: usize,
}

/// What a block is about. Durations are from the request's arrival.
#[derive(Clone)]
pub(super) enum What {
    Request {
        method: Method,
        version: Version,
    },
    Response {
        status: StatusCode,
        version: Version,
        head: Duration,
        end: Duration,
    },
    /// The head of a response whose events follow, each in a block of its own.
    EventsBegin {
        status: StatusCode,
        version: Version,
        head: Duration,
    },
    Event {
        number: u64,
        after: Duration,
    },
    EventsEnd {
        count: u64,
        after: Duration,
    },
    /// There is no response, for this reason.
    Failed {
        error: String,
        after: Duration,
    },
    /// The caller went away before there was a response.
    ClientGone {
        after: Duration,
    },
}

/// How a message's body ended.
#[derive(Clone, Debug, Default)]
pub(super) enum End {
    #[default]
    Complete,
    Error(String),
    /// Whoever read it let go.
    Dropped,
    /// The call came to its end first.
    Unread,
    /// Only its beginning was recorded.
    Cut,
}

/// The subscriber and the span that a call was made in: the printer's thread has neither.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) dispatch: Dispatch,
    pub(super) span: Span,
}

impl Context {
    pub(super) fn current() -> Self {
        Self {
            dispatch: tracing::dispatcher::get_default(Dispatch::clone),
            span: Span::current(),
        }
    }
}

impl Default for Message {
    fn default() -> Self {
        Self {
            id: 0,
            at: SystemTime::UNIX_EPOCH,
            what: What::ClientGone {
                after: Duration::ZERO,
            },
            head: HeaderText::default(),
            body: Vec::new(),
            seen: 0,
            trailers: None,
            end: End::Complete,
            context: None,
            held: 0,
        }
    }
}

impl Message {
    pub(super) fn set_request(&mut self, parts: &request::Parts) {
        self.what = What::Request {
            method: parts.method.clone(),
            version: parts.version,
        };
        match (parts.uri.authority(), parts.uri.path_and_query()) {
            (None, Some(path)) => self.head.set(path.as_str().as_bytes(), &parts.headers),
            _ => self
                .head
                .set(parts.uri.to_string().as_bytes(), &parts.headers),
        }
    }

    /// What it holds besides its content, in bytes.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>() + self.head.weight()
    }

    /// Keeps a piece of content as far as there is room in the message; false if there is none in the
    /// queue.
    pub(super) fn keep(&mut self, data: &[u8], limit: usize, queue: &Queue) -> bool {
        let kept = data.len().min(limit.saturating_sub(self.body.len()));
        if kept > 0 {
            if !queue.hold(kept) {
                return false;
            }
            self.held += kept;
            self.body.extend_from_slice(&data[..kept]);
        }
        self.seen += data.len() as u64;
        true
    }

    pub(super) fn set_end(&mut self, end: BodyEnd) {
        self.end = match end {
            BodyEnd::Error(error) => End::Error(error),
            BodyEnd::Dropped => End::Dropped,
            _ => End::Complete,
        };
    }

    /// As new, with its buffers, unless they have become large.
    pub(super) fn reset(&mut self) {
        // A few usual messages; what is rarely larger is not worth the memory.
        const LARGE: usize = 4 << 10;
        let (mut head, mut body) = (mem::take(&mut self.head), mem::take(&mut self.body));
        head.clear();
        body.clear();
        *self = Self::default();
        if head.capacity() <= LARGE {
            self.head = head;
        }
        if body.capacity() <= LARGE {
            self.body = body;
        }
    }
}
