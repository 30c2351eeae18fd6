//! `ReplayStream`: the layer and its settings.

use std::{fmt, path::PathBuf, sync::Arc};

use tower::Layer;

use super::{
    cursor::Cursor,
    service::{ReplayStreamService, Settings},
};
use crate::{
    matching::Matching,
    message::Exchange,
    store::{Disk, Memory, Replay, StoreError},
};

/// A layer that answers from a recording in recorded order, and compares each request with the
/// recorded request (http4k: `ReplayFrom`).
///
/// The n-th request has to match the n-th recorded request, by method, URI and body, or as
/// [`match_by`](Self::match_by) defines; the answer is the n-th recorded response. Any other
/// request gets a 400 that shows both requests, and does not advance the position in the recording.
/// After the last exchange, every request gets a 400. A recording that is missing or cannot be read
/// is a 500 with the reason. The inner service is never called.
///
/// Clones of the layer and all its services share one position, so each exchange is replayed once,
/// also under concurrent requests. Exchanges without a complete response are skipped.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{Layer, ServiceExt, service_fn};
/// use tower_traffic::{Exchange, ReplayStream, store::Memory};
///
/// let memory = Memory::from_iter([Exchange::new(
///     Request::get("/bob").body(Bytes::new())?,
///     Response::new(Bytes::from("hello bob")),
/// )]);
/// let replay = ReplayStream::memory(&memory);
/// # async fn origin(_: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, std::convert::Infallible> { unreachable!() }
/// let service = replay.layer(service_fn(origin));
///
/// let response = service.oneshot(Request::get("/bob").body(Full::default())?).await?;
/// assert_eq!(response.status(), 200);
/// assert!(replay.unused().await?.is_empty());
/// # Ok(())
/// # }
/// ```
///
/// With every setting at its default:
///
/// ```
/// use tower_traffic::{Matching, ReplayStream};
///
/// let replay = ReplayStream::disk("./t")
///     .match_by(Matching::new())
///     .max_request_body_bytes(16 << 20);
/// ```
#[derive(Clone)]
#[must_use = "layers do nothing unless applied"]
pub struct ReplayStream {
    cursor: Arc<Cursor>,
    settings: Arc<Settings>,
}

impl ReplayStream {
    /// Answers from the recording `replay`.
    pub fn new(replay: impl Replay) -> Self {
        Self {
            cursor: Arc::new(Cursor::new(Arc::new(replay))),
            settings: Arc::new(Settings::default()),
        }
    }

    /// Answers from the recording in `folder`, in any layout.
    pub fn disk(folder: impl Into<PathBuf>) -> Self {
        Self::new(Disk::new(folder))
    }

    /// Answers from a recording in memory.
    pub fn memory(memory: &Memory) -> Self {
        Self::new(memory.clone())
    }

    /// Sets the rule by which a request matches the expected one; by default method, URI and body.
    /// If a request body was recorded only in part, that body is not compared.
    pub fn match_by(mut self, matching: Matching) -> Self {
        Arc::make_mut(&mut self.settings).set_matching(matching);
        self
    }

    /// Reads at most `bytes` bytes of a request body; 16 MiB by default. A request with a longer
    /// body gets a 413.
    pub fn max_request_body_bytes(mut self, bytes: usize) -> Self {
        Arc::make_mut(&mut self.settings).max_request_body_bytes = bytes;
        self
    }

    /// Returns the exchanges that were not replayed yet, in recorded order.
    ///
    /// # Errors
    /// If the recording cannot be read.
    pub async fn unused(&self) -> Result<Vec<Exchange>, StoreError> {
        self.cursor.rest().await
    }
}

impl<S> Layer<S> for ReplayStream {
    type Service = ReplayStreamService<S>;

    fn layer(&self, _: S) -> Self::Service {
        ReplayStreamService::new(self.cursor.clone(), self.settings.clone())
    }
}

impl fmt::Debug for ReplayStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayStream")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
