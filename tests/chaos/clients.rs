//! Chaos around clients, in front of upgrades, and among other layers, over real sockets.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    extract::ws::{Message as WsMessage, WebSocketUpgrade},
    routing::{any, get},
};
use bytes::Bytes;
use futures::{FutureExt, SinkExt, StreamExt};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::{client::conn::http2, ext::Protocol, upgrade};
use hyper_util::rt::{TokioExecutor, TokioIo};
use support::{
    Body, BoxError, HttpClient, Origin, Server, ask, data, fields, frames, full, post, reply,
    request, soon, trailers, with,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_http::catch_panic::CatchPanicLayer;
use tower_traffic::{
    BodyEnd,
    chaos::{Behavior, Chaos, ChaosBody, ChaosEngine, Latency, Message, Requests, Stage, Trigger},
};

const CONTENT: &str = "hello, world";

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// All faults of the bodies of both messages.
fn all_of_bodies() -> Vec<Behavior> {
    let rate = std::num::NonZeroU64::MIN;
    let mut all = vec![
        Behavior::no_body(),
        Behavior::snip_body(),
        Behavior::snip_request_body(),
    ];
    for on in [Message::Request, Message::Response] {
        all.extend([
            Behavior::corrupt(on, 100.0),
            Behavior::slice(on, 1, ms(1)),
            Behavior::throttle(on, rate),
            Behavior::stall_after(on, 0),
            Behavior::break_after(on, 0),
            Behavior::drop_trailers(on),
            Behavior::misstate_length(on, 7),
        ]);
    }
    all
}

async fn let_go(engine: &ChaosEngine) {
    soon(async {
        while engine.stats().active > 0 {
            tokio::time::sleep(ms(1)).await;
        }
    })
    .await;
}

// ---- requests

/// A body of unknown length.
fn pieces() -> Body {
    frames([data("hello"), data(", "), data("world")])
}

/// The request as the origin received it.
async fn sent(
    chaos: &Chaos,
    protocol: &str,
    body: Body,
) -> (Result<u16, String>, tower_traffic::RecordedRequest) {
    let origin = Origin::saying("an answer");
    let server = Server::start(Router::new().fallback_service(origin.clone())).await;
    let to_send = request("POST", server.url("/"), body);
    let status = match protocol {
        "HTTP/1" => answer(chaos.layer(support::http1::<ChaosBody<Body>>()), to_send).await,
        "HTTP/2" => answer(chaos.layer(support::http2::<ChaosBody<Body>>()), to_send).await,
        other => panic!("{other}"),
    };
    soon(async {
        while origin.calls() == 0 {
            tokio::time::sleep(ms(1)).await;
        }
    })
    .await;
    (status, origin.seen().remove(0))
}

async fn answer<S, R>(client: S, request: Request<Body>) -> Result<u16, String>
where
    S: Service<Request<Body>, Response = Response<R>>,
    S::Error: std::fmt::Debug,
{
    let response = soon(client.oneshot(request)).await;
    response
        .map(|response| response.status().as_u16())
        .map_err(|error| format!("{error:?}"))
}

#[tokio::test]
async fn an_aborted_request_is_incomplete() {
    for protocol in ["HTTP/1", "HTTP/2"] {
        for after in [0, 1, 5, 11] {
            for body in [full(CONTENT), pieces()] {
                let chaos = Chaos::on(Behavior::break_after(Message::Request, after));
                let engine = chaos.engine();
                let (status, seen) = sent(&chaos, protocol, body).await;
                let text = format!("{protocol}, {after}: {status:?}");
                assert!(status.is_err(), "{text}");
                assert!(
                    matches!(seen.body.end, BodyEnd::Error(_)),
                    "{text}: {:?}",
                    seen.body
                );
                let after = usize::try_from(after).expect("few");
                assert_eq!(seen.body.to_bytes(), CONTENT[..after], "{text}");
                let_go(&engine).await;
            }
        }
    }
}

#[tokio::test]
async fn a_snipped_request_is_whole() {
    for protocol in ["HTTP/1", "HTTP/2"] {
        for (seed, body) in [(1, full(CONTENT)), (2, full(CONTENT)), (3, pieces())] {
            let chaos = Chaos::new().seed(seed).http4k_header(true);
            chaos.engine().enable_with(Behavior::snip_request_body());
            let (status, seen) = sent(&chaos, protocol, body).await;
            assert_eq!(status, Ok(200));
            assert_eq!(seen.body.end, BodyEnd::Complete);
            let said = seen.headers.get("x-http4k-chaos").expect("it says so");
            let said = String::from_utf8_lossy(said).into_owned();
            let bytes = seen.body.to_bytes();
            assert!(CONTENT.as_bytes().starts_with(&bytes));
            // An empty body has no length.
            if seed < 3 && !bytes.is_empty() {
                assert_eq!(said, format!("Snip request body ({}b)", bytes.len()));
                let stated = seen.headers.get("content-length").expect("a length");
                assert_eq!(stated, bytes.len().to_string().as_bytes());
            }
        }
    }
}

#[tokio::test]
async fn faults_apply_to_requests() {
    let on = Message::Request;
    for protocol in ["HTTP/1", "HTTP/2"] {
        for body in [full(CONTENT), pieces()] {
            let behavior = Behavior::corrupt(on, 100.0)
                .and(Behavior::slice(on, 2, ms(1)))
                .and(Behavior::set_header(
                    on,
                    HeaderName::from_static("x-a"),
                    HeaderValue::from_static("b"),
                ));
            let (status, seen) = sent(&Chaos::on(behavior), protocol, body).await;
            assert_eq!(status, Ok(200));
            assert_eq!(seen.headers.get("x-a").expect("set"), b"b");
            let bytes = seen.body.to_bytes();
            assert_eq!(bytes.len(), CONTENT.len());
            assert!(bytes.iter().zip(CONTENT.bytes()).all(|(a, b)| *a != b));
        }
        for (behavior, has_trailers) in [
            (Behavior::drop_trailers(Message::Response), true),
            (Behavior::drop_trailers(on), false),
        ] {
            let body = frames([data(CONTENT), trailers(fields([("x-sum", "12")]))]);
            let (status, seen) = sent(&Chaos::on(behavior), protocol, body).await;
            assert_eq!(status, Ok(200));
            assert_eq!(seen.body.to_bytes(), CONTENT);
            // HTTP/1 sends only trailers that `Trailer` names.
            let is_expected = has_trailers && protocol == "HTTP/2";
            assert_eq!(seen.body.trailers.is_some(), is_expected, "{protocol}");
        }
    }
}

#[tokio::test]
async fn a_request_with_a_wrong_length_is_invalid() {
    for (protocol, by) in [("HTTP/1", 3), ("HTTP/2", 3), ("HTTP/2", -3)] {
        let chaos = Chaos::on(Behavior::misstate_length(Message::Request, by));
        let origin = Origin::saying("an answer");
        let server = Server::start(Router::new().fallback_service(origin.clone())).await;
        let to_send = post(server.url("/"), CONTENT);
        let status = if protocol == "HTTP/1" {
            answer(chaos.layer(support::http1()), to_send).await
        } else {
            answer(chaos.layer(support::http2()), to_send).await
        };
        assert!(status.is_err(), "{protocol} {by}: {status:?}");
    }
}

/// curl as the client: its error, and the connection that stays usable.
#[tokio::test]
async fn an_aborted_response_ends_only_its_stream() {
    let chaos = Chaos::on(Stage::when(
        Trigger::once(),
        Behavior::break_after(Message::Response, 5),
    ));
    let app = Router::new().route("/", get(async || CONTENT)).layer(chaos);
    let server = Server::start(app).await;
    let client: HttpClient = support::http2();
    let broken = client
        .request(support::get(server.url("/")))
        .await
        .expect("a head");
    let mut body = broken.into_body();
    let first = soon(body.frame()).await.expect("data").expect("no error");
    assert_eq!(first.into_data().expect("data"), CONTENT[..5]);
    let error = soon(body.frame())
        .await
        .expect("an error")
        .expect_err("it broke");
    assert!(format!("{error:?}").contains("INTERNAL_ERROR"), "{error:?}");
    assert_eq!(
        ask(&client, support::get(server.url("/"))).await.text(),
        CONTENT
    );
}

/// The same with a `reqwest::Client`.
#[tokio::test]
async fn reqwest_reports_an_aborted_response() {
    use tower_traffic::clients::ReqwestService;

    let client = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");
    for body in [full(CONTENT), pieces()] {
        let origin = Origin::saying("an answer");
        let server = Server::start(Router::new().fallback_service(origin.clone())).await;
        let chaos = Chaos::on(Behavior::break_after(Message::Request, 5));
        let client = chaos.layer(ReqwestService::new(client.clone()));
        let to_send = request("POST", server.url("/"), body);
        soon(client.oneshot(to_send))
            .await
            .expect_err("it broke off");
        soon(async {
            while origin.calls() == 0 {
                tokio::time::sleep(ms(1)).await;
            }
        })
        .await;
        let seen = origin.seen().remove(0).body;
        assert_eq!(seen.to_bytes(), CONTENT[..5]);
        assert!(matches!(seen.end, BodyEnd::Error(_)), "{seen:?}");
    }

    let server = Server::start(Router::new().route("/", get(async || CONTENT))).await;
    let chaos = Chaos::on(Behavior::break_after(Message::Response, 5));
    let engine = chaos.engine();
    let client = chaos.layer(ReqwestService::new(client));
    let response = soon(client.oneshot(support::get(server.url("/"))))
        .await
        .expect("a head");
    let error = soon(response.into_body().collect())
        .await
        .expect_err("it broke off");
    assert_eq!(error.to_string(), "chaos aborted the body after 5 bytes");
    assert_eq!(engine.stats().active, 0);
}

/// Chaos cannot create a client's own error; boxed errors can be created.
#[tokio::test]
async fn clients_fail_with_the_callers_error() {
    let server = Server::start(Router::new().route("/", get(async || CONTENT))).await;
    let throw = Stage::when(Trigger::once(), Behavior::throw("connection refused"));
    let chaos = Chaos::on(throw).with_error(|message| BoxError::from(message));
    let client: HttpClient<ChaosBody<Body>> = support::http1();
    let client = ServiceBuilder::new()
        .layer(chaos)
        .map_err(BoxError::from)
        .service(client);
    let first = client.clone().oneshot(support::get(server.url("/"))).await;
    assert_eq!(first.expect_err("thrown").to_string(), "connection refused");
    assert_eq!(
        ask(&client, support::get(server.url("/"))).await.text(),
        CONTENT
    );
}

// ---- upgrades

/// "hi", masked (RFC 6455, 5.2).
const HI: [u8; 8] = [0x81, 0x82, 1, 2, 3, 4, b'h' ^ 1, b'i' ^ 2];

fn echo() -> axum::routing::MethodRouter {
    any(async |upgrade: WebSocketUpgrade| {
        upgrade.on_upgrade(async |mut socket| {
            while let Some(Ok(WsMessage::Text(text))) = socket.recv().await {
                let _ = socket.send(WsMessage::Text(text)).await;
            }
        })
    })
}

#[tokio::test]
async fn websockets_open_despite_body_faults() {
    for behavior in all_of_bodies() {
        let text = behavior.to_string();
        let app = Router::new().route("/", echo()).layer(Chaos::on(behavior));
        let server = Server::start(app).await;

        let url = format!("ws://{}/", server.addr);
        let (mut socket, response) = soon(tokio_tungstenite::connect_async(url))
            .await
            .unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(response.status(), 101);
        assert!(response.headers().contains_key("x-chaos"));
        socket.send("hi".into()).await.expect("sent");
        let answer = soon(socket.next())
            .await
            .expect("an answer")
            .expect("no error");
        assert_eq!(answer.into_text().expect("text"), "hi", "{text}");

        // The same over HTTP/2 (RFC 8441).
        let stream = TcpStream::connect(server.addr).await.expect("connected");
        let (mut client, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("HTTP/2");
        tokio::spawn(connection);
        let request = Request::builder()
            .method(Method::CONNECT)
            .uri(format!("http://{}/", server.addr))
            .extension(Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .body(Empty::<Bytes>::new())
            .expect("a request");
        let response = soon(client.send_request(request)).await.expect("an answer");
        assert_eq!(response.status(), 200, "{text}");
        let upgraded = soon(upgrade::on(response)).await.expect("a WebSocket");
        let mut socket = TokioIo::new(upgraded);
        socket.write_all(&HI).await.expect("sent");
        let mut answer = [0; 4];
        soon(socket.read_exact(&mut answer))
            .await
            .expect("an answer");
        assert_eq!(answer, [0x81, 2, b'h', b'i'], "{text}");
    }
}

#[tokio::test]
async fn tunnels_open_despite_body_faults() {
    for behavior in all_of_bodies() {
        let text = behavior.to_string();
        let tunnel = service_fn(async |request: Request<_>| {
            tokio::spawn(async move {
                let upgraded = upgrade::on(request).await.expect("a tunnel");
                let mut io = TokioIo::new(upgraded);
                let mut bytes = [0; 4];
                io.read_exact(&mut bytes).await.expect("four bytes");
                io.write_all(&bytes).await.expect("written");
            });
            Ok::<_, Infallible>(reply(200, support::empty()))
        });
        let app = Router::new().fallback_service(Chaos::on(behavior).layer(tunnel));
        let server = Server::start(app).await;
        let mut socket = TcpStream::connect(server.addr).await.expect("connected");
        let head = b"CONNECT a.test:1 HTTP/1.1\r\nhost: a.test:1\r\n\r\n";
        socket.write_all(head).await.expect("sent");
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n") {
            assert_ne!(
                soon(socket.read_buf(&mut seen)).await.expect("read"),
                0,
                "{text}"
            );
        }
        assert!(seen.starts_with(b"HTTP/1.1 200 OK\r\n"), "{text}");
        socket.write_all(b"ping").await.expect("sent");
        let mut answer = [0; 4];
        soon(socket.read_exact(&mut answer))
            .await
            .expect("an answer");
        assert_eq!(&answer, b"ping", "{text}");
    }
}

// ---- among other layers

#[tokio::test]
async fn a_caught_panic_is_a_500() {
    let chaos = Chaos::on(Behavior::latency(Latency::fixed(ms(1))).and(Behavior::throw("foo")));
    let engine = chaos.engine();
    let app = Router::new()
        .route("/", get(async || CONTENT))
        .layer(chaos)
        .layer(CatchPanicLayer::new());
    let server = Server::start(app).await;
    for protocol in ["HTTP/1", "HTTP/2"] {
        for _ in 0..5 {
            let get = support::get(server.url("/"));
            let answer = if protocol == "HTTP/1" {
                ask(&support::http1(), get).await
            } else {
                ask(&support::http2(), get).await
            };
            assert_eq!(answer.status, 500);
        }
    }
    let stats = engine.stats();
    assert_eq!((stats.affected, stats.active), (10, 0));
    assert_eq!(stats.by_behavior, [("all", 10)].into());
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_is_released() {
    let chaos = Chaos::on(Behavior::latency(Latency::fixed(Duration::from_hours(1))));
    let engine = chaos.engine();
    let asked = Arc::new(AtomicUsize::new(0));
    let inside = asked.clone();
    let service = chaos.layer(service_fn(move |_: Request<ChaosBody<Body>>| {
        inside.fetch_add(1, Ordering::Relaxed);
        ready(Ok::<_, Infallible>(reply(200, full(CONTENT))))
    }));
    let mut future = Box::pin(service.oneshot(support::get("/")));
    assert!(tokio::time::timeout(ms(1), &mut future).await.is_err());
    assert_eq!(engine.stats().active, 1);
    drop(future);
    assert_eq!(engine.stats().active, 0);
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}

/// A service that must be ready before each call, and whose clones are not ready.
#[derive(Debug, Default)]
struct Picky {
    is_ready: bool,
}

impl Clone for Picky {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Service<Request<ChaosBody<Body>>> for Picky {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.is_ready = true;
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<ChaosBody<Body>>) -> Self::Future {
        assert!(self.is_ready, "it is called, but not ready");
        self.is_ready = false;
        ready(Ok(reply(200, full(CONTENT))))
    }
}

#[tokio::test(start_paused = true)]
async fn the_ready_service_is_called() {
    let body = Requests::any().body(".*").expect("a pattern");
    for stage in [
        Stage::wait(),
        Stage::always(Behavior::latency(Latency::fixed(ms(5)))),
        Stage::always(Behavior::snip_body()),
        Stage::always(Behavior::status(StatusCode::NOT_FOUND)),
        Stage::when(Trigger::percentage(50.0), Behavior::no_body()),
        Stage::when(Trigger::requests(body), Behavior::no_body()),
        Stage::when(Trigger::status(200..=200), Behavior::no_body()),
    ] {
        for is_on in [true, false] {
            let chaos = Chaos::new().stage(stage.clone());
            if is_on {
                chaos.engine().enable();
            }
            let mut service = chaos.layer(Picky::default());
            for _ in 0..20 {
                let service = service.ready().await.expect("ready");
                service.call(post("/", "content")).await.expect("an answer");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn inner_concurrency_limits_hold() {
    let chaos = Chaos::on(Behavior::latency(Latency::fixed(ms(100))));
    let engine = chaos.engine();
    let busy = Arc::new(AtomicUsize::new(0));
    let inside = busy.clone();
    let service = ServiceBuilder::new()
        .layer(chaos)
        .concurrency_limit(2)
        .service_fn(move |_: Request<ChaosBody<Body>>| {
            let busy = inside.clone();
            async move {
                assert!(
                    busy.fetch_add(1, Ordering::Relaxed) < 2,
                    "more than two at once"
                );
                tokio::time::sleep(ms(50)).await;
                busy.fetch_sub(1, Ordering::Relaxed);
                Ok::<_, Infallible>(reply(200, full(CONTENT)))
            }
        });
    let began = tokio::time::Instant::now();
    let all = (0..6).map(|_| service.clone().oneshot(support::get("/")));
    futures::future::join_all(all).await;
    // A delayed request keeps the permit of its readiness.
    assert_eq!(began.elapsed(), ms(3 * 150));

    // A delayed request that is dropped returns its permit.
    let mut held = [(); 2].map(|()| Box::pin(service.clone().oneshot(support::get("/"))));
    for future in &mut held {
        assert!(tokio::time::timeout(ms(1), future).await.is_err());
    }
    let mut waiting = service.clone();
    assert!(waiting.ready().now_or_never().is_none());
    drop(held);
    assert!(waiting.ready().now_or_never().is_some());
    assert_eq!(engine.stats().active, 0);
}

#[tokio::test(start_paused = true)]
async fn inner_load_shedding_fails_as_without_chaos() {
    let chaos = Chaos::on(Behavior::latency(Latency::fixed(ms(100))));
    let engine = chaos.engine();
    let service = ServiceBuilder::new()
        .layer(chaos)
        .load_shed()
        .concurrency_limit(1)
        .service_fn(async |_: Request<ChaosBody<Body>>| {
            Ok::<_, Infallible>(reply(200, full(CONTENT)))
        });
    let ask = || service.clone().oneshot(support::get("/"));
    let (first, second) = tokio::join!(ask(), ask());
    assert_eq!(first.expect("an answer").status(), 200);
    let error = second.expect_err("too many");
    assert!(
        error.is::<tower::load_shed::error::Overloaded>(),
        "{error:?}"
    );
    assert_eq!(engine.stats().active, 0);
}

/// A `tracing` subscriber may panic while the engine is locked.
#[tokio::test]
async fn a_panic_does_not_poison_the_engine() {
    struct Panics;

    impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Panics {
        fn on_event(
            &self,
            event: &tracing::Event<'_>,
            _: tracing_subscriber::layer::Context<'_, S>,
        ) {
            let is_ours = event
                .metadata()
                .target()
                .starts_with("tower_traffic::chaos");
            assert!(!is_ours, "must panic");
        }
    }

    let chaos = Chaos::on(Behavior::status(StatusCode::IM_A_TEAPOT));
    let engine = chaos.engine();
    let service = chaos.layer(service_fn(|_: Request<ChaosBody<Body>>| {
        ready(Ok::<_, Infallible>(reply(200, full(CONTENT))))
    }));
    let ask = || service.clone().oneshot(with(support::get("/"), "a", "b"));
    {
        use tracing_subscriber::layer::SubscriberExt;

        let _panics = tracing::subscriber::set_default(tracing_subscriber::registry().with(Panics));
        std::panic::AssertUnwindSafe(ask())
            .catch_unwind()
            .await
            .expect_err("it panics");
        let toggle = std::panic::AssertUnwindSafe(|| engine.toggle());
        std::panic::catch_unwind(toggle).expect_err("it panics");
    }
    assert_eq!(engine.stats().active, 0);
    engine.enable();
    assert_eq!(ask().await.expect("an answer").status(), 418);
    assert_eq!(engine.to_string(), "Always ReturnStatus (418)");
    engine.disable();
    assert_eq!(ask().await.expect("an answer").status(), 200);
}
