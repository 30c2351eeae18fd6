//! Code shared by tests: origins, servers, clients, bodies and stores.
#![allow(
    missing_docs,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::new_without_default
)]

pub mod corpus;
#[cfg(doctest)]
mod guides;
pub mod origins;
pub mod stores;

use std::{
    convert::Infallible,
    error::Error,
    fmt,
    future::{Future, pending, ready},
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::Router;
use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use http::{HeaderMap, Request, Response, StatusCode, Version};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, Full, StreamBody, combinators::BoxBody};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, mpsc},
    task::JoinHandle,
};
use tower::{Service, ServiceExt};
use tower_traffic::{
    BodyEnd, Exchange, HeaderList, RecordTraffic, RecordedBody, RecordedRequest, Recorder,
    record::RecorderStats,
    store::{Memory, Sink, StoreError},
};

pub type BoxError = Box<dyn Error + Send + Sync>;
pub type Body = BoxBody<Bytes, BoxError>;

// ---- bodies

pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed()
}

pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into())
        .map_err(|never| match never {})
        .boxed()
}

/// A body of these frames, without a known length.
pub fn frames(frames: impl IntoIterator<Item = Result<Frame<Bytes>, BoxError>> + 'static) -> Body {
    let frames: Vec<_> = frames.into_iter().collect();
    BodyExt::boxed(SyncBody(Mutex::new(StreamBody::new(
        stream::iter(frames).boxed(),
    ))))
}

pub fn data(bytes: impl Into<Bytes>) -> Result<Frame<Bytes>, BoxError> {
    Ok(Frame::data(bytes.into()))
}

pub fn trailers(fields: HeaderMap) -> Result<Frame<Bytes>, BoxError> {
    Ok(Frame::trailers(fields))
}

pub fn broken(error: &str) -> Result<Frame<Bytes>, BoxError> {
    Err(error.into())
}

/// A body that yields the frames of a sender, and ends when the sender is dropped.
pub fn channel() -> (FrameSender, Body) {
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let frames = stream::poll_fn(move |cx| receiver.poll_recv(cx)).boxed();
    let body = SyncBody(Mutex::new(StreamBody::new(frames)));
    (FrameSender(sender), BodyExt::boxed(body))
}

pub struct FrameSender(mpsc::UnboundedSender<Result<Frame<Bytes>, BoxError>>);

impl FrameSender {
    pub fn data(&self, bytes: impl Into<Bytes>) {
        self.0.send(data(bytes)).expect("the body is read");
    }

    /// Ends the body with an error.
    pub fn fail(&self, error: &str) {
        self.0.send(broken(error)).expect("the body is read");
    }

    /// Waits until the body is dropped.
    pub async fn dropped(&self) {
        self.0.closed().await;
    }
}

type BoxStreamBody =
    StreamBody<futures::stream::BoxStream<'static, Result<Frame<Bytes>, BoxError>>>;

/// A `Sync` wrapper for boxed streams: `BoxBody` requires it.
struct SyncBody(Mutex<BoxStreamBody>);

impl http_body::Body for SyncBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let body = self.0.get_mut().expect("never locked");
        std::pin::Pin::new(body).poll_frame(cx)
    }
}

// ---- messages

pub fn get(uri: impl AsRef<str>) -> Request<Body> {
    request("GET", uri, empty())
}

pub fn post(uri: impl AsRef<str>, content: impl Into<Bytes>) -> Request<Body> {
    request("POST", uri, full(content))
}

pub fn request(method: &str, uri: impl AsRef<str>, body: Body) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(uri.as_ref())
        .body(body)
        .expect("a request")
}

pub fn with<B>(mut request: Request<B>, name: &'static str, value: &str) -> Request<B> {
    let value = value.parse().expect("a header value");
    request.headers_mut().append(name, value);
    request
}

pub fn reply(status: u16, body: Body) -> Response<Body> {
    Response::builder()
        .status(status)
        .body(body)
        .expect("a response")
}

pub fn fields<const N: usize>(fields: [(&'static str, &str); N]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        map.append(name, value.parse().expect("a header value"));
    }
    map
}

/// A recorded exchange of this request and this response.
pub fn exchange(method: &str, uri: &str, content: &str, answer: &str) -> Exchange {
    let request = Request::builder().method(method).uri(uri);
    Exchange::new(
        request.body(content.to_owned()).expect("a request"),
        Response::new(answer.to_owned()),
    )
}

pub fn recorded_get(uri: &str, answer: &str) -> Exchange {
    exchange("GET", uri, "", answer)
}

pub fn with_status(mut exchange: Exchange, status: u16) -> Exchange {
    if let Ok(response) = &mut exchange.response {
        response.status = StatusCode::from_u16(status).expect("a status");
    }
    exchange
}

/// A response with its whole body.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub status: u16,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: Option<HeaderMap>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The headers without those that a server adds, for comparison.
    pub fn fields(&self) -> HeaderList {
        without_server_fields(self.headers.clone())
    }
}

pub fn without_server_fields(mut headers: HeaderMap) -> HeaderList {
    for name in ["date", "content-length", "transfer-encoding", "connection"] {
        headers.remove(name);
    }
    HeaderList::from(&headers)
}

/// Calls a service or a client, and reads the whole response.
pub fn ask<S, B, R>(service: &S, request: Request<B>) -> BoxFuture<'static, Answer>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Error: fmt::Debug + Send,
    S::Future: Send,
    B: Send + 'static,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: fmt::Debug + Send,
{
    let answer = service.clone().oneshot(request);
    soon(answer.then(|response| read(response.expect("an answer")))).boxed()
}

pub fn read<R>(response: Response<R>) -> BoxFuture<'static, Answer>
where
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: fmt::Debug + Send,
{
    let (parts, body) = response.into_parts();
    soon(body.collect())
        .map(move |collected| {
            let collected = collected.expect("a whole body");
            let trailers = collected.trailers().cloned();
            Answer {
                status: parts.status.as_u16(),
                version: parts.version,
                headers: parts.headers,
                body: collected.to_bytes(),
                trailers,
            }
        })
        .boxed()
}

/// Panics unless the future completes within 20 seconds.
pub async fn soon<F: Future>(future: F) -> F::Output {
    // On a thread, because a test may pause or advance tokio's clock.
    let (late, is_late) = tokio::sync::oneshot::channel();
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    std::thread::spawn(move || {
        if is_done.recv_timeout(Duration::from_secs(20))
            == Err(std::sync::mpsc::RecvTimeoutError::Timeout)
        {
            let _ = late.send(());
        }
    });
    let output = tokio::select! {
        output = future => output,
        Ok(()) = is_late => panic!("this hangs"),
    };
    drop(done);
    output
}

// ---- the inner service

type Handler = dyn Fn(Request<Bytes>) -> BoxFuture<'static, Response<Body>> + Send + Sync;

/// A service that reads each request to its end and keeps it.
#[derive(Clone)]
pub struct Origin {
    handler: Arc<Handler>,
    seen: Arc<Mutex<Vec<RecordedRequest>>>,
}

impl Origin {
    pub fn new(handler: impl Fn(Request<Bytes>) -> Response<Body> + Send + Sync + 'static) -> Self {
        Self::waiting(move |request| ready(handler(request)))
    }

    pub fn waiting<F>(handler: impl Fn(Request<Bytes>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Response<Body>> + Send + 'static,
    {
        Self {
            handler: Arc::new(move |request| handler(request).boxed()),
            seen: Arc::default(),
        }
    }

    /// Always responds with this content.
    pub fn saying(text: &'static str) -> Self {
        Self::new(move |_| reply(200, full(text)))
    }

    pub fn seen(&self) -> Vec<RecordedRequest> {
        self.seen.lock().expect("no panic").clone()
    }

    pub fn calls(&self) -> usize {
        self.seen.lock().expect("no panic").len()
    }
}

impl<B> Service<Request<B>> for Origin
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: fmt::Display + Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let this = self.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = read_request(body).await;
            let content = body.to_bytes();
            let mut seen = RecordedRequest::from_parts(&parts);
            seen.body = body;
            this.seen.lock().expect("no panic").push(seen);
            Ok((this.handler)(Request::from_parts(parts, content)).await)
        }
        .boxed()
    }
}

async fn read_request<B>(body: B) -> RecordedBody
where
    B: http_body::Body<Data = Bytes>,
    B::Error: fmt::Display,
{
    let mut body = std::pin::pin!(body);
    let mut content = Vec::new();
    let mut trailers = None;
    let mut end = BodyEnd::Complete;
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => content.extend_from_slice(&data),
            Ok(Err(frame)) => trailers = frame.trailers_ref().map(HeaderList::from),
            Err(error) => {
                // Over HTTP/2 the same error would be returned by every poll.
                end = BodyEnd::Error(error.to_string());
                break;
            }
        }
    }
    let mut seen = RecordedBody::from(content);
    seen.trailers = trailers;
    seen.end = end;
    seen
}

pub fn random_bytes(len: usize) -> Bytes {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
    .take(len)
    .collect()
}

/// An origin with every kind of response.
pub fn all_kinds() -> Origin {
    Origin::new(|request| {
        let mut response = match request.uri().path() {
            // As axum does; over HTTP/2, hyper sends the content of a response to HEAD.
            "/json" if request.method() == "HEAD" => reply(200, empty()),
            "/json" => reply(200, full(r#"{"name":"bob"}"#)),
            "/echo" => reply(201, full(request.body().clone())),
            "/binary" => {
                let bytes = random_bytes(1 << 20);
                let pieces = (0..16).map(move |i| data(bytes.slice(i << 16..(i + 1) << 16)));
                reply(200, frames(pieces))
            }
            "/sse" => reply(200, frames((1..=3).map(|i| data(format!("data: {i}\n\n"))))),
            "/cookies" => reply(200, full("two cookies")),
            "/nothing" => reply(204, empty()),
            "/unmodified" => reply(304, empty()),
            "/trailers" => reply(
                200,
                frames([
                    data("first,"),
                    data("second"),
                    trailers(fields([("x-sum", "12"), ("x-sum", "34")])),
                ]),
            ),
            _ => reply(500, full("broken on purpose")),
        };
        let headers = response.headers_mut();
        if request.method() == "HEAD" {
            headers.extend(fields([("content-length", "14")]));
        }
        match request.uri().path() {
            "/json" => headers.extend(fields([("content-type", "application/json")])),
            "/sse" => headers.extend(fields([("content-type", "text/event-stream")])),
            "/cookies" => {
                headers.extend(fields([("set-cookie", "a=1"), ("x-between", "yes")]));
                headers.append("set-cookie", "b=2; Path=/".parse().expect("a value"));
                let latin = http::HeaderValue::from_bytes(b"caf\xe9").expect("a value");
                headers.append("x-latin", latin);
            }
            "/unmodified" => headers.extend(fields([("etag", "\"1\"")])),
            "/trailers" => headers.extend(fields([("trailer", "x-sum")])),
            _ => {}
        }
        response
    })
}

/// A request for each kind of response; `base` is the origin, or empty.
pub fn all_requests(base: &str) -> Vec<Request<Body>> {
    let at = |path: &str| format!("{base}{path}");
    let mut all = vec![
        with(get(at("/json?a=1&a=2")), "accept", "application/json"),
        with(get(at("/json")), "x-twice", "1"),
        post(at("/echo"), "some content"),
        request(
            "POST",
            at("/echo"),
            frames([data("chunk "), data("by chunk")]),
        ),
        post(at("/echo"), random_bytes(100_000)),
        get(at("/binary")),
        get(at("/sse")),
        get(at("/boom")),
        get(at("/cookies")),
        request("HEAD", at("/json"), empty()),
        get(at("/nothing")),
        get(at("/unmodified")),
        with(get(at("/trailers")), "te", "trailers"),
        request("DELETE", at("/echo"), empty()),
    ];
    let twice = all[1].headers_mut();
    twice.append("x-twice", "2".parse().expect("a value"));
    let latin = http::HeaderValue::from_bytes(b"\xe9t\xe9").expect("a value");
    twice.append("x-latin", latin);
    all
}

// ---- sockets

/// An axum server on a free port, with HTTP/1 and HTTP/2 (prior knowledge).
pub struct Server {
    pub addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    pub async fn start(app: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let addr = listener.local_addr().expect("an address");
        let task = tokio::spawn(async move {
            axum::serve(listener, app).await.expect("a server");
        });
        Self { addr, task }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.addr)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub type HttpClient<B = Body> = Client<HttpConnector, B>;

pub fn http1<B>() -> HttpClient<B>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    Client::builder(TokioExecutor::new()).build_http()
}

pub fn http2<B>() -> HttpClient<B>
where
    B: http_body::Body<Data = Bytes> + Send,
{
    Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http()
}

// ---- stores

/// A sink that calls a function.
pub struct SinkFn<F>(pub F);

impl<F> Sink for SinkFn<F>
where
    F: Fn(Vec<Arc<Exchange>>) -> BoxFuture<'static, Result<(), StoreError>> + Send + Sync + 'static,
{
    fn store(&self, exchanges: Vec<Arc<Exchange>>) -> BoxFuture<'_, Result<(), StoreError>> {
        (self.0)(exchanges)
    }
}

pub fn failing() -> impl Sink {
    SinkFn(|_| ready(Err(StoreError::other("disk on fire"))).boxed())
}

pub fn hanging() -> impl Sink {
    SinkFn(|_| pending().boxed())
}

pub fn panicking() -> impl Sink {
    SinkFn(|_| panic!("a store's own bug"))
}

pub fn slow(memory: &Memory) -> impl Sink + use<> {
    let memory = memory.clone();
    SinkFn(move |exchanges: Vec<Arc<Exchange>>| {
        let memory = memory.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            memory.store(exchanges).await
        }
        .boxed()
    })
}

/// A sink that stores one batch into `memory` for each permit of `gate`.
pub fn gated(memory: &Memory, gate: &Arc<Semaphore>) -> impl Sink + use<> {
    let (memory, gate) = (memory.clone(), gate.clone());
    SinkFn(move |exchanges: Vec<Arc<Exchange>>| {
        let (memory, gate) = (memory.clone(), gate.clone());
        async move {
            gate.acquire().await.expect("an open gate").forget();
            memory.store(exchanges).await
        }
        .boxed()
    })
}

/// A sink that counts exchanges and discards them.
pub fn counting(count: &Arc<AtomicUsize>) -> impl Sink + use<> {
    let count = count.clone();
    SinkFn(move |exchanges: Vec<Arc<Exchange>>| {
        count.fetch_add(exchanges.len(), Ordering::Relaxed);
        ready(Ok(())).boxed()
    })
}

/// A layer that records into memory, and the memory.
pub struct Recording {
    pub memory: Memory,
    layer: RecordTraffic,
}

impl Recording {
    pub fn layer(&self) -> RecordTraffic {
        self.layer.clone()
    }
}

impl Default for Recording {
    fn default() -> Self {
        let memory = Memory::new();
        let layer = RecordTraffic::memory(&memory);
        Self { memory, layer }
    }
}

/// Waits until `served` exchanges have ended and are settled.
pub async fn settled(recorder: &Recorder, served: u64) -> RecorderStats {
    soon(async {
        loop {
            let stats = recorder.flush().await;
            if stats.served >= served && stats.queued == 0 {
                return stats;
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

pub fn assert_adds_up(stats: &RecorderStats) {
    assert_eq!(
        stats.served,
        stats.stored + stats.dropped.total() + stats.queued,
        "{stats:?}"
    );
}

// ---- output

/// A writer that keeps each write.
#[derive(Clone, Default)]
pub struct Paper(pub Arc<Mutex<Vec<Vec<u8>>>>);

impl io::Write for Paper {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").push(text.to_vec());
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Paper {
    pub fn bytes(&self) -> Vec<u8> {
        self.0.lock().expect("no panic").concat()
    }

    /// The output without timestamps.
    pub fn text(&self) -> String {
        let text = String::from_utf8(self.bytes()).expect("UTF-8");
        let lines = text.split_inclusive('\n').map(|line| {
            let is_first = line.starts_with(|c: char| c.is_ascii_digit());
            if is_first { &line[25..] } else { line }
        });
        lines.collect()
    }

    /// The blocks of the output, one for each message.
    pub fn blocks(&self) -> Vec<String> {
        let mut blocks: Vec<String> = Vec::new();
        for line in self.text().split_inclusive('\n') {
            if line.starts_with(['#', '!']) {
                blocks.push(String::new());
            }
            blocks.last_mut().expect("a first line").push_str(line);
        }
        blocks
    }
}
