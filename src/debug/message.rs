//! `Message`: one block to be printed.

use std::{
    mem,
    time::{Duration, SystemTime},
};

use http::{Method, StatusCode, Uri, Version, request};
use tracing::{Dispatch, Span};

use crate::{
    message::{BodyEnd, HeaderList, HeaderText, RecordedBody, RecordedRequest, RecordedResponse},
    redact::{Panicked, Redact},
    util::bounded_queue::Queue,
};

/// One block to be printed. The request path fills the message with few copies and no formatting;
/// the printer formats it, and returns it to the pool.
pub(super) struct Message {
    /// The number of the call, which pairs a request with its response.
    pub(super) id: u64,
    pub(super) at: SystemTime,
    pub(super) subject: Subject,
    /// The request target, and the headers.
    pub(super) head: HeaderText,
    /// The beginning of the content.
    pub(super) body: Vec<u8>,
    /// The number of content bytes that passed.
    pub(super) seen: u64,
    pub(super) trailers: Option<HeaderList>,
    pub(super) end: End,
    /// The number of content bytes that had passed when an earlier block printed the head of this
    /// request; `None` if this block prints the head.
    pub(super) printed: Option<u64>,
    /// The maximum number of bytes in `body`.
    pub(super) max_body_bytes: usize,
    /// The subscriber and the span, for an event of `tracing`.
    pub(super) context: Option<Box<Context>>,
    /// The bytes that are reserved in the queue.
    pub(super) reserved: usize,
}

/// The subject of a block. Durations start at the arrival of the request.
#[derive(Clone)]
pub(super) enum Subject {
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
    /// A response head that is followed by events, each in a block of its own.
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
    /// The inner service failed.
    Failed {
        error: String,
        after: Duration,
    },
    /// The client was gone before the response head.
    ClientGone {
        after: Duration,
    },
}

/// The end of a message's body.
#[derive(Clone, Debug, Default)]
pub(super) enum End {
    #[default]
    Complete,
    Error(String),
    /// The reader dropped the body.
    Dropped,
    /// The call ended before the body was read to its end.
    Unread,
    /// The body was longer than the limit: only its beginning was recorded.
    Truncated,
}

/// The subscriber and the span of a call: the printer's thread has neither.
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
            subject: Subject::ClientGone {
                after: Duration::ZERO,
            },
            head: HeaderText::default(),
            body: Vec::new(),
            seen: 0,
            trailers: None,
            end: End::Complete,
            printed: None,
            max_body_bytes: 0,
            context: None,
            reserved: 0,
        }
    }
}

impl Message {
    pub(super) fn set_request(&mut self, parts: &request::Parts) {
        self.subject = Subject::Request {
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

    /// Returns the number of bytes that the message occupies, without its content.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>() + self.head.weight()
    }

    /// Appends a piece of content, up to the limit of the message. Returns false if the queue is
    /// full.
    pub(super) fn keep(&mut self, data: &[u8], queue: &Queue<Box<Self>>) -> bool {
        let room = self.max_body_bytes.saturating_sub(self.body.len());
        let kept = data.len().min(room);
        if kept > 0 {
            if !queue.reserve(kept) {
                return false;
            }
            self.reserved += kept;
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

    /// Empties the message, and keeps its buffers if they are small.
    pub(super) fn reset(&mut self) {
        // Enough for the usual messages.
        const MAX_BYTES: usize = 4 << 10;
        let (mut head, mut body) = (mem::take(&mut self.head), mem::take(&mut self.body));
        head.clear();
        body.clear();
        *self = Self::default();
        if head.capacity() <= MAX_BYTES {
            self.head = head;
        }
        if body.capacity() <= MAX_BYTES {
            self.body = body;
        }
    }

    /// Returns the message as the user's redaction functions leave it; `None` if no function
    /// applies to the message.
    pub(super) fn redacted(&self, redact: &Redact) -> Option<Result<Self, Panicked>> {
        let (for_requests, for_responses) = redact.has_functions();
        if !for_requests && !for_responses {
            return None;
        }
        let headers = self.head.to_list();
        let mut prefix = Vec::new();
        let (headers, body) = match &self.subject {
            Subject::Request { method, version } if for_requests => {
                let mut request = RecordedRequest {
                    method: method.clone(),
                    // Always succeeds: the prefix was part of a URI.
                    uri: Uri::try_from(self.head.prefix()).unwrap_or_default(),
                    version: *version,
                    headers,
                    body: self.recorded_body(),
                };
                if let Err(panicked) = redact.try_request(&mut request) {
                    return Some(Err(panicked));
                }
                prefix.extend(request.uri.to_string().bytes());
                (request.headers, request.body)
            }
            Subject::Response {
                status, version, ..
            }
            | Subject::EventsBegin {
                status, version, ..
            } if for_responses => {
                let mut response = RecordedResponse {
                    status: *status,
                    version: *version,
                    headers,
                    body: self.recorded_body(),
                };
                if let Err(panicked) = redact.try_response(&mut response) {
                    return Some(Err(panicked));
                }
                (response.headers, response.body)
            }
            // The trailers: the functions need the whole response, which is gone.
            Subject::EventsEnd { .. } if for_responses => (headers, RecordedBody::default()),
            _ => return None,
        };
        let mut head = HeaderText::default();
        head.set(&prefix, &headers.to_map());
        let not_kept = self.seen - self.body.len() as u64;
        Some(Ok(Self {
            id: self.id,
            at: self.at,
            subject: self.subject.clone(),
            head,
            seen: body.len() as u64 + not_kept,
            body: body.to_bytes().to_vec(),
            trailers: body.trailers,
            end: self.end.clone(),
            printed: self.printed,
            max_body_bytes: self.max_body_bytes,
            ..Self::default()
        }))
    }

    fn recorded_body(&self) -> RecordedBody {
        let mut body = RecordedBody::from(self.body.clone());
        body.trailers.clone_from(&self.trailers);
        if self.seen > self.body.len() as u64 {
            body.end = BodyEnd::Limit;
        }
        body
    }
}
