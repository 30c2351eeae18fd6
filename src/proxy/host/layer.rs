//! `ProxyHost`: the layer and its settings.

use std::sync::Arc;

use http::uri::Scheme;
use tower::Layer;

use super::{
    forwarded::Forwarded,
    host_pattern::HostPattern,
    service::ProxyHostService,
    target::{InvalidUpstream, OriginScheme, TargetMode, Upstream},
    via::ViaName,
};

/// A layer that directs each request to its origin, or to one fixed upstream. With an HTTP client
/// as the inner service, such as [`Forward`](crate::proxy::Forward), the layer is a proxy.
///
/// ```no_run
/// # #[cfg(feature = "forward")]
/// # async fn serve(listener: tokio::net::TcpListener) -> std::io::Result<()> {
/// use axum::Router;
/// use tower_traffic::{Forward, ProxyHost};
///
/// let proxy = Router::new()
///     .fallback_service(Forward::new())
///     .layer(ProxyHost::https().allow_hosts(["*.example.com"]));
/// axum::serve(listener, proxy).await
/// # }
/// ```
///
/// With every setting at its default:
///
/// ```
/// use http::uri::Scheme;
/// use tower_traffic::ProxyHost;
///
/// let proxy = ProxyHost::https()
///     .allow_connect(false)
///     .allow_link_local(false)
///     .forwarded(false)
///     .x_forwarded(false)
///     .scheme(Scheme::HTTP);
/// ```
///
/// # Requests
///
/// - The target becomes absolute. Its scheme is that of the mode; its host and port are those of
///   the request target (`:authority` in HTTP/2), else those of `Host`. `Host` is removed: clients
///   derive it from the target, and send `:authority` instead in HTTP/2.
/// - Hop-by-hop headers are removed, with those that `Connection` names (RFC 9110, 7.6.1). Two
///   stay: an upgrade to a WebSocket, or to any protocol other than HTTP, and `te: trailers`, for
///   gRPC. A WebSocket over HTTP/2 (RFC 8441) becomes an upgrade (with the feature `forward`).
/// - `Via` is added (RFC 9110, 7.6.3), and [`Forwarded`](Self::forwarded) or
///   [`X-Forwarded-*`](Self::x_forwarded) if enabled. Some servers send uncompressed responses to
///   proxies because of `Via` (nginx, unless `gzip_proxied` is set).
/// - `Max-Forwards` of `OPTIONS` and `TRACE` is decremented (RFC 9110, 7.6.2).
/// - The version becomes HTTP/1.1, so that the client chooses the version for its connection.
///   Several `Cookie` headers of HTTP/2 and HTTP/3 become one (RFC 9113, 8.2.3).
///
/// Responses lose their hop-by-hop headers too, and get `Via`. Bodies and trailers pass unchanged
/// in both directions.
///
/// # Refusals
///
/// | status | reason |
/// |---|---|
/// | 400 | the host is missing (optional with [`upstream`](Self::upstream)), repeated or invalid; the path leads above the base path of the upstream; the target is not an HTTP URI; a `CONNECT` names no host and port; `Max-Forwards` is not a number |
/// | 403 | the host is not [allowed](Self::allow_hosts); the address is link-local or a cloud's metadata service, without [`allow_link_local`](Self::allow_link_local) |
/// | 405 | `CONNECT`, without [`allow_connect`](Self::allow_connect): the body says which request to send instead; a WebSocket over HTTP/2, without the feature `forward`; `TRACE` with `Max-Forwards: 0` |
/// | 501 | a transfer coding other than chunked |
/// | 502 | the origin responds to a WebSocket over HTTP/2 with a 2xx, without opening it |
/// | 508 | the request has passed this proxy before, according to `Via` |
///
/// The reason is in the body, and in `Proxy-Status` (RFC 9209). An `OPTIONS` with `Max-Forwards: 0`
/// is addressed to the proxy, and gets a 200. `Forward` repeats the check of addresses after it has
/// resolved a name; other clients do not.
#[derive(Clone, Debug)]
#[must_use = "layers do nothing unless applied"]
pub struct ProxyHost {
    pub(super) config: Arc<Config>,
}

#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) mode: TargetMode,
    pub(super) name: ViaName,
    pub(super) forwarded: Forwarded,
    /// The scheme that clients use towards the proxy.
    pub(super) scheme: Scheme,
    /// The hosts that are allowed; `None` for all.
    pub(super) hosts: Option<Vec<HostPattern>>,
    pub(super) allow_connect: bool,
    pub(super) allow_link_local: bool,
}

impl ProxyHost {
    /// Sends each request to the origin that the request names, over plain HTTP.
    pub fn http() -> Self {
        Self::new(TargetMode::Origin(OriginScheme::Http))
    }

    /// Sends each request to the origin that the request names, over HTTPS. Port 80, the default of
    /// the HTTP client in front, becomes 443.
    pub fn https() -> Self {
        Self::new(TargetMode::Origin(OriginScheme::Https))
    }

    /// Sends each request to the origin that the request names, over HTTPS if the port is 443 or the
    /// request target begins with `https://`, else over plain HTTP.
    ///
    /// Most clients open a tunnel (`CONNECT`) for an `https://` URL, in which no layer sees the
    /// exchange. A request for `http://example.com:443/` asks this proxy to use HTTPS.
    pub fn by_port() -> Self {
        Self::new(TargetMode::Origin(OriginScheme::ByPort))
    }

    /// Sends every request to `uri`: a reverse proxy. The path of `uri` is a prefix of the path of
    /// each request.
    ///
    /// ```
    /// use tower_traffic::ProxyHost;
    ///
    /// // GET /users/1 goes to http://127.0.0.1:3000/api/users/1.
    /// let proxy = ProxyHost::upstream("http://127.0.0.1:3000/api")?;
    /// # Ok::<(), tower_traffic::proxy::InvalidUpstream>(())
    /// ```
    ///
    /// A link-local upstream needs no further permission.
    ///
    /// # Errors
    /// If `uri` is not an `http://` or `https://` URI with a host, or has user information, a query or
    /// an invalid port.
    pub fn upstream(uri: impl AsRef<str>) -> Result<Self, InvalidUpstream> {
        let upstream = Upstream::new(uri.as_ref())?;
        Ok(Self::new(TargetMode::Upstream(upstream)))
    }

    fn new(mode: TargetMode) -> Self {
        Self {
            config: Arc::new(Config {
                mode,
                name: ViaName::unique(),
                forwarded: Forwarded::default(),
                scheme: Scheme::HTTP,
                hosts: None,
                allow_connect: false,
                allow_link_local: false,
            }),
        }
    }

    /// Allows only the hosts that match one of the patterns `hosts`, by the name in the request:
    /// `example.com`, `*.example.com` (all subdomains), `*` (all hosts), `192.0.2.1`, `[2001:db8::1]`,
    /// each with or without a port (`*:443`). By default all hosts are allowed; an empty list allows
    /// no host. The last of several calls applies. A pattern of any other form matches nothing, and
    /// an upstream is always allowed.
    ///
    /// The check applies to names, before they are resolved to addresses.
    pub fn allow_hosts(self, hosts: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let patterns = hosts
            .into_iter()
            .map(|host| HostPattern::new(host.as_ref()))
            .collect();
        self.set(|config| config.hosts = Some(patterns))
    }

    /// Allows link-local addresses (`169.254.0.0/16`, `fe80::/10`) and the metadata services of
    /// clouds; disabled by default. A metadata service gives its secrets to every local process,
    /// and so to all clients of a proxy that allows these addresses.
    ///
    /// For names that resolve to such addresses, see
    /// [`Forward::allow_link_local`](crate::proxy::Forward::allow_link_local).
    pub fn allow_link_local(self, allow: bool) -> Self {
        self.set(|config| config.allow_link_local = allow)
    }

    /// Allows tunnels (`CONNECT`) to allowed hosts and any port; disabled by default. The inner
    /// service has to open the tunnels, as [`Forward`](crate::proxy::Forward) does. Layers do not
    /// see the content of a tunnel, which usually is encrypted. Has no effect with
    /// [`upstream`](Self::upstream).
    pub fn allow_connect(self, allow: bool) -> Self {
        self.set(|config| config.allow_connect = allow)
    }

    /// Adds `Forwarded` (RFC 7239), with the client's address, host and scheme; disabled by
    /// default.
    ///
    /// The address comes from axum's `into_make_service_with_connect_info::<SocketAddr>()`, or from
    /// a `SocketAddr` in the request's extensions; otherwise the address is `unknown`.
    pub fn forwarded(self, forwarded: bool) -> Self {
        self.set(|config| config.forwarded.standard = forwarded)
    }

    /// Appends to `X-Forwarded-For`, and replaces `X-Forwarded-Host` and `X-Forwarded-Proto`;
    /// disabled by default. A client can send the beginning of `X-Forwarded-For` itself: trust only
    /// the last element, which is `unknown` if the client's address is.
    pub fn x_forwarded(self, x_forwarded: bool) -> Self {
        self.set(|config| config.forwarded.x = x_forwarded)
    }

    /// Sets the client's scheme for [`forwarded`](Self::forwarded) and
    /// [`x_forwarded`](Self::x_forwarded); `http` by default. Behind TLS set `https`: otherwise an
    /// origin that requires HTTPS redirects for ever.
    pub fn scheme(self, scheme: Scheme) -> Self {
        self.set(|config| config.scheme = scheme)
    }

    /// Sets the name of the proxy in `Via`, and in the `Proxy-Status` of error responses: a host
    /// name or a pseudonym, in which invalid characters become `-`.
    ///
    /// Loops are detected by the name, which therefore has to be unique. By default, and if `name`
    /// is empty, the name is random. Error responses of an inner [`Forward`](crate::proxy::Forward)
    /// have this name too; without a `ProxyHost`, `Forward` has the name `tower-traffic`.
    pub fn name(self, name: impl AsRef<str>) -> Self {
        self.set(|config| config.name = ViaName::new(name.as_ref()))
    }

    fn set(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }
}

impl<S> Layer<S> for ProxyHost {
    type Service = ProxyHostService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ProxyHostService::new(inner, self.config.clone())
    }
}
