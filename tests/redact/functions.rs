//! Redaction by functions: called once per message, equal on both sides of a lookup, and safe when
//! they panic.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use bytes::Bytes;
use http::{Request, Uri};
use support::{Origin, all_kinds, ask, exchange, full, get, post, recorded_get, reply};
use tower::Layer;
use tower_traffic::{
    Exchange, HeaderList, OnMiss, RecordTraffic, RecordedRequest, Redact, ReplayCache, Resend,
    store::{Disk, Memory, Replay},
};

/// Hides the user's id.
fn without_user() -> Redact {
    Redact::default()
        .request_with(|request| {
            if request.uri.path().starts_with("/users/") {
                request.uri = Uri::from_static("/users/REDACTED");
            }
        })
        .response_with(|response| {
            let text =
                String::from_utf8_lossy(&response.body.to_bytes()).replace("bob", "somebody");
            response.body.set_bytes(text);
        })
}

fn origin() -> Origin {
    Origin::new(|_| {
        let mut response = reply(200, full("this is bob"));
        let length = "11".parse().expect("a value");
        response.headers_mut().insert("content-length", length);
        let cookie = "a=bob".parse().expect("a value");
        response.headers_mut().insert("set-cookie", cookie);
        response
    })
}

#[tokio::test]
async fn redacted_exchanges_are_stored_and_found() {
    let folder = tempfile::tempdir().expect("a folder");
    let record = RecordTraffic::disk(folder.path()).redact(without_user());
    let answer = ask(&record.layer(origin()), get("/users/bob?token=hunter2")).await;
    assert_eq!(answer.text(), "this is bob");
    record.recorder().flush().await;

    let disk = Disk::new(folder.path());
    let stored: Vec<Exchange> = futures::TryStreamExt::try_collect(disk.replay())
        .await
        .expect("all");
    assert_eq!(stored[0].request.uri, "/users/REDACTED");
    let response = stored[0].response.as_ref().expect("one");
    assert_eq!(response.body.to_bytes(), "this is somebody");
    assert_eq!(response.headers.get("content-length"), Some(&b"16"[..]));
    // The other rules follow the functions.
    assert_eq!(response.headers.get("set-cookie"), Some(&b"REDACTED"[..]));

    let matching = tower_traffic::Matching::new().redact(without_user());
    let replay = ReplayCache::read_only(Disk::new(folder.path()).match_by(matching));
    let replay = replay.on_miss(OnMiss::Refuse).layer(all_kinds());
    assert_eq!(
        ask(&replay, get("/users/eve")).await.text(),
        "this is somebody"
    );
    let refused = ask(&replay, get("/others/eve")).await;
    assert_eq!(refused.status, 503);
}

#[tokio::test]
async fn a_response_is_compared_as_functions_leave_it() {
    let mut recorded = recorded_get("/", "this is somebody");
    let fields = [("set-cookie", "REDACTED"), ("content-length", "16")];
    let fields = support::fields(fields);
    recorded.response.as_mut().expect("one").headers = HeaderList::from(&fields);
    for (redact, same) in [(without_user(), 1), (Redact::default(), 0)] {
        let memory = Memory::from_iter([recorded.clone()]);
        let resend = Resend::memory(&memory).redact(redact);
        let summary = resend.run(origin(), |_| {}).await.expect("a recording");
        assert_eq!(summary.same, same);
    }
}

#[tokio::test]
async fn an_exchange_whose_function_panics_is_dropped_and_counted() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let redact = Redact::default().request_with(move |request| {
        counted.fetch_add(1, Ordering::Relaxed);
        assert!(request.uri.path() != "/boom", "on purpose");
    });
    let redact = redact.response_with(|response| {
        assert!(response.status != 500, "on purpose");
    });
    let memory = Memory::new();
    let record = RecordTraffic::new(memory.clone()).redact(redact);
    let service = record.layer(Origin::new(|request| {
        let status = if request.uri().path() == "/fails" {
            500
        } else {
            200
        };
        reply(status, full("content"))
    }));
    for path in ["/boom", "/fine", "/fails", "/boom", "/fine"] {
        assert_eq!(ask(&service, post(path, "hunter2")).await.text(), "content");
    }
    let stats = record.recorder().flush().await;
    assert_eq!((stats.served, stats.stored, stats.queued), (5, 2, 0));
    assert_eq!(
        (stats.dropped.redaction_failed, stats.dropped.total()),
        (3, 3)
    );
    assert_eq!(calls.load(Ordering::Relaxed), 5);
    assert_eq!(memory.exchanges().len(), 2);
}

#[test]
fn a_message_is_replaced_when_its_function_panics() {
    let redact = Redact::default()
        .request_with(|_| panic!("on purpose"))
        .response_with(|_| panic!("on purpose"));
    let mut failed = exchange("POST", "/hunter2?a=hunter2", "hunter2", "hunter2");
    let fields = support::fields([("x-a", "hunter2")]);
    failed.request.headers = HeaderList::from(&fields);
    failed.request.body.trailers = Some(HeaderList::from(&fields));
    failed.request.body.end = tower_traffic::BodyEnd::Error("hunter2".to_owned());
    failed.response.as_mut().expect("one").headers = HeaderList::from(&fields);
    redact.exchange(&mut failed);
    let text = format!("{failed:?}");
    assert!(!text.contains("hunter2"), "{text}");
    assert_eq!(
        (failed.request.method.as_str(), failed.request.uri.path()),
        ("POST", "/REDACTED")
    );
}

#[tokio::test]
async fn a_request_whose_function_panics_is_not_found() {
    let redact = Redact::default().request_with(|_| panic!("on purpose"));
    let memory = Memory::from_iter([recorded_get("/", "found"), recorded_get("/a", "found")]);
    let memory = memory.match_by(
        tower_traffic::Matching::new()
            .also_by(|_| "")
            .redact(redact),
    );
    let replay = ReplayCache::memory(&memory).on_miss(OnMiss::PassThrough);
    let answer = ask(&replay.layer(Origin::saying("passed")), get("/hunter2")).await;
    assert_eq!(answer.text(), "passed");
}

#[test]
fn functions_run_in_their_order_before_the_rules() {
    let redact = Redact::default()
        .request_with(|request: &mut RecordedRequest| {
            request.body.set_bytes("{\"token\":\"hunter2\"}");
        })
        .request_with(|request: &mut RecordedRequest| {
            let text = String::from_utf8_lossy(&request.body.to_bytes()).replace('}', ",\"a\":1}");
            request.body.set_bytes(text);
        });
    let request = Request::post("/").header("content-type", "application/json");
    let mut request = RecordedRequest::from(request.body(Bytes::new()).expect("a request"));
    redact.request(&mut request);
    assert_eq!(request.body.to_bytes(), "{\"token\":\"REDACTED\",\"a\":1}");
}
