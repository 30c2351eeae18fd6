//! What a client opens as a WebSocket over HTTP/2 (RFC 8441), for origins that have it over HTTP/1.1.

use http::{Extensions, HeaderValue, Method, Response, StatusCode, header, request::Parts};
use uuid::Uuid;

/// Makes of an extended `CONNECT` the request that HTTP/1.1 has for it; true if it was one.
pub(super) fn to_upgrade(parts: &mut Parts) -> bool {
    if parts.method != Method::CONNECT {
        return false;
    }
    let protocol = protocol(&mut parts.extensions);
    let (Some(protocol), Ok(key)) = (protocol, HeaderValue::try_from(key())) else {
        return false;
    };
    parts.method = Method::GET;
    let headers = &mut parts.headers;
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(header::UPGRADE, protocol);
    headers.insert(header::SEC_WEBSOCKET_KEY, key);
    true
}

/// What the connection should become. Only hyper's own type says it.
#[cfg(feature = "forward")]
fn protocol(extensions: &mut Extensions) -> Option<HeaderValue> {
    let protocol = extensions.remove::<hyper::ext::Protocol>()?;
    // Others are not opened in this way over HTTP/1.1.
    let is_websocket = protocol.as_str().eq_ignore_ascii_case("websocket");
    is_websocket.then_some(HeaderValue::from_static("websocket"))
}

#[cfg(not(feature = "forward"))]
fn protocol(_: &mut Extensions) -> Option<HeaderValue> {
    None
}

/// Makes of the answer to it what HTTP/2 has for that; false if the origin answered what would be
/// taken for a WebSocket and is none.
pub(super) fn to_extended<B>(response: &mut Response<B>) -> bool {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        *response.status_mut() = StatusCode::OK;
        let headers = response.headers_mut();
        headers.remove(header::CONNECTION);
        headers.remove(header::UPGRADE);
        headers.remove(header::SEC_WEBSOCKET_ACCEPT);
        return true;
    }
    !response.status().is_success()
}

/// Sixteen random bytes in base64 (RFC 6455, 4.1). Hexadecimal digits are digits of base64 too.
fn key() -> String {
    let hex = Uuid::new_v4().simple().to_string();
    // The last digit holds four bits that have to be zero.
    format!("{}A==", &hex[..21])
}
