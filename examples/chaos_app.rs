//! An axum app with fault injection, controlled in a browser or with curl.
//!
//! ```text
//! PORT=8000 CHAOS_TOKEN=s3cret cargo run --features chaos-api --example chaos_app
//! ```
//!
//! Without `CHAOS_TOKEN`, every program on this machine can switch chaos on. It switches itself off
//! after a quarter of an hour.
//!
//! ```sh
//! curl -i localhost:8000/users/1
//! curl -H 'Authorization: Bearer s3cret' localhost:8000/chaos/activate -d '{
//!     "type": "trigger",
//!     "trigger": {"type": "percentage", "percentage": 50},
//!     "behaviour": {"type": "status", "status": 503}
//! }'
//! curl -i localhost:8000/users/1    # half of the responses: 503, with `x-chaos: Status 503`
//! curl -i localhost:8000/health     # never affected
//! curl -N localhost:8000/ticks      # a stream: try to cut or throttle it
//! curl -X POST -H 'Authorization: Bearer s3cret' localhost:8000/chaos/deactivate
//! ```

mod support;

use std::{
    convert::Infallible,
    env::{self, VarError},
    error::Error,
    time::Duration,
};

use axum::{
    Json, Router,
    extract::Path,
    response::sse::{Event, Sse},
    routing::get,
};
use futures::{FutureExt, Stream, StreamExt};
use serde_json::{Value, json};
use support::{listen, serve_until, stop_signal};
use tokio::time::{interval, sleep};
use tokio_stream::wrappers::IntervalStream;
use tower_traffic::chaos::{Chaos, ChaosApi};

/// Time limit for open requests after a stop signal: chaos may leave requests without a response.
const GRACE: Duration = Duration::from_secs(5);

fn chaos_app(token: Option<&str>) -> Router {
    let engine = Chaos::new()
        .exempt_route("/health")
        .expire_after(Duration::from_mins(15))
        .engine();
    let app = Router::new()
        .route("/users/{id}", get(user))
        .route("/ticks", get(ticks))
        .route("/health", get(async || "well"));
    let api = ChaosApi::new(&engine);
    match token {
        Some(token) => api.token(token).beside(app),
        None => api.beside(app),
    }
}

async fn user(Path(id): Path<u64>) -> Json<Value> {
    Json(json!({ "id": id, "name": "bob" }))
}

/// Sends ten events, one every 100 ms.
async fn ticks() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let ticks = IntervalStream::new(interval(Duration::from_millis(100)));
    let events = ticks.enumerate().take(10);
    Sse::new(events.map(|(n, _)| Ok(Event::default().data(format!("tick {n}")))))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Chaos logs a warning when it is switched on.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let token = match env::var("CHAOS_TOKEN") {
        Ok(token) if token.is_empty() => {
            return Err(
                "CHAOS_TOKEN is empty: set a token, or unset the variable to allow every \
                        program on this machine"
                    .into(),
            );
        }
        Ok(token) => Some(token),
        Err(VarError::NotPresent) => None,
        Err(error) => return Err(error.into()),
    };
    let app = chaos_app(token.as_deref());
    let listener = listen().await?;
    let at = listener.local_addr()?;
    println!("try: curl -i http://{at}/users/1");
    let header = match token {
        Some(_) => r#" -H "Authorization: Bearer $CHAOS_TOKEN""#,
        None => "",
    };
    let document = json!({
        "type": "trigger",
        "trigger": { "type": "always" },
        "behaviour": { "type": "status", "status": 503 },
    });
    println!("inject faults: curl{header} http://{at}/chaos/activate -d '{document}'");
    println!("in a browser: http://{at}/chaos/ui");
    let stop_signal = stop_signal().shared();
    tokio::select! {
        () = serve_until(listener, app, stop_signal.clone()) => {}
        () = stop_signal.then(|()| sleep(GRACE)) => println!("stopped with open requests"),
    }
    Ok(())
}
