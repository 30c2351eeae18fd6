//! The layers around HTTP clients: hyper-util's client, and reqwest's through `ReqwestService` and
//! `LayerMiddleware`, over HTTP/1 and HTTP/2.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, routing};
use bytes::Bytes;
use futures::future::join_all;
use http::{Request, Response, Version};
use http_body_util::BodyExt;
use reqwest_middleware::ClientBuilder;
use support::{
    Body, BoxError, Origin, Paper, Server, all_kinds, all_requests, ask, channel, full, get, http1,
    http2, random_bytes, reply, request, settled, soon,
};
use tokio::sync::mpsc;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn, util::BoxCloneService};
use tower_traffic::{
    DebugDump, ExchangeEnd, HeaderList, OnMiss, RecordTraffic, RecordedRequest, Redact,
    ReplayCache, ReplayStream, ReportLatency,
    clients::{LayerMiddleware, ReqwestService},
    store::Memory,
};

type Client = BoxCloneService<Request<Body>, Response<Body>, BoxError>;

/// Wraps each client in the layer.
macro_rules! around_each {
    ($layer:expr) => {{
        let layer = $layer;
        let [reqwest1, reqwest2] = reqwests();
        let adapter = ReqwestService::new;
        let middleware = || LayerMiddleware::new(layer.clone());
        [
            (
                "hyper 1",
                Version::HTTP_11,
                boxed(Layer::layer(&layer, http1())),
            ),
            (
                "hyper 2",
                Version::HTTP_2,
                boxed(Layer::layer(&layer, http2())),
            ),
            (
                "service 1",
                Version::HTTP_11,
                boxed(Layer::layer(&layer, adapter(reqwest1.clone()))),
            ),
            (
                "service 2",
                Version::HTTP_2,
                boxed(Layer::layer(&layer, adapter(reqwest2.clone()))),
            ),
            (
                "middleware 1",
                Version::HTTP_11,
                with(middleware(), reqwest1),
            ),
            (
                "middleware 2",
                Version::HTTP_2,
                with(middleware(), reqwest2),
            ),
        ]
    }};
}

fn reqwests() -> [reqwest::Client; 2] {
    let builder = || reqwest::Client::builder().no_proxy();
    let http2 = builder().http2_prior_knowledge();
    [builder(), http2].map(|builder| builder.build().expect("a client"))
}

fn boxed<S, R>(service: S) -> Client
where
    S: Service<Request<Body>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: Into<BoxError>,
    S::Future: Send,
    R: http_body::Body<Data = Bytes> + Send + Sync + 'static,
    R::Error: Into<BoxError>,
{
    service
        .map_response(|response: Response<R>| response.map(|body| body.map_err(Into::into).boxed()))
        .map_err(Into::into)
        .boxed_clone()
}

/// Sends requests through `LayerMiddleware`, like `client.get(..).send()`.
fn with(middleware: LayerMiddleware, client: reqwest::Client) -> Client {
    let client = ClientBuilder::new(client).with(middleware).build();
    boxed(service_fn(move |request: Request<Body>| {
        let client = client.clone();
        async move {
            let request = request.map(reqwest::Body::wrap).try_into()?;
            let response = client.execute(request).await?;
            Ok::<_, BoxError>(Response::<reqwest::Body>::from(response))
        }
    }))
}

fn recording() -> (RecordTraffic, Memory) {
    let memory = Memory::new();
    let record = RecordTraffic::new(memory.clone()).redact(Redact::none());
    (record, memory)
}

/// Recordings around a client are exact: request and response heads, content and trailers.
#[tokio::test]
async fn every_exchange_is_recorded_exactly() {
    let (record, memory) = recording();
    for (client_name, version, client) in around_each!(record.clone()) {
        memory.clear();
        let origin = all_kinds();
        let server = Server::start(Router::new().fallback_service(origin.clone())).await;
        let mut answers = Vec::new();
        for request in all_requests(&server.url("")) {
            answers.push(ask(&client, request).await);
        }
        record.recorder().flush().await;

        let exchanges = memory.exchanges();
        assert_eq!(exchanges.len(), answers.len(), "{client_name}");
        let sent = all_requests(&server.url(""));
        for (((exchange, sent), seen), answer) in
            exchanges.iter().zip(sent).zip(origin.seen()).zip(answers)
        {
            let what = format!("{client_name}: {} {}", sent.method(), sent.uri());
            assert_eq!(exchange.end(), ExchangeEnd::Complete, "{what}");
            let head = RecordedRequest::from_parts(&sent.into_parts().0);
            assert_eq!(exchange.request.method, head.method, "{what}");
            assert_eq!(exchange.request.uri, head.uri, "{what}");
            assert_eq!(exchange.request.headers, head.headers, "{what}");
            assert_eq!(exchange.request.body, seen.body, "{what}");

            let response = exchange.response.as_ref().expect("a response");
            assert_eq!(answer.version, version, "{what}");
            assert_eq!(response.version, version, "{what}");
            assert_eq!(response.status, answer.status, "{what}");
            assert_eq!(
                response.headers,
                HeaderList::from(&answer.headers),
                "{what}"
            );
            assert_eq!(response.body.to_bytes(), answer.body, "{what}");
            assert_eq!(
                response.body.trailers.as_ref().map(HeaderList::to_map),
                answer.trailers,
                "{what}"
            );
            assert_eq!(
                answer.trailers.is_some(),
                seen.uri.path() == "/trailers",
                "{what}"
            );
        }
    }
}

/// A recording made around a client replays around that client after the origin stops.
#[tokio::test]
async fn a_recording_answers_instead_of_the_origin() {
    let (record, memory) = recording();
    let replays = ReplayCache::memory(&memory).on_miss(OnMiss::Refuse);
    let recorders = around_each!(record.clone());
    let caches = around_each!(replays);
    for ((name, _, recorder), (_, _, cache)) in recorders.into_iter().zip(caches) {
        memory.clear();
        let origin = all_kinds();
        let server = Server::start(Router::new().fallback_service(origin.clone())).await;
        let mut answers = Vec::new();
        for request in all_requests(&server.url("")) {
            answers.push(ask(&recorder, request).await);
        }
        record.recorder().flush().await;
        let calls = origin.calls();

        for (request, answer) in all_requests(&server.url("")).into_iter().zip(&answers) {
            let what = format!("{name}, cache: {} {}", request.method(), request.uri());
            assert_eq!(ask(&cache, request).await, *answer, "{what}");
        }
        let stream = ReplayStream::memory(&memory);
        let [(_, _, stream), ..] = around_each!(stream);
        for (request, answer) in all_requests(&server.url("")).into_iter().zip(&answers) {
            let what = format!("{name}, stream: {} {}", request.method(), request.uri());
            assert_eq!(ask(&stream, request).await, *answer, "{what}");
        }
        assert_eq!(origin.calls(), calls, "{name}");
    }
}

#[tokio::test]
async fn a_recorded_stream_answers_each_client_in_order() {
    let nobody = "http://127.0.0.1:1/";
    for kind in 0..6 {
        let memory = Memory::from_iter([
            support::recorded_get(nobody, "first"),
            support::recorded_get(nobody, "second"),
        ]);
        let (name, _, client) = around_each!(ReplayStream::memory(&memory))
            .into_iter()
            .nth(kind)
            .expect("six clients");
        assert_eq!(ask(&client, get(nobody)).await.text(), "first", "{name}");
        assert_eq!(ask(&client, get(nobody)).await.text(), "second", "{name}");
        assert_eq!(ask(&client, get(nobody)).await.status, 400, "{name}");
    }
}

/// A miss is fetched through the client once; the recording answers later requests.
#[tokio::test]
async fn a_cache_fetches_each_response_once() {
    let memory = Memory::new();
    let cache = ReplayCache::memory(&memory).on_miss(OnMiss::Record);
    for (name, _, client) in around_each!(cache) {
        memory.clear();
        let origin = Origin::new(|request| reply(200, full(request.into_body())));
        let server = Server::start(Router::new().fallback_service(origin.clone())).await;
        let content = random_bytes(100_000);
        for _ in 0..3 {
            let request = support::post(server.url("/"), content.clone());
            assert_eq!(ask(&client, request).await.body, content, "{name}");
            settled_with(&memory, 1).await;
        }
        assert_eq!(origin.calls(), 1, "{name}");
    }
}

async fn settled_with(memory: &Memory, len: usize) {
    soon(async {
        while memory.len() < len {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Events reach the caller one by one, and the recording notes a caller that drops the body.
#[tokio::test]
async fn responses_stream() {
    let (record, memory) = recording();
    for (served, (name, _, client)) in (1..).zip(around_each!(record.clone())) {
        let (sender, body) = channel();
        let body = Mutex::new(Some(body));
        let origin = Origin::new(move |_| {
            let body = body.lock().expect("no panic").take();
            reply(200, body.expect("one request"))
        });
        let server = Server::start(Router::new().fallback_service(origin)).await;
        let response = soon(client.oneshot(get(server.url("/sse")))).await;
        let mut events = response.expect("an answer").into_body();
        for event in ["data: 1\n\n", "data: 2\n\n"] {
            sender.data(event);
            let frame = soon(events.frame()).await.expect("a frame");
            assert_eq!(
                frame.expect("a frame").into_data().expect("data"),
                event,
                "{name}"
            );
        }
        drop(events);
        // The origin's body is dropped too.
        soon(sender.dropped()).await;
        settled(&record.recorder(), served).await;
        let exchange = memory.exchanges().pop().expect("an exchange");
        assert_eq!(exchange.end(), ExchangeEnd::ClientGone, "{name}");
        let response = exchange.response.as_ref().expect("a response");
        assert_eq!(response.body.to_bytes(), "data: 1\n\ndata: 2\n\n", "{name}");
    }
}

/// A frame of a request reaches the origin before the next frame is sent.
#[tokio::test]
async fn requests_stream() {
    let (record, _) = recording();
    for (name, _, client) in around_each!(record) {
        let (arrived, mut arrivals) = mpsc::unbounded_channel();
        let handler = move |body: axum::body::Body| async move {
            let mut frames = body.into_data_stream();
            while let Some(Ok(data)) = futures::StreamExt::next(&mut frames).await {
                arrived.send(data).expect("the test is there");
            }
        };
        let server = Server::start(Router::new().route("/", routing::post(handler))).await;
        let (sender, body) = channel();
        let answer = tokio::spawn(ask(&client, request("POST", server.url("/"), body)));
        for piece in ["one", "two", "three"] {
            sender.data(piece);
            assert_eq!(
                soon(arrivals.recv()).await.expect("a frame"),
                piece,
                "{name}"
            );
        }
        drop(sender);
        assert_eq!(answer.await.expect("no panic").status, 200, "{name}");
    }
}

/// A concurrency limit covers all requests of a client, on either side of a recorder.
#[tokio::test]
async fn a_concurrency_limit_holds() {
    let (record, _) = recording();
    let outside = ServiceBuilder::new()
        .concurrency_limit(1)
        .layer(record.clone());
    let inside = ServiceBuilder::new()
        .layer(record.clone())
        .concurrency_limit(1);
    let all = around_each!(outside)
        .into_iter()
        .chain(around_each!(inside));
    for (name, _, client) in all {
        let busy = Arc::new(AtomicUsize::new(0));
        let most = Arc::new(AtomicUsize::new(0));
        let counts = (busy, most.clone());
        let origin = Origin::waiting(move |_| {
            let (busy, most) = counts.clone();
            async move {
                most.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                busy.fetch_sub(1, Ordering::SeqCst);
                reply(200, full("done"))
            }
        });
        let server = Server::start(Router::new().fallback_service(origin)).await;
        let answers = join_all((0..8).map(|_| ask(&client, get(server.url("/"))))).await;
        assert!(
            answers.iter().all(|answer| answer.text() == "done"),
            "{name}"
        );
        assert_eq!(most.load(Ordering::SeqCst), 1, "{name}");
    }
}

/// Failed calls and broken responses are recorded, and reach the caller as errors.
#[tokio::test]
async fn failures_are_recorded() {
    let (record, memory) = recording();
    for (served, (name, _, client)) in (1..).step_by(2).zip(around_each!(record.clone())) {
        // Connections to a released port are refused.
        let nobody = Server::start(Router::new()).await;
        let url = nobody.url("/");
        drop(nobody);
        tokio::task::yield_now().await;
        let failed = soon(client.clone().oneshot(get(url))).await;
        let error = failed.expect_err("nobody answers").to_string();
        settled(&record.recorder(), served).await;
        let exchange = memory.exchanges().pop().expect("an exchange");
        assert_eq!(exchange.end(), ExchangeEnd::Error(error), "{name}");

        let broken = service_fn(|_: Request<axum::body::Body>| async {
            let frames = [Ok("the beginning"), Err("broken")];
            let frames = futures::stream::iter(frames);
            // The head may or may not be sent before the body fails.
            let body = axum::body::Body::from_stream(frames);
            Ok::<_, Infallible>(Response::new(body))
        });
        let server = Server::start(Router::new().fallback_service(broken)).await;
        if let Ok(response) = soon(client.oneshot(get(server.url("/")))).await {
            soon(response.into_body().collect())
                .await
                .expect_err("broken");
        }
        settled(&record.recorder(), served + 1).await;
        let exchange = memory.exchanges().pop().expect("an exchange");
        assert!(
            matches!(exchange.end(), ExchangeEnd::Error(_)),
            "{name}: {exchange:?}"
        );
    }
}

/// `ReportLatency` and `DebugDump` see the same exchanges around each client.
#[tokio::test]
async fn every_exchange_is_reported_and_printed() {
    let server = Server::start(Router::new().fallback_service(Origin::saying("hello"))).await;
    let labels = Arc::new(Mutex::new(Vec::new()));
    let reported = labels.clone();
    let report = ReportLatency::labels(move |label, latency| {
        let (host, _) = latency.server().expect("a server");
        let line = format!("{label} {host} {}", latency.is_client());
        reported.lock().expect("no panic").push(line);
    })
    .client(true);
    let paper = Paper::default();
    let dump = DebugDump::new(paper.clone());
    let layer = ServiceBuilder::new().layer(dump.clone()).layer(report);
    for (client_name, _, client) in around_each!(layer) {
        let url = server.url("/users/1?token=secret");
        assert_eq!(ask(&client, get(&url)).await.text(), "hello");
        dump.printer().flush().await;
        let text = paper.text();
        paper.0.lock().expect("no panic").clear();
        let line = format!("> GET {} HTTP/", url.replace("secret", "REDACTED"));
        assert!(text.contains(&line), "{client_name}: {text}");
        assert!(text.contains("    hello\n"), "{client_name}: {text}");
        let labels = std::mem::take(&mut *labels.lock().expect("no panic"));
        let expected = ["GET.users_1.2xx.200 127.0.0.1 true"];
        assert_eq!(labels, expected, "{client_name}");
    }
}
