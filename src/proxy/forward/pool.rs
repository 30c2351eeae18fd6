//! The clients, and one request's way through them.

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
use crate::proxy::refusal::Refusal;

/// Connections to origins, in use and kept.
pub(super) struct Clients {
    config: Config,
    connector: Plain,
    plain: Client<Plain, RequestBody>,
    /// Made with the first request that needs them: the system's roots have to be read.
    secured: OnceCell<Secured>,
}

struct Secured {
    any: Client<Https, RequestBody>,
    /// For upgrades, which HTTP/2 has not.
    http1: Client<Https, RequestBody>,
}

impl Clients {
    pub(super) fn new(config: Config) -> Self {
        let connector = Plain::new(&config);
        Self {
            plain: builder(&config).build(connector.clone()),
            connector,
            config,
            secured: OnceCell::new(),
        }
    }

    /// Sends a request, and once more if that does no harm and promises to help.
    pub(super) async fn send(
        &self,
        request: Request<RequestBody>,
        is_upgrade: bool,
    ) -> Result<Response<Incoming>, Refusal> {
        let again = again(&request);
        let error = match self.send_once(request, is_upgrade).await? {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        if let Some(again) = again
            && was_closed_while_idle(&error)
        {
            let answer = self.send_once(again, is_upgrade).await?;
            return answer.map_err(|error| told(&error));
        }
        Err(told(&error))
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
            Some(limit) => in_time(limit, answer, progress).await?,
        };
        Ok(answer.inspect(|response| {
            if let Some(answered) = response.extensions().get::<Answered>() {
                answered.set();
            }
        }))
    }

    async fn secured(&self) -> &Secured {
        // The first requests may come all at once: one of them reads the roots, the others wait for it.
        let make = async || {
            let roots = self.config.roots.clone();
            let roots = spawn_blocking(move || roots.load()).await;
            // Without them nobody is trusted, and every answer says so.
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

    /// A connection for a tunnel to `host:port`.
    pub(super) async fn connect(&self, end: &Uri) -> Result<Tracked<TokioIo<TcpStream>>, Refusal> {
        let target = Uri::builder()
            .scheme(Scheme::HTTP)
            .authority(end.authority().map_or("", |end| end.as_str()))
            .path_and_query("/")
            .build()
            .map_err(|_| failure::no_target())?;
        let connected = self.connector.clone().oneshot(target).await;
        connected.map_err(|error| {
            tracing::debug!(%end, %error, "a tunnel cannot be opened");
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
        // For each response that nobody reads on; hyper takes up to 400 KiB. A head has to fit too.
        .http1_max_buf_size(128 << 10)
        // Else all requests would go on sharing a connection whose peer has vanished.
        .http2_keep_alive_interval(ALIVE)
        .http2_only(config.http2_only);
    builder
}

fn tls(roots: Arc<RootCertStore>, protocols: &[&[u8]]) -> ClientConfig {
    // Named here, so that it does not matter what else the process uses.
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the cipher suites of TLS 1.2 and 1.3");
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    config
}

/// The request once more, if it may be repeated: RFC 9110, 9.2.2.
fn again(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    if !request.method().is_idempotent() || !matches!(request.body(), RequestBody::Empty) {
        return None;
    }
    let mut again = Request::new(RequestBody::Empty);
    again.method_mut().clone_from(request.method());
    again.uri_mut().clone_from(request.uri());
    again.headers_mut().clone_from(request.headers());
    *again.version_mut() = Version::HTTP_11;
    Some(again)
}

/// Whether a connection failed that had worked before: the origin has closed it meanwhile, which says
/// nothing about the request.
fn was_closed_while_idle(error: &legacy::Error) -> bool {
    let mut extensions = http::Extensions::new();
    if let Some(connection) = error.connect_info() {
        connection.get_extras(&mut extensions);
    }
    extensions.get::<Answered>().is_some_and(Answered::get) && failure::is_cut(error)
}

fn told(error: &legacy::Error) -> Refusal {
    let refusal = failure::refusal(error);
    let error = failure::chain(error);
    tracing::debug!(
        status = refusal.status.as_u16(),
        error,
        "no answer from the origin"
    );
    refusal
}

/// Waits no longer than this for the head, counted from when something of the request's body passed
/// last.
async fn in_time(
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
        // A limit beyond all time is none.
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
