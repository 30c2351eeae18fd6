//! The claims of `src/docs/stacking.md` about clients; the doc comment of each test states its
//! claim.

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

/// A recorder with its memory.
struct Recording(RecordTraffic, Memory);

impl Recording {
    fn new() -> Self {
        let memory = Memory::new();
        Self(RecordTraffic::new(memory.clone()), memory)
    }

    fn layer(&self) -> RecordTraffic {
        self.0.clone()
    }

    /// Waits for `count` completed exchanges, and returns them.
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

// ---- caches

/// A recorder outside a cache also records hits; inside, only the requests that were sent.
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

/// A recording cache belongs outside a retry: inside, the cache records the first failure and
/// answers every further attempt with it.
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

// ---- retries

#[derive(Clone)]
struct Retry {
    tries: usize,
    /// Flushed before each further attempt.
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

/// Buffers a request's content: a retry needs a cloneable body, and the layers' bodies are not
/// cloneable.
async fn whole<B>(request: Request<B>) -> Result<Request<Full<Bytes>>, BoxError>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    let (parts, body) = request.into_parts();
    let content = body.collect().await.map_err(Into::into)?.to_bytes();
    Ok(Request::from_parts(parts, Full::new(content)))
}

/// Returns an origin that responds with 503 until call number `calls`.
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

/// A recorder outside a retry records one exchange per call, with the last response; inside, one
/// exchange per attempt. A response that the retry drops unread is recorded as `ClientGone`.
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

// ---- timeouts

fn slow() -> Origin {
    Origin::waiting(|_| async {
        sleep(Duration::from_mins(1)).await;
        reply(200, full("at last"))
    })
}

/// A recorder outside tower's timeout records the failure; inside, it records `ClientGone`.
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

/// tower-http's timeout responds with a status: a recorder outside records that response; inside,
/// it records `ClientGone`.
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

// ---- headers

/// A recorder inside the layer that adds credentials records them masked; a recorder outside sees
/// no credentials.
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

/// A recorder inside the layer that sets request ids records the id; a recorder outside does not.
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

/// Returns an origin that responds after 3 s.
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

/// A recorder outside or inside a concurrency limit excludes the wait: the wait precedes the call.
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

/// A recorder outside a buffer measures the wait in the buffer; a recorder inside does not.
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

/// A recorder outside a cache measures the wait for a limit inside the cache: the cache polls the
/// readiness of the client only after a miss.
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

/// A recorder outside load shedding records refused requests as failures; a recorder inside never
/// sees them.
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
