//! What a proxy answers itself, and why.

use http::{HeaderName, HeaderValue, Method, Response, StatusCode, header};

/// RFC 9209.
const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");

/// What is passed on without more ado.
const ALLOWED: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Why a request goes no further.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// The error's name in RFC 9209, 2.3.
    pub(super) error: &'static str,
    /// For whoever asked.
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

    pub(super) fn no_tunnel() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "http_request_denied",
            "This proxy opens no tunnels (CONNECT): ask it for an http:// address.",
        )
    }

    pub(super) fn no_websocket() -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            "http_upgrade_failed",
            "The origin answered, but did not open the WebSocket.",
        )
    }

    /// RFC 9112, 6.1.
    pub(super) fn unknown_coding() -> Self {
        Self::new(
            StatusCode::NOT_IMPLEMENTED,
            "http_request_error",
            "This proxy knows no transfer coding but chunked.",
        )
    }

    /// The request was meant to end here (`Max-Forwards: 0`).
    pub(super) fn last_hop(method: &Method) -> Self {
        if *method == Method::OPTIONS {
            Self::new(StatusCode::OK, "", "")
        } else {
            Self::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "http_request_denied",
                "This proxy does not answer TRACE itself.",
            )
        }
    }

    /// As an answer: the reason in the body, and the error as `Proxy-Status` (RFC 9209) of the proxy
    /// with this name.
    pub(super) fn into_response(self, name: &str) -> Response<String> {
        let line = if self.reason.is_empty() { "" } else { "\n" };
        let mut response = Response::new(self.reason + line);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        if self.status.is_success() || self.status == StatusCode::METHOD_NOT_ALLOWED {
            // With 405 it must be there: RFC 9110, 15.5.6.
            headers.insert(header::ALLOW, HeaderValue::from_static(ALLOWED));
        }
        if self.status.is_success() {
            return response;
        }
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        // A token begins with a letter; what does not has to be a string (RFC 9651, 3.3).
        let is_token = name.starts_with(|first: char| first.is_ascii_alphabetic());
        let quote = if is_token { "" } else { "\"" };
        let status = format!("{quote}{name}{quote}; error={}", self.error);
        if let Ok(status) = HeaderValue::try_from(status) {
            headers.insert(PROXY_STATUS, status);
        }
        response
    }
}
