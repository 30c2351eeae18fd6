//! Authorization by a bearer token.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{AUTHORIZATION, WWW_AUTHENTICATE},
};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::reply::refuse;

/// The hash of a token: the time of a comparison reveals neither a common prefix nor the length.
#[derive(Clone)]
pub(super) struct Token(Option<[u8; 32]>);

impl Token {
    pub(super) fn new(token: &[u8]) -> Self {
        Self((!token.is_empty()).then(|| Sha256::digest(token).into()))
    }

    fn matches(&self, headers: &HeaderMap) -> bool {
        let (Some(expected), Some(given)) = (&self.0, bearer(headers)) else {
            return false;
        };
        expected[..].ct_eq(&Sha256::digest(given)).into()
    }
}

/// Returns the bearer token of a request (RFC 6750, section 2.1). The scheme is case-insensitive
/// (RFC 9110, section 11.1).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let credentials = headers.get(AUTHORIZATION)?.as_bytes();
    let (scheme, rest) = credentials.split_at_checked("Bearer ".len())?;
    scheme
        .eq_ignore_ascii_case(b"Bearer ")
        .then(|| rest.trim_ascii())
}

pub(super) async fn check(
    State(token): State<Option<Arc<Token>>>,
    request: Request,
    next: Next,
) -> Response {
    if token.is_none_or(|token| token.matches(request.headers())) {
        return next.run(request).await;
    }
    let mut response = refuse(
        StatusCode::UNAUTHORIZED,
        "missing or wrong token: expected `Authorization: Bearer <token>`",
    );
    let headers = response.headers_mut();
    headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}
