//! Keeps out pages of other sites.

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

/// Where a request comes from, as browsers say it (Fetch Metadata, W3C).
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Of pages that may do everything.
#[derive(Clone, Debug, Default)]
pub(super) struct Origins(Vec<String>);

impl Origins {
    pub(super) fn allow(&mut self, origin: String) {
        self.0.push(origin);
    }

    pub(super) fn are_none(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn has(&self, origin: &HeaderValue) -> bool {
        self.0.iter().any(|allowed| allowed.as_bytes() == origin)
    }
}

/// Refuses what may change something and comes from a page of another site. A POST without a body is
/// a "simple request" of CORS: no browser asks before it sends that.
pub(super) async fn check(
    State(origins): State<Arc<Origins>>,
    request: Request,
    next: Next,
) -> Response {
    if request.method().is_safe() || is_from_here(&request, &origins) {
        return next.run(request).await;
    }
    refuse(
        StatusCode::FORBIDDEN,
        "this comes from a page of another site, which `ChaosApi::allow_origin` may allow",
    )
}

fn is_from_here(request: &Request, origins: &Origins) -> bool {
    let headers = request.headers();
    let origin = headers.get(ORIGIN);
    if origin.is_some_and(|origin| origins.has(origin)) {
        return true;
    }
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return site == "same-origin" || site == "none";
    }
    // No browser, or an old one.
    origin.is_none_or(|origin| is_of(origin, request))
}

/// Whether the origin is the host that the request is for.
fn is_of(origin: &HeaderValue, request: &Request) -> bool {
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
