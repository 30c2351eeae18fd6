//! The service: checks each request against the recording, and answers from it.

use std::{
    fmt,
    marker::PhantomData,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, request::Parts};
use http_body::Body;
use tower::Service;

use super::cursor::{Cursor, Taken};
use crate::{
    body::{ReadAheadError, read_ahead},
    matching::Matching,
    message::{BodyEnd, RecordedRequest},
    replay::{ResponseFuture, StoredBody, response},
};

/// The service of [`ReplayStream`](super::ReplayStream). The inner service is dropped.
pub struct ReplayStreamService<S> {
    cursor: Arc<Cursor>,
    settings: Arc<Settings>,
    inner: PhantomData<fn() -> S>,
}

impl<S> ReplayStreamService<S> {
    pub(super) fn new(cursor: Arc<Cursor>, settings: Arc<Settings>) -> Self {
        Self {
            cursor,
            settings,
            inner: PhantomData,
        }
    }
}

impl<S> Clone for ReplayStreamService<S> {
    fn clone(&self) -> Self {
        Self::new(self.cursor.clone(), self.settings.clone())
    }
}

impl<S, B, R> Service<Request<B>> for ReplayStreamService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Send,
{
    type Response = Response<StoredBody>;
    type Error = S::Error;
    type Future = ResponseFuture<StoredBody, S::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let cursor = self.cursor.clone();
        let settings = self.settings.clone();
        ResponseFuture::new(async move {
            let (parts, body) = request.into_parts();
            let response = settings.answer(&cursor, &parts, body).await;
            Ok(response::to_request(response, &parts.uri))
        })
    }
}

impl<S> fmt::Debug for ReplayStreamService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplayStreamService")
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug)]
pub(super) struct Settings {
    matching: Matching,
    /// The rule for requests that were recorded without their complete body.
    head_matching: Matching,
    pub(super) max_request_body_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            matching: Matching::new(),
            head_matching: Matching::new().ignore_body(true),
            max_request_body_bytes: 16 << 20,
        }
    }
}

impl Settings {
    pub(super) fn set_matching(&mut self, matching: Matching) {
        self.head_matching = matching.clone().ignore_body(true);
        self.matching = matching;
    }

    async fn answer<B>(&self, cursor: &Cursor, parts: &Parts, body: B) -> Response<StoredBody>
    where
        B: Body<Data = Bytes>,
    {
        let mut request = RecordedRequest::from_parts(parts);
        match read_ahead(body, self.max_request_body_bytes).await.0 {
            Ok(body) => request.body = body,
            Err(ReadAheadError::TooLong) => {
                let text = format!(
                    "tower-traffic: the request body exceeds the limit of {} bytes\n",
                    self.max_request_body_bytes
                );
                return response::plain_text(StatusCode::PAYLOAD_TOO_LARGE, text);
            }
            Err(ReadAheadError::Failed) => {
                let text = "tower-traffic: the request body is incomplete\n";
                return response::plain_text(StatusCode::BAD_REQUEST, text);
            }
        }
        let taken = cursor
            .take_if(|expected| self.is_expected(expected, &request))
            .await;
        let expected = match taken {
            Taken::Response(response) => return response::replay(&response),
            Taken::Mismatch(number, expected) => {
                let shown = self.matching.describe(&expected);
                format!("expected exchange {number} of the recording:\n{shown}")
            }
            Taken::End(0) => {
                "expected no request: the recording has no complete response".to_owned()
            }
            Taken::End(count) => {
                format!("expected no more requests: all {count} exchanges were replayed")
            }
            Taken::Unreadable(error) => {
                let text = format!("tower-traffic: {error}\n");
                return response::plain_text(StatusCode::INTERNAL_SERVER_ERROR, text);
            }
        };
        let found = self.matching.describe(&request);
        let text = format!("tower-traffic: unexpected request\n\n{expected}\n\nfound:\n{found}\n");
        response::plain_text(StatusCode::BAD_REQUEST, text)
    }

    fn is_expected(&self, expected: &RecordedRequest, request: &RecordedRequest) -> bool {
        let matching = match expected.body.end {
            BodyEnd::Complete => &self.matching,
            _ => &self.head_matching,
        };
        matching.key(expected) == matching.key(request)
    }
}
