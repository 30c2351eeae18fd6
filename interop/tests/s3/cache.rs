//! `S3Cache` and `ReplayCache::s3`: requests, visibility for other machines, and failures.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt;
use http::{Request, Response, StatusCode};
use interop::faults::{Fault, Faults, always, first, first_of};
use interop::s3::{TestBucket, problem};
use support::{Origin, ask, get, soon};
use tower::Layer;
use tower_traffic::{
    Exchange, Matching, OnMiss, ReplayCache, StoreError,
    store::{Bucket, Replay, S3, S3Cache, S3Problem, Sink, Source, Which},
};

fn exchange(path: &str, answer: &str) -> Exchange {
    Exchange::new(
        Request::get(path).body(Bytes::new()).unwrap(),
        Response::new(Bytes::from(answer.to_owned())),
    )
}

async fn store(cache: &S3Cache, exchange: &Exchange) {
    soon(cache.store(vec![exchange.clone().into()]))
        .await
        .unwrap();
}

async fn find(cache: &S3Cache, exchange: &Exchange) -> Result<Option<Exchange>, StoreError> {
    let key = cache.matching().key(&exchange.request);
    let found = soon(cache.find(key, Which::Latest)).await?;
    Ok(found.map(Arc::unwrap_or_clone))
}

/// The key of an exchange's object, without the prefix.
fn object(exchange: &Exchange) -> String {
    let key = Matching::new().key(&exchange.request).to_string();
    format!("key={}/{key}.warc.gz", &key[..2])
}

#[tokio::test]
async fn a_fleet_sees_a_new_entry_at_once() {
    let place = TestBucket::new();
    let [one, other] = [(); 2].map(|()| S3Cache::new(place.bucket()));
    let exchange = exchange("/a", "hello");
    assert_eq!(find(&other, &exchange).await.unwrap(), None);
    store(&one, &exchange).await;
    assert_eq!(
        find(&other, &exchange).await.unwrap(),
        Some(exchange.clone())
    );
    let keys: Vec<_> = place.objects().await.into_keys().collect();
    assert_eq!(keys, [place.key(&object(&exchange))]);
}

#[tokio::test]
async fn a_look_up_is_a_single_get() {
    let place = TestBucket::new();
    let proxy = Faults::before(&place.endpoint, always(Fault::None));
    let cache = S3Cache::new(place.bucket_at(&proxy.url()));
    let exchange = exchange("/a", "hello");
    let seen = |from: usize| {
        let lines = proxy.seen().split_off(from);
        let method = |line: String| line.split(' ').next().unwrap().to_owned();
        lines.into_iter().map(method).collect::<Vec<_>>()
    };
    assert_eq!(find(&cache, &exchange).await.unwrap(), None);
    assert_eq!(seen(0), ["GET"]);
    store(&cache, &exchange).await;
    assert_eq!(seen(1), ["PUT"]);
    assert!(find(&cache, &exchange).await.unwrap().is_some());
    assert_eq!(seen(2), ["GET"]);
    assert!(!soon(cache.is_empty()).await.unwrap());
    assert_eq!(seen(3), ["GET"]);
    let list = proxy.seen().pop().unwrap();
    assert!(
        list.contains("list-type=2") && list.contains("max-keys=1"),
        "{list}"
    );
}

#[tokio::test]
async fn a_layer_records_misses_and_answers_from_then_on() {
    let place = TestBucket::new();
    let origin = Origin::saying("hello");
    let layer = || ReplayCache::s3(place.bucket()).on_miss(OnMiss::Record);
    let first = layer();
    let recorder = first.recorder();
    let app = first.layer(origin.clone());
    assert_eq!(ask(&app, get("/a")).await.text(), "hello");
    let stats = soon(recorder.flush()).await;
    assert_eq!((stats.stored, stats.dropped.total()), (1, 0));
    assert_eq!(origin.calls(), 1);

    // Another machine.
    let app = layer().on_miss(OnMiss::Refuse).layer(origin.clone());
    assert_eq!(ask(&app, get("/a")).await.text(), "hello");
    assert_eq!(
        ask(&app, get("/b")).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    assert_eq!(origin.calls(), 1);
}

#[tokio::test]
async fn a_stream_in_the_same_place_is_not_seen() {
    let place = TestBucket::new();
    let spool = tempfile::tempdir().unwrap();
    let stream = S3::new(place.bucket()).spool(spool.path());
    stream
        .store(vec![exchange("/a", "hello").into()])
        .await
        .unwrap();
    soon(stream.flush()).await.unwrap();
    let cache = S3Cache::new(place.bucket());
    assert!(soon(cache.is_empty()).await.unwrap());
    assert_eq!(find(&cache, &exchange("/a", "")).await.unwrap(), None);
    store(&cache, &exchange("/b", "hello")).await;
    assert!(!soon(cache.is_empty()).await.unwrap());
    assert_eq!(stream.replay().count().await, 1);
}

// ---- remembered misses

#[tokio::test]
async fn a_miss_is_remembered_only_if_asked_for_and_for_its_time() {
    let place = TestBucket::new();
    let proxy = Faults::before(&place.endpoint, always(Fault::None));
    let bucket = place.bucket_at(&proxy.url());
    let exchange = exchange("/a", "hello");

    let forgetful = S3Cache::new(bucket.clone());
    for gets in 1..=2 {
        assert_eq!(find(&forgetful, &exchange).await.unwrap(), None);
        assert_eq!(proxy.count("GET"), gets);
    }
    let cache = S3Cache::new(bucket).miss_ttl(Duration::from_mins(1));
    for _ in 0..3 {
        assert_eq!(find(&cache, &exchange).await.unwrap(), None);
        assert_eq!(proxy.count("GET"), 3);
    }
    // An exchange of another process is found when the time is over.
    store(&forgetful, &exchange).await;
    assert_eq!(find(&cache, &exchange).await.unwrap(), None);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(61)).await;
    tokio::time::resume();
    assert!(find(&cache, &exchange).await.unwrap().is_some());
}

#[tokio::test]
async fn an_entry_is_found_at_once_by_its_writer() {
    let place = TestBucket::new();
    let cache = S3Cache::new(place.bucket()).miss_ttl(Duration::from_mins(1));
    let exchange = exchange("/a", "hello");
    assert_eq!(find(&cache, &exchange).await.unwrap(), None);
    store(&cache, &exchange).await;
    assert_eq!(find(&cache, &exchange).await.unwrap(), Some(exchange));
}

#[tokio::test]
async fn an_error_is_not_remembered_as_a_miss() {
    let place = TestBucket::new();
    let proxy = Faults::before(&place.endpoint, always(Fault::Answer(403, "AccessDenied")));
    let cache = S3Cache::new(place.bucket_at(&proxy.url())).miss_ttl(Duration::from_mins(1));
    let exchange = exchange("/a", "hello");
    find(&cache, &exchange).await.unwrap_err();
    store(&S3Cache::new(place.bucket()), &exchange).await;
    proxy.plan(always(Fault::None));
    assert!(find(&cache, &exchange).await.unwrap().is_some());
}

// ---- failures

#[tokio::test]
async fn foreign_objects_are_reported_misses() {
    let place = TestBucket::new();
    let wanted = exchange("/a", "hello");
    store(&S3Cache::new(place.bucket()), &exchange("/b", "of another")).await;
    let (_, of_another) = place.objects().await.pop_first().unwrap();
    let contents = [
        Bytes::new(),
        Bytes::from_static(b"no entry"),
        of_another.slice(..of_another.len() / 2),
        of_another.slice(..of_another.len() - 3),
        of_another,
    ];
    for content in contents {
        place.put(&object(&wanted), content).await;
        let error = find(&S3Cache::new(place.bucket()), &wanted)
            .await
            .unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
        let text = error.to_string();
        assert!(
            text.contains(&format!(
                "s3://{}/{}",
                place.name,
                place.key(&object(&wanted))
            )),
            "{text}"
        );

        let reported: Arc<Mutex<Vec<String>>> = Arc::default();
        let errors = reported.clone();
        let layer = ReplayCache::s3(place.bucket())
            .on_error(move |error| errors.lock().unwrap().push(error.to_string()));
        let app = layer.layer(Origin::saying("from the origin"));
        assert_eq!(ask(&app, get("/a")).await.text(), "from the origin");
        assert_eq!(reported.lock().unwrap()[..], [text]);
    }
}

#[tokio::test]
async fn an_object_over_the_limit_is_an_error() {
    let place = TestBucket::new();
    let exchange = exchange("/a", "hello");
    let cache = S3Cache::new(place.bucket());
    store(&cache, &exchange).await;
    let error = find(&cache.max_object_bytes(100), &exchange)
        .await
        .unwrap_err();
    assert_eq!(problem(&error), S3Problem::TooLarge);
}

#[tokio::test]
async fn transient_errors_are_retried() {
    let place = TestBucket::new();
    let faults = [Fault::Answer(503, "SlowDown"), Fault::CutAnswer];
    let proxy = Faults::before(&place.endpoint, first_of("PUT", faults));
    let cache = S3Cache::new(place.bucket_at(&proxy.url()));
    let exchange = exchange("/a", "hello");
    store(&cache, &exchange).await;
    assert_eq!(proxy.count("PUT"), 3);
    proxy.plan(first([
        Fault::Answer(500, "InternalError"),
        Fault::CutAnswerAfter(10),
    ]));
    assert_eq!(find(&cache, &exchange).await.unwrap(), Some(exchange));
    assert_eq!(proxy.count("GET"), 3);
}

#[tokio::test]
async fn a_bucket_that_hangs_does_not_hang_requests() {
    let place = TestBucket::new();
    let proxy = Faults::before(&place.endpoint, always(Fault::SwallowRequest));
    let limit = Duration::from_millis(300);
    let cache = S3Cache::new(place.bucket_at(&proxy.url())).timeout(limit);
    let error = find(&cache, &exchange("/a", "")).await.unwrap_err();
    assert!(
        matches!(error, StoreError::TimedOut(time) if time == limit),
        "{error:?}"
    );
    assert!(matches!(
        soon(cache.is_empty()).await,
        Err(StoreError::TimedOut(_))
    ));
    let app = ReplayCache::new(cache).layer(Origin::saying("from the origin"));
    assert_eq!(ask(&app, get("/a")).await.text(), "from the origin");
}

#[tokio::test]
async fn a_refusal_is_reported_and_not_retried() {
    let place = TestBucket::new();
    let proxy = Faults::before(&place.endpoint, always(Fault::Answer(403, "AccessDenied")));
    let cache = S3Cache::new(place.bucket_at(&proxy.url()));
    let exchange = exchange("/a", "hello");
    let is_denied = |error: &StoreError| problem(error) == S3Problem::Denied;
    assert!(is_denied(&find(&cache, &exchange).await.unwrap_err()));
    let error = soon(cache.store(vec![exchange.into()])).await.unwrap_err();
    assert!(is_denied(&error), "{error:?}");
    assert_eq!(proxy.seen().len(), 2);
}

#[tokio::test]
async fn a_prefix_may_have_any_characters() {
    let place = TestBucket::new();
    let cache = S3Cache::new(place.bucket_at_prefix("a b/\u{fc}+%20"));
    let exchange = exchange("/a", "hello");
    store(&cache, &exchange).await;
    assert_eq!(
        find(&cache, &exchange).await.unwrap(),
        Some(exchange.clone())
    );
    let rest = format!("a b/\u{fc}+%20/{}", object(&exchange));
    let keys: Vec<_> = place.objects().await.into_keys().collect();
    assert_eq!(keys, [place.key(&rest)]);
}

#[tokio::test]
async fn an_error_names_its_problem_and_the_object() {
    let place = TestBucket::new();
    let exchange = exchange("/a", "hello");
    let error = async |bucket: Bucket| find(&S3Cache::new(bucket), &exchange).await.unwrap_err();
    let nowhere = Bucket::from("no-such-bucket")
        .endpoint(&place.endpoint)
        .region(&place.region)
        .credentials(&place.access_key, &place.secret_key);
    let missing = soon(S3Cache::new(nowhere).is_empty()).await.unwrap_err();
    assert_eq!(problem(&missing), S3Problem::NoSuchBucket, "{missing}");
    let url = "s3://no-such-bucket/key=: cannot ";
    assert!(missing.to_string().starts_with(url), "{missing}");

    let denied = error(place.bucket().credentials("nobody", "nothing")).await;
    assert_eq!(problem(&denied), S3Problem::Denied, "{denied}");
    let transient = error(place.bucket_at("http://127.0.0.1:1")).await;
    assert_eq!(problem(&transient), S3Problem::Transient, "{transient}");
}

#[tokio::test]
async fn a_compressed_bomb_does_not_block_requests() {
    let place = TestBucket::new();
    let cache = S3Cache::new(place.bucket());
    let large = exchange("/large", &"0".repeat(32 << 20));
    store(&cache, &large).await;
    let mut ticks = 0;
    let mut find = std::pin::pin!(find(&cache, &large));
    let found = loop {
        tokio::select! {
            found = &mut find => break found,
            () = tokio::time::sleep(Duration::from_millis(1)) => ticks += 1,
        }
    };
    assert!(found.unwrap().is_some());
    // While another thread decodes, this thread is free.
    assert!(ticks > 3, "{ticks}");
}
