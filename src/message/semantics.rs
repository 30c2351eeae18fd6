//! Rules of the protocol for messages.

use std::str::FromStr;

use http::{Method, StatusCode};

/// Whether a response's body that was let go after `seen` bytes had in truth come to its end.
pub(crate) fn was_whole(
    method: &Method,
    status: StatusCode,
    content_length: Option<u64>,
    seen: u64,
) -> bool {
    // Who knows the length does not poll until `None`.
    (seen == 0 && has_no_content(method, status)) || content_length == Some(seen)
}

/// A server never reads the body of such a response.
fn has_no_content(method: &Method, status: StatusCode) -> bool {
    *method == Method::HEAD
        || *method == Method::CONNECT
        || status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
}

/// Parses a header value as a number.
pub(crate) fn number<N: FromStr>(value: &[u8]) -> Option<N> {
    str::from_utf8(value).ok()?.parse().ok()
}
