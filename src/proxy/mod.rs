//! `ProxyHost` and `Forward`: what makes a proxy of a server.
//!
//! [`ProxyHost`] aims a request at its origin, or at one fixed upstream, and keeps the rules for
//! intermediaries (RFC 9110, 7.6). [`Forward`] (feature `forward`) sends it there. What stands
//! between them sees each exchange as the origin does:
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
pub use self::forward::{BadRoot, BrokenOff, Forward, ForwardBody, ForwardFuture};
pub use self::host::{BadUpstream, ProxyHost, ProxyHostFuture, ProxyHostService};
