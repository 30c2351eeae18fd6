//! The page at `/ui`.

use axum::{
    Router,
    response::Response,
    routing::{MethodRouter, get},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{
    HeaderValue,
    header::{CONTENT_SECURITY_POLICY, REFERRER_POLICY},
};
use sha2::{Digest, Sha256};

use super::{reply::plain, routes::wrong_method};
use crate::chaos::engine::{ChaosEngine, control::PAGE};

const HTML: &str = include_str!("page.html");

/// Builds the route of the page. It requires no token, because a browser sends none when it
/// navigates.
pub(super) fn route(base: &str) -> Router<ChaosEngine> {
    let policy = policy(HTML);
    let page = async move || page(policy);
    let page: MethodRouter<ChaosEngine> = get(page).fallback(wrong_method);
    Router::new().route(&format!("{base}{PAGE}"), page)
}

fn page(policy: Option<HeaderValue>) -> Response {
    let mut response = plain(HTML, "text/html; charset=utf-8");
    let headers = response.headers_mut();
    if let Some(policy) = policy {
        headers.insert(CONTENT_SECURITY_POLICY, policy);
    }
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// Returns the page's content security policy (Content Security Policy Level 3, W3C): it allows
/// only the inline scripts and styles of the page, and requests to the page's own origin.
fn policy(html: &str) -> Option<HeaderValue> {
    let (scripts, styles) = (hashes(html, "script"), hashes(html, "style"));
    let policy = format!(
        "default-src 'none'; script-src {scripts}; style-src {styles}; connect-src 'self'; \
         img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::try_from(policy).ok()
}

/// Returns the hashes of all inline elements named `element`.
fn hashes(html: &str, element: &str) -> String {
    let (start, end) = (format!("<{element}>"), format!("</{element}>"));
    let inline = html
        .split(&start)
        .skip(1)
        .filter_map(|rest| rest.split_once(&end));
    let hashes = inline.map(|(content, _)| {
        let hash = STANDARD.encode(Sha256::digest(content));
        format!("'sha256-{hash}'")
    });
    hashes.collect::<Vec<_>>().join(" ")
}
