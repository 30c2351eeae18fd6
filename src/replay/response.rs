//! Responses: recorded ones, and those that say why there is none.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, Version, header};
use http_body::Body;

use crate::{
    body::ReplayBody,
    message::{BodyEnd, Exchange, RecordedResponse},
};

/// A recorded response, to be given again; `None` if it did not come or was cut short.
pub(super) fn recorded<B: Body>(exchange: &Exchange) -> Option<Response<ReplayBody<B>>> {
    whole(exchange).map(response)
}

/// A recorded response, to be given again.
pub(super) fn response<B: Body>(recorded: &RecordedResponse) -> Response<ReplayBody<B>> {
    let mut response = Response::new(ReplayBody::stored(&recorded.body));
    *response.status_mut() = recorded.status;
    // Which version is spoken is for the connection to settle, and hyper's HTTP/1 server panics on
    // one that it does not know.
    if matches!(
        recorded.version,
        Version::HTTP_10 | Version::HTTP_11 | Version::HTTP_2
    ) {
        *response.version_mut() = recorded.version;
    }
    *response.headers_mut() = recorded.headers.to_map();
    response
}

/// An answer of our own, as plain text.
pub(super) fn explain<B: Body>(
    status: StatusCode,
    text: impl Into<Bytes>,
) -> Response<ReplayBody<B>> {
    let mut response = Response::new(ReplayBody::text(text));
    *response.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, text);
    response
}

/// The response of an exchange, if it came and was seen to its end.
pub(super) fn whole(exchange: &Exchange) -> Option<&RecordedResponse> {
    exchange
        .response
        .as_ref()
        .ok()
        .filter(|response| response.body.end == BodyEnd::Complete)
}
