//! Rules for bodies (RFC 9110): presence of content, `Content-Length`, and whether a body that was
//! dropped had been read whole.

use http::{Method, StatusCode};

/// Whether a response with `status` to a request with `method` may have content (RFC 9110, 6.4.1).
///
/// A response to `CONNECT` has none only if it succeeds: the bytes behind it belong to the tunnel.
pub(crate) fn has_content(method: &Method, status: StatusCode) -> bool {
    let is_bodiless = status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let is_tunnel = *method == Method::CONNECT && status.is_success();
    !is_bodiless && !is_tunnel && *method != Method::HEAD
}

/// Whether a response body that was dropped after `seen` bytes was complete.
///
/// A reader that knows the length of a body stops before polling `None`.
pub(crate) fn is_whole(
    method: &Method,
    status: StatusCode,
    content_length: Option<u64>,
    seen: u64,
) -> bool {
    content_length == Some(seen) || (seen == 0 && !has_content(method, status))
}

/// Whether a request body that was dropped after `seen` bytes was complete. A request without
/// `Content-Length` ends with its last frame.
pub(crate) fn is_whole_request(content_length: Option<u64>, seen: u64) -> bool {
    content_length == Some(seen)
}

/// Whether `Content-Length` of a response without content is the length of the content that the
/// response to a `GET` would have (RFC 9110, 8.6).
pub(crate) fn has_length_of_get(method: &Method, status: StatusCode, is_empty: bool) -> bool {
    is_empty && (*method == Method::HEAD || status == StatusCode::NOT_MODIFIED)
}

/// Parses `Content-Length`, given all lines of that header. Returns `None` if it is missing,
/// invalid or ambiguous (RFC 9110, 8.6: repeated equal values are one value).
pub(crate) fn content_length<V: AsRef<[u8]>>(lines: impl IntoIterator<Item = V>) -> Option<u64> {
    let mut length = None;
    for line in lines {
        for value in line.as_ref().split(|&byte| byte == b',') {
            let value = decimal(value.trim_ascii())?;
            if length.is_some_and(|length| length != value) {
                return None;
            }
            length = Some(value);
        }
    }
    length
}

fn decimal(digits: &[u8]) -> Option<u64> {
    // `parse` accepts a plus sign, the grammar does not.
    let digits = str::from_utf8(digits).ok()?;
    let is_number = digits.starts_with(|first: char| first.is_ascii_digit());
    is_number.then(|| digits.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_absent_by_method_or_status() {
        for (method, status, expected) in [
            (Method::GET, 200, true),
            (Method::HEAD, 200, false),
            (Method::GET, 101, false),
            (Method::GET, 204, false),
            (Method::GET, 304, false),
            (Method::CONNECT, 200, false),
            (Method::CONNECT, 407, true),
        ] {
            let status = StatusCode::from_u16(status).expect("a status code");
            assert_eq!(has_content(&method, status), expected, "{method} {status}");
            assert_eq!(is_whole(&method, status, None, 0), !expected);
            assert!(is_whole(&method, status, Some(3), 3));
        }
        assert!(has_length_of_get(&Method::HEAD, StatusCode::OK, true));
        assert!(!has_length_of_get(&Method::HEAD, StatusCode::OK, false));
        assert!(!has_length_of_get(&Method::GET, StatusCode::OK, true));
    }

    #[test]
    fn content_length_is_one_decimal_number() {
        for (lines, expected) in [
            (&[][..], None),
            (&["12"][..], Some(12)),
            (&[" 12 "][..], Some(12)),
            (&["12, 12"][..], Some(12)),
            (&["12", "12"][..], Some(12)),
            (&["12", "13"][..], None),
            (&["12, 13"][..], None),
            (&["+12"][..], None),
            (&["-1"][..], None),
            (&[""][..], None),
            (&["99999999999999999999"][..], None),
        ] {
            assert_eq!(content_length(lines), expected, "{lines:?}");
        }
    }
}
