//! The claims of `src/docs/stacking.md` about servers.
//!
//! In a `Router`, the layer that is added last is outermost; in a `ServiceBuilder`, the first.

use std::{
    fs,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderName, HeaderValue, Request, StatusCode},
    routing::get,
};
use support::{Answer, Origin, Paper, Recording, ask, settled, soon};
use tokio::time::sleep;
use tower::{Layer, ServiceBuilder, limit::ConcurrencyLimitLayer, service_fn};
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::CompressionLayer,
    cors::CorsLayer,
    request_id::{MakeRequestUuid, SetRequestIdLayer},
    timeout::TimeoutLayer,
    validate_request::ValidateRequestHeaderLayer,
};
use tower_traffic::{
    DebugDump, Exchange, ExchangeEnd, OnMiss, ProxyHost, RecordTraffic, ReplayCache, ReplayStream,
    ReportLatency, store::Memory,
};

#[test]
fn every_claim_of_the_page_names_a_test() {
    let project = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let read = |path: &str| fs::read_to_string(project.join(path)).expect(path);
    let tests = ["servers", "clients", "chaos"];
    let tests = tests.map(|name| read(&format!("tests/stacking/{name}.rs")));
    let tests = tests.concat();
    let page = read("src/docs/stacking.md");
    let claims = page.lines().filter_map(|line| line.strip_suffix("` |"));
    let named: Vec<_> = claims.filter_map(|line| line.rsplit('`').next()).collect();
    assert!(named.len() > 20, "{}", named.len());
    for name in named {
        assert!(tests.contains(&format!("async fn {name}()")), "{name}");
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

fn app() -> Router {
    Router::new()
        .route("/users/{id}", get(async || "bob"))
        .route(
            "/panic",
            get(async || -> &'static str { panic!("on purpose") }),
        )
        .route("/slow", get(async || sleep(Duration::from_mins(1)).await))
        .route(
            "/text",
            get(async || "a text that is worth compressing. ".repeat(100)),
        )
}

fn asking(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).expect("a request")
}

async fn status(app: &Router, path: &str) -> StatusCode {
    let Answer { status, .. } = ask(app, asking(path)).await;
    StatusCode::from_u16(status).expect("a status")
}

/// Waits for `count` exchanges, asserts that the recorder saw exactly `count`, and returns the
/// exchanges.
async fn recorded(recording: &Recording, count: u64) -> Vec<Exchange> {
    let stats = settled(&recording.layer().recorder(), count).await;
    assert_eq!(stats.served, count);
    let exchanges = recording.memory.exchanges();
    exchanges
        .iter()
        .map(|exchange| (**exchange).clone())
        .collect()
}

/// Returns the recorded status, if the exchange has a response.
fn recorded_status(exchange: &Exchange) -> Option<u16> {
    let response = exchange.response.as_ref().ok()?;
    Some(response.status.as_u16())
}

/// A collection of the reported labels.
#[derive(Clone, Default)]
struct Reported(Arc<Mutex<Vec<String>>>);

impl Reported {
    fn layer(&self) -> ReportLatency {
        let this = self.clone();
        ReportLatency::labels(move |label, _| {
            this.0.lock().expect("no panic").push(label.to_owned());
        })
    }

    fn labels(&self) -> Vec<String> {
        self.0.lock().expect("no panic").clone()
    }
}

#[tokio::test]
async fn outside_of_catch_panic_the_500_is_recorded_inside_the_panic() {
    let (outside, inside) = (Recording::default(), Recording::default());
    let app = app()
        .layer(inside.layer())
        .layer(CatchPanicLayer::new())
        .layer(outside.layer());
    assert_eq!(status(&app, "/panic").await, 500);

    assert_eq!(recorded_status(&recorded(&outside, 1).await[0]), Some(500));
    let inside = &recorded(&inside, 1).await[0];
    assert!(matches!(inside.end(), ExchangeEnd::Error(error) if error.contains("panicked")));
}

#[tokio::test]
async fn outside_of_catch_panic_the_500_is_reported_inside_the_panic() {
    let (outside, inside) = (Reported::default(), Reported::default());
    let app = app()
        .layer(inside.layer())
        .layer(CatchPanicLayer::new())
        .layer(outside.layer());
    assert_eq!(status(&app, "/panic").await, 500);
    assert_eq!(outside.labels(), ["GET.panic.5xx.500"]);
    assert_eq!(inside.labels(), ["GET.panic.failed.panic"]);
}

#[tokio::test(start_paused = true)]
async fn outside_of_a_timeout_the_408_is_recorded_inside_that_the_caller_went_away() {
    let (outside, inside) = (Recording::default(), Recording::default());
    let timeout =
        TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_secs(1));
    let app = app()
        .layer(inside.layer())
        .layer(timeout)
        .layer(outside.layer());
    assert_eq!(status(&app, "/slow").await, 408);

    assert_eq!(recorded_status(&recorded(&outside, 1).await[0]), Some(408));
    assert_eq!(recorded(&inside, 1).await[0].end(), ExchangeEnd::ClientGone);
}

#[tokio::test]
async fn a_cache_outside_of_the_recorder_does_not_record_hits() {
    let record = Recording::default();
    let cache = Memory::new();
    let app = app()
        .layer(record.layer())
        .layer(ReplayCache::memory(&cache.clone()).on_miss(OnMiss::Record));
    assert_eq!(status(&app, "/users/1").await, 200);
    assert_eq!(status(&app, "/users/1").await, 200);
    assert_eq!(cache.exchanges().len(), 1, "the second was a hit");
    assert_eq!(recorded(&record, 1).await.len(), 1);
}

#[tokio::test]
async fn a_cache_inside_of_the_recorder_has_its_hits_recorded() {
    let record = Recording::default();
    let cache = Memory::new();
    let app = app()
        .layer(ReplayCache::memory(&cache.clone()).on_miss(OnMiss::Record))
        .layer(record.layer());
    assert_eq!(status(&app, "/users/1").await, 200);
    assert_eq!(status(&app, "/users/1").await, 200);
    assert_eq!(cache.exchanges().len(), 1, "the second was a hit");
    assert_eq!(recorded(&record, 2).await.len(), 2);
}

#[tokio::test]
async fn inside_of_compression_the_text_is_recorded_outside_the_encoded_bytes() {
    let (outside, inside) = (Recording::default(), Recording::default());
    let app = app()
        .layer(inside.layer())
        .layer(CompressionLayer::new())
        .layer(outside.layer());
    let mut request = asking("/text");
    let gzip = HeaderValue::from_static("gzip");
    request.headers_mut().insert("accept-encoding", gzip);
    ask(&app, request).await;

    let body = |exchange: &Exchange| {
        let response = exchange.response.as_ref().expect("a response");
        response.body.to_bytes()
    };
    assert!(body(&recorded(&inside, 1).await[0]).starts_with(b"a text"));
    assert!(body(&recorded(&outside, 1).await[0]).starts_with(b"\x1f\x8b"));
}

#[tokio::test]
async fn inside_of_the_request_id_it_is_recorded_with_it() {
    let (outside, inside) = (Recording::default(), Recording::default());
    let app = app()
        .layer(inside.layer())
        .layer(SetRequestIdLayer::new(REQUEST_ID, MakeRequestUuid))
        .layer(outside.layer());
    assert_eq!(status(&app, "/users/1").await, 200);

    let has_id = |exchange: &Exchange| exchange.request.headers.get("x-request-id").is_some();
    assert!(has_id(&recorded(&inside, 1).await[0]));
    assert!(!has_id(&recorded(&outside, 1).await[0]));
}

#[tokio::test]
async fn outside_of_authorization_the_rejected_are_recorded_inside_they_are_not() {
    let (outside, inside) = (Recording::default(), Recording::default());
    let app = app()
        .layer(inside.layer())
        .layer(ValidateRequestHeaderLayer::accept("application/json"))
        .layer(outside.layer());
    let mut request = asking("/users/1");
    let html = HeaderValue::from_static("text/html");
    request.headers_mut().insert("accept", html);
    assert_eq!(ask(&app, request).await.status, 406);

    assert_eq!(recorded_status(&recorded(&outside, 1).await[0]), Some(406));
    recorded(&inside, 0).await;
}

#[tokio::test]
async fn outermost_the_dump_shows_responses_of_other_layers() {
    let (outside, inside) = (Paper::default(), Paper::default());
    let (outer, inner) = (
        DebugDump::new(outside.clone()),
        DebugDump::new(inside.clone()),
    );
    let app = app()
        .layer(inner.clone())
        .layer(CatchPanicLayer::new())
        .layer(ValidateRequestHeaderLayer::accept("application/json"))
        .layer(outer.clone());
    let mut request = asking("/users/1");
    let html = HeaderValue::from_static("text/html");
    request.headers_mut().insert("accept", html);
    assert_eq!(ask(&app, request).await.status, 406);
    assert_eq!(status(&app, "/panic").await, 500);

    outer.printer().flush().await;
    inner.printer().flush().await;
    let (outside, inside) = (outside.text(), inside.text());
    assert!(outside.contains("406 Not Acceptable"), "{outside}");
    assert!(outside.contains("500 Internal Server Error"), "{outside}");
    assert!(!inside.contains("/users/1"), "{inside}");
    assert!(inside.contains("the service panicked"), "{inside}");
}

#[tokio::test]
async fn a_layer_sees_the_routes_before_it_and_the_fallback_but_no_route_after_it() {
    let record = Recording::default();
    let app = app()
        .layer(record.layer())
        .route("/health", get(async || "well"));
    assert_eq!(status(&app, "/users/1").await, 200);
    assert_eq!(status(&app, "/health").await, 200);
    assert_eq!(status(&app, "/nowhere").await, 404);
    let recorded = recorded(&record, 2).await;
    let paths: Vec<_> = recorded
        .iter()
        .map(|exchange| exchange.request.uri.path())
        .collect();
    assert_eq!(paths, ["/users/1", "/nowhere"]);
}

#[tokio::test]
async fn a_route_layer_does_not_see_unmatched_requests() {
    let record = Recording::default();
    let app = app().route_layer(record.layer());
    assert_eq!(status(&app, "/users/1").await, 200);
    assert_eq!(status(&app, "/nowhere").await, 404);
    recorded(&record, 1).await;
}

#[tokio::test]
async fn a_route_is_known_to_layers_of_the_router_and_not_around_it() {
    let (around, in_it) = (Reported::default(), Reported::default());
    let app = around.layer().layer(app().layer(in_it.layer()));
    assert_eq!(ask(&app, asking("/users/1")).await.status, 200);
    assert_eq!(in_it.labels(), ["GET.users_:id.2xx.200"]);
    assert_eq!(around.labels(), ["GET.users_1.2xx.200"]);
}

#[tokio::test]
async fn inside_of_the_proxy_host_the_origin_is_recorded_outside_the_request_of_the_client() {
    let (outside, inside) = (Recording::default(), Recording::default());
    let proxy = Router::new()
        .fallback_service(Origin::saying("hello"))
        .layer(inside.layer())
        .layer(ProxyHost::https())
        .layer(outside.layer());
    let mut request = asking("/users/1");
    for (name, value) in [
        ("host", "example.com"),
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
    ] {
        request
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    ask(&proxy, request).await;
    ask(&proxy, asking("/without-host")).await;

    let inside = &recorded(&inside, 1).await[0];
    assert_eq!(inside.request.uri, "https://example.com/users/1");
    assert!(inside.request.headers.get("x-hop").is_none());
    let outside = recorded(&outside, 2).await;
    assert_eq!(outside[0].request.uri, "/users/1");
    assert!(outside[0].request.headers.get("x-hop").is_some());
    assert_eq!(
        recorded_status(&outside[1]),
        Some(400),
        "what the proxy refuses"
    );
}

#[tokio::test(start_paused = true)]
async fn a_recorder_inside_of_a_concurrency_limit_does_not_count_the_wait() {
    let (outside, inside) = (Recording::default(), Recording::default());
    let work = service_fn(async |_: Request<_>| {
        sleep(Duration::from_secs(1)).await;
        Ok::<_, std::convert::Infallible>(axum::response::Response::new(Body::empty()))
    });
    // A router calls its routes without waiting for readiness, so the wait is part of the call.
    let app = Router::new()
        .fallback_service(work)
        .layer(inside.layer())
        .layer(ConcurrencyLimitLayer::new(1))
        .layer(outside.layer());
    soon(async { tokio::join!(ask(&app, asking("/1")), ask(&app, asking("/2"))) }).await;

    let longest = |exchanges: Vec<Exchange>| {
        let times = exchanges
            .iter()
            .filter_map(|exchange| exchange.time_to_head);
        times.max().map(|time| time.as_secs())
    };
    assert_eq!(longest(recorded(&inside, 2).await), Some(1));
    assert_eq!(longest(recorded(&outside, 2).await), Some(2));
}

#[tokio::test]
async fn the_layers_go_below_those_that_answer_themselves() {
    // `CorsLayer` requires bodies with a default, and a `ServiceBuilder` does not convert bodies as
    // a router does.
    let service = ServiceBuilder::new()
        .layer(CorsLayer::permissive())
        .layer(ProxyHost::http())
        .layer(TimeoutLayer::with_status_code(
            StatusCode::REQUEST_TIMEOUT,
            Duration::from_secs(1),
        ))
        .layer(RecordTraffic::memory(&Memory::new()))
        .layer(CorsLayer::permissive())
        .layer(ReplayCache::memory(&Memory::new()))
        .layer(CorsLayer::permissive())
        .layer(ReplayStream::memory(&Memory::new()))
        .layer(CorsLayer::permissive())
        .service(app());
    let answer = ask(&service, asking("http://localhost/users/1")).await;
    assert_eq!(answer.status, 400, "the stream expects nothing");
}
