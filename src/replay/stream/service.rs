//! The service: checks each request against the recording, and answers from it.

use std::{
    fmt,
    marker::PhantomData,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
use http::{Request, Response, StatusCode};
use http_body::Body;
use tower::Service;

use super::cursor::{Cursor, Taken};
use crate::{
    body::{NotWhole, ReplayBody, read_ahead},
    matching::Matching,
    message::{BodyEnd, RecordedRequest},
    replay::response,
};

/// The service that [`ReplayStream`](super::ReplayStream) makes. It stands for the one inside, which it never calls.
pub struct ReplayStreamService<S> {
    shared: Arc<Shared>,
    inner: PhantomData<fn() -> S>,
}

impl<S> ReplayStreamService<S> {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            inner: PhantomData,
        }
    }
}

impl<S> Clone for ReplayStreamService<S> {
    fn clone(&self) -> Self {
        Self {
            shared: self.shared.clone(),
            inner: PhantomData,
        }
    }
}

impl<S, B, R> Service<Request<B>> for ReplayStreamService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Send,
    R: Body,
{
    type Response = Response<ReplayBody<R>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let shared = self.shared.clone();
        async move { Ok(shared.answer(request).await) }.boxed()
    }
}

impl<S> fmt::Debug for ReplayStreamService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayStreamService")
            .finish_non_exhaustive()
    }
}

pub(super) struct Shared {
    pub(super) cursor: Cursor,
    pub(super) matching: Matching,
    /// For requests that were recorded without (all of) their body.
    pub(super) head_matching: Matching,
    pub(super) body_limit: usize,
}

impl Shared {
    async fn answer<B, R>(&self, request: Request<B>) -> Response<ReplayBody<R>>
    where
        B: Body<Data = Bytes>,
        R: Body,
    {
        let (parts, body) = request.into_parts();
        let mut request = RecordedRequest::from_parts(&parts);
        match read_ahead(body, self.body_limit).await.0 {
            Ok(body) => request.body = body,
            Err(NotWhole::Long) => {
                let text = format!(
                    "tower-traffic: the body is over {} bytes\n",
                    self.body_limit
                );
                return response::explain(StatusCode::PAYLOAD_TOO_LARGE, text);
            }
            Err(NotWhole::Failed) => {
                let text = "tower-traffic: the body broke off\n";
                return response::explain(StatusCode::BAD_REQUEST, text);
            }
        }
        let taken = self
            .cursor
            .take_if(|expected| self.is_expected(expected, &request))
            .await;
        let expected = match taken {
            Taken::Response(response) => return response::response(&response),
            Taken::Other(number, expected) => {
                let shown = self.matching.describe(&expected);
                format!("expected, as exchange {number} of the recording:\n{shown}")
            }
            Taken::Over(count) => {
                format!("expected: nothing more, the recording's {count} exchanges were given")
            }
            Taken::Unreadable(error) => {
                let text = format!("tower-traffic: {error}\n");
                return response::explain(StatusCode::INTERNAL_SERVER_ERROR, text);
            }
        };
        let got = self.matching.describe(&request);
        let text =
            format!("tower-traffic: not the expected request\n\n{expected}\n\ngot:\n{got}\n");
        response::explain(StatusCode::BAD_REQUEST, text)
    }

    fn is_expected(&self, expected: &RecordedRequest, request: &RecordedRequest) -> bool {
        let matching = match expected.body.end {
            BodyEnd::Complete => &self.matching,
            _ => &self.head_matching,
        };
        matching.key(expected) == matching.key(request)
    }
}
