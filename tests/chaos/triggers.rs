//! Triggers, stages and faults of requests.

use std::{convert::Infallible, net::SocketAddr, num::NonZeroU64, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    routing::{get, post},
};
use bytes::Bytes;
use futures::{future::join_all, stream};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use tokio::time::{Instant, sleep, timeout};
use tower::{BoxError, Layer, ServiceExt, service_fn};
use tower_traffic::chaos::{
    Affected, Behavior, Chaos, ChaosBody, ConnectionBehavior, Decision, InjectedError, Latency,
    Message, Requests, Stage, Trigger, Variable,
};

const TEXT: &str = "hello, world";

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn fails() -> Behavior {
    Behavior::status(StatusCode::SERVICE_UNAVAILABLE)
}

/// Responds to each request with a text.
fn app<T>(chaos: &Chaos<T>) -> Router
where
    T: tower_traffic::chaos::ThrowHandler<std::convert::Infallible> + Clone + Send + Sync + 'static,
{
    let routes = get(async || TEXT).post(async |body: String| body);
    Router::new()
        .route("/", routes.clone())
        .route("/health", routes)
        .layer(chaos.clone())
}

async fn ask(app: &Router, request: Request<Body>) -> Response<Body> {
    app.clone().oneshot(request).await.unwrap()
}

fn request(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

async fn status(app: &Router) -> u16 {
    ask(app, request("/")).await.status().as_u16()
}

async fn statuses(app: &Router, count: usize) -> Vec<u16> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(status(app).await);
    }
    all
}

async fn text(response: Response<Body>) -> Result<String, axum::Error> {
    let bytes = response.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[tokio::test]
async fn chaos_is_disabled_until_enabled() {
    let chaos = Chaos::new();
    let engine = chaos.engine();
    let app = app(&chaos);
    assert_eq!(
        (status(&app).await, engine.to_string()),
        (200, "none".to_owned())
    );
    engine.enable();
    assert_eq!(
        (status(&app).await, engine.to_string()),
        (200, "Wait".to_owned())
    );
    engine.enable_with(fails());
    assert!(engine.is_enabled());
    assert_eq!(engine.to_string(), "Always ReturnStatus (503)");
    assert_eq!(status(&app).await, 503);
    engine.disable();
    assert_eq!(
        (status(&app).await, engine.to_string()),
        (200, "none".to_owned())
    );
    engine.toggle();
    assert_eq!(status(&app).await, 503);
    engine.toggle();
    assert_eq!(status(&app).await, 200);
}

#[tokio::test]
async fn a_response_names_its_fault() {
    let chaos = Chaos::on(fails()).http4k_header(true);
    let engine = chaos.engine();
    let app = app(&chaos);
    let response = ask(&app, request("/")).await;
    assert_eq!(response.headers()["x-chaos"], "Status 503");
    assert_eq!(response.headers()["x-http4k-chaos"], "Status 503");
    let decision = response.extensions().get::<Decision>().unwrap();
    assert_eq!(engine.decisions(), std::slice::from_ref(decision));
    assert_eq!((decision.ordinal, decision.seed), (0, engine.seed()));

    engine.disable();
    let response = ask(&app, request("/")).await;
    assert!(!response.headers().contains_key("x-chaos"));
}

#[tokio::test(start_paused = true)]
async fn latency_precedes_the_inner_service() {
    let began = Instant::now();
    let chaos = Chaos::on(Behavior::latency(Latency::fixed(ms(1_500)))).http4k_header(true);
    let service = chaos.layer(service_fn(async |_: Request<_>| {
        Ok::<_, BoxError>(Response::new(Full::from(Bytes::from(TEXT))))
    }));
    let response = service.oneshot(request("/")).await.unwrap();
    assert_eq!(began.elapsed(), ms(1_500));
    assert_eq!(response.headers()["x-http4k-chaos"], "Latency (1500ms)");
}

#[tokio::test]
async fn stages_follow_each_other() {
    let answer = |status: u16| Behavior::status(status.try_into().unwrap());
    let times = |count, status| Stage::always(answer(status)).until(Trigger::countdown(count));
    for (stage, expected) in [
        (times(3, 501), vec![501, 501, 501, 200, 200]),
        (
            times(2, 501).then(times(1, 502)),
            vec![501, 501, 502, 200, 200],
        ),
        (
            times(2, 501).then(times(1, 502)).repeat(),
            vec![501, 501, 502, 501, 501, 502, 501],
        ),
        (
            Stage::wait()
                .until(Trigger::countdown(2))
                .then(Stage::always(answer(503))),
            vec![200, 200, 503, 503],
        ),
        // `wait` keeps later stages from being consulted.
        (
            Stage::wait().then(Stage::always(answer(503))),
            vec![200, 200],
        ),
        // The next stage decides about a request without a match; only a finished stage stays finished.
        (
            Stage::when(Trigger::nth(NonZeroU64::new(2).unwrap()), answer(501))
                .then(times(1, 502))
                .repeat(),
            vec![502, 501, 200, 501, 200],
        ),
        // A repeated stage that finishes as soon as it starts.
        (
            Stage::wait().until(Trigger::always()).repeat(),
            vec![200, 200],
        ),
        (
            times(2, 501).repeat().until(Trigger::countdown(5)),
            vec![501, 501, 501, 501, 501, 200],
        ),
    ] {
        let text = stage.to_string();
        let app = app(&Chaos::on(stage));
        assert_eq!(statuses(&app, expected.len()).await, expected, "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn clocks_start_at_activation() {
    let hour = Duration::from_hours(1);
    for (trigger, expected) in [
        (Trigger::delay(hour), [200, 503, 503]),
        (Trigger::window(ms(1), hour), [200, 200, 200]),
        (Trigger::window(ms(0), hour), [503, 200, 200]),
        (Trigger::window(hour, hour * 2), [200, 503, 200]),
        (Trigger::ramp(0.0..=100.0, hour), [200, 503, 503]),
        (
            Trigger::deadline(std::time::SystemTime::now() + hour / 2),
            [200, 503, 503],
        ),
    ] {
        let app = app(&Chaos::on(Stage::when(trigger.clone(), fails())));
        let mut seen = Vec::new();
        for _ in 0..3 {
            seen.push(status(&app).await);
            tokio::time::advance(hour).await;
        }
        assert_eq!(seen, expected, "{trigger}");
    }
}

#[tokio::test]
async fn patterns_select_requests() -> Result<(), BoxError> {
    let any = Requests::any;
    for (requests, is_hit) in [
        (any(), true),
        (any().method("post"), true),
        (any().method("GET"), false),
        (any().method("no method"), false),
        (any().path("/")?, true),
        (any().path("")?, false),
        (any().host("example.com:80")?, true),
        (any().host("example")?, false),
        (any().query("a", "1|2")?, true),
        (any().query("a b", "ü")?, true),
        (any().query("a", "")?, false),
        (any().header("X", "two")?, true),
        (any().header("x", "three")?, false),
        (any().body("hel+o")?, true),
        (any().body("hel")?, false),
        (any().method("POST").body(".*")?.path("/other")?, false),
    ] {
        let chaos = Chaos::on(Stage::when(Trigger::requests(requests.clone()), fails()));
        let request = Request::post("http://user@example.com:80/?a=0&a=2&a+b=%C3%BC")
            .header("host", "other")
            .header("x", "one")
            .header("x", "two")
            .body(Body::from("hello"))?;
        let response = ask(&app(&chaos), request).await;
        assert_eq!(response.status() == 503, is_hit, "{requests}");
        if !is_hit {
            assert_eq!(text(response).await?, "hello");
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_trigger_may_need_the_response() {
    let stage = Stage::when(
        Trigger::status(200..=299),
        Behavior::set_header(
            Message::Response,
            header::RETRY_AFTER,
            HeaderValue::from_static("1"),
        ),
    );
    let app = app(&Chaos::on(stage));
    let response = ask(&app, request("/")).await;
    assert_eq!(response.headers()["retry-after"], "1");
    let request = Request::delete("/").body(Body::empty()).unwrap();
    let response = ask(&app, request).await;
    assert_eq!(response.status(), 405);
    assert!(!response.headers().contains_key("retry-after"));
}

#[tokio::test(start_paused = true)]
async fn envoy_headers_ask_for_a_fault() {
    let chaos = Chaos::on(Stage::when(
        Trigger::envoy_fault_headers(),
        Behavior::envoy_fault_headers(ms(2_000)),
    ));
    let app = app(&chaos);
    for (name, value, expected, wait) in [
        ("x-envoy-fault-delay-request", "500", 200, 500),
        ("x-envoy-fault-delay-request", "86400000", 200, 2_000),
        ("x-envoy-fault-abort-request", "418", 418, 0),
        ("x-envoy-fault-abort-request", "42", 200, 0),
        ("x-envoy-fault-delay-request", "bob", 200, 0),
    ] {
        let began = Instant::now();
        let request = Request::get("/")
            .header(name, value)
            .body(Body::empty())
            .unwrap();
        let response = ask(&app, request).await;
        assert_eq!(response.status().as_u16(), expected, "{name}: {value}");
        assert_eq!(began.elapsed(), ms(wait), "{name}: {value}");
    }
}

/// Counts how many of a thousand requests with these headers are affected as `is_so` says.
async fn affected(
    headers: &[(&'static str, &str)],
    is_so: impl Fn(&Response<Body>) -> bool,
) -> usize {
    let stage = Stage::when(
        Trigger::envoy_fault_headers(),
        Behavior::envoy_fault_headers(ms(2_000)),
    );
    let app = app(&Chaos::on(stage));
    let mut count = 0;
    for _ in 0..1000 {
        let mut request = request("/");
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        count += usize::from(is_so(&ask(&app, request).await));
    }
    count
}

#[tokio::test(start_paused = true)]
async fn envoy_percentages_limit_a_fault_to_a_share_of_the_requests() {
    const ABORT: (&str, &str) = ("x-envoy-fault-abort-request", "503");
    const ABORTED: &str = "x-envoy-fault-abort-request-percentage";
    const DELAYED: &str = "x-envoy-fault-delay-request-percentage";
    for (percentage, range) in [
        ("0", 0..=0),
        ("25", 200..=300),
        ("100", 1000..=1000),
        ("250", 1000..=1000),
        // An invalid percentage is ignored.
        ("bob", 1000..=1000),
        ("-1", 1000..=1000),
    ] {
        let headers = [ABORT, (ABORTED, percentage)];
        let count = affected(&headers, |response| response.status() == 503).await;
        assert!(range.contains(&count), "{percentage}: {count}");
        // The percentage of another fault does not count.
        let headers = [ABORT, (DELAYED, percentage)];
        let count = affected(&headers, |response| response.status() == 503).await;
        assert_eq!(count, 1000);
        let delay = ("x-envoy-fault-delay-request", "100");
        let headers = [delay, (DELAYED, percentage)];
        let count = affected(&headers, |r| r.headers().contains_key("x-chaos")).await;
        assert!(range.contains(&count), "{percentage}: {count}");
    }
}

#[tokio::test]
async fn envoy_asks_for_a_grpc_status() {
    const GRPC: (&str, &str) = ("x-envoy-fault-abort-grpc-request", "14");
    let is_unavailable = |response: &Response<Body>| {
        let status = response.headers().get("grpc-status");
        response.status() == 200 && status.is_some_and(|status| status == "14")
    };
    assert_eq!(affected(&[GRPC], is_unavailable).await, 1000);
    let half = [GRPC, ("x-envoy-fault-abort-request-percentage", "50")];
    assert!((450..=550).contains(&affected(&half, is_unavailable).await));
    // The status of HTTP has precedence.
    let both = [GRPC, ("x-envoy-fault-abort-request", "503")];
    assert_eq!(
        affected(&both, |response| response.status() == 503).await,
        1000
    );
}

#[tokio::test(start_paused = true)]
async fn envoy_asks_for_a_rate() {
    let app = app(&Chaos::on(Behavior::envoy_fault_headers(ms(0))));
    let ask_with = async |headers: &[(&'static str, &str)]| {
        let mut request = Request::post("/")
            .body(Body::from(vec![b'x'; 4096]))
            .unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let began = Instant::now();
        let response = ask(&app, request).await;
        assert_eq!(text(response).await.unwrap().len(), 4096);
        began.elapsed()
    };
    let rate = ("x-envoy-fault-throughput-response", "1");
    let took = ask_with(&[rate]).await;
    assert!((ms(2_900)..ms(4_100)).contains(&took), "{took:?}");
    let none = ("x-envoy-fault-throughput-response-percentage", "0");
    assert_eq!(ask_with(&[rate, none]).await, ms(0));
}

#[tokio::test]
async fn a_grpc_status_is_a_head_without_a_body() {
    let chaos = Chaos::on(Behavior::grpc_status(14, "no 100% luck\n\u{fc}"));
    let response = ask(&app(&chaos), request("/")).await;
    assert_eq!(response.status(), 200);
    let headers = response.headers();
    assert_eq!(headers["content-type"], "application/grpc");
    assert_eq!(headers["grpc-status"], "14");
    assert_eq!(headers["grpc-message"], "no 100%25 luck%0A%C3%BC");
    assert_eq!(headers["x-chaos"], "ReturnGrpcStatus (14)");
    assert_eq!(text(response).await.unwrap(), "");

    let chaos = Chaos::on(Behavior::grpc_status(5, ""));
    let response = ask(&app(&chaos), request("/")).await;
    assert!(!response.headers().contains_key("grpc-message"));
}

#[tokio::test]
async fn long_texts_and_bodies_match_no_pattern() {
    let any = Requests::any;
    for (len, is_hit) in [(64 << 10, true), ((64 << 10) + 1, false)] {
        let long = "x".repeat(len);
        for requests in [any().body("x*").unwrap(), any().header("x", "x*").unwrap()] {
            let chaos = Chaos::on(Stage::when(Trigger::requests(requests), fails()));
            let request = Request::post("/")
                .header("x", &long)
                .body(Body::from(long.clone()))
                .unwrap();
            let response = ask(&app(&chaos), request).await;
            assert_eq!(response.status() == 503, is_hit, "{len}");
        }
    }
}

#[tokio::test]
async fn throwing_panics_or_fails() {
    let chaos = Chaos::on(Behavior::throw("foo"));
    let app = app(&chaos);
    let thrown = tokio::spawn(async move { status(&app).await }).await;
    let panic = thrown.unwrap_err().into_panic();
    assert_eq!(*panic.downcast::<String>().unwrap(), "foo");

    let chaos =
        Chaos::on(Behavior::throw("foo")).with_error(|message: &str| BoxError::from(message));
    let service = chaos.layer(service_fn(async |_: Request<_>| {
        Ok::<_, BoxError>(Response::new(Full::<Bytes>::default()))
    }));
    let error = service.oneshot(request("/")).await.unwrap_err();
    assert_eq!(error.to_string(), "foo");
}

#[tokio::test]
async fn lengths_agree_with_the_bytes_sent() {
    for seed in 0..20 {
        for behavior in [Behavior::no_body(), Behavior::snip_body()] {
            let chaos = Chaos::new().seed(seed).stage(behavior);
            chaos.engine().enable();
            let response = ask(&app(&chaos), request("/")).await;
            let said = response.headers()["x-chaos"].to_str().unwrap().to_owned();
            let length: usize = response.headers()["content-length"]
                .to_str()
                .unwrap()
                .parse()
                .unwrap();
            let text = text(response).await.unwrap();
            assert_eq!(text.len(), length);
            assert!(text.len() < TEXT.len() && TEXT.starts_with(&text));
            assert_eq!(said, format!("Snip body ({length}b)"));
        }
    }
}

#[tokio::test]
async fn a_body_is_aborted() {
    let chaos = Chaos::on(Behavior::break_after(Message::Response, 5));
    let mut body = ask(&app(&chaos), request("/")).await.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, TEXT[..5]);
    let error = body.frame().await.unwrap().unwrap_err().into_inner();
    assert_eq!(error.downcast::<InjectedError>().unwrap().after, 5);
}

#[tokio::test(start_paused = true)]
async fn a_body_is_sliced_and_throttled() {
    let rate = NonZeroU64::new(4).unwrap();
    for (behavior, frames, time) in [
        (Behavior::slice(Message::Response, 5, ms(100)), 3, 200),
        (Behavior::throttle(Message::Response, rate), 12, 2_750),
    ] {
        let began = Instant::now();
        let mut body = ask(&app(&Chaos::on(behavior)), request("/"))
            .await
            .into_body();
        let (mut all, mut count) = (Vec::new(), 0);
        while let Some(frame) = body.frame().await {
            all.extend(frame.unwrap().into_data().unwrap());
            count += 1;
        }
        assert_eq!((all, count), (TEXT.as_bytes().to_vec(), frames));
        assert_eq!(began.elapsed(), ms(time));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stalled_body_and_a_missing_response_wait() {
    let minute = Duration::from_mins(1);
    let chaos = Chaos::on(Behavior::never());
    let app_ = app(&chaos);
    assert!(tokio::time::timeout(minute, status(&app_)).await.is_err());
    assert_eq!(chaos.engine().stats().active, 0);

    let chaos = Chaos::on(Behavior::stall_after(Message::Response, 5));
    let mut body = ask(&app(&chaos), request("/")).await.into_body();
    let first = body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, TEXT[..5]);
    assert!(tokio::time::timeout(minute, body.frame()).await.is_err());
    assert_eq!(chaos.engine().stats().active, 1);
    drop(body);
    assert_eq!(chaos.engine().stats().active, 0);
}

#[tokio::test]
async fn a_request_is_changed_before_the_inner_service() {
    let chaos = Chaos::new().seed(3).stage(Behavior::snip_request_body());
    chaos.engine().enable();
    let request = Request::post("/")
        .header("content-length", 5)
        .body(Body::from("hello"))
        .unwrap();
    let got = text(ask(&app(&chaos), request).await).await.unwrap();
    assert!(got.len() < 5 && "hello".starts_with(&got), "{got}");
}

#[tokio::test]
async fn the_same_seed_decides_the_same() {
    let stage = Stage::when(
        Trigger::percentage(30.0),
        Behavior::latency(Latency::uniform(ms(0)..=ms(1))).and(Behavior::snip_body()),
    );
    let run = async |seed| {
        let chaos = Chaos::new().seed(seed).stage(stage.clone());
        let engine = chaos.engine();
        engine.enable();
        let app = app(&chaos);
        let mut bodies = Vec::new();
        for _ in 0..50 {
            bodies.push(text(ask(&app, request("/")).await).await.unwrap());
        }
        (engine.decisions(), bodies)
    };
    let (first, second, other) = (run(7).await, run(7).await, run(8).await);
    assert_eq!(first, second);
    assert_ne!(first.0, other.0);

    // An engine with another seed repeats the decisions.
    let chaos = Chaos::new().seed(9);
    chaos.engine().enable_again(first.0);
    let app = app(&chaos);
    for body in first.1 {
        assert_eq!(text(ask(&app, request("/")).await).await.unwrap(), body);
    }
}

#[tokio::test(start_paused = true)]
async fn expiry_exempt_routes_and_limits_apply() {
    let chaos = Chaos::new()
        .expire_after(Duration::from_mins(1))
        .exempt_route("/health")
        .max_concurrent(2)
        .stage(fails());
    let engine = chaos.engine();
    engine.enable();
    let app = app(&chaos);
    assert_eq!(ask(&app, request("/health")).await.status(), 200);
    let held = [ask(&app, request("/")).await, ask(&app, request("/")).await];
    assert_eq!(status(&app).await, 200);
    assert_eq!((engine.stats().active, engine.stats().capped), (2, 1));
    drop(held);
    assert_eq!(status(&app).await, 503);

    tokio::time::advance(Duration::from_mins(1)).await;
    assert!(!engine.is_enabled());
    assert_eq!(
        (status(&app).await, engine.to_string()),
        (200, "none".to_owned())
    );
    engine.enable();
    assert_eq!(status(&app).await, 503);
}

#[tokio::test(start_paused = true)]
async fn settings_apply_to_an_enabled_engine() {
    let chaos = Chaos::on(fails()).expire_after(ms(1_000));
    let service = app(&chaos);
    assert_eq!(chaos.engine().expires_in(), Some(ms(1_000)));
    assert_eq!(status(&service).await, 503);
    sleep(ms(1_000)).await;
    assert_eq!(status(&service).await, 200);
    assert!(!chaos.engine().is_enabled());

    let later = Stage::wait()
        .until(Trigger::delay(ms(500)))
        .then(Stage::always(fails()));
    let chaos = Chaos::on(fails()).expire_after(ms(1_000)).stage(later);
    let service = app(&chaos);
    assert_eq!(status(&service).await, 200);
    sleep(ms(500)).await;
    assert_eq!(status(&service).await, 503);
    sleep(ms(500)).await;
    assert_eq!(status(&service).await, 200);
}

#[tokio::test(start_paused = true)]
async fn settings_apply_to_all_layers_of_an_engine() {
    let chaos = Chaos::new();
    let engine = chaos.engine();
    let app = app(&chaos);
    let _ = Chaos::with_engine(&engine)
        .seed(7)
        .exempt_route("/health")
        .expire_after(Duration::from_mins(1))
        .max_decisions(1);
    engine.enable_with(fails());
    assert_eq!(engine.seed(), 7);
    assert_eq!(statuses(&app, 2).await, [503, 503]);
    assert_eq!(engine.decisions().len(), 1);
    assert_eq!(ask(&app, request("/health")).await.status(), 200);
    tokio::time::advance(Duration::from_mins(1)).await;
    assert_eq!(status(&app).await, 200);
}

#[tokio::test(start_paused = true)]
async fn no_body_of_an_exempt_route_is_read_ahead() {
    let on_bodies = Trigger::requests(Requests::any().body(".*").unwrap());
    let chaos = Chaos::on(Stage::when(on_bodies, fails())).exempt_route("/health");
    let app = Router::new()
        .route("/health", post(async || TEXT))
        .layer(chaos);
    // The body has no end.
    let body = Body::from_stream(stream::pending::<Result<Bytes, BoxError>>());
    let request = Request::post("/health").body(body).unwrap();
    let response = timeout(ms(1_000), ask(&app, request)).await;
    assert_eq!(response.expect("an answer").status(), 200);
}

#[tokio::test(start_paused = true)]
async fn early_decisions_follow_the_order_of_requests() {
    let stage = Stage::when(Trigger::percentage(50.0), fails())
        .until(Trigger::countdown(5))
        .then(Stage::when(
            Trigger::status(418..=418) & Trigger::nth(NonZeroU64::MIN),
            Behavior::none(),
        ))
        .then(Stage::when(
            Trigger::nth(NonZeroU64::new(4).unwrap()),
            Behavior::status(StatusCode::BAD_GATEWAY),
        ));
    // Responses arrive in another order than requests.
    let run = async |slow: fn(u64) -> u64| {
        let chaos = Chaos::on(stage.clone()).seed(1);
        let engine = chaos.engine();
        let answer = move |request: Request<ChaosBody<Body>>| async move {
            let number = request.uri().path()[1..].parse().unwrap();
            sleep(ms(slow(number))).await;
            Ok::<_, Infallible>(Response::new(Body::from(TEXT)))
        };
        let service = chaos.layer(service_fn(answer));
        let calls = (0..12).map(|n| service.clone().oneshot(request(&format!("/{n}"))));
        let answers = join_all(calls).await;
        let statuses: Vec<_> = answers.iter().flatten().map(Response::status).collect();
        // The last stage decides in the order of responses.
        let is_early = |decision: &Decision| decision.behavior == fails();
        let decisions = engine.decisions().into_iter();
        (
            decisions.filter(is_early).collect::<Vec<_>>(),
            statuses.iter().filter(|status| **status != 200).count(),
        )
    };
    let one = run(|n| n * 10).await;
    let other = run(|n| 100 - n).await;
    assert!(one.0.len() > 1, "{one:?}");
    assert_eq!(one, other);
}

#[tokio::test(start_paused = true)]
async fn a_body_is_read_only_when_a_trigger_needs_it() {
    let on_bodies = Trigger::requests(Requests::any().body("it").unwrap());
    let stage = Stage::when(Trigger::nth(NonZeroU64::new(2).unwrap()), fails())
        .then(Stage::when(
            on_bodies,
            Behavior::status(StatusCode::IM_A_TEAPOT),
        ))
        .then(Stage::when(
            Trigger::status(200..=200),
            Behavior::status(StatusCode::NOT_FOUND),
        ));
    let app = app(&Chaos::on(stage));
    let post = |body| ask(&app, Request::post("/").body(body).unwrap());
    assert_eq!(post(Body::from("it")).await.status(), 418);
    // The body has no end, and no trigger needs it.
    let endless = Body::from_stream(stream::pending::<Result<Bytes, BoxError>>());
    let answer = timeout(ms(1_000), post(endless)).await;
    assert_eq!(answer.expect("an answer").status(), 503);
    assert_eq!(post(Body::from("other")).await.status(), 404);
}

#[tokio::test]
async fn a_variable_can_be_changed() {
    let variable = Variable::new(fails());
    let chaos = Chaos::on(Stage::always(&variable));
    let app = app(&chaos);
    assert_eq!(status(&app).await, 503);
    variable.set(Behavior::status(StatusCode::NOT_FOUND));
    assert_eq!(status(&app).await, 404);
}

#[tokio::test]
async fn connection_behaviors_do_not_affect_requests() {
    let refuse = ConnectionBehavior::refuse;
    // If one occurrence counted for both, two requests would be left for the second.
    let chaos = Chaos::on(vec![
        Stage::always(refuse()).until(Trigger::once()),
        Stage::when(Trigger::once(), refuse()),
        Stage::when(Trigger::once(), fails()),
        Stage::when(Trigger::countdown(1), fails()).until(Trigger::countdown(3)),
    ]);
    let engine = chaos.engine();
    let app = app(&chaos);
    assert_eq!(statuses(&app, 6).await, [503, 200, 503, 503, 200, 200]);
    let text = engine.to_string();
    assert!(text.contains("RefuseConnection until Once"), "{text}");
    assert_eq!(
        (engine.stats().requests, engine.stats().connections),
        (6, 0)
    );
    let decisions = engine.decisions();
    assert!(decisions.iter().all(|one| one.on == Affected::Request));

    // Behaviors of different targets cannot be combined: the second is ignored.
    assert_eq!(fails().and(refuse().into()), fails());
    assert_eq!(Behavior::from(refuse()).and(fails()), refuse().into());
    let both = refuse().and(ConnectionBehavior::never());
    assert_eq!(
        Behavior::from(refuse()).and(ConnectionBehavior::never().into()),
        both.into()
    );
}

#[tokio::test]
async fn a_client_trigger_matches_by_network() {
    for (network, address, fires) in [
        ("10.0.0.0/8", "10.255.0.1", true),
        ("10.0.0.0/8", "11.0.0.1", false),
        ("10.1.2.3/8", "10.9.9.9", true),
        ("0.0.0.0/0", "192.0.2.1", true),
        ("192.0.2.1/32", "192.0.2.1", true),
        ("192.0.2.1/32", "192.0.2.2", false),
        // A socket that listens on IPv6 and IPv4 sees IPv4 clients at mapped addresses.
        ("10.0.0.0/8", "::ffff:10.0.0.1", true),
        ("10.0.0.0/8", "::ffff:11.0.0.1", false),
        ("0.0.0.0/0", "2001:db8::1", false),
        ("2001:db8::/32", "2001:db8::1", true),
        ("2001:db8::/32", "2001:db9::1", false),
        ("::/0", "::ffff:10.0.0.1", false),
    ] {
        let trigger = Trigger::client(network.parse().unwrap());
        let app = app(&Chaos::on(Stage::when(trigger, fails())));
        let address = SocketAddr::new(address.parse().unwrap(), 80);
        let mut by_axum = request("/");
        by_axum.extensions_mut().insert(ConnectInfo(address));
        let mut by_hand = request("/");
        by_hand.extensions_mut().insert(address);
        for request in [by_axum, by_hand] {
            let failed = ask(&app, request).await.status() == 503;
            assert_eq!(failed, fires, "{address} in {network}");
        }
        assert_eq!(status(&app).await, 200, "without an address");
    }
}
