//! Time until the first event of a stream reaches the client, with and without the layer.
//!
//! ```text
//! cargo bench --bench first_event
//! ```
//!
//! Both apps respond alternately, over real sockets. The time runs from the last byte of the
//! request to the first event. The benchmark prints medians.

use std::{
    convert::Infallible,
    env,
    time::{Duration, Instant},
};

use axum::{
    Router,
    response::sse::{Event, Sse},
    routing::get,
};
use futures::{StreamExt, stream};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower_traffic::RecordTraffic;

const ROUNDS: usize = 1_001;

fn app() -> Router {
    Router::new().route(
        "/sse",
        get(|| async {
            let first = stream::iter([Ok::<_, Infallible>(Event::default().data("first"))]);
            Sse::new(first.chain(stream::pending()))
        }),
    )
}

async fn serve(app: Router) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move { axum::serve(listener, app).await });
    port
}

async fn first_event(port: u16) -> Duration {
    let mut socket = TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("connected");
    socket.set_nodelay(true).expect("no delay");
    let request = b"GET /sse HTTP/1.1\r\nhost: localhost\r\n\r\n";
    socket.write_all(request).await.expect("sent");
    let start = Instant::now();
    let mut seen = Vec::new();
    while !seen.windows(11).any(|window| window == b"data: first") {
        let read = socket.read_buf(&mut seen).await.expect("read");
        assert_ne!(read, 0, "the stream ended early");
    }
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::main]
async fn main() {
    if env::args().any(|argument| argument == "--list" || argument == "--test") {
        return;
    }
    let folder = TempDir::new().expect("a folder");
    let without = serve(app()).await;
    let with = serve(app().layer(RecordTraffic::disk(folder.path()))).await;
    let mut times = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        times.0.push(first_event(without).await);
        times.1.push(first_event(with).await);
    }
    let (without, with) = (median(times.0), median(times.1));
    println!("first event, median of {ROUNDS}: {without:?} without the layer, {with:?} with it");
}
