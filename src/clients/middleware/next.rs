//! The service inside the layers, and how a request gets from it to the rest of the client.
//!
//! The service lives as long as the client, and `reqwest_middleware::Next` only as long as a request.
//! Hence each request carries the sending end of a channel to where its `Next` is.

use std::{
    fmt,
    future::Future,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{FutureExt, future::BoxFuture};
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

use crate::clients::{BoxError, reqwest_service::into_reqwest};

/// The service inside the layers of a [`LayerMiddleware`](super::LayerMiddleware): the rest of the
/// client.
#[derive(Clone)]
pub struct NextService(());

/// Why a request could not be passed to the rest of the client.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum NextError {
    /// A layer made a request without the extensions of the one that it got, in another task.
    #[error("a layer passed on a request without its extensions")]
    LostExtensions,
    /// A layer called the service inside when the client's request had been answered or given up.
    #[error("a layer passed on a request when the call was over")]
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
    type Future = BoxFuture<'static, Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        // Layers that follow redirects make requests without extensions, but in the same task; a
        // `Buffer` calls from another, but keeps the extensions.
        let calls = request
            .extensions_mut()
            .remove::<Calls>()
            .or_else(|| CALLS.try_with(Calls::clone).ok());
        async move {
            let calls = calls.ok_or_else(|| Error::middleware(NextError::LostExtensions))?;
            calls.pass(request).await
        }
        .boxed()
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

/// The way from the service inside to where `Next` is.
#[derive(Clone)]
pub(super) struct Calls(mpsc::Sender<Call>);

impl Calls {
    pub(super) fn new() -> (Self, mpsc::Receiver<Call>) {
        let (sender, receiver) = mpsc::channel(1);
        (Self(sender), receiver)
    }

    /// Puts a request to the layers, with this as the way on.
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

/// One request on its way to the rest of the client.
pub(super) struct Call {
    request: reqwest::Request,
    reply: oneshot::Sender<Result<reqwest::Response>>,
}

impl Call {
    /// Gives the extensions as the rest of the client left them; `None` if the layers gave up waiting.
    pub(super) async fn run(
        self,
        next: Next<'_>,
        mut extensions: Extensions,
    ) -> Option<Extensions> {
        let Self { request, mut reply } = self;
        let result = select! {
            // First, so that nothing is begun for who is gone already.
            biased;
            () = reply.closed() => return None,
            result = next.run(request, &mut extensions) => result,
        };
        // If they give up just now, nobody needs it.
        let _ = reply.send(result);
        Some(extensions)
    }
}

/// The URL that a response came from.
#[derive(Clone)]
struct AnsweredBy(Url);

/// The URL that a response came from; `None` if a layer answered.
pub(super) fn answered_by<B>(response: &mut http::Response<B>) -> Option<Url> {
    let from = response.extensions_mut().remove::<AnsweredBy>();
    from.map(|AnsweredBy(url)| url)
}
