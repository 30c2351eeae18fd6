//! Error responses of the proxy.

use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};

/// The header with the proxy's error (RFC 9209).
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// The methods that the proxy passes on in every configuration.
const ALLOWED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// A response of the proxy itself, with the reason as its body.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// The error type (RFC 9209, 2.3).
    pub(super) error: &'static str,
    pub(super) reason: String,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, error: &'static str, reason: impl Into<String>) -> Self {
        Self {
            status,
            error,
            reason: reason.into(),
        }
    }

    pub(super) fn bad_request(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "http_request_error", reason)
    }

    pub(super) fn forbidden(error: &'static str, reason: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, error, reason)
    }

    /// Refuses a `CONNECT`; `instead` describes the request to send.
    pub(super) fn tunnel_denied(instead: &str) -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "http_request_denied",
            format!("CONNECT (https:// through a proxy) is not allowed by this proxy: {instead}"),
        )
    }

    pub(super) fn websocket_not_opened() -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            "http_upgrade_failed",
            "the origin responded without opening the WebSocket",
        )
    }

    /// Refuses a transfer coding other than chunked (RFC 9112, 6.1).
    pub(super) fn unknown_coding() -> Self {
        Self::new(
            StatusCode::NOT_IMPLEMENTED,
            "http_request_error",
            "unsupported transfer coding: expected chunked",
        )
    }

    /// Responds in place of the next server to a request whose `Max-Forwards` is 0.
    pub(super) fn last_hop(method: &Method) -> Self {
        if *method == Method::OPTIONS {
            Self::new(StatusCode::OK, "", "")
        } else {
            Self::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "http_request_denied",
                "TRACE with Max-Forwards: 0 is not supported by this proxy",
            )
        }
    }

    /// Builds the response: the reason is the body, and the error type is in `Proxy-Status` (RFC
    /// 9209), under the proxy's `name`.
    pub(super) fn into_response(self, name: &str) -> Response<String> {
        let line_end = if self.reason.is_empty() { "" } else { "\n" };
        let mut response = Response::new(self.reason + line_end);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if self.status.is_success() || self.status == StatusCode::METHOD_NOT_ALLOWED {
            // Required with 405 (RFC 9110, 15.5.6).
            headers.insert(header::ALLOW, HeaderValue::from_static(ALLOWED));
        }
        if self.status.is_success() {
            return response;
        }
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        set_proxy_status(headers, name, self.error);
        response
    }
}

/// Sets `Proxy-Status` to the error type `error` of the proxy `name`.
pub(super) fn set_proxy_status(headers: &mut HeaderMap, name: &str, error: &str) {
    // A token begins with a letter; other names are quoted strings (RFC 9651, 3.3).
    let is_token = name.starts_with(|first: char| first.is_ascii_alphabetic());
    let quote = if is_token { "" } else { "\"" };
    let status = format!("{quote}{name}{quote}; error={error}");
    if let Ok(status) = HeaderValue::try_from(status) {
        headers.insert(PROXY_STATUS, status);
    }
}
