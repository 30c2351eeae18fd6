//! Shared code of the examples: listening, time-outs, a command to try, and a graceful end.
// Each example uses a part of it.
#![allow(dead_code)]

use std::{
    env,
    error::Error,
    io,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::ws::{Message, WebSocket},
};
use futures::{SinkExt, Stream, StreamExt};
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, signal, time::sleep};
use tower::{Service, ServiceExt};

/// The time limit for the head of a request. Without it, idle clients use up the descriptors.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Serves an app on `127.0.0.1:$PORT` (by default 8000) until a stop signal. `try_it` makes a
/// command to try from the address.
pub(crate) async fn serve(app: Router, try_it: impl FnOnce(&str) -> String) -> io::Result<()> {
    let listener = listen().await?;
    println!("try: {}", try_it(&listener.local_addr()?.to_string()));
    serve_until(listener, app, stop_signal()).await;
    Ok(())
}

/// Serves HTTP/1 and HTTP/2 until `stop` completes, and then waits for open requests. As
/// `axum::serve`, but closes connections on which the head of a request takes too long.
pub(crate) async fn serve_until<S, B>(
    listener: TcpListener,
    service: S,
    stop: impl Future<Output = ()>,
) where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<Box<dyn Error + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT);
    server.http2().timer(TokioTimer::new());
    let connections = GracefulShutdown::new();
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut stop => break,
        };
        let Ok((stream, _)) = accepted else {
            // The process may have no descriptor left: others are closed meanwhile.
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        let has_request = Arc::new(AtomicBool::new(false));
        let mark = has_request.clone();
        let service = service.clone().map_request(move |request| {
            mark.store(true, Ordering::Relaxed);
            request
        });
        let connection = server
            .serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(service))
            .into_owned();
        let connection = connections.watch(connection);
        tokio::spawn(async move {
            let mut connection = pin!(connection);
            // The time-out above begins with the first bytes, which select HTTP/1 or HTTP/2.
            tokio::select! {
                _ = &mut connection => return,
                () = sleep(HEAD_TIMEOUT) => {}
            }
            if has_request.load(Ordering::Relaxed) {
                // An error concerns this connection only.
                let _ = connection.await;
            }
        });
    }
    connections.shutdown().await;
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
