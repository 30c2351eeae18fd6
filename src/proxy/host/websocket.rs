//! WebSockets over HTTP/2 (RFC 8441), translated to HTTP/1.1 for the origin.

#[cfg(feature = "forward")]
use base64::{Engine, engine::general_purpose::STANDARD};
#[cfg(feature = "forward")]
use http::{Extensions, HeaderValue, Method};
use http::{Response, StatusCode, header, request::Parts};
#[cfg(feature = "forward")]
use uuid::Uuid;

/// Translates an extended `CONNECT` into an HTTP/1.1 upgrade. Returns false if `parts` is another
/// request.
#[cfg(feature = "forward")]
pub(super) fn to_http1(parts: &mut Parts) -> bool {
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

/// Returns false: without hyper, an extended `CONNECT` cannot be recognized.
#[cfg(not(feature = "forward"))]
pub(super) fn to_http1(_: &mut Parts) -> bool {
    false
}

/// Returns the protocol of an extended `CONNECT`, which only hyper's own extension contains.
#[cfg(feature = "forward")]
fn protocol(extensions: &mut Extensions) -> Option<HeaderValue> {
    let protocol = extensions.remove::<hyper::ext::Protocol>()?;
    // HTTP/1.1 has no equivalent for other protocols.
    let is_websocket = protocol.as_str().eq_ignore_ascii_case("websocket");
    is_websocket.then_some(HeaderValue::from_static("websocket"))
}

/// Translates the response to an upgrade that [`to_http1`] made, back to HTTP/2. Returns false if
/// the origin responded with another 2xx, which HTTP/2 clients would take for an open WebSocket.
pub(super) fn to_http2<B>(response: &mut Response<B>) -> bool {
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

/// Returns sixteen random bytes in base64 (RFC 6455, 4.1).
#[cfg(feature = "forward")]
fn key() -> String {
    STANDARD.encode(Uuid::new_v4())
}
