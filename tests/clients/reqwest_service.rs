//! `ReqwestService`: same requests and responses as reqwest.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    Router,
    extract::{Request as AxumRequest, WebSocketUpgrade, ws::Message},
    response::Redirect,
    routing,
};
use bytes::Bytes;
use http::{HeaderMap, Request, Version};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use support::{
    Body, BoxError, Origin, Server, ask, broken, data, empty, fields, frames, full, get, post,
    read, reply, request, settled, soon, trailers, with,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
};
use tower::{Layer, ServiceExt};
use tower_traffic::{
    BodyEnd, ExchangeEnd, OnMiss, RecordTraffic, ReplayCache, ReplayStream,
    clients::ReqwestService, store::Memory,
};

fn reqwest() -> reqwest::Client {
    build(reqwest::Client::builder())
}

fn build(builder: reqwest::ClientBuilder) -> reqwest::Client {
    builder.no_proxy().build().expect("a client")
}

fn service() -> ReqwestService {
    ReqwestService::from(reqwest())
}

fn recording() -> (RecordTraffic, Memory) {
    let memory = Memory::new();
    (RecordTraffic::new(memory.clone()), memory)
}

// ---- requests on the wire

/// Starts a server that answers one request and returns the request's text.
async fn wire_tap() -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!(
        "http://{}/path?q",
        listener.local_addr().expect("an address")
    );
    let task = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.expect("a client");
        let mut seen = Vec::new();
        while !is_whole(&String::from_utf8_lossy(&seen)) {
            let read = soon(socket.read_buf(&mut seen)).await.expect("a request");
            assert_ne!(read, 0, "{}", seen.escape_ascii());
        }
        let answer = b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
        socket.write_all(answer).await.expect("answered");
        String::from_utf8(seen).expect("text")
    });
    (url, task)
}

fn is_whole(request: &str) -> bool {
    let Some((head, content)) = request.split_once("\r\n\r\n") else {
        return false;
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    match length {
        Some(length) => content.len() >= length.parse().expect("a number"),
        None => {
            !head.contains("chunked") || content.contains("0\r\n") && content.ends_with("\r\n\r\n")
        }
    }
}

/// Removes the `host` line, whose port differs in each run.
fn without_host(request: &str) -> String {
    let lines = request.split_inclusive("\r\n");
    lines.filter(|line| !line.starts_with("host: ")).collect()
}

/// Returns the request text on the wire, sent through the service and a recorder.
async fn on_the_wire(make: impl Fn(String) -> Request<Body>) -> String {
    let (url, tap) = wire_tap().await;
    let service = recording().0.layer(service());
    ask(&service, make(url)).await;
    without_host(&tap.await.expect("a request"))
}

#[tokio::test]
async fn the_request_on_the_wire_equals_that_of_reqwest() {
    type Build = fn(reqwest::RequestBuilder) -> reqwest::RequestBuilder;
    type Case = (&'static str, fn() -> Body, Build);
    let cases: [Case; 5] = [
        ("GET", empty, |request| request),
        ("POST", empty, |request| request),
        ("DELETE", empty, |request| request),
        (
            "POST",
            || full("content"),
            |request| request.body("content"),
        ),
        (
            "PUT",
            || frames([data("in "), data("pieces")]),
            |request| {
                let pieces = futures::stream::iter([Ok::<_, std::io::Error>("in "), Ok("pieces")]);
                request.body(reqwest::Body::wrap_stream(pieces))
            },
        ),
    ];
    for (method, body, build) in cases {
        let ours = on_the_wire(|url| with(request(method, url, body()), "x-one", "1")).await;

        let (url, tap) = wire_tap().await;
        let request = reqwest().request(method.parse().expect("a method"), url);
        let answer = build(request.header("x-one", "1")).send().await;
        assert_eq!(answer.expect("an answer").status(), 204);
        assert_eq!(ours, without_host(&tap.await.expect("a request")));
    }
}

#[tokio::test]
async fn the_length_is_neither_lost_nor_invented() {
    let get = on_the_wire(get).await;
    assert!(
        !get.contains("content-length") && !get.contains("transfer-encoding"),
        "{get}"
    );

    let known = on_the_wire(|url| post(url, "content")).await;
    assert!(known.contains("content-length: 7\r\n"), "{known}");
    assert!(!known.contains("transfer-encoding"), "{known}");

    // A body of known length that arrives in pieces.
    let pieces = on_the_wire(|url| request("POST", url, in_pieces([Ok("con"), Ok("tent")]))).await;
    assert!(pieces.contains("content-length: 7\r\n"), "{pieces}");
    assert!(pieces.ends_with("\r\n\r\ncontent"), "{pieces}");

    let unknown = on_the_wire(|url| request("POST", url, frames([data("content")]))).await;
    assert!(
        unknown.contains("transfer-encoding: chunked\r\n"),
        "{unknown}"
    );
    assert!(
        unknown.ends_with("\r\n\r\n7\r\ncontent\r\n0\r\n\r\n"),
        "{unknown}"
    );
}

/// Returns a body of several frames with an exact size hint.
fn in_pieces<const N: usize>(pieces: [Result<&'static str, &'static str>; N]) -> Body {
    Pieces(pieces.into()).boxed()
}

struct Pieces(VecDeque<Result<&'static str, &'static str>>);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let piece = self.0.pop_front();
        Poll::Ready(piece.map(|piece| piece.map_or_else(broken, data)))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        let len = |piece: &Result<&str, &str>| piece.map_or(1, str::len);
        let len: usize = self.0.iter().map(len).sum();
        SizeHint::with_exact(len as u64)
    }
}

#[tokio::test]
async fn trailers_of_a_request_are_sent() {
    let make = |url: String| {
        let body = frames([data("content"), trailers(fields([("x-sum", "1")]))]);
        with(request("POST", url, body), "trailer", "x-sum")
    };
    let sent = on_the_wire(make).await;
    assert!(
        sent.ends_with("7\r\ncontent\r\n0\r\nx-sum: 1\r\n\r\n"),
        "{sent}"
    );
}

#[tokio::test]
async fn user_and_password_become_authorization() {
    let with_user = |url: String| url.replace("http://", "http://us%40er:pass@");
    // `us@er:pass` in Base64.
    let basic = "authorization: Basic dXNAZXI6cGFzcw==\r\n";
    let sent = on_the_wire(|url| get(with_user(url))).await;
    assert!(sent.contains(basic), "{sent}");

    let sent = on_the_wire(|url| with(get(with_user(url)), "authorization", "Bearer t")).await;
    assert!(
        sent.contains("authorization: Bearer t\r\n") && !sent.contains("Basic"),
        "{sent}"
    );
}

// ---- unsendable requests

#[tokio::test]
async fn a_uri_that_is_not_absolute_is_an_error() {
    for uri in ["/path", "*", "example.com:80", "ftp://127.0.0.1/"] {
        let request = Request::builder()
            .uri(uri)
            .body(empty())
            .expect("a request");
        let error = soon(service().oneshot(request))
            .await
            .expect_err("no place to go");
        assert!(error.is_builder(), "{uri}: {error}");
    }
}

#[tokio::test]
async fn a_version_is_required() {
    let server = Server::start(Router::new()).await;
    let mut request = get(server.url("/"));
    *request.version_mut() = Version::HTTP_2;
    let error = soon(service().oneshot(request)).await.expect_err("HTTP/1");
    assert!(error.is_request(), "{error}");
}

#[tokio::test]
async fn a_request_body_that_breaks_off_fails_the_call() {
    let early = frames([broken("torn")]);
    let late = frames([data("beginning"), broken("torn")]);
    let known = in_pieces([Err("torn")]);
    for body in [early, late, known] {
        let (record, memory) = recording();
        let server = Server::start(Router::new().fallback_service(Origin::saying("ok"))).await;
        let service = record.layer(service());
        let request = request("POST", server.url("/"), body);
        let error = soon(service.oneshot(request)).await.expect_err("torn");
        assert!(error.is_request(), "{error}");
        settled(&record.recorder(), 1).await;
        let end = memory.exchanges()[0].request.body.end.clone();
        assert_eq!(end, BodyEnd::Error("torn".to_owned()));
    }
}

#[tokio::test]
async fn errors_of_reqwest_are_returned_and_recorded() {
    let (record, memory) = recording();
    let origin = Origin::waiting(|_| std::future::pending());
    let server = Server::start(Router::new().fallback_service(origin)).await;
    let timeout = Duration::from_millis(50);
    let impatient = build(reqwest::Client::builder().timeout(timeout));
    let service = record.layer(ReqwestService::new(impatient));
    let error = soon(service.oneshot(get(server.url("/"))))
        .await
        .expect_err("too slow");
    assert!(error.is_timeout(), "{error}");
    settled(&record.recorder(), 1).await;
    let ended = memory.exchanges()[0].end();
    assert_eq!(ended, ExchangeEnd::Error(error.to_string()));
}

// ---- responses

fn redirecting() -> Router {
    Router::new()
        .route(
            "/moved",
            routing::any(async || Redirect::temporary("/echo")),
        )
        .route(
            "/echo",
            routing::any(async |request: AxumRequest| request.into_body()),
        )
}

#[tokio::test]
async fn an_answer_from_a_recording_has_the_url_of_the_request() {
    let server = Server::start(redirecting()).await;
    let memory = Memory::new();
    let cache = ReplayCache::memory(&memory).on_miss(OnMiss::Record);
    let url = server.url("/echo?a=b");
    for _ in 0..2 {
        let response = soon(cache.layer(service()).oneshot(post(&url, "content"))).await;
        let response = response.expect("an answer").map(reqwest::Body::wrap);
        let response = reqwest::Response::from(response);
        assert_eq!(response.url().as_str(), url);
        assert_eq!(response.text().await.expect("content"), "content");
        cache.recorder().flush().await;
    }
    let refusing = ReplayCache::memory(&memory);
    let other = server.url("/other");
    let response = soon(refusing.layer(service()).oneshot(get(&other))).await;
    let response = reqwest::Response::from(response.expect("an answer").map(reqwest::Body::wrap));
    assert_eq!(response.url().as_str(), other);
    let replay = ReplayStream::memory(&memory).layer(service());
    let response = soon(replay.oneshot(post(&url, "content"))).await;
    let response = reqwest::Response::from(response.expect("an answer").map(reqwest::Body::wrap));
    assert_eq!(response.url().as_str(), url);
}

/// reqwest follows redirects below the layers: the recording holds one exchange, with the first
/// request and the last response.
#[tokio::test]
async fn redirects_are_followed_by_reqwest() {
    let (record, memory) = recording();
    let server = Server::start(redirecting()).await;
    let service = record.layer(service());
    let response = soon(service.oneshot(post(server.url("/moved"), "content"))).await;
    let response = response.expect("an answer").map(reqwest::Body::wrap);
    let response = reqwest::Response::from(response);
    assert_eq!(response.url().as_str(), server.url("/echo"));
    assert_eq!(response.text().await.expect("content"), "content");

    settled(&record.recorder(), 1).await;
    let exchange = &memory.exchanges()[0];
    assert_eq!(exchange.request.uri, *server.url("/moved"));
    let answer = exchange.response.as_ref().expect("a response");
    assert_eq!(
        (answer.status.as_u16(), answer.body.to_bytes()),
        (200, "content".into())
    );
}

/// A streamed body cannot be sent twice; reqwest behaves the same way.
#[tokio::test]
async fn a_stream_is_not_redirected() {
    let server = Server::start(redirecting()).await;
    let body = frames([data("content")]);
    let answer = ask(&service(), request("POST", server.url("/moved"), body)).await;
    assert_eq!(answer.status, 307);
}

#[tokio::test]
async fn trailers_of_a_response_are_returned() {
    let sent = fields([("x-sum", "1")]);
    let trailer = sent.clone();
    let origin =
        Origin::new(move |_| reply(200, frames([data("content"), trailers(trailer.clone())])));
    let server = Server::start(Router::new().fallback_service(origin)).await;
    let client = build(reqwest::Client::builder().http2_prior_knowledge());
    let answer = ask(&ReqwestService::new(client), get(server.url("/"))).await;
    assert_eq!(answer.trailers, Some(sent));
}

#[tokio::test]
async fn any_body_type_is_accepted() {
    let origin = Origin::new(|request| reply(200, full(request.into_body())));
    let server = Server::start(Router::new().fallback_service(origin)).await;
    // This body is not `Sync`.
    let pieces = futures::stream::iter(["a ", "stream"].map(Ok::<_, std::io::Error>));
    let request = Request::post(server.url("/")).body(axum::body::Body::from_stream(pieces));
    let answer = soon(service().oneshot(request.expect("a request"))).await;
    assert_eq!(read(answer.expect("an answer")).await.text(), "a stream");

    let request = Request::get(server.url("/")).body(String::new());
    let answer = soon(service().oneshot(request.expect("a request"))).await;
    assert_eq!(read(answer.expect("an answer")).await.text(), "");
}

#[tokio::test]
async fn a_proxy_ends_in_reqwest() {
    let origin = Server::start(redirecting()).await;
    let at = origin.url("/echo");
    let aim = move |mut request: AxumRequest| {
        *request.uri_mut() = at.parse().expect("a URI");
        request.headers_mut().remove("host");
        request
    };
    let proxy = service()
        .map_request(aim)
        .map_err(|error| -> std::convert::Infallible {
            panic!("{error}");
        });
    let server = Server::start(Router::new().fallback_service(proxy)).await;
    let answer = ask(&support::http1(), post(server.url("/"), "through")).await;
    assert_eq!(answer.text(), "through");
}

#[tokio::test]
async fn connections_are_upgraded() {
    let (record, _) = recording();
    let server = Server::start(Router::new().route("/", routing::any(echo))).await;
    let mut request = get(server.url("/"));
    request.headers_mut().extend(handshake());
    let response = soon(record.layer(service()).oneshot(request)).await;
    let response = response.expect("an answer");
    assert_eq!(response.status(), 101);
    let upgraded = soon(hyper::upgrade::on(response)).await.expect("upgraded");
    let mut socket = TokioIo::new(upgraded);
    socket.write_all(b"\x81\x82\0\0\0\0hi").await.expect("sent");
    let mut answer = [0; 4];
    soon(socket.read_exact(&mut answer))
        .await
        .expect("an answer");
    assert_eq!(&answer, b"\x81\x02hi");
}

async fn echo(upgrade: WebSocketUpgrade) -> axum::response::Response {
    upgrade.on_upgrade(async |mut socket| {
        while let Some(Ok(Message::Text(text))) = socket.recv().await {
            let _ = socket.send(Message::Text(text)).await;
        }
    })
}

fn handshake() -> HeaderMap {
    fields([
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ])
}
