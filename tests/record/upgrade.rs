//! Upgraded connections (WebSockets) through the layers.

use axum::{
    Router,
    extract::ws::{Message, WebSocketUpgrade},
    routing::any,
};
use support::{Server, settled, soon};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tower_traffic::{DebugDump, ExchangeEnd, RecordTraffic, ReplayCache, store::Memory};

fn echo() -> Router {
    Router::new().route(
        "/ws",
        any(async |upgrade: WebSocketUpgrade| {
            upgrade.on_upgrade(async |mut socket| {
                while let Some(Ok(Message::Text(text))) = socket.recv().await {
                    let _ = socket.send(Message::Text(text)).await;
                }
            })
        }),
    )
}

/// Upgrades, and sends "hi" in a masked text frame (RFC 6455, 5.2); the server's frame is unmasked.
async fn say_hi(app: Router) {
    let server = Server::start(app).await;
    let mut socket = TcpStream::connect(server.addr).await.expect("connected");
    let upgrade = "GET /ws HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\n\
        upgrade: websocket\r\nsec-websocket-version: 13\r\n\
        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(upgrade.as_bytes()).await.expect("sent");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(soon(socket.read_u8()).await.expect("a head"));
    }
    assert!(
        head.starts_with(b"HTTP/1.1 101 "),
        "{}",
        head.escape_ascii()
    );

    let mask = [1, 2, 3, 4];
    let frame = [0x81, 0x82, 1, 2, 3, 4, b'h' ^ mask[0], b'i' ^ mask[1]];
    socket.write_all(&frame).await.expect("sent");
    let mut answer = [0; 4];
    soon(socket.read_exact(&mut answer))
        .await
        .expect("an answer");
    assert_eq!(answer, [0x81, 2, b'h', b'i']);
}

#[tokio::test]
async fn through_a_recorder_which_records_the_handshake() {
    let memory = Memory::new();
    let record = RecordTraffic::new(memory.clone());
    say_hi(echo().layer(record.clone())).await;
    settled(&record.recorder(), 1).await;
    let exchange = &memory.exchanges()[0];
    let response = exchange.response.as_ref().expect("a response");
    assert_eq!(
        (response.status.as_u16(), exchange.end()),
        (101, ExchangeEnd::Complete)
    );
}

#[tokio::test]
async fn through_a_cache_that_misses() {
    say_hi(echo().layer(ReplayCache::memory(&Memory::new()))).await;
}

#[tokio::test]
async fn through_a_dump_which_prints_the_handshake() {
    let paper = tempfile::NamedTempFile::new().expect("a file");
    let dump = DebugDump::new(paper.reopen().expect("the file"));
    let printer = dump.printer();
    say_hi(echo().layer(dump)).await;
    printer.flush().await;
    let text = std::fs::read_to_string(paper.path()).expect("text");
    assert!(
        text.contains(" #1 < HTTP/1.1 101 Switching Protocols ("),
        "{text}"
    );
    assert!(!text.contains("  * "), "{text}");
}
