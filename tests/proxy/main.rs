//! `ProxyHost` and `Forward`: proxies over HTTP/1, HTTP/2, TLS and upgrades.

mod forward;
mod host;
mod streams;
mod upgrades;
mod websocket_h2;
