//! `InFlight`: an exchange that has not ended, and the capture of its bodies.

use std::{
    fmt, mem,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Response, StatusCode, Uri, Version, request};
use http_body::Body;
use tokio::time::Instant;

use super::{
    Recorder,
    captured_body::CapturedBody,
    recording::{OnSettled, Recording},
};
use crate::{
    body::Tap,
    message::{
        BodyEnd, Exchange, HeaderList, HeaderText, NoResponse, RecordedRequest, RecordedResponse,
        whole_body,
    },
    util::{
        bounded_queue::DropReason,
        sync::{get_mut, lock},
    },
};

/// A handle to an exchange in flight. The response future has one handle, and each body that has
/// not ended has one. When the last handle is dropped, the exchange has ended and enters the
/// recorder's queue.
pub(crate) struct InFlight {
    log: Arc<Log>,
}

/// The facts of an exchange. The request path fills the log with few copies; the writer makes an
/// [`Exchange`] of the log, and returns the log to the pool.
#[derive(Default)]
pub(super) struct Log {
    /// The number of handles.
    handles: AtomicUsize,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    /// Taken out at the end: the writer must not own the recorder, because the recorder's drop
    /// waits for the writer.
    recorder: Option<Recorder>,
    max_body_bytes: usize,
    /// Whether to record the exchange only if it can be replayed. Other exchanges are not counted
    /// either.
    only_whole: bool,
    began: Option<(SystemTime, Instant)>,
    method: Method,
    /// The request target; `None` if path and query are the prefix of `headers`.
    uri: Option<Box<Uri>>,
    version: Version,
    headers: HeaderText,
    request: CapturedBody,
    head: Option<Head>,
    response_headers: HeaderText,
    response: CapturedBody,
    failure: Option<Box<str>>,
    time_to_end: Option<Duration>,
    settled: Option<OnSettled>,
}

/// A response head without its headers.
struct Head {
    status: StatusCode,
    version: Version,
    time: Duration,
}

impl InFlight {
    /// Begins an exchange. At most `max_body_bytes` of each body are recorded.
    pub(crate) fn begin(
        recorder: &Recorder,
        parts: &request::Parts,
        max_body_bytes: usize,
    ) -> Self {
        Self::new(recorder, |entries| {
            entries.max_body_bytes = max_body_bytes;
            entries.method.clone_from(&parts.method);
            entries.version = parts.version;
            let path =
                if let (None, Some(path)) = (parts.uri.authority(), parts.uri.path_and_query()) {
                    path.as_str()
                } else {
                    // In HTTP/1, where this is rare, a clone keeps the read buffer alive.
                    entries.uri = Some(Box::new(parts.uri.clone()));
                    ""
                };
            entries.headers.set(path.as_bytes(), &parts.headers);
        })
    }

    /// Begins an exchange for a cache. Its request was read already, the exchange is recorded only
    /// if it can be replayed, and `settled` runs when the exchange is stored or dropped.
    pub(crate) fn begin_with(
        recorder: &Recorder,
        request: RecordedRequest,
        max_body_bytes: usize,
        settled: OnSettled,
    ) -> Self {
        Self::new(recorder, |entries| {
            entries.max_body_bytes = max_body_bytes;
            entries.only_whole = true;
            entries.method = request.method;
            entries.uri = Some(Box::new(request.uri));
            entries.version = request.version;
            entries.headers.set_list(&[], &request.headers);
            entries.request.set_whole(request.body, recorder.queue());
            entries.settled = Some(settled);
        })
    }

    fn new(recorder: &Recorder, fill: impl FnOnce(&mut Entries)) -> Self {
        let mut log = recorder.shared.spare_logs.take().unwrap_or_default();
        // Always succeeds: a spare log has no other owner.
        if let Some(log) = Arc::get_mut(&mut log) {
            *log.handles.get_mut() = 1;
            let entries = get_mut(&mut log.entries);
            entries.began = Some((SystemTime::now(), Instant::now()));
            entries.recorder = Some(recorder.clone());
            fill(entries);
        }
        Self { log }
    }

    /// Returns the capture of the request body, or `None` if the body is empty.
    pub(crate) fn request_body(&self, body: &impl Body) -> Option<Capture> {
        (!body.is_end_stream()).then(|| Capture {
            in_flight: self.clone(),
            side: Side::Request,
        })
    }

    /// Records the response head, and returns the capture of the response body.
    pub(crate) fn head<B>(self, response: &Response<B>) -> Capture {
        let mut entries = self.entries();
        entries.response_headers.set(&[], response.headers());
        entries.head = Some(Head {
            status: response.status(),
            version: response.version(),
            time: entries.elapsed(),
        });
        drop(entries);
        Capture {
            in_flight: self,
            side: Side::Response,
        }
    }

    /// Records that the inner service failed.
    pub(crate) fn failed(&self, error: &impl fmt::Display) {
        let error = error.to_string();
        self.entries().failure = Some(error.into());
    }

    /// Ends the exchange with an error, because the inner service panicked. Dropping the exchange
    /// instead would record that the client disconnected.
    pub(crate) fn panicked(in_flight: &mut Option<Self>) {
        if let Some(in_flight) = in_flight.take() {
            in_flight.failed(&"the service panicked");
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        lock(&self.log.entries)
    }
}

impl Clone for InFlight {
    fn clone(&self) -> Self {
        self.log.handles.fetch_add(1, Ordering::Relaxed);
        Self {
            log: self.log.clone(),
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if self.log.handles.fetch_sub(1, Ordering::AcqRel) > 1 {
            return;
        }
        let mut entries = self.entries();
        let Some(recorder) = entries.recorder.take() else {
            return;
        };
        if entries.time_to_end.is_none() {
            entries.time_to_end = Some(entries.elapsed());
        }
        let weight = entries.weight();
        let bodies = entries.request.reserved + entries.response.reserved;
        let is_rejected = entries.request.is_rejected || entries.response.is_rejected;
        let is_skipped = entries.only_whole && !entries.is_whole();
        let settled = entries.settled.take();
        drop(entries);

        let queue = recorder.queue();
        if is_skipped {
            return queue.release(bodies);
        }
        recorder.start_writer();
        // The bodies are reserved already.
        if is_rejected || !queue.reserve(weight) {
            queue.release(bodies);
            return queue.count_dropped(DropReason::QueueFull);
        }
        queue.push(Recording {
            log: self.log.clone(),
            reserved: weight + bodies,
            settled,
        });
    }
}

impl Log {
    /// Takes the exchange out of the log, after the exchange has ended.
    pub(super) fn take(&self) -> Exchange {
        // Locked, because the last handle may not be freed yet.
        lock(&self.entries).take()
    }

    /// Whether the log has no other owner, and its buffers are small enough to keep.
    pub(super) fn is_reusable(self: &mut Arc<Self>) -> bool {
        // Enough for the usual heads.
        const MAX_BYTES: usize = 4 << 10;
        Arc::get_mut(self).is_some_and(|log| {
            let entries = get_mut(&mut log.entries);
            let buffers = [
                entries.headers.capacity(),
                entries.response_headers.capacity(),
                entries.request.capacity(),
                entries.response.capacity(),
            ];
            buffers.iter().sum::<usize>() <= MAX_BYTES
        })
    }
}

impl Entries {
    fn take(&mut self) -> Exchange {
        let uri = match self.uri.take() {
            Some(uri) => *uri,
            // Always succeeds: the prefix was part of a URI.
            None => Uri::try_from(self.headers.prefix()).unwrap_or_default(),
        };
        let head = self.head.take();
        let exchange = Exchange {
            began: self.began.map_or(SystemTime::UNIX_EPOCH, |(time, _)| time),
            time_to_head: head.as_ref().map(|head| head.time),
            time_to_end: self.time_to_end.take().unwrap_or_default(),
            request: RecordedRequest {
                method: mem::take(&mut self.method),
                uri,
                version: self.version,
                headers: self.headers.to_list(),
                body: self.request.take(),
            },
            response: match (head, self.failure.take()) {
                (Some(head), _) => Ok(RecordedResponse {
                    status: head.status,
                    version: head.version,
                    headers: self.response_headers.to_list(),
                    body: self.response.take(),
                }),
                (None, Some(error)) => Err(NoResponse::Failed(error.into())),
                (None, None) => Err(NoResponse::ClientGone),
            },
        };
        self.only_whole = false;
        self.request.reset();
        self.response.reset();
        exchange
    }

    fn elapsed(&self) -> Duration {
        self.began
            .map_or(Duration::ZERO, |(_, start)| start.elapsed())
    }

    fn body(&mut self, side: Side) -> &mut CapturedBody {
        match side {
            Side::Request => &mut self.request,
            Side::Response => &mut self.response,
        }
    }

    /// Records a frame. Returns false if a part of the body is not recorded.
    fn data(&mut self, side: Side, data: &Bytes) -> bool {
        let body = match side {
            Side::Request => &mut self.request,
            Side::Response => &mut self.response,
        };
        let recorder = self.recorder.as_ref();
        recorder.is_some_and(|recorder| body.data(data, self.max_body_bytes, recorder.queue()))
    }

    /// Records the end of a body; [`BodyEnd::Dropped`] if its reader dropped it.
    fn end(&mut self, side: Side, end: BodyEnd) {
        let end = match end {
            BodyEnd::Dropped if self.was_whole(side) => BodyEnd::Complete,
            end => end,
        };
        self.body(side).end(end);
        if side == Side::Response {
            self.time_to_end = Some(self.elapsed());
        }
    }

    /// Whether a body that was dropped had been read completely.
    fn was_whole(&self, side: Side) -> bool {
        let length =
            |headers: &HeaderText| whole_body::content_length(headers.get("content-length"));
        match (side, &self.head) {
            (Side::Request, _) => {
                whole_body::is_whole_request(length(&self.headers), self.request.seen)
            }
            (Side::Response, None) => false,
            (Side::Response, Some(head)) => {
                let length = length(&self.response_headers);
                whole_body::is_whole(&self.method, head.status, length, self.response.seen)
            }
        }
    }

    /// Whether a replay can answer with this exchange.
    fn is_whole(&self) -> bool {
        self.head.is_some() && self.response.is_whole()
    }

    /// Returns the number of bytes that the exchange occupies, without its bodies.
    fn weight(&self) -> usize {
        let head = self
            .head
            .as_ref()
            .map_or(0, |_| self.response_headers.weight());
        size_of::<Log>() + self.headers.weight() + head
    }
}

/// Captures a body that passes, up to the limit.
// Small, because it is moved with the body: the captured part is in the log.
pub(crate) struct Capture {
    in_flight: InFlight,
    side: Side,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Request,
    Response,
}

impl Capture {
    /// Releases the callers that wait until the exchange is stored.
    pub(crate) fn give_up_waiting(&self) {
        let settled = self.in_flight.entries().settled.take();
        drop(settled);
    }
}

impl Tap for Capture {
    fn data(&mut self, data: &Bytes) {
        let mut entries = self.in_flight.entries();
        if !entries.data(self.side, data) {
            // The exchange cannot be replayed, so it is useless to wait for it.
            let settled = entries.settled.take();
            drop(entries);
            drop(settled);
        }
    }

    fn trailers(&mut self, trailers: &HeaderMap) {
        let trailers = HeaderList::from(trailers);
        let mut entries = self.in_flight.entries();
        entries.body(self.side).set_trailers(trailers);
    }

    fn end(self, end: BodyEnd) {
        self.in_flight.entries().end(self.side, end);
    }
}
