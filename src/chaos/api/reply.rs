//! What is answered.

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

/// Why something was not done.
#[derive(Serialize, ToSchema)]
pub(super) struct Problem {
    /// What is wrong, and what to do.
    #[schema(example = "150 is not within 0 to 100")]
    error: String,
    /// Where in the document, in the notation of `JSONPath` (RFC 9535), if it is there.
    #[schema(required, example = "$.trigger.percentage")]
    path: Option<String>,
}

/// What is applied.
#[derive(Serialize, ToSchema)]
pub(super) struct Status {
    /// In words, or `none` while it is off.
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

/// Why a document was not taken.
pub(super) enum Refused {
    Bad(ParseDocumentError),
    /// Than so many bytes.
    TooLarge(usize),
    InjectedError,
}

impl From<ParseDocumentError> for Refused {
    fn from(bad: ParseDocumentError) -> Self {
        Self::Bad(bad)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::Bad(bad) => {
                let problem = Problem {
                    error: bad.reason().to_owned(),
                    path: Some(bad.path().to_owned()),
                };
                json(StatusCode::BAD_REQUEST, &problem)
            }
            Self::TooLarge(limit) => refuse(
                StatusCode::PAYLOAD_TOO_LARGE,
                &format!("the body has more than {} MiB", limit >> 20),
            ),
            Self::InjectedError => refuse(StatusCode::BAD_REQUEST, "the body broke off"),
        }
    }
}

pub(super) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    // Nothing of ours fails: names are text, and numbers are finite.
    let text = serde_json::to_vec(value).unwrap_or_default();
    let mut response = plain(text, "application/json");
    *response.status_mut() = status;
    response
}

/// What nobody keeps, and no browser takes for something else.
pub(super) fn plain(body: impl Into<Body>, media_type: &'static str) -> Response {
    let mut response = Response::new(body.into());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
