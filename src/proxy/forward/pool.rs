//! The connection pool: hyper's clients, retries and timeouts.

use std::{sync::Arc, time::Duration};

use http::{Request, Response, Uri, Version, uri::Scheme};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{self, Client, ResponseFuture},
    rt::{TokioExecutor, TokioIo, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore};
use tokio::{
    net::TcpStream,
    sync::OnceCell,
    task::spawn_blocking,
    time::{timeout, timeout_at},
};
use tower::ServiceExt;

use super::{
    body::{Progress, RequestBody},
    client::Config,
    connect::{ALIVE, Answered, Https, Plain, Tracked},
    failure,
};
use crate::{proxy::refusal::Refusal, util::error::source_chain};

/// Connections to origins, active and idle.
pub(super) struct Pool {
    config: Config,
    connector: Plain,
    plain: Client<Plain, RequestBody>,
    /// The clients for HTTPS, created with the first request over HTTPS, which reads the system's
    /// roots.
    secured: OnceCell<Secured>,
}

struct Secured {
    any: Client<Https, RequestBody>,
    /// A client for HTTP/1.1 only, for upgrades, which HTTP/2 does not have.
    http1: Client<Https, RequestBody>,
}

impl Pool {
    pub(super) fn new(config: Config) -> Self {
        let connector = Plain::new(&config);
        Self {
            plain: builder(&config).build(connector.clone()),
            connector,
            config,
            secured: OnceCell::new(),
        }
    }

    /// Sends a request. If the connection turns out to be stale, the request is repeated once,
    /// provided that a repetition is safe.
    pub(super) async fn send(
        &self,
        request: Request<RequestBody>,
        is_upgrade: bool,
    ) -> Result<Response<Incoming>, Refusal> {
        let retry = retry_of(&request);
        let error = match self.send_once(request, is_upgrade).await? {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        if let Some(retry) = retry
            && was_closed_while_idle(&error)
        {
            let answer = self.send_once(retry, is_upgrade).await?;
            return answer.map_err(|error| refusal_of(&error));
        }
        Err(refusal_of(&error))
    }

    async fn send_once(
        &self,
        request: Request<RequestBody>,
        is_upgrade: bool,
    ) -> Result<Result<Response<Incoming>, legacy::Error>, Refusal> {
        let progress = request.body().progress();
        let answer = if request.uri().scheme() == Some(&Scheme::HTTPS) {
            let secured = self.secured().await;
            let client = if is_upgrade {
                &secured.http1
            } else {
                &secured.any
            };
            client.request(request)
        } else {
            self.plain.request(request)
        };
        let answer = match self.config.head_timeout {
            None => answer.await,
            Some(limit) => within(limit, answer, progress).await?,
        };
        Ok(answer.inspect(|response| {
            if let Some(answered) = response.extensions().get::<Answered>() {
                answered.set();
            }
        }))
    }

    async fn secured(&self) -> &Secured {
        // Of concurrent first requests, one reads the roots and the others wait.
        let make = async || {
            let roots = self.config.roots.clone();
            let roots = spawn_blocking(move || roots.load()).await;
            // Without roots every connection fails, and every response has the reason.
            let roots = Arc::new(roots.unwrap_or_else(|_| RootCertStore::empty()));
            let protocols: &[&[u8]] = if self.config.http2_only {
                &[b"h2"]
            } else {
                &[b"h2", b"http/1.1"]
            };
            let client = |protocols| {
                let tls = tls(roots.clone(), protocols);
                let connector = self.connector.clone().secured(Arc::new(tls));
                builder(&self.config).build(connector)
            };
            Secured {
                any: client(protocols),
                http1: client(&[b"http/1.1"]),
            }
        };
        self.secured.get_or_init(make).await
    }

    /// Connects a tunnel to `end`, a host and a port.
    pub(super) async fn connect(&self, end: &Uri) -> Result<Tracked<TokioIo<TcpStream>>, Refusal> {
        let target = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(end.authority().map_or("", |end| end.as_str()))
            .path_and_query("/")
            .build()
            .map_err(|_| failure::no_target())?;
        let connected = self.connector.clone().oneshot(target).await;
        connected.map_err(|error| {
            tracing::debug!(%end, %error, "cannot open a tunnel");
            failure::refusal(&*error)
        })
    }
}

fn builder(config: &Config) -> legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(config.idle_timeout)
        .pool_max_idle_per_host(config.max_idle_per_host)
        // hyper buffers up to 400 KiB of each unread response by default. A head must fit too.
        .http1_max_buf_size(128 << 10)
        // Without it all requests would keep sharing a connection whose peer has vanished.
        .http2_keep_alive_interval(ALIVE)
        .http2_only(config.http2_only);
    builder
}

fn tls(roots: Arc<RootCertStore>, protocols: &[&[u8]]) -> ClientConfig {
    // Explicit, so that the default provider of the process does not matter.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the cipher suites of TLS 1.2 and 1.3");
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    config
}

/// Returns a copy of the request, or `None` if the request must not be repeated (RFC 9110, 9.2.2).
fn retry_of(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    if !request.method().is_idempotent() || !matches!(request.body(), RequestBody::Empty) {
        return None;
    }
    let mut retry = Request::new(RequestBody::Empty);
    retry.method_mut().clone_from(request.method());
    retry.uri_mut().clone_from(request.uri());
    retry.headers_mut().clone_from(request.headers());
    *retry.version_mut() = Version::HTTP_11;
    Some(retry)
}

/// Whether the request failed because a reused connection had been closed by the origin.
fn was_closed_while_idle(error: &legacy::Error) -> bool {
    let mut extensions = http::Extensions::new();
    if let Some(connection) = error.connect_info() {
        connection.get_extras(&mut extensions);
    }
    extensions.get::<Answered>().is_some_and(Answered::get) && failure::is_cut(error)
}

fn refusal_of(error: &legacy::Error) -> Refusal {
    let refusal = failure::refusal(error);
    let error = source_chain(error);
    tracing::debug!(
        status = refusal.status.as_u16(),
        error,
        "no response from the origin"
    );
    refusal
}

/// Waits for the response head, at most `limit` after the last progress of the request body.
async fn within(
    limit: Duration,
    mut answer: ResponseFuture,
    progress: Option<Progress>,
) -> Result<Result<Response<Incoming>, legacy::Error>, Refusal> {
    let Some(progress) = progress else {
        let answer = timeout(limit, answer).await;
        return answer.map_err(|_| failure::head_timed_out());
    };
    loop {
        let last = progress.last();
        // A deadline beyond the range of the clock never passes.
        let Some(deadline) = last.checked_add(limit) else {
            return Ok(answer.await);
        };
        if let Ok(answer) = timeout_at(deadline, &mut answer).await {
            return Ok(answer);
        }
        if progress.last() == last {
            return Err(failure::head_timed_out());
        }
    }
}
