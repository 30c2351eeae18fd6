//! The claims of `src/docs/stacking.md` about clients. The comment of each test is its claim.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::Router;
use bytes::Bytes;
use futures::{
    FutureExt,
    future::{BoxFuture, join},
};
use http::{HeaderValue, Request, Response, StatusCode, header::AUTHORIZATION};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use support::{BoxError, Origin, Server, ask, full, get, http1, post, reply, settled, soon};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};
use tower::{
    ServiceBuilder, ServiceExt,
    retry::{Policy, RetryLayer},
};
use tower_http::{
    request_id::{MakeRequestUuid, SetRequestIdLayer},
    set_header::SetRequestHeaderLayer,
    timeout::TimeoutLayer as StatusTimeoutLayer,
};
use tower_traffic::{
    Exchange, ExchangeEnd, OnMiss, RecordTraffic, Recorder, ReplayCache, store::Memory,
};

/// A recorder, and what it has recorded.
struct Recording(RecordTraffic, Memory);

impl Recording {
    fn new() -> Self {
        let memory = Memory::new();
        Self(RecordTraffic::new(memory.clone()), memory)
    }

    fn layer(&self) -> RecordTraffic {
        self.0.clone()
    }

    /// What it has, when so many exchanges have ended.
    async fn exchanges(&self, count: usize) -> Vec<Arc<Exchange>> {
        settled(&self.0.recorder(), count as u64).await;
        let exchanges = self.1.exchanges();
        assert_eq!(exchanges.len(), count);
        exchanges
    }
}

async fn serve(origin: &Origin) -> Server {
    Server::start(Router::new().fallback_service(origin.clone())).await
}

fn status(exchange: &Exchange) -> u16 {
    let response = exchange.response.as_ref().expect("a response");
    response.status.as_u16()
}

// ---- a cache

/// A recorder outside of a cache records hits too; inside of it, only what really went out.
#[tokio::test]
async fn recording_and_a_cache() {
    let (outside, inside) = (Recording::new(), Recording::new());
    let cached = Memory::new();
    let client = ServiceBuilder::new()
        .layer(outside.layer())
        .layer(ReplayCache::memory(&cached.clone()).on_miss(OnMiss::Record))
        .layer(inside.layer())
        .service(http1());
    let server = serve(&Origin::saying("hello")).await;
    for count in 1..=3 {
        assert_eq!(ask(&client, get(server.url("/"))).await.text(), "hello");
        outside.exchanges(count).await;
        soon(async {
            while cached.is_empty() {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
    inside.exchanges(1).await;
}

/// A cache that records goes outside of a retry: inside of it, the first failure is recorded, and
/// answers every further try.
#[tokio::test]
async fn a_cache_and_a_retry() {
    for is_outside in [true, false] {
        let origin = failing_until(3, "");
        let server = serve(&origin).await;
        let cache = ReplayCache::memory(&Memory::new()).on_miss(OnMiss::Record);
        let retry = RetryLayer::new(Retry {
            tries: 3,
            recorder: Some(cache.recorder()),
        });
        let builder = ServiceBuilder::new();
        let answer = if is_outside {
            let client = builder.layer(cache).filter_async(whole).layer(retry);
            ask(&client.service(http1()), get(server.url("/"))).await
        } else {
            let client = builder.filter_async(whole).layer(retry).layer(cache);
            ask(&client.service(http1()), get(server.url("/"))).await
        };
        let expected = if is_outside { (200, 3) } else { (503, 1) };
        assert_eq!((answer.status, origin.calls()), expected);
    }
}

// ---- a retry

#[derive(Clone)]
struct Retry {
    tries: usize,
    /// Is flushed before each further try.
    recorder: Option<Recorder>,
}

impl<B: Clone, R, E> Policy<Request<B>, Response<R>, E> for Retry {
    type Future = BoxFuture<'static, ()>;

    fn retry(
        &mut self,
        _: &mut Request<B>,
        result: &mut Result<Response<R>, E>,
    ) -> Option<Self::Future> {
        let is_fine = result
            .as_ref()
            .is_ok_and(|response| response.status().is_success());
        self.tries -= 1;
        let recorder = self.recorder.clone();
        (!is_fine && self.tries > 0).then(|| {
            async move {
                if let Some(recorder) = recorder {
                    recorder.flush().await;
                }
            }
            .boxed()
        })
    }

    fn clone_request(&mut self, request: &Request<B>) -> Option<Request<B>> {
        Some(request.clone())
    }
}

/// Reads a request's content: a retry needs a body that it can clone, and those of the layers cannot
/// be.
async fn whole<B>(request: Request<B>) -> Result<Request<Full<Bytes>>, BoxError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let (parts, body) = request.into_parts();
    let content = body.collect().await.map_err(Into::into)?.to_bytes();
    Ok(Request::from_parts(parts, Full::new(content)))
}

/// Answers with 503 until it is asked so often.
fn failing_until(calls: usize, with: &'static str) -> Origin {
    let count = AtomicUsize::new(0);
    Origin::new(move |request| {
        if count.fetch_add(1, Ordering::SeqCst) + 1 < calls {
            reply(503, full(with))
        } else {
            reply(200, full(request.into_body()))
        }
    })
}

/// A recorder outside of a retry records one exchange a call, with the last answer; inside of it, one a
/// try. An answer that the retry threw away unread is recorded as one whose client went away.
#[tokio::test]
async fn recording_and_a_retry() {
    let (outside, inside) = (Recording::new(), Recording::new());
    let client = ServiceBuilder::new()
        .layer(outside.layer())
        .filter_async(whole)
        .retry(Retry {
            tries: 5,
            recorder: None,
        })
        .layer(inside.layer())
        .service(http1());
    let server = serve(&failing_until(3, "not yet")).await;
    let answer = ask(&client, post(server.url("/"), "content")).await;
    assert_eq!(answer.text(), "content");

    assert_eq!(status(&outside.exchanges(1).await[0]), 200);
    let tries = inside.exchanges(3).await;
    let statuses: Vec<_> = tries.iter().map(|exchange| status(exchange)).collect();
    assert_eq!(statuses, [503, 503, 200]);
    assert_eq!(tries[0].end(), ExchangeEnd::ClientGone);
    for exchange in tries {
        assert_eq!(exchange.request.body.to_bytes(), "content");
    }
}

// ---- a time-out

fn slow() -> Origin {
    Origin::waiting(|_| async {
        sleep(Duration::from_mins(1)).await;
        reply(200, full("at last"))
    })
}

/// A recorder outside of tower's time-out records the failure; inside of it, that the caller went away.
#[tokio::test(start_paused = true)]
async fn recording_and_a_timeout() {
    let (outside, inside) = (Recording::new(), Recording::new());
    let client = ServiceBuilder::new()
        .layer(outside.layer())
        .timeout(Duration::from_secs(30))
        .layer(inside.layer())
        .service(slow());
    let error = soon(client.oneshot(get("/"))).await.expect_err("too slow");

    let outside = outside.exchanges(1).await;
    assert_eq!(outside[0].end(), ExchangeEnd::Error(error.to_string()));
    assert_eq!(
        outside[0].end(),
        ExchangeEnd::Error("request timed out".to_owned())
    );
    assert_eq!(inside.exchanges(1).await[0].end(), ExchangeEnd::ClientGone);
}

/// A recorder outside of tower-http's time-out, which answers with a status, records that answer;
/// inside of it, that the caller went away.
#[tokio::test(start_paused = true)]
async fn recording_and_a_timeout_that_answers() {
    let (outside, inside) = (Recording::new(), Recording::new());
    let limit = Duration::from_secs(30);
    let client = ServiceBuilder::new()
        .layer(outside.layer())
        .layer(StatusTimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            limit,
        ))
        .layer(inside.layer())
        .service(slow());
    assert_eq!(ask(&client, get("/")).await.status, 504);
    let outside = outside.exchanges(1).await;
    assert_eq!(
        (status(&outside[0]), outside[0].end()),
        (504, ExchangeEnd::Complete)
    );
    assert_eq!(inside.exchanges(1).await[0].end(), ExchangeEnd::ClientGone);
}

// ---- header fields

/// A recorder inside of the layer that adds credentials records that there were some, masked; outside of
/// it, it sees none.
#[tokio::test]
async fn recording_and_credentials() {
    let (outside, inside) = (Recording::new(), Recording::new());
    let token = HeaderValue::from_static("Bearer secret");
    let client = ServiceBuilder::new()
        .layer(outside.layer())
        .layer(SetRequestHeaderLayer::overriding(AUTHORIZATION, token))
        .layer(inside.layer())
        .service(http1());
    let origin = Origin::saying("hello");
    let server = serve(&origin).await;
    ask(&client, get(server.url("/"))).await;

    assert_eq!(
        origin.seen()[0].headers.get("authorization"),
        Some(&b"Bearer secret"[..])
    );
    let (outside, inside) = (outside.exchanges(1).await, inside.exchanges(1).await);
    assert_eq!(outside[0].request.headers.get("authorization"), None);
    let masked = inside[0]
        .request
        .headers
        .get("authorization")
        .expect("masked");
    assert!(
        !masked.is_empty() && !masked.ends_with(b"secret"),
        "{}",
        masked.escape_ascii()
    );
}

/// A recorder inside of the layer that gives requests their id records it; outside of it, it does not.
#[tokio::test]
async fn recording_and_a_request_id() {
    let (outside, inside) = (Recording::new(), Recording::new());
    let client = ServiceBuilder::new()
        .layer(outside.layer())
        .layer(SetRequestIdLayer::x_request_id(MakeRequestUuid))
        .layer(inside.layer())
        .service(http1());
    let origin = Origin::saying("hello");
    let server = serve(&origin).await;
    ask(&client, get(server.url("/"))).await;

    let seen = origin.seen();
    let id = seen[0].headers.get("x-request-id");
    assert!(id.is_some());
    let (outside, inside) = (outside.exchanges(1).await, inside.exchanges(1).await);
    assert_eq!(outside[0].request.headers.get("x-request-id"), None);
    assert_eq!(inside[0].request.headers.get("x-request-id"), id);
}

// ---- limits

/// Answers after 3 s.
fn three_seconds() -> Origin {
    Origin::waiting(|_| async {
        sleep(Duration::from_secs(3)).await;
        reply(200, full("hello"))
    })
}

async fn seconds(recording: &Recording) -> Vec<u64> {
    let exchanges = recording.exchanges(2).await;
    let times = exchanges.iter().map(|exchange| exchange.time_to_head);
    times.map(|time| time.expect("a head").as_secs()).collect()
}

/// No recorder measures the wait for a concurrency limit, outside of it or inside: that wait comes
/// before the call.
#[tokio::test(start_paused = true)]
async fn recording_and_a_concurrency_limit() {
    let (outside, inside) = (Recording::new(), Recording::new());
    let client = ServiceBuilder::new()
        .layer(outside.layer())
        .concurrency_limit(1)
        .layer(inside.layer())
        .service(three_seconds());
    let begin = Instant::now();
    join(ask(&client, get("/")), ask(&client, get("/"))).await;
    assert_eq!(begin.elapsed().as_secs(), 6);
    assert_eq!(seconds(&outside).await, [3, 3]);
    assert_eq!(seconds(&inside).await, [3, 3]);
}

/// A recorder outside of a buffer measures the wait in it; inside of it, it does not.
#[tokio::test(start_paused = true)]
async fn recording_and_a_buffer() {
    let (outside, inside) = (Recording::new(), Recording::new());
    let client = ServiceBuilder::new()
        .layer(outside.layer())
        .buffer(8)
        .concurrency_limit(1)
        .layer(inside.layer())
        .service(three_seconds());
    join(ask(&client, get("/")), ask(&client, get("/"))).await;
    assert_eq!(seconds(&outside).await, [3, 6]);
    assert_eq!(seconds(&inside).await, [3, 3]);
}

/// A recorder outside of a cache measures the wait for a limit that is inside of it: a cache asks
/// whether the client is ready only after a miss.
#[tokio::test(start_paused = true)]
async fn recording_a_cache_and_a_limit() {
    let outside = Recording::new();
    let client = ServiceBuilder::new()
        .layer(outside.layer())
        .layer(ReplayCache::memory(&Memory::new()))
        .concurrency_limit(1)
        .service(three_seconds());
    join(ask(&client, get("/")), ask(&client, get("/"))).await;
    assert_eq!(seconds(&outside).await, [3, 6]);
}

/// A recorder outside of load shedding records what was refused, as a failure; inside of it, it never
/// hears of it.
#[tokio::test]
async fn recording_and_load_shedding() {
    let (outside, inside) = (Recording::new(), Recording::new());
    let (arrived, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let signals = (arrived.clone(), go_on.clone());
    let origin = Origin::waiting(move |_| {
        let (arrived, go_on) = signals.clone();
        async move {
            arrived.notify_one();
            go_on.notified().await;
            reply(200, full("hello"))
        }
    });
    let client = ServiceBuilder::new()
        .layer(outside.layer())
        .load_shed()
        .concurrency_limit(1)
        .layer(inside.layer())
        .service(origin);
    let first = tokio::spawn(ask(&client, get("/")));
    soon(arrived.notified()).await;
    let error = soon(client.oneshot(get("/"))).await.expect_err("refused");
    go_on.notify_one();
    assert_eq!(first.await.expect("no panic").status, 200);

    let outside = outside.exchanges(2).await;
    assert_eq!(outside[0].end(), ExchangeEnd::Error(error.to_string()));
    assert_eq!(outside[1].end(), ExchangeEnd::Complete);
    inside.exchanges(1).await;
}
