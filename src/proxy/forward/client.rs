//! `Forward`: the client and its settings.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use super::{
    pool::Pool,
    roots::{InvalidCertificate, Roots},
};
use crate::util::time::FOREVER;

/// An HTTP client as a service that cannot fail: every error is a response.
///
/// The client uses HTTP/1.1, or HTTP/2 with origins that choose it in the TLS handshake. Idle
/// connections are kept, and the system's root certificates are trusted. The request target has to
/// be absolute, as [`ProxyHost`](crate::proxy::ProxyHost) makes it.
///
/// ```no_run
/// # async fn serve(listener: tokio::net::TcpListener) -> std::io::Result<()> {
/// use axum::Router;
/// use tower_traffic::{Forward, ProxyHost};
///
/// let proxy = Router::new()
///     .fallback_service(Forward::new())
///     .layer(ProxyHost::https());
/// axum::serve(listener, proxy).await
/// # }
/// ```
///
/// With every setting at its default:
///
/// ```
/// use std::time::Duration;
/// use tower_traffic::Forward;
///
/// let forward = Forward::new()
///     .connect_timeout(Duration::from_secs(10))
///     .head_timeout(Duration::from_mins(1))
///     .idle_timeout(Duration::from_secs(90))
///     .max_idle_per_host(256)
///     .http2_only(false)
///     .allow_link_local(false)
///     .system_roots(true);
/// ```
///
/// Clones share their connections; a clone with a changed setting has connections of its own.
/// Building does no I/O: the system's roots are read with the first request over HTTPS, on a
/// blocking thread of tokio.
///
/// # Error responses
///
/// | status | reason |
/// |---|---|
/// | 400 | the target is not an absolute `http` or `https` URI |
/// | 403 | the host is a link-local address or a cloud's metadata service, or resolves only to such addresses, without [`allow_link_local`](Self::allow_link_local) |
/// | 405 | `CONNECT` without [`ProxyHost::allow_connect`](crate::proxy::ProxyHost::allow_connect) in front |
/// | 502 | the name does not resolve; the connection is refused; TLS fails; the response is not HTTP, or has a head of more than 100 headers or about 128 KiB; the connection ends before the response head; the origin switches protocols unasked, or uses a transfer coding other than chunked |
/// | 503 | the process has no file descriptor left for a connection |
/// | 504 | connecting, or waiting for the response head, times out |
///
/// The reason is in the body, and in `Proxy-Status` (RFC 9209); neither contains addresses or other
/// details. After the response head, an error can only cut the body: it ends with
/// [`UpstreamBodyError`](crate::proxy::UpstreamBodyError), at which a server cuts its own response,
/// so that the client notices. That error is delayed by 100 ms, because hyper's servers discard
/// unwritten data on an error; a slow client may still lose the end of what was received.
///
/// Bodies have no timeout: the response stays open while an origin is silent, until the client
/// disconnects.
///
/// A request is repeated once if a reused connection turns out to be closed, the method is
/// idempotent (RFC 9110, 9.2.2) and the body is empty. Redirects are not followed, and content is
/// not decoded.
///
/// # Upgrades and tunnels
///
/// After a 101 (WebSocket, for example) or an allowed `CONNECT`, a task joins both connections: it
/// copies in both directions, passes on the end of each, and finishes when both have ended or
/// either fails. A silent tunnel stays open. Upgrade requests are sent over HTTP/1.1.
#[derive(Clone)]
#[must_use = "services do nothing unless called"]
pub struct Forward {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    config: Config,
    /// The connections. They are created for the first request, because they need the runtime and
    /// the final settings.
    pool: OnceLock<Pool>,
}

impl Shared {
    pub(super) fn pool(&self) -> &Pool {
        self.pool.get_or_init(|| Pool::new(self.config.clone()))
    }
}

#[derive(Clone)]
pub(super) struct Config {
    pub(super) connect_timeout: Duration,
    pub(super) head_timeout: Option<Duration>,
    pub(super) idle_timeout: Duration,
    pub(super) max_idle_per_host: usize,
    pub(super) http2_only: bool,
    pub(super) allow_link_local: bool,
    pub(super) roots: Roots,
    pub(super) resolved: Vec<(Box<str>, SocketAddr)>,
}

impl Forward {
    /// Creates a client with the default settings.
    pub fn new() -> Self {
        Self::with(Config {
            connect_timeout: Duration::from_secs(10),
            head_timeout: Some(Duration::from_mins(1)),
            idle_timeout: Duration::from_secs(90),
            max_idle_per_host: 256,
            http2_only: false,
            allow_link_local: false,
            roots: Roots::default(),
            resolved: Vec::new(),
        })
    }

    fn with(config: Config) -> Self {
        Self {
            shared: Arc::new(Shared {
                config,
                pool: OnceLock::new(),
            }),
        }
    }

    /// Limits the time for name resolution, connecting and the TLS handshake together; 10 s by
    /// default.
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        self.set(|config| config.connect_timeout = timeout)
    }

    /// Limits the wait for the response head, counted from the last frame of the request body; 60 s
    /// by default. `None` disables the limit.
    pub fn head_timeout(self, timeout: impl Into<Option<Duration>>) -> Self {
        self.set(|config| config.head_timeout = timeout.into())
    }

    /// Closes connections that are idle for `timeout`; 90 s by default.
    pub fn idle_timeout(self, timeout: Duration) -> Self {
        self.set(|config| config.idle_timeout = timeout.min(FOREVER))
    }

    /// Keeps at most `connections` idle connections per host; 256 by default. With 0, no connection
    /// is kept.
    pub fn max_idle_per_host(self, connections: usize) -> Self {
        self.set(|config| config.max_idle_per_host = connections)
    }

    /// Sets whether only HTTP/2 is used; disabled by default. Plain connections then use prior
    /// knowledge (RFC 9113, 3.3), as gRPC servers expect, and upgrades fail.
    pub fn http2_only(self, http2_only: bool) -> Self {
        self.set(|config| config.http2_only = http2_only)
    }

    /// Sets whether link-local addresses and the metadata services of clouds are allowed; disabled
    /// by default. See [`ProxyHost::allow_link_local`](crate::proxy::ProxyHost::allow_link_local).
    pub fn allow_link_local(self, allow: bool) -> Self {
        self.set(|config| config.allow_link_local = allow)
    }

    /// Trusts the certificates in `pem` as additional roots.
    ///
    /// # Errors
    /// If `pem` contains no certificate, or one that cannot be a root.
    pub fn add_roots(self, pem: impl AsRef<[u8]>) -> Result<Self, InvalidCertificate> {
        let added = Roots::parse(pem.as_ref())?;
        Ok(self.set(|config| config.roots.add(added)))
    }

    /// Sets whether the system's root certificates are trusted; enabled by default.
    pub fn system_roots(self, trust: bool) -> Self {
        self.set(|config| config.roots.set_system(trust))
    }

    /// Connects to `address` for the host `host`, without resolving the name. Of several addresses
    /// for a host, the first applies. The port of `address` applies to targets without a port; port
    /// 0 stands for the default of the scheme.
    pub fn resolve(self, host: impl Into<String>, address: SocketAddr) -> Self {
        let host = host.into().into_boxed_str();
        self.set(|config| config.resolved.push((host, address)))
    }

    fn set(self, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = self.shared.config.clone();
        change(&mut config);
        Self::with(config)
    }
}

impl Default for Forward {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let config = &self.shared.config;
        f.debug_struct("Forward")
            .field("connect_timeout", &config.connect_timeout)
            .field("head_timeout", &config.head_timeout)
            .field("http2_only", &config.http2_only)
            .finish_non_exhaustive()
    }
}
