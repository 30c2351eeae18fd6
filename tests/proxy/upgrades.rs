//! Upgraded connections and tunnels through a proxy: bytes, ends and recordings.

use std::{net::SocketAddr, sync::Arc};

use axum::{
    Router,
    extract::ws::{Message as Sent, WebSocket, WebSocketUpgrade},
    routing::any,
};
use futures::{SinkExt, StreamExt};
use http::{HeaderMap, Version};
use hyper_util::rt::TokioIo;
use support::origins::{
    Authority, HTTP1, HTTP1_AND_2, Raw, TlsServer, http2_to, nowhere, proxy, read_all, read_head,
    talk, values,
};
use support::{Origin, Server, ask, empty, get, request, settled, soon};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::mpsc,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        self, ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message},
};
use tower_traffic::{ExchangeEnd, Forward, ProxyHost, RecordTraffic, store::Memory};

// ---- WebSockets

/// Echoes messages, and sends the request headers to `ended` when a socket has ended.
fn echo(ended: mpsc::UnboundedSender<HeaderMap>) -> Router {
    let serve = async move |headers: HeaderMap, upgrade: WebSocketUpgrade| {
        let ended = ended.clone();
        upgrade
            .protocols(["chat"])
            .on_upgrade(async move |mut socket: WebSocket| {
                while let Some(Ok(message)) = socket.recv().await {
                    if message == Sent::Text("hang up".into()) {
                        break;
                    }
                    if matches!(message, Sent::Text(_) | Sent::Binary(_)) {
                        let _ = socket.send(message).await;
                    }
                }
                drop(socket);
                let _ = ended.send(headers);
            })
    };
    Router::new().route("/chat", any(serve))
}

type Socket = WebSocketStream<TcpStream>;

async fn open_socket(proxy: SocketAddr, host: &str) -> (Socket, http::Response<Option<Vec<u8>>>) {
    let stream = TcpStream::connect(proxy).await.expect("connected");
    let mut request =
        tungstenite::client::IntoClientRequest::into_client_request(format!("ws://{host}/chat"))
            .expect("a request");
    let protocol = "chat".parse().expect("a value");
    request
        .headers_mut()
        .insert("sec-websocket-protocol", protocol);
    let opened = soon(client_async(request, stream)).await;
    opened.expect("a WebSocket")
}

async fn talk_both_ways(socket: &mut Socket) {
    let large = support::random_bytes(1 << 20);
    for message in [
        Message::text("hello"),
        Message::binary(large),
        Message::text(""),
        Message::text("x".repeat(100_000)),
    ] {
        socket.send(message.clone()).await.expect("sent");
        let answer = soon(socket.next()).await.expect("an answer");
        assert!(answer.expect("a message") == message);
    }
}

#[tokio::test]
async fn a_websocket_passes_and_ends_with_its_client() {
    let (ended, mut seen) = mpsc::unbounded_channel();
    let origin = Server::start(echo(ended)).await;
    let proxy = proxy(ProxyHost::http().name("me"), Forward::new()).await;
    let host = origin.addr.to_string();

    let (mut socket, response) = open_socket(proxy.addr, &host).await;
    assert_eq!(response.status(), 101);
    assert_eq!(response.headers()["upgrade"], "websocket");
    assert_eq!(response.headers()["sec-websocket-protocol"], "chat");
    assert_eq!(response.headers()["via"], "1.1 me");
    talk_both_ways(&mut socket).await;
    socket.close(None).await.expect("closed");
    while let Some(Ok(_)) = soon(socket.next()).await {}
    let headers = soon(seen.recv()).await.expect("an end");
    assert_eq!(headers["host"], *host);
    assert_eq!(headers["via"], "1.1 me");
    assert_eq!(headers["connection"], "upgrade");

    // Without a message.
    let (mut socket, _) = open_socket(proxy.addr, &host).await;
    talk_both_ways(&mut socket).await;
    drop(socket);
    soon(seen.recv()).await.expect("an end");
}

#[tokio::test]
async fn a_websocket_ends_with_its_origin() {
    let (ended, _seen) = mpsc::unbounded_channel();
    let origin = Server::start(echo(ended)).await;
    let proxy = proxy(ProxyHost::http(), Forward::new()).await;
    let (mut socket, _) = open_socket(proxy.addr, &origin.addr.to_string()).await;
    socket.send(Message::text("hang up")).await.expect("sent");
    let end = soon(socket.next()).await;
    assert!(matches!(end, None | Some(Err(_))), "{end:?}");
}

/// HTTP/2 has no `Upgrade`, although the origin prefers HTTP/2.
#[tokio::test]
async fn a_websocket_passes_to_an_origin_with_tls_over_http1() {
    let (ended, _seen) = mpsc::unbounded_channel();
    let authority = Authority::new();
    let app = echo(ended).fallback_service(Origin::saying("hi"));
    let config = authority.certify("127.0.0.1", HTTP1_AND_2);
    let origin = TlsServer::start(config, app).await;
    let proxy = proxy(ProxyHost::https(), authority.forward()).await;
    let host = origin.addr.to_string();
    // The open HTTP/2 connection is not used for the upgrade.
    let hi = support::origins::ask_as(proxy.addr, Version::HTTP_11, get(format!("http://{host}/")))
        .await;
    assert_eq!(hi.text(), "hi");
    assert!(hi.headers["via"].to_str().expect("text").starts_with("2 "));
    let (mut socket, _) = open_socket(proxy.addr, &host).await;
    talk_both_ways(&mut socket).await;
}

#[tokio::test]
async fn a_websocket_is_recorded_as_its_handshake() {
    let (ended, mut seen) = mpsc::unbounded_channel();
    let origin = Server::start(echo(ended)).await;
    let memory = Memory::new();
    let record = RecordTraffic::new(memory.clone());
    let recorder = record.recorder();
    let app = Router::new()
        .fallback_service(Forward::new())
        .layer(record)
        .layer(ProxyHost::http());
    let proxy = Server::start(app).await;
    let (mut socket, _) = open_socket(proxy.addr, &origin.addr.to_string()).await;
    talk_both_ways(&mut socket).await;
    drop(socket);
    soon(seen.recv()).await.expect("an end");
    settled(&recorder, 1).await;
    let exchange = &memory.exchanges()[0];
    assert_eq!(
        exchange.request.uri,
        *format!("http://{}/chat", origin.addr)
    );
    assert_eq!(
        exchange.request.headers.get("upgrade"),
        Some(&b"websocket"[..])
    );
    let response = exchange.response.as_ref().expect("a response");
    assert_eq!(
        (response.status.as_u16(), exchange.end()),
        (101, ExchangeEnd::Complete)
    );
}

#[tokio::test]
async fn a_refused_upgrade_is_an_ordinary_answer() {
    let refusal = "HTTP/1.1 426 Upgrade Required\r\nupgrade: websocket\r\nconnection: upgrade\r\n\
         content-length: 2\r\n\r\nno";
    let origin = Raw::answering(refusal).await;
    let proxy = proxy(ProxyHost::http(), Forward::new()).await;
    let ask = format!(
        "GET / HTTP/1.1\r\nhost: {host}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n\
         GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n",
        host = origin.addr
    );
    let answers = talk(proxy.addr, ask).await;
    assert_eq!(answers.matches("HTTP/1.1 426 ").count(), 2, "{answers}");
    assert_eq!(values(&answers, "upgrade"), [""; 0]);
    let heads = origin.heads();
    assert_eq!(values(&heads[0], "upgrade"), ["websocket"]);
    assert_eq!(values(&heads[1], "upgrade"), [""; 0]);
}

/// Bytes directly after the handshake arrive, on both sides.
#[tokio::test]
async fn an_upgrade_keeps_the_first_bytes() {
    let origin = Raw::serving(async |mut connection| {
        connection.head().await;
        connection
            .say("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nwelcome")
            .await;
        let mut heard = [0; 5];
        connection.stream.read_exact(&mut heard).await.expect("early words");
        connection.say(heard).await;
    })
    .await;
    let proxy = proxy(ProxyHost::http(), Forward::new()).await;
    let answer = talk(
        proxy.addr,
        format!(
            "GET / HTTP/1.1\r\nhost: {}\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nearly",
            origin.addr
        ),
    )
    .await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    assert!(answer.ends_with("\r\n\r\nwelcomeearly"), "{answer}");
}

// ---- tunnels

/// Opens a tunnel, and checks the response.
async fn open_tunnel(proxy: SocketAddr, to: impl std::fmt::Display) -> TcpStream {
    let mut stream = TcpStream::connect(proxy).await.expect("connected");
    let ask = format!("CONNECT {to} HTTP/1.1\r\nhost: {to}\r\n\r\n");
    stream.write_all(ask.as_bytes()).await.expect("sent");
    let head = soon(read_head(&mut stream)).await.expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    // A tunnel has no `Content-Length` (RFC 9110, 9.3.6).
    assert_eq!(values(&head, "content-length"), [""; 0], "{head}");
    assert_eq!(values(&head, "transfer-encoding"), [""; 0], "{head}");
    stream
}

fn tunnelling() -> ProxyHost {
    ProxyHost::http().allow_connect(true)
}

#[tokio::test]
async fn tls_passes_through_a_tunnel() {
    let authority = Authority::new();
    let app = Router::new().fallback_service(Origin::saying("a secret"));
    let origin = TlsServer::start(authority.certify("origin.test", HTTP1), app).await;
    let forward = Forward::new().resolve("origin.test", origin.addr);
    let proxy = proxy(tunnelling(), forward).await;
    let stream = open_tunnel(proxy.addr, format!("origin.test:{}", origin.addr.port())).await;

    let mut roots = RootCertStore::empty();
    let pem = authority.pem();
    let root = CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate");
    roots.add(root).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("origin.test").expect("a name");
    let mut stream = soon(TlsConnector::from(Arc::new(config)).connect(name, stream))
        .await
        .expect("TLS with the origin itself");
    let ask = "GET / HTTP/1.1\r\nhost: origin.test\r\nconnection: close\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer))
        .await
        .expect("an answer");
    assert!(answer.ends_with("\r\n\r\na secret"), "{answer}");
    // Bytes in a tunnel are unchanged.
    assert_eq!(values(&answer, "via"), [""; 0]);
}

#[tokio::test]
async fn either_side_may_speak_first_in_a_tunnel() {
    let origin = Raw::serving(async |mut connection| {
        connection.say("220 ready\r\n").await;
        let rest = connection.rest().await;
        connection.say(format!("heard {rest}")).await;
    })
    .await;
    let proxy = proxy(tunnelling(), Forward::new()).await;
    // Some clients send data before the response arrives.
    let mut stream = TcpStream::connect(proxy.addr).await.expect("connected");
    let ask = format!("CONNECT {} HTTP/1.1\r\nhost: x\r\n\r\nHELO", origin.addr);
    stream.write_all(ask.as_bytes()).await.expect("sent");
    soon(read_head(&mut stream)).await.expect("a head");
    let mut greeting = [0; 11];
    soon(stream.read_exact(&mut greeting))
        .await
        .expect("a greeting");
    assert_eq!(&greeting, b"220 ready\r\n");
    // One side can end while the other continues.
    stream.write_all(b" bob").await.expect("sent");
    stream.shutdown().await.expect("sent");
    assert_eq!(soon(read_all(&mut stream)).await, "heard HELO bob");
}

#[tokio::test]
async fn a_tunnel_ends_with_either_side() {
    let (ended, mut seen) = mpsc::unbounded_channel();
    let origin = Raw::serving(move |mut connection| {
        let ended = ended.clone();
        async move {
            let mut word = [0; 4];
            while connection.stream.read_exact(&mut word).await.is_ok() && &word != b"quit" {}
            ended.send(()).expect("a test");
        }
    })
    .await;
    let proxy = proxy(tunnelling(), Forward::new()).await;
    let stream = open_tunnel(proxy.addr, origin.addr).await;
    drop(stream);
    soon(seen.recv()).await.expect("the origin's side ends");

    let mut stream = open_tunnel(proxy.addr, origin.addr).await;
    stream.write_all(b"wordquit").await.expect("sent");
    soon(seen.recv()).await.expect("the origin hangs up");
    assert_eq!(soon(read_all(&mut stream)).await, "");
}

#[tokio::test]
async fn a_tunnel_over_http2() {
    let origin = Raw::serving(async |mut connection| {
        let rest = connection.rest().await;
        connection.say(format!("heard {rest}")).await;
    })
    .await;
    let proxy = proxy(tunnelling(), Forward::new()).await;
    let mut client = http2_to(proxy.addr).await;
    let connect = request("CONNECT", origin.addr.to_string(), empty());
    let response = soon(client.send_request(connect)).await.expect("an answer");
    assert_eq!(response.status(), 200);
    let upgraded = soon(hyper::upgrade::on(response)).await.expect("a tunnel");
    let mut stream = TokioIo::new(upgraded);
    stream.write_all(b"bob").await.expect("sent");
    stream.shutdown().await.expect("sent");
    let mut answer = String::new();
    soon(stream.read_to_string(&mut answer))
        .await
        .expect("an answer");
    assert_eq!(answer, "heard bob");
}

#[tokio::test]
async fn a_tunnel_that_leads_nowhere_is_a_502() {
    let proxy = proxy(tunnelling().name("tunnels.test"), Forward::new()).await;
    for (to, status, error) in [
        (nowhere().await.to_string(), 502, "connection_refused"),
        ("something.invalid:443".to_owned(), 502, "dns_error"),
        ("2852039166:80".to_owned(), 403, "destination_ip_prohibited"),
    ] {
        let close = "connection: close\r\n";
        let ask = format!("CONNECT {to} HTTP/1.1\r\nhost: {to}\r\n{close}\r\n");
        let answer = talk(proxy.addr, ask).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
        let reported = format!("tunnels.test; error={error}");
        assert_eq!(values(&answer, "proxy-status"), [reported], "{answer}");
    }
}

#[tokio::test]
async fn tunnels_are_refused_over_a_socket_too() {
    let origin = Raw::serving(async |_| ()).await;
    let connect = |to| format!("CONNECT {to} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n\r\n");
    for (layer, status) in [
        (ProxyHost::http(), 405),
        (
            ProxyHost::http()
                .allow_connect(true)
                .allow_hosts(["example.com"]),
            403,
        ),
    ] {
        let proxy = proxy(layer, Forward::new()).await;
        let answer = talk(proxy.addr, connect(origin.addr)).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{answer}"
        );
    }
    // The layer allows a tunnel, not the client.
    let bare = Server::start(Router::new().fallback_service(Forward::new())).await;
    let answer = talk(bare.addr, connect(origin.addr)).await;
    assert!(answer.starts_with("HTTP/1.1 405 "), "{answer}");
    assert_eq!(origin.connections(), 0);
    // A request that did not arrive over a socket cannot become a tunnel.
    let proxy = tower::ServiceBuilder::new()
        .layer(tunnelling())
        .service(Forward::new());
    let answer = ask(&proxy, request("CONNECT", origin.addr.to_string(), empty())).await;
    assert_eq!(answer.status, 400);
}
