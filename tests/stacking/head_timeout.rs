//! The server of the examples closes connections without a request.

#[path = "../../examples/support/mod.rs"]
mod example_support;

use std::future::pending;

use axum::{Router, routing::get};
use support::{origins::talk, soon};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

#[tokio::test(start_paused = true)]
async fn the_examples_close_connections_that_send_no_whole_head() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let app = Router::new().route("/", get(async || "fine"));
    tokio::spawn(example_support::serve_until(listener, app, pending()));
    for start in [
        "",
        "G",
        "GET / HT",
        "GET / HTTP/1.1\r\nhost: a\r\nx: ",
        "PRI * HT",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(addr).await.expect("connected");
        stream.write_all(start.as_bytes()).await.expect("written");
        let mut rest = Vec::new();
        // The paused clock advances while all tasks wait.
        let closed = soon(stream.read_to_end(&mut rest)).await;
        assert!(
            closed.is_ok_and(|_| !rest.starts_with(b"HTTP/1.1 200")),
            "{start:?}"
        );
    }
    let whole = "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    assert!(talk(addr, whole).await.ends_with("fine"));
}
