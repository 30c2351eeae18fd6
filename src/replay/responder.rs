//! `Responder`: a service that is nothing but a recording.

use std::{
    convert::Infallible,
    fmt,
    path::PathBuf,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use http::{Request, Response, StatusCode};
use http_body::Body;
use tower::Service;

use super::{
    ReplayCache,
    cache::{Lookup, Shared},
    response,
    stream::cursor::{Cursor, Taken},
};
use crate::{
    body::StoredBody,
    store::{Disk, Memory, Replay, Source},
};

/// A service that answers from a recording, where a stack would otherwise end in a client.
///
/// It never fails: what it cannot answer gets a 503 that says why. Clones share one place in the
/// recording.
///
/// ```
/// use axum::Router;
/// use tower_traffic::Responder;
///
/// let app: Router = Router::new().fallback_service(Responder::disk("./t"));
/// ```
#[derive(Clone)]
pub struct Responder {
    from: From,
}

#[derive(Clone)]
enum From {
    Source(Arc<Shared>),
    Replay(Arc<Cursor>),
}

impl Responder {
    /// Looks each request up in a folder.
    pub fn disk(folder: impl Into<PathBuf>) -> Self {
        Self::from(Disk::new(folder))
    }

    /// Looks each request up in memory.
    pub fn memory(memory: Memory) -> Self {
        Self::from(memory)
    }

    /// Looks each request up.
    pub fn from(source: impl Source) -> Self {
        Self {
            from: From::Source(ReplayCache::from(source).shared()),
        }
    }

    /// Gives the recorded responses one after the other, whatever is asked. Exchanges without a
    /// whole response are passed over.
    pub fn in_order(replay: impl Replay) -> Self {
        Self {
            from: From::Replay(Arc::new(Cursor::new(Arc::new(replay)))),
        }
    }

    async fn answer<B>(self, request: Request<B>) -> Response<StoredBody>
    where
        B: Body<Data = Bytes>,
    {
        let cursor = match self.from {
            From::Replay(cursor) => cursor,
            From::Source(shared) => {
                let (parts, body) = request.into_parts();
                let lookup = shared.look_up(&parts, body).await.0;
                if let Lookup::Hit(exchange) = &lookup
                    && let Some(response) = response::recorded(exchange)
                {
                    return response;
                }
                return shared.refuse(&parts, lookup);
            }
        };
        let why = match cursor.take_if(|_| true).await {
            Taken::Response(response) => return response::response(&response),
            Taken::Other(..) => unreachable!("every request is the right one"),
            Taken::Unreadable(error) => error.to_string(),
            Taken::Over(count) => format!("the recording's {count} responses were given"),
        };
        response::explain(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("tower-traffic: {why}\n"),
        )
    }
}

impl<B> Service<Request<B>> for Responder
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Send,
{
    type Response = Response<StoredBody>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.clone().answer(request).map(Ok).boxed()
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder").finish_non_exhaustive()
    }
}
