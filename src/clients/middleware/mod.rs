//! `LayerMiddleware`: tower layers as a middleware of `reqwest-middleware`.

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
use super::body::wrap;
use crate::util::{error::BoxError, response_url::with_url, sync::lock};

type Stack = BoxCloneService<http::Request<reqwest::Body>, http::Response<reqwest::Body>, Error>;

/// A tower layer, or a `ServiceBuilder` with several, as a `reqwest_middleware::Middleware`, for
/// code that calls `client.get(..).send()`.
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
/// - **Services** are made once, in [`new`](Self::new), and cloned for each request: all requests
///   of the client share their state, such as the permits of a `ConcurrencyLimit`. A layer that
///   needs a runtime to make its service, such as tower's `Buffer`, needs it in `new`.
/// - **The inner service** is the rest of the client: the middlewares that were added after this
///   one, and reqwest. Layers may call it any number of times, also concurrently, until the request
///   has completed; a later call gets a [`NextError`].
/// - **`Extensions`** of the middlewares bypass the layers, in both directions. A cancelled call
///   leaves them unchanged.
/// - **Errors** of reqwest and of later middlewares keep their type, unless a layer wraps them.
///   Errors of a layer become `Error::Middleware` of a [`LayerError`].
/// - **The response** has the `url`, `remote_addr` and extensions of reqwest's. If a layer responds
///   itself, its `url` is that of the request.
/// - **A body** given as bytes is passed on as bytes, so that redirects with 307 and 308, and a
///   later retry middleware, can send it again.
///
/// For what layers see of reqwest, see [the module](super#requests-and-responses-around-reqwest).
#[must_use = "middlewares do nothing unless added to a client"]
pub struct LayerMiddleware {
    // The mutex allows services that are not `Sync`; it is locked only to clone them.
    stack: Mutex<Stack>,
}

/// The error of a layer around the client. Its source is the layer's own error.
#[derive(Debug, Error)]
#[error("layer around the client failed")]
pub struct LayerError(#[source] BoxError);

impl LayerMiddleware {
    /// Creates a middleware that calls the service of `layer`.
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

/// Unwraps errors of reqwest and of later middlewares, and wraps those of layers.
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
        // As in the URL of reqwest's responses.
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
                    // A retry starts with the extensions of the previous call.
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

/// The clone shares the state of the services.
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
