//! `Responder`: a service that answers from a recording.

use std::{
    convert::Infallible,
    fmt,
    path::PathBuf,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use tower::Service;

use super::{
    ReplayCache, ResponseFuture, StoredBody,
    cache::{Answers, Lookup},
    response,
    stream::cursor::{Cursor, Taken},
};
use crate::store::{Disk, Memory, Replay, Source};

/// A service that answers from a recording, for use in place of the client at the end of a stack.
///
/// The service never fails: a request without a matching recording gets a 503 with the reason.
/// Clones of an [`in_order`](Self::in_order) service share one position in the recording.
///
/// ```
/// use axum::Router;
/// use tower_traffic::Responder;
///
/// let app: Router = Router::new().fallback_service(Responder::disk("./t"));
/// ```
#[derive(Clone)]
#[must_use = "services do nothing unless called"]
pub struct Responder {
    recording: Recording,
}

#[derive(Clone)]
enum Recording {
    Source(Answers),
    Replay(Arc<Cursor>),
}

impl Responder {
    /// Answers each request with the latest recording in `source` that matches it.
    pub fn new(source: impl Source) -> Self {
        Self {
            recording: Recording::Source(ReplayCache::read_only(source).answers()),
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

    /// Answers with the responses of `replay` in recorded order, whatever the requests are.
    /// Exchanges without a complete response are skipped.
    pub fn in_order(replay: impl Replay) -> Self {
        Self {
            recording: Recording::Replay(Arc::new(Cursor::new(Arc::new(replay)))),
        }
    }
}

impl Recording {
    async fn answer<B>(self, request: Request<B>) -> Response<StoredBody>
    where
        B: Body<Data = Bytes>,
    {
        match self {
            Self::Source(answers) => {
                let (parts, body) = request.into_parts();
                let lookup = answers.look_up(&parts, body).await.0;
                if let Lookup::Hit(exchange) = &lookup
                    && let Some(response) = response::replayed(exchange)
                {
                    return response;
                }
                answers.refuse(&parts, lookup).await
            }
            Self::Replay(cursor) => {
                let reason = match cursor.take_if(|_| true).await {
                    Taken::Response(response) => return response::replay(&response),
                    Taken::Mismatch(..) => unreachable!("every request is expected"),
                    Taken::Unreadable(error) => error.to_string(),
                    Taken::End(0) => "the recording has no complete response".to_owned(),
                    Taken::End(count) => {
                        format!("end of the recording: all {count} responses were replayed")
                    }
                };
                response::plain_text(
                    StatusCode::SERVICE_UNAVAILABLE,
                    format!("tower-traffic: {reason}\n"),
                )
            }
        }
    }
}

impl<B> Service<Request<B>> for Responder
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Send,
{
    type Response = Response<StoredBody>;
    type Error = Infallible;
    type Future = ResponseFuture<StoredBody, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let recording = self.recording.clone();
        ResponseFuture::new(async move { Ok(recording.answer(request).await) })
    }
}

impl fmt::Debug for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responder").finish_non_exhaustive()
    }
}
