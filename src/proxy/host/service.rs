//! The service: prepares requests for their origin, or refuses them.

use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header, request::Parts,
};
use http_body::Body;
use tower::Service;

use super::{
    forwarded::{self, Client},
    future::ProxyHostFuture,
    layer::Config,
    target::{self, Aim},
    websocket,
};
use crate::body::AnswerBody;
use crate::proxy::{
    addresses::is_internal_host, extensions::TunnelAllowed, hop_by_hop, refusal::Refusal,
};

/// The service that [`ProxyHost`](crate::proxy::ProxyHost) makes.
#[derive(Clone)]
pub struct ProxyHostService<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> ProxyHostService<S> {
    pub(super) fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config }
    }
}

impl<S, B, R> Service<Request<B>> for ProxyHostService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body<Data = Bytes>,
{
    type Response = Response<AnswerBody<R>>;
    type Error = S::Error;
    type Future = ProxyHostFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let config = self.config.clone();
        match config.prepare(&mut parts) {
            Ok(Prepared { is_extended }) => {
                let response = self.inner.call(Request::from_parts(parts, body));
                ProxyHostFuture::passed(response, is_extended, config)
            }
            Err(refusal) => ProxyHostFuture::refused(refusal, config),
        }
    }
}

/// What has to be remembered of a request for its response.
struct Prepared {
    /// It was an extended `CONNECT` of HTTP/2.
    is_extended: bool,
}

impl Config {
    /// Makes of a request as it came one that goes to its origin.
    fn prepare(&self, parts: &mut Parts) -> Result<Prepared, Refusal> {
        if self.name.is_in(&parts.headers) {
            return Err(Refusal::new(
                StatusCode::LOOP_DETECTED,
                "proxy_loop_detected",
                "The request came back to this proxy, which sent it on before.",
            ));
        }
        if hop_by_hop::is_coded(&parts.headers) {
            return Err(Refusal::unknown_coding());
        }
        let is_extended = websocket::to_upgrade(parts);
        if parts.method == Method::CONNECT {
            self.prepare_tunnel(parts)?;
            return Ok(Prepared { is_extended });
        }
        count_down(parts)?;
        let aimed = self.aim.at(parts)?;
        self.check(&aimed.uri)?;
        let received = parts.version;
        let keep_upgrade = received == Version::HTTP_11 || is_extended;
        hop_by_hop::remove(&mut parts.headers, keep_upgrade);
        self.name.add_to(&mut parts.headers, received);
        if self.forwarded.is_any() {
            let client = Client {
                address: forwarded::client_address(&parts.extensions),
                host: aimed.asked.as_ref(),
                scheme: self.scheme.as_str(),
            };
            self.forwarded.add_to(&mut parts.headers, &client);
        }
        if matches!(received, Version::HTTP_2 | Version::HTTP_3) {
            join_cookies(parts);
        }
        parts.headers.remove(header::HOST);
        parts.uri = aimed.uri;
        parts.version = Version::HTTP_11;
        Ok(Prepared { is_extended })
    }

    fn prepare_tunnel(&self, parts: &mut Parts) -> Result<(), Refusal> {
        if !self.allow_connect || matches!(self.aim, Aim::Upstream(_)) {
            return Err(Refusal::no_tunnel());
        }
        target::asked(parts)?;
        let end = target::tunnel_end(parts)?;
        let uri = Uri::from(end);
        self.check(&uri)?;
        hop_by_hop::remove(&mut parts.headers, false);
        parts.headers.remove(header::HOST);
        parts.uri = uri;
        parts.version = Version::HTTP_11;
        parts.extensions.insert(TunnelAllowed);
        Ok(())
    }

    pub(super) fn refuse<R>(&self, refusal: Refusal) -> Response<AnswerBody<R>> {
        refusal
            .into_response(self.name.as_str())
            .map(AnswerBody::text)
    }

    /// Whether a request may go there.
    fn check(&self, uri: &Uri) -> Result<(), Refusal> {
        // The upstream was named by whoever made the proxy.
        if matches!(self.aim, Aim::Upstream(_)) {
            return Ok(());
        }
        let host = uri.host().unwrap_or_default();
        let is_https = uri.scheme() == Some(&http::uri::Scheme::HTTPS);
        let port = uri.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        if let Some(hosts) = &self.hosts
            && !hosts.iter().any(|allowed| allowed.matches(host, port))
        {
            return Err(Refusal::forbidden(
                "http_request_denied",
                format!("This proxy does not go to {host}."),
            ));
        }
        if !self.allow_link_local && is_internal_host(host) {
            return Err(Refusal::forbidden(
                "destination_ip_prohibited",
                format!("This proxy does not go to link-local or metadata addresses: {host}."),
            ));
        }
        Ok(())
    }
}

/// Counts `Max-Forwards` down, where it says anything: RFC 9110, 7.6.2.
fn count_down(parts: &mut Parts) -> Result<(), Refusal> {
    if parts.method != Method::OPTIONS && parts.method != Method::TRACE {
        return Ok(());
    }
    let Some(left) = parts.headers.get(header::MAX_FORWARDS) else {
        return Ok(());
    };
    let left: Option<u64> = left.to_str().ok().and_then(|left| left.parse().ok());
    match left {
        None => Err(Refusal::bad_request("Max-Forwards is not a number.")),
        Some(0) => Err(Refusal::last_hop(&parts.method)),
        Some(left) => {
            parts
                .headers
                .insert(header::MAX_FORWARDS, HeaderValue::from(left - 1));
            Ok(())
        }
    }
}

/// HTTP/2 and 3 may split `Cookie` into several fields, HTTP/1 has one: RFC 9113, 8.2.3, and RFC 9114,
/// 4.2.1.
fn join_cookies(parts: &mut Parts) {
    let crumbs = parts.headers.get_all(header::COOKIE);
    if crumbs.iter().nth(1).is_none() {
        return;
    }
    let crumbs: Vec<_> = crumbs.iter().map(HeaderValue::as_bytes).collect();
    if let Ok(joined) = HeaderValue::try_from(crumbs.join(&b"; "[..])) {
        parts.headers.insert(header::COOKIE, joined);
    }
}

impl<S: fmt::Debug> fmt::Debug for ProxyHostService<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProxyHostService")
            .field("inner", &self.inner)
            .field("config", &self.config)
            .finish()
    }
}
