//! `ProxyHost`: the layer and its settings.

use std::sync::Arc;

use http::uri::Scheme;
use tower::Layer;

use super::{
    forwarded::Forwarded,
    host_pattern::HostPattern,
    service::ProxyHostService,
    target::{Aim, BadUpstream, Mode, Upstream},
    via::Name,
};

/// A layer that aims each request at its origin, or at one fixed upstream, and makes the service
/// inside a proxy.
///
/// Inside stands an HTTP client, as a rule [`Forward`](crate::proxy::Forward), or whatever answers for the
/// origin.
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
/// # What it does to a request
///
/// - The target becomes absolute: the scheme is that of the mode, and host and port are those of the
///   target's authority (`:authority` in HTTP/2), else those of `Host`. `Host` itself is removed, since
///   clients make it anew from the target, and send `:authority` instead in HTTP/2.
/// - The fields that belong to the connection are removed, and those that `Connection` names
///   (RFC 9110, 7.6.1); but a wish to upgrade to a WebSocket, or to anything that is not HTTP, is passed
///   on, and so is `te: trailers`, for gRPC. A WebSocket that a client opens over HTTP/2 (RFC 8441)
///   becomes such a wish (with the feature `forward`).
/// - `Via` is added (RFC 9110, 7.6.3), and on wish `Forwarded` or `X-Forwarded-*`. Some servers do
///   not compress what they send to proxies (nginx, unless told by `gzip_proxied`).
/// - `Max-Forwards` counts down for `OPTIONS` and `TRACE` (RFC 9110, 7.6.2).
/// - The version becomes HTTP/1.1, which leaves it to the client inside what it speaks. Of HTTP/2
///   and 3, cookies in several fields become one (RFC 9113, 8.2.3).
///
/// A response loses the fields of the connection too, and gets `Via`. Bodies and trailers pass
/// untouched, in both directions.
///
/// # What it refuses
///
/// | answer | to |
/// |---|---|
/// | 400 | a request without a host (but with [`to`](Self::to) it needs none), with two, with one that has user information, blanks or a wrong port; a path that climbs above an upstream's base path; a target that is not one of HTTP; a `CONNECT` without a host and a port; a `Max-Forwards` that is no number |
/// | 403 | a host that is not [allowed](Self::allow_hosts); link-local addresses and the metadata services of clouds, unless [allowed](Self::allow_link_local) |
/// | 405 | `CONNECT`, unless [allowed](Self::allow_connect); a WebSocket over HTTP/2 without the feature `forward`; a `TRACE` with `Max-Forwards: 0` |
/// | 501 | a transfer coding other than chunked |
/// | 502 | a WebSocket over HTTP/2 which the origin answers with a 2xx instead of opening it |
/// | 508 | a request that has passed this proxy before: `Via` says so |
///
/// An `OPTIONS` with `Max-Forwards: 0` was meant for the proxy, and gets a 200. The reason for anything
/// else stands in the body, and as `Proxy-Status` (RFC 9209) in the head. `Forward` looks at
/// addresses once more when a name was resolved; another client does not.
#[derive(Clone, Debug)]
pub struct ProxyHost {
    pub(super) config: Arc<Config>,
}

#[derive(Clone, Debug)]
pub(super) struct Config {
    pub(super) aim: Aim,
    pub(super) name: Name,
    pub(super) forwarded: Forwarded,
    /// By which clients come.
    pub(super) scheme: Scheme,
    /// `None`: all.
    pub(super) hosts: Option<Vec<HostPattern>>,
    pub(super) allow_connect: bool,
    pub(super) allow_link_local: bool,
}

impl ProxyHost {
    /// Over plain HTTP, to the origin that the request names.
    pub fn http() -> Self {
        Self::aim(Aim::Origin(Mode::Http))
    }

    /// Over HTTPS, to the origin that the request names. Port 80, which only says that the client came
    /// by HTTP, becomes 443.
    pub fn https() -> Self {
        Self::aim(Aim::Origin(Mode::Https))
    }

    /// Over HTTPS if the request names port 443, else over plain HTTP.
    pub fn by_port() -> Self {
        Self::aim(Aim::Origin(Mode::ByPort))
    }

    /// To this upstream, whatever the request names: a reverse proxy. A path of its own stands before
    /// that of the request.
    ///
    /// ```
    /// use tower_traffic::ProxyHost;
    ///
    /// // GET /users/1 goes to http://127.0.0.1:3000/api/users/1.
    /// let proxy = ProxyHost::to("http://127.0.0.1:3000/api")?;
    /// # Ok::<(), tower_traffic::proxy::BadUpstream>(())
    /// ```
    ///
    /// The upstream may be link-local, since it was named here.
    ///
    /// # Errors
    /// If it is not `http://` or `https://` with a host, or has a query.
    pub fn to(upstream: impl AsRef<str>) -> Result<Self, BadUpstream> {
        let upstream = Upstream::new(upstream.as_ref())?;
        Ok(Self::aim(Aim::Upstream(upstream)))
    }

    fn aim(aim: Aim) -> Self {
        Self {
            config: Arc::new(Config {
                aim,
                name: Name::unique(),
                forwarded: Forwarded::default(),
                scheme: Scheme::HTTP,
                hosts: None,
                allow_connect: false,
                allow_link_local: false,
            }),
        }
    }

    /// Goes to these hosts only, by the names that requests give: `example.com`, `*.example.com` (all
    /// below it), `192.0.2.1`, `[2001:db8::1]`, each with or without a port. What is none of these
    /// matches nothing. Without this, to all. A reverse proxy has one upstream and does
    /// not look.
    ///
    /// This limits names and not what they resolve to.
    pub fn allow_hosts(self, hosts: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let hosts = hosts.into_iter();
        let hosts = hosts.map(|host| HostPattern::new(host.as_ref())).collect();
        self.set(|config| config.hosts = Some(hosts))
    }

    /// Goes to link-local addresses (`169.254.0.0/16`, `fe80::/10`) and the metadata services of
    /// clouds too. They tell their secrets to whoever asks from the machine, and with an open proxy
    /// that is anybody. [`Forward::allow_link_local`](crate::proxy::Forward::allow_link_local) says the
    /// same for names that resolve to them.
    pub fn allow_link_local(self) -> Self {
        self.set(|config| config.allow_link_local = true)
    }

    /// Opens tunnels (`CONNECT`), to allowed hosts and any port, if the service inside does;
    /// [`Forward`](crate::proxy::Forward) does. What passes there is encrypted as a rule and not seen by
    /// any layer. Not with [`to`](Self::to).
    pub fn allow_connect(self) -> Self {
        self.set(|config| config.allow_connect = true)
    }

    /// Tells the origin of the client with `Forwarded` (RFC 7239), added after what is there: address
    /// (if axum serves with `into_make_service_with_connect_info::<SocketAddr>()`, or another server
    /// puts a `SocketAddr` into the request's extensions; else `unknown`), host
    /// and scheme as the client asked for them.
    pub fn forwarded(self) -> Self {
        self.set(|config| config.forwarded.standard = true)
    }

    /// The same with `X-Forwarded-For`, whose list gets longer by one, `X-Forwarded-Host` and
    /// `X-Forwarded-Proto`, which are set anew. A client can begin the list with whatever it likes:
    /// read it from its end, which is `unknown` where the address is not known.
    pub fn x_forwarded(self) -> Self {
        self.set(|config| config.forwarded.x = true)
    }

    /// The scheme by which clients come, for those two; `http` by default. What a request says of it is
    /// only what its client claims. Say `https` behind TLS, or an origin that insists on it redirects
    /// for ever.
    pub fn scheme(self, scheme: Scheme) -> Self {
        self.set(|config| config.scheme = scheme)
    }

    /// The name in `Via` and `Proxy-Status`: a host name or a pseudonym, in which characters that cannot
    /// stand there become `-`. By default, and for an empty one, a name that no other proxy has;
    /// requests that come back are known by it, so it must not be another's.
    pub fn name(self, name: impl AsRef<str>) -> Self {
        self.set(|config| config.name = Name::new(name.as_ref()))
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
