//! `RecordTraffic`: exact recordings, and no effect on the traffic.

use std::{
    convert::Infallible,
    future::{pending, poll_fn, ready},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, routing};
use bytes::Bytes;
use futures::{
    FutureExt,
    executor::block_on,
    future::{BoxFuture, join_all},
};
use http::{Request, Response, Version};
use http_body::Body as _;
use http_body_util::{BodyExt, Full};
use support::{
    Body, Origin, Server, all_kinds, all_requests, ask, assert_adds_up, broken, channel, counting,
    data, empty, failing, fields, frames, full, gated, get, hanging, http1, http2, panicking, post,
    random_bytes, read, reply, request, settled, slow, soon, trailers, with, without_server_fields,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, Semaphore},
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, limit::ConcurrencyLimit, service_fn};
use tower_http::catch_panic::CatchPanicLayer;
use tower_traffic::{
    BodyEnd, Exchange, ExchangeEnd, HeaderList, NoResponse, RecordTraffic, Recorder, Redact,
    WhenFull,
    record::{RecordTrafficService, RequestBody, ResponseBody, ResponseFuture},
    store::{Memory, StoreError},
};

fn recording() -> (RecordTraffic, Memory) {
    let memory = Memory::new();
    (recording_into(&memory), memory)
}

fn recording_into(memory: &Memory) -> RecordTraffic {
    RecordTraffic::new(memory.clone()).redact(Redact::none())
}

/// Waits for one exchange, and returns it.
async fn only(recorder: &Recorder, memory: &Memory) -> Exchange {
    let stats = settled(recorder, 1).await;
    assert_eq!((stats.served, stats.stored), (1, 1), "{stats:?}");
    Exchange::clone(&memory.exchanges()[0])
}

fn response_body(exchange: &Exchange) -> &tower_traffic::RecordedBody {
    &exchange.response.as_ref().expect("a response").body
}

// ---- exact recordings

#[tokio::test]
async fn in_process_every_exchange_is_recorded_exactly() {
    let (record, memory) = recording();
    let origin = all_kinds();
    let service = record.layer(origin.clone());
    let mut answers = Vec::new();
    for request in all_requests("") {
        answers.push(ask(&service, request).await);
    }
    record.recorder().flush().await;
    assert_recorded(&memory, &origin, &answers);
}

#[tokio::test]
async fn over_http1_every_exchange_is_recorded_exactly() {
    over_sockets(http1(), Version::HTTP_11).await;
}

#[tokio::test]
async fn over_http2_every_exchange_is_recorded_exactly() {
    over_sockets(http2(), Version::HTTP_2).await;
}

async fn over_sockets(client: support::HttpClient, version: Version) {
    let (record, memory) = recording();
    let origin = all_kinds();
    let app = Router::new()
        .fallback_service(origin.clone())
        .layer(record.clone());
    let server = Server::start(app).await;
    let mut answers = Vec::new();
    for request in all_requests(&server.url("")) {
        let answer = ask(&client, request).await;
        assert_eq!(answer.version, version);
        answers.push(answer);
        // A client may receive the last byte before the server drops the body.
        settled(&record.recorder(), answers.len() as u64).await;
    }
    assert_recorded(&memory, &origin, &answers);
}

/// Asserts that the recording contains the requests of `origin` and the responses in `answers`.
fn assert_recorded(memory: &Memory, origin: &Origin, answers: &[support::Answer]) {
    let exchanges = memory.exchanges();
    let seen = origin.seen();
    assert_eq!(exchanges.len(), answers.len());
    assert_eq!(seen.len(), answers.len());
    for ((exchange, seen), answer) in exchanges.iter().zip(&seen).zip(answers) {
        let what = format!("{} {}", seen.method, seen.uri);
        assert_eq!(exchange.end(), ExchangeEnd::Complete, "{what}");
        assert_eq!(exchange.request, *seen, "{what}");
        let response = exchange.response.as_ref().expect("a response");
        assert_eq!(response.status, answer.status, "{what}");
        assert_eq!(response.body.to_bytes(), answer.body, "{what}");
        assert_eq!(
            response.body.trailers.as_ref().map(HeaderList::to_map),
            answer.trailers,
            "{what}"
        );
        let recorded = without_server_fields(response.headers.to_map());
        assert_eq!(recorded, answer.fields(), "{what}");
        assert!(
            exchange.time_to_head <= Some(exchange.time_to_end),
            "{what}"
        );
    }
    // Confirms that the origin sent these headers; the comparison above would pass without them.
    let cookies: Vec<_> = answers[8].headers.get_all("set-cookie").iter().collect();
    assert_eq!(cookies, ["a=1", "b=2; Path=/"]);
    assert_eq!(answers[8].headers["x-latin"].as_bytes(), b"caf\xe9");
    assert_eq!(
        seen[1].headers.get_all("x-twice").collect::<Vec<_>>(),
        [b"1", b"2"]
    );
    assert_eq!(seen[1].headers.get("x-latin"), Some(&b"\xe9t\xe9"[..]));
    assert_eq!(seen[3].body.to_bytes(), "chunk by chunk");
    assert_eq!(answers[9].headers["content-length"], "14");
    assert_eq!(answers[5].body.len(), 1 << 20);
    assert_eq!(
        answers[12].trailers,
        Some(fields([("x-sum", "12"), ("x-sum", "34")]))
    );
}

#[tokio::test]
async fn request_trailers_are_recorded_over_http2() {
    let (record, memory) = recording();
    let origin = Origin::saying("thanks");
    let app = Router::new()
        .fallback_service(origin.clone())
        .layer(record.clone());
    let server = Server::start(app).await;
    let sent = fields([("x-sum", "1"), ("x-sum", "2")]);
    let body = frames([data("some "), data("content"), trailers(sent.clone())]);
    ask(&http2(), request("POST", server.url("/"), body)).await;

    let exchange = only(&record.recorder(), &memory).await;
    assert_eq!(exchange.request, origin.seen()[0]);
    assert_eq!(exchange.request.body.to_bytes(), "some content");
    assert_eq!(
        exchange.request.body.trailers.map(|t| t.to_map()),
        Some(sent)
    );
}

#[tokio::test]
async fn timings_are_measured() {
    tokio::time::pause();
    let (record, memory) = recording();
    let (sender, body) = channel();
    let body = Arc::new(Mutex::new(Some(body)));
    let service = record.layer(Origin::waiting(move |_| {
        let body = body.lock().expect("no panic").take().expect("one request");
        async move {
            tokio::time::sleep(Duration::from_secs(3)).await;
            reply(200, body)
        }
    }));
    let response = service.oneshot(get("/")).await.expect("an answer");
    tokio::time::advance(Duration::from_secs(4)).await;
    sender.data("late");
    drop(sender);
    read(response).await;
    let exchange = only(&record.recorder(), &memory).await;
    // tokio's timers have millisecond resolution.
    let seconds = |time: Duration| time.as_millis().div_euclid(10) * 10;
    assert_eq!(exchange.time_to_head.map(seconds), Some(3000));
    assert_eq!(seconds(exchange.time_to_end), 7000);
}

// ---- immediate forwarding of frames

#[tokio::test]
async fn an_event_reaches_the_client_before_the_next_is_produced() {
    for client in [http1(), http2()] {
        let (record, memory) = recording();
        let (sender, body) = channel();
        let body = Mutex::new(Some(body));
        let origin = Origin::new(move |_| {
            reply(
                200,
                body.lock().expect("no panic").take().expect("one request"),
            )
        });
        let app = Router::new().fallback_service(origin).layer(record.clone());
        let server = Server::start(app).await;
        let response = soon(client.request(get(server.url("/sse")))).await;
        let mut events = response.expect("an answer").into_body();
        for event in ["data: 1\n\n", "data: 2\n\n", "data: 3\n\n"] {
            sender.data(event);
            let frame = soon(events.frame()).await.expect("a frame");
            assert_eq!(frame.expect("a frame").into_data().expect("data"), event);
        }
        assert_eq!(record.recorder().stats().served, 0, "it has not ended");
        drop(sender);
        let rest = soon(events.collect()).await.expect("an end");
        assert!(rest.to_bytes().is_empty());
        let exchange = only(&record.recorder(), &memory).await;
        assert_eq!(
            response_body(&exchange).to_bytes(),
            "data: 1\n\ndata: 2\n\ndata: 3\n\n"
        );
    }
}

#[tokio::test]
async fn a_request_frame_reaches_the_service_before_the_next_is_sent() {
    let (record, _) = recording();
    let arrived = Arc::new(Notify::new());
    let arrival = arrived.clone();
    let service = record.layer(service_fn(move |request: Request<RequestBody<Body>>| {
        let arrived = arrival.clone();
        async move {
            let mut body = request.into_body();
            while body.frame().await.is_some() {
                arrived.notify_one();
            }
            Ok::<_, Infallible>(reply(200, empty()))
        }
    }));
    let (sender, body) = channel();
    let call = tokio::spawn(service.oneshot(request("POST", "/", body)));
    for _ in 0..3 {
        sender.data("piece");
        soon(arrived.notified()).await;
    }
    drop(sender);
    soon(call).await.expect("no panic").expect("an answer");
}

// ---- size hints and end of stream

#[test]
fn size_hint_and_is_end_stream_are_those_of_the_inner_body() {
    let (record, _) = recording();
    let service = record.layer(service_fn(|request: Request<RequestBody<Full<Bytes>>>| {
        assert_eq!(request.body().size_hint().exact(), Some(4));
        ready(Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(
            "reply",
        )))))
    }));
    let request = Request::new(Full::new(Bytes::from("asks")));
    let response = block_on(service.oneshot(request)).expect("an answer");
    assert_eq!(response.body().size_hint().exact(), Some(5));
}

#[tokio::test]
async fn a_body_of_known_length_that_is_never_polled_to_none_is_complete() {
    let (record, memory) = recording();
    let service = record.layer(service_fn(
        |mut request: Request<RequestBody<Body>>| async move {
            // The handler and the client stop before the final `None`.
            request.body_mut().frame().await;
            let reply = reply(200, frames([data("12"), data("345")]));
            Ok::<_, Infallible>(with_length(reply, "5"))
        },
    ));
    let asked = with(
        request("POST", "/", frames([data("four")])),
        "content-length",
        "4",
    );
    let mut response = service.oneshot(asked).await.expect("an answer");
    response.body_mut().frame().await;
    response.body_mut().frame().await;
    drop(response);
    let exchange = only(&record.recorder(), &memory).await;
    assert_eq!(exchange.end(), ExchangeEnd::Complete);
    assert_eq!(exchange.request.body.end, BodyEnd::Complete);
    assert_eq!(response_body(&exchange).to_bytes(), "12345");
}

fn with_length(mut response: Response<Body>, length: &str) -> Response<Body> {
    let length = length.parse().expect("a value");
    response.headers_mut().insert("content-length", length);
    response
}

// ---- failed exchanges

#[tokio::test]
async fn a_request_body_error_is_recorded() {
    let (record, memory) = recording();
    let origin = Origin::saying("sorry");
    let service = record.layer(origin.clone());
    let body = frames([data("half of"), broken("connection reset")]);
    ask(&service, request("POST", "/", body)).await;

    let exchange = only(&record.recorder(), &memory).await;
    assert_eq!(
        exchange.end(),
        ExchangeEnd::Error("connection reset".to_owned())
    );
    assert_eq!(exchange.request, origin.seen()[0]);
    assert_eq!(exchange.request.body.to_bytes(), "half of");
    assert_eq!(response_body(&exchange).end, BodyEnd::Complete);
}

#[tokio::test]
async fn a_response_body_error_is_recorded() {
    let (record, memory) = recording();
    let service = record.layer(Origin::new(|_| {
        reply(200, frames([data("half of"), broken("disk gone")]))
    }));
    let response = service.oneshot(get("/")).await.expect("an answer");
    assert!(response.into_body().collect().await.is_err());

    let exchange = only(&record.recorder(), &memory).await;
    assert_eq!(exchange.end(), ExchangeEnd::Error("disk gone".to_owned()));
    assert_eq!(response_body(&exchange).to_bytes(), "half of");
}

#[tokio::test]
async fn an_unread_request_body_is_recorded_as_dropped() {
    let (record, memory) = recording();
    let service = record.layer(service_fn(|_: Request<RequestBody<Body>>| {
        ready(Ok::<_, Infallible>(reply(403, full("no"))))
    }));
    ask(&service, post("/", "content")).await;
    let exchange = only(&record.recorder(), &memory).await;
    assert_eq!(exchange.end(), ExchangeEnd::Complete);
    assert_eq!(exchange.request.body.end, BodyEnd::Dropped);
}

#[tokio::test]
async fn a_client_that_hangs_up_in_the_middle_of_a_response() {
    let (record, memory) = recording();
    let (sender, body) = channel();
    let body = Mutex::new(Some(body));
    let origin = Origin::new(move |_| {
        reply(
            200,
            body.lock().expect("no panic").take().expect("one request"),
        )
    });
    let app = Router::new().fallback_service(origin).layer(record.clone());
    let server = Server::start(app).await;

    let mut client = TcpStream::connect(server.addr).await.expect("a connection");
    let head = b"GET /feed HTTP/1.1\r\nhost: here\r\n\r\n";
    client.write_all(head).await.expect("sent");
    sender.data("the first event");
    read_until(&mut client, "the first event").await;
    drop(client);
    soon(sender.dropped()).await;

    let exchange = only(&record.recorder(), &memory).await;
    assert_eq!(exchange.end(), ExchangeEnd::ClientGone);
    assert_eq!(response_body(&exchange).to_bytes(), "the first event");
    assert_eq!(response_body(&exchange).end, BodyEnd::Dropped);
    assert_eq!(exchange.request.uri, "/feed");
}

async fn read_until(client: &mut TcpStream, text: &str) {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(text) {
        let count = soon(client.read_buf(&mut read)).await.expect("read");
        assert_ne!(count, 0, "the server closed");
    }
}

#[tokio::test]
async fn a_client_that_hangs_up_before_the_head() {
    let (record, memory) = recording();
    let entered = Arc::new(Notify::new());
    let enter = entered.clone();
    let app = Router::new()
        .fallback_service(Origin::waiting(move |_| {
            enter.notify_one();
            pending()
        }))
        .layer(record.clone());
    let server = Server::start(app).await;

    let mut client = TcpStream::connect(server.addr).await.expect("a connection");
    let head = b"GET /slow HTTP/1.1\r\nhost: here\r\n\r\n";
    client.write_all(head).await.expect("sent");
    soon(entered.notified()).await;
    drop(client);

    let exchange = only(&record.recorder(), &memory).await;
    assert_eq!(exchange.end(), ExchangeEnd::ClientGone);
    assert_eq!(exchange.response, Err(NoResponse::ClientGone));
    assert_eq!(exchange.time_to_head, None);
}

#[tokio::test]
async fn a_client_that_hangs_up_in_the_middle_of_a_request() {
    let (record, memory) = recording();
    let origin = Origin::saying("too late");
    let app = Router::new()
        .fallback_service(origin.clone())
        .layer(record.clone());
    let server = Server::start(app).await;
    let mut client = TcpStream::connect(server.addr).await.expect("a connection");
    let half = b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 10\r\n\r\nhello";
    client.write_all(half).await.expect("sent");
    drop(client);

    let exchange = only(&record.recorder(), &memory).await;
    assert_ne!(exchange.end(), ExchangeEnd::Complete);
    assert_ne!(exchange.request.body.end, BodyEnd::Complete);
    assert_eq!(exchange.request.body.to_bytes(), "hello");
}

/// Starts an origin that sends `answer` on each connection and closes it.
async fn raw_origin(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            read_until(&mut stream, "\r\n\r\n").await;
            stream.write_all(answer.as_bytes()).await.expect("sent");
        }
    });
    format!("http://{addr}/")
}

#[tokio::test]
async fn a_response_cut_by_its_origin_is_recorded_as_cut() {
    let (record, memory) = recording();
    let client = record.layer(http1());
    let url = raw_origin("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").await;
    let response = soon(client.oneshot(get(url))).await.expect("a head");
    assert!(soon(response.into_body().collect()).await.is_err());

    let exchange = only(&record.recorder(), &memory).await;
    assert!(
        matches!(exchange.end(), ExchangeEnd::Error(_)),
        "{:?}",
        exchange.end()
    );
    assert_eq!(response_body(&exchange).to_bytes(), "hello");
}

#[tokio::test]
async fn an_origin_that_closes_before_its_head() {
    let (record, memory) = recording();
    let client = record.layer(http1());
    let url = raw_origin("").await;
    let error = soon(client.oneshot(get(url))).await.expect_err("no answer");
    let exchange = only(&record.recorder(), &memory).await;
    assert_eq!(
        exchange.response,
        Err(NoResponse::Failed(error.to_string()))
    );
}

#[tokio::test]
async fn an_error_of_the_inner_service_is_returned_and_recorded() {
    let (record, memory) = recording();
    let service = record.layer(service_fn(|_: Request<RequestBody<Body>>| {
        ready(Err::<Response<Body>, _>("no route to host"))
    }));
    let error = service.oneshot(get("/")).await.expect_err("no answer");
    assert_eq!(error, "no route to host");
    let exchange = only(&record.recorder(), &memory).await;
    assert_eq!(
        exchange.end(),
        ExchangeEnd::Error("no route to host".to_owned())
    );
}

fn panicking_app() -> Router {
    async fn panic() -> &'static str {
        panic!("a handler's own bug")
    }
    Router::new().route("/", routing::get(panic))
}

#[tokio::test]
async fn a_panic_caught_inside_is_recorded_as_a_500() {
    let (record, memory) = recording();
    let app = panicking_app()
        .layer(CatchPanicLayer::new())
        .layer(record.clone());
    let answer = ask(&app, get("/")).await;
    assert_eq!(answer.status, 500);
    let exchange = only(&record.recorder(), &memory).await;
    assert_eq!(exchange.end(), ExchangeEnd::Complete);
    let response = exchange.response.as_ref().expect("a response");
    assert_eq!(response.status, 500);
    assert_eq!(response.body.to_bytes(), answer.body);
}

#[tokio::test]
async fn a_panic_caught_outside_is_recorded_as_an_error() {
    let (record, memory) = recording();
    let app = panicking_app()
        .layer(record.clone())
        .layer(CatchPanicLayer::new());
    assert_eq!(ask(&app, get("/")).await.status, 500);
    let exchange = only(&record.recorder(), &memory).await;
    assert!(
        matches!(exchange.end(), ExchangeEnd::Error(_)),
        "{:?}",
        exchange.end()
    );
    assert!(matches!(exchange.response, Err(NoResponse::Failed(_))));
}

// ---- limits and filters

#[tokio::test]
async fn a_body_over_the_capture_limit_passes_whole_and_is_recorded_as_cut() {
    let memory = Memory::new();
    let record = recording_into(&memory).max_body_bytes(10);
    let origin = all_kinds();
    let service = record.layer(origin.clone());
    let answer = ask(&service, post("/echo", "0123456789ABC")).await;
    assert_eq!(answer.body, "0123456789ABC");
    assert_eq!(origin.seen()[0].body.to_bytes(), "0123456789ABC");

    let exchange = only(&record.recorder(), &memory).await;
    assert_eq!(exchange.end(), ExchangeEnd::Limit);
    assert_eq!(exchange.request.body.end, BodyEnd::Limit);
    assert_eq!(exchange.request.body.to_bytes(), "0123456789");
    assert_eq!(response_body(&exchange).end, BodyEnd::Limit);
    assert_eq!(response_body(&exchange).to_bytes(), "0123456789");
}

#[tokio::test]
async fn a_body_of_just_the_capture_limit_is_complete() {
    let memory = Memory::new();
    let record = recording_into(&memory).max_body_bytes(10);
    ask(&record.layer(all_kinds()), post("/echo", "0123456789")).await;
    let exchange = only(&record.recorder(), &memory).await;
    assert_eq!(exchange.end(), ExchangeEnd::Complete);
}

#[tokio::test]
async fn a_body_limit_of_zero_keeps_heads_only() {
    let memory = Memory::new();
    let record = recording_into(&memory).max_body_bytes(0);
    let answer = ask(&record.layer(all_kinds()), get("/trailers")).await;
    assert_eq!(answer.body, "first,second");
    let exchange = only(&record.recorder(), &memory).await;
    assert_eq!(exchange.end(), ExchangeEnd::Limit);
    assert!(response_body(&exchange).is_empty());
    assert!(response_body(&exchange).trailers.is_some());
}

#[tokio::test]
async fn rejected_requests_pass_and_are_not_counted() {
    let memory = Memory::new();
    let record = recording_into(&memory).filter(|request| request.uri.path() != "/health");
    let service = record.layer(Origin::saying("fine"));
    assert_eq!(ask(&service, get("/health")).await.text(), "fine");
    assert_eq!(ask(&service, get("/users")).await.text(), "fine");
    let stats = record.recorder().flush().await;
    assert_eq!((stats.served, stats.stored), (1, 1));
    assert_eq!(memory.exchanges()[0].request.uri, "/users");
}

#[tokio::test]
async fn a_panicking_filter_rejects_the_request() {
    let memory = Memory::new();
    let record = recording_into(&memory).filter(|request| match request.uri.path() {
        "/panic" => panic!("on purpose"),
        _ => true,
    });
    let service = record.layer(Origin::saying("fine"));
    assert_eq!(ask(&service, get("/panic")).await.text(), "fine");
    assert_eq!(ask(&service, get("/users")).await.text(), "fine");
    assert_eq!(record.recorder().flush().await.served, 1);
}

// ---- failing stores

/// Sends many concurrent requests while another task reads the counters.
async fn under_load(record: RecordTraffic) -> tower_traffic::record::RecorderStats {
    const REQUESTS: u64 = 400;
    let recorder = record.recorder();
    let service = record.layer(all_kinds());
    let is_over = Arc::new(AtomicBool::new(false));
    let watcher = tokio::task::spawn_blocking({
        let (recorder, is_over) = (recorder.clone(), is_over.clone());
        move || {
            let mut last = 0;
            while !is_over.load(Ordering::Relaxed) {
                let stats = recorder.stats();
                assert_adds_up(&stats);
                assert!(stats.served >= last);
                last = stats.served;
            }
        }
    });
    let calls = (0..REQUESTS).map(|number| {
        let service = service.clone();
        tokio::spawn(async move {
            let text = format!("content {number}");
            let answer = ask(&service, post("/echo", text.clone())).await;
            assert_eq!(answer.text(), text);
        })
    });
    for call in soon(join_all(calls)).await {
        call.expect("a request that nothing happened to");
    }
    let stats = settled(&recorder, REQUESTS).await;
    is_over.store(true, Ordering::Relaxed);
    watcher.await.expect("counters that add up");
    assert_eq!(stats.served, REQUESTS);
    assert_eq!(stats.queued, 0);
    assert_adds_up(&stats);
    stats
}

#[tokio::test(flavor = "multi_thread")]
async fn the_counters_add_up_with_a_good_store() {
    let count = Arc::new(AtomicUsize::new(0));
    let stats = under_load(RecordTraffic::new(counting(&count))).await;
    assert_eq!(stats.stored, 400);
    assert_eq!(count.load(Ordering::Relaxed), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_counters_add_up_with_a_failing_store() {
    let stats = under_load(RecordTraffic::new(failing())).await;
    assert_eq!(stats.dropped.store_failed, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_counters_add_up_with_a_panicking_store() {
    let stats = under_load(RecordTraffic::new(panicking())).await;
    assert_eq!(stats.dropped.store_failed, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_counters_add_up_with_a_hanging_store() {
    let record = RecordTraffic::new(hanging()).store_timeout(Duration::from_millis(10));
    let stats = under_load(record).await;
    assert_eq!(stats.dropped.store_timed_out, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_counters_add_up_with_a_slow_store() {
    let memory = Memory::new();
    let stats = under_load(RecordTraffic::new(slow(&memory))).await;
    assert_eq!(stats.stored, 400);
    assert_eq!(memory.len(), 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_counters_add_up_with_a_store_that_is_too_slow() {
    let memory = Memory::new();
    let stats = under_load(RecordTraffic::new(slow(&memory)).max_buffered_bytes(20_000)).await;
    assert_eq!(stats.dropped.queue_full + stats.stored, 400);
    assert_eq!(memory.len() as u64, stats.stored);
}

#[tokio::test]
async fn a_recovered_store_takes_later_exchanges() {
    let memory = Memory::new();
    let calls = AtomicUsize::new(0);
    let store = memory.clone();
    let sink = support::SinkFn(move |exchanges: Vec<Arc<Exchange>>| {
        let store = store.clone();
        let call = calls.fetch_add(1, Ordering::Relaxed);
        async move {
            match call {
                0 => Err(StoreError::other("first")),
                1 => panic!("second"),
                2 => pending().await,
                _ => tower_traffic::store::Sink::store(&store, exchanges).await,
            }
        }
        .boxed()
    });
    let record = RecordTraffic::new(sink).store_timeout(Duration::from_millis(10));
    let service = record.layer(Origin::saying("fine"));
    for number in 1..=5 {
        ask(&service, get("/")).await;
        settled(&record.recorder(), number).await;
    }
    let stats = record.recorder().stats();
    assert_eq!(stats.dropped.store_failed, 2);
    assert_eq!(stats.dropped.store_timed_out, 1);
    assert_eq!(stats.stored, 2);
    assert_eq!(memory.len(), 2);
}

#[tokio::test]
async fn a_store_that_hangs_delays_no_request() {
    // `ask` waits less than the default store timeout of 30 s.
    let record = RecordTraffic::new(hanging()).drain_timeout(Duration::from_millis(50));
    let service = record.layer(Origin::saying("fine"));
    for _ in 0..1000 {
        assert_eq!(ask_at_once(&service, get("/")).text(), "fine");
    }
    assert_eq!(record.recorder().stats().queued, 1000);
}

/// Like `ask`, for a service that responds without waiting.
fn ask_at_once<S, R>(service: &S, request: Request<Body>) -> support::Answer
where
    S: Service<Request<Body>, Response = Response<R>> + Clone,
    S::Error: std::fmt::Debug,
    R: http_body::Body<Data = Bytes>,
    R::Error: std::fmt::Debug,
{
    let answer = async {
        let response = service.clone().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        support::Answer {
            status: parts.status.as_u16(),
            version: parts.version,
            headers: parts.headers,
            body,
            trailers: None,
        }
    };
    answer.now_or_never().expect("an answer without waiting")
}

#[tokio::test]
async fn the_hook_gets_every_error() {
    let errors = Arc::new(Mutex::new(Vec::new()));
    let heard = errors.clone();
    let record = RecordTraffic::new(failing())
        .on_error(move |error| heard.lock().expect("no panic").push(error.to_string()));
    let service = record.layer(Origin::saying("fine"));
    for number in 1..=3 {
        ask(&service, get("/")).await;
        settled(&record.recorder(), number).await;
    }
    let errors = errors.lock().expect("no panic").clone();
    assert_eq!(errors, ["disk on fire"; 3]);
}

#[tokio::test]
async fn a_hook_that_panics_does_no_harm() {
    let record = RecordTraffic::new(failing()).on_error(|_| panic!("a hook's own bug"));
    let service = record.layer(Origin::saying("fine"));
    for number in 1..=3 {
        ask(&service, get("/")).await;
        settled(&record.recorder(), number).await;
    }
    assert_eq!(record.recorder().stats().dropped.store_failed, 3);
}

// ---- the queue

#[tokio::test]
async fn exchanges_over_the_buffer_limit_are_dropped_and_counted() {
    let (memory, gate) = (Memory::new(), Arc::new(Semaphore::new(0)));
    let record = RecordTraffic::new(gated(&memory, &gate)).max_buffered_bytes(10_000);
    let service = record.layer(all_kinds());
    for _ in 0..20 {
        ask(&service, post("/echo", random_bytes(1000))).await;
    }
    let stats = record.recorder().stats();
    assert_eq!(stats.served, 20);
    assert!(stats.queued > 0, "{stats:?}");
    assert!(stats.dropped.queue_full > 10, "{stats:?}");
    assert_adds_up(&stats);

    gate.add_permits(100);
    let kept = stats.queued;
    let stats = record.recorder().flush().await;
    assert_eq!((stats.stored, stats.queued), (kept, 0));
    assert_eq!(memory.len() as u64, kept);
}

#[tokio::test]
async fn bodies_in_flight_reserve_and_release_the_budget() {
    let memory = Memory::new();
    let record = recording_into(&memory).max_buffered_bytes(10_000);
    let recorder = record.recorder();
    let service = record.layer(Origin::new(|request| {
        reply(
            200,
            frames([data(random_bytes(request.body().len())), data("end")]),
        )
    }));
    let size = |len: usize| post("/", vec![0; len]);

    // Many rounds, so that a leak in the byte budget accumulates.
    let mut served = 0;
    for _ in 0..30 {
        let before = recorder.stats();
        let mut held = service.clone().oneshot(size(3_500)).await.expect("held");
        held.body_mut()
            .frame()
            .await
            .expect("a frame")
            .expect("data");
        ask(&service, size(2_000)).await;
        let stats = recorder.stats();
        assert_eq!(
            stats.dropped.queue_full,
            before.dropped.queue_full + 1,
            "7,000 bytes are in flight, and 4,000 more do not fit"
        );
        // A dropped body and a stored exchange both release their buffered bytes.
        drop(held);
        settled(&recorder, served + 2).await;
        ask(&service, size(2_000)).await;
        served += 3;
        let stats = settled(&recorder, served).await;
        assert_eq!(stats.dropped.queue_full, before.dropped.queue_full + 1);
    }
    assert_eq!(recorder.stats().stored, 60);
}

#[tokio::test]
async fn a_request_waits_for_room_and_is_then_recorded() {
    let (memory, gate) = (Memory::new(), Arc::new(Semaphore::new(0)));
    let record = RecordTraffic::new(gated(&memory, &gate))
        .max_buffered_bytes(10_000)
        .when_full(WhenFull::Wait {
            timeout: Duration::from_hours(1),
        });
    let service = record.layer(all_kinds());
    let answered = Arc::new(AtomicUsize::new(0));
    let count = answered.clone();
    let asks = tokio::spawn(async move {
        for _ in 0..20 {
            ask(&service, post("/echo", random_bytes(1000))).await;
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    // Long enough for all twenty requests if the full queue did not delay them.
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert!(!asks.is_finished());
    assert!(answered.load(Ordering::Relaxed) < 20);

    gate.add_permits(1000);
    soon(asks).await.expect("no panic");
    let stats = record.recorder().flush().await;
    assert_eq!((stats.served, stats.stored), (20, 20), "{stats:?}");
    assert_eq!(memory.len(), 20);
}

const AT_MOST: Duration = Duration::from_secs(7);

/// Returns a layer whose queue stays full.
async fn full_layer() -> RecordTraffic {
    let record = RecordTraffic::new(hanging())
        .max_buffered_bytes(10_000)
        .drain_timeout(Duration::from_millis(50))
        .when_full(WhenFull::Wait { timeout: AT_MOST });
    let service = record.layer(all_kinds());
    while record.recorder().stats().dropped.queue_full == 0 {
        ask(&service, post("/echo", random_bytes(1000))).await;
    }
    record
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_room_ends_at_its_timeout() {
    let record = full_layer().await;
    let service = record.layer(all_kinds());
    for _ in 0..3 {
        let before = record.recorder().stats();
        let start = tokio::time::Instant::now();
        let answer = ask(&service, post("/echo", random_bytes(1000))).await;
        assert_eq!(answer.body.len(), 1000);
        assert_eq!(start.elapsed().as_secs(), AT_MOST.as_secs());
        let stats = record.recorder().stats();
        assert_eq!(stats.dropped.queue_full, before.dropped.queue_full + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_room_is_not_repeated_while_the_inner_service_is_busy() {
    let record = full_layer().await;
    let service = record.layer(ReadyAtLast::new(3));
    let start = tokio::time::Instant::now();
    let mut service = service;
    poll_fn(|cx| <_ as Service<Request<Body>>>::poll_ready(&mut service, cx))
        .await
        .expect("ready");
    assert_eq!(start.elapsed().as_secs(), AT_MOST.as_secs());
}

/// A service that is ready after `polls` calls of `poll_ready`.
struct ReadyAtLast {
    polls: usize,
}

impl ReadyAtLast {
    fn new(polls: usize) -> Self {
        Self { polls }
    }
}

impl<B> Service<Request<B>> for ReadyAtLast {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.polls == 0 {
            return Poll::Ready(Ok(()));
        }
        self.polls -= 1;
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        ready(Ok(reply(200, empty()))).boxed()
    }
}

// ---- flush and shutdown

#[tokio::test]
async fn flush_is_a_barrier() {
    let memory = Memory::new();
    let record = RecordTraffic::new(slow(&memory));
    let service = record.layer(Origin::saying("fine"));
    for number in 1..=20 {
        ask(&service, get("/")).await;
        let stats = record.recorder().flush().await;
        assert_eq!((stats.stored, stats.queued), (number, 0));
        assert_eq!(memory.len() as u64, number);
    }
}

#[tokio::test]
async fn a_flush_without_exchanges_returns() {
    let stats = soon(recording().0.recorder().flush()).await;
    assert_eq!(stats, tower_traffic::record::RecorderStats::default());
}

#[tokio::test]
async fn concurrent_flushes_return() {
    let (record, _) = recording();
    ask(&record.layer(Origin::saying("fine")), get("/")).await;
    let recorder = record.recorder();
    for stats in soon(join_all((0..50).map(|_| recorder.flush()))).await {
        assert_eq!(stats.stored, 1);
    }
}

#[tokio::test]
async fn dropping_the_last_handle_drains() {
    let memory = Memory::new();
    let record = RecordTraffic::new(slow(&memory));
    let service = record.layer(Origin::saying("fine"));
    for _ in 0..500 {
        ask(&service, get("/")).await;
    }
    drop((record, service));
    assert_eq!(memory.len(), 500);
}

#[test]
fn dropping_the_last_handle_drains_when_the_runtime_is_gone() {
    let memory = Memory::new();
    let record = RecordTraffic::new(slow(&memory));
    let service = record.layer(Origin::saying("fine"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        for _ in 0..500 {
            ask(&service, get("/")).await;
        }
    });
    drop(runtime);
    drop((record, service));
    assert_eq!(memory.len(), 500);
}

#[test]
fn exchanges_in_flight_at_the_end_of_the_runtime_are_recorded() {
    let (record, memory) = recording();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let entered = Arc::new(Notify::new());
        let enter = entered.clone();
        let service = record.layer(Origin::waiting(move |_| {
            enter.notify_one();
            pending()
        }));
        tokio::spawn(service.oneshot(get("/slow")));
        soon(entered.notified()).await;
    });
    drop(runtime);
    drop(record);
    assert_eq!(memory.len(), 1);
    assert_eq!(memory.exchanges()[0].end(), ExchangeEnd::ClientGone);
}

#[test]
fn dropping_the_last_handle_abandons_a_hanging_store() {
    let errors = Arc::new(Mutex::new(Vec::new()));
    let heard = errors.clone();
    let record = RecordTraffic::new(hanging())
        .drain_timeout(Duration::from_millis(50))
        .on_error(move |error| heard.lock().expect("no panic").push(error.to_string()));
    block_on(async { ask_at_once(&record.layer(Origin::saying("fine")), get("/")) });
    drop(record);
    let errors = errors.lock().expect("no panic").clone();
    assert_eq!(errors, ["the store did not answer within 50ms"]);
}

#[test]
fn dropping_the_last_handle_abandons_a_blocking_store() {
    let (release, blocked) = std::sync::mpsc::channel::<()>();
    let blocked = Mutex::new(blocked);
    let sink = support::SinkFn(move |_| {
        let _ = blocked.lock().expect("no panic").recv();
        ready(Ok(())).boxed()
    });
    let record = RecordTraffic::new(sink).drain_timeout(Duration::from_millis(50));
    ask_at_once(&record.layer(Origin::saying("fine")), get("/"));
    // The drop returns while the store still hangs.
    drop(record);
    drop(release);
}

#[test]
fn the_drain_timeout_may_be_unlimited() {
    let (record, memory) = recording();
    let record = record.drain_timeout(Duration::MAX);
    ask_at_once(&record.layer(Origin::saying("fine")), get("/"));
    drop(record);
    assert_eq!(memory.len(), 1);
}

#[test]
fn exchanges_are_recorded_outside_of_tokio() {
    let (record, memory) = recording();
    let service = record.layer(Origin::saying("fine"));
    assert_eq!(ask_at_once(&service, get("/")).text(), "fine");
    block_on(record.recorder().flush());
    assert_eq!(memory.len(), 1);
}

#[test]
fn building_a_layer_needs_no_runtime_and_does_no_io() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("t");
    let record = RecordTraffic::disk(&folder);
    let service = record.layer(Origin::saying("fine"));
    let recorder = record.recorder();
    let app: Router = Router::new()
        .route("/", routing::get(|| async { "hello" }))
        .layer(record.clone());
    drop((record, service, recorder, app));
    assert!(!folder.exists());
}

// ---- clones and routes

#[tokio::test]
async fn clones_and_routes_share_one_recorder() {
    let memory = Memory::new();
    let record = RecordTraffic::memory(&memory);
    let recorder = record.recorder();
    let app: Router = Router::new()
        .route("/a", routing::get(|| async { "a" }).post(|| async { "A" }))
        .route("/b", routing::get(|| async { "b" }))
        .layer(record.clone());
    let other: Router = Router::new()
        .route("/c", routing::get(|| async { "c" }))
        .route_layer(record.clone());
    ask(&app, get("/a")).await;
    ask(&app, post("/a", "")).await;
    ask(&app.clone(), get("/b")).await;
    ask(&other, get("/c")).await;
    ask(&app, get("/none")).await;
    drop((app, other));
    let stats = recorder.flush().await;
    assert_eq!((stats.served, stats.stored), (5, 5));
    let paths: Vec<_> = memory
        .exchanges()
        .iter()
        .map(|exchange| exchange.request.uri.path().to_owned())
        .collect();
    assert_eq!(paths, ["/a", "/a", "/b", "/c", "/none"]);
    assert_eq!(record.layer(empty_service()).recorder().stats(), stats);
}

fn empty_service() -> Origin {
    Origin::new(|_| reply(204, empty()))
}

#[tokio::test]
async fn misses_wait_until_the_inner_service_is_ready() {
    let (record, memory) = recording();
    let origin = Origin::waiting(|_| async {
        tokio::task::yield_now().await;
        reply(200, full("one at a time"))
    });
    let service = record.layer(ConcurrencyLimit::new(origin, 1));
    let asks = (0..50).map(|_| ask(&service, get("/")));
    for answer in soon(join_all(asks)).await {
        assert_eq!(answer.text(), "one at a time");
    }
    let stats = record.recorder().flush().await;
    assert_eq!(stats.stored, 50);
    assert_eq!(memory.len(), 50);
}

#[tokio::test]
async fn two_layers_in_one_stack_record_both() {
    let (outer, outer_memory) = recording();
    let (inner, inner_memory) = recording();
    let service = ServiceBuilder::new()
        .layer(outer.clone())
        .layer(inner.clone())
        .service(all_kinds());
    ask(&service, get("/trailers")).await;
    outer.recorder().flush().await;
    inner.recorder().flush().await;
    let (outer, inner) = (outer_memory.exchanges(), inner_memory.exchanges());
    assert_eq!(outer[0].request, inner[0].request);
    assert_eq!(outer[0].response, inner[0].response);
}

#[test]
fn the_layer_meets_the_bounds_of_axum() {
    fn assert_send<T: Send>() {}
    fn assert_sync<T: Sync>() {}
    fn assert_layer<T: Clone + Send + Sync + 'static>() {}
    fn assert_unpin<T: Unpin>() {}
    assert_layer::<RecordTraffic>();
    assert_layer::<RecordTrafficService<Origin>>();
    assert_layer::<Recorder>();
    assert_send::<ResponseFuture<BoxFuture<'static, ()>>>();
    assert_send::<RequestBody<Body>>();
    assert_sync::<RequestBody<Body>>();
    assert_send::<ResponseBody<Body>>();
    assert_sync::<ResponseBody<Body>>();
    assert_send::<StoreError>();
    assert_sync::<StoreError>();
    assert_send::<Exchange>();
    assert_sync::<Exchange>();
    // Some clients require `Unpin` bodies.
    assert_unpin::<RequestBody<Body>>();
}

// ---- handles and settings

/// A handle taken before the settings keeps its recorder, and later settings apply to every clone.
#[tokio::test]
async fn a_handle_taken_before_the_settings_stays_attached() {
    let (failures, memory) = (Arc::new(AtomicUsize::new(0)), Memory::new());
    let record = RecordTraffic::memory(&memory);
    let recorder = record.recorder();
    let early = record.layer(Origin::new(|_| reply(200, full("a long answer"))));
    let counted = failures.clone();
    let record = record
        .max_body_bytes(6)
        .redact(Redact::none())
        .when_full(WhenFull::Drop)
        .filter(|request| request.uri.path() != "/health")
        .store_timeout(Duration::from_secs(1))
        .drain_timeout(Duration::from_secs(1))
        .on_error(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
    let late = record.layer(Origin::new(|_| reply(200, full("a long answer"))));
    ask(&early, get("/early?token=secret")).await;
    ask(&late, get("/late")).await;
    ask(&late, get("/health")).await;
    assert_eq!(recorder.flush().await.stored, 2);

    let exchanges = memory.exchanges();
    let bodies = exchanges.iter().map(|exchange| {
        let response = exchange.response.as_ref().expect("a response");
        response.body.to_bytes()
    });
    assert_eq!(bodies.collect::<Vec<_>>(), ["a long answer", "a long"]);
    assert_eq!(exchanges[0].request.uri, "/early?token=secret");

    // The limit of buffered bytes also applies to existing services.
    let record = record.max_buffered_bytes(0);
    ask(&early, get("/early")).await;
    ask(&late, get("/late")).await;
    assert_eq!(recorder.stats().dropped.queue_full, 2);
    assert_eq!(record.recorder().stats(), recorder.stats());
    assert_eq!(failures.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn an_error_hook_and_a_timeout_set_late_apply() {
    let errors = Arc::new(AtomicUsize::new(0));
    let record = RecordTraffic::new(hanging());
    let service = record.layer(Origin::saying("fine"));
    let counted = errors.clone();
    let record = record
        .store_timeout(Duration::from_millis(10))
        .drain_timeout(Duration::from_millis(10))
        .on_error(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
    ask(&service, get("/")).await;
    assert_eq!(record.recorder().flush().await.dropped.store_timed_out, 1);
    assert!(errors.load(Ordering::Relaxed) >= 1);
}
