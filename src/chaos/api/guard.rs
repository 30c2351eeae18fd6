//! Lets in who has the token.

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

/// What a token is compared by: of hashes neither a common beginning nor a length is to be seen.
#[derive(Clone)]
pub(super) struct Token(Option<[u8; 32]>);

impl Token {
    pub(super) fn new(token: &[u8]) -> Self {
        Self((!token.is_empty()).then(|| Sha256::digest(token).into()))
    }

    fn is_in(&self, headers: &HeaderMap) -> bool {
        let (Some(expected), Some(given)) = (&self.0, bearer(headers)) else {
            return false;
        };
        expected[..].ct_eq(&Sha256::digest(given)).into()
    }
}

/// RFC 6750, section 2.1. Of the scheme no case is meant (RFC 9110, section 11.1).
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
    if token.is_none_or(|token| token.is_in(request.headers())) {
        return next.run(request).await;
    }
    let mut response = refuse(
        StatusCode::UNAUTHORIZED,
        "the token is missing or wrong: send it as `Authorization: Bearer <token>`",
    );
    let headers = response.headers_mut();
    headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}
