//! The control API: answers, access control, exemption from chaos.

use std::time::Duration;

use axum::{Router, body::Body, routing::get};
use http::{Request, Response, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tower::{Layer, ServiceExt};
use tower_traffic::chaos::{Behavior, Chaos, ChaosApi, ChaosEngine};

const STATUS_503: &str = r#"{"type": "trigger", "trigger": {"type": "always"},
    "behaviour": {"type": "status", "status": 503}}"#;

fn engine() -> ChaosEngine {
    Chaos::new().engine()
}

fn users() -> Router {
    Router::new().route("/users", get(async || "bob"))
}

fn fails() -> Behavior {
    Behavior::status(StatusCode::INTERNAL_SERVER_ERROR)
}

async fn send(app: &Router, request: Request<Body>) -> Response<Body> {
    app.clone().oneshot(request).await.unwrap()
}

async fn body_of(response: Response<Body>) -> Vec<u8> {
    let body = response.into_body().collect().await.unwrap();
    body.to_bytes().into()
}

async fn json_of(response: Response<Body>) -> Value {
    assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    serde_json::from_slice(&body_of(response).await).unwrap()
}

fn asks(method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .body(body.into())
        .unwrap()
}

/// Status and JSON.
async fn ask(app: &Router, method: &str, path: &str, body: impl Into<Body>) -> (u16, Value) {
    let response = send(app, asks(method, path, body)).await;
    (response.status().as_u16(), json_of(response).await)
}

async fn users_status(app: &Router) -> u16 {
    let response = send(app, asks("GET", "/users", "")).await;
    response.status().as_u16()
}

fn says(text: &str) -> (u16, Value) {
    (200, json!({ "chaos": text }))
}

#[tokio::test]
async fn routes_behave_as_in_http4k() {
    let app = ChaosApi::new(&engine()).beside(users());
    let on = || says("Always ReturnStatus (503)");
    let steps = [
        ("GET", "/chaos/status", "", says("none"), 200),
        ("POST", "/chaos/activate", "", says("Wait"), 200),
        ("POST", "/chaos/activate", STATUS_503, on(), 503),
        ("GET", "/chaos/status", "", on(), 503),
        ("POST", "/chaos/deactivate", "", says("none"), 200),
        ("POST", "/chaos/toggle", "", on(), 503),
        ("POST", "/chaos/toggle", "", says("none"), 200),
        ("POST", "/chaos/activate", "", on(), 503),
        (
            "POST",
            "/chaos/activate/new",
            r#"[{"type": "wait"}]"#,
            says("Wait"),
            200,
        ),
    ];
    for (method, path, body, answer, after) in steps {
        assert_eq!(
            ask(&app, method, path, body).await,
            answer,
            "{method} {path}"
        );
        assert_eq!(users_status(&app).await, after, "{method} {path}");
    }
}

#[tokio::test]
async fn the_api_is_exempt_from_chaos() {
    let engine = engine();
    let api = || ChaosApi::new(&engine);
    let chaos = || Chaos::with_engine(&engine);
    let around = |router: Router| Router::new().fallback_service(chaos().layer(router));
    let mountings: [(&str, &str, Router); 9] = [
        ("beside", "/chaos", api().beside(users())),
        (
            "merged, then layered",
            "/chaos",
            users().merge(api().router()).layer(chaos()),
        ),
        (
            "around the whole router",
            "/chaos",
            around(users().merge(api().router())),
        ),
        (
            "nested, then layered",
            "/x/chaos",
            users().nest("/x", api().router()).layer(chaos()),
        ),
        (
            "nested, and around the whole router",
            "/x/y/chaos",
            around(users().nest("/x", Router::new().nest("/y", api().router()))),
        ),
        (
            "below a parameter",
            "/acme/chaos",
            users().nest("/{tenant}", api().router()).layer(chaos()),
        ),
        (
            "as a service",
            "/x/chaos",
            users()
                .nest_service("/x", api().router::<()>())
                .layer(chaos()),
        ),
        (
            "as the fallback",
            "/chaos",
            users()
                .fallback_service(api().router::<()>())
                .layer(chaos()),
        ),
        (
            "beside twice",
            "/other",
            api().path("other").beside(api().beside(users())),
        ),
    ];
    for (name, base, app) in mountings {
        engine.enable_with(fails());
        assert_eq!(users_status(&app).await, 500, "{name}");
        let before = engine.stats();
        for (method, route, status) in [
            ("GET", "/status", 200),
            ("GET", "/ui", 200),
            ("GET", "/deactivate", 405),
            ("POST", "/deactivate", 200),
        ] {
            let path = format!("{base}{route}");
            let answered = send(&app, asks(method, &path, "")).await.status();
            assert_eq!(answered, status, "{name}: {method} {path}");
        }
        assert!(!engine.is_enabled(), "{name}");
        assert_eq!(engine.stats(), before, "{name}: they are not counted");
    }
}

#[tokio::test]
async fn similar_paths_are_under_chaos() {
    let engine = engine();
    let users = users()
        .route("/users/{id}", get(async || "bob"))
        .route("/chaos-monkey", get(async || "bob"));
    let app = ChaosApi::new(&engine).beside(users);
    engine.enable_with(fails());
    for path in ["/chaos-monkey", "/users/chaos", "/nowhere", "/x/chaos/none"] {
        let status = send(&app, asks("GET", path, "")).await.status();
        assert_eq!(status, 500, "{path}");
    }
    let (status, _) = ask(&app, "GET", "/chaos/none", "").await;
    assert_eq!(status, 404);
}

fn with(mut request: Request<Body>, headers: &[(&'static str, &str)]) -> Request<Body> {
    for (name, value) in headers {
        request.headers_mut().append(*name, value.parse().unwrap());
    }
    request
}

#[tokio::test]
async fn the_token_is_required() {
    let engine = engine();
    let app = ChaosApi::new(&engine).token("s3cret").beside(users());
    let routes = [
        ("GET", "/chaos/status"),
        ("POST", "/chaos/activate"),
        ("POST", "/chaos/activate/new"),
        ("POST", "/chaos/deactivate"),
        ("POST", "/chaos/toggle"),
        ("POST", "/chaos/activate/again"),
        ("GET", "/chaos"),
        ("GET", "/chaos/"),
        ("GET", "/chaos/state"),
        ("GET", "/chaos/decisions"),
        ("GET", "/chaos/none"),
        ("DELETE", "/chaos/toggle"),
    ];
    for (method, path) in routes {
        let wrong = [
            None,
            Some("Bearer"),
            Some("Bearer "),
            Some("Bearer s3cre"),
            Some("Bearer s3cret2"),
            Some("Bearer S3CRET"),
            Some("Basic s3cret"),
            Some("s3cret"),
        ];
        for credentials in wrong {
            let headers = credentials.map(|text| ("authorization", text));
            let request = with(asks(method, path, STATUS_503), headers.as_slice());
            let response = send(&app, request).await;
            assert_eq!(response.status(), 401, "{method} {path} {credentials:?}");
            assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
            let problem = json_of(response).await;
            assert_eq!(problem["path"], Value::Null);
            assert!(problem["error"].as_str().unwrap().contains("Bearer"));
        }
        assert!(!engine.is_enabled());
        for credentials in ["Bearer s3cret", "bearer s3cret", "BEARER  s3cret"] {
            let request = with(
                asks(method, path, STATUS_503),
                &[("authorization", credentials)],
            );
            let response = send(&app, request).await;
            assert_ne!(response.status(), 401, "{method} {path} {credentials}");
        }
        engine.disable();
    }
    // The page has no secrets.
    let page = send(&app, asks("GET", "/chaos/ui", "")).await;
    assert_eq!(page.status(), 200);
    assert_eq!(users_status(&app).await, 200);
}

#[tokio::test]
async fn an_empty_token_refuses_every_request() {
    let app = ChaosApi::new(&engine()).token("").router();
    for credentials in ["", "Bearer", "Bearer "] {
        let request = asks("GET", "/chaos/status", "");
        let request = with(request, &[("authorization", credentials)]);
        assert_eq!(send(&app, request).await.status(), 401);
    }
}

#[tokio::test]
async fn cross_site_requests_are_refused() {
    let engine = engine();
    let app = ChaosApi::new(&engine)
        .allow_origin("https://ops.example")
        .router();
    let host = ("host", "localhost:8000");
    let cases: &[(&[(&str, &str)], u16)] = &[
        (&[], 200),
        (&[("sec-fetch-site", "same-origin")], 200),
        (&[("sec-fetch-site", "none")], 200),
        (&[("sec-fetch-site", "cross-site")], 403),
        (&[("sec-fetch-site", "same-site")], 403),
        (&[("origin", "http://localhost:8000")], 200),
        (&[("origin", "http://LOCALHOST:8000")], 200),
        (&[("origin", "http://localhost:8001")], 403),
        (&[("origin", "http://localhost")], 403),
        (&[("origin", "https://evil.example")], 403),
        (&[("origin", "null")], 403),
        (&[("origin", "")], 403),
        (&[("origin", "https://ops.example")], 200),
        (&[("origin", "https://ops.example.evil.example")], 403),
        (
            &[
                ("origin", "https://ops.example"),
                ("sec-fetch-site", "cross-site"),
            ],
            200,
        ),
        (
            &[
                ("origin", "http://localhost:8000"),
                ("sec-fetch-site", "cross-site"),
            ],
            403,
        ),
    ];
    for (headers, status) in cases {
        for path in ["activate", "activate/new", "toggle", "deactivate"] {
            engine.disable();
            let request = asks("POST", &format!("/chaos/{path}"), STATUS_503);
            let request = with(with(request, &[host]), headers);
            let answered = send(&app, request).await;
            assert_eq!(answered.status(), *status, "{path} {headers:?}");
            let is_on = *status == 200 && path != "deactivate";
            assert_eq!(engine.is_enabled(), is_on, "{path} {headers:?}");
        }
        let request = with(asks("GET", "/chaos/status", ""), headers);
        assert_eq!(send(&app, request).await.status(), 200, "{headers:?}");
    }
    // In HTTP/2 the URI has the host.
    let request = asks("POST", "http://localhost:8000/chaos/toggle", "");
    let request = with(request, &[("origin", "http://localhost:8000")]);
    assert_eq!(send(&app, request).await.status(), 200);
}

#[tokio::test]
async fn cors_is_limited_to_allowed_origins() {
    let preflight = |origin: &str| {
        with(
            asks("OPTIONS", "/chaos/activate", ""),
            &[
                ("origin", origin),
                ("access-control-request-method", "POST"),
                ("access-control-request-headers", "authorization"),
            ],
        )
    };
    let closed = ChaosApi::new(&engine()).router();
    let response = send(&closed, preflight("https://ops.example")).await;
    assert_eq!(response.status(), 405);
    assert!(
        !response
            .headers()
            .contains_key("access-control-allow-origin")
    );

    let open = ChaosApi::new(&engine())
        .token("s3cret")
        .allow_origin("https://ops.example")
        .router();
    let response = send(&open, preflight("https://ops.example")).await;
    let headers = response.headers();
    assert_eq!(response.status(), 200);
    assert_eq!(
        headers["access-control-allow-origin"],
        "https://ops.example"
    );
    assert_eq!(headers["access-control-allow-methods"], "GET,POST");
    let response = send(&open, preflight("https://evil.example")).await;
    assert!(
        !response
            .headers()
            .contains_key("access-control-allow-origin")
    );
    // Refusals have CORS headers, too.
    let request = with(
        asks("GET", "/chaos/status", ""),
        &[("origin", "https://ops.example")],
    );
    let response = send(&open, request).await;
    assert_eq!(response.status(), 401);
    assert!(
        response
            .headers()
            .contains_key("access-control-allow-origin")
    );
}

#[tokio::test]
async fn a_wrong_method_is_answered_with_allow() {
    let app = ChaosApi::new(&engine()).router();
    for (path, allowed) in [
        ("/chaos/status", "GET,HEAD"),
        ("/chaos", "GET,HEAD"),
        ("/chaos/", "GET,HEAD"),
        ("/chaos/state", "GET,HEAD"),
        ("/chaos/decisions", "GET,HEAD"),
        ("/chaos/activate/again", "POST"),
        ("/chaos/ui", "GET,HEAD"),
        ("/chaos/activate", "POST"),
        ("/chaos/activate/new", "POST"),
        ("/chaos/deactivate", "POST"),
        ("/chaos/toggle", "POST"),
    ] {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
            if allowed.split(',').any(|allowed| allowed == method) {
                continue;
            }
            let response = send(&app, asks(method, path, "")).await;
            assert_eq!(response.status(), 405, "{method} {path}");
            assert_eq!(response.headers()[header::ALLOW], allowed);
            assert_eq!(json_of(response).await["path"], Value::Null);
        }
    }
}

#[tokio::test]
async fn the_page_runs_only_its_own_script() {
    let app = ChaosApi::new(&engine())
        .path("/a/b/")
        .token("s3cret")
        .router();
    let response = send(&app, asks("GET", "/a/b/ui", "")).await;
    assert_eq!(response.status(), 200);
    let headers = response.headers().clone();
    assert_eq!(headers[header::CONTENT_TYPE], "text/html; charset=utf-8");
    assert_eq!(headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
    let policy = headers[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    for part in [
        "default-src 'none'",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "script-src 'sha256-",
        "style-src 'sha256-",
    ] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe"), "{policy}");
    let html = String::from_utf8(body_of(response).await).unwrap();
    // Scripts with attributes and inline handlers have no hash, so the policy would block them.
    assert_eq!(
        html.matches("<script").count(),
        html.matches("<script>").count()
            + html.matches("<script type=\"application/json\"").count()
    );
    assert_eq!(
        html.matches("<style").count(),
        html.matches("<style>").count()
    );
    for barred in [
        " style=",
        " onclick=",
        " src=",
        "href=\"http",
        "url(",
        "@import",
        "innerHTML",
        "javascript:",
    ] {
        assert!(!html.contains(barred), "{barred}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_state_is_complete() {
    let engine = Chaos::new()
        .seed(u64::MAX)
        .expire_after(Duration::from_mins(1))
        .engine();
    let app = ChaosApi::new(&engine).beside(users());
    let (_, reported) = ask(&app, "GET", "/chaos/state", "").await;
    let counts = json!({
        "requests": 0, "connections": 0, "affected": 0, "active": 0, "capped": 0,
        "byBehaviour": {},
    });
    assert_eq!(
        reported,
        json!({
            "enabled": false,
            "chaos": "none",
            "stage": "Wait",
            "document": {"type": "wait"},
            "expiresInSeconds": null,
            "seed": "18446744073709551615",
            "stats": counts,
        })
    );

    let document = r#"{"type": "trigger", "behaviour": {"type": "status", "status": "418"},
        "trigger": {"type": "countdown", "count": 2}}"#;
    ask(&app, "POST", "/chaos/activate", document).await;
    for status in [200, 200, 418] {
        assert_eq!(users_status(&app).await, status);
    }
    tokio::time::advance(Duration::from_millis(15_500)).await;
    let (_, reported) = ask(&app, "GET", "/chaos/state", "").await;
    let text = "Countdown (0 remaining) ReturnStatus (418)";
    let counts = json!({
        "requests": 3, "connections": 0, "affected": 1, "active": 0, "capped": 0,
        "byBehaviour": {"status": 1},
    });
    let document = json!({
        "type": "trigger",
        "trigger": {"type": "countdown", "count": 2},
        "behaviour": {"type": "status", "status": 418},
    });
    let on = json!({
        "enabled": true,
        "chaos": text,
        "stage": text,
        "document": document,
        "expiresInSeconds": 44.5,
        "seed": "18446744073709551615",
        "stats": counts,
    });
    assert_eq!(reported, on);

    tokio::time::advance(Duration::from_secs(45)).await;
    let (_, reported) = ask(&app, "GET", "/chaos/state", "").await;
    let mut off = on;
    off["enabled"] = false.into();
    off["chaos"] = "none".into();
    off["expiresInSeconds"] = Value::Null;
    assert_eq!(reported, off);
}

/// Invalid documents, with the path and a part of the reason.
const BAD: &[(&str, &str, &str)] = &[
    ("", "$", "missing document"),
    (" \n", "$", "missing document"),
    ("hello", "$", "invalid JSON"),
    (r#"{"type": "wait""#, "$", "invalid JSON"),
    (r#"{"type": "wait"} {}"#, "$", "invalid JSON"),
    ("null", "$", "missing stage: expected an object"),
    ("42", "$", "expected an object"),
    ("[]", "$", "one or more"),
    ("[1]", "$[0]", "expected an object"),
    ("{}", "$.type", "missing stage type"),
    (r#"{"type": ["wait"]}"#, "$.type", "found an array"),
    (
        r#"{"type": "nap"}"#,
        "$.type",
        "expected one of wait, trigger, repeat",
    ),
    (r#"{"type": "repeat"}"#, "$.stages", "one or more"),
    (
        r#"{"type": "repeat", "stages": [{"type": "wait"}, {"type": "nap"}]}"#,
        "$.stages[1].type",
        "invalid stage type",
    ),
    (
        r#"{"type": "trigger", "behaviour": {"type": "none"}}"#,
        "$.trigger",
        "missing",
    ),
    (
        r#"{"type": "trigger", "trigger": {"type": "always"}}"#,
        "$.behaviour",
        "missing",
    ),
    (
        r#"{"type": "wait", "until": {"type": "sometimes"}}"#,
        "$.until.type",
        "invalid trigger type",
    ),
    (
        r#"{"type": "wait", "until": {"type": "countdown", "count": -1}}"#,
        "$.until.count",
        "whole number",
    ),
    (
        r#"{"type": "wait", "until": {"type": "countdown", "count": 1.5}}"#,
        "$.until.count",
        "whole number",
    ),
    (
        r#"{"type": "wait", "until": {"type": "countdown", "count": 18446744073709551616}}"#,
        "$.until.count",
        "whole number",
    ),
    (
        r#"{"type": "wait", "until": {"type": "percentage", "percentage": 101}}"#,
        "$.until.percentage",
        "0 to 100",
    ),
    (
        r#"{"type": "wait", "until": {"type": "delay", "period": "PT-1S"}}"#,
        "$.until.period",
        "zero or more",
    ),
    (
        r#"{"type": "wait", "until": {"type": "delay", "period": "soon"}}"#,
        "$.until.period",
        "PT0.1S",
    ),
    (
        r#"{"type": "wait", "until": {"type": "request", "path": "("}}"#,
        "$.until.path",
        "regular expression",
    ),
    (
        r#"{"type": "wait", "until": {"type": "request", "headers": {"a b": "x{1000}{1000}{1000}"}}}"#,
        "$.until.headers[\"a b\"]",
        "regular expression",
    ),
    (
        r#"[{"type": "wait"}, {"type": "trigger", "trigger": {"type": "always"},
        "behaviour": {"type": "latency", "min": "PT2S", "max": "PT1S"}}]"#,
        "$[1].behaviour.max",
        "`min` or longer",
    ),
    (
        r#"{"type": "trigger", "trigger": {"type": "always"},
        "behaviour": {"type": "status", "status": 42}}"#,
        "$.behaviour.status",
        "expected a status code from 200 to 999, found 42",
    ),
    (
        r#"{"type": "trigger", "trigger": {"type": "always"},
        "behaviour": {"type": "throttle", "bytesPerSecond": 1, "on": "toast"}}"#,
        "$.behaviour.on",
        "expected one of response, request, connection, found `toast`",
    ),
    (
        r#"{"type": "trigger", "trigger": {"type": "always"},
        "behaviour": {"type": "set-header", "name": "a b", "value": "c"}}"#,
        "$.behaviour.name",
        "invalid header name",
    ),
];

/// An app in the middle of a chaos stage, and its state.
async fn with_a_countdown_of_one() -> (Router, Value) {
    let app = ChaosApi::new(&engine()).beside(users());
    let document = r#"{"type": "trigger", "trigger": {"type": "countdown", "count": 2},
        "behaviour": {"type": "status", "status": 503}}"#;
    ask(&app, "POST", "/chaos/activate", document).await;
    assert_eq!(users_status(&app).await, 200);
    let (_, state) = ask(&app, "GET", "/chaos/state", "").await;
    assert_eq!(state["stage"], "Countdown (1 remaining) ReturnStatus (503)");
    (app, state)
}

#[tokio::test]
async fn an_invalid_document_changes_nothing() {
    let (app, before) = with_a_countdown_of_one().await;
    for (document, path, reason) in BAD {
        for route in ["activate", "activate/new"] {
            if document.is_empty() && route == "activate" {
                continue; // Without a body.
            }
            let (status, problem) = ask(&app, "POST", &format!("/chaos/{route}"), *document).await;
            assert_eq!(status, 400, "{route} {document}");
            assert_eq!(problem["path"], *path, "{problem} {document}");
            let error = problem["error"].as_str().unwrap();
            assert!(error.contains(reason), "{error} {document}");
        }
    }
    let bytes: [&[u8]; 2] = [b"\xff\xfe", b"{\"type\": \"wait\", \"a\": \"\xff\"}"];
    for not_utf8 in bytes {
        let (status, problem) = ask(&app, "POST", "/chaos/activate", not_utf8).await;
        assert_eq!((status, &problem["path"]), (400, &json!("$")), "{problem}");
    }
    let again = r#"[{"ordinal": 0, "seed": "1", "behaviour": {"type": "status", "status": 42}}]"#;
    let (status, problem) = ask(&app, "POST", "/chaos/activate/again", again).await;
    assert_eq!(status, 400);
    assert_eq!(problem["path"], "$[0].behaviour.status");
    assert_eq!(ask(&app, "GET", "/chaos/state", "").await, (200, before));
}

#[tokio::test]
async fn a_body_too_large_changes_nothing() {
    let (app, before) = with_a_countdown_of_one().await;
    let document = |length: usize| {
        let wait = r#"{"type": "wait"}"#;
        wait.to_owned() + &" ".repeat(length - wait.len())
    };
    for route in ["activate", "activate/new"] {
        let path = format!("/chaos/{route}");
        let (status, problem) = ask(&app, "POST", &path, document((1 << 20) + 1)).await;
        assert_eq!(status, 413);
        assert_eq!(problem["error"], "body too large: expected at most 1 MiB");
    }
    assert_eq!(ask(&app, "GET", "/chaos/state", "").await, (200, before));
    let largest = ask(&app, "POST", "/chaos/activate", document(1 << 20)).await;
    assert_eq!(largest, says("Wait"));
    let log = "[]".to_owned() + &" ".repeat((4 << 20) - 2);
    let (status, _) = ask(&app, "POST", "/chaos/activate/again", log.clone()).await;
    assert_eq!(status, 200);
    let (status, _) = ask(&app, "POST", "/chaos/activate/again", log + " ").await;
    assert_eq!(status, 413);
}

/// Each regular expression may need a megabyte.
#[tokio::test]
async fn the_number_of_regular_expressions_is_limited() {
    let (app, before) = with_a_countdown_of_one().await;
    let document = |count: usize, pattern: &str| {
        let headers: serde_json::Map<_, _> = (0..count)
            .map(|number| (format!("h{number}"), pattern.into()))
            .collect();
        let once = json!({"type": "once", "trigger": {"type": "request", "headers": headers}});
        json!([{"type": "wait", "until": once}]).to_string()
    };
    let many = document(50_000, "x{9999}");
    let (status, problem) = ask(&app, "POST", "/chaos/activate", many).await;
    assert_eq!((status, &problem["path"]), (400, &json!("$")));
    let error = problem["error"].as_str().unwrap();
    assert!(error.contains("found 50000"), "{error}");
    let (status, _) = ask(&app, "POST", "/chaos/activate", document(101, "x")).await;
    assert_eq!(status, 400);
    assert_eq!(ask(&app, "GET", "/chaos/state", "").await, (200, before));
    let (status, _) = ask(&app, "POST", "/chaos/activate", document(100, "x")).await;
    assert_eq!(status, 200);
}

/// The largest documents, on a thread with the stack of tokio's workers.
#[test]
fn no_document_overflows_the_stack() {
    let test = async {
        let (app, before) = with_a_countdown_of_one().await;
        let openings = [
            "[",
            r#"{"type":"repeat","stages":["#,
            r#"{"type":"wait","until":{"type":"not","trigger":"#,
            r#"{"type":"wait","until":{"type":"or","triggers":["#,
            r#"{"type":"trigger","trigger":{"type":"always"},"behaviour":{"type":"all","behaviours":["#,
        ];
        for opening in openings {
            let nested = opening.repeat((1 << 20) / opening.len());
            let (status, problem) = ask(&app, "POST", "/chaos/activate", nested).await;
            assert_eq!(status, 400, "{opening}");
            let error = problem["error"].as_str().unwrap();
            assert!(error.contains("recursion limit"), "{error}");
        }
        // The deepest document.
        let not = r#"{"type":"not","trigger":"#;
        let deepest = format!(
            r#"{{"type":"wait","until":{}{{"type":"always"}}{}}}"#,
            not.repeat(125),
            "}".repeat(125)
        );
        let (status, problem) = ask(&app, "POST", "/chaos/activate", deepest.clone() + "x").await;
        assert_eq!(status, 400, "{problem}");
        assert_eq!(ask(&app, "GET", "/chaos/state", "").await, (200, before));
        let (status, problem) = ask(&app, "POST", "/chaos/activate", deepest).await;
        assert_eq!(status, 200, "{problem}");

        // The widest document.
        let miss = r#"{"type":"trigger","trigger":{"type":"asked"},"behaviour":{"type":"none"}}"#;
        let wide = format!("[{}]", vec![miss; (1 << 20) / (miss.len() + 1)].join(","));
        let (status, reported) = ask(&app, "POST", "/chaos/activate", wide).await;
        assert_eq!(status, 200, "{reported}");
        assert_eq!(users_status(&app).await, 200);
        let (status, _) = ask(&app, "GET", "/chaos/state", "").await;
        assert_eq!(status, 200);
        let (status, reported) = ask(&app, "POST", "/chaos/deactivate", "").await;
        assert_eq!((status, reported), says("none"));
    };
    let thread = std::thread::Builder::new().stack_size(2 << 20);
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.unwrap().block_on(test);
    };
    thread.spawn(run).unwrap().join().unwrap();
}

#[tokio::test]
async fn decisions_are_repeated() {
    let first = ChaosApi::new(&engine()).beside(users());
    let document = r#"{"type": "trigger", "trigger": {"type": "nth", "n": 3},
        "behaviour": {"type": "status", "status": 503}}"#;
    ask(&first, "POST", "/chaos/activate", document).await;
    let mut statuses = Vec::new();
    for _ in 0..6 {
        statuses.push(users_status(&first).await);
    }
    assert_eq!(statuses, [200, 200, 503, 200, 200, 503]);
    let (status, decisions) = ask(&first, "GET", "/chaos/decisions", "").await;
    assert_eq!(status, 200);
    assert_eq!(decisions[0]["ordinal"], 2);
    assert_eq!(decisions[1]["text"], "Status 503");

    let second = ChaosApi::new(&engine()).beside(users());
    let log = decisions.to_string();
    let (status, said) = ask(&second, "POST", "/chaos/activate/again", log).await;
    assert_eq!(
        (status, &said["chaos"]),
        (200, &json!("Again (2 decisions)"))
    );
    let (_, state) = ask(&second, "GET", "/chaos/state", "").await;
    assert_eq!(state["chaos"], said["chaos"]);
    for status in statuses {
        assert_eq!(users_status(&second).await, status);
    }
}

#[tokio::test]
async fn the_api_works_over_a_socket() {
    let app = ChaosApi::new(&engine()).token("s3cret").beside(users());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let client = reqwest::Client::new();
    let status = async |path: &str| {
        let response = client.get(format!("{at}{path}")).send().await.unwrap();
        response.status().as_u16()
    };
    let post = async |path: &str, token: &str, body: &'static str| {
        let request = client.post(format!("{at}{path}")).bearer_auth(token);
        // The media type of `curl -d`.
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let response = request.body(body).send().await.unwrap();
        (
            response.status().as_u16(),
            response.json::<Value>().await.unwrap(),
        )
    };
    assert_eq!(status("/users").await, 200);
    assert_eq!(status("/chaos/status").await, 401);
    assert_eq!(status("/chaos/ui").await, 200);
    let (refused, _) = post("/chaos/activate", "guess", STATUS_503).await;
    assert_eq!((refused, status("/users").await), (401, 200));
    let on = post("/chaos/activate", "s3cret", STATUS_503).await;
    assert_eq!(on, says("Always ReturnStatus (503)"));
    assert_eq!(status("/users").await, 503);
    assert_eq!(status("/chaos/ui").await, 200);
    let off = post("/chaos/deactivate", "s3cret", "").await;
    assert_eq!(off, says("none"));
    assert_eq!(status("/users").await, 200);
    server.abort();
}
