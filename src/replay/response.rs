//! Responses from a recording, and refusals.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, Uri, Version, header};

use super::StoredBody;
use crate::message::{BodyEnd, Exchange, RecordedResponse};

/// Returns the response of an exchange, or `None` if it is missing or incomplete.
pub(super) fn complete(exchange: &Exchange) -> Option<&RecordedResponse> {
    exchange
        .response
        .as_ref()
        .ok()
        .filter(|response| response.body.end == BodyEnd::Complete)
}

/// Builds the response of an exchange, to be sent again; `None` if it is missing or incomplete.
pub(super) fn replayed(exchange: &Exchange) -> Option<Response<StoredBody>> {
    complete(exchange).map(replay)
}

/// Builds a response from a recorded response, to be sent again.
pub(super) fn replay(recorded: &RecordedResponse) -> Response<StoredBody> {
    let mut response = Response::new(StoredBody::recorded(&recorded.body));
    *response.status_mut() = recorded.status;
    // hyper's HTTP/1 server panics on a version that it does not support.
    if matches!(
        recorded.version,
        Version::HTTP_10 | Version::HTTP_11 | Version::HTTP_2
    ) {
        *response.version_mut() = recorded.version;
    }
    *response.headers_mut() = recorded.headers.to_map();
    response
}

/// Completes a response to a request for `uri`: `reqwest::Response::from` reads its URL from an
/// extension.
pub(super) fn to_request<B>(response: Response<B>, uri: &Uri) -> Response<B> {
    #[cfg(feature = "reqwest")]
    let response = crate::util::response_url::with_url_of(response, uri);
    #[cfg(not(feature = "reqwest"))]
    let _ = uri;
    response
}

/// Builds a response of the layer itself, in plain text.
pub(super) fn plain_text(status: StatusCode, text: impl Into<Bytes>) -> Response<StoredBody> {
    let mut response = Response::new(StoredBody::text(text));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    response
}
