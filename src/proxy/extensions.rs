//! Request extensions that `ProxyHost` sets for `Forward`.

/// Marks a `CONNECT` that a [`ProxyHost`](super::ProxyHost) has allowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct TunnelAllowed;
