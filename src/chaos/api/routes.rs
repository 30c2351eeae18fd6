//! Handlers of the routes.

use std::sync::Arc;

use axum::{
    Router,
    body::Body,
    extract::{OriginalUri, State},
    response::Response,
    routing::{any, get, post},
};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::task::spawn_blocking;

use super::{
    openapi::Description,
    reply::{Refused, json, plain, refuse, status},
    state::EngineState,
};
use crate::chaos::{
    document::ParseDocumentError,
    engine::{
        ChaosEngine,
        control::{
            ACTIVATE, ACTIVATE_AGAIN, ACTIVATE_NEW, DEACTIVATE, DECISIONS, OTHER, STATE, STATUS,
            TOGGLE,
        },
    },
    model::{decision::Decision, stage::Stage},
};

/// The maximum size of a document, in bytes.
const MAX_DOCUMENT_BYTES: usize = 1 << 20;
/// The maximum size of a list of decisions, in bytes.
const MAX_DECISIONS_BYTES: usize = 4 << 20;

/// Builds the routes that require the token: all except that of the page.
pub(super) fn guarded(base: &str, has_token: bool) -> Router<ChaosEngine> {
    let at = |route: &str| format!("{base}{route}");
    let description = Arc::new(Description::new(has_token));
    let describe = get(async move |OriginalUri(uri): OriginalUri| {
        let base = uri.path().trim_end_matches('/');
        plain(description.at(base), "application/json")
    });
    let all = [
        ("/", describe.clone()),
        (STATUS, get(get_status)),
        (ACTIVATE, post(activate)),
        (ACTIVATE_NEW, post(activate_new)),
        (DEACTIVATE, post(deactivate)),
        (TOGGLE, post(toggle)),
        (STATE, get(get_state)),
        (DECISIONS, get(decisions)),
        (ACTIVATE_AGAIN, post(activate_again)),
    ];
    let mut router = Router::new().route(&at(OTHER), any(not_found));
    if !base.is_empty() {
        router = router.route(base, describe.fallback(wrong_method));
    }
    for (route, does) in all {
        router = router.route(&at(route), does.fallback(wrong_method));
    }
    router
}

async fn get_status(State(engine): State<ChaosEngine>) -> Response {
    status(&engine)
}

async fn activate(State(engine): State<ChaosEngine>, body: Body) -> Result<Response, Refused> {
    let document = read(body, MAX_DOCUMENT_BYTES).await?;
    if document.is_empty() {
        engine.enable();
    } else {
        engine.enable_with(parsed(document, Stage::from_json).await?);
    }
    Ok(status(&engine))
}

async fn activate_new(State(engine): State<ChaosEngine>, body: Body) -> Result<Response, Refused> {
    let document = read(body, MAX_DOCUMENT_BYTES).await?;
    engine.enable_with(parsed(document, Stage::from_json).await?);
    Ok(status(&engine))
}

async fn deactivate(State(engine): State<ChaosEngine>) -> Response {
    engine.disable();
    status(&engine)
}

async fn toggle(State(engine): State<ChaosEngine>) -> Response {
    engine.toggle();
    status(&engine)
}

async fn get_state(State(engine): State<ChaosEngine>) -> Response {
    json(StatusCode::OK, &EngineState::of(&engine))
}

async fn decisions(State(engine): State<ChaosEngine>) -> Response {
    json(StatusCode::OK, &engine.decisions())
}

async fn activate_again(
    State(engine): State<ChaosEngine>,
    body: Body,
) -> Result<Response, Refused> {
    let decisions = read(body, MAX_DECISIONS_BYTES).await?;
    engine.enable_again(parsed(decisions, Decision::list_from_slice).await?);
    Ok(status(&engine))
}

async fn not_found() -> Response {
    refuse(
        StatusCode::NOT_FOUND,
        "unknown route: the root of the control API describes all routes",
    )
}

pub(super) async fn wrong_method() -> Response {
    refuse(
        StatusCode::METHOD_NOT_ALLOWED,
        "wrong method: expected a method of the `Allow` header",
    )
}

/// Parses a body on a thread that may block: a large one takes a second.
async fn parsed<T: Send + 'static>(
    body: Bytes,
    parse: impl FnOnce(&[u8]) -> Result<T, ParseDocumentError> + Send + 'static,
) -> Result<T, Refused> {
    match spawn_blocking(move || parse(&body)).await {
        Ok(parsed) => Ok(parsed?),
        // The runtime is shutting down.
        Err(_) => Err(Refused::Incomplete),
    }
}

async fn read(body: Body, limit: usize) -> Result<Bytes, Refused> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Refused::TooLarge(limit)),
        Err(_) => Err(Refused::Incomplete),
    }
}
