//! A WebSocket opened over HTTP/2 (RFC 8441) goes through the proxy to an origin with HTTP/1.1.

use axum::{
    Router,
    extract::ws::{Message, WebSocketUpgrade},
    routing::any,
};
use bytes::Bytes;
use http::{Method, Request, Response, Version};
use http_body_util::Empty;
use hyper::{body::Incoming, client::conn::http2, ext::Protocol, upgrade};
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::{Server, soon};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tower_traffic::{Forward, ProxyHost};

async fn proxy(origin: &Server) -> Server {
    let upstream = ProxyHost::upstream(format!("http://{}", origin.addr)).expect("an upstream");
    let proxy = Router::new().fallback_service(Forward::new());
    Server::start(proxy.layer(upstream)).await
}

/// Asks for a WebSocket over HTTP/2.
async fn connect(proxy: &Server) -> Response<Incoming> {
    let stream = TcpStream::connect(proxy.addr).await.expect("connected");
    let (mut client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
        .await
        .expect("HTTP/2");
    tokio::spawn(connection);
    let request = Request::builder()
        .method(Method::CONNECT)
        .uri(format!("http://{}/ws", proxy.addr))
        .version(Version::HTTP_2)
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
        .body(Empty::<Bytes>::new())
        .expect("a request");
    soon(client.send_request(request)).await.expect("an answer")
}

#[tokio::test]
async fn talks_both_ways() {
    let echo = any(async |upgrade: WebSocketUpgrade| {
        upgrade.on_upgrade(async |mut socket| {
            while let Some(Ok(Message::Text(text))) = socket.recv().await {
                let _ = socket.send(Message::Text(text)).await;
            }
        })
    });
    let origin = Server::start(Router::new().route("/ws", echo)).await;
    let response = connect(&proxy(&origin).await).await;
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key("sec-websocket-accept"));

    let upgraded = soon(upgrade::on(response)).await.expect("a WebSocket");
    let mut socket = TokioIo::new(upgraded);
    // "hi", masked (RFC 6455, 5.2); the response is not masked.
    let frame = [0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2];
    socket.write_all(&frame).await.expect("sent");
    let mut answer = [0; 4];
    soon(socket.read_exact(&mut answer))
        .await
        .expect("an answer");
    assert_eq!(answer, [0x81, 2, b'h', b'i']);
}

#[tokio::test]
async fn an_origin_without_one_is_a_502_if_it_answers_and_its_error_if_not() {
    let origin = Server::start(Router::new().route("/ws", any(async || "no WebSocket"))).await;
    let response = connect(&proxy(&origin).await).await;
    assert_eq!(response.status(), 502);

    let origin = Server::start(Router::new()).await;
    let response = connect(&proxy(&origin).await).await;
    assert_eq!(response.status(), 404);
}
