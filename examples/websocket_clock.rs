//! A clock that sends the time over a WebSocket.
//!
//! ```text
//! cargo run --example websocket_clock
//! ```

mod support;

use std::{io, time::Duration};

use axum::{Router, extract::ws::WebSocketUpgrade, routing::any};
use futures::{Stream, StreamExt};
use support::{send_all, serve};
use tokio::time::interval;
use tokio_stream::wrappers::IntervalStream;

fn websocket_clock() -> Router {
    Router::new().route(
        "/",
        any(async |ws: WebSocketUpgrade| ws.on_upgrade(|ws| send_all(ws, ticks()))),
    )
}

/// The current time, once per second.
fn ticks() -> impl Stream<Item = String> {
    IntervalStream::new(interval(Duration::from_secs(1)))
        .map(|_| format!("{:.0}", jiff::Timestamp::now()))
}

#[tokio::main]
async fn main() -> io::Result<()> {
    serve(websocket_clock(), |at| format!("npx wscat -c ws://{at}/")).await
}
