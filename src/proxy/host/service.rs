//! The service: prepares each request for its origin, or refuses it.

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
    body::ResponseBody,
    forwarded::Client,
    future::ResponseFuture,
    layer::Config,
    target::{self, TargetMode},
    websocket,
};
use crate::{
    message::client::client_address,
    proxy::{addresses::is_internal_host, extensions::TunnelAllowed, hop_by_hop, refusal::Refusal},
};

/// The service of [`ProxyHost`](super::ProxyHost).
#[derive(Clone)]
pub struct ProxyHostService<S> {
    inner: S,
    config: Arc<Config>,
}

impl<S> ProxyHostService<S> {
    pub(super) fn new(inner: S, config: Arc<Config>) -> Self {
        Self { inner, config }
    }

    /// Returns a reference to the inner service.
    #[must_use]
    pub fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service.
    #[must_use]
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, B, R> Service<Request<B>> for ProxyHostService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body<Data = Bytes>,
{
    type Response = Response<ResponseBody<R>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let config = self.config.clone();
        match config.prepare(&mut parts) {
            Ok(Prepared {
                is_extended_connect,
            }) => {
                let response = self.inner.call(Request::from_parts(parts, body));
                ResponseFuture::passed(response, is_extended_connect, config)
            }
            Err(refusal) => ResponseFuture::refused(refusal, config),
        }
    }
}

/// The facts about a request on which its response depends.
struct Prepared {
    /// Whether the request was an extended `CONNECT` of HTTP/2 (RFC 8441).
    is_extended_connect: bool,
}

impl Config {
    /// Rewrites a received request into a request for its origin.
    fn prepare(&self, parts: &mut Parts) -> Result<Prepared, Refusal> {
        if self.name.is_in(&parts.headers) {
            return Err(Refusal::new(
                StatusCode::LOOP_DETECTED,
                "proxy_loop_detected",
                "proxy loop: the request has passed this proxy before",
            ));
        }
        if hop_by_hop::is_coded(&parts.headers) {
            return Err(Refusal::unknown_coding());
        }
        let is_extended_connect = websocket::to_http1(parts);
        if parts.method == Method::CONNECT {
            self.prepare_tunnel(parts)?;
            return Ok(Prepared {
                is_extended_connect,
            });
        }
        decrement_max_forwards(parts)?;
        let target = self.mode.target(parts)?;
        self.check_destination(&target.uri)?;
        let received = parts.version;
        let keep_upgrade = received == Version::HTTP_11 || is_extended_connect;
        hop_by_hop::remove(&mut parts.headers, keep_upgrade);
        self.name.add_to(&mut parts.headers, received);
        if self.forwarded.is_enabled() {
            let client = Client {
                address: client_address(&parts.extensions),
                host: target.requested.as_ref(),
                scheme: self.scheme.as_str(),
            };
            self.forwarded.add_to(&mut parts.headers, &client);
        }
        if matches!(received, Version::HTTP_2 | Version::HTTP_3) {
            join_cookies(parts);
        }
        parts.headers.remove(header::HOST);
        parts.uri = target.uri;
        parts.version = Version::HTTP_11;
        Ok(Prepared {
            is_extended_connect,
        })
    }

    fn prepare_tunnel(&self, parts: &mut Parts) -> Result<(), Refusal> {
        if !self.allow_connect || matches!(self.mode, TargetMode::Upstream(_)) {
            let instead = self.mode.instead_of_tunnel(parts.uri.authority());
            return Err(Refusal::tunnel_denied(&instead));
        }
        target::requested_authority(parts)?;
        let uri = Uri::from(target::tunnel_authority(parts)?);
        self.check_destination(&uri)?;
        hop_by_hop::remove(&mut parts.headers, false);
        parts.headers.remove(header::HOST);
        parts.uri = uri;
        parts.version = Version::HTTP_11;
        parts.extensions.insert(TunnelAllowed);
        Ok(())
    }

    pub(super) fn refuse<R>(&self, refusal: Refusal) -> Response<ResponseBody<R>> {
        refusal
            .into_response(self.name.as_str())
            .map(ResponseBody::text)
    }

    /// Refuses destinations that the settings do not allow.
    fn check_destination(&self, uri: &Uri) -> Result<(), Refusal> {
        // The upstream is configured, and therefore trusted.
        if matches!(self.mode, TargetMode::Upstream(_)) {
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
                format!("host {host} is not allowed by this proxy"),
            ));
        }
        if !self.allow_link_local && is_internal_host(host) {
            return Err(Refusal::forbidden(
                "destination_ip_prohibited",
                format!("link-local or metadata address {host} is not allowed by this proxy"),
            ));
        }
        Ok(())
    }
}

/// Decrements `Max-Forwards` of `OPTIONS` and `TRACE` (RFC 9110, 7.6.2).
fn decrement_max_forwards(parts: &mut Parts) -> Result<(), Refusal> {
    if parts.method != Method::OPTIONS && parts.method != Method::TRACE {
        return Ok(());
    }
    let Some(left) = parts.headers.get(header::MAX_FORWARDS) else {
        return Ok(());
    };
    let left: Option<u64> = left.to_str().ok().and_then(|left| left.parse().ok());
    match left {
        None => Err(Refusal::bad_request(
            "invalid Max-Forwards: expected a number",
        )),
        Some(0) => Err(Refusal::last_hop(&parts.method)),
        Some(left) => {
            parts
                .headers
                .insert(header::MAX_FORWARDS, HeaderValue::from(left - 1));
            Ok(())
        }
    }
}

/// Joins the `Cookie` headers of HTTP/2 and HTTP/3 into the single `Cookie` header of HTTP/1 (RFC
/// 9113, 8.2.3; RFC 9114, 4.2.1).
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
