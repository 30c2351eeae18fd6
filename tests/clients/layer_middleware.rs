//! `LayerMiddleware`: transparent to code that uses reqwest.

use std::{
    error::Error as _,
    future::{Future, Ready, pending, ready},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Request as AxumRequest, WebSocketUpgrade, ws::Message},
    http::StatusCode,
    response::Redirect,
    routing,
};
use futures::{FutureExt, StreamExt, future::BoxFuture};
use http::{Extensions, Request, Response};
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error, Middleware, Next};
use serde_json::{Value, json};
use support::{Origin, Server, channel, full, recorded_get, reply, settled, soon};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{Barrier, Notify},
};
use tower::{
    ServiceBuilder, ServiceExt, layer::layer_fn, retry, service_fn, timeout::error::Elapsed,
    util::BoxCloneService,
};
use tower_traffic::{
    ExchangeEnd, OnMiss, RecordTraffic, ReplayCache,
    clients::{LayerError, LayerMiddleware, NextError, NextService},
    store::Memory,
};

fn reqwest() -> reqwest::Client {
    reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client")
}

fn client(middleware: LayerMiddleware) -> ClientWithMiddleware {
    ClientBuilder::new(reqwest()).with(middleware).build()
}

fn recording() -> (RecordTraffic, Memory) {
    let memory = Memory::new();
    (RecordTraffic::new(memory.clone()), memory)
}

/// Returns a deep stack: recorder, cache, limit, buffer.
fn stack(record: &RecordTraffic) -> LayerMiddleware {
    let layers = ServiceBuilder::new()
        .layer(record.clone())
        .layer(ReplayCache::memory(&Memory::new()))
        .buffer(4)
        .concurrency_limit(2);
    LayerMiddleware::new(layers)
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Inside = BoxCloneService<Request<reqwest::Body>, Response<reqwest::Body>, BoxError>;

/// Returns a layer that passes the inner service and the request to `call`.
fn layer<F>(
    call: impl Fn(NextService, Request<reqwest::Body>) -> F + Clone + Send + 'static,
) -> LayerMiddleware
where
    F: Future<Output = Result<Response<reqwest::Body>, BoxError>> + Send + 'static,
{
    LayerMiddleware::new(layer_fn(move |next: NextService| -> Inside {
        let call = call.clone();
        service_fn(move |request| call(next.clone(), request)).boxed_clone()
    }))
}

fn copy(request: &Request<reqwest::Body>) -> Request<reqwest::Body> {
    let mut copy = Request::new(reqwest::Body::default());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.extensions_mut() = request.extensions().clone();
    copy
}

// ---- transparency

fn origin() -> Router {
    Router::new()
        .route(
            "/json",
            routing::get(async || Json(json!({ "name": "bob" }))),
        )
        .route(
            "/moved",
            routing::any(async || Redirect::temporary("/echo")),
        )
        .route(
            "/echo",
            routing::any(async |request: AxumRequest| request.into_body()),
        )
        .route("/missing", routing::get(async || StatusCode::NOT_FOUND))
        .route("/slow", routing::get(pending::<()>))
        .route("/ws", routing::any(web_socket))
}

async fn web_socket(upgrade: WebSocketUpgrade) -> axum::response::Response {
    upgrade.on_upgrade(async |mut socket| {
        while let Some(Ok(Message::Text(text))) = socket.recv().await {
            let _ = socket.send(Message::Text(text)).await;
        }
    })
}

#[tokio::test]
async fn a_response_is_as_without_layers() {
    let server = Server::start(origin()).await;
    let url = server.url("/json?a=1#fragment");
    let bare = reqwest().get(&url).send().await.expect("an answer");
    let layered = client(stack(&recording().0))
        .get(&url)
        .send()
        .await
        .expect("an answer");

    assert_eq!(layered.url(), bare.url());
    assert_eq!(layered.url().as_str(), server.url("/json?a=1"));
    assert_eq!(layered.remote_addr(), Some(server.addr));
    assert_eq!(layered.status(), bare.status());
    assert_eq!(layered.version(), bare.version());
    assert_eq!(layered.content_length(), Some(14));
    assert_eq!(layered.content_length(), bare.content_length());
    assert_eq!(layered.headers(), bare.headers());
    assert_eq!(
        layered.json::<Value>().await.expect("JSON"),
        json!({ "name": "bob" })
    );
}

#[tokio::test]
async fn an_error_status_has_its_url() {
    let server = Server::start(origin()).await;
    let url = server.url("/missing");
    let response = client(stack(&recording().0)).get(&url).send().await;
    let error = response
        .expect("an answer")
        .error_for_status()
        .expect_err("404");
    assert_eq!(error.status(), Some(StatusCode::NOT_FOUND));
    assert_eq!(error.url().map(reqwest::Url::as_str), Some(url.as_str()));
}

#[tokio::test]
async fn a_body_streams() {
    let (sender, body) = channel();
    let body = Mutex::new(Some(body));
    let origin = Origin::new(move |_| {
        reply(
            200,
            body.lock().expect("no panic").take().expect("one request"),
        )
    });
    let server = Server::start(Router::new().fallback_service(origin)).await;
    let client = client(stack(&recording().0));
    let response = soon(client.get(server.url("/")).send())
        .await
        .expect("an answer");
    let mut pieces = response.bytes_stream();
    for piece in ["one", "two"] {
        sender.data(piece);
        assert_eq!(
            soon(pieces.next())
                .await
                .expect("a piece")
                .expect("a piece"),
            piece
        );
    }
    drop(sender);
    assert!(soon(pieces.next()).await.is_none());
}

#[tokio::test]
async fn redirects_are_followed_with_the_content() {
    let (record, memory) = recording();
    let server = Server::start(origin()).await;
    let client = client(stack(&record));
    let response = soon(client.post(server.url("/moved")).body("content").send()).await;
    let response = response.expect("an answer");
    assert_eq!(response.url().as_str(), server.url("/echo"));
    assert_eq!(response.text().await.expect("content"), "content");
    settled(&record.recorder(), 1).await;
    assert_eq!(memory.len(), 1);
}

#[tokio::test]
async fn connections_are_upgraded() {
    let server = Server::start(origin()).await;
    let request = client(stack(&recording().0))
        .get(server.url("/ws"))
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let response = soon(request.send()).await.expect("an answer");
    assert_eq!(response.status(), 101);
    let mut socket = soon(response.upgrade()).await.expect("upgraded");
    socket.write_all(b"\x81\x82\0\0\0\0hi").await.expect("sent");
    let mut answer = [0; 4];
    soon(socket.read_exact(&mut answer))
        .await
        .expect("an answer");
    assert_eq!(&answer, b"\x81\x02hi");
}

// ---- errors

#[tokio::test]
async fn errors_of_reqwest_are_unchanged() {
    let server = Server::start(origin()).await;
    let url = server.url("/slow");
    let client = client(stack(&recording().0));
    let slow = client.get(&url).timeout(Duration::from_millis(50)).send();
    let error = soon(slow).await.expect_err("too slow");
    assert!(error.is_timeout() && !error.is_middleware(), "{error}");
    assert_eq!(error.url().map(reqwest::Url::as_str), Some(url.as_str()));

    drop(server);
    tokio::task::yield_now().await;
    let error = soon(client.get(url).send())
        .await
        .expect_err("nobody is there");
    assert!(error.is_connect(), "{error}");
}

#[tokio::test]
async fn an_error_of_a_layer_is_the_source() {
    let server = Server::start(origin()).await;
    let (record, memory) = recording();
    let layers = ServiceBuilder::new()
        .timeout(Duration::from_millis(50))
        .layer(record.clone());
    let client = client(LayerMiddleware::new(layers));
    let error = soon(client.get(server.url("/slow")).send())
        .await
        .expect_err("too slow");
    let Error::Middleware(error) = error else {
        panic!("{error:?}");
    };
    let error = error.downcast_ref::<LayerError>().expect("a layer's");
    let source = error.source().expect("a source");
    assert!(source.is::<Elapsed>(), "{source:?}");

    // The pending inner call was dropped with its connection.
    settled(&record.recorder(), 1).await;
    assert_eq!(memory.exchanges()[0].end(), ExchangeEnd::ClientGone);
}

#[derive(Debug, thiserror::Error)]
#[error("refused")]
struct Refused;

#[tokio::test]
async fn an_error_of_an_inner_middleware_is_unchanged() {
    fn refuse<'a>(_: reqwest::Request, _: &'a mut Extensions, _: Next<'a>) -> Answer<'a> {
        ready(Err(Error::middleware(Refused))).boxed()
    }
    let client = ClientBuilder::new(reqwest())
        .with(stack(&recording().0))
        .with(refuse)
        .build();
    let error = soon(client.get("http://127.0.0.1:1").send())
        .await
        .expect_err("refused");
    let Error::Middleware(error) = error else {
        panic!("{error:?}");
    };
    assert!(error.is::<Refused>(), "{error:?}");
}

// ---- freedoms of a layer

#[tokio::test]
async fn a_layer_may_answer_itself() {
    let url = "http://127.0.0.1:1/bob";
    let memory = Memory::from_iter([recorded_get("http://127.0.0.1:1/bob", "hello bob")]);
    let cache = ReplayCache::memory(&memory).on_miss(OnMiss::Refuse);
    let client = client(LayerMiddleware::new(cache));
    let response = soon(client.get(url).send()).await.expect("an answer");
    assert_eq!(response.url().as_str(), url);
    assert_eq!(response.text().await.expect("content"), "hello bob");

    let response = soon(client.get("http://127.0.0.1:1/alice").send()).await;
    assert_eq!(response.expect("a refusal").status(), 503);
}

#[derive(Clone)]
struct ThreeTimes(usize);

impl<R, E> retry::Policy<Request<reqwest::Body>, Response<R>, E> for ThreeTimes {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        _: &mut Request<reqwest::Body>,
        result: &mut Result<Response<R>, E>,
    ) -> Option<Self::Future> {
        let failed = result
            .as_ref()
            .map_or(true, |response| response.status() == 503);
        self.0 += 1;
        (failed && self.0 < 3).then(|| ready(()))
    }

    fn clone_request(
        &mut self,
        request: &Request<reqwest::Body>,
    ) -> Option<Request<reqwest::Body>> {
        let content = request.body().as_bytes()?.to_vec();
        Some(copy(request).map(|_| content.into()))
    }
}

/// Returns an origin that responds with 503 until call number `calls`.
fn failing_until(calls: usize) -> Origin {
    let count = AtomicUsize::new(0);
    Origin::new(move |request| match count.fetch_add(1, Ordering::SeqCst) {
        n if n + 1 < calls => reply(503, full("not yet")),
        _ => reply(200, full(request.into_body())),
    })
}

type Answer<'a> = BoxFuture<'a, reqwest_middleware::Result<reqwest::Response>>;

#[derive(Clone, Debug, PartialEq)]
struct Count(usize);

/// Counts the requests in the extensions of the middleware chain.
fn count<'a>(
    request: reqwest::Request,
    extensions: &'a mut Extensions,
    next: Next<'a>,
) -> Answer<'a> {
    extensions.get_or_insert_with(|| Count(0)).0 += 1;
    next.run(request, extensions)
}

/// A middleware that starts the count at 10 and keeps the final count.
struct KeepCount(Arc<Mutex<Option<Count>>>);

#[async_trait::async_trait]
impl Middleware for KeepCount {
    async fn handle(
        &self,
        request: reqwest::Request,
        extensions: &mut Extensions,
        next: Next<'_>,
    ) -> reqwest_middleware::Result<reqwest::Response> {
        extensions.insert(Count(10));
        let answer = next.run(request, extensions).await;
        *self.0.lock().expect("no panic") = extensions.get().cloned();
        answer
    }
}

#[tokio::test]
async fn a_layer_may_retry_and_extensions_pass() {
    let server = Server::start(Router::new().fallback_service(failing_until(3))).await;
    let [(outer, asked), (inner, tried)] = [recording(), recording()];
    let kept = Arc::default();
    let client = ClientBuilder::new(reqwest())
        .with(KeepCount(Arc::clone(&kept)))
        .with(LayerMiddleware::new(outer.clone()))
        .with(LayerMiddleware::new(retry::RetryLayer::new(ThreeTimes(0))))
        .with(LayerMiddleware::new(inner.clone()))
        .with(count)
        .build();
    let response = soon(client.post(server.url("/")).body("content").send()).await;
    let response = response.expect("an answer");
    assert_eq!(response.status(), 200);
    assert_eq!(response.text().await.expect("content"), "content");

    assert_eq!(*kept.lock().expect("no panic"), Some(Count(13)));
    settled(&outer.recorder(), 1).await;
    settled(&inner.recorder(), 3).await;
    assert_eq!((asked.len(), tried.len()), (1, 3));
}

#[tokio::test]
async fn a_layer_may_send_concurrent_requests() {
    // The origin responds when both requests have arrived.
    let both = Arc::new(Barrier::new(2));
    let origin = Origin::waiting(move |_| {
        let both = both.clone();
        async move {
            both.wait().await;
            reply(200, full("together"))
        }
    });
    let server = Server::start(Router::new().fallback_service(origin)).await;
    let twice = layer(|next, request| async move {
        let other = next.clone().oneshot(copy(&request));
        let (answer, other) = futures::future::join(next.oneshot(request), other).await;
        assert_eq!(other?.status(), 200);
        Ok(answer?)
    });
    let response = soon(client(twice).get(server.url("/")).send()).await;
    assert_eq!(response.expect("an answer").status(), 200);
}

/// Layers that follow redirects replace the request in this way.
#[tokio::test]
async fn a_layer_may_make_another_request() {
    let server = Server::start(origin()).await;
    let other = server.url("/json");
    let elsewhere = layer(move |next, _| {
        let request = Request::get(&other).body(String::new());
        async move { Ok(next.oneshot(request?).await?) }
    });
    let response = soon(client(elsewhere).get(server.url("/missing")).send()).await;
    let response = response.expect("an answer");
    assert_eq!(
        (response.status().as_u16(), response.url().path()),
        (200, "/json")
    );
}

#[tokio::test]
async fn a_request_that_cannot_be_converted_is_an_error() {
    let server = Server::start(origin()).await;
    let lost = layer(|next, mut request| {
        request.extensions_mut().clear();
        async move { Ok(tokio::spawn(next.oneshot(request)).await??) }
    });
    let error = soon(client(lost).get(server.url("/json")).send())
        .await
        .expect_err("lost");
    assert_eq!(next_error(error), NextError::LostExtensions);

    let (over, is_over) = tokio::sync::oneshot::channel::<()>();
    let is_over = Arc::new(Mutex::new(Some(is_over)));
    let (late, mut errors) = tokio::sync::mpsc::unbounded_channel();
    let later = layer(move |next, request| {
        let is_over = is_over
            .lock()
            .expect("no panic")
            .take()
            .expect("one request");
        let (late, again) = (late.clone(), copy(&request));
        let other = next.clone();
        tokio::spawn(async move {
            let _ = is_over.await;
            let answer = other.oneshot(again).await;
            late.send(answer.expect_err("too late"))
                .expect("the test is there");
        });
        async move { Ok(next.oneshot(request).await?) }
    });
    let response = soon(client(later).get(server.url("/json")).send()).await;
    assert_eq!(response.expect("an answer").status(), 200);
    over.send(()).expect("the task is there");
    let error = soon(errors.recv()).await.expect("an error");
    assert_eq!(next_error(error), NextError::CallIsOver);
}

fn next_error(error: Error) -> NextError {
    match error {
        Error::Middleware(error) => *error.downcast_ref().expect("of the service inside"),
        Error::Reqwest(error) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn a_dropped_request_is_dropped_inside() {
    let (record, memory) = recording();
    let arrived = Arc::new(Notify::new());
    let arrival = arrived.clone();
    let origin = Origin::waiting(move |_| {
        arrival.notify_one();
        pending()
    });
    let server = Server::start(Router::new().fallback_service(origin)).await;
    let asking = tokio::spawn(client(stack(&record)).get(server.url("/")).send());
    soon(arrived.notified()).await;
    asking.abort();
    settled(&record.recorder(), 1).await;
    assert_eq!(memory.exchanges()[0].end(), ExchangeEnd::ClientGone);
}

#[tokio::test]
async fn a_call_dropped_by_a_layer_is_dropped_inside() {
    let (record, memory) = recording();
    let arrived = Arc::new(Notify::new());
    let arrival = arrived.clone();
    let origin = Origin::waiting(move |_| {
        arrival.notify_one();
        pending()
    });
    let server = Server::start(Router::new().fallback_service(origin)).await;
    let recorder = record.recorder();
    let gives_up = layer(move |next, request| {
        let (arrived, recorder) = (arrived.clone(), recorder.clone());
        async move {
            tokio::select! {
                answer = next.oneshot(request) => panic!("{answer:?}"),
                () = arrived.notified() => {}
            }
            settled(&recorder, 1).await;
            Ok(Response::new("enough".into()))
        }
    });
    let client = ClientBuilder::new(reqwest())
        .with(gives_up)
        .with(LayerMiddleware::new(record))
        .build();
    let response = soon(client.get(server.url("/")).send())
        .await
        .expect("an answer");
    assert_eq!(response.text().await.expect("content"), "enough");
    assert_eq!(memory.exchanges()[0].end(), ExchangeEnd::ClientGone);
}

#[tokio::test]
async fn services_are_made_once() {
    let server = Server::start(origin()).await;
    let made = Arc::new(AtomicUsize::new(0));
    let count = made.clone();
    let middleware = LayerMiddleware::new(layer_fn(move |next: NextService| {
        count.fetch_add(1, Ordering::SeqCst);
        next
    }));
    let clients = [client(middleware.clone()), client(middleware)];
    for client in clients.iter().chain(&clients) {
        let response = soon(client.get(server.url("/json")).send()).await;
        assert_eq!(response.expect("an answer").status(), 200);
    }
    assert_eq!(made.load(Ordering::SeqCst), 1);
}
