//! Responses of the control API.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::chaos::{document::ParseDocumentError, engine::ChaosEngine};

/// An error.
#[derive(Serialize, ToSchema)]
pub(super) struct Problem {
    /// The reason, and what to do.
    #[schema(example = "invalid percentage: expected a number from 0 to 100, found 150")]
    error: String,
    /// The place in the document as a `JSONPath` (RFC 9535), for errors in documents.
    #[schema(required, example = "$.trigger.percentage")]
    path: Option<String>,
}

/// The applied stage.
#[derive(Serialize, ToSchema)]
pub(super) struct Status {
    /// The applied stage in words, or `none` while chaos is off.
    #[schema(example = "PercentageBased (10%) ReturnStatus (503)")]
    chaos: String,
}

pub(super) fn status(engine: &ChaosEngine) -> Response {
    let chaos = engine.to_string();
    json(StatusCode::OK, &Status { chaos })
}

pub(super) fn refuse(status: StatusCode, error: &str) -> Response {
    let error = error.to_owned();
    json(status, &Problem { error, path: None })
}

/// The reason to refuse a body.
pub(super) enum Refused {
    Invalid(ParseDocumentError),
    /// The body exceeds this limit, in bytes.
    TooLarge(usize),
    Incomplete,
}

impl From<ParseDocumentError> for Refused {
    fn from(error: ParseDocumentError) -> Self {
        Self::Invalid(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Invalid(error) => {
                let problem = Problem {
                    error: error.reason().to_owned(),
                    path: Some(error.path().to_owned()),
                };
                json(StatusCode::BAD_REQUEST, &problem)
            }
            Self::TooLarge(limit) => refuse(
                StatusCode::PAYLOAD_TOO_LARGE,
                &format!("body too large: expected at most {} MiB", limit >> 20),
            ),
            Self::Incomplete => refuse(
                StatusCode::BAD_REQUEST,
                "incomplete body: the connection ended early",
            ),
        }
    }
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    // Cannot fail: all names are text, and all numbers finite.
    let text = serde_json::to_vec(value).unwrap_or_default();
    let mut response = plain(text, "application/json");
    *response.status_mut() = status;
    response
}

/// Builds a response that no client caches, and whose media type no browser guesses.
pub(super) fn plain(body: impl Into<Body>, media_type: &'static str) -> Response {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
