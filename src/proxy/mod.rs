//! `ProxyHost` and `Forward`: an HTTP proxy made of a layer and a client.
//!
//! [`ProxyHost`] aims each request at its origin, or at one fixed upstream, and applies the rules
//! for intermediaries (RFC 9110, 7.6). [`Forward`] (feature `forward`) sends the request. A layer
//! between the two sees each exchange as the origin does:
//!
//! ```no_run
//! # #[cfg(feature = "forward")]
//! # async fn serve(listener: tokio::net::TcpListener) -> std::io::Result<()> {
//! use axum::Router;
//! use tower_traffic::{Forward, ProxyHost, RecordTraffic};
//!
//! let proxy = Router::new()
//!     .fallback_service(Forward::new())
//!     .layer(RecordTraffic::disk("./t"))
//!     .layer(ProxyHost::https());
//! axum::serve(listener, proxy).await
//! # }
//! ```

mod addresses;
mod extensions;
#[cfg(feature = "forward")]
mod forward;
mod hop_by_hop;
mod host;
mod refusal;

#[cfg(feature = "forward")]
pub use self::forward::{
    Forward, ForwardBody, ForwardFuture, InvalidCertificate, UpstreamBodyError,
};
pub use self::host::{InvalidUpstream, ProxyHost, ProxyHostService, ResponseBody, ResponseFuture};
