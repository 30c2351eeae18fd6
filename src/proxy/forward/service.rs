//! The service: sends a request to its origin.

use std::{
    convert::Infallible,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header, uri::Scheme};
use http_body::Body;
use hyper::upgrade::{self, OnUpgrade};
use tower::Service;

use super::{
    body::{ForwardBody, RequestBody},
    client::Forward,
    failure,
    future::ForwardFuture,
    pool::Pool,
    tunnel,
};
use crate::proxy::{
    extensions::{ForwardError, TunnelAllowed},
    hop_by_hop,
    refusal::Refusal,
};

impl<B> Service<Request<B>> for Forward
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<ForwardBody>;
    type Error = Infallible;
    type Future = ForwardFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ForwardFuture {
        let shared = self.shared.clone();
        let request = request.map(RequestBody::new);
        ForwardFuture::new(async move {
            let pool = shared.pool();
            let answer = if request.method() == Method::CONNECT {
                open_tunnel(pool, request).await
            } else {
                forward(pool, request).await
            };
            answer.unwrap_or_else(|refusal| {
                let error = ForwardError(refusal.error);
                let mut response = refusal.into_response("tower-traffic");
                response.extensions_mut().insert(error);
                response.map(ForwardBody::text)
            })
        })
    }
}

async fn forward(
    pool: &Pool,
    mut request: Request<RequestBody>,
) -> Result<Response<ForwardBody>, Refusal> {
    let uri = request.uri();
    let is_http = |scheme: &Scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS;
    if !uri.scheme().is_some_and(is_http) || uri.host().is_none_or(str::is_empty) {
        return Err(failure::no_target());
    }
    *request.version_mut() = Version::HTTP_11;
    set_length(&mut request);
    let client = take_upgrade(&mut request);
    let mut response = pool.send(request, client.is_some()).await?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let client = client.ok_or_else(failure::unexpected_switch)?;
        tunnel::join(client, upgrade::on(&mut response));
    }
    let headers = response.headers_mut();
    if hop_by_hop::is_coded(headers) {
        return Err(failure::unknown_coding());
    }
    if headers.contains_key(header::TRANSFER_ENCODING) {
        // `Transfer-Encoding` overrides it (RFC 9112, 6.3).
        headers.remove(header::CONTENT_LENGTH);
    }
    Ok(response.map(ForwardBody::origin))
}

/// Sets `Content-Length` or `Transfer-Encoding` where hyper would set neither.
fn set_length(request: &mut Request<RequestBody>) {
    let method = request.method();
    let is_empty = matches!(request.body(), RequestBody::Empty);
    let expects_content = [Method::POST, Method::PUT, Method::PATCH].contains(method);
    let is_known = request.headers().contains_key(header::CONTENT_LENGTH)
        || request.body().size_hint().exact().is_some();
    let headers = request.headers_mut();
    if is_empty && expects_content {
        // Some servers require it (RFC 9110, 8.6).
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    } else if !is_empty && !is_known {
        // Without it hyper sends no content with GET and HEAD.
        headers.insert(
            header::TRANSFER_ENCODING,
            HeaderValue::from_static("chunked"),
        );
    }
}

/// Returns the client's side of an upgrade, if the request asks for an upgrade and the connection
/// supports it.
fn take_upgrade(request: &mut Request<RequestBody>) -> Option<OnUpgrade> {
    hop_by_hop::upgrade(request.headers())?;
    let client = request.extensions_mut().remove::<OnUpgrade>();
    if client.is_none() {
        // A 101 could not be followed.
        request.headers_mut().remove(header::CONNECTION);
        request.headers_mut().remove(header::UPGRADE);
    }
    client
}

/// Opens a tunnel for `CONNECT`.
async fn open_tunnel(
    pool: &Pool,
    mut request: Request<RequestBody>,
) -> Result<Response<ForwardBody>, Refusal> {
    if request.extensions().get::<TunnelAllowed>().is_none() {
        return Err(Refusal::tunnel_denied(
            "request an http:// URI instead, or allow tunnels with `ProxyHost::allow_connect`",
        ));
    }
    let Some(client) = request.extensions_mut().remove::<OnUpgrade>() else {
        return Err(Refusal::bad_request(
            "CONNECT is not supported on this connection",
        ));
    };
    let origin = pool.connect(request.uri()).await?;
    tunnel::join(client, std::future::ready(Ok::<_, Infallible>(origin)));
    Ok(Response::new(ForwardBody::text("")))
}
