//! What belongs to one connection and not to the message (RFC 9110, 7.6.1).

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// Removed whether `Connection` names them or not.
const HOP_BY_HOP: [HeaderName; 8] = [
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("http2-settings"),
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    // Not named there, but meant for the next hop only (RFC 9110, 11.7).
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
];

/// Removes the fields that belong to the connection on which a message came.
///
/// With `keep_upgrade`, a wish to upgrade, or the answer to it, stays. So does the word that the
/// client takes trailers, which gRPC servers insist on.
pub(super) fn remove(headers: &mut HeaderMap, keep_upgrade: bool) {
    let upgrade = keep_upgrade.then(|| upgrade(headers)).flatten();
    let takes_trailers = has_token(headers, &header::TE, "trailers");
    if headers.contains_key(header::CONNECTION) {
        let named: Vec<_> = tokens(headers, &header::CONNECTION)
            .filter_map(|name| HeaderName::try_from(name).ok())
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

/// The protocol that the connection should change to.
pub(super) fn upgrade(headers: &HeaderMap) -> Option<HeaderValue> {
    has_token(headers, &header::CONNECTION, "upgrade")
        .then(|| headers.get(header::UPGRADE).cloned())
        .flatten()
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    tokens(headers, name).any(|found| found.eq_ignore_ascii_case(token))
}

/// The members of a list, without their parameters.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    headers
        .get_all(name)
        .into_iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|member| member.split(';').next())
        .map(str::trim)
        .filter(|token| !token.is_empty())
}
