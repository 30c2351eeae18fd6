//! What every nanoservice has around its app: a port, a line to try, and an end.

use std::{env, io};

use axum::Router;
use tokio::{net::TcpListener, signal};

/// Serves an app on `127.0.0.1:$PORT`, by default 8000, until it is asked to stop. `try_it` makes the
/// line to try it with from the address.
pub(crate) async fn serve(app: Router, try_it: impl FnOnce(&str) -> String) -> io::Result<()> {
    let port = env::var("PORT").unwrap_or_else(|_| "8000".to_owned());
    let listener = TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    println!("try: {}", try_it(&listener.local_addr()?.to_string()));
    axum::serve(listener, app)
        .with_graceful_shutdown(asked_to_stop())
        .await
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
