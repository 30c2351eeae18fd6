//! The service: one request from the server's side to the origin.

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
    pool::Clients,
    tunnel,
};
use crate::proxy::{extensions::TunnelAllowed, hop_by_hop, refusal::Refusal};

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
            let clients = shared.clients();
            let answer = if request.method() == Method::CONNECT {
                open(clients, request).await
            } else {
                forward(clients, request).await
            };
            answer.unwrap_or_else(|refusal| {
                refusal
                    .into_response("tower-traffic")
                    .map(ForwardBody::text)
            })
        })
    }
}

async fn forward(
    clients: &Clients,
    mut request: Request<RequestBody>,
) -> Result<Response<ForwardBody>, Refusal> {
    let uri = request.uri();
    let is_http = |scheme: &Scheme| *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS;
    if !uri.scheme().is_some_and(is_http) || uri.host().is_none_or(str::is_empty) {
        return Err(failure::no_target());
    }
    *request.version_mut() = Version::HTTP_11;
    say_length(&mut request);
    let client = upgrade_of(&mut request);
    let mut response = clients.send(request, client.is_some()).await?;
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let client = client.ok_or_else(failure::not_asked_to_switch)?;
        tunnel::join(client, upgrade::on(&mut response));
    }
    let headers = response.headers_mut();
    if hop_by_hop::is_coded(headers) {
        return Err(failure::unknown_coding());
    }
    if headers.contains_key(header::TRANSFER_ENCODING) {
        // It was not the length: RFC 9112, 6.3.
        headers.remove(header::CONTENT_LENGTH);
    }
    Ok(response.map(ForwardBody::origin))
}

/// Says how long the body is where hyper would not.
fn say_length(request: &mut Request<RequestBody>) {
    let method = request.method();
    let is_none = matches!(request.body(), RequestBody::Empty);
    let expects_content = [Method::POST, Method::PUT, Method::PATCH].contains(method);
    let is_known = request.headers().contains_key(header::CONTENT_LENGTH)
        || request.body().size_hint().exact().is_some();
    let headers = request.headers_mut();
    if is_none && expects_content {
        // Some servers insist on it: RFC 9110, 8.6.
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
    } else if !is_none && !is_known {
        // Else hyper sends no content with GET and HEAD.
        headers.insert(
            header::TRANSFER_ENCODING,
            HeaderValue::from_static("chunked"),
        );
    }
}

/// The client's side of an upgrade, if it asks for one and can.
fn upgrade_of(request: &mut Request<RequestBody>) -> Option<OnUpgrade> {
    hop_by_hop::upgrade(request.headers())?;
    let client = request.extensions_mut().remove::<OnUpgrade>();
    if client.is_none() {
        // Nobody could go on after a 101.
        request.headers_mut().remove(header::CONNECTION);
        request.headers_mut().remove(header::UPGRADE);
    }
    client
}

/// Opens a tunnel.
async fn open(
    clients: &Clients,
    mut request: Request<RequestBody>,
) -> Result<Response<ForwardBody>, Refusal> {
    if request.extensions().get::<TunnelAllowed>().is_none() {
        return Err(Refusal::no_tunnel());
    }
    let Some(client) = request.extensions_mut().remove::<OnUpgrade>() else {
        return Err(Refusal::bad_request(
            "The connection cannot become a tunnel.",
        ));
    };
    let origin = clients.connect(request.uri()).await?;
    tunnel::join(client, std::future::ready(Ok::<_, Infallible>(origin)));
    Ok(Response::new(ForwardBody::text("")))
}
