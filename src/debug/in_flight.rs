//! A call in flight, and the taps on its bodies.

use std::{
    fmt, mem,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body::Body;
use tokio::time::Instant;

use super::{
    layer::Settings,
    message::{Context, End, Message, Subject},
    printer::Printer,
};
use crate::{
    body::Tap,
    content::event_stream::EventSplitter,
    message::{BodyEnd, HeaderList, whole_body},
    util::sync::lock,
};

/// A call that has not ended.
struct Call {
    printer: Printer,
    id: u64,
    began: (SystemTime, Instant),
    method: Method,
    context: Option<Box<Context>>,
    max_body_bytes: usize,
    prints_events: bool,
    open: Mutex<Open>,
}

/// The messages of a call that have not entered the queue yet.
#[derive(Default)]
struct Open {
    request: Option<Box<Message>>,
    response: Option<Box<Message>>,
    events: Option<Box<EventSplitter>>,
}

/// A call without a response yet; empty if the call is not printed.
// One word, because it is moved with the response future.
#[derive(Default)]
pub(super) struct Pending(Option<Arc<Call>>);

impl Pending {
    /// Begins a call. Returns the request and the tap of its body; a request without a body enters
    /// the queue at once.
    #[inline(never)]
    pub(super) fn begin<B: Body>(
        &mut self,
        printer: &Printer,
        settings: &Settings,
        request: Request<B>,
    ) -> (Request<B>, Option<RequestTap>) {
        let (parts, body) = request.into_parts();
        let is_selected = settings
            .filter
            .as_ref()
            .is_none_or(|filter| filter.matches(&parts));
        let begun = is_selected.then(|| printer.begin()).flatten();
        let tap = begun.and_then(|(id, context)| {
            let call = Arc::new(Call {
                printer: printer.clone(),
                id,
                began: (SystemTime::now(), Instant::now()),
                method: parts.method.clone(),
                context,
                max_body_bytes: settings.max_body_bytes,
                prints_events: settings.prints_events,
                open: Mutex::default(),
            });
            self.0 = Some(call.clone());
            let mut open = lock(&call.open);
            open.request = call.message(Duration::ZERO, |message| message.set_request(&parts));
            if body.is_end_stream() {
                call.end_request(&mut open, End::Complete);
                return None;
            }
            drop(open);
            Some(RequestTap(call))
        });
        (Request::from_parts(parts, body), tap)
    }

    #[inline]
    pub(super) fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// Begins the message for the response. Returns the tap of the response body.
    pub(super) fn head<B>(&mut self, response: &Response<B>) -> Option<ResponseTap> {
        let call = self.0.take()?;
        call.begin_response(response);
        Some(ResponseTap(call))
    }

    /// Prints that the inner service failed.
    pub(super) fn failed(&mut self, error: &impl fmt::Display) {
        if let Some(call) = self.0.take() {
            let error = error.to_string();
            call.no_response(|after| Subject::Failed { error, after });
        }
    }

    /// Prints that the inner service failed with a panic. Dropping the call instead would print
    /// that the client disconnected.
    pub(super) fn panicked(&mut self) {
        self.failed(&"the service panicked");
    }
}

impl Drop for Pending {
    #[inline]
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call.no_response(|after| Subject::ClientGone { after });
        }
    }
}

impl Call {
    /// Returns a message that `fill` has filled, dated `after` the start of the call, with its
    /// bytes reserved in the queue. Returns `None` if the queue is full, and counts the message as
    /// not printed.
    fn message(&self, after: Duration, fill: impl FnOnce(&mut Message)) -> Option<Box<Message>> {
        let mut message = self.printer.message();
        message.id = self.id;
        message.at = self.began.0 + after;
        message.context.clone_from(&self.context);
        message.max_body_bytes = self.max_body_bytes;
        fill(&mut message);
        let weight = message.weight();
        if self.printer.queue().reserve(weight) {
            message.reserved = weight;
            return Some(message);
        }
        self.printer.lose(message);
        None
    }

    fn after(&self) -> Duration {
        self.began.1.elapsed()
    }

    fn print(&self, message: Option<Box<Message>>) {
        if let Some(message) = message {
            self.printer.queue().push(message);
        }
    }

    /// Appends a piece of content to an open message; drops the message if the queue is full.
    fn keep(&self, open: &mut Option<Box<Message>>, data: &Bytes) {
        if let Some(message) = open
            && !message.keep(data, self.printer.queue())
            && let Some(message) = open.take()
        {
            self.printer.lose(message);
        }
    }

    // Messages enter the queue with `open` locked, so that a request precedes its response.
    fn end_request(&self, open: &mut Open, end: End) {
        if let Some(mut message) = open.request.take() {
            message.end = end;
            self.print(Some(message));
        }
    }

    fn no_response(&self, subject: impl FnOnce(Duration) -> Subject) {
        let mut open = lock(&self.open);
        self.end_request(&mut open, End::Unread);
        let after = self.after();
        self.print(self.message(after, |message| message.subject = subject(after)));
    }

    fn begin_response<B>(&self, response: &Response<B>) {
        let mut open = lock(&self.open);
        let rest = open.request.as_deref().and_then(|head| self.rest_of(head));
        self.end_request(&mut open, End::Unread);
        open.request = rest;
        let (status, version) = (response.status(), response.version());
        let head = self.after();
        let is_events = self.prints_events && EventSplitter::can_read(response.headers());
        let message = self.message(head, |message| {
            message.head.set(&[], response.headers());
            message.subject = if is_events {
                Subject::EventsBegin {
                    status,
                    version,
                    head,
                }
            } else {
                Subject::Response {
                    status,
                    version,
                    head,
                    end: head,
                }
            };
        });
        if is_events {
            self.print(message);
            open.events = Some(Box::default());
        } else {
            open.response = message;
        }
    }

    /// Begins the block for a request body that is still read when the response begins, as in a
    /// bidirectional stream. The block shows the whole body, because secrets cannot be found in a
    /// part of it.
    fn rest_of(&self, head: &Message) -> Option<Box<Message>> {
        let mut rest = self.message(Duration::ZERO, |rest| {
            rest.subject = head.subject.clone();
            rest.head = head.head.clone();
            rest.printed = Some(head.seen);
        })?;
        if !rest.keep(&head.body, self.printer.queue()) {
            self.printer.lose(rest);
            return None;
        }
        rest.seen = head.seen;
        Some(rest)
    }

    fn event(&self, event: &mut Vec<u8>, seen: u64, number: u64, end: End) {
        let after = self.after();
        let mut message = self.message(after, |message| {
            message.subject = Subject::Event { number, after };
            message.end = end;
            mem::swap(&mut message.body, event);
            message.seen = seen;
        });
        event.clear();
        let kept = message.as_ref().map_or(0, |message| message.body.len());
        if kept > 0 && !self.printer.queue().reserve(kept) {
            if let Some(message) = message.take() {
                self.printer.lose(message);
            }
        } else if let Some(message) = &mut message {
            message.reserved += kept;
        }
        self.print(message);
    }

    fn end_response(&self, end: BodyEnd) {
        let mut open = lock(&self.open);
        let after = self.after();
        if let Some(mut events) = open.events.take() {
            if let Some((event, seen, number)) = events.rest() {
                self.event(event, seen, number, End::Unread);
            }
            let count = events.count();
            let message = self.message(after, |message| {
                message.subject = Subject::EventsEnd { count, after };
                message.trailers = events.trailers.take();
                message.set_end(end);
            });
            self.print(message);
        } else if let Some(mut message) = open.response.take() {
            let mut status = StatusCode::OK;
            if let Subject::Response { status: s, end, .. } = &mut message.subject {
                status = *s;
                *end = after;
            }
            message.at = self.began.0 + after;
            let length = content_length(&message);
            let end = match end {
                BodyEnd::Dropped
                    if whole_body::is_whole(&self.method, status, length, message.seen) =>
                {
                    BodyEnd::Complete
                }
                end => end,
            };
            message.set_end(end);
            self.print(Some(message));
        }
    }
}

fn content_length(message: &Message) -> Option<u64> {
    whole_body::content_length(message.head.get("content-length"))
}

/// The tap of a request body.
pub(super) struct RequestTap(Arc<Call>);

impl Tap for RequestTap {
    fn data(&mut self, data: &Bytes) {
        let mut open = lock(&self.0.open);
        self.0.keep(&mut open.request, data);
    }

    fn trailers(&mut self, trailers: &HeaderMap) {
        if let Some(message) = &mut lock(&self.0.open).request {
            message.trailers = Some(HeaderList::from(trailers));
        }
    }

    fn end(self, end: BodyEnd) {
        let mut open = lock(&self.0.open);
        if let Some(mut message) = open.request.take() {
            let end = match end {
                BodyEnd::Dropped
                    if whole_body::is_whole_request(content_length(&message), message.seen) =>
                {
                    BodyEnd::Complete
                }
                end => end,
            };
            message.set_end(end);
            if message.printed == Some(message.seen)
                && message.trailers.is_none()
                && !matches!(message.end, End::Error(_))
            {
                // The earlier block has all of it.
                return self.0.printer.discard(message);
            }
            if message.printed.is_some() {
                message.at = self.0.began.0 + self.0.after();
            }
            self.0.print(Some(message));
        }
    }
}

/// The tap of a response body.
pub(super) struct ResponseTap(Arc<Call>);

impl Tap for ResponseTap {
    fn data(&mut self, data: &Bytes) {
        let call = &self.0;
        let mut open = lock(&call.open);
        let open = &mut *open;
        if let Some(events) = &mut open.events {
            events.data(data, call.max_body_bytes, |event, seen, number| {
                call.event(event, seen, number, End::Complete);
            });
        } else {
            call.keep(&mut open.response, data);
        }
    }

    fn trailers(&mut self, trailers: &HeaderMap) {
        let mut open = lock(&self.0.open);
        let open = &mut *open;
        let trailers = Some(HeaderList::from(trailers));
        if let Some(events) = &mut open.events {
            events.trailers = trailers;
        } else if let Some(message) = &mut open.response {
            message.trailers = trailers;
        }
    }

    fn end(self, end: BodyEnd) {
        self.0.end_response(end);
    }
}
