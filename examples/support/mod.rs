//! Shared code of the examples: listening, a command to try, and a graceful end.
// Each example uses a part of it.
#![allow(dead_code)]

use std::{env, io, pin::pin};

use axum::{
    Router,
    extract::ws::{Message, WebSocket},
};
use futures::{SinkExt, Stream, StreamExt};
use tokio::{net::TcpListener, signal};

/// Serves an app on `127.0.0.1:$PORT` (by default 8000) until a stop signal. `try_it` makes a
/// command to try from the address.
pub(crate) async fn serve(app: Router, try_it: impl FnOnce(&str) -> String) -> io::Result<()> {
    let listener = listen().await?;
    println!("try: {}", try_it(&listener.local_addr()?.to_string()));
    axum::serve(listener, app)
        .with_graceful_shutdown(stop_signal())
        .await
}

/// Listens on `127.0.0.1:$PORT`, by default 8000. Port 0 selects a free port.
pub(crate) async fn listen() -> io::Result<TcpListener> {
    let port = env::var("PORT").unwrap_or_else(|_| "8000".to_owned());
    TcpListener::bind(format!("127.0.0.1:{port}")).await
}

/// Completes on Ctrl-C or SIGTERM.
pub(crate) async fn stop_signal() {
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

/// Sends texts over a WebSocket until the stream or the connection ends.
pub(crate) async fn send_all(socket: WebSocket, texts: impl Stream<Item = String>) {
    let (mut sender, mut receiver) = socket.split();
    let mut texts = pin!(texts.map(|text| Ok(Message::from(text))));
    tokio::select! {
        _ = sender.send_all(&mut texts) => {}
        // Messages of the client are ignored; reading them notices the end of the connection.
        () = async { while let Some(Ok(_)) = receiver.next().await {} } => {}
    }
}
