//! Rules of HTTP for messages (RFC 9110), one implementation each.

use http::{Method, StatusCode, Uri, Version};

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

/// Whether `Content-Length` of a response without content is the length of the content that the
/// response to a `GET` would have (RFC 9110, 8.6).
pub(crate) fn has_length_of_get(method: &Method, status: StatusCode, is_empty: bool) -> bool {
    is_empty && (*method == Method::HEAD || status == StatusCode::NOT_MODIFIED)
}

/// The value of `Content-Length`, given all lines of that header; `None` if it is missing, invalid
/// or ambiguous (RFC 9110, 8.6: repeated equal values are one value).
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

/// The name of `version`, as in `HTTP/1.1` or `HTTP/2`.
pub(crate) fn version_name(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
}

/// The host and port that a request names: the authority of `uri`, else the `Host` header
/// (RFC 9110, 7.2). User information is left out, because a `Host` header never has it.
pub(crate) fn host<'a>(uri: &'a Uri, host_header: Option<&'a [u8]>) -> Option<&'a [u8]> {
    let named = match uri.authority() {
        Some(authority) => authority.as_str().as_bytes(),
        None => host_header?,
    };
    let host = named.rsplit(|&byte| byte == b'@').next()?;
    (!host.is_empty()).then_some(host)
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

    #[test]
    fn the_authority_of_the_target_precedes_the_host_header() {
        for (uri, header, expected) in [
            ("http://a:1/x", Some("b"), Some("a:1")),
            ("http://user:pw@a/x", None, Some("a")),
            ("/x", Some("b:2"), Some("b:2")),
            ("/x", Some(""), None),
            ("/x", None, None),
        ] {
            let uri: Uri = uri.parse().expect("a URI");
            let found = host(&uri, header.map(str::as_bytes));
            assert_eq!(found, expected.map(str::as_bytes), "{uri} {header:?}");
        }
    }
}
