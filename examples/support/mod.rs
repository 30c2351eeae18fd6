//! What every nanoservice has around its app: a port, a line to try, and an end.
// Each example uses its part of it.
#![allow(dead_code)]

use std::{env, io, pin::pin};

use axum::{
    Router,
    extract::ws::{Message, WebSocket},
};
use futures::{SinkExt, Stream, StreamExt};
use tokio::{net::TcpListener, signal};

/// Serves an app on `127.0.0.1:$PORT`, by default 8000, until it is asked to stop. `try_it` makes the
/// line to try it with from the address.
pub(crate) async fn serve(app: Router, try_it: impl FnOnce(&str) -> String) -> io::Result<()> {
    let listener = listen().await?;
    println!("try: {}", try_it(&listener.local_addr()?.to_string()));
    axum::serve(listener, app)
        .with_graceful_shutdown(asked_to_stop())
        .await
}

/// Listens on `127.0.0.1:$PORT`, by default 8000; 0 is a port of the system's choice.
pub(crate) async fn listen() -> io::Result<TcpListener> {
    let port = env::var("PORT").unwrap_or_else(|_| "8000".to_owned());
    TcpListener::bind(format!("127.0.0.1:{port}")).await
}

/// Returns with Ctrl-C, or SIGTERM where there is such a thing.
pub(crate) async fn asked_to_stop() {
    #[cfg(unix)]
    let terminated = async {
        match signal::unix::signal(signal::unix::SignalKind::terminate()) {
            Ok(mut terminate) => terminate.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminated = std::future::pending::<Option<()>>();
    tokio::select! {
        _ = signal::ctrl_c() => {}
        _ = terminated => {}
    }
}

/// Sends texts over a WebSocket until there are no more, or the client hangs up.
pub(crate) async fn send_all(socket: WebSocket, texts: impl Stream<Item = String>) {
    let (mut sender, mut receiver) = socket.split();
    let mut texts = pin!(texts.map(|text| Ok(Message::from(text))));
    tokio::select! {
        _ = sender.send_all(&mut texts) => {}
        // What it says does not matter, but that it closes is only seen by reading.
        () = async { while let Some(Ok(_)) = receiver.next().await {} } => {}
    }
}
