//! `LayerMiddleware`: a stack of layers as a middleware of `reqwest-middleware`.

mod next;

use std::{fmt, sync::Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use http::Extensions;
use http_body::Body;
use reqwest_middleware::{Error, Middleware, Next};
use thiserror::Error;
use tokio::{pin, select};
use tower::{Layer, Service, ServiceExt, util::BoxCloneService};

use self::next::{Calls, answered_by};
pub use self::next::{NextError, NextService};
use super::{BoxError, body::wrap, reqwest_service::with_url};
use crate::util::sync::lock;

type Stack = BoxCloneService<http::Request<reqwest::Body>, http::Response<reqwest::Body>, Error>;

/// Any tower layer, or a `ServiceBuilder` with several, as a `reqwest_middleware::Middleware`: code
/// that says `client.get(..).send()` stays as it is.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use reqwest_middleware::ClientBuilder;
/// use tower_traffic::{RecordTraffic, clients::LayerMiddleware, store::Memory};
///
/// # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// # let url = format!("http://{}/", listener.local_addr()?);
/// # let origin = axum::Router::new().route("/", axum::routing::get(async || "hello"));
/// # tokio::spawn(async { axum::serve(listener, origin).await });
/// let memory = Memory::new();
/// let client = ClientBuilder::new(reqwest::Client::new())
///     .with(LayerMiddleware::new(RecordTraffic::memory(&memory)))
///     .build();
///
/// assert_eq!(client.get(url).send().await?.text().await?, "hello");
/// # Ok(())
/// # }
/// ```
///
/// - **The services are made once**, in [`new`](Self::new), and cloned for each request: what they
///   share, like the permits of a `ConcurrencyLimit`, all requests of the client share. A layer that
///   needs a runtime to make its service, like tower's `Buffer`, needs it there.
/// - **Inside** is the rest of the client, the middlewares that were added after this one and reqwest.
///   A layer may call it never (a cache), several times (a retry), or at the same time (a hedge), but
///   only while the request is on: what calls it later gets a [`NextError`].
/// - **`Extensions`** of the middlewares pass by the layers, in both directions. A request that is
///   given up half-way leaves none behind.
/// - **Errors** of reqwest and of middlewares below come out as they are, `is_timeout` and `is_connect`
///   included, unless a layer wraps them. Those of a layer come out as `Error::Middleware` of a
///   [`LayerError`].
/// - **The response** is as reqwest's, with its `url`, `remote_addr` and extensions. If a layer answered
///   instead, its `url` is that of the request.
/// - **A body** that was given as bytes goes on as bytes, so that redirects with 307 and 308, and a retry
///   middleware below, can send it again.
///
/// What layers see and what is below them: see [the module](super#what-a-layer-sees-of-reqwest).
pub struct LayerMiddleware {
    // In a mutex, so that services need not be `Sync`: it is locked for a clone.
    stack: Mutex<Stack>,
}

/// A layer failed: the source is its error.
#[derive(Debug, Error)]
#[error("a layer around the client failed")]
pub struct LayerError(#[source] BoxError);

impl LayerMiddleware {
    /// The middleware of a layer.
    pub fn new<L, R>(layer: L) -> Self
    where
        L: Layer<NextService>,
        L::Service: Service<http::Request<reqwest::Body>, Response = http::Response<R>>
            + Clone
            + Send
            + 'static,
        <L::Service as Service<http::Request<reqwest::Body>>>::Error: Into<BoxError>,
        <L::Service as Service<http::Request<reqwest::Body>>>::Future: Send + 'static,
        R: Body<Data = Bytes> + Send + 'static,
        R::Error: Into<BoxError> + Send,
    {
        let stack = layer
            .layer(NextService::new())
            .map_response(|response: http::Response<R>| response.map(wrap))
            .map_err(|error| from_layer(error.into()));
        Self {
            stack: Mutex::new(stack.boxed_clone()),
        }
    }
}

/// What reqwest or a middleware below failed with comes out as it went in.
fn from_layer(error: BoxError) -> Error {
    let error = match error.downcast::<Error>() {
        Ok(error) => return *error,
        Err(error) => error,
    };
    match error.downcast::<reqwest::Error>() {
        Ok(error) => Error::Reqwest(*error),
        Err(error) => Error::middleware(LayerError(error)),
    }
}

#[async_trait]
impl Middleware for LayerMiddleware {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        let stack = lock(&self.stack).clone();
        let mut url = request.url().clone();
        // As reqwest does it.
        url.set_fragment(None);
        let request =
            http::Request::try_from(request).map_err(|error| error.with_url(url.clone()))?;
        let (calls, mut passed_on) = Calls::new();
        let answer = calls.put(request, stack);
        pin!(answer);

        let mut running = FuturesUnordered::new();
        let mut response = loop {
            select! {
                biased;
                answer = &mut answer => break answer?,
                Some(left) = running.next() => {
                    // What is tried again finds what the last try left.
                    if let Some(left) = left {
                        *extensions = left;
                    }
                }
                Some(call) = passed_on.recv() => {
                    running.push(call.run(next.clone(), extensions.clone()));
                }
            }
        };
        let url = answered_by(&mut response).unwrap_or(url);
        Ok(with_url(response, url).into())
    }
}

/// Both share what the services share.
impl Clone for LayerMiddleware {
    fn clone(&self) -> Self {
        Self {
            stack: Mutex::new(lock(&self.stack).clone()),
        }
    }
}

impl fmt::Debug for LayerMiddleware {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LayerMiddleware").finish_non_exhaustive()
    }
}
