//! Protection against cross-site requests.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{HOST, ORIGIN},
    uri::Authority,
};

use super::reply::refuse;

/// The relation of a page to the host of its request (Fetch Metadata, W3C).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// The origins of pages that may control chaos.
#[derive(Clone, Debug, Default)]
pub(super) struct Origins(Vec<String>);

impl Origins {
    pub(super) fn allow(&mut self, origin: String) {
        self.0.push(origin);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn contains(&self, origin: &HeaderValue) -> bool {
        self.0.iter().any(|allowed| allowed.as_bytes() == origin)
    }
}

/// Refuses unsafe requests from pages of other sites. A POST without a body is a "simple request"
/// of CORS, which browsers send without a preflight.
pub(super) async fn check(
    State(origins): State<Arc<Origins>>,
    request: Request,
    next: Next,
) -> Response {
    if request.method().is_safe() || is_same_site(&request, &origins) {
        return next.run(request).await;
    }
    refuse(
        StatusCode::FORBIDDEN,
        "request from a page of another site; `ChaosApi::allow_origin` can allow its origin",
    )
}

fn is_same_site(request: &Request, origins: &Origins) -> bool {
    let headers = request.headers();
    let origin = headers.get(ORIGIN);
    if origin.is_some_and(|origin| origins.contains(origin)) {
        return true;
    }
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return site == "same-origin" || site == "none";
    }
    // A client other than a browser, or an old browser.
    origin.is_none_or(|origin| is_host(origin, request))
}

/// Whether the origin is the host of the request.
fn is_host(origin: &HeaderValue, request: &Request) -> bool {
    let authority = request.uri().authority().map(Authority::as_str);
    let host = || request.headers().get(HOST)?.to_str().ok();
    let Some(host) = authority.or_else(host) else {
        return false;
    };
    let origin = origin.to_str().unwrap_or_default();
    origin
        .split_once("://")
        .is_some_and(|(_, of)| of.eq_ignore_ascii_case(host))
}
