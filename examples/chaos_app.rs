//! An axum app that breaks on purpose, while it is asked to: by hand on the page that it prints the
//! address of, or with curl.
//!
//! ```text
//! PORT=8000 CHAOS_TOKEN=s3cret cargo run --features chaos-api --example chaos_app
//! ```
//!
//! Without `CHAOS_TOKEN` everybody may switch it on who is on this machine. A quarter of an hour after
//! that it is off again by itself.
//!
//! ```sh
//! curl -i localhost:8000/users/1
//! curl -H 'Authorization: Bearer s3cret' localhost:8000/chaos/activate -d '{
//!     "type": "trigger",
//!     "trigger": {"type": "percentage", "percentage": 50},
//!     "behaviour": {"type": "status", "status": 503}
//! }'
//! curl -i localhost:8000/users/1    # half of the time 503, with `x-chaos: Status 503`
//! curl -i localhost:8000/health     # never
//! curl -N localhost:8000/ticks      # a stream: try it broken off, or throttled
//! curl -X POST -H 'Authorization: Bearer s3cret' localhost:8000/chaos/deactivate
//! ```

mod support;

use std::{convert::Infallible, env, error::Error, time::Duration};

use axum::{
    Json, Router,
    extract::Path,
    response::sse::{Event, Sse},
    routing::get,
};
use futures::{FutureExt, Stream, StreamExt};
use serde_json::{Value, json};
use support::{asked_to_stop, listen};
use tokio::time::{interval, sleep};
use tokio_stream::wrappers::IntervalStream;
use tower_traffic::chaos::{Chaos, ChaosApi};

/// How long a client may take to finish what it is at when the app is asked to stop: chaos may never
/// answer it.
const GRACE: Duration = Duration::from_secs(5);

fn chaos_app(token: Option<&str>) -> Router {
    let engine = Chaos::new()
        .spare("/health")
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

/// Ten of them, one every tenth of a second.
async fn ticks() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let ticks = IntervalStream::new(interval(Duration::from_millis(100)));
    let events = ticks.enumerate().take(10);
    Sse::new(events.map(|(n, _)| Ok(Event::default().data(format!("tick {n}")))))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // That chaos is on is a warning.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let token = env::var("CHAOS_TOKEN").ok();
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
    println!("break it: curl{header} http://{at}/chaos/activate -d '{document}'");
    println!("or by hand: http://{at}/chaos/ui");
    let asked_to_stop = asked_to_stop().shared();
    let serve = axum::serve(listener, app).with_graceful_shutdown(asked_to_stop.clone());
    tokio::select! {
        served = serve => served?,
        () = asked_to_stop.then(|()| sleep(GRACE)) => println!("somebody does not hang up"),
    }
    Ok(())
}
