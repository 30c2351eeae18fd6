//! `ReplayStream`: the layer and its settings.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, OnceLock},
};

use tower::Layer;

use super::{
    cursor::Cursor,
    service::{ReplayStreamService, Shared},
};
use crate::{
    matching::Matching,
    message::Exchange,
    store::{Disk, Memory, Replay, StoreError},
};

/// A layer that answers from a recording in the order in which it was made, and checks each request
/// against it (http4k: `ReplayFrom`).
///
/// The n-th request must be the n-th of the recording, by method, URI and body, or by what
/// [`match_by`](Self::match_by) says; it gets the n-th response. Another request gets a 400 that
/// shows both, and the recording stays where it is. When it is over, every request gets a 400. The
/// service inside is never called.
///
/// Clones of the layer and all its services share one place in the recording: each exchange is given
/// once, however many ask at the same time. Exchanges without a whole response are passed over.
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
/// let replay = ReplayStream::memory(memory);
/// # async fn origin(_: Request<Full<Bytes>>) -> Result<Response<Full<Bytes>>, std::convert::Infallible> { unreachable!() }
/// let service = replay.layer(service_fn(origin));
///
/// let response = service.oneshot(Request::get("/bob").body(Full::default())?).await?;
/// assert_eq!(response.status(), 200);
/// assert!(replay.unused().await?.is_empty());
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ReplayStream {
    replay: Arc<dyn Replay>,
    matching: Matching,
    body_limit: usize,
    // Made when the layer is first used, so that the settings before it can still change.
    shared: Arc<OnceLock<Arc<Shared>>>,
}

impl ReplayStream {
    /// Answers from a folder.
    pub fn disk(folder: impl Into<PathBuf>) -> Self {
        Self::from(Disk::new(folder))
    }

    /// Answers from memory.
    pub fn memory(memory: Memory) -> Self {
        Self::from(memory)
    }

    /// Answers from a store.
    pub fn from(replay: impl Replay) -> Self {
        Self {
            replay: Arc::new(replay),
            matching: Matching::new(),
            body_limit: 16 << 20,
            shared: Arc::default(),
        }
    }

    /// What makes a request the expected one. A request that was recorded without all of its body,
    /// because the service did not read it, is compared without it.
    pub fn match_by(mut self, matching: Matching) -> Self {
        self.matching = matching;
        self.shared = Arc::default();
        self
    }

    /// Reads at most so many bytes of a request's body; 16 MiB by default. A longer one gets a 413.
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self.shared = Arc::default();
        self
    }

    /// What was never asked for, in recorded order.
    ///
    /// # Errors
    /// If the recording cannot be read.
    pub async fn unused(&self) -> Result<Vec<Exchange>, StoreError> {
        self.shared().cursor.rest().await
    }

    fn shared(&self) -> Arc<Shared> {
        let make = || {
            Arc::new(Shared {
                cursor: Cursor::new(self.replay.clone()),
                head_matching: self.matching.clone().ignore_body(true),
                matching: self.matching.clone(),
                body_limit: self.body_limit,
            })
        };
        self.shared.get_or_init(make).clone()
    }
}

impl<S> Layer<S> for ReplayStream {
    type Service = ReplayStreamService<S>;

    fn layer(&self, _: S) -> Self::Service {
        ReplayStreamService::new(self.shared())
    }
}

impl fmt::Debug for ReplayStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayStream")
            .field("matching", &self.matching)
            .finish_non_exhaustive()
    }
}
