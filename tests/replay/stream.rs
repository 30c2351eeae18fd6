//! `ReplayStream` and `Responder`: responses in recorded order, each exchange once.

use std::{sync::Arc, task::Poll};

use axum::Router;
use bytes::Bytes;
use futures::{StreamExt, future::join_all, stream};
use http::Request;
use support::{
    Answer, Body, Origin, Server, all_kinds, all_requests, ask, broken, data, exchange, fields,
    frames, full, get, http1, http2, post, recorded_get, request, soon, with, with_status,
};
use tokio::sync::Semaphore;
use tower::{Layer, Service, limit::ConcurrencyLimit};
use tower_traffic::{
    BodyEnd, Exchange, HeaderList, Matching, NoResponse, RecordTraffic, Redact, ReplayStream,
    Responder,
    replay::ReplayStreamService,
    replay::StoredBody,
    store::{BoxStream, Memory, Replay, StoreError},
};

fn bobs() -> Memory {
    Memory::from_iter([
        with_status(recorded_get("/bob1", "one"), 200),
        with_status(recorded_get("/bob2", "two"), 202),
        with_status(recorded_get("/bob3", "three"), 404),
    ])
}

fn unreachable_origin() -> Origin {
    Origin::new(|request| panic!("{} was passed on", request.uri()))
}

fn streaming(replay: impl Replay) -> (ReplayStream, ReplayStreamService<Origin>) {
    let layer = ReplayStream::new(replay);
    let service = layer.layer(unreachable_origin());
    (layer, service)
}

async fn unused(layer: &ReplayStream) -> Vec<String> {
    let unused = layer.unused().await.expect("a recording");
    let uris = unused
        .iter()
        .map(|exchange| exchange.request.uri.to_string());
    uris.collect()
}

// ---- order

/// http4k's stream behavior.
#[tokio::test]
async fn a_stream_answers_in_order_and_then_refuses() {
    let (_, service) = streaming(bobs());
    for (path, status, text) in [
        ("/bob1", 200, "one"),
        ("/bob2", 202, "two"),
        ("/bob3", 404, "three"),
    ] {
        let answer = ask(&service, get(path)).await;
        assert_eq!((answer.status, answer.text().as_str()), (status, text));
    }
    let refused = ask(&service, get("/bob2")).await;
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("/bob2"), "{}", refused.text());
    assert!(
        refused.text().contains("all 3 exchanges were replayed"),
        "{}",
        refused.text()
    );
}

#[tokio::test]
async fn a_mismatch_shows_both_requests_and_leaves_the_cursor() {
    let memory = Memory::from_iter([
        exchange("PUT", "/expected?a=1", "wanted content", "found"),
        recorded_get("/next", "next"),
    ]);
    let (_, service) = streaming(memory);
    for _ in 0..2 {
        let refused = ask(&service, post("/other?b=2", "given content")).await;
        assert_eq!(refused.status, 400);
        let text = refused.text();
        for shown in [
            "exchange 1",
            "PUT /expected?a=1",
            "wanted content",
            "POST /other?b=2",
            "given content",
        ] {
            assert!(text.contains(shown), "{shown} is missing: {text}");
        }
    }
    let expected = request("PUT", "/expected?a=1", full("wanted content"));
    assert_eq!(ask(&service, expected).await.text(), "found");
    let refused = ask(&service, get("/expected?a=1")).await;
    assert!(refused.text().contains("exchange 2"), "{}", refused.text());
    assert_eq!(ask(&service, get("/next")).await.text(), "next");
}

#[tokio::test]
async fn a_mismatch_shows_no_secrets() {
    let memory = Memory::from_iter([recorded_get("/a?token=hunter1", "x")]);
    let layer = ReplayStream::memory(&memory).match_by(Matching::new().header("authorization"));
    let service = layer.layer(unreachable_origin());
    let asked = with(get("/b?api_key=hunter2"), "authorization", "hunter3");
    let text = ask(&service, asked).await.text();
    assert!(!text.contains("hunter"), "{text}");
    assert!(text.contains("/a?token=REDACTED"), "{text}");
    assert!(text.contains("/b?api_key=REDACTED"), "{text}");
    assert!(text.contains("authorization: REDACTED"), "{text}");
}

#[tokio::test]
async fn requests_are_compared_by_the_matching() {
    let memory = || Memory::from_iter([exchange("POST", "http://one/a?n=1&b=2", "x", "found")]);
    let asked = || post("http://two/a?n=7&b=2", "y");
    let service = ReplayStream::memory(&memory()).layer(unreachable_origin());
    assert_eq!(ask(&service, asked()).await.status, 400);
    let matching = Matching::new()
        .ignore_authority(true)
        .ignore_query("n")
        .ignore_body(true);
    let layer = ReplayStream::memory(&memory()).match_by(matching);
    let service = layer.layer(unreachable_origin());
    assert_eq!(ask(&service, asked()).await.text(), "found");
}

#[tokio::test]
async fn requests_that_differ_in_a_secret_are_equal() {
    let memory = Memory::new();
    let record = RecordTraffic::new(memory.clone());
    let asked = |token: &str| get(format!("/a?token={token}"));
    ask(&record.layer(Origin::saying("found")), asked("one")).await;
    record.recorder().flush().await;
    let (_, service) = streaming(memory);
    assert_eq!(ask(&service, asked("two")).await.text(), "found");
}

#[tokio::test]
async fn a_request_recorded_without_its_body_is_compared_without_it() {
    for end in [BodyEnd::Dropped, BodyEnd::Limit] {
        let mut exchange = exchange("POST", "/", "beginn", "found");
        exchange.request.body.end = end;
        let (_, service) = streaming(Memory::from_iter([exchange]));
        assert_eq!(ask(&service, get("/")).await.status, 400);
        assert_eq!(ask(&service, post("/", "beginning")).await.text(), "found");
    }
}

#[tokio::test]
async fn exchanges_without_a_whole_response_are_passed_over() {
    let mut cut = recorded_get("/cut", "c");
    cut.response.as_mut().expect("one").body.end = BodyEnd::Dropped;
    let mut gone = recorded_get("/gone", "");
    gone.response = Err(NoResponse::ClientGone);
    let memory = Memory::from_iter([
        cut.clone(),
        recorded_get("/1", "1"),
        gone,
        recorded_get("/2", "2"),
        cut,
    ]);
    let (layer, service) = streaming(memory.clone());
    assert_eq!(unused(&layer).await, ["/1", "/2"]);
    assert_eq!(ask(&service, get("/1")).await.text(), "1");
    assert_eq!(unused(&layer).await, ["/2"]);
    assert_eq!(ask(&service, get("/2")).await.text(), "2");
    assert!(unused(&layer).await.is_empty());
    let responder = Responder::in_order(memory);
    assert_eq!(ask(&responder, get("/")).await.text(), "1");
    assert_eq!(ask(&responder, get("/")).await.text(), "2");
    assert_eq!(ask(&responder, get("/")).await.status, 503);
}

#[tokio::test]
async fn unused_lists_exchanges_without_a_request() {
    let (layer, service) = streaming(bobs());
    assert_eq!(unused(&layer).await, ["/bob1", "/bob2", "/bob3"]);
    ask(&service, get("/bob1")).await;
    // A refused request uses no exchange, although the refusal reads the next one.
    assert_eq!(ask(&service, get("/bob9")).await.status, 400);
    assert_eq!(unused(&layer.clone()).await, ["/bob2", "/bob3"]);
    ask(&service, get("/bob2")).await;
    ask(&service, get("/bob3")).await;
    assert!(unused(&layer).await.is_empty());
}

#[tokio::test]
async fn a_request_body_over_the_limit_gets_a_413_and_one_that_breaks_off_a_400() {
    let memory = Memory::from_iter([exchange("POST", "/", "12345", "found")]);
    let layer = ReplayStream::memory(&memory).max_request_body_bytes(5);
    let service = layer.layer(unreachable_origin());
    assert_eq!(ask(&service, post("/", "123456")).await.status, 413);
    let body = frames([data("123"), broken("reset")]);
    assert_eq!(ask(&service, request("POST", "/", body)).await.status, 400);
    assert_eq!(ask(&service, post("/", "12345")).await.text(), "found");
}

// ---- concurrency

fn hundred() -> (Memory, Vec<String>) {
    let texts: Vec<_> = (0..100).map(|i| format!("{i:02}")).collect();
    let memory = texts.iter().map(|text| recorded_get("/same", text));
    (memory.collect(), texts)
}

async fn assert_each_once<S, R>(service: &S, texts: &[String])
where
    S: Service<Request<Body>, Response = http::Response<R>> + Clone + Send + 'static,
    S::Error: std::fmt::Debug + Send,
    S::Future: Send,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: std::fmt::Debug + Send,
{
    let asks = texts
        .iter()
        .map(|_| tokio::spawn(ask(service, get("/same"))));
    let answers = soon(join_all(asks)).await;
    let mut answers: Vec<_> = answers
        .into_iter()
        .map(|answer| answer.expect("no panic").text())
        .collect();
    answers.sort();
    assert_eq!(answers, texts);
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_get_different_recordings() {
    let (memory, texts) = hundred();
    let (layer, service) = streaming(memory.clone());
    assert_each_once(&service, &texts).await;
    assert!(unused(&layer).await.is_empty());
    assert_each_once(&Responder::in_order(memory), &texts).await;
}

#[tokio::test]
async fn routes_and_clones_share_the_cursor() {
    let layer = ReplayStream::memory(&bobs());
    let app: Router = Router::new()
        .route("/bob1", axum::routing::get(|| async {}))
        .fallback(|| async {})
        .layer(layer.clone());
    let other = Router::new().fallback(|| async {}).layer(layer.clone());
    assert_eq!(ask(&app, get("/bob1")).await.text(), "one");
    assert_eq!(ask(&other, get("/bob2")).await.text(), "two");
    assert_eq!(ask(&app.clone(), get("/bob3")).await.text(), "three");
    assert!(unused(&layer).await.is_empty());
}

/// A recording that yields one exchange per permit and keeps only the last waker.
struct Slow {
    exchanges: Vec<Exchange>,
    gate: Arc<Semaphore>,
}

impl Replay for Slow {
    fn replay(&self) -> BoxStream<'static, Result<Exchange, StoreError>> {
        let gate = self.gate.clone();
        stream::iter(self.exchanges.clone())
            .then(move |exchange| {
                let gate = gate.clone();
                async move {
                    gate.acquire().await.expect("an open gate").forget();
                    Ok(exchange)
                }
            })
            .boxed()
    }
}

#[tokio::test]
async fn concurrent_requests_wait_for_a_slow_recording() {
    let (memory, texts) = hundred();
    let exchanges = memory.exchanges();
    let gate = Arc::new(Semaphore::new(0));
    let (_, service) = streaming(Slow {
        exchanges: exchanges.iter().map(|e| Exchange::clone(e)).collect(),
        gate: gate.clone(),
    });
    let mut asks: Vec<_> = texts.iter().map(|_| ask(&service, get("/same"))).collect();
    for ask in &mut asks {
        assert!(futures::poll!(ask).is_pending());
    }
    // The recording keeps the waker of the last poll; dropping that request must not stall the
    // others.
    drop(asks.split_off(90));
    let given = join_all(asks);
    let (given, ()) = soon(futures::future::join(given, async {
        for _ in 0..90 {
            gate.add_permits(1);
            tokio::task::yield_now().await;
        }
    }))
    .await;
    let given: Vec<_> = given.iter().map(Answer::text).collect();
    let mut sorted = given.clone();
    sorted.sort();
    assert_eq!(sorted, texts[..90]);
}

#[tokio::test]
async fn the_inner_service_is_not_called() {
    let busy = ConcurrencyLimit::new(unreachable_origin(), 1);
    let layer = ReplayStream::memory(&bobs());
    let service = layer.layer(busy);
    let answers = soon(join_all((0..50).map(|_| ask(&service, get("/bob1"))))).await;
    let good = answers.iter().filter(|answer| answer.status == 200).count();
    assert_eq!((good, answers.len()), (1, 50));
}

// ---- unreadable parts

/// A recording with an unreadable part.
struct Damaged;

impl Replay for Damaged {
    fn replay(&self) -> BoxStream<'static, Result<Exchange, StoreError>> {
        stream::iter([
            Ok(recorded_get("/1", "1")),
            Err(StoreError::other("a flipped byte")),
            Ok(recorded_get("/2", "2")),
        ])
        .boxed()
    }
}

#[tokio::test]
async fn an_unreadable_part_is_reported_once() {
    let (layer, service) = streaming(Damaged);
    assert_eq!(ask(&service, get("/1")).await.text(), "1");
    assert!(layer.unused().await.is_err());
    let reported = ask(&service, get("/2")).await;
    assert_eq!(reported.status, 500);
    assert!(
        reported.text().contains("a flipped byte"),
        "{}",
        reported.text()
    );
    assert_eq!(ask(&service, get("/2")).await.text(), "2");
    assert!(unused(&layer).await.is_empty());

    let responder = Responder::in_order(Damaged);
    assert_eq!(ask(&responder, get("/")).await.text(), "1");
    let reported = ask(&responder, get("/")).await;
    assert_eq!(reported.status, 503);
    assert!(
        reported.text().contains("a flipped byte"),
        "{}",
        reported.text()
    );
    assert_eq!(ask(&responder, get("/")).await.text(), "2");
}

#[tokio::test]
async fn an_empty_recording_is_named_in_the_response() {
    let layer = ReplayStream::memory(&Memory::new());
    let answer = ask(&layer.layer(unreachable_origin()), get("/")).await;
    assert_eq!(answer.status, 400);
    let expected = "expected no request: the recording has no complete response";
    assert!(answer.text().contains(expected), "{}", answer.text());
    let answer = ask(&Responder::in_order(Memory::new()), get("/")).await;
    assert_eq!(answer.status, 503);
    let expected = "tower-traffic: the recording has no complete response\n";
    assert_eq!(answer.text(), expected);
}

#[tokio::test]
async fn a_folder_that_does_not_exist_is_an_error() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("none");
    let layer = ReplayStream::disk(&folder);
    let error = layer.unused().await.expect_err("no recording");
    assert!(matches!(error, StoreError::NotFound { .. }), "{error}");
    let answer = ask(&layer.layer(unreachable_origin()), get("/")).await;
    assert_eq!(answer.status, 500);
    assert!(
        answer.text().contains("recording not found"),
        "{}",
        answer.text()
    );
    assert!(!folder.exists());
}

/// A recording that stays pending.
struct Silent;

impl Replay for Silent {
    fn replay(&self) -> BoxStream<'static, Result<Exchange, StoreError>> {
        stream::poll_fn(|_| Poll::Pending).boxed()
    }
}

#[tokio::test]
async fn a_hanging_recording_does_not_block_other_requests() {
    let (_, service) = streaming(Silent);
    let mut first = ask(&service, get("/"));
    let mut second = ask(&service, get("/"));
    assert!(futures::poll!(&mut first).is_pending());
    assert!(futures::poll!(&mut second).is_pending());
    drop((first, second));
}

// ---- the responder

/// http4k's responder behavior.
#[tokio::test]
async fn a_responder_answers_its_two_recordings_and_then_503() {
    let memory = Memory::from_iter([
        with_status(recorded_get("/", "first"), 200),
        with_status(recorded_get("/", "second"), 404),
    ]);
    let responder = Responder::in_order(memory);
    let first = ask(&responder, get("/whatever")).await;
    assert_eq!((first.status, first.text().as_str()), (200, "first"));
    let second = ask(&responder.clone(), post("/", "else")).await;
    assert_eq!((second.status, second.text().as_str()), (404, "second"));
    for _ in 0..2 {
        let left = ask(&responder, get("/")).await;
        assert_eq!(left.status, 503);
        assert!(
            left.text().contains("all 2 responses were replayed"),
            "{}",
            left.text()
        );
    }
}

#[tokio::test]
async fn a_responder_looks_each_request_up() {
    let responder = Responder::memory(&bobs());
    for (path, status, text) in [
        ("/bob3", 404, "three"),
        ("/bob1", 200, "one"),
        ("/bob3", 404, "three"),
    ] {
        let answer = ask(&responder, get(path)).await;
        assert_eq!((answer.status, answer.text().as_str()), (status, text));
    }
    let none = ask(&responder, get("/bob4?token=hunter2")).await;
    assert_eq!(none.status, 503);
    assert!(
        none.text().contains("/bob4?token=REDACTED"),
        "{}",
        none.text()
    );
}

#[tokio::test]
async fn a_responder_and_a_stream_answer_from_disk_over_sockets() {
    let folder = tempfile::tempdir().expect("a folder");
    let record = RecordTraffic::disk(folder.path()).redact(Redact::none());
    let service = record.layer(all_kinds());
    let mut recorded = Vec::new();
    for request in all_requests("") {
        recorded.push(ask(&service, request).await);
    }
    drop((record, service));

    let responder = Router::new().fallback_service(Responder::disk(folder.path()));
    let in_order = tower_traffic::store::Disk::new(folder.path());
    let in_order = Router::new().fallback_service(Responder::in_order(in_order));
    let layer = ReplayStream::disk(folder.path());
    let stream = Router::new()
        .fallback_service(unreachable_origin())
        .layer(layer.clone());
    for app in [responder, in_order, stream] {
        let server = Server::start(app).await;
        let client = http1();
        for (request, recorded) in all_requests(&server.url("")).into_iter().zip(&recorded) {
            let what = format!("{} {}", request.method(), request.uri());
            let answer = ask(&client, request).await;
            assert_eq!(answer.status, recorded.status, "{what}");
            assert_eq!(answer.body, recorded.body, "{what}");
            assert_eq!(answer.fields(), recorded.fields(), "{what}");
            assert_eq!(answer.trailers, recorded.trailers, "{what}");
        }
    }
    assert!(unused(&layer).await.is_empty());
}

#[tokio::test]
async fn trailers_come_over_http2_too() {
    let sum = fields([("x-sum", "1"), ("x-sum", "2")]);
    let mut exchange = recorded_get("/", "found");
    exchange.response.as_mut().expect("one").body.trailers = Some(HeaderList::from(&sum));
    let app = Router::new().fallback_service(Responder::in_order(Memory::from_iter([exchange])));
    let server = Server::start(app).await;
    let answer = ask(&http2(), get(server.url("/"))).await;
    assert_eq!(answer.text(), "found");
    assert_eq!(answer.trailers, Some(sum));
}

#[tokio::test]
async fn the_rest_is_seen_by_a_layer_that_was_set_afterwards() {
    let first = ReplayStream::memory(&bobs());
    let all = first.unused().await.expect("a recording").len();
    let second = first
        .clone()
        .max_request_body_bytes(100)
        .match_by(Matching::new());
    let service = second.layer(unreachable_origin());
    assert_eq!(ask(&service, get("/bob1")).await.text(), "one");
    for layer in [first, second] {
        let unused = layer.unused().await.expect("a recording");
        assert_eq!(unused.len(), all - 1);
    }
}

#[test]
fn the_layer_meets_the_bounds_of_axum() {
    fn assert_send<T: Send>() {}
    fn assert_body<T: Send + Sync + Unpin>() {}
    fn assert_layer<T: Clone + Send + Sync + 'static>() {}
    assert_layer::<ReplayStream>();
    assert_layer::<ReplayStreamService<Origin>>();
    assert_layer::<Responder>();
    assert_send::<<ReplayStreamService<Origin> as Service<Request<Body>>>::Future>();
    assert_send::<<Responder as Service<Request<Body>>>::Future>();
    assert_body::<StoredBody>();
}
