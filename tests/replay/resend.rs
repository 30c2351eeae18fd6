//! `Resend`: repeats recorded requests and reports differences between the responses.

use std::{
    convert::Infallible,
    future::ready,
    sync::{Arc, Mutex},
};

use axum::Router;
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderMap, Request, Response, Uri};
use support::{
    Body, Origin, Server, all_kinds, all_requests, ask, broken, channel, data, exchange, fields,
    frames, full, get, http1, http2, origins::nowhere, recorded_get, reply, settled, trailers,
    with,
};
use tower::{Layer, ServiceBuilder, limit::ConcurrencyLimit, service_fn};
use tower_traffic::{
    BodyEnd, Exchange, HeaderList, NoResponse, REDACTED, RecordTraffic, Redact, Resend,
    replay::StoredBody,
    replay::{ResendOutcome, ResendSummary, ResponseDifference},
    store::{self, BoxStream, Memory, Replay, StoreError},
};

/// Sends `recorded` to a service that responds with `now`.
async fn verdict(recorded: Exchange, now: Response<Body>) -> ResendOutcome {
    verdict_of(Resend::memory(&Memory::from_iter([recorded])), now).await
}

async fn verdict_of(resend: Resend, now: Response<Body>) -> ResendOutcome {
    let now = Mutex::new(Some(now));
    let origin = Origin::new(move |_| now.lock().expect("no panic").take().expect("one request"));
    let mut verdicts = Vec::new();
    let summary = resend.run(origin, |resent| verdicts.push(resent.outcome.clone()));
    support::soon(summary).await.expect("a recording");
    assert_eq!(verdicts.len(), 1);
    verdicts.remove(0)
}

fn recorded(headers: &HeaderMap, answer: &str) -> Exchange {
    let mut exchange = recorded_get("/", answer);
    exchange.response.as_mut().expect("one").headers = HeaderList::from(headers);
    exchange
}

fn now(headers: HeaderMap, content: &str) -> Response<Body> {
    let mut response = reply(200, full(content.to_owned()));
    *response.headers_mut() = headers;
    response
}

fn different(difference: ResponseDifference) -> ResendOutcome {
    ResendOutcome::Different(vec![difference])
}

fn bytes<const N: usize>(values: [&'static str; N]) -> Vec<Bytes> {
    values.map(Bytes::from).to_vec()
}

// ---- compared parts

#[tokio::test]
async fn an_equal_response_has_no_difference() {
    let fields = fields([("x-a", "1"), ("x-a", "2"), ("content-type", "text/plain")]);
    let verdict = verdict(recorded(&fields, "found"), now(fields, "found")).await;
    assert_eq!(verdict, ResendOutcome::Same);
}

#[tokio::test]
async fn secrets_in_contents_are_replaced_before_they_are_compared() {
    let json = || fields([("content-type", "application/json")]);
    let was = |content: &str| recorded(&json(), content);
    let is = |content: &str| now(json(), content);
    let stored = r#"{"token":"REDACTED","a":1}"#;
    let same = verdict(was(stored), is(r#"{"token":"hunter2","a":1}"#)).await;
    assert_eq!(same, ResendOutcome::Same);
    let other = verdict(was(stored), is(r#"{"token":"hunter2","a":2}"#)).await;
    assert_eq!(other, different(ResponseDifference::Body { at: 24 }));
    let endless = stream::repeat_with(|| data("[{\"token\":\"hunter2\"},"));
    let body = http_body_util::BodyExt::boxed(http_body_util::StreamBody::new(endless));
    let mut endless = reply(200, body);
    *endless.headers_mut() = json();
    let verdict = verdict(was("[{\"token\":\"REDACTED\"},{}]"), endless).await;
    assert_eq!(verdict, different(ResponseDifference::Body { at: 22 }));
}

#[tokio::test]
async fn how_the_content_is_cut_into_frames_does_not_matter() {
    let pieces = frames([data("fo"), data(""), data("un"), data("d")]);
    let verdict = verdict(recorded_get("/", "found"), reply(200, pieces)).await;
    assert_eq!(verdict, ResendOutcome::Same);
}

#[tokio::test]
async fn another_status_differs() {
    let verdict = verdict(recorded_get("/", ""), reply(404, full(""))).await;
    assert_eq!(
        verdict,
        different(ResponseDifference::Status {
            recorded: http::StatusCode::OK,
            now: http::StatusCode::NOT_FOUND,
        })
    );
}

#[tokio::test]
async fn other_values_of_a_header_differ() {
    let cases = [
        (
            fields([("x-a", "1"), ("x-b", "1")]),
            fields([("x-b", "1"), ("x-a", "2")]),
            bytes(["1"]),
            bytes(["2"]),
        ),
        (fields([]), fields([("x-a", "1")]), bytes([]), bytes(["1"])),
        (fields([("x-a", "1")]), fields([]), bytes(["1"]), bytes([])),
        (
            fields([("x-a", "1"), ("x-a", "2")]),
            fields([("x-a", "2"), ("x-a", "1")]),
            bytes(["1", "2"]),
            bytes(["2", "1"]),
        ),
        (
            fields([("x-a", "1"), ("x-a", "1")]),
            fields([("x-a", "1")]),
            bytes(["1", "1"]),
            bytes(["1"]),
        ),
    ];
    for (then, after, recorded_values, now_values) in cases {
        let verdict = verdict(recorded(&then, ""), now(after, "")).await;
        let difference = ResponseDifference::Header {
            name: "x-a".to_owned(),
            recorded: recorded_values,
            now: now_values,
        };
        assert_eq!(verdict, different(difference));
    }
}

#[tokio::test]
async fn time_dependent_headers_are_ignored() {
    let then = fields([("date", "yesterday"), ("connection", "close")]);
    let after = fields([("date", "today"), ("transfer-encoding", "chunked")]);
    assert_eq!(
        verdict(recorded(&then, ""), now(after, "")).await,
        ResendOutcome::Same
    );
    let id = |id| fields([("x-request-id", id)]);
    let memory = Memory::from_iter([recorded(&id("1"), "")]);
    let resend = Resend::memory(&memory).ignore_header("X-Request-Id");
    assert_eq!(
        verdict_of(resend, now(id("2"), "")).await,
        ResendOutcome::Same
    );
}

#[tokio::test]
async fn different_content_names_its_first_different_byte() {
    for (then, after, at) in [
        ("found", "fount", 4),
        ("found", "lost!", 0),
        ("found", "fou", 3),
        ("found", "", 0),
        ("found", "founder", 5),
        ("", "f", 0),
    ] {
        let pieces = after.chars().map(|c| data(c.to_string()));
        let pieces: Vec<_> = pieces.collect();
        let verdict = verdict(recorded_get("/", then), reply(200, frames(pieces))).await;
        assert_eq!(
            verdict,
            different(ResponseDifference::Body { at }),
            "{after}"
        );
    }
}

#[tokio::test]
async fn other_trailers_differ() {
    let sum = |sum| fields([("x-sum", sum)]);
    let with_sum = |text| {
        let mut exchange = recorded_get("/", "found");
        exchange.response.as_mut().expect("one").body.trailers = Some(HeaderList::from(&sum(text)));
        exchange
    };
    let answer = |text| reply(200, frames([data("found"), trailers(sum(text))]));
    assert_eq!(
        verdict(with_sum("1"), answer("1")).await,
        ResendOutcome::Same
    );
    for (then, after) in [
        (with_sum("1"), answer("2")),
        (with_sum("1"), reply(200, full("found"))),
        (recorded_get("/", "found"), answer("1")),
    ] {
        assert_eq!(
            verdict(then, after).await,
            different(ResponseDifference::Trailers)
        );
    }
}

#[tokio::test]
async fn every_difference_is_listed() {
    let then = recorded(&fields([("x-a", "1")]), "found");
    let mut after = now(fields([("x-a", "2")]), "lost");
    *after.status_mut() = http::StatusCode::NOT_FOUND;
    let verdict = verdict(then.clone(), after).await;
    let ResendOutcome::Different(differences) = &verdict else {
        panic!("{verdict:?}");
    };
    assert_eq!(differences.len(), 3);
    let reported: Vec<_> = differences.iter().map(ToString::to_string).collect();
    assert_eq!(
        reported,
        [
            "status: recorded 200 OK, now 404 Not Found",
            "x-a: recorded 1, now 2",
            "content: differs from byte 0",
        ]
    );
}

#[tokio::test]
async fn endless_content_differs_and_is_not_read_further() {
    let count = Arc::new(Mutex::new(0));
    let counted = count.clone();
    let endless = stream::repeat_with(move || {
        *counted.lock().expect("no panic") += 1;
        data("found")
    });
    let body = http_body_util::StreamBody::new(endless);
    let answer = Mutex::new(Some(body));
    let origin = service_fn(move |_: Request<StoredBody>| {
        let body = answer
            .lock()
            .expect("no panic")
            .take()
            .expect("one request");
        ready(Ok::<_, Infallible>(Response::new(body)))
    });
    let memory = Memory::from_iter([recorded_get("/", "foundfound")]);
    let summary = support::soon(Resend::memory(&memory).run(origin, |_| {})).await;
    assert_eq!(summary.expect("a recording").different, 1);
    assert_eq!(*count.lock().expect("no panic"), 3);
}

#[tokio::test]
async fn a_different_live_stream_is_not_awaited() {
    let (sender, body) = channel();
    sender.data("other");
    let verdict = verdict(recorded_get("/", "found"), reply(200, body)).await;
    assert_eq!(verdict, different(ResponseDifference::Body { at: 0 }));
    drop(sender);
}

// ---- skipped comparisons

#[tokio::test]
async fn a_missing_or_aborted_response_has_failed() {
    let broken = reply(200, frames([data("fo"), broken("disk gone")]));
    let verdict = verdict(recorded_get("/", "found"), broken).await;
    assert_eq!(verdict, ResendOutcome::Failed("disk gone".to_owned()));

    let down =
        service_fn(|_: Request<StoredBody>| ready(Err::<Response<Body>, _>("connection refused")));
    let mut reported = Vec::new();
    let memory = Memory::from_iter([recorded_get("/a", "x"), recorded_get("/b", "x")]);
    let summary = Resend::memory(&memory).run(down, |resent| reported.push(resent.to_string()));
    let summary = summary.await.expect("a recording");
    assert_eq!((summary.failed, summary.sent()), (2, 2));
    let hint = "; the recorded URI has no host: set `Resend::origin`";
    assert_eq!(
        reported,
        [
            format!("GET /a: failed: connection refused{hint}"),
            format!("GET /b: failed: connection refused{hint}")
        ]
    );
}

#[tokio::test]
async fn a_failure_names_the_sources_of_its_error() {
    let url = format!("http://{}/", nowhere().await);
    let memory = Memory::from_iter([recorded_get(&url, "x")]);
    let mut outcomes = Vec::new();
    let summary = Resend::memory(&memory)
        .run(http1(), |resent| outcomes.push(resent.to_string()))
        .await;
    assert_eq!(summary.expect("a recording").failed, 1);
    assert!(outcomes[0].contains("onnection refused"), "{outcomes:?}");
    assert!(!outcomes[0].contains("Resend::origin"), "{outcomes:?}");
}

#[tokio::test]
async fn incomplete_exchanges_are_skipped() {
    let mut exchanges = Vec::new();
    for end in [
        BodyEnd::Limit,
        BodyEnd::Dropped,
        BodyEnd::Error("broke".to_owned()),
    ] {
        let mut request = exchange("POST", "/", "x", "y");
        request.request.body.end = end.clone();
        let mut response = exchange("POST", "/", "x", "y");
        response.response.as_mut().expect("one").body.end = end;
        exchanges.extend([request, response]);
    }
    for why in [NoResponse::ClientGone, NoResponse::Failed("no".to_owned())] {
        let mut none = recorded_get("/", "");
        none.response = Err(why);
        exchanges.push(none);
    }
    let origin = Origin::saying("y");
    let mut verdicts = Vec::new();
    let summary = Resend::memory(&exchanges.into_iter().collect())
        .run(origin.clone(), |resent| {
            verdicts.push(resent.outcome.clone());
        })
        .await
        .expect("a recording");
    assert_eq!((summary.skipped, summary.sent()), (8, 0));
    assert_eq!(verdicts, vec![ResendOutcome::Skipped; 8]);
    assert_eq!(origin.calls(), 0);
}

#[tokio::test]
async fn a_request_whose_body_a_har_lacks_is_skipped() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.har");
    let entry = |size: i32| {
        serde_json::json!({
            "request": {"method": "POST", "url": "http://a/", "bodySize": size},
            "response": {"status": 200, "content": {"text": "y"}},
        })
    };
    let har = serde_json::json!({"log": {"entries": [entry(1000), entry(0)]}});
    std::fs::write(&path, har.to_string()).expect("a file");
    let origin = Origin::saying("y");
    let summary = Resend::new(store::Har::new(path)).run(origin.clone(), |_| ());
    let summary = summary.await.expect("a recording");
    assert_eq!((summary.skipped, summary.sent()), (1, 1));
    assert_eq!(origin.calls(), 1);
}

/// A recording with an unreadable part.
struct Damaged;

impl Replay for Damaged {
    fn replay(&self) -> BoxStream<'static, Result<Exchange, StoreError>> {
        let folder = tempfile::tempdir().expect("a folder");
        stream::iter([
            Ok(recorded_get("/1", "x")),
            Err(corrupt(folder.path())),
            Ok(recorded_get("/2", "x")),
        ])
        .boxed()
    }
}

/// Returns the error of a file that is not a recording.
fn corrupt(folder: &std::path::Path) -> StoreError {
    std::fs::write(folder.join("traffic-bad.warc"), "this is no recording").expect("a file");
    let disk = tower_traffic::store::Disk::new(folder);
    let mut parts = disk.replay();
    futures::executor::block_on(parts.next())
        .expect("a part")
        .expect_err("damage")
}

#[tokio::test]
async fn a_part_that_cannot_be_read_is_counted_and_the_rest_is_sent() {
    let summary = Resend::new(Damaged).run(Origin::saying("x"), |_| {}).await;
    let summary = summary.expect("a recording");
    assert_eq!((summary.same, summary.unreadable), (2, 1));
}

#[tokio::test]
async fn a_folder_that_does_not_exist_is_an_error() {
    let parent = tempfile::tempdir().expect("a folder");
    let resend = Resend::disk(parent.path().join("none"));
    let error = resend.run(Origin::saying("x"), |_| {}).await;
    assert!(
        matches!(error, Err(StoreError::NotFound { .. })),
        "{error:?}"
    );
}

// ---- sent requests

#[tokio::test]
async fn requests_are_sent_as_recorded_and_in_order() {
    let memory = Memory::new();
    let record = RecordTraffic::new(memory.clone()).redact(Redact::none());
    let origin = all_kinds();
    let service = record.layer(origin.clone());
    for request in all_requests("") {
        ask(&service, request).await;
    }
    record.recorder().flush().await;

    let again = all_kinds();
    let resend = Resend::memory(&memory).redact(Redact::none());
    let summary = resend.run(again.clone(), |_| {}).await;
    let sent = all_requests("").len() as u64;
    assert_eq!(summary.expect("a recording"), same(sent));
    assert_eq!(again.seen(), origin.seen());
}

fn same(same: u64) -> ResendSummary {
    let mut summary = ResendSummary::default();
    summary.same = same;
    summary
}

#[tokio::test]
async fn resend_waits_until_the_service_is_ready() {
    let memory: Memory = (0..20).map(|_| recorded_get("/", "x")).collect();
    let service = ServiceBuilder::new()
        .buffer(1)
        .service(ConcurrencyLimit::new(Origin::saying("x"), 1));
    let summary = support::soon(Resend::memory(&memory).run(service, |_| {})).await;
    assert_eq!(summary.expect("a recording"), same(20));
}

#[tokio::test]
async fn a_request_is_sent_when_the_stream_is_polled() {
    let origin = Origin::saying("x");
    let memory: Memory = (0..3).map(|_| recorded_get("/", "x")).collect();
    let mut sent = std::pin::pin!(Resend::memory(&memory).send(origin.clone()));
    for number in 1..=3 {
        let resent = sent.next().await.expect("one more").expect("a recording");
        assert_eq!(resent.outcome, ResendOutcome::Same);
        assert_eq!(origin.calls(), number);
    }
    assert!(sent.next().await.is_none());
}

/// Records over real sockets, and sends the recording to another server.
async fn to_another_server(
    folder: &std::path::Path,
    redact: Option<Redact>,
    clients: (support::HttpClient, support::HttpClient<StoredBody>),
) -> (Origin, ResendSummary, Vec<String>) {
    let record = RecordTraffic::disk(folder);
    let record = match redact.clone() {
        Some(redact) => record.redact(redact),
        None => record,
    };
    let app = Router::new()
        .fallback_service(all_kinds())
        .layer(record.clone());
    let server = Server::start(app).await;
    for (number, request) in all_requests(&server.url("")).into_iter().enumerate() {
        let request = with(request, "authorization", "Bearer hunter2");
        ask(&clients.0, request).await;
        settled(&record.recorder(), number as u64 + 1).await;
    }
    drop(record);

    let origin = all_kinds();
    let server = Server::start(Router::new().fallback_service(origin.clone())).await;
    let to: Uri = server.url("").parse().expect("a URI");
    let mut reported = Vec::new();
    let resend = Resend::disk(folder)
        .origin(to)
        .redact(redact.unwrap_or_default());
    let summary = resend.run(clients.1, |resent| reported.push(resent.to_string()));
    let summary = support::soon(summary).await.expect("a recording");
    for seen in origin.seen() {
        let host = seen.headers.get("host").map(<[u8]>::to_vec);
        let authority = seen.uri.authority().map(|a| a.as_str().as_bytes().to_vec());
        let addr = server.addr.to_string().into_bytes();
        assert_eq!(host.or(authority), Some(addr), "{}", seen.uri);
    }
    (origin, summary, reported)
}

#[tokio::test]
async fn recorded_and_sent_over_http1() {
    let folder = tempfile::tempdir().expect("a folder");
    let (origin, summary, reported) =
        to_another_server(folder.path(), None, (http1(), http1())).await;
    assert_eq!(summary, same(14), "{reported:#?}");
    for seen in origin.seen() {
        let sent = seen.headers.get_all("authorization").collect::<Vec<_>>();
        assert_eq!(sent, [REDACTED.as_bytes()], "the secret is in no recording");
    }
}

#[tokio::test]
async fn recorded_over_http1_and_sent_over_http2() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, summary, reported) = to_another_server(folder.path(), None, (http1(), http2())).await;
    assert_eq!(summary, same(14), "{reported:#?}");
}

#[tokio::test]
async fn recorded_over_http2_and_sent_over_http1() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_, summary, reported) = to_another_server(folder.path(), None, (http2(), http1())).await;
    assert_eq!(summary, same(14), "{reported:#?}");
}

#[tokio::test]
async fn without_redaction_secrets_are_sent_and_compared() {
    let folder = tempfile::tempdir().expect("a folder");
    let clients = (http1(), http1());
    let redact = Some(Redact::none());
    let (origin, summary, reported) = to_another_server(folder.path(), redact, clients).await;
    assert_eq!(summary, same(14), "{reported:#?}");
    for seen in origin.seen() {
        let sent = seen.headers.get("authorization");
        assert_eq!(sent, Some(&b"Bearer hunter2"[..]));
    }
}

#[tokio::test]
async fn a_secret_that_is_new_does_not_differ() {
    let cookie = |secret: &'static str| {
        Origin::new(move |_| {
            let headers = fields([("set-cookie", secret), ("location", "/?token=a")]);
            now(headers, "found")
        })
    };
    let memory = Memory::new();
    let record = RecordTraffic::new(memory.clone());
    ask(&record.layer(cookie("one")), get("/")).await;
    record.recorder().flush().await;
    let summary = Resend::memory(&memory).run(cookie("two"), |_| {}).await;
    assert_eq!(summary.expect("a recording"), same(1));
    let resend = Resend::memory(&memory).redact(Redact::none());
    let summary = resend.run(cookie("two"), |_| {}).await;
    assert_eq!(summary.expect("a recording").different, 1);
}
