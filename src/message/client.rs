//! The client of a request and its matched route, from the request's extensions.

use std::net::{IpAddr, SocketAddr};

use http::Extensions;

/// Returns the client's address: from axum's `ConnectInfo`, else from a `SocketAddr` in the
/// extensions.
///
/// An IPv4-mapped IPv6 address is returned as IPv4.
pub(crate) fn client_address(extensions: &Extensions) -> Option<IpAddr> {
    #[cfg(feature = "axum")]
    if let Some(info) = extensions.get::<axum::extract::ConnectInfo<SocketAddr>>() {
        return Some(info.0.ip().to_canonical());
    }
    let address = extensions.get::<SocketAddr>()?;
    Some(address.ip().to_canonical())
}

/// Returns the route that axum's router matched, such as `/users/{id}`.
#[inline]
pub(crate) fn matched_route(extensions: &Extensions) -> Option<&str> {
    #[cfg(feature = "axum")]
    if let Some(matched) = extensions.get::<axum::extract::MatchedPath>() {
        return Some(matched.as_str());
    }
    let _ = extensions;
    None
}
