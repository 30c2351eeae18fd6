//! Log events of chaos.

use std::{
    fmt::{Debug, Write},
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, body::Body, routing::get};
use http::{Request, StatusCode};
use tower::ServiceExt;
use tower_traffic::chaos::{Behavior, Chaos, ChaosEngine, Stage, Trigger};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    subscriber::DefaultGuard,
};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

/// Collects log events, and calls the engine for each, as a dashboard might.
#[derive(Clone)]
struct Log {
    engine: ChaosEngine,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Log {
    fn of(engine: &ChaosEngine) -> (Self, DefaultGuard) {
        let log = Self {
            engine: engine.clone(),
            lines: Arc::default(),
        };
        let subscriber = tracing_subscriber::registry().with(log.clone());
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn lines(&self, level: Level) -> Vec<String> {
        let lines = self.lines.lock().unwrap();
        let of_it = lines.iter().filter_map(|line| {
            let (of, line) = line.split_once(' ')?;
            (of == level.as_str()).then(|| line.to_owned())
        });
        of_it.collect()
    }
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if !event
            .metadata()
            .target()
            .starts_with("tower_traffic::chaos")
        {
            return;
        }
        let mut line = Line(event.metadata().level().to_string());
        event.record(&mut line);
        write!(
            line.0,
            "; {}, {}",
            self.engine,
            self.engine.stats().affected
        )
        .unwrap();
        self.lines.lock().unwrap().push(line.0);
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        write!(self.0, " {}={value:?}", field.name()).unwrap();
    }
}

fn app(engine: &ChaosEngine) -> Router {
    Router::new()
        .route("/", get(async || "bob"))
        .layer(Chaos::with_engine(engine))
}

async fn ask(app: &Router) -> StatusCode {
    let request = Request::get("/").body(Body::empty()).unwrap();
    app.clone().oneshot(request).await.unwrap().status()
}

#[tokio::test(start_paused = true)]
async fn switching_on_and_off_is_logged_once() {
    let engine = Chaos::new().expire_after(Duration::from_mins(1)).engine();
    let (log, _guard) = Log::of(&engine);
    engine.disable();
    engine.enable_with(Behavior::none());
    let app = app(&engine);
    for _ in 0..3 {
        ask(&app).await;
    }
    engine.toggle();
    engine.toggle();
    tokio::time::advance(Duration::from_mins(1)).await;
    ask(&app).await;
    ask(&app).await;
    let on = r#"message=chaos is on chaos="Always None"; Always None, 0"#;
    let off = "message=chaos is off; none, 0";
    assert_eq!(log.lines(Level::WARN), [on, off, on, off]);
}

#[tokio::test]
async fn an_affected_request_is_logged() {
    let engine = Chaos::new().engine();
    engine.enable_with(Stage::when(
        Trigger::countdown(1),
        Behavior::status(StatusCode::NOT_FOUND),
    ));
    let (log, _guard) = Log::of(&engine);
    let app = app(&engine);
    assert_eq!([ask(&app).await, ask(&app).await], [200, 404]);
    let text = engine.to_string();
    let line = format!("message=chaos affects a request ordinal=1 chaos=Status 404; {text}, 0");
    assert_eq!(log.lines(Level::DEBUG), [line]);
}
