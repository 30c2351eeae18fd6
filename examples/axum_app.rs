//! An axum app that records its traffic. The benchmarks measure this app.
//!
//! ```text
//! PORT=3000 RECORD=./t cargo run --release --example axum_app
//! ```
//!
//! Without `RECORD` the app has no layer. With the feature `s3`, `RECORD` may be
//! `s3://bucket/prefix`; the environment configures the connection (`AWS_ENDPOINT_URL`,
//! `AWS_REGION` and others).

mod support;

use std::{convert::Infallible, env, error::Error, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path, State},
    http::Response,
    response::{
        IntoResponse,
        sse::{Event, Sse},
    },
    routing::{get, post},
};
use bytes::Bytes;
use futures::{FutureExt, Stream, StreamExt, stream};
use serde_json::{Value, json};
use support::serve_until;
use tokio::{net::TcpListener, time::sleep};
use tower_traffic::{RecordTraffic, Recorder};

/// Time limit for open requests after a stop signal.
const GRACE: Duration = Duration::from_secs(10);

static KIBIBYTE: [u8; 1024] = [b'x'; 1024];
static FRAME: [u8; 64 << 10] = [b'y'; 64 << 10];

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();

    let app = Router::new()
        .route("/", get(|| async { Bytes::from_static(&KIBIBYTE) }))
        .route("/users/{id}", get(user))
        .route("/echo", post(|body: Bytes| async { body }))
        .route("/sse", get(events))
        .route("/bytes/{n}", get(bytes));

    let mut recorder = None;
    let app = match env::var_os("RECORD") {
        None => app,
        Some(location) => {
            let record = match location.to_str() {
                #[cfg(feature = "s3")]
                Some(bucket) if bucket.starts_with("s3://") => RecordTraffic::s3(bucket),
                _ => RecordTraffic::disk(location),
            };
            recorder = Some(record.recorder());
            app.layer(record)
        }
    };
    // Not recorded: routes that are added after the layer are outside of it.
    let app = app.route("/stats", get(stats).with_state(recorder.clone()));

    let port = env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let stop_signal = stop_signal()?.shared();
    println!("try: curl http://{}/users/1", listener.local_addr()?);
    tokio::select! {
        () = serve_until(listener, app, stop_signal.clone()) => {}
        // Requests that are still open are recorded as incomplete when the runtime ends.
        () = stop_signal.then(|()| sleep(GRACE)) => println!("stopped with open requests"),
    }

    if let Some(recorder) = recorder {
        let stats = recorder.flush().await;
        println!("recorded {} of {} exchanges", stats.stored, stats.served);
    }
    Ok(())
}

async fn user(Path(id): Path<u64>) -> Json<Value> {
    Json(json!({ "id": id, "name": "bob" }))
}

async fn events() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = stream::iter(0..10).then(|n| async move {
        if n > 0 {
            sleep(Duration::from_millis(100)).await;
        }
        Ok(Event::default().data(format!("event {n}")))
    });
    Sse::new(events)
}

async fn bytes(Path(n): Path<usize>) -> Response<Body> {
    let frames = stream::unfold(n, |left| async move {
        let frame = left.min(FRAME.len());
        let data = Ok::<_, Infallible>(Bytes::from_static(&FRAME[..frame]));
        (left > 0).then_some((data, left - frame))
    });
    Body::from_stream(frames).into_response()
}

async fn stats(State(recorder): State<Option<Recorder>>) -> Json<Value> {
    let stats = recorder
        .map(|recorder| recorder.stats())
        .unwrap_or_default();
    Json(json!({
        "served": stats.served,
        "stored": stats.stored,
        "queued": stats.queued,
        "dropped": {
            "queue_full": stats.dropped.queue_full,
            "store_failed": stats.dropped.store_failed,
            "store_timed_out": stats.dropped.store_timed_out,
            "shut_down": stats.dropped.shut_down,
        },
    }))
}

/// Completes on SIGINT or SIGTERM. The handlers are installed before this function returns.
#[cfg(unix)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Completes on Ctrl-C.
#[cfg(windows)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    let mut interrupt = tokio::signal::windows::ctrl_c()?;
    Ok(async move {
        interrupt.recv().await;
    })
}
