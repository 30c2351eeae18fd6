//! Rules for the heads of messages: version names and the host of a request.

use http::{Uri, Version};

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

/// Parses `HTTP/1.1`, `http/2.0`, `h2c`, `h3-29` or `2`, in any case.
pub(crate) fn version_named(text: &str) -> Option<Version> {
    let text = text.trim().to_ascii_lowercase();
    match text.strip_prefix("http/").unwrap_or(&text) {
        "0.9" => Some(Version::HTTP_09),
        "1.0" | "1" => Some(Version::HTTP_10),
        "1.1" => Some(Version::HTTP_11),
        "2" | "2.0" | "h2" | "h2c" => Some(Version::HTTP_2),
        "3" | "3.0" | "h3" => Some(Version::HTTP_3),
        other if other.starts_with("h3-") || other.starts_with("quic") => Some(Version::HTTP_3),
        _ => None,
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
