//! The layers around HTTP clients.
//!
//! `hyper_util::client::legacy::Client` is a `Service` of [`http::Request`] itself: every layer goes
//! around it as it is.
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
//! Around a `reqwest::Client` there are two ways:
//!
//! | to keep | feature | take |
//! |---|---|---|
//! | a tower stack, of [`http::Request`] | `reqwest` | [`ReqwestService`], the client as a service |
//! | reqwest's own way, `client.get(..).send()` | `reqwest-middleware` | [`LayerMiddleware`], a stack as a `reqwest_middleware::Middleware` |
//!
//! # What a layer sees of reqwest
//!
//! All layers are outside of reqwest, and see what it is asked for and what it gives:
//!
//! - One request and its last answer, where reqwest follows redirects or tries again by itself. To see
//!   each step, switch that off: `redirect(Policy::none())`, `retry(never())`.
//! - The content as reqwest decoded it, without `Content-Encoding` and `Content-Length`, if reqwest has
//!   the feature `gzip`, `brotli`, `deflate` or `zstd` and was not told otherwise.
//! - Not what reqwest adds below them: `default_headers`, `Accept`, cookies of its store, `Host`, a
//!   proxy's credentials.
//! - Its time-outs as its errors. They begin when the request gets to reqwest: time that it waits in a
//!   layer is not counted.

#[cfg(feature = "reqwest")]
mod body;
#[cfg(feature = "reqwest-middleware")]
mod middleware;
#[cfg(feature = "reqwest")]
mod reqwest_service;

#[cfg(feature = "reqwest-middleware")]
pub use self::middleware::{LayerError, LayerMiddleware, NextError, NextService};
#[cfg(feature = "reqwest")]
pub use self::reqwest_service::ReqwestService;

#[cfg(feature = "reqwest")]
use crate::util::error::BoxError;
