//! What is kept of an exchange while it passes.

use std::{
    any::Any,
    fmt, mem,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode, request, response};
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
    began: SystemTime,
    start: Instant,
    request: RecordedRequest,
    progress: Mutex<Progress>,
}

#[derive(Default)]
struct Progress {
    request_body: RecordedBody,
    head: Option<(Duration, RecordedResponse)>,
    response_body: RecordedBody,
    failed: Option<String>,
    ended: Option<Duration>,
    /// Bytes of bodies that the queue counts as held.
    held: usize,
    /// The queue had no room for a body.
    has_no_room: bool,
    settled: Option<Settled>,
}

impl Flight {
    /// An exchange begins.
    pub(crate) fn begin(recorder: &Recorder, parts: &request::Parts) -> Self {
        Self::begin_with(recorder, RecordedRequest::from_parts(parts), None)
    }

    /// An exchange begins whose request's body is known already.
    pub(crate) fn begin_with(
        recorder: &Recorder,
        mut request: RecordedRequest,
        settled: Option<Settled>,
    ) -> Self {
        let body = mem::take(&mut request.body);
        let held = body.len();
        let has_no_room = !recorder.inner.queue.hold(held);
        Self {
            inner: Arc::new(Inner {
                recorder: recorder.clone(),
                began: SystemTime::now(),
                start: Instant::now(),
                request,
                progress: Mutex::new(Progress {
                    request_body: body,
                    held: if has_no_room { 0 } else { held },
                    has_no_room,
                    settled,
                    ..Progress::default()
                }),
            }),
        }
    }

    /// What looks on while the request's body passes.
    pub(crate) fn request_body(&self) -> Capture {
        Capture::new(self.clone(), Side::Request)
    }

    /// The response's head is there; what comes back looks on while its body passes.
    pub(crate) fn head(&self, parts: &response::Parts) -> Capture {
        let time = self.inner.start.elapsed();
        let response = RecordedResponse::from_parts(parts);
        self.progress().head = Some((time, response));
        Capture::new(self.clone(), Side::Response)
    }

    /// There will be no response.
    pub(crate) fn failed(&self, error: &impl fmt::Display) {
        let mut progress = self.progress();
        progress.failed = Some(error.to_string());
        progress.ended = Some(self.inner.start.elapsed());
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
        let progress = mem::take(progress);
        let request = RecordedRequest {
            method: mem::take(&mut self.request.method),
            uri: mem::take(&mut self.request.uri),
            version: self.request.version,
            headers: mem::take(&mut self.request.headers),
            body: progress.request_body,
        };
        let (time_to_head, response) = match (progress.head, progress.failed) {
            (Some((time, mut response)), _) => {
                response.body = progress.response_body;
                (Some(time), Ok(response))
            }
            (None, Some(error)) => (None, Err(NoResponse::Failed(error))),
            (None, None) => (None, Err(NoResponse::ClientGone)),
        };
        let exchange = Exchange {
            began: self.began,
            time_to_head,
            time_to_end: progress.ended.unwrap_or_else(|| self.start.elapsed()),
            request,
            response,
        };
        self.recorder.submit(
            exchange,
            progress.held,
            progress.has_no_room,
            progress.settled,
        );
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
        let is_whole = exchange
            .response
            .as_ref()
            .is_ok_and(|response| response.body.end == BodyEnd::Complete);
        if self.inner.config.only_whole && !is_whole {
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
            exchange,
            held,
            settled,
        });
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Request,
    Response,
}

/// Keeps what passes through a body, up to the capture limit.
pub struct Capture {
    flight: Flight,
    side: Side,
    body: RecordedBody,
    /// Small frames, not yet a piece of `body`.
    small: BytesMut,
    kept: usize,
    seen: u64,
    has_no_room: bool,
}

impl Capture {
    fn new(flight: Flight, side: Side) -> Self {
        Self {
            flight,
            side,
            body: RecordedBody::default(),
            small: BytesMut::new(),
            kept: 0,
            seen: 0,
            has_no_room: false,
        }
    }

    fn keep(&mut self, data: &Bytes) {
        let recorder = &self.flight.inner.recorder.inner;
        let room = recorder.config.capture_limit - self.kept;
        let data = data.slice(..data.len().min(room));
        if data.is_empty() {
            // The body is longer than what a replay could answer with.
            self.flight.give_up_waiting();
            return;
        }
        if !recorder.queue.hold(data.len()) {
            recorder.queue.release(self.kept);
            self.flight.give_up_waiting();
            self.has_no_room = true;
            self.kept = 0;
            self.body.clear();
            self.small = BytesMut::new();
            return;
        }
        self.kept += data.len();
        if data.len() <= COPIED {
            self.small.extend_from_slice(&data);
        } else {
            self.close_piece();
            self.body.push(data);
        }
    }

    fn close_piece(&mut self) {
        if !self.small.is_empty() {
            self.body.push(mem::take(&mut self.small).freeze());
        }
    }

    /// Whether a body that was let go before its end had in truth come to it.
    fn was_whole(&self, progress: &Progress) -> bool {
        let request = &self.flight.inner.request;
        let headers = match (self.side, &progress.head) {
            (Side::Response, Some((_, response))) => {
                if self.seen == 0 && has_no_content(&request.method, response.status) {
                    return true;
                }
                &response.headers
            }
            _ => &request.headers,
        };
        // Who knows the length does not poll until `None`.
        headers.get("content-length").and_then(http_text::number) == Some(self.seen)
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
        self.seen += data.len() as u64;
        if !self.has_no_room && !data.is_empty() {
            self.keep(data);
        }
    }

    fn trailers(&mut self, trailers: &HeaderMap) {
        self.body.trailers = Some(HeaderList::from(trailers));
    }

    fn end(mut self, end: BodyEnd) {
        self.close_piece();
        let mut body = mem::take(&mut self.body);
        let mut progress = self.flight.progress();
        body.end = match end {
            BodyEnd::Dropped if !self.was_whole(&progress) => BodyEnd::Dropped,
            BodyEnd::Complete | BodyEnd::Dropped if (self.kept as u64) < self.seen => {
                BodyEnd::Limit
            }
            BodyEnd::Complete | BodyEnd::Dropped => BodyEnd::Complete,
            end => end,
        };
        progress.held += self.kept;
        progress.has_no_room |= self.has_no_room;
        match self.side {
            Side::Request => progress.request_body = body,
            Side::Response => {
                progress.response_body = body;
                progress.ended = Some(self.flight.inner.start.elapsed());
            }
        }
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Capture")
            .field("kept", &self.kept)
            .finish_non_exhaustive()
    }
}
