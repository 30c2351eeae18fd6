//! `Forward`: the client and its settings.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use super::{
    pool::Clients,
    roots::{BadRoot, Roots},
};
use crate::util::time::FOREVER;

/// An HTTP client as a service that cannot fail: what goes wrong is an answer.
///
/// It speaks HTTP/1.1, and HTTP/2 with origins that choose it in the TLS handshake, keeps
/// connections, and trusts the roots of the system. The request's target has to be absolute, which
/// [`ProxyHost`](crate::proxy::ProxyHost) sees to.
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
/// With everything that can be set, at its default:
///
/// ```
/// use std::time::Duration;
/// use tower_traffic::Forward;
///
/// let forward = Forward::new()
///     .connect_timeout(Duration::from_secs(10))
///     .head_timeout(Duration::from_mins(1))
///     .idle_timeout(Duration::from_secs(90))
///     .max_idle_per_host(256);
/// ```
///
/// Clones share the connections. Building it does no I/O; the system's roots are read with the first
/// request, off the request's thread. It needs tokio.
///
/// # What it answers itself
///
/// | answer | when |
/// |---|---|
/// | 400 | the target is not absolute, or neither `http` nor `https` |
/// | 403 | the host is, or resolves to nothing but, a link-local address or a cloud's metadata service ([`allow_link_local`](Self::allow_link_local)) |
/// | 405 | `CONNECT` without [`ProxyHost::allow_connect`](crate::proxy::ProxyHost::allow_connect) above |
/// | 502 | the name does not resolve, nobody listens there, TLS fails, what comes back is not HTTP or has a head of more than 100 fields or some 128 KiB, or the connection ends before the response's head; it switches protocols unasked, or answers in a transfer coding other than chunked |
/// | 503 | the process has no file descriptor left for a connection |
/// | 504 | connecting, or waiting for the head, takes too long |
///
/// The reason stands in the body, and as `Proxy-Status` (RFC 9209) in the head; neither tells
/// addresses, nor more of an error than its kind. Once the head is there a failure can only cut the
/// body: it ends with [`BrokenOff`], at which a server breaks off its own response, so that the
/// client sees it too. That error comes 100 ms late, because hyper's servers throw away at an error
/// what they have not yet written; of what a client reads more slowly, the end may still be lost.
///
/// A body that falls silent is waited for as long as the client waits: there is no limit.
///
/// A request without a body, and with a method that may be repeated (RFC 9110, 9.2.2), is sent once
/// more if a connection that was used before turns out to be closed. Nothing else is repeated,
/// redirects are not followed, and content is not decoded.
///
/// # Upgrades and tunnels
///
/// If an origin switches protocols (101), as for a WebSocket, or if `CONNECT` is allowed, both
/// connections are joined, by a task of their own: what one side ends is ended on the other, and when
/// both have ended, or one breaks, it is over. There is no limit for silence. Upgrades are only asked
/// for over HTTP/1.1.
#[derive(Clone)]
pub struct Forward {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    config: Config,
    /// Made with the first request, so that the settings before it can still change.
    clients: OnceLock<Clients>,
}

impl Shared {
    pub(super) fn clients(&self) -> &Clients {
        self.clients
            .get_or_init(|| Clients::new(self.config.clone()))
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
    /// The client with its defaults.
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
                clients: OnceLock::new(),
            }),
        }
    }

    /// How long it may take to resolve a name, connect, and shake hands for TLS; 10 s by default.
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        self.set(|config| config.connect_timeout = timeout)
    }

    /// How long it may take until the response's head is there, while nothing of the request's body
    /// passes; 60 s by default. `None`: for ever.
    pub fn head_timeout(self, timeout: impl Into<Option<Duration>>) -> Self {
        self.set(|config| config.head_timeout = timeout.into())
    }

    /// How long a connection without a request is kept; 90 s by default.
    pub fn idle_timeout(self, timeout: Duration) -> Self {
        self.set(|config| config.idle_timeout = timeout.min(FOREVER))
    }

    /// How many such connections are kept for each host; 256 by default.
    pub fn max_idle_per_host(self, connections: usize) -> Self {
        self.set(|config| config.max_idle_per_host = connections)
    }

    /// Speaks HTTP/2 only, over plain connections without asking first ("prior knowledge", RFC 9113,
    /// 3.3), as gRPC servers want it. Upgrades are then not possible.
    pub fn http2_only(self) -> Self {
        self.set(|config| config.http2_only = true)
    }

    /// Goes to link-local addresses and the metadata services of clouds too. See
    /// [`ProxyHost::allow_link_local`](crate::proxy::ProxyHost::allow_link_local).
    pub fn allow_link_local(self) -> Self {
        self.set(|config| config.allow_link_local = true)
    }

    /// Trusts the certificates in a PEM file's text too, as roots.
    ///
    /// # Errors
    /// If there is no certificate in it, or one that cannot be a root.
    pub fn add_roots(self, pem: impl AsRef<[u8]>) -> Result<Self, BadRoot> {
        let added = Roots::read(pem.as_ref())?;
        Ok(self.set(|config| config.roots.add(added)))
    }

    /// Trusts only the added roots and not those of the system.
    pub fn without_system_roots(self) -> Self {
        self.set(|config| config.roots.without_system())
    }

    /// Connects for this host name to this address, whatever it resolves to. A port in the request's
    /// target comes before that of the address, and port 0 stands for the scheme's.
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
