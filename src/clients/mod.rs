//! `ReqwestService` and `LayerMiddleware`: layers around an HTTP client.
//!
//! `hyper_util::client::legacy::Client` is a `Service` of [`http::Request`]: layers wrap it
//! directly.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::body::Body;
//! use http::Request;
//! use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//! use tower::{Layer, ServiceExt};
//! use tower_traffic::{RecordTraffic, store::Memory};
//!
//! # let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let url = format!("http://{}/", listener.local_addr()?);
//! # let origin = axum::Router::new().route("/", axum::routing::get(async || "hello"));
//! # tokio::spawn(async { axum::serve(listener, origin).await });
//! let memory = Memory::new();
//! let record = RecordTraffic::memory(&memory);
//! let client = record.layer(Client::builder(TokioExecutor::new()).build_http());
//!
//! let response = client.oneshot(Request::get(url).body(Body::empty())?).await?;
//! assert_eq!(response.status(), 200);
//! # Ok(())
//! # }
//! ```
//!
//! For a `reqwest::Client` there are two adapters:
//!
//! | code | feature | adapter |
//! |---|---|---|
//! | calls a tower service with an [`http::Request`] | `reqwest` | [`ReqwestService`], the client as a service |
//! | calls `client.get(..).send()` | `reqwest-middleware` | [`LayerMiddleware`], layers as a `reqwest_middleware::Middleware` |
//!
//! # Requests and responses around reqwest
//!
//! Layers are outside of reqwest, so they see:
//!
//! - one request and the final response, also if reqwest follows redirects or retries. To see each
//!   step, disable both: `redirect(Policy::none())`, `retry(never())`.
//! - decoded content, without `Content-Encoding` and `Content-Length`, if reqwest has the feature
//!   `gzip`, `brotli`, `deflate` or `zstd`, and decoding is not disabled.
//! - requests before reqwest adds `default_headers`, `Accept`, cookies of its store, `Host` and the
//!   credentials of a proxy.
//! - timeouts as errors of reqwest. A timeout starts when the request reaches reqwest, after any
//!   wait in a layer.

#[cfg(feature = "reqwest")]
mod body;
#[cfg(feature = "reqwest")]
mod future;
#[cfg(feature = "reqwest-middleware")]
mod middleware;
#[cfg(feature = "reqwest")]
mod reqwest_service;

#[cfg(feature = "reqwest-middleware")]
pub use self::middleware::{LayerError, LayerMiddleware, NextError, NextService};
#[cfg(feature = "reqwest")]
pub use self::{future::ResponseFuture, reqwest_service::ReqwestService};
