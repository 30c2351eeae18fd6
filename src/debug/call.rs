//! A call under way, and what looks on while its bodies pass.

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
    message::{Context, End, Message, What},
    printer::Printer,
};
use crate::content::event_stream::EventSplitter;
use crate::{
    body::Tap,
    message::semantics,
    message::{BodyEnd, HeaderList},
    util::sync::lock,
};

/// A call under way.
struct Call {
    printer: Printer,
    id: u64,
    began: (SystemTime, Instant),
    method: Method,
    context: Option<Box<Context>>,
    state: Mutex<State>,
}

/// The messages that are not printed yet.
#[derive(Default)]
struct State {
    request: Option<Box<Message>>,
    response: Option<Box<Message>>,
    events: Option<Box<EventSplitter>>,
}

/// A call that waits for its response; or nothing, if the call is not printed.
// One word, because it is moved along with the call's future.
#[derive(Default)]
pub(super) struct Pending(Option<Arc<Call>>);

impl Pending {
    /// A call begins. Gives the request back, with what looks on while its body passes; if the body is
    /// empty, the request is printed at once.
    #[inline(never)]
    pub(super) fn begin<B: Body>(
        &mut self,
        printer: &Printer,
        request: Request<B>,
    ) -> (Request<B>, Option<RequestDump>) {
        let (parts, body) = request.into_parts();
        let dump = printer.begin(&parts).and_then(|(id, context)| {
            let call = Arc::new(Call {
                printer: printer.clone(),
                id,
                began: (SystemTime::now(), Instant::now()),
                method: parts.method.clone(),
                context,
                state: Mutex::default(),
            });
            self.0 = Some(call.clone());
            let mut state = lock(&call.state);
            state.request = call.message(Duration::ZERO, |message| message.set_request(&parts));
            if body.is_end_stream() {
                call.end_request(&mut state, End::Complete);
                return None;
            }
            drop(state);
            Some(RequestDump(call))
        });
        (Request::from_parts(parts, body), dump)
    }

    #[inline]
    pub(super) fn is_some(&self) -> bool {
        self.0.is_some()
    }

    /// The response's head is there; what comes back looks on while its body passes.
    pub(super) fn head<B>(&mut self, response: &Response<B>) -> Option<ResponseDump> {
        let call = self.0.take()?;
        call.begin_response(response);
        Some(ResponseDump(call))
    }

    /// There will be no response.
    pub(super) fn failed(&mut self, error: &impl fmt::Display) {
        if let Some(call) = self.0.take() {
            let error = error.to_string();
            call.no_response(|after| What::Failed { error, after });
        }
    }
}

impl Drop for Pending {
    #[inline]
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call.no_response(|after| What::ClientGone { after });
        }
    }
}

impl Call {
    /// A message that is counted as held; `None` if there is no room for it, which is counted too.
    fn message(&self, after: Duration, fill: impl FnOnce(&mut Message)) -> Option<Box<Message>> {
        let queue = self.printer.queue();
        let mut message = queue.message();
        message.id = self.id;
        message.at = self.began.0 + after;
        message.context.clone_from(&self.context);
        fill(&mut message);
        let weight = message.weight();
        if queue.hold(weight) {
            message.held = weight;
            return Some(message);
        }
        queue.lose(message);
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

    // What prints is called with the lock held: so a request always comes before its response.
    fn end_request(&self, state: &mut State, end: End) {
        if let Some(mut message) = state.request.take() {
            message.end = end;
            self.print(Some(message));
        }
    }

    fn no_response(&self, what: impl FnOnce(Duration) -> What) {
        let mut state = lock(&self.state);
        self.end_request(&mut state, End::Unread);
        let after = self.after();
        self.print(self.message(after, |message| message.what = what(after)));
    }

    fn begin_response<B>(&self, response: &Response<B>) {
        let mut state = lock(&self.state);
        self.end_request(&mut state, End::Unread);
        let (status, version) = (response.status(), response.version());
        let head = self.after();
        let is_events = self.printer.shows_events() && EventSplitter::can_read(response.headers());
        let message = self.message(head, |message| {
            message.head.set(&[], response.headers());
            message.what = if is_events {
                What::EventsBegin {
                    status,
                    version,
                    head,
                }
            } else {
                What::Response {
                    status,
                    version,
                    head,
                    end: head,
                }
            };
        });
        if is_events {
            self.print(message);
            state.events = Some(Box::default());
        } else {
            state.response = message;
        }
    }

    fn event(&self, event: &mut Vec<u8>, seen: u64, number: u64, end: End) {
        let after = self.after();
        let mut message = self.message(after, |message| {
            message.what = What::Event { number, after };
            message.end = end;
            mem::swap(&mut message.body, event);
            message.seen = seen;
        });
        event.clear();
        let kept = message.as_ref().map_or(0, |message| message.body.len());
        if kept > 0 && !self.printer.queue().hold(kept) {
            if let Some(message) = message.take() {
                self.printer.queue().lose(message);
            }
        } else if let Some(message) = &mut message {
            message.held += kept;
        }
        self.print(message);
    }

    fn response_data(&self, data: &Bytes) {
        let mut state = lock(&self.state);
        let limit = self.printer.capture_limit();
        let state = &mut *state;
        if let Some(events) = &mut state.events {
            events.data(data, limit, |event, seen, number| {
                self.event(event, seen, number, End::Complete);
            });
        } else if let Some(message) = &mut state.response
            && !message.keep(data, limit, self.printer.queue())
            && let Some(message) = state.response.take()
        {
            self.printer.queue().lose(message);
        }
    }

    fn end_response(&self, end: BodyEnd) {
        let mut state = lock(&self.state);
        let after = self.after();
        if let Some(mut events) = state.events.take() {
            if let Some((event, seen, number)) = events.rest() {
                self.event(event, seen, number, End::Unread);
            }
            let count = events.count();
            let message = self.message(after, |message| {
                message.what = What::EventsEnd { count, after };
                message.trailers = events.trailers.take();
                message.set_end(end);
            });
            self.print(message);
        } else if let Some(mut message) = state.response.take() {
            let mut status = StatusCode::OK;
            if let What::Response { status: s, end, .. } = &mut message.what {
                status = *s;
                *end = after;
            }
            message.at = self.began.0 + after;
            let length = content_length(&message);
            let end = match end {
                BodyEnd::Dropped
                    if semantics::is_whole(&self.method, status, length, message.seen) =>
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
    semantics::content_length(message.head.get("content-length"))
}

/// Looks on while a request's body passes.
pub struct RequestDump(Arc<Call>);

impl Tap for RequestDump {
    fn data(&mut self, data: &Bytes) {
        let call = &self.0;
        let mut state = lock(&call.state);
        let limit = call.printer.capture_limit();
        if let Some(message) = &mut state.request
            && !message.keep(data, limit, call.printer.queue())
            && let Some(message) = state.request.take()
        {
            call.printer.queue().lose(message);
        }
    }

    fn trailers(&mut self, trailers: &HeaderMap) {
        if let Some(message) = &mut lock(&self.0.state).request {
            message.trailers = Some(HeaderList::from(trailers));
        }
    }

    fn end(self, end: BodyEnd) {
        let mut state = lock(&self.0.state);
        if let Some(mut message) = state.request.take() {
            let end = match end {
                BodyEnd::Dropped if content_length(&message) == Some(message.seen) => {
                    BodyEnd::Complete
                }
                end => end,
            };
            message.set_end(end);
            self.0.print(Some(message));
        }
    }
}

impl fmt::Debug for RequestDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RequestDump").field(&self.0.id).finish()
    }
}

/// Looks on while a response's body passes.
pub struct ResponseDump(Arc<Call>);

impl Tap for ResponseDump {
    fn data(&mut self, data: &Bytes) {
        self.0.response_data(data);
    }

    fn trailers(&mut self, trailers: &HeaderMap) {
        let mut state = lock(&self.0.state);
        let state = &mut *state;
        let trailers = Some(HeaderList::from(trailers));
        if let Some(events) = &mut state.events {
            events.trailers = trailers;
        } else if let Some(message) = &mut state.response {
            message.trailers = trailers;
        }
    }

    fn end(self, end: BodyEnd) {
        self.0.end_response(end);
    }
}

impl fmt::Debug for ResponseDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ResponseDump").field(&self.0.id).finish()
    }
}
