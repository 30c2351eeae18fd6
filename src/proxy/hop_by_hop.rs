//! Hop-by-hop headers: those that belong to a connection (RFC 9110, 7.6.1).

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Headers that are removed even if `Connection` does not name them.
const HOP_BY_HOP: [HeaderName; 8] = [
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("http2-settings"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    // Not in that section, but for the next hop only (RFC 9110, 11.7).
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
];

/// Removes the hop-by-hop headers of a message.
///
/// If `keep_upgrade` is true, the headers of an upgrade are kept. `te: trailers` is always kept,
/// because gRPC servers require it.
pub(super) fn remove(headers: &mut HeaderMap, keep_upgrade: bool) {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        // `Transfer-Encoding` overrides it (RFC 9112, 6.3).
        headers.remove(header::CONTENT_LENGTH);
    }
    let upgrade = keep_upgrade.then(|| upgrade(headers)).flatten();
    let takes_trailers = has_token(headers, &header::TE, "trailers");
    if headers.contains_key(header::CONNECTION) {
        let named: Vec<_> = tokens(headers, &header::CONNECTION)
            .filter_map(|name| HeaderName::from_bytes(name).ok())
            .collect();
        for name in named {
            headers.remove(name);
        }
        headers.remove(header::CONNECTION);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    if takes_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    if let Some(upgrade) = upgrade {
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, upgrade);
    }
}

/// Returns the protocol to which a message upgrades.
///
/// For upgrades to HTTP, returns `None`: requests on such a connection would bypass the checks of
/// the proxy.
pub(super) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    let is_http = |protocol: &[u8]| {
        let name = protocol.split(|&byte| byte == b'/').next();
        let name = name.unwrap_or_default();
        [&b"http"[..], b"h2c", b"h2", b"h3"]
            .iter()
            .any(|http| name.eq_ignore_ascii_case(http))
    };
    if !has_token(headers, &header::CONNECTION, "upgrade")
        || tokens(headers, &header::UPGRADE).any(is_http)
    {
        return None;
    }
    headers.get(header::UPGRADE).cloned()
}

/// Whether a message has a transfer coding other than chunked, which makes its content unreadable
/// without `Transfer-Encoding`.
pub(super) fn is_coded(headers: &HeaderMap) -> bool {
    tokens(headers, &header::TRANSFER_ENCODING)
        .any(|coding| !coding.eq_ignore_ascii_case(b"chunked"))
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|found| found.eq_ignore_ascii_case(token.as_bytes()))
}

/// Returns the members of a comma-separated list, without their parameters.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers
        .get_all(name)
        .into_iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .filter_map(|member| member.split(|&byte| byte == b';').next())
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}
