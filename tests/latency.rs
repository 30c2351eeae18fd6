//! `ReportLatency`: one report per exchange with its times, and no effect on the traffic.

use std::{
    convert::Infallible,
    future::{pending, poll_fn},
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use axum::Router;
use bytes::Bytes;
use futures::FutureExt;
use http::{Method, Request, Response, Version, uri::Scheme};
use http_body::Frame;
use http_body_util::BodyExt;
use support::{
    Body, BoxError, Origin, Server, all_kinds, all_requests, ask, broken, channel, data, empty,
    fields, frames, full, get, http1, http2, read, reply, request, settled, soon, trailers, with,
};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimit, service_fn};
use tower_traffic::{
    ExchangeEnd, RecordTraffic, ReportLatency,
    latency::{Measurement, OTHER, ReportLatencyService, ResponseBody, ResponseFuture, to_tracing},
    store::Memory,
};

/// A collection of the reported measurements.
#[derive(Clone, Default)]
struct Reports(Arc<Mutex<Vec<Measurement>>>);

impl Reports {
    fn reporter(&self) -> impl Fn(&Measurement) + Send + Sync + 'static {
        let this = self.clone();
        move |latency| this.0.lock().expect("no panic").push(latency.clone())
    }

    fn all(&self) -> Vec<Measurement> {
        self.0.lock().expect("no panic").clone()
    }

    fn only(&self) -> Measurement {
        let all = self.all();
        assert_eq!(all.len(), 1, "{all:?}");
        all[0].clone()
    }

    fn routes(&self) -> Vec<String> {
        let all = self.all();
        all.iter()
            .map(|latency| latency.route().to_owned())
            .collect()
    }

    /// Waits for `count` reports: a client may receive the last byte before the server drops the
    /// body.
    async fn wait_for(&self, count: usize) -> Vec<Measurement> {
        soon(async {
            while self.all().len() < count {
                tokio::task::yield_now().await;
            }
        })
        .await;
        self.all()
    }
}

fn reporting() -> (ReportLatency, Reports) {
    let reports = Reports::default();
    (ReportLatency::new(reports.reporter()), reports)
}

fn status(latency: &Measurement) -> Option<u16> {
    latency.status().map(|status| status.as_u16())
}

// ---- endings

/// A body that panics when polled.
struct Panicking;

impl http_body::Body for Panicking {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        panic!("a body's own bug")
    }
}

/// Answers with the kind of exchange that the path names.
async fn ways(request: Request<impl http_body::Body>) -> Result<Response<Body>, BoxError> {
    let path = request.uri().path().to_owned();
    let with_length = |status, length, body| {
        let mut response = reply(status, body);
        response
            .headers_mut()
            .extend(fields([("content-length", length)]));
        response
    };
    Ok(match path.as_str() {
        "/empty" => reply(200, empty()),
        "/204" => reply(204, frames([])),
        "/304" => with_length(304, "5", frames([data("12345")])),
        "/101" => reply(101, frames([])),
        "/length" => with_length(200, "5", frames([data("12345")])),
        "/trailers" => reply(
            200,
            frames([data("few"), trailers(fields([("x-sum", "1")]))]),
        ),
        "/broken" => reply(200, frames([data("half"), broken("no more")])),
        "/500" => reply(500, full("sorry")),
        "/failed" => return Err("out of order".into()),
        "/hangs" => pending().await,
        "/panics" => panic!("a service's own bug"),
        "/body-panics" => reply(200, Panicking.boxed()),
        _ => reply(200, frames([data("one"), data("two")])),
    })
}

/// The part of the response that the client reads.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Reads {
    /// The whole body.
    All,
    /// One frame; the client drops the rest.
    One,
    /// The head; the client drops the body.
    Nothing,
    /// The client drops the call before the head arrives.
    NoHead,
}

async fn exchange<S, R>(service: S, method: &str, path: &str, reads: Reads)
where
    S: Service<Request<Body>, Response = Response<R>>,
    R: http_body::Body<Data = Bytes>,
{
    let mut call = Box::pin(service.oneshot(request(method, path, empty())));
    if reads == Reads::NoHead {
        assert!(
            poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx)))
                .await
                .is_pending()
        );
        return;
    }
    let read = async {
        let Ok(response) = call.await else { return };
        let mut body = Box::pin(response.into_body());
        match reads {
            Reads::All => while let Some(Ok(_)) = body.frame().await {},
            Reads::One => drop(body.frame().await),
            Reads::Nothing | Reads::NoHead => {}
        }
    };
    let _ = AssertUnwindSafe(read).catch_unwind().await;
}

/// Request, part of the response that is read, expected report, expected `error.type`.
const ENDINGS: [(&str, Reads, &str, &str); 17] = [
    ("GET /", Reads::All, "200 complete", ""),
    ("GET /empty", Reads::Nothing, "200 complete", ""),
    ("HEAD /length", Reads::Nothing, "200 complete", ""),
    ("CONNECT /", Reads::Nothing, "200 complete", ""),
    ("GET /204", Reads::Nothing, "204 complete", ""),
    ("GET /304", Reads::Nothing, "304 complete", ""),
    ("GET /101", Reads::Nothing, "101 complete", ""),
    ("GET /length", Reads::One, "200 complete", ""),
    ("GET /trailers", Reads::All, "200 complete", ""),
    ("GET /500", Reads::All, "500 complete", "500"),
    ("GET /", Reads::One, "200 client gone", "client_gone"),
    (
        "GET /length",
        Reads::Nothing,
        "200 client gone",
        "client_gone",
    ),
    ("GET /hangs", Reads::NoHead, "client gone", "client_gone"),
    (
        "GET /broken",
        Reads::All,
        "200 error: no more",
        "body_error",
    ),
    (
        "GET /body-panics",
        Reads::All,
        "200 error: the body panicked",
        "body_error",
    ),
    (
        "GET /failed",
        Reads::All,
        "error: out of order",
        "service_error",
    ),
    (
        "GET /panics",
        Reads::All,
        "error: the service panicked",
        "panic",
    ),
];

#[tokio::test]
async fn every_ending_is_reported_once_and_as_it_is_recorded() {
    for (asked, reads, reported, error_type) in ENDINGS {
        let what = format!("{asked} {reads:?}");
        let (method, path) = asked.split_once(' ').expect("a method and a path");
        let (report, reports) = reporting();
        let memory = Memory::new();
        let record = RecordTraffic::new(memory.clone());
        let service = report.layer(record.layer(service_fn(ways)));
        exchange(service, method, path, reads).await;

        let latency = reports.only();
        assert_eq!(latency.method().as_str(), method, "{what}");
        let status = status(&latency).map(|status| format!("{status} "));
        let ended = format!("{}{}", status.as_deref().unwrap_or_default(), latency.end());
        assert_eq!(ended, reported, "{what}");
        assert_eq!(
            latency.error_type().unwrap_or_default(),
            error_type,
            "{what}"
        );
        assert_eq!(latency.time_to_head().is_some(), status.is_some(), "{what}");
        settled(&record.recorder(), 1).await;
        let recorded = memory.exchanges()[0].end();
        assert_eq!(recorded, *latency.end(), "{what}");
    }
}

#[tokio::test]
async fn a_panic_in_the_call_itself_is_reported() {
    let (report, reports) = reporting();
    let mut service = report.layer(service_fn(
        |_: Request<Body>| -> std::future::Ready<Result<Response<Body>, Infallible>> {
            panic!("not even a future")
        },
    ));
    let call = AssertUnwindSafe(async { service.call(get("/")).await });
    assert!(call.catch_unwind().await.is_err());
    assert_eq!(reports.only().error_type(), Some("panic"));
}

#[test]
fn an_unpolled_body_is_reported_without_a_runtime() {
    let (report, reports) = reporting();
    let service = report.layer(Origin::saying("hello"));
    let response = futures::executor::block_on(service.oneshot(get("/")));
    assert!(reports.all().is_empty(), "it has not ended");
    drop(response);
    assert_eq!(*reports.only().end(), ExchangeEnd::ClientGone);
}

// ---- times

#[tokio::test(start_paused = true)]
async fn times_end_at_the_head_and_at_the_end() {
    let (report, reports) = reporting();
    let (events, body) = channel();
    let body = Arc::new(Mutex::new(Some(body)));
    let service = report.layer(Origin::waiting(move |_| {
        let body = body.lock().expect("no panic").take().expect("one request");
        async move {
            tokio::time::advance(Duration::from_secs(3)).await;
            reply(200, body)
        }
    }));
    let response = service.oneshot(get("/events")).await.expect("an answer");
    let mut body = response.into_body();
    for event in ["data: 1\n\n", "data: 2\n\n"] {
        tokio::time::advance(Duration::from_secs(2)).await;
        events.data(event);
        let frame = soon(body.frame()).await.expect("a frame").expect("a frame");
        assert_eq!(frame.into_data().expect("data"), event);
        assert!(reports.all().is_empty(), "it has not ended");
    }
    tokio::time::advance(Duration::from_millis(500)).await;
    drop(events);
    assert!(soon(body.frame()).await.is_none());
    tokio::time::advance(Duration::from_secs(9)).await;
    drop(body);

    let latency = reports.only();
    assert_eq!(latency.time_to_head(), Some(Duration::from_secs(3)));
    assert_eq!(latency.time_to_end(), Duration::from_millis(7_500));
    assert_eq!(
        latency.to_string(),
        "GET /events: 200 in 7.500s, head after 3.000s"
    );
}

#[tokio::test(start_paused = true)]
async fn a_failure_ends_the_times() {
    let (report, reports) = reporting();
    let service = report.layer(service_fn(async |_: Request<Body>| {
        tokio::time::advance(Duration::from_millis(1_250)).await;
        Err::<Response<Body>, _>("out of order")
    }));
    let error = service.oneshot(get("/")).await.expect_err("an error");
    assert_eq!(error, "out of order", "the error is the service's own");
    let latency = reports.only();
    assert_eq!(latency.time_to_head(), None);
    assert_eq!(latency.time_to_end(), Duration::from_millis(1_250));
    assert_eq!(latency.to_string(), "GET /: error: out of order in 1.250s");
}

#[tokio::test(start_paused = true)]
async fn reused_buffers_carry_nothing_over() {
    let (report, reports) = reporting();
    let service = report.layer(service_fn(ways));
    // One thread, sequential calls: each exchange reuses the buffers of the previous one.
    exchange(
        service.clone(),
        "GET",
        "http://one:81/a/long/path",
        Reads::All,
    )
    .await;
    exchange(service.clone(), "PURGE", "/b", Reads::All).await;
    exchange(service.clone(), "GET", "/failed", Reads::All).await;
    exchange(service, "HEAD", "/length", Reads::Nothing).await;
    let all = reports.all();
    let reported: Vec<_> = all
        .iter()
        .map(|latency| (latency.to_string(), latency.server()))
        .collect();
    let expected = [
        (
            "GET /a/long/path: 200 in 0.000ns, head after 0.000ns",
            Some(("one", Some(81))),
        ),
        ("PURGE /b: 200 in 0.000ns, head after 0.000ns", None),
        ("GET /failed: error: out of order in 0.000ns", None),
        ("HEAD /length: 200 in 0.000ns, head after 0.000ns", None),
    ]
    .map(|(line, server)| (line.to_owned(), server));
    assert_eq!(reported, expected);
}

// ---- unchanged traffic

#[tokio::test]
async fn messages_pass_unchanged() {
    for client in [http1(), http2()] {
        let origin = all_kinds();
        let bare = Server::start(Router::new().fallback_service(origin.clone())).await;
        let (report, reports) = reporting();
        let app = Router::new().fallback_service(origin).layer(report);
        let server = Server::start(app).await;
        let there = all_requests(&bare.url(""));
        let here = all_requests(&server.url(""));
        let mut answers = Vec::new();
        for (there, here) in there.into_iter().zip(here) {
            let expected = ask(&client, there).await;
            let answer = ask(&client, here).await;
            assert_eq!(answer.fields(), expected.fields());
            assert_eq!(answer.body, expected.body);
            assert_eq!(answer.trailers, expected.trailers);
            answers.push(answer);
        }
        let all = reports.wait_for(answers.len()).await;
        assert_eq!(all.len(), answers.len());
        for (latency, answer) in all.iter().zip(&answers) {
            assert_eq!(*latency.end(), ExchangeEnd::Complete, "{latency}");
            assert_eq!(status(latency), Some(answer.status), "{latency}");
            assert_eq!(latency.version(), answer.version, "{latency}");
            assert!(latency.time_to_head() <= Some(latency.time_to_end()));
        }
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_is_reported() {
    for client in [http1(), http2()] {
        let (report, reports) = reporting();
        let (events, body) = channel();
        let body = Mutex::new(Some(body));
        let origin = Origin::new(move |_| {
            let body = body.lock().expect("no panic").take();
            reply(200, body.expect("one request"))
        });
        let app = Router::new().fallback_service(origin).layer(report);
        let server = Server::start(app).await;
        let response = soon(client.request(get(server.url("/events")))).await;
        let mut body = response.expect("an answer").into_body();
        events.data("data: 1\n\n");
        soon(body.frame()).await.expect("a frame").expect("a frame");
        drop(body);
        soon(events.dropped()).await;
        let all = reports.wait_for(1).await;
        assert_eq!(*all[0].end(), ExchangeEnd::ClientGone);
        assert_eq!(status(&all[0]), Some(200));
    }
}

#[tokio::test]
async fn a_panic_of_a_callback_is_contained() {
    let (_, reports) = reporting();
    let report = ReportLatency::new(|_| panic!("a callback's own bug"))
        .and(reports.reporter())
        .route(|_| panic!("another"));
    let service = report.layer(service_fn(ways));
    for path in ["/", "/", "/failed"] {
        exchange(service.clone(), "GET", path, Reads::All).await;
    }
    // The callback panics in the drop of a future, in the drop of a body, and during unwinding.
    exchange(service.clone(), "GET", "/hangs", Reads::NoHead).await;
    exchange(service.clone(), "GET", "/length", Reads::Nothing).await;
    exchange(service.clone(), "GET", "/panics", Reads::All).await;
    exchange(service.clone(), "GET", "/body-panics", Reads::All).await;
    let answer = read(service.oneshot(get("/")).await.expect("an answer")).await;
    assert_eq!(answer.text(), "onetwo");
    let routes = reports.routes();
    assert_eq!(
        routes.len(),
        8,
        "those after it are still reported: {routes:?}"
    );
    assert_eq!(routes[2], "/failed", "without a name it is the path");
}

#[tokio::test]
async fn an_unready_service_is_never_called() {
    let (report, reports) = reporting();
    let service = report.layer(ConcurrencyLimit::new(Origin::saying("hello"), 1));
    let calls = (0..20).map(|_| ask(&service, get("/")));
    soon(futures::future::join_all(calls)).await;
    assert_eq!(reports.all().len(), 20);
}

#[tokio::test]
async fn the_request_reaches_the_service_unchanged() {
    // The `route` hook receives the request.
    let (report, reports) = reporting();
    let report = report.route(|request| {
        assert_eq!(request.headers["x-twice"], "1");
        Some(format!("{} {:?}", request.method, request.version))
    });
    let origin = Origin::saying("hello");
    let service = report.layer(origin.clone());
    let mut sent = with(request("PUT", "/a?b=c", full("content")), "x-twice", "1");
    *sent.version_mut() = Version::HTTP_2;
    ask(&service, sent).await;
    let seen = &origin.seen()[0];
    assert_eq!(
        (seen.method.clone(), seen.version),
        (Method::PUT, Version::HTTP_2)
    );
    assert_eq!(seen.uri, "/a?b=c");
    assert_eq!(seen.headers.get("x-twice"), Some(&b"1"[..]));
    assert_eq!(seen.body.to_bytes(), "content");
    assert_eq!(reports.only().route(), "PUT HTTP/2.0");
    assert_eq!(reports.only().matched_route(), Some("PUT HTTP/2.0"));
}

#[test]
fn layer_service_future_and_body_are_clone_send_and_sync() {
    fn both<T: Send + Sync + 'static>() {}
    fn all<T: Clone + Send + Sync + 'static>() {}
    all::<ReportLatency>();
    all::<ReportLatencyService<Origin>>();
    all::<Measurement>();
    both::<ResponseFuture<std::future::Ready<()>>>();
    both::<ResponseBody<Body>>();
}

// ---- routes

async fn visit(app: &Router, uri: &str) {
    let response = app
        .clone()
        .oneshot(get(uri).map(axum::body::Body::new))
        .await;
    let body = response.expect("an answer").into_body();
    body.collect().await.expect("a whole body");
}

#[tokio::test]
async fn routes_are_axums() {
    let hello = || axum::routing::get(async || "hello");
    let (report, reports) = reporting();
    let inner = Router::new().route("/items/{item}", hello());
    let opaque = Router::new().route("/deep/{leaf}", hello());
    let app = Router::new()
        .route("/", hello())
        .route("/users/{id}", hello())
        .route("/files/{*path}", hello())
        .nest("/shop/{shop}", inner)
        .nest_service("/opaque", opaque)
        .fallback(async || "nothing here")
        .layer(report.clone());
    for uri in [
        "/",
        "/users/1?token=secret",
        "/users/2",
        "/files/a/b.txt",
        "/shop/7/items/8",
        "/opaque/deep/9",
        "/no/such?token=secret",
    ] {
        visit(&app, uri).await;
    }
    let routes = [
        "/",
        "/users/{id}",
        "/users/{id}",
        "/files/{*path}",
        "/shop/{shop}/items/{item}",
        // The enclosing router knows only the nested prefix.
        "/opaque/deep/9",
        "/no/such",
    ];
    assert_eq!(reports.routes(), routes);
    let matched: Vec<_> = reports
        .all()
        .iter()
        .map(|latency| latency.matched_route().is_some())
        .collect();
    assert_eq!(matched, [true, true, true, true, true, false, false]);

    // Inside a nested router, and around a whole router.
    let (inside, reports) = reporting();
    let inner = Router::new().route("/items/{item}", hello()).layer(inside);
    visit(&Router::new().nest("/shop", inner), "/shop/items/1").await;
    assert_eq!(reports.routes(), ["/shop/items/{item}"]);

    let (around, reports) = reporting();
    let app = Router::new().route("/users/{id}", hello());
    ask(
        &around.layer(app),
        get("/users/1").map(axum::body::Body::new),
    )
    .await;
    assert_eq!(reports.routes(), ["/users/1"], "it is not routed yet");
}

#[tokio::test]
async fn paths_are_limited_in_number_and_length() {
    let (report, reports) = reporting();
    let service = report.max_paths(2).layer(Origin::saying("hello"));
    // Clones share the set of known paths.
    for uri in ["/a?x=1", "/b?x=2", "/c", "/a?x=3", "/d"] {
        ask(&service.clone(), get(uri)).await;
    }
    assert_eq!(reports.routes(), ["/a", "/b", OTHER, "/a", OTHER]);

    let (report, reports) = reporting();
    let service = report.layer(Origin::saying("hello"));
    for i in 0..300 {
        ask(&service, get(format!("/{i}"))).await;
    }
    let other = |route: &&String| *route == OTHER;
    assert_eq!(reports.routes().iter().filter(other).count(), 100);

    let (report, reports) = reporting();
    let service = report.layer(Origin::saying("hello"));
    ask(&service, get(format!("/{}", "long".repeat(1_000)))).await;
    assert_eq!(reports.only().route().len(), 256);
}

#[tokio::test]
async fn a_route_has_no_control_characters() {
    // A control character that is valid in a URI, and a length limit that splits a character.
    let uri = format!("/\u{9b}31m{}", "\u{e9}".repeat(200));
    let uri = http::Uri::from_maybe_shared(uri.into_bytes()).expect("a URI");
    let (report, reports) = reporting();
    let service = report.clone().layer(Origin::saying("hello"));
    let mut sent = get("/");
    *sent.uri_mut() = uri;
    ask(&service, sent).await;
    let service = report
        .route(|_| Some("bell\x07\n".to_owned()))
        .layer(Origin::saying("hello"));
    ask(&service, get("/")).await;
    let routes = reports.routes();
    assert!(routes[0].starts_with("/_31m\u{e9}"), "{routes:?}");
    assert!(routes[0].len() <= 256);
    assert_eq!(routes[1], "bell__");
}

#[tokio::test]
async fn secrets_in_a_uri_are_not_reported() {
    let (report, reports) = reporting();
    let service = report.client(true).layer(Origin::saying("hello"));
    ask(
        &service,
        get("https://user:hunter2@example.org/a?key=hunter2"),
    )
    .await;
    let latency = reports.only();
    assert_eq!(latency.server(), Some(("example.org", Some(443))));
    let all = format!(
        "{latency} {latency:?} {} {:?}",
        latency.label(),
        latency.server()
    );
    assert!(!all.contains("hunter2") && !all.contains("user"), "{all}");
}

#[tokio::test]
async fn a_kept_measurement_does_not_keep_the_reporter_alive() {
    let reports = Reports::default();
    let (reporter, held) = (reports.reporter(), Arc::new(()));
    let gone = Arc::downgrade(&held);
    let report = ReportLatency::new(move |latency| {
        let _ = &held;
        reporter(latency);
    });
    ask(
        &report.scheme(Scheme::HTTPS).layer(Origin::saying("hello")),
        get("/a"),
    )
    .await;
    let kept = reports.only();
    assert!(gone.upgrade().is_none(), "the reporter is still there");
    assert_eq!((kept.route(), kept.scheme()), ("/a", &Scheme::HTTPS));
}

#[tokio::test]
async fn secrets_in_the_text_of_an_error_are_replaced() {
    const TEXT: &str = "no answer from https://bob:hunter2@example.org/a?token=hunter2&page=2";
    let (report, reports) = reporting();
    let fails = service_fn(async |_: Request<Body>| Err::<Response<Body>, _>(BoxError::from(TEXT)));
    let answer = report.clone().layer(fails).oneshot(get("/")).await;
    assert_eq!(answer.expect_err("it fails").to_string(), TEXT);
    let breaks = Origin::new(|_| reply(200, frames([broken(TEXT)])));
    let response = report.layer(breaks).oneshot(get("/")).await;
    let body = response.expect("an answer").into_body();
    body.collect().await.expect_err("it breaks off");
    for latency in reports.all() {
        let all = format!("{latency} {latency:?}");
        assert!(all.contains("token=REDACTED&page=2"), "{all}");
        assert!(!all.contains("hunter2"), "{all}");
    }
    assert_eq!(reports.all().len(), 2);

    let (report, reports) = reporting();
    let report = report.redact(tower_traffic::Redact::none());
    let _ = report.layer(fails).oneshot(get("/")).await;
    assert_eq!(reports.only().end(), &ExchangeEnd::Error(TEXT.to_owned()));
}

#[tokio::test]
async fn a_server_ignores_the_scheme_of_a_request() {
    let (report, reports) = reporting();
    let server = report.clone().layer(Origin::saying("hello"));
    ask(&server, get("made-up://example.org/")).await;
    ask(&server, get("https://example.org/")).await;
    let client = report.client(true).layer(Origin::saying("hello"));
    ask(&client, get("own://example.org/")).await;
    let all = reports.all();
    let schemes: Vec<_> = all
        .iter()
        .map(|latency| latency.scheme().as_str())
        .collect();
    assert_eq!(schemes, ["http", "https", "own"]);
}

#[tokio::test]
async fn a_measurement_describes_the_connection() {
    let (report, reports) = reporting();
    let server = report.clone().layer(Origin::saying("hello"));
    let https = report.clone().scheme(Scheme::HTTPS);
    ask(&server, get("/")).await;
    ask(&https.layer(Origin::saying("hello")), get("/")).await;
    let client = report.client(true).layer(Origin::new(|_| {
        let mut response = reply(404, empty());
        *response.version_mut() = Version::HTTP_2;
        response
    }));
    ask(&client, get("http://example.org/")).await;
    ask(&client, get("http://[::1]:8080/")).await;
    let all = reports.all();
    let schemes: Vec<_> = all
        .iter()
        .map(|latency| latency.scheme().as_str())
        .collect();
    assert_eq!(schemes, ["http", "https", "http", "http"]);
    let servers: Vec<_> = all.iter().map(Measurement::server).collect();
    let expected = [
        None,
        None,
        Some(("example.org", Some(80))),
        Some(("[::1]", Some(8080))),
    ];
    assert_eq!(servers, expected);
    assert_eq!(all[0].version(), Version::HTTP_11);
    assert_eq!(
        all[2].version(),
        Version::HTTP_2,
        "the response knows better"
    );
    assert_eq!(
        all[2].error_type(),
        Some("404"),
        "in a client it is an error"
    );
}

// ---- reporters

#[tokio::test]
async fn labels_are_http4ks() {
    let labels = Arc::new(Mutex::new(Vec::new()));
    let seen = labels.clone();
    let report = ReportLatency::labels(move |label, _| {
        seen.lock().expect("no panic").push(label.to_owned());
    })
    .route(|request| {
        let path = request.uri.path();
        match path {
            "/users/1" => Some("/users/{id}".to_owned()),
            "/files/a/b" => Some("/files/{*path}".to_owned()),
            _ => None,
        }
    })
    .max_paths(9);
    let service = report.layer(service_fn(ways));
    let cases = [
        ("GET", "/users/1", Reads::All, "GET.users_:id.2xx.200"),
        ("GET", "/files/a/b", Reads::All, "GET.files_*path.2xx.200"),
        ("GET", "/", Reads::All, "GET._.2xx.200"),
        ("POST", "/v1.2/a%20b", Reads::All, "POST.v1_2_a_20b.2xx.200"),
        ("GET", "/a:b-c_d/", Reads::All, "GET.a:b-c_d_.2xx.200"),
        ("GET", "/500", Reads::All, "GET.500.5xx.500"),
        ("PURGE", "/204", Reads::All, "_OTHER.204.2xx.204"),
        ("GET", "/broken", Reads::All, "GET.broken.2xx.200"),
        (
            "GET",
            "/hangs",
            Reads::NoHead,
            "GET.hangs.failed.client_gone",
        ),
        (
            "GET",
            "/failed",
            Reads::All,
            "GET.failed.failed.service_error",
        ),
        ("GET", "/panics", Reads::All, "GET.panics.failed.panic"),
        ("GET", "/one-too-many", Reads::All, "GET.other.2xx.200"),
    ];
    for (method, path, reads, _) in &cases {
        exchange(service.clone(), method, path, *reads).await;
    }
    let expected: Vec<_> = cases.iter().map(|(.., label)| *label).collect();
    assert_eq!(*labels.lock().expect("no panic"), expected);
}

/// A writer that keeps the written text.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn tracing_gets_one_event_for_each_exchange() {
    let written = Written::default();
    let writer = written.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .without_time()
        .finish();
    let guard = tracing::subscriber::set_default(subscriber);
    let report = ReportLatency::new(|_| {}).and(to_tracing());
    let service = report.layer(service_fn(ways));
    exchange(service.clone(), "GET", "/500?token=secret", Reads::All).await;
    exchange(service, "GET", "/failed", Reads::All).await;
    drop(guard);
    let text = String::from_utf8(written.0.lock().expect("no panic").clone()).expect("text");
    assert_eq!(
        text.replace("  INFO", " INFO").trim_start(),
        "INFO tower_traffic::latency: http.request.method=\"GET\" url.path=\"/500\" \
         http.response.status_code=500 time_to_head_ms=0.0 time_to_end_ms=0.0 ended=complete \
         error.type=\"500\"\n INFO tower_traffic::latency: http.request.method=\"GET\" \
         url.path=\"/failed\" time_to_end_ms=0.0 ended=error: out of order \
         error.type=\"service_error\"\n"
    );
}

#[tokio::test(start_paused = true)]
async fn the_response_header_has_the_time_to_head() {
    let origin = Origin::waiting(|_| async {
        tokio::time::advance(Duration::from_micros(12_345)).await;
        let mut response = reply(200, full("hello"));
        let headers = response.headers_mut();
        headers.extend(fields([("server-timing", "db;dur=5")]));
        response
    });
    let (report, _) = reporting();
    let plain = ask(&report.layer(origin.clone()), get("/")).await;
    assert_eq!(plain.headers["server-timing"], "db;dur=5");
    let reported = ask(&report.server_timing(true).layer(origin), get("/")).await;
    let values: Vec<_> = reported.headers.get_all("server-timing").iter().collect();
    assert_eq!(values, ["db;dur=5", "app;dur=12.345"]);
    assert_eq!(reported.text(), "hello");
}

mod histograms {
    use serde_json::{Value, json};
    use tower_traffic::latency::Histograms;

    use super::*;

    /// Returns an origin that answers `/users/n` after n milliseconds.
    fn timed() -> Origin {
        Origin::waiting(|request| async move {
            let path = request.uri().path();
            let millis = path.rsplit('/').next().and_then(|n| n.parse().ok());
            tokio::time::advance(Duration::from_millis(millis.unwrap_or_default())).await;
            reply(
                if path.starts_with("/no") { 404 } else { 200 },
                full("hello"),
            )
        })
    }

    fn named(histograms: &Histograms) -> ReportLatency {
        ReportLatency::histograms(histograms).route(|request| {
            let is_user = request.uri.path().starts_with("/users/");
            is_user.then(|| "/users/{id}".to_owned())
        })
    }

    #[tokio::test(start_paused = true)]
    async fn histograms_are_printed_and_written_as_json() {
        let histograms = Histograms::new();
        let service = named(&histograms).layer(timed());
        for millis in 1..=1_000 {
            ask(&service, get(format!("/users/{millis}"))).await;
        }
        ask(&service, request("POST", "/no/7", empty())).await;
        exchange(service, "GET", "/users/0", Reads::Nothing).await;
        exchange(
            named(&histograms).layer(service_fn(ways)),
            "GET",
            "/failed",
            Reads::All,
        )
        .await;

        let snapshot = histograms.snapshot();
        let times = snapshot.series[2].time_to_end;
        assert_eq!(snapshot.series[2].route, "/users/{id}");
        assert_eq!(times.count, 1_000);
        assert_eq!(times.min, Duration::from_millis(1));
        assert_eq!(times.max, Duration::from_secs(1));
        assert_eq!(times.mean, Duration::from_micros(500_500));
        for (time, millis) in [
            (times.p50, 500.0),
            (times.p90, 900.0),
            (times.p99, 990.0),
            (times.p999, 999.0),
        ] {
            let off = time.as_secs_f64() * 1e3 / millis;
            assert!((0.99..=1.01).contains(&off), "{time:?} for {millis} ms");
        }
        let text = snapshot.to_string();
        let lines: Vec<_> = text.lines().collect();
        let row = |title| lines.iter().position(|line| *line == title).expect(title);
        let (end, head) = (row("to the end, ms"), row("to the head, ms"));
        assert_eq!(
            &lines[end + 1..end + 4],
            [
                "method  route        status           count    min      p50      p90      p99     p99.9       max     mean",
                "GET     /failed      error                1  0.000    0.000    0.000    0.000     0.000     0.000    0.000",
                "POST    /no/7        404                  1  7.000    7.000    7.000    7.000     7.000     7.000    7.000",
            ]
        );
        assert!(lines[end + 4].starts_with("GET     /users/{id}  200               1000  1.000  "));
        assert!(lines[end + 4].contains("  1000.000  500.500"));
        assert!(lines[end + 5].starts_with("GET     /users/{id}  200 client gone      1  0.000  "));
        assert_eq!(head, end + 7, "{text}");
        assert_eq!(lines.len(), head + 5, "what failed has no head\n{text}");

        let json: Value = serde_json::from_str(&snapshot.to_json()).expect("JSON");
        let series = json["series"].as_array().expect("a list");
        assert_eq!(series.len(), 4);
        let seven = json!({
            "count": 1, "min": 7.0, "p50": 7.0, "p90": 7.0, "p99": 7.0, "p99.9": 7.0, "max": 7.0,
            "mean": 7.0,
        });
        assert_eq!(
            series[1],
            json!({
                "method": "POST", "route": "/no/7", "status": 404, "ended": "complete",
                "time_to_head_ms": seven, "time_to_end_ms": seven,
            })
        );
        assert_eq!(series[0]["status"], Value::Null);
        assert_eq!(series[0]["time_to_head_ms"], Value::Null);
        assert_eq!(series[3]["ended"], "client gone");
    }

    #[tokio::test]
    async fn the_number_of_series_is_limited() {
        let histograms = Histograms::new().max_series(3);
        let service = ReportLatency::histograms(&histograms).layer(Origin::saying("hello"));
        for i in 0..10 {
            ask(&service, get(format!("/{i}"))).await;
            ask(&service, get("/0")).await;
        }
        let counts: Vec<_> = histograms
            .snapshot()
            .series
            .iter()
            .map(|series| (series.route.clone(), series.time_to_end.count))
            .collect();
        let expected = [("*", 7), ("/0", 11), ("/1", 1), ("/2", 1)];
        assert_eq!(
            counts,
            expected.map(|(route, count)| (route.to_owned(), count))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_beyond_an_hour_is_counted() {
        let histograms = Histograms::new();
        let service = named(&histograms).layer(timed());
        ask(&service, get("/users/36000000")).await;
        let times = histograms.snapshot().series[0].time_to_end;
        assert_eq!(times.max, Duration::from_hours(10));
        assert_eq!(
            (times.count, times.min, times.mean),
            (1, times.max, times.max)
        );
    }

    #[test]
    fn a_reset_under_concurrency_loses_no_measurement() {
        let histograms = Histograms::new();
        let service = named(&histograms).layer(Origin::saying("hello"));
        let mut counted = 0;
        let count = |snapshot: tower_traffic::latency::Snapshot| {
            let counts = snapshot
                .series
                .iter()
                .map(|series| series.time_to_end.count);
            counts.sum::<u64>()
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    scope.spawn(|| {
                        for i in 0..500 {
                            let answer = service.clone().oneshot(get(format!("/users/{i}")));
                            futures::executor::block_on(async {
                                let body = answer.await.expect("an answer").into_body();
                                body.collect().await.expect("a whole body");
                            });
                        }
                    })
                })
                .collect();
            while !threads
                .iter()
                .all(std::thread::ScopedJoinHandle::is_finished)
            {
                counted += count(histograms.reset());
            }
        });
        counted += count(histograms.reset());
        assert_eq!(counted, 2_000);
        assert!(histograms.snapshot().series.is_empty());
    }
}

mod metrics {
    use ::metrics::{
        Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString,
        Unit, with_local_recorder,
    };
    use futures::executor::block_on;

    use super::*;

    /// A metrics recorder that keeps the histogram values.
    #[derive(Clone, Default)]
    struct Kept {
        values: Arc<Mutex<Vec<(String, f64)>>>,
        units: Arc<Mutex<Vec<(String, Unit)>>>,
    }

    struct One(String, Kept);

    impl HistogramFn for One {
        fn record(&self, value: f64) {
            let mut values = self.1.values.lock().expect("no panic");
            values.push((self.0.clone(), value));
        }
    }

    impl Recorder for Kept {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

        fn describe_histogram(&self, name: KeyName, unit: Option<Unit>, _: SharedString) {
            let mut units = self.units.lock().expect("no panic");
            units.push((name.as_str().to_owned(), unit.expect("a unit")));
        }

        fn register_counter(&self, _: &Key, _: &Metadata<'_>) -> Counter {
            Counter::noop()
        }

        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }

        fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
            let labels: Vec<_> = key
                .labels()
                .map(|label| format!("{}={}", label.key(), label.value()))
                .collect();
            let name = format!("{} {}", key.name(), labels.join(" "));
            Histogram::from_arc(Arc::new(One(name, self.clone())))
        }
    }

    fn names(report: &ReportLatency, requests: &[(&str, &str, Reads)]) -> (Kept, Vec<String>) {
        let kept = Kept::default();
        let service = report.layer(service_fn(ways));
        with_local_recorder(&kept, || {
            for (method, path, reads) in requests {
                block_on(exchange(service.clone(), method, path, *reads));
            }
        });
        let values = kept.values.lock().expect("no panic").clone();
        let names = values.into_iter().map(|(name, value)| {
            assert!((0.0..60.0).contains(&value), "these are seconds: {value}");
            name
        });
        let names = names.collect();
        (kept, names)
    }

    #[test]
    fn at_a_server() {
        let report = ReportLatency::metrics().route(|request| {
            let is_user = request.uri.path().starts_with("/users/");
            is_user.then(|| "/users/{id}".to_owned())
        });
        let (kept, names) = names(
            &report,
            &[
                ("GET", "/users/1", Reads::All),
                ("PURGE", "http://127.0.0.1:8000/a-path", Reads::All),
                ("GET", "/500", Reads::All),
                ("GET", "/failed", Reads::All),
            ],
        );
        let expected = [
            "http.server.request.time_to_head http.request.method=GET url.scheme=http http.route=/users/{id} http.response.status_code=200 network.protocol.version=1.1",
            "http.server.request.duration http.request.method=GET url.scheme=http http.route=/users/{id} http.response.status_code=200 network.protocol.version=1.1",
            "http.server.request.time_to_head http.request.method=_OTHER url.scheme=http http.response.status_code=200 network.protocol.version=1.1",
            "http.server.request.duration http.request.method=_OTHER url.scheme=http http.response.status_code=200 network.protocol.version=1.1",
            "http.server.request.time_to_head http.request.method=GET url.scheme=http http.response.status_code=500 error.type=500 network.protocol.version=1.1",
            "http.server.request.duration http.request.method=GET url.scheme=http http.response.status_code=500 error.type=500 network.protocol.version=1.1",
            "http.server.request.duration http.request.method=GET url.scheme=http error.type=service_error network.protocol.version=1.1",
        ];
        assert_eq!(names, expected);
        let units = kept.units.lock().expect("no panic").clone();
        assert_eq!(
            units,
            [
                ("http.server.request.duration".to_owned(), Unit::Seconds),
                ("http.server.request.time_to_head".to_owned(), Unit::Seconds),
            ]
        );
    }

    #[test]
    fn in_a_client() {
        let report = ReportLatency::metrics().client(true);
        let (_, names) = names(
            &report,
            &[("GET", "https://example.org/users/1?a=b", Reads::All)],
        );
        let labels = "http.request.method=GET url.scheme=https http.response.status_code=200 network.protocol.version=1.1 server.address=example.org server.port=443";
        assert_eq!(
            names,
            [
                format!("http.client.request.time_to_head {labels}"),
                format!("http.client.request.duration {labels}"),
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn times_are_seconds() {
        let kept = Kept::default();
        let service = ReportLatency::metrics().layer(Origin::waiting(|_| async {
            tokio::time::advance(Duration::from_millis(1_500)).await;
            reply(200, full("hello"))
        }));
        let response = service.oneshot(get("/")).await.expect("an answer");
        tokio::time::advance(Duration::from_secs(1)).await;
        with_local_recorder(&kept, || block_on(response.into_body().collect())).expect("a body");
        let values = kept.values.lock().expect("no panic");
        let seconds: Vec<_> = values.iter().map(|(_, seconds)| *seconds).collect();
        assert_eq!(seconds, [1.5, 2.5]);
    }
}
