//! The URL of a response of reqwest.

use std::mem;

use http::{Response, Uri};
use reqwest::{ResponseBuilderExt, Url};

/// Adds the URL to a response. reqwest's conversion to [`Response`] drops it, and the one
/// back reads it from an extension of a private type.
pub(crate) fn with_url<B>(mut response: Response<B>, url: Url) -> Response<B> {
    let mut builder = Response::builder().url(url);
    if let Some(extensions) = builder.extensions_mut() {
        response.extensions_mut().extend(mem::take(extensions));
    }
    response
}

/// Adds the URL of a request to its response, if the request has an absolute one.
pub(crate) fn with_url_of<B>(response: Response<B>, uri: &Uri) -> Response<B> {
    if uri.scheme().is_none() {
        return response;
    }
    match uri.to_string().parse() {
        Ok(url) => with_url(response, url),
        Err(_) => response,
    }
}
