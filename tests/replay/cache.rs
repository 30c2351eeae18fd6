//! `ReplayCache`: responses from a recording, and the handling of misses.

use std::{
    convert::Infallible,
    fs,
    future::ready,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, routing};
use bytes::Bytes;
use futures::{
    FutureExt,
    future::{BoxFuture, join, join_all},
};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use support::{
    Answer, Body, FrameSender, Origin, Server, all_kinds, all_requests, ask, broken, channel, data,
    empty, exchange, failing, fields, frames, full, get, http1, http2, post, random_bytes, read,
    recorded_get, reply, request, settled, soon, trailers, with, with_status,
};
use tokio::sync::{Notify, Semaphore};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimit, service_fn};
use tower_traffic::{
    BodyEnd, Exchange, HeaderList, Matching, NoResponse, OnMiss, RecordTraffic, Redact,
    ReplayCache,
    replay::{AnswerOrder, ReplayCacheService, RequestBody, ResponseBody},
    store::{Disk, MatchKey, Memory, Source, StoreError, Which},
};

fn refusing(memory: &Memory) -> ReplayCache {
    ReplayCache::memory(memory).on_miss(OnMiss::Refuse)
}

fn recording(memory: &Memory) -> ReplayCache {
    ReplayCache::memory(memory).on_miss(OnMiss::Record)
}

/// Returns an inner service that panics when called.
fn unreachable_origin() -> Origin {
    Origin::new(|request| panic!("{} was passed on", request.uri()))
}

// ---- hits and misses

/// http4k's cache behavior.
#[tokio::test]
async fn a_hit_is_answered_and_a_miss_passes() {
    let memory = Memory::from_iter([
        with_status(recorded_get("/bob1", "one"), 200),
        with_status(recorded_get("/bob2", "two"), 202),
    ]);
    let origin = Origin::new(|_| reply(404, full("from the origin")));
    let cache = ReplayCache::memory(&memory).layer(origin.clone());
    for (path, status, text) in [
        ("/bob1", 200, "one"),
        ("/bob2", 202, "two"),
        ("/bob3", 404, "from the origin"),
        ("/bob1", 200, "one"),
        ("/bob3", 404, "from the origin"),
    ] {
        let answer = ask(&cache, get(path)).await;
        assert_eq!((answer.status, answer.text().as_str()), (status, text));
    }
    assert_eq!(origin.calls(), 2, "nothing was recorded on a miss");
    assert_eq!(memory.len(), 2);
}

#[tokio::test]
async fn a_miss_passes_the_request_through_unchanged() {
    let origin = all_kinds();
    let cache = ReplayCache::memory(&Memory::new()).layer(origin.clone());
    let bare = all_kinds();
    for (through, direct) in all_requests("").into_iter().zip(all_requests("")) {
        assert_eq!(ask(&cache, through).await, ask(&bare, direct).await);
    }
    assert_eq!(origin.seen(), bare.seen());
}

#[tokio::test]
async fn a_refusal_names_the_request() {
    let cache = refusing(&Memory::new()).layer(unreachable_origin());
    let answer = ask(&cache, post("/users?page=2", "who is bob")).await;
    assert_eq!(answer.status, 503);
    assert!(
        answer.text().contains("POST /users?page=2"),
        "{}",
        answer.text()
    );
    assert!(answer.text().contains("who is bob"), "{}", answer.text());
}

#[tokio::test]
async fn a_refusal_shows_the_headers_that_count_and_no_secrets() {
    let memory = Memory::new().match_by(Matching::new().header("accept").header("cookie"));
    let cache = refusing(&memory).layer(unreachable_origin());
    let asked = with(get("/users?token=hunter2"), "accept", "text/html");
    let text = ask(&cache, with(asked, "cookie", "hunter3")).await.text();
    assert!(text.contains("accept: text/html"), "{text}");
    assert!(text.contains("token=REDACTED"), "{text}");
    assert!(!text.contains("hunter"), "{text}");
}

#[tokio::test]
async fn a_refusal_has_the_status_that_was_asked_for() {
    let cache = refusing(&Memory::new())
        .refuse_with(StatusCode::GATEWAY_TIMEOUT)
        .layer(unreachable_origin());
    assert_eq!(ask(&cache, get("/")).await.status, 504);
}

#[tokio::test]
async fn hits_are_answered_while_the_inner_service_is_never_ready() {
    let memory = Memory::from_iter([recorded_get("/", "recorded")]);
    let cache = ReplayCache::memory(&memory).layer(NeverReady);
    assert_eq!(ask(&cache, get("/")).await.text(), "recorded");
}

#[derive(Clone)]
struct NeverReady;

impl<B> Service<Request<B>> for NeverReady {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Pending
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        panic!("called without being ready")
    }
}

#[tokio::test]
async fn an_error_of_the_inner_service_is_returned() {
    for on_miss in [OnMiss::PassThrough, OnMiss::Record, OnMiss::Once] {
        let cache = ReplayCache::memory(&Memory::new())
            .on_miss(on_miss)
            .layer(service_fn(|_: Request<RequestBody<Body>>| {
                ready(Err::<Response<Body>, _>("no route to host"))
            }));
        let error = cache.oneshot(get("/")).await.expect_err("no answer");
        assert_eq!(error, "no route to host");
    }
}

// ---- recording on a miss

#[tokio::test]
async fn a_miss_is_fetched_once_and_then_served() {
    let memory = Memory::new();
    let layer = recording(&memory).redact(Redact::none());
    let origin = all_kinds();
    let cache = layer.layer(origin.clone());
    let mut fetched = Vec::new();
    for request in all_requests("") {
        fetched.push(ask(&cache, request).await);
    }
    let calls = origin.calls();
    let recorder = layer.recorder();
    recorder.flush().await;
    for (request, fetched) in all_requests("").into_iter().zip(fetched) {
        let what = format!("{} {}", request.method(), request.uri());
        assert_eq!(ask(&cache, request).await, fetched, "{what}");
    }
    assert_eq!(origin.calls(), calls);
}

#[tokio::test]
async fn a_miss_is_recorded_on_disk_for_a_later_process() {
    let folder = tempfile::tempdir().expect("a folder");
    let origin = Origin::saying("fetched");
    let layer = ReplayCache::disk(folder.path()).on_miss(OnMiss::Record);
    let cache = layer.layer(origin.clone());
    ask(&cache, post("/a", "x")).await;
    layer.recorder().flush().await;
    assert_eq!(ask(&cache, post("/a", "x")).await.text(), "fetched");
    ask(&cache, post("/a", "y")).await;
    assert_eq!(origin.calls(), 2);
    drop((layer, cache));

    let cache = ReplayCache::disk(folder.path())
        .on_miss(OnMiss::Refuse)
        .layer(unreachable_origin());
    assert_eq!(ask(&cache, post("/a", "x")).await.text(), "fetched");
    assert_eq!(ask(&cache, post("/a", "y")).await.text(), "fetched");
    assert_eq!(ask(&cache, post("/a", "z")).await.status, 503);
}

#[tokio::test]
async fn misses_are_recorded_into_another_store() {
    let memory = Memory::new();
    let layer = ReplayCache::read_only(Memory::new())
        .record_to(memory.clone())
        .on_miss(OnMiss::Record);
    ask(&layer.layer(Origin::saying("fetched")), get("/")).await;
    layer.recorder().flush().await;
    assert_eq!(memory.len(), 1);
}

#[tokio::test]
async fn a_handle_follows_the_settings_that_come_after_it() {
    let (replaced, memory) = (Memory::new(), Memory::new());
    let layer = ReplayCache::new(replaced.clone());
    let recorder = layer.recorder();
    let layer = layer
        .on_miss(OnMiss::Record)
        .max_body_bytes(100)
        .max_request_body_bytes(100)
        .order(AnswerOrder::Recorded)
        .refuse_with(StatusCode::NOT_FOUND)
        .redact(Redact::none())
        .on_error(|_| ())
        .record_to(memory.clone());
    let cache = layer.layer(Origin::saying("fetched"));
    ask(&cache, get("/")).await;
    assert_eq!(recorder.flush().await.stored, 1);
    assert_eq!((replaced.len(), memory.len()), (0, 1));
}

#[tokio::test]
async fn without_a_place_to_record_misses_pass_through() {
    let origin = Origin::saying("passed");
    let layer = ReplayCache::read_only(Memory::new()).on_miss(OnMiss::Record);
    let cache = layer.layer(origin.clone());
    for _ in 0..2 {
        assert_eq!(ask(&cache, get("/")).await.text(), "passed");
    }
    assert_eq!(origin.calls(), 2);
}

#[tokio::test]
async fn a_partial_response_is_not_recorded() {
    let memory = Memory::new();
    let layer = recording(&memory);
    let cache = layer.layer(Origin::new(|_| {
        reply(200, frames([data("half"), broken("off")]))
    }));
    let response = cache.oneshot(get("/")).await.expect("an answer");
    assert!(response.into_body().collect().await.is_err());
    layer.recorder().flush().await;
    assert!(memory.is_empty());
}

/// Returns an origin that waits for a permit of the semaphore before each response.
fn gated_origin() -> (Origin, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let open = gate.clone();
    let origin = Origin::waiting(move |_| {
        let open = open.clone();
        async move {
            open.acquire().await.expect("an open gate").forget();
            reply(200, frames([data("fetched "), data("once")]))
        }
    });
    (origin, gate)
}

async fn fifty_at_once(cache: &ReplayCacheService<Origin>, gate: &Semaphore) -> Vec<Answer> {
    // `join` polls the requests before the gate opens, so all fifty miss.
    let asks = join_all((0..50).map(|_| ask(cache, post("/same", "content"))));
    let open = async { gate.add_permits(50) };
    soon(join(asks, open)).await.0
}

#[tokio::test]
async fn identical_concurrent_misses_make_one_call() {
    let (origin, gate) = gated_origin();
    let cache = recording(&Memory::new()).layer(origin.clone());
    for answer in fifty_at_once(&cache, &gate).await {
        assert_eq!(answer.text(), "fetched once");
    }
    assert_eq!(origin.calls(), 1);
}

#[tokio::test]
async fn identical_concurrent_misses_make_one_call_with_a_recording_on_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let (origin, gate) = gated_origin();
    let cache = ReplayCache::disk(folder.path())
        .on_miss(OnMiss::Record)
        .layer(origin.clone());
    for answer in fifty_at_once(&cache, &gate).await {
        assert_eq!(answer.text(), "fetched once");
    }
    assert_eq!(origin.calls(), 1);
}

#[tokio::test]
async fn identical_misses_through_clones_and_routes_make_one_call() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let handler = move || {
        counted.fetch_add(1, Ordering::Relaxed);
        async {
            tokio::task::yield_now().await;
            "fetched"
        }
    };
    let layer = recording(&Memory::new());
    let app: Router = Router::new()
        .route("/a", routing::get(handler.clone()))
        .route("/b", routing::get(handler))
        .layer(layer.clone());
    let other = app.clone();
    let asks = ["/a", "/b"].into_iter().cycle().take(40);
    let asks = asks.enumerate().map(|(i, path)| {
        let app = if i % 3 == 0 { &app } else { &other };
        ask(app, get(path))
    });
    for answer in soon(join_all(asks)).await {
        assert_eq!(answer.text(), "fetched");
    }
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn a_store_that_fails_makes_every_miss_a_call() {
    let (origin, gate) = gated_origin();
    let cache = ReplayCache::read_only(Memory::new())
        .record_to(failing())
        .on_miss(OnMiss::Record)
        .layer(origin.clone());
    for answer in fifty_at_once(&cache, &gate).await {
        assert_eq!(answer.text(), "fetched once");
    }
    assert_eq!(origin.calls(), 50);
}

#[tokio::test]
async fn a_leader_whose_client_hangs_up_before_the_head_does_not_hang_the_others() {
    let (origin, gate) = gated_origin();
    let cache = recording(&Memory::new()).layer(origin.clone());
    let mut leader = ask(&cache, get("/same"));
    assert!(futures::poll!(&mut leader).is_pending());
    let mut follower = ask(&cache, get("/same"));
    assert!(futures::poll!(&mut follower).is_pending());
    assert_eq!(origin.calls(), 1, "the second waits for the first");
    drop(leader);
    gate.add_permits(2);
    assert_eq!(follower.await.text(), "fetched once");
    assert_eq!(origin.calls(), 2);
}

/// Returns an origin that responds with `body` first, and with "whole" from then on.
fn first_body(body: Body) -> Origin {
    first_response(reply(200, body))
}

fn first_response(response: Response<Body>) -> Origin {
    let first = Mutex::new(Some(response));
    Origin::new(move |_| {
        let first = first.lock().expect("no panic").take();
        first.unwrap_or_else(|| reply(200, full("whole")))
    })
}

/// Sends the first request, and returns its response before the body is read.
async fn lead(cache: &ReplayCacheService<Origin>) -> Response<impl http_body::Body<Data = Bytes>> {
    let response = soon(cache.clone().oneshot(get("/same"))).await;
    response.expect("a head")
}

fn first_body_by_hand() -> (FrameSender, Origin) {
    let (sender, body) = channel();
    (sender, first_body(body))
}

/// A caller that repeats its request before reading the first response would wait for itself.
#[tokio::test(start_paused = true)]
async fn followers_stop_waiting_for_a_stalled_leader() {
    let (sender, origin) = first_body_by_hand();
    let cache = recording(&Memory::new()).layer(origin.clone());
    let leader = lead(&cache).await;
    sender.data("half");
    let began = tokio::time::Instant::now();
    assert_eq!(ask(&cache, get("/same")).await.text(), "whole");
    assert_eq!(began.elapsed().as_secs(), 10);
    assert_eq!(origin.calls(), 2);
    drop(leader);
}

#[tokio::test]
async fn a_leader_whose_client_hangs_up_in_the_body_does_not_hang_the_others() {
    let (sender, origin) = first_body_by_hand();
    let cache = recording(&Memory::new()).layer(origin.clone());
    let leader = lead(&cache).await;
    sender.data("half");
    let mut follower = ask(&cache, get("/same"));
    assert!(futures::poll!(&mut follower).is_pending());
    drop(leader);
    assert_eq!(follower.await.text(), "whole");
    assert_eq!(origin.calls(), 2);
}

#[tokio::test]
async fn a_leader_whose_call_fails_does_not_fail_the_others() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let origin = service_fn(move |_: Request<RequestBody<Body>>| {
        let call = counted.fetch_add(1, Ordering::Relaxed);
        async move {
            tokio::task::yield_now().await;
            match call {
                0 => Err("unlucky"),
                _ => Ok(reply(200, full("whole"))),
            }
        }
    });
    let cache = recording(&Memory::new()).layer(origin);
    let asks = (0..10).map(|_| cache.clone().oneshot(get("/same")));
    let answers = soon(join_all(asks.map(|answer| async move {
        match answer.await {
            Ok(response) => Ok(read(response).await.text()),
            Err(error) => Err(error),
        }
    })))
    .await;
    assert_eq!(answers[0], Err("unlucky"));
    for answer in &answers[1..] {
        assert_eq!(answer.as_deref(), Ok("whole"));
    }
}

#[tokio::test]
async fn an_event_stream_releases_its_followers() {
    let (sender, body) = channel();
    let mut events = reply(200, body);
    let kind = "text/event-stream; charset=utf-8".parse().expect("a value");
    events.headers_mut().insert("content-type", kind);
    let cache = recording(&Memory::new()).layer(first_response(events));
    let mut leader = lead(&cache).await;
    assert_eq!(ask(&cache, get("/same")).await.text(), "whole");
    sender.data("still open");
    assert!(soon(leader.body_mut().boxed_frame()).await);
}

#[tokio::test]
async fn a_response_over_the_limit_releases_its_followers() {
    let (sender, origin) = first_body_by_hand();
    let cache = recording(&Memory::new())
        .max_body_bytes(10)
        .layer(origin.clone());
    let mut leader = lead(&cache).await;
    sender.data("0123456789");
    assert!(soon(leader.body_mut().boxed_frame()).await);
    let mut follower = ask(&cache, get("/same"));
    assert!(futures::poll!(&mut follower).is_pending());
    sender.data("A");
    assert!(soon(leader.body_mut().boxed_frame()).await);
    assert_eq!(follower.await.text(), "whole");
    assert_eq!(origin.calls(), 2);
}

/// Reads one frame of a body with an opaque type, and returns whether a frame arrived.
trait BoxedFrame {
    fn boxed_frame(&mut self) -> BoxFuture<'_, bool>;
}

impl<B: http_body::Body<Data = Bytes> + Unpin + Send> BoxedFrame for B {
    fn boxed_frame(&mut self) -> BoxFuture<'_, bool> {
        async move { matches!(self.frame().await, Some(Ok(_))) }.boxed()
    }
}

#[tokio::test]
async fn a_response_over_the_limit_is_never_answered_from() {
    let memory = Memory::new();
    let layer = recording(&memory).max_body_bytes(10);
    let origin = Origin::saying("more than ten bytes");
    let cache = layer.layer(origin.clone());
    for _ in 0..3 {
        assert_eq!(ask(&cache, get("/")).await.text(), "more than ten bytes");
        layer.recorder().flush().await;
    }
    assert_eq!(origin.calls(), 3);
}

// ---- `OnMiss::Once`

#[tokio::test]
async fn once_records_into_a_recording_that_is_empty() {
    let folder = tempfile::tempdir().expect("a folder");
    let memory = Memory::new();
    for layer in [
        ReplayCache::memory(&memory),
        ReplayCache::disk(folder.path().join("new")),
    ] {
        let layer = layer.on_miss(OnMiss::Once);
        let origin = Origin::saying("fetched");
        let cache = layer.layer(origin.clone());
        for path in ["/a", "/b", "/a", "/b"] {
            assert_eq!(ask(&cache, get(path)).await.text(), "fetched");
            layer.recorder().flush().await;
        }
        assert_eq!(origin.calls(), 2, "each of the two was fetched once");
    }
    assert_eq!(memory.len(), 2);
}

#[tokio::test]
async fn once_refuses_misses_of_an_existing_recording() {
    let memory = Memory::from_iter([recorded_get("/a", "recorded")]);
    let cache = ReplayCache::memory(&memory)
        .on_miss(OnMiss::Once)
        .layer(unreachable_origin());
    assert_eq!(ask(&cache, get("/b")).await.status, 503);
    assert_eq!(ask(&cache, get("/a")).await.text(), "recorded");
    assert_eq!(memory.len(), 1);
}

// ---- choice among several matches

#[tokio::test]
async fn the_latest_answers() {
    let memory = Memory::from_iter(["first", "second", "third"].map(|t| recorded_get("/", t)));
    let cache = refusing(&memory).layer(unreachable_origin());
    for _ in 0..3 {
        assert_eq!(ask(&cache, get("/")).await.text(), "third");
    }
}

#[tokio::test]
async fn recordings_answer_in_order_and_the_last_one_repeats() {
    let memory = Memory::from_iter([
        recorded_get("/", "first"),
        recorded_get("/other", "other"),
        recorded_get("/", "second"),
    ]);
    let layer = refusing(&memory).order(AnswerOrder::Recorded);
    let cache = layer.layer(unreachable_origin());
    let other = layer.layer(unreachable_origin());
    assert_eq!(ask(&cache, get("/")).await.text(), "first");
    assert_eq!(ask(&cache, get("/none")).await.status, 503);
    assert_eq!(ask(&cache, get("/other")).await.text(), "other");
    assert_eq!(ask(&other, get("/")).await.text(), "second");
    assert_eq!(ask(&cache, get("/")).await.text(), "second");
    assert_eq!(ask(&other, get("/other")).await.text(), "other");
}

#[tokio::test]
async fn each_recording_in_order_answers_one_concurrent_request() {
    let texts: Vec<_> = (0..50).map(|i| format!("{i:02}")).collect();
    let memory: Memory = texts.iter().map(|text| recorded_get("/", text)).collect();
    let cache = refusing(&memory)
        .order(AnswerOrder::Recorded)
        .layer(unreachable_origin());
    let answers = soon(join_all((0..50).map(|_| ask(&cache, get("/"))))).await;
    let mut answers: Vec<_> = answers.iter().map(Answer::text).collect();
    answers.sort();
    assert_eq!(answers, texts);
}

// ---- truncated recordings

#[tokio::test]
async fn a_partial_recording_never_answers() {
    let cut = |change: &dyn Fn(&mut Exchange)| {
        let mut exchange = exchange("POST", "/", "asked", "answered");
        change(&mut exchange);
        Memory::from_iter([exchange])
    };
    let answers = async |memory: &Memory| {
        let cache = refusing(memory).layer(unreachable_origin());
        ask(&cache, post("/", "asked")).await.status == 200
    };
    assert!(answers(&cut(&|_| ())).await);
    for end in [
        BodyEnd::Limit,
        BodyEnd::Error("broke".to_owned()),
        BodyEnd::Dropped,
    ] {
        let response = cut(&|exchange| {
            exchange.response.as_mut().expect("one").body.end = end.clone();
        });
        let request = cut(&|exchange| exchange.request.body.end = end.clone());
        assert!(!answers(&response).await, "the response: {end:?}");
        assert!(!answers(&request).await, "the request: {end:?}");
        // The match key of a truncated request is complete if the key ignores the body.
        let by_head = request.match_by(Matching::new().ignore_body(true));
        assert!(answers(&by_head).await, "{end:?}");
        let by_head = response.match_by(Matching::new().ignore_body(true));
        assert!(!answers(&by_head).await, "{end:?}");
    }
    for why in [NoResponse::ClientGone, NoResponse::Failed("no".to_owned())] {
        let none = cut(&|exchange| exchange.response = Err(why.clone()));
        assert!(!answers(&none).await, "{why:?}");
    }
}

#[tokio::test]
async fn an_older_complete_recording_answers_before_a_newer_partial_one() {
    let mut cut = recorded_get("/", "ne");
    cut.response.as_mut().expect("one").body.end = BodyEnd::Limit;
    let memory = Memory::from_iter([recorded_get("/", "old"), cut]);
    let cache = refusing(&memory).layer(unreachable_origin());
    assert_eq!(ask(&cache, get("/")).await.text(), "old");
}

// ---- request bodies outside the match key

#[tokio::test]
async fn a_request_body_over_the_limit_is_passed_through_whole() {
    let content = random_bytes(100_000);
    let pieces: Vec<Bytes> = (0..100)
        .map(|i| content.slice(i * 1000..(i + 1) * 1000))
        .collect();
    for on_miss in [OnMiss::PassThrough, OnMiss::Record, OnMiss::Once] {
        let memory = Memory::new();
        let origin = all_kinds();
        let cache = ReplayCache::memory(&memory)
            .on_miss(on_miss)
            .max_request_body_bytes(5_500)
            .layer(origin.clone());
        let sum = fields([("x-sum", "1")]);
        let mut streamed: Vec<_> = pieces.iter().cloned().map(data).collect();
        streamed.push(trailers(sum.clone()));
        for body in [full(content.clone()), frames(streamed)] {
            let answer = ask(&cache, request("POST", "/echo", body)).await;
            assert_eq!(answer.body, content);
        }
        let seen = origin.seen();
        assert!(
            seen.iter()
                .all(|request| request.body.to_bytes() == content)
        );
        assert_eq!(seen[0].body.trailers, None);
        let passed = seen[1].body.trailers.as_ref().map(HeaderList::to_map);
        assert_eq!(passed, Some(sum));
        assert!(memory.is_empty(), "{on_miss:?}");
    }
}

#[tokio::test]
async fn an_aborted_request_body_passes_unchanged() {
    for limit in [100, 5] {
        let origin = Origin::saying("sorry");
        let cache = recording(&Memory::new())
            .max_request_body_bytes(limit)
            .layer(origin.clone());
        let body = frames([data("half "), data("of it"), broken("connection reset")]);
        ask(&cache, request("POST", "/", body)).await;
        let seen = &origin.seen()[0].body;
        assert_eq!(seen.to_bytes(), "half of it");
        assert_eq!(seen.end, BodyEnd::Error("connection reset".to_owned()));
    }
}

#[tokio::test]
async fn a_request_body_that_cannot_be_matched_is_refused_with_the_reason() {
    let cache = refusing(&Memory::new())
        .max_request_body_bytes(5)
        .layer(unreachable_origin());
    let long = ask(&cache, post("/upload", "more than five")).await;
    assert_eq!(long.status, 503);
    assert!(long.text().contains("limit of 5 bytes"), "{}", long.text());
    assert!(long.text().contains("POST /upload"), "{}", long.text());
    let body = frames([data("ha"), broken("reset")]);
    let off = ask(&cache, request("POST", "/upload", body)).await;
    assert_eq!(off.status, 503);
    assert!(off.text().contains("is incomplete"), "{}", off.text());
}

#[tokio::test]
async fn a_request_body_of_just_the_limit_is_matched() {
    let memory = Memory::from_iter([exchange("POST", "/", "12345", "found")]);
    let cache = refusing(&memory)
        .max_request_body_bytes(5)
        .layer(unreachable_origin());
    assert_eq!(ask(&cache, post("/", "12345")).await.text(), "found");
    let streamed = frames([data("1"), data("23"), data(""), data("45")]);
    let streamed = request("POST", "/", streamed);
    assert_eq!(ask(&cache, streamed).await.text(), "found");
}

#[tokio::test]
async fn a_body_that_does_not_count_is_not_read_before_the_call() {
    let memory = Memory::new().match_by(Matching::new().ignore_body(true));
    let layer = recording(&memory);
    let cache = layer.layer(Origin::saying("fetched"));
    let (sender, body) = channel();
    let ask_first = ask(&cache, request("POST", "/", body));
    sender.data("later");
    drop(sender);
    ask_first.await;
    layer.recorder().flush().await;
    // A hit, although this request body never completes.
    let (sender, body) = channel();
    let answer = ask(&cache, request("POST", "/", body)).await;
    assert_eq!(answer.text(), "fetched");
    drop(sender);
    assert_eq!(memory.exchanges()[0].request.body.to_bytes(), "later");
}

// ---- matching

/// Returns whether the recording of `recorded` answers `asked`.
async fn matches(matching: Matching, recorded: Request<&str>, asked: Request<Body>) -> bool {
    let exchange = Exchange::new(recorded.map(str::to_owned), Response::new("found"));
    let memory = Memory::from_iter([exchange]).match_by(matching);
    let cache = refusing(&memory).layer(unreachable_origin());
    match ask(&cache, asked).await.status {
        200 => true,
        503 => false,
        status => panic!("{status}"),
    }
}

/// Returns whether a recorded GET answers another GET.
async fn gets_match(matching: &Matching, recorded: &str, asked: &str) -> bool {
    matches(matching.clone(), bare(recorded), get(asked)).await
}

fn bare(uri: &str) -> Request<&'static str> {
    Request::get(uri).body("").expect("a request")
}

#[tokio::test]
async fn method_uri_and_body_count_and_headers_do_not() {
    let default = Matching::new();
    assert!(gets_match(&default, "/a?b=1", "/a?b=1").await);
    assert!(!gets_match(&default, "/a?b=1", "/a?b=2").await);
    assert!(!gets_match(&default, "/a?b=1", "/a").await);
    assert!(!gets_match(&default, "/a", "/A").await);
    assert!(!gets_match(&default, "/a?b=1&c=2", "/a?c=2&b=1").await);
    assert!(matches(default.clone(), with(bare("/"), "accept", "a"), get("/")).await);
    assert!(!matches(default.clone(), bare("/"), request("HEAD", "/", empty())).await);
    let posted = || Request::post("/").body("x").expect("a request");
    assert!(matches(default.clone(), posted(), post("/", "x")).await);
    assert!(!matches(default.clone(), posted(), post("/", "y")).await);
    assert!(!matches(default.clone(), posted(), post("/", "")).await);
    assert!(matches(default.clone().ignore_body(true), posted(), post("/", "y")).await);
}

#[tokio::test]
async fn a_header_can_count() {
    let by_accept = || Matching::new().header("Accept");
    let html = || with(bare("/"), "accept", "text/html");
    assert!(matches(by_accept(), html(), with(get("/"), "accept", "text/html")).await);
    assert!(!matches(by_accept(), html(), with(get("/"), "accept", "text/css")).await);
    assert!(!matches(by_accept(), html(), get("/")).await);
    let other = with(with(get("/"), "accept", "text/html"), "x-id", "7");
    assert!(matches(by_accept(), html(), other).await);
}

#[tokio::test]
async fn all_headers_except_some_can_count() {
    let matching = || Matching::new().all_headers_except(["X-Id", "date"]);
    let asked = || with(get("/"), "accept", "text/html");
    let html = || with(bare("/"), "accept", "text/html");
    assert!(matches(matching(), html(), with(asked(), "x-id", "7")).await);
    assert!(!matches(matching(), html(), with(asked(), "x-other", "7")).await);
    assert!(!matches(matching(), with(html(), "accept", "2"), asked()).await);
    // The order of names is ignored; the order of values matters.
    let ab = with(with(bare("/"), "a", "1"), "b", "2");
    let ba = with(with(get("/"), "b", "2"), "a", "1");
    assert!(matches(matching(), ab, ba).await);
    let one_two = with(with(bare("/"), "a", "1"), "a", "2");
    let two_one = with(with(get("/"), "a", "2"), "a", "1");
    assert!(!matches(matching(), one_two, two_one).await);
}

#[tokio::test]
async fn query_parameters_can_be_left_out() {
    let ignoring = Matching::new().ignore_query("Nonce").ignore_query("t");
    assert!(gets_match(&ignoring, "/a?b=1&nonce=7", "/a?nonce=8&b=1").await);
    assert!(gets_match(&ignoring, "/a?b=1&%6Eonce=7&t", "/a?b=1").await);
    assert!(gets_match(&ignoring, "/a?nonce=1", "/a").await);
    assert!(!gets_match(&ignoring, "/a?b=1&nonce=7", "/a?b=2&nonce=7").await);
    assert!(!gets_match(&ignoring, "/a?b=1&c=2", "/a?c=2&b=1").await);
}

#[tokio::test]
async fn query_parameters_can_be_picked() {
    let picking = Matching::new().only_query(["page", "Q"]);
    assert!(gets_match(&picking, "/a?page=1&x=1&q=bob", "/a?page=1&y=2&q=bob").await);
    assert!(!gets_match(&picking, "/a?page=1", "/a?page=2").await);
    let none = Matching::new().only_query::<&str>([]);
    assert!(gets_match(&none, "/a?page=1", "/a?page=2").await);
    assert!(gets_match(&none, "/a?page=1", "/a").await);
    assert!(!gets_match(&none, "/a", "/b").await);
}

#[tokio::test]
async fn the_authority_counts_unless_it_is_left_out() {
    let default = Matching::new();
    assert!(gets_match(&default, "http://one/a", "http://ONE/a").await);
    assert!(!gets_match(&default, "http://one/a", "http://two/a").await);
    assert!(!gets_match(&default, "http://one/a", "/a").await);
    let ignoring = Matching::new().ignore_authority(true);
    assert!(gets_match(&ignoring, "http://one/a?b=1", "https://two:81/a?b=1").await);
    assert!(gets_match(&ignoring, "http://one/a", "/a").await);
    assert!(!gets_match(&ignoring, "http://one/a", "/b").await);
}

#[tokio::test]
async fn a_recording_answers_a_request_with_another_secret() {
    for matching in [
        Matching::new(),
        Matching::new().all_headers_except::<&str>([]),
    ] {
        let memory = Memory::new().match_by(matching);
        let record = RecordTraffic::new(memory.clone());
        let asked = |secret: &str| {
            let request = get(format!("/users?page=2&token={secret}"));
            let request = with(request, "authorization", secret);
            with(request, "cookie", secret)
        };
        ask(&record.layer(Origin::saying("found")), asked("one")).await;
        record.recorder().flush().await;
        let cache = refusing(&memory).layer(unreachable_origin());
        assert_eq!(ask(&cache, asked("another")).await.text(), "found");
        assert_eq!(
            ask(&cache, get("/users?page=3&token=one")).await.status,
            503
        );
    }
}

#[tokio::test]
async fn sensitive_header_values_match_each_other() {
    let memory = Memory::new().match_by(Matching::new().header("x-session"));
    let record = RecordTraffic::new(memory.clone());
    let asked = |secret: &str| {
        let mut request = with(get("/"), "x-session", secret);
        let value = request.headers_mut().get_mut("x-session");
        value.expect("a value").set_sensitive(true);
        request
    };
    ask(&record.layer(Origin::saying("found")), asked("one")).await;
    record.recorder().flush().await;
    let cache = refusing(&memory).layer(unreachable_origin());
    assert_eq!(ask(&cache, asked("another")).await.text(), "found");
}

#[tokio::test]
async fn a_custom_secret_matches_if_both_sides_redact_it() {
    let redact = Redact::default().query("nonce");
    let memory = Memory::new().match_by(Matching::new().redact(redact.clone()));
    let record = RecordTraffic::new(memory.clone()).redact(redact);
    ask(&record.layer(Origin::saying("found")), get("/?nonce=1")).await;
    record.recorder().flush().await;
    let cache = refusing(&memory).layer(unreachable_origin());
    assert_eq!(ask(&cache, get("/?nonce=2")).await.text(), "found");
}

// ---- failing sources

/// A source that fails on every read.
struct Unreadable(Matching);

impl Source for Unreadable {
    fn matching(&self) -> &Matching {
        &self.0
    }

    fn find(
        &self,
        _: MatchKey,
        _: Which,
    ) -> BoxFuture<'_, Result<Option<Arc<Exchange>>, StoreError>> {
        ready(Err(StoreError::other("no such bucket"))).boxed()
    }

    fn is_empty(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        ready(Err(StoreError::other("no such bucket"))).boxed()
    }
}

#[tokio::test]
async fn an_error_of_the_source_is_a_miss_and_is_reported() {
    let errors = Arc::new(Mutex::new(Vec::new()));
    let heard = errors.clone();
    let cache = ReplayCache::read_only(Unreadable(Matching::new()))
        .on_error(move |error| heard.lock().expect("no panic").push(error.to_string()))
        .layer(Origin::saying("passed"));
    for _ in 0..3 {
        assert_eq!(ask(&cache, get("/")).await.text(), "passed");
    }
    assert_eq!(*errors.lock().expect("no panic"), ["no such bucket"; 3]);
}

#[tokio::test]
async fn once_with_an_unreadable_source_refuses() {
    let memory = Memory::new();
    let cache = ReplayCache::read_only(Unreadable(Matching::new()))
        .record_to(memory.clone())
        .on_miss(OnMiss::Once)
        .layer(unreachable_origin());
    assert_eq!(ask(&cache, get("/")).await.status, 503);
    assert!(memory.is_empty());
}

#[tokio::test]
async fn a_missing_folder_is_an_empty_recording() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("none");
    let errors = Arc::new(AtomicUsize::new(0));
    let heard = errors.clone();
    let cache = ReplayCache::disk(&folder)
        .on_error(move |_| {
            heard.fetch_add(1, Ordering::Relaxed);
        })
        .layer(Origin::saying("passed"));
    assert_eq!(ask(&cache, get("/")).await.text(), "passed");
    assert_eq!(errors.load(Ordering::Relaxed), 0);
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_refusal_says_that_the_recording_is_empty() {
    let folder = tempfile::tempdir().expect("a folder");
    for path in [folder.path().join("mistyped"), folder.path().to_owned()] {
        let cache = ReplayCache::disk(&path).on_miss(OnMiss::Refuse);
        let refusal = ask(&cache.layer(unreachable_origin()), get("/")).await;
        let expected = "tower-traffic: the recording is missing or empty: record one first";
        assert_eq!(refusal.status, 503);
        assert!(refusal.text().starts_with(expected), "{}", refusal.text());
    }
    let memory = Memory::from_iter([recorded_get("/a", "a")]);
    let refusal = ask(&refusing(&memory).layer(unreachable_origin()), get("/b")).await;
    let expected = "tower-traffic: no recording matches this request";
    assert!(refusal.text().starts_with(expected), "{}", refusal.text());
}

/// Otherwise `OnMiss::Once` would record beside a recording that needs a correction.
#[tokio::test]
async fn a_folder_with_only_an_unreadable_entry_is_not_empty() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("entry")).expect("a folder");
    fs::write(folder.path().join("entry/request.http"), "no request").expect("a file");
    let once = ReplayCache::disk(folder.path()).on_miss(OnMiss::Once);
    assert_eq!(
        ask(&once.layer(unreachable_origin()), get("/"))
            .await
            .status,
        503
    );
}

#[tokio::test]
async fn a_folder_that_is_a_file_is_an_error_and_a_miss() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let errors = Arc::new(Mutex::new(Vec::new()));
    let heard = errors.clone();
    let cache = ReplayCache::disk(file.path())
        .on_error(move |error| heard.lock().expect("no panic").push(error.to_string()))
        .layer(Origin::saying("passed"));
    assert_eq!(ask(&cache, get("/")).await.text(), "passed");
    let errors = errors.lock().expect("no panic").clone();
    assert_eq!(errors.len(), 1);
    assert!(
        errors[0].contains("expected a folder, found a file"),
        "{errors:?}"
    );
}

// ---- real sockets

fn replaying(memory: &Memory) -> Router {
    Router::new()
        .fallback_service(unreachable_origin())
        .layer(refusing(memory))
}

/// Records all kinds of exchange with one client, and replays them to the other.
async fn record_and_replay(record_with: support::HttpClient, replay_with: support::HttpClient) {
    let memory = Memory::new().match_by(Matching::new().ignore_authority(true));
    let record = RecordTraffic::new(memory.clone()).redact(Redact::none());
    let app = Router::new()
        .fallback_service(all_kinds())
        .layer(record.clone());
    let server = Server::start(app).await;
    let mut recorded = Vec::new();
    for request in all_requests(&server.url("")) {
        recorded.push(ask(&record_with, request).await);
        settled(&record.recorder(), recorded.len() as u64).await;
    }
    drop(server);

    let server = Server::start(replaying(&memory)).await;
    for (request, recorded) in all_requests(&server.url("")).into_iter().zip(recorded) {
        let what = format!("{} {}", request.method(), request.uri());
        let replayed = ask(&replay_with, request).await;
        assert_eq!(replayed.status, recorded.status, "{what}");
        assert_eq!(replayed.body, recorded.body, "{what}");
        assert_eq!(replayed.fields(), recorded.fields(), "{what}");
        assert_eq!(replayed.trailers, recorded.trailers, "{what}");
        if what.starts_with("HEAD") {
            assert_eq!(replayed.headers["content-length"], "14");
        }
    }
}

#[tokio::test]
async fn recorded_over_http1_and_replayed_over_http1() {
    record_and_replay(http1(), http1()).await;
}

#[tokio::test]
async fn recorded_over_http1_and_replayed_over_http2() {
    record_and_replay(http1(), http2()).await;
}

#[tokio::test]
async fn recorded_over_http2_and_replayed_over_http1() {
    record_and_replay(http2(), http1()).await;
}

#[tokio::test]
async fn recorded_over_http2_and_replayed_over_http2() {
    record_and_replay(http2(), http2()).await;
}

/// A response recorded around a client contains connection-specific headers.
#[tokio::test]
async fn a_clients_recording_is_replayed_by_a_server() {
    let server = Server::start(Router::new().fallback_service(all_kinds())).await;
    let memory = Memory::new().match_by(Matching::new().ignore_authority(true));
    let record = RecordTraffic::new(memory.clone()).redact(Redact::none());
    let client = record.layer(http1());
    let mut recorded = Vec::new();
    for request in all_requests(&server.url("")) {
        recorded.push(ask(&client, request).await);
    }
    record.recorder().flush().await;
    drop(server);
    for replay_with in [http1(), http2()] {
        let server = Server::start(replaying(&memory)).await;
        for (request, recorded) in all_requests(&server.url("")).into_iter().zip(&recorded) {
            let what = format!("{} {}", request.method(), request.uri());
            let replayed = ask(&replay_with, request).await;
            assert_eq!(replayed.status, recorded.status, "{what}");
            assert_eq!(replayed.body, recorded.body, "{what}");
            assert_eq!(replayed.fields(), recorded.fields(), "{what}");
            assert_eq!(replayed.trailers, recorded.trailers, "{what}");
        }
    }
}

#[tokio::test]
async fn a_recording_of_another_protocol_version_is_replayed() {
    for version in [
        http::Version::HTTP_09,
        http::Version::HTTP_10,
        http::Version::HTTP_2,
        http::Version::HTTP_3,
    ] {
        let mut exchange = recorded_get("/", "found");
        exchange.response.as_mut().expect("one").version = version;
        let memory = Memory::from_iter([exchange]).match_by(Matching::new().ignore_authority(true));
        let server = Server::start(replaying(&memory)).await;
        for client in [http1(), http2()] {
            let answer = ask(&client, get(server.url("/"))).await;
            assert_eq!(answer.text(), "found", "{version:?}");
        }
    }
}

#[tokio::test]
async fn recorded_on_disk_today_and_replayed_tomorrow() {
    let folder = tempfile::tempdir().expect("a folder");
    let record = RecordTraffic::disk(folder.path()).redact(Redact::none());
    let app = Router::new()
        .fallback_service(all_kinds())
        .layer(record.clone());
    let server = Server::start(app).await;
    let mut recorded = Vec::new();
    for request in all_requests(&server.url("")) {
        recorded.push(ask(&http1(), request).await);
        settled(&record.recorder(), recorded.len() as u64).await;
    }
    drop((server, record));

    let cache = ReplayCache::disk(folder.path()).on_miss(OnMiss::Refuse);
    let app = Router::new()
        .fallback_service(unreachable_origin())
        .layer(cache);
    let server = Server::start(app).await;
    for (request, recorded) in all_requests(&server.url("")).into_iter().zip(recorded) {
        let what = format!("{} {}", request.method(), request.uri());
        let replayed = ask(&http1(), request).await;
        assert_eq!(replayed.status, recorded.status, "{what}");
        assert_eq!(replayed.body, recorded.body, "{what}");
        assert_eq!(replayed.fields(), recorded.fields(), "{what}");
        assert_eq!(replayed.trailers, recorded.trailers, "{what}");
    }
}

#[tokio::test]
async fn with_the_default_redaction_a_folder_replays_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let record = RecordTraffic::disk(folder.path());
    let asked = |token: &str| with(get("/json?a=1"), "authorization", token);
    let recorded = ask(&record.layer(all_kinds()), asked("Bearer one")).await;
    drop(record);
    // The first look-up builds the index of the folder.
    let disk = Disk::new(folder.path()).match_by(Matching::new().header("authorization"));
    let cache = ReplayCache::read_only(disk)
        .on_miss(OnMiss::Refuse)
        .layer(unreachable_origin());
    assert_eq!(ask(&cache, asked("Bearer two")).await, recorded);
}

// ---- readiness and axum

#[tokio::test]
async fn misses_wait_until_the_inner_service_is_ready() {
    for on_miss in [OnMiss::PassThrough, OnMiss::Record, OnMiss::Once] {
        let origin = Origin::waiting(|_| async {
            tokio::task::yield_now().await;
            reply(200, full("one at a time"))
        });
        let cache = ReplayCache::memory(&Memory::new())
            .on_miss(on_miss)
            .layer(ConcurrencyLimit::new(origin, 1));
        let asks = (0..50).map(|i| ask(&cache, get(format!("/{}", i % 25))));
        for answer in soon(join_all(asks)).await {
            assert_eq!(answer.text(), "one at a time", "{on_miss:?}");
        }
    }
    let cache = refusing(&Memory::new()).layer(ConcurrencyLimit::new(unreachable_origin(), 1));
    for answer in soon(join_all((0..50).map(|_| ask(&cache, get("/"))))).await {
        assert_eq!(answer.status, 503);
    }
}

#[tokio::test]
async fn a_hung_store_holds_a_follower_no_longer_than_the_recorder_waits() {
    // The leader is answered at once; the follower calls the inner service after the recorder gives
    // up.
    let entered = Arc::new(Notify::new());
    let enter = entered.clone();
    let sink = support::SinkFn(move |_| {
        enter.notify_one();
        async {
            tokio::time::sleep(Duration::from_millis(20)).await;
            Err(StoreError::other("too late"))
        }
        .boxed()
    });
    let origin = Origin::saying("fetched");
    let cache = ReplayCache::read_only(Memory::new())
        .record_to(sink)
        .on_miss(OnMiss::Record)
        .layer(origin.clone());
    assert_eq!(ask(&cache, get("/")).await.text(), "fetched");
    soon(entered.notified()).await;
    assert_eq!(ask(&cache, get("/")).await.text(), "fetched");
    assert_eq!(origin.calls(), 2);
}

#[test]
fn building_a_layer_needs_no_runtime_and_does_no_io() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("t");
    let layer = ReplayCache::disk(&folder).on_miss(OnMiss::Record);
    let service = layer.layer(Origin::saying("x"));
    let app: Router = Router::new()
        .route("/", routing::get(|| async { "hello" }))
        .layer(layer.clone());
    drop((layer, service, app));
    assert!(!folder.exists());
}

#[test]
fn the_layer_meets_the_bounds_of_axum() {
    fn assert_send<T: Send>() {}
    fn assert_sync<T: Sync>() {}
    fn assert_layer<T: Clone + Send + Sync + 'static>() {}
    fn assert_unpin<T: Unpin>() {}
    assert_layer::<ReplayCache>();
    assert_layer::<ReplayCacheService<Origin>>();
    assert_send::<<ReplayCacheService<Origin> as Service<Request<Body>>>::Future>();
    assert_send::<ResponseBody<Body>>();
    assert_sync::<ResponseBody<Body>>();
    assert_unpin::<ResponseBody<Body>>();
}
