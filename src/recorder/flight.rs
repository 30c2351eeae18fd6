//! An exchange under way, and what is known of it so far.

use std::{
    any::Any,
    fmt, mem,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use http::{Method, Response, StatusCode, Uri, Version, request};
use http_body::Body;
use tokio::time::Instant;

use super::{
    Recorder,
    capture::{Capture, Passed, Side},
    queue::Item,
    stats::Reason,
};
use crate::{
    message::semantics,
    message::{BodyEnd, Exchange, HeaderText, NoResponse, RecordedRequest, RecordedResponse},
    util::sync::{get_mut, lock},
};

/// What is dropped once it is decided whether an exchange was stored.
pub(crate) type Settled = Box<dyn Any + Send>;

/// A handle to an exchange under way. When the last is dropped the exchange is over, and goes to the
/// recorder: the call's future holds one, and each body that is still open.
pub(crate) struct Flight {
    log: Arc<Log>,
}

/// What is known of an exchange. It is filled on the request path with few copies and goes to the
/// writer as it is, who makes an [`Exchange`] of it and gives it back to be filled again: what one
/// thread allocates and another frees costs both of them a lock of the allocator.
#[derive(Default)]
pub(super) struct Log {
    /// The handles that there are.
    open: AtomicUsize,
    entries: Mutex<Entries>,
}

#[derive(Default)]
pub(super) struct Entries {
    /// Taken when it is over: the writer's thread must not hold the recorder that waits for it.
    pub(super) recorder: Option<Recorder>,
    began: Option<(SystemTime, Instant)>,
    method: Method,
    /// `None` if path and query stand before the header fields.
    uri: Option<Box<Uri>>,
    version: Version,
    headers: HeaderText,
    pub(super) request: Passed,
    head: Option<Head>,
    head_headers: HeaderText,
    pub(super) response: Passed,
    failed: Option<Box<str>>,
    time_to_end: Option<Duration>,
    pub(super) settled: Option<Settled>,
}

/// The head of a response, without its fields.
struct Head {
    status: StatusCode,
    version: Version,
    time: Duration,
}

impl Flight {
    /// An exchange begins.
    pub(crate) fn begin(recorder: &Recorder, parts: &request::Parts) -> Self {
        Self::new(recorder, |entries| {
            entries.method.clone_from(&parts.method);
            entries.version = parts.version;
            let path =
                if let (None, Some(path)) = (parts.uri.authority(), parts.uri.path_and_query()) {
                    path.as_str()
                } else {
                    // Other forms are rare in HTTP/1, where a clone keeps the read buffer alive which it
                    // is a slice of; in HTTP/2 it is none.
                    entries.uri = Some(Box::new(parts.uri.clone()));
                    ""
                };
            entries.headers.set(path.as_bytes(), &parts.headers);
        })
    }

    /// An exchange begins whose request's body is known already.
    pub(crate) fn begin_with(
        recorder: &Recorder,
        request: RecordedRequest,
        settled: Settled,
    ) -> Self {
        Self::new(recorder, |entries| {
            entries.method = request.method;
            entries.uri = Some(Box::new(request.uri));
            entries.version = request.version;
            entries.headers.set_list(&[], &request.headers);
            entries
                .request
                .set_whole(request.body, &recorder.inner.queue);
            entries.settled = Some(settled);
        })
    }

    fn new(recorder: &Recorder, fill: impl FnOnce(&mut Entries)) -> Self {
        let mut log = recorder.inner.queue.spare_log().unwrap_or_default();
        // A spare log is nobody else's.
        if let Some(log) = Arc::get_mut(&mut log) {
            *log.open.get_mut() = 1;
            let entries = get_mut(&mut log.entries);
            entries.began = Some((SystemTime::now(), Instant::now()));
            entries.recorder = Some(recorder.clone());
            fill(entries);
        }
        Self { log }
    }

    /// What looks on while the request's body passes; nothing, if it is empty.
    pub(crate) fn request_body(&self, body: &impl Body) -> Option<Capture> {
        (!body.is_end_stream()).then(|| Capture::new(self.clone(), Side::Request))
    }

    /// The response's head is there; what comes back looks on while its body passes.
    pub(crate) fn head<B>(self, response: &Response<B>) -> Capture {
        let mut entries = self.entries();
        entries.head_headers.set(&[], response.headers());
        entries.head = Some(Head {
            status: response.status(),
            version: response.version(),
            time: entries.elapsed(),
        });
        drop(entries);
        Capture::new(self, Side::Response)
    }

    /// There will be no response.
    pub(crate) fn failed(&self, error: &impl fmt::Display) {
        let error = error.to_string();
        self.entries().failed = Some(error.into());
    }

    /// Nobody should wait for this exchange to be stored.
    pub(crate) fn give_up_waiting(&self) {
        let settled = self.entries().settled.take();
        drop(settled);
    }

    pub(super) fn entries(&self) -> MutexGuard<'_, Entries> {
        lock(&self.log.entries)
    }
}

impl Clone for Flight {
    fn clone(&self) -> Self {
        self.log.open.fetch_add(1, Ordering::Relaxed);
        Self {
            log: self.log.clone(),
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.log.open.fetch_sub(1, Ordering::AcqRel) > 1 {
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
        let bodies = entries.request.held + entries.response.held;
        let has_no_room = entries.request.has_no_room || entries.response.has_no_room;
        let is_whole = entries.head.is_some() && entries.response.is_whole();
        let settled = entries.settled.take();
        drop(entries);

        let queue = &recorder.inner.queue;
        if recorder.inner.config.only_whole && !is_whole {
            return queue.release(bodies);
        }
        if !recorder.has_writer() {
            queue.release(bodies);
            return queue.drop_served(Reason::ShutDown);
        }
        // The bodies are held already; the rest is only now complete.
        if has_no_room || !queue.hold(weight) {
            queue.release(bodies);
            return queue.drop_served(Reason::QueueFull);
        }
        queue.push(Item {
            log: self.log.clone(),
            held: weight + bodies,
            settled,
        });
    }
}

impl Log {
    /// The exchange, once it is over. The log is then empty.
    pub(super) fn take(&self) -> Exchange {
        // Nobody writes any more, but the handle that was dropped last may not be gone yet.
        lock(&self.entries).take()
    }

    /// Whether it can be filled again: it is nobody else's, and its buffers have not become large.
    pub(super) fn is_spare(self: &mut Arc<Self>) -> bool {
        // A few usual heads; what is rarely larger is not worth the memory.
        const LARGE: usize = 4 << 10;
        Arc::get_mut(self).is_some_and(|log| {
            let entries = get_mut(&mut log.entries);
            let buffers = [
                entries.headers.capacity(),
                entries.head_headers.capacity(),
                entries.request.capacity(),
                entries.response.capacity(),
            ];
            buffers.iter().sum::<usize>() <= LARGE
        })
    }
}

impl Entries {
    fn take(&mut self) -> Exchange {
        let uri = match self.uri.take() {
            Some(uri) => *uri,
            // Cannot fail: it was taken out of a URI.
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
            response: match (head, self.failed.take()) {
                (Some(head), _) => Ok(RecordedResponse {
                    status: head.status,
                    version: head.version,
                    headers: self.head_headers.to_list(),
                    body: self.response.take(),
                }),
                (None, Some(error)) => Err(NoResponse::Failed(error.into())),
                (None, None) => Err(NoResponse::ClientGone),
            },
        };
        self.request.reset();
        self.response.reset();
        exchange
    }

    fn elapsed(&self) -> Duration {
        self.began
            .map_or(Duration::ZERO, |(_, start)| start.elapsed())
    }

    pub(super) fn passed(&mut self, side: Side) -> &mut Passed {
        match side {
            Side::Request => &mut self.request,
            Side::Response => &mut self.response,
        }
    }

    /// A body has ended; with [`BodyEnd::Dropped`] if whoever read it let go.
    pub(super) fn end(&mut self, side: Side, end: BodyEnd) {
        let end = match end {
            BodyEnd::Dropped if self.was_whole(side) => BodyEnd::Complete,
            end => end,
        };
        self.passed(side).end(end);
        if side == Side::Response {
            self.time_to_end = Some(self.elapsed());
        }
    }

    /// Whether a body that was let go before its end had in truth come to it.
    fn was_whole(&self, side: Side) -> bool {
        let length =
            |headers: &HeaderText| semantics::content_length(headers.get("content-length"));
        match (side, &self.head) {
            (Side::Request, _) => length(&self.headers) == Some(self.request.seen),
            (Side::Response, None) => false,
            (Side::Response, Some(head)) => {
                let length = length(&self.head_headers);
                semantics::is_whole(&self.method, head.status, length, self.response.seen)
            }
        }
    }

    /// The bytes that an exchange holds besides its bodies.
    fn weight(&self) -> usize {
        let head = self.head.as_ref().map_or(0, |_| self.head_headers.weight());
        size_of::<Log>() + self.headers.weight() + head
    }
}
