//! What is kept of an exchange while it passes.

use std::{
    any::Any,
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, request, response};
use http_body::Body;
use tokio::time::Instant;

use super::{Recorder, queue::Item, stats::Reason};
use crate::{
    BodyEnd, Exchange, HeaderList, NoResponse, RecordedBody, RecordedRequest, RecordedResponse,
    body::Tap,
    format::http_text,
    locks::{get_mut, lock},
};

/// A frame up to this size is copied: that is cheaper than to keep the network buffer which it is a
/// slice of, and many small frames become one piece.
const COPIED: usize = 256;

/// What is dropped once it is decided whether an exchange was stored.
pub(crate) type Settled = Box<dyn Any + Send>;

/// An exchange under way. It goes to the recorder when the last clone is dropped: the call's future
/// holds one, and each body that is still open.
#[derive(Clone)]
pub(crate) struct Flight {
    inner: Arc<Inner>,
}

struct Inner {
    recorder: Recorder,
    start: Instant,
    progress: Mutex<Progress>,
}

struct Progress {
    /// What is known so far; taken when it is over.
    exchange: Option<Exchange>,
    request: Passed,
    response: Passed,
    has_ended: bool,
    settled: Option<Settled>,
}

/// What passed of a body.
#[derive(Default)]
struct Passed {
    /// Small frames, not yet a piece of the recorded body.
    small: BytesMut,
    /// Bytes kept, which the queue counts as held.
    len: usize,
    /// Bytes that passed.
    seen: u64,
    /// The queue had no room.
    has_no_room: bool,
}

impl Flight {
    /// An exchange begins.
    pub(crate) fn begin(recorder: &Recorder, parts: &request::Parts) -> Self {
        Self::begin_with(recorder, RecordedRequest::from_parts(parts), None)
    }

    /// An exchange begins whose request's body is known already.
    pub(crate) fn begin_with(
        recorder: &Recorder,
        request: RecordedRequest,
        settled: Option<Settled>,
    ) -> Self {
        let mut passed = Passed::default();
        if !request.body.is_empty() {
            let len = request.body.len();
            passed.has_no_room = !recorder.inner.queue.hold(len);
            passed.len = if passed.has_no_room { 0 } else { len };
        }
        Self {
            inner: Arc::new(Inner {
                recorder: recorder.clone(),
                start: Instant::now(),
                progress: Mutex::new(Progress {
                    exchange: Some(Exchange {
                        began: SystemTime::now(),
                        time_to_head: None,
                        time_to_end: Duration::ZERO,
                        request,
                        response: Err(NoResponse::ClientGone),
                    }),
                    request: passed,
                    response: Passed::default(),
                    has_ended: false,
                    settled,
                }),
            }),
        }
    }

    /// What looks on while the request's body passes; nothing, if it is empty.
    pub(crate) fn request_body(&self, body: &impl Body) -> Option<Capture> {
        (!body.is_end_stream()).then(|| self.capture(Side::Request))
    }

    /// The response's head is there; what comes back looks on while its body passes.
    pub(crate) fn head(&self, parts: &response::Parts) -> Capture {
        let time = self.inner.start.elapsed();
        let response = RecordedResponse::from_parts(parts);
        if let Some(exchange) = &mut self.progress().exchange {
            exchange.time_to_head = Some(time);
            exchange.response = Ok(response);
        }
        self.capture(Side::Response)
    }

    fn capture(&self, side: Side) -> Capture {
        Capture {
            flight: self.clone(),
            side,
        }
    }

    /// There will be no response.
    pub(crate) fn failed(&self, error: &impl fmt::Display) {
        let why = NoResponse::Failed(error.to_string());
        if let Some(exchange) = &mut self.progress().exchange {
            exchange.response = Err(why);
        }
    }

    /// Nobody should wait for this exchange to be stored.
    pub(crate) fn give_up_waiting(&self) {
        let settled = self.progress().settled.take();
        drop(settled);
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        lock(&self.inner.progress)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        let progress = get_mut(&mut self.progress);
        let Some(mut exchange) = progress.exchange.take() else {
            return;
        };
        if !progress.has_ended {
            exchange.time_to_end = self.start.elapsed();
        }
        let held = progress.request.len + progress.response.len;
        let has_no_room = progress.request.has_no_room || progress.response.has_no_room;
        let settled = progress.settled.take();
        self.recorder.submit(exchange, held, has_no_room, settled);
    }
}

impl Recorder {
    /// Queues an exchange that is over, or counts it as dropped.
    fn submit(
        &self,
        exchange: Exchange,
        bodies: usize,
        has_no_room: bool,
        settled: Option<Settled>,
    ) {
        let queue = &self.inner.queue;
        if self.inner.config.only_whole && !is_whole(&exchange) {
            return queue.release(bodies);
        }
        if !self.has_writer() {
            queue.release(bodies);
            return queue.drop_served(Reason::ShutDown);
        }
        // The bodies are held already; the rest is only now complete.
        let held = exchange.weight().max(bodies);
        if has_no_room || !queue.hold(held - bodies) {
            queue.release(bodies);
            return queue.drop_served(Reason::QueueFull);
        }
        queue.push(Item {
            exchange: Arc::new(exchange),
            held,
            settled,
        });
    }
}

/// Whether a replay could answer with it.
fn is_whole(exchange: &Exchange) -> bool {
    let response = exchange.response.as_ref();
    response.is_ok_and(|response| response.body.end == BodyEnd::Complete)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Request,
    Response,
}

/// Keeps what passes through a body, up to the capture limit.
pub struct Capture {
    // Small, because it is moved along with the body: what is kept stands in the flight.
    flight: Flight,
    side: Side,
}

impl Progress {
    /// A body as far as it is recorded, and what else is known of it.
    fn body(&mut self, side: Side) -> Option<(&mut RecordedBody, &mut Passed)> {
        let exchange = self.exchange.as_mut()?;
        Some(match side {
            Side::Request => (&mut exchange.request.body, &mut self.request),
            Side::Response => (
                &mut exchange.response.as_mut().ok()?.body,
                &mut self.response,
            ),
        })
    }

    /// Whether a body that was let go before its end had in truth come to it.
    fn was_whole(&self, side: Side) -> bool {
        let Some(exchange) = &self.exchange else {
            return false;
        };
        let (headers, seen) = match (side, &exchange.response) {
            (Side::Request, _) => (&exchange.request.headers, self.request.seen),
            (Side::Response, Err(_)) => return false,
            (Side::Response, Ok(response)) => {
                let seen = self.response.seen;
                if seen == 0 && has_no_content(&exchange.request.method, response.status) {
                    return true;
                }
                (&response.headers, seen)
            }
        };
        // Who knows the length does not poll until `None`.
        headers.get("content-length").and_then(http_text::number) == Some(seen)
    }
}

impl Passed {
    /// Keeps a frame, as far as there is room for it; false if not all of the body is kept.
    fn data(&mut self, body: &mut RecordedBody, data: &Bytes, recorder: &super::Inner) -> bool {
        self.seen += data.len() as u64;
        if self.has_no_room {
            return false;
        }
        let room = recorder.config.capture_limit.saturating_sub(self.len);
        let data = data.slice(..data.len().min(room));
        if !recorder.queue.hold(data.len()) {
            recorder.queue.release(mem::take(&mut self.len));
            self.has_no_room = true;
            self.small = BytesMut::new();
            *body = RecordedBody::default();
            return false;
        }
        self.len += data.len();
        if data.len() > COPIED {
            self.close_piece(body);
            body.push(data);
        } else {
            self.small.extend_from_slice(&data);
        }
        self.len as u64 == self.seen
    }

    fn close_piece(&mut self, body: &mut RecordedBody) {
        if !self.small.is_empty() {
            body.push(mem::take(&mut self.small).freeze());
        }
    }
}

/// A server never reads the body of such a response.
fn has_no_content(method: &Method, status: StatusCode) -> bool {
    *method == Method::HEAD
        || *method == Method::CONNECT
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

impl Tap for Capture {
    fn data(&mut self, data: &Bytes) {
        let recorder = &self.flight.inner.recorder.inner;
        let mut progress = self.flight.progress();
        let is_all_kept = progress
            .body(self.side)
            .is_some_and(|(body, passed)| passed.data(body, data, recorder));
        if !is_all_kept {
            let settled = progress.settled.take();
            drop(progress);
            drop(settled);
        }
    }

    fn trailers(&mut self, trailers: &HeaderMap) {
        let trailers = HeaderList::from(trailers);
        if let Some((body, _)) = self.flight.progress().body(self.side) {
            body.trailers = Some(trailers);
        }
    }

    fn end(self, end: BodyEnd) {
        let mut progress = self.flight.progress();
        let end = match end {
            BodyEnd::Dropped if progress.was_whole(self.side) => BodyEnd::Complete,
            end => end,
        };
        if let Some((body, passed)) = progress.body(self.side) {
            passed.close_piece(body);
            body.end = match end {
                BodyEnd::Complete if (passed.len as u64) < passed.seen => BodyEnd::Limit,
                end => end,
            };
        }
        if self.side == Side::Response
            && let Some(exchange) = &mut progress.exchange
        {
            exchange.time_to_end = self.flight.inner.start.elapsed();
            progress.has_ended = true;
        }
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture")
            .field("side", &self.side)
            .finish_non_exhaustive()
    }
}
