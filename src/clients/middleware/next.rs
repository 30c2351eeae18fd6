//! `NextService`: the rest of the client as a service, and the channel to it.
//!
//! The service lives as long as the client, but `reqwest_middleware::Next` only as long as a
//! request. Each request therefore carries the sender of a channel to its `Next`.

use std::{
    fmt,
    future::Future,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Extensions;
use http_body::Body;
use reqwest::Url;
use reqwest_middleware::{Error, Next, Result};
use thiserror::Error;
use tokio::{
    select,
    sync::{mpsc, oneshot},
    task_local,
};
use tower::{Service, ServiceExt};

use crate::{
    clients::{ResponseFuture, reqwest_service::into_reqwest},
    util::error::BoxError,
};

/// The inner service of the layers in a [`LayerMiddleware`](super::LayerMiddleware): the rest of
/// the client.
#[derive(Clone)]
pub struct NextService(());

/// The error of a request that cannot be passed to the rest of the client.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum NextError {
    /// A layer made a request in another task, without the extensions of the original one.
    #[error("layer dropped the extensions of a request: copy them to the new request")]
    LostExtensions,
    /// A layer called the inner service after the client's request had completed.
    #[error("layer called the client after the request had completed")]
    CallIsOver,
}

impl NextService {
    pub(super) fn new() -> Self {
        Self(())
    }
}

impl<B> Service<http::Request<B>> for NextService
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError> + Send,
{
    type Response = http::Response<reqwest::Body>;
    type Error = Error;
    type Future = ResponseFuture<Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        // A layer that follows redirects drops the extensions, but stays in the task; a `Buffer`
        // calls from another task, but keeps the extensions.
        let calls = request
            .extensions_mut()
            .remove::<Calls>()
            .or_else(|| CALLS.try_with(Calls::clone).ok());
        ResponseFuture::new(async move {
            let calls = calls.ok_or_else(|| Error::middleware(NextError::LostExtensions))?;
            calls.pass(request).await
        })
    }
}

impl fmt::Debug for NextService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NextService").finish_non_exhaustive()
    }
}

task_local! {
    static CALLS: Calls;
}

/// The sender of calls to the rest of the client, for one request.
#[derive(Clone)]
pub(super) struct Calls(mpsc::Sender<Call>);

impl Calls {
    pub(super) fn new() -> (Self, mpsc::Receiver<Call>) {
        let (sender, receiver) = mpsc::channel(1);
        (Self(sender), receiver)
    }

    /// Calls the layers with a request that carries this sender.
    pub(super) fn put<S, B>(
        self,
        mut request: http::Request<B>,
        stack: S,
    ) -> impl Future<Output = std::result::Result<S::Response, S::Error>>
    where
        S: Service<http::Request<B>>,
    {
        request.extensions_mut().insert(self.clone());
        CALLS.scope(self, stack.oneshot(request))
    }

    async fn pass<B>(self, request: http::Request<B>) -> Result<http::Response<reqwest::Body>>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError> + Send,
    {
        let request = into_reqwest(request)?;
        let (reply, answer) = oneshot::channel();
        let call = Call { request, reply };
        let sent = self.0.send(call).await;
        sent.map_err(|_| Error::middleware(NextError::CallIsOver))?;
        let answer = answer.await;
        let response = answer.map_err(|_| Error::middleware(NextError::CallIsOver))??;
        let url = AnsweredBy(response.url().clone());
        let mut response = http::Response::from(response);
        response.extensions_mut().insert(url);
        Ok(response)
    }
}

/// One call of the rest of the client.
pub(super) struct Call {
    request: reqwest::Request,
    reply: oneshot::Sender<Result<reqwest::Response>>,
}

impl Call {
    /// Runs the call, and returns the extensions after it. Returns `None` if the caller was
    /// dropped.
    pub(super) async fn run(
        self,
        next: Next<'_>,
        mut extensions: Extensions,
    ) -> Option<Extensions> {
        let Self { request, mut reply } = self;
        let result = select! {
            // First, so that no request is sent for a caller that was dropped.
            biased;
            () = reply.closed() => return None,
            result = next.run(request, &mut extensions) => result,
        };
        // The caller may have been dropped since.
        let _ = reply.send(result);
        Some(extensions)
    }
}

/// The URL of a response from reqwest.
#[derive(Clone)]
struct AnsweredBy(Url);

/// Returns the URL of a response; `None` if a layer made it.
pub(super) fn answered_by<B>(response: &mut http::Response<B>) -> Option<Url> {
    let from = response.extensions_mut().remove::<AnsweredBy>();
    from.map(|AnsweredBy(url)| url)
}
