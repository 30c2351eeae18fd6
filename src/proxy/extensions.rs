//! Extensions of requests and responses between `ProxyHost` and `Forward`.

/// Marks a `CONNECT` that a [`ProxyHost`](super::ProxyHost) has allowed.
#[derive(Clone, Copy, Debug)]
pub(super) struct TunnelAllowed;

/// Marks a response of [`Forward`](super::Forward) itself, with its error type: a
/// [`ProxyHost`](super::ProxyHost) around it reports the error under its own name.
#[cfg(feature = "forward")]
#[derive(Clone, Copy, Debug)]
pub(super) struct ForwardError(pub(super) &'static str);
