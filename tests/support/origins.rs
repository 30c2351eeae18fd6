//! Origins behind proxies (raw TCP, TLS), and clients that send raw requests to a proxy.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::Router;
use http::{Request, Response, Version};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{self, ServerConfig, pki_types::PrivateKeyDer},
};
use tower_traffic::{Forward, ProxyHost};

use crate::{Answer, Body, Server, read, soon};

// ---- proxies

/// A proxy on a free port.
pub async fn proxy(layer: ProxyHost, forward: Forward) -> Server {
    Server::start(Router::new().fallback_service(forward).layer(layer)).await
}

// ---- clients

/// Sends these bytes to a server, and reads until it closes the connection.
pub async fn talk(addr: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    soon(async {
        let mut stream = TcpStream::connect(addr).await.expect("connected");
        stream.write_all(bytes.as_ref()).await.expect("sent");
        read_all(&mut stream).await
    })
    .await
}

/// Reads until the connection ends or fails.
pub async fn read_all(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
        text.extend_from_slice(&buffer[..n]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Reads the head of a message with its empty line; `None` if the connection ends before.
pub async fn read_head(stream: &mut (impl AsyncReadExt + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8_lossy(&head).into_owned())
}

/// The values of a header in the text of a head.
pub fn values<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    head.lines()
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(':'))
        .filter(|(field, _)| field.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
        .collect()
}

pub async fn http1_to(addr: SocketAddr) -> http1::SendRequest<Body> {
    let stream = TcpStream::connect(addr).await.expect("connected");
    let (sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .expect("a connection");
    tokio::spawn(connection.with_upgrades());
    sender
}

pub async fn http2_to(addr: SocketAddr) -> http2::SendRequest<Body> {
    let stream = TcpStream::connect(addr).await.expect("connected");
    // Windows so small that a sender waits for the reader.
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(1 << 15)
        .handshake(TokioIo::new(stream))
        .await
        .expect("a connection");
    tokio::spawn(connection);
    sender
}

/// Sends a request over a new connection, with its target unchanged.
pub async fn send(
    addr: SocketAddr,
    version: Version,
    request: Request<Body>,
) -> Response<Incoming> {
    soon(async {
        if version == Version::HTTP_2 {
            http2_to(addr).await.send_request(request).await
        } else {
            http1_to(addr).await.send_request(request).await
        }
    })
    .await
    .expect("an answer")
}

pub async fn ask_as(addr: SocketAddr, version: Version, request: Request<Body>) -> Answer {
    read(send(addr, version, request).await).await
}

// ---- raw origins

/// An origin that calls a function with each connection.
pub struct Raw {
    pub addr: SocketAddr,
    connections: Arc<AtomicUsize>,
    heads: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

/// A connection to a raw origin.
pub struct Connection {
    pub stream: TcpStream,
    /// The number of the connection, from 0.
    pub number: usize,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Raw {
    pub async fn serving<F, T>(serve: F) -> Self
    where
        F: Fn(Connection) -> T + Send + 'static,
        T: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let heads = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn({
            let (connections, heads) = (connections.clone(), heads.clone());
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    let connection = Connection {
                        stream,
                        number: connections.fetch_add(1, Ordering::SeqCst),
                        heads: heads.clone(),
                    };
                    tokio::spawn(serve(connection));
                }
            }
        });
        Self {
            addr,
            connections,
            heads,
            task,
        }
    }

    /// Answers each head with these bytes, and keeps the connection.
    pub async fn answering(bytes: impl AsRef<[u8]> + Send + 'static) -> Self {
        let bytes: Arc<[u8]> = bytes.as_ref().into();
        Self::serving(move |mut connection| {
            let bytes = bytes.clone();
            async move {
                while connection.head().await.is_some() {
                    connection.say(&bytes).await;
                }
            }
        })
        .await
    }

    /// Answers one head with these bytes, and closes the connection.
    pub async fn once(bytes: impl AsRef<[u8]> + Send + 'static) -> Self {
        let bytes: Arc<[u8]> = bytes.as_ref().into();
        Self::serving(move |mut connection| {
            let bytes = bytes.clone();
            async move {
                connection.head().await;
                connection.say(&bytes).await;
            }
        })
        .await
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The heads of all requests.
    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("no panic").clone()
    }

    /// The head of the only request.
    pub fn head(&self) -> String {
        let heads = self.heads();
        assert_eq!(heads.len(), 1, "{heads:?}");
        heads[0].clone()
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Connection {
    /// The next request's head, unless the connection ends first.
    pub async fn head(&mut self) -> Option<String> {
        let head = read_head(&mut self.stream).await?;
        self.heads.lock().expect("no panic").push(head.clone());
        Some(head)
    }

    pub async fn say(&mut self, bytes: impl AsRef<[u8]>) {
        // The client may have closed the connection.
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// All bytes until the client closes the connection.
    pub async fn rest(&mut self) -> String {
        read_all(&mut self.stream).await
    }
}

/// An address without a listener.
pub async fn nowhere() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    listener.local_addr().expect("an address")
}

// ---- TLS

/// A certificate authority for one test.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

pub const HTTP1: &[&[u8]] = &[b"http/1.1"];
pub const HTTP1_AND_2: &[&[u8]] = &[b"h2", b"http/1.1"];
pub const HTTP2: &[&[u8]] = &[b"h2"];

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params
            .distinguished_name
            .push(DnType::CommonName, "the test's authority");
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a certificate"))
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// The configuration of a server, with a certificate for this name.
    pub fn certify(&self, name: &str, protocols: &[&[u8]]) -> ServerConfig {
        self.sign(
            &CertificateParams::new([name.to_owned()]).expect("a name"),
            protocols,
        )
    }

    pub fn certify_until_2001(&self, name: &str) -> ServerConfig {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
        self.sign(&params, HTTP1)
    }

    fn sign(&self, params: &CertificateParams, protocols: &[&[u8]]) -> ServerConfig {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("a certificate");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::try_from(key.serialize_der()).expect("a key"),
            )
            .expect("a certificate");
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        config
    }

    pub fn forward(&self) -> Forward {
        Forward::new()
            .system_roots(false)
            .add_roots(self.pem())
            .expect("roots")
    }
}

/// An app on a free port, behind TLS.
pub struct TlsServer {
    pub addr: SocketAddr,
    connections: Arc<AtomicUsize>,
    open: Arc<Mutex<JoinSet<()>>>,
    task: JoinHandle<()>,
}

impl TlsServer {
    pub async fn start(config: ServerConfig, app: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let connections = Arc::new(AtomicUsize::new(0));
        let open = Arc::new(Mutex::new(JoinSet::new()));
        let task = tokio::spawn({
            let (connections, open) = (connections.clone(), open.clone());
            let acceptor = TlsAcceptor::from(Arc::new(config));
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    connections.fetch_add(1, Ordering::SeqCst);
                    let (acceptor, app) = (acceptor.clone(), app.clone());
                    open.lock().expect("no panic").spawn(async move {
                        // The handshake fails with a client that does not trust the certificate.
                        let Ok(stream) = acceptor.accept(stream).await else {
                            return;
                        };
                        let _ = auto::Builder::new(TokioExecutor::new())
                            .serve_connection_with_upgrades(
                                TokioIo::new(stream),
                                TowerToHyperService::new(app),
                            )
                            .await;
                    });
                }
            }
        });
        Self {
            addr,
            connections,
            open,
            task,
        }
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Drops every connection, without a TLS alert or an HTTP/2 GOAWAY.
    pub fn hang_up(&self) {
        self.open.lock().expect("no panic").abort_all();
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
