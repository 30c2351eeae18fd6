//! The claims of `src/docs/stacking.md` about chaos.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    http::{HeaderName, HeaderValue, Request, StatusCode},
    routing::get,
};
use bytes::Bytes;
use http_body_util::Empty;
use support::{Answer, Origin, Recording, ask, settled};
use tower::{ServiceBuilder, retry::Policy};
use tower_http::{catch_panic::CatchPanicLayer, timeout::TimeoutLayer};
use tower_traffic::{
    Chaos, Exchange, OnMiss, ReplayCache,
    chaos::{Behavior, Latency, Message, Stage, Trigger},
    store::Memory,
};

fn app() -> Router {
    Router::new().route("/users/{id}", get(async || "bob"))
}

fn unavailable() -> Behavior {
    Behavior::status(StatusCode::SERVICE_UNAVAILABLE)
}

fn asking() -> Request<Body> {
    let request = Request::get("/users/1").body(Body::empty());
    request.expect("a request")
}

async fn answer(app: &Router) -> Answer {
    ask(app, asking()).await
}

/// Waits for `count` exchanges, and returns the recorded exchanges.
async fn recorded(recording: &Recording, count: u64) -> Vec<Exchange> {
    let stats = settled(&recording.layer().recorder(), count).await;
    assert_eq!(stats.served, count);
    let exchanges = recording.memory.exchanges();
    exchanges
        .iter()
        .map(|exchange| (**exchange).clone())
        .collect()
}

#[tokio::test]
async fn a_recorder_outside_of_chaos_records_the_faults_inside_the_original() {
    let (outside, inside) = (Recording::default(), Recording::default());
    let name = HeaderName::from_static("x-made");
    let made = Behavior::set_header(Message::Response, name, HeaderValue::from_static("up"));
    let stage = Stage::when(Trigger::once(), unavailable()).then(Stage::always(made));
    let app = app()
        .layer(inside.layer())
        .layer(Chaos::on(stage))
        .layer(outside.layer());
    assert_eq!(answer(&app).await.status, 503);
    assert_eq!(answer(&app).await.status, 200);

    let seen = async |record, count| {
        let exchanges: Vec<Exchange> = recorded(record, count).await;
        let responses = exchanges.into_iter().map(|exchange| exchange.response);
        let seen = responses.map(|response| {
            let response = response.expect("a response");
            let is_made = response.headers.get("x-made").is_some();
            (response.status.as_u16(), is_made)
        });
        seen.collect::<Vec<_>>()
    };
    assert_eq!(seen(&outside, 2).await, [(503, false), (200, true)]);
    assert_eq!(seen(&inside, 1).await, [(200, false)]);
}

#[tokio::test]
async fn inside_of_catch_panic_a_panic_of_chaos_is_a_500() {
    let app = app()
        .layer(Chaos::on(Behavior::throw("on purpose")))
        .layer(CatchPanicLayer::new());
    assert_eq!(answer(&app).await.status, 500);
}

#[tokio::test(start_paused = true)]
async fn a_recorder_outside_of_chaos_measures_its_latency_inside_it_does_not() {
    let (outside, inside) = (Recording::default(), Recording::default());
    let app = app()
        .layer(inside.layer())
        .layer(Chaos::on(Latency::fixed(Duration::from_secs(5))))
        .layer(outside.layer());
    assert_eq!(answer(&app).await.text(), "bob");
    let time = async |record| recorded(record, 1).await[0].time_to_head;
    assert_eq!(time(&outside).await, Some(Duration::from_secs(5)));
    assert_eq!(time(&inside).await, Some(Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn inside_of_a_timeout_its_latency_is_cut_outside_it_is_not() {
    let slow = Chaos::on(Latency::fixed(Duration::from_mins(1)));
    let status = StatusCode::REQUEST_TIMEOUT;
    let timeout = TimeoutLayer::with_status_code(status, Duration::from_secs(30));
    let inside = app().layer(slow.clone()).layer(timeout);
    assert_eq!(answer(&inside).await.status, 408);
    let outside = app().layer(timeout).layer(slow);
    assert_eq!(answer(&outside).await.status, 200);
}

#[tokio::test]
async fn a_cache_outside_of_chaos_keeps_the_faults() {
    for is_outside in [true, false] {
        let chaos = Chaos::on(Stage::when(Trigger::once(), unavailable()));
        let cache = ReplayCache::memory(&Memory::new()).on_miss(OnMiss::Record);
        let recorder = cache.recorder();
        let app = if is_outside {
            app().layer(chaos).layer(cache)
        } else {
            app().layer(cache).layer(chaos)
        };
        assert_eq!(answer(&app).await.status, 503);
        recorder.flush().await;
        let expected = if is_outside { 503 } else { 200 };
        assert_eq!(answer(&app).await.status, expected);
    }
}

#[tokio::test]
async fn chaos_on_a_router_knows_the_route() {
    let stage = Stage::when(Trigger::route("/users/{id}"), unavailable());
    let on_the_router = app().layer(Chaos::on(stage.clone()));
    assert_eq!(answer(&on_the_router).await.status, 503);
    let around_it = ServiceBuilder::new().layer(Chaos::on(stage)).service(app());
    assert_eq!(ask(&around_it, asking()).await.status, 200);
}

type Call = Request<Empty<Bytes>>;

/// A retry policy with the number of remaining attempts.
#[derive(Clone)]
struct Retry(u32);

impl<B, E> Policy<Call, http::Response<B>, E> for Retry {
    type Future = std::future::Ready<()>;

    fn retry(
        &mut self,
        _: &mut Call,
        result: &mut Result<http::Response<B>, E>,
    ) -> Option<Self::Future> {
        let has_failed = matches!(result, Ok(response) if response.status() == 503);
        self.0 -= 1;
        (has_failed && self.0 > 0).then(|| std::future::ready(()))
    }

    fn clone_request(&mut self, request: &Call) -> Option<Call> {
        Some(request.clone())
    }
}

fn call() -> Call {
    let request = Request::get("/").body(Empty::new());
    request.expect("a request")
}

/// Removes the body: a retry needs cloneable requests.
fn empty<B>(request: Request<B>) -> Call {
    request.map(|_| Empty::new())
}

#[tokio::test]
async fn inside_of_a_retry_chaos_affects_each_try_outside_the_call() {
    for is_inside in [true, false] {
        let chaos = Chaos::on(Stage::always(unavailable()).until(Trigger::countdown(2)));
        let engine = chaos.engine();
        let origin = Origin::saying("hello");
        let builder = ServiceBuilder::new();
        let status = if is_inside {
            let client = builder.retry(Retry(3)).layer(chaos).service(origin);
            ask(&client, call()).await.status
        } else {
            let client = builder
                .layer(chaos)
                .map_request(empty)
                .retry(Retry(3))
                .service(origin);
            ask(&client, call()).await.status
        };
        let expected = if is_inside { (200, 2) } else { (503, 1) };
        assert_eq!((status, engine.stats().affected), expected);
    }
}
