//! Records an app's traffic, answers from the recording without the app, and sends the requests
//! again.
//!
//! ```text
//! cargo run --example record_and_replay             # into a temporary folder
//! cargo run --example record_and_replay -- --keep   # and keeps that folder
//! ```
//!
//! Exits with 1 if a response differs.

use std::{convert::Infallible, env, error::Error, path::Path, process::ExitCode, time::Duration};

use axum::{
    Json, Router,
    http::{
        HeaderMap, Method, Request, StatusCode,
        header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, SET_COOKIE, TRANSFER_ENCODING},
    },
    response::{
        AppendHeaders, IntoResponse,
        sse::{Event, Sse},
    },
    routing::{get, post},
};
use bytes::Bytes;
use comfy_table::{CellAlignment, Table, presets::UTF8_FULL_CONDENSED};
use futures::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy, rt::TokioExecutor};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};
use tower_traffic::{
    Exchange, OnMiss, RecordTraffic, Redact, ReplayCache, Resend,
    replay::ResendSummary,
    store::{Disk, Replay},
};

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

/// The requests of the client: method, path and body.
const REQUESTS: [(Method, &str, &str); 6] = [
    (Method::GET, "/users/1", ""),
    (Method::POST, "/echo", "hello, world"),
    (Method::GET, "/binary", ""),
    (Method::GET, "/events", ""),
    (Method::GET, "/broken", ""),
    (Method::GET, "/login", ""),
];

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let mut folder = tempfile::tempdir()?;
    let keep = env::args().any(|argument| argument == "--keep");
    folder.disable_cleanup(keep);
    let folder = folder.path();

    println!("1. Record into {}", folder.display());
    let seen = record(folder).await?;
    show(folder).await?;

    println!("\n2. Answer from the folder, without the origin");
    let equal = replay(folder, &seen).await?;

    println!("\n3. Start the origin again, and send the recorded requests");
    let resent = resend(folder).await?;

    let count = REQUESTS.len() as u64;
    println!("\n{count} requests recorded");
    println!("{equal} answered from the folder, byte for byte");
    println!("{} answered equally by the new origin", resent.same);
    if keep {
        println!("read the recording: less {}/*.warc", folder.display());
    }
    let is_success = equal == count && resent.same == count && resent.sent() == count;
    Ok(if is_success {
        ExitCode::SUCCESS
    } else {
        println!("FAILED: the numbers differ");
        ExitCode::FAILURE
    })
}

/// Records the requests of a client to the origin. Returns the responses that the client received.
async fn record(folder: &Path) -> Result<Vec<Answer>> {
    let record = RecordTraffic::disk(folder).redact(redact());
    let recorder = record.recorder();

    let server = Server::start(origin().layer(record)).await?;
    let answers = fetch_all(&server.url).await?;
    server.stop().await?;

    // Waits until the last exchanges are stored.
    let stats = recorder.flush().await;
    println!("   {} of {} exchanges stored", stats.stored, stats.served);
    Ok(answers)
}

/// Keeps cookies. `set-cookie` is redacted by default, but the cookies of this origin are not
/// secret, and the client should receive them from the recording.
fn redact() -> Redact {
    Redact::default().keep_header("set-cookie")
}

/// Prints the recording as a table.
async fn show(folder: &Path) -> Result<()> {
    let mut table = Table::new();
    table.load_style(UTF8_FULL_CONDENSED).set_header([
        "method", "path", "status", "request", "response", "to head", "to end", "ended",
    ]);
    for column in table.column_iter_mut().skip(2).take(5) {
        column.set_cell_alignment(CellAlignment::Right);
    }

    let recording = Disk::open(folder).await?;
    let mut exchanges = recording.replay();
    while let Some(exchange) = exchanges.next().await {
        table.add_row(row(&exchange?));
    }
    println!("{table}");
    Ok(())
}

fn row(exchange: &Exchange) -> [String; 8] {
    let (status, response) = match &exchange.response {
        Ok(response) => (response.status.as_str(), size(response.body.len())),
        Err(_) => ("none", String::new()),
    };
    [
        exchange.request.method.to_string(),
        exchange.request.uri.to_string(),
        status.to_owned(),
        size(exchange.request.body.len()),
        response,
        exchange.time_to_head.map(duration).unwrap_or_default(),
        duration(exchange.time_to_end),
        exchange.end().to_string(),
    ]
}

fn size(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

fn duration(time: Duration) -> String {
    if time < Duration::from_millis(1) {
        format!("{} µs", time.as_micros())
    } else {
        format!("{:.1} ms", time.as_secs_f64() * 1000.0)
    }
}

/// Sends the same requests to a server that has only the recording. Returns the number of equal
/// responses.
async fn replay(folder: &Path, seen: &[Answer]) -> Result<u64> {
    let replay = ReplayCache::disk(folder).on_miss(OnMiss::Refuse);
    let server = Server::start(Router::new().layer(replay)).await?;
    let answers = fetch_all(&server.url).await?;
    server.stop().await?;

    let mut equal = 0;
    for (((method, path, _), seen), now) in REQUESTS.iter().zip(seen).zip(&answers) {
        let differences = seen.differences(now);
        if differences.is_empty() {
            equal += 1;
            println!("   {method} {path}: equal");
        } else {
            println!("   {method} {path}: different {}", differences.join(", "));
        }
    }
    Ok(equal)
}

/// Sends the recorded requests to a new origin, and compares its responses with the recorded ones.
async fn resend(folder: &Path) -> Result<ResendSummary> {
    let server = Server::start(origin()).await?;
    let client = legacy::Client::builder(TokioExecutor::new()).build_http();
    let summary = Resend::disk(folder)
        .origin(server.url.parse()?)
        .redact(redact())
        .run(client, |resent| println!("   {resent}"))
        .await;
    server.stop().await?;
    Ok(summary?)
}

/// The app that is recorded.
fn origin() -> Router {
    Router::new()
        .route(
            "/users/1",
            get(async || Json(json!({ "id": 1, "name": "bob" }))),
        )
        .route("/echo", post(async |body: Bytes| body))
        .route("/binary", get(binary))
        .route("/events", get(events))
        .route("/broken", get(broken))
        .route("/login", get(login))
}

/// Answers with 1 MiB of binary data.
async fn binary() -> impl IntoResponse {
    let bytes: Vec<u8> = (0..=u8::MAX).cycle().take(1 << 20).collect();
    ([(CONTENT_TYPE, "application/octet-stream")], bytes)
}

async fn events() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    Sse::new(stream::iter(1..=5).then(|n| async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        Ok(Event::default().data(format!("event {n}")))
    }))
}

async fn broken() -> (StatusCode, Json<Value>) {
    let why = Json(json!({ "error": "out of coffee" }));
    (StatusCode::INTERNAL_SERVER_ERROR, why)
}

async fn login() -> impl IntoResponse {
    let cookies = [(SET_COOKIE, "theme=dark"), (SET_COOKIE, "language=en")];
    (AppendHeaders(cookies), "welcome")
}

/// A response, as a client received it.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn differences(&self, other: &Self) -> Vec<&str> {
        [
            ("status", self.status == other.status),
            ("headers", self.headers == other.headers),
            ("body", self.body == other.body),
        ]
        .into_iter()
        .filter_map(|(part, is_equal)| (!is_equal).then_some(part))
        .collect()
    }
}

async fn fetch_all(url: &str) -> Result<Vec<Answer>> {
    let client = legacy::Client::builder(TokioExecutor::new()).build_http();
    let mut answers = Vec::new();
    for (method, path, body) in REQUESTS {
        let request = Request::builder()
            .method(method)
            .uri(format!("{url}{path}"))
            .body(Full::<Bytes>::from(body))?;
        let (parts, body) = client.request(request).await?.into_parts();
        answers.push(Answer {
            status: parts.status,
            headers: headers_of_the_app(&parts.headers),
            body: body.collect().await?.to_bytes(),
        });
    }
    Ok(answers)
}

/// Removes the headers that the HTTP server adds below the app and its layers: the date and the
/// framing.
fn headers_of_the_app(headers: &HeaderMap) -> HeaderMap {
    let mut headers = headers.clone();
    for name in [DATE, CONTENT_LENGTH, TRANSFER_ENCODING] {
        headers.remove(name);
    }
    headers
}

/// A server on a free port.
struct Server {
    url: String,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    async fn start(app: Router) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let url = format!("http://{}", listener.local_addr()?);
        let (stop, stopped) = oneshot::channel();
        let serve = axum::serve(listener, app).with_graceful_shutdown(async {
            let _ = stopped.await;
        });
        let task = tokio::spawn(serve.into_future());
        Ok(Self { url, stop, task })
    }

    async fn stop(self) -> Result<()> {
        drop(self.stop);
        Ok(self.task.await??)
    }
}
