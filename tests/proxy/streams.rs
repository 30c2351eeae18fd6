//! Bodies through a proxy: streaming in both directions, trailers, interrupted bodies, backpressure
//! and recording.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body as AxumBody, routing::any};
use bytes::Bytes;
use http::{Request, Version};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use support::origins::{Raw, ask_as, http1_to, http2_to, proxy, send, talk, values};
use support::{
    Answer, Origin, Server, all_kinds, all_requests, ask, channel, data, empty, fields, frames,
    full, get, http1, post, reply, request, settled, soon, trailers, with,
};
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::mpsc, time::sleep};
use tower_traffic::{Forward, OnMiss, ProxyHost, RecordTraffic, ReplayCache, store::Memory};

const VERSIONS: [Version; 2] = [Version::HTTP_11, Version::HTTP_2];

/// HTTP/1 and HTTP/2 to the origin.
fn forwards() -> [Forward; 2] {
    [Forward::new(), Forward::new().http2_only(true)]
}

/// The next data of a body that is not empty.
async fn next(body: &mut Incoming) -> Option<Bytes> {
    loop {
        let frame = soon(body.frame()).await?.expect("a frame");
        match frame.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) => return Some(data),
            Err(_) => return None,
        }
    }
}

// ---- streaming

#[tokio::test]
async fn events_arrive_when_they_are_sent() {
    for forward in forwards() {
        for version in VERSIONS {
            let (senders, mut bodies) = mpsc::unbounded_channel();
            let origin = Server::start(Router::new().fallback_service(Origin::new(move |_| {
                let (sender, body) = channel();
                senders.send(sender).expect("a test");
                let mut response = reply(200, body);
                let events = fields([("content-type", "text/event-stream")]);
                response.headers_mut().extend(events);
                response
            })))
            .await;
            let proxy = proxy(ProxyHost::http(), forward.clone()).await;
            // The response head arrives before any event.
            let response = send(proxy.addr, version, get(origin.url("/"))).await;
            assert_eq!(response.headers()["content-type"], "text/event-stream");
            let sender = bodies.recv().await.expect("a sender");
            let mut body = response.into_body();
            for i in 0..5 {
                let event = format!("data: {i}\n\n");
                sender.data(event.clone());
                assert_eq!(next(&mut body).await.as_deref(), Some(event.as_bytes()));
            }
            drop(sender);
            assert_eq!(next(&mut body).await, None);
        }
    }
}

#[tokio::test]
async fn pieces_of_an_upload_arrive_when_they_are_sent() {
    // Echoes the body while it is received.
    let echo = Router::new().fallback(any(async |request: Request<AxumBody>| request.into_body()));
    let origin = Server::start(echo).await;
    for forward in forwards() {
        for version in VERSIONS {
            let proxy = proxy(ProxyHost::http(), forward.clone()).await;
            let (sender, body) = channel();
            let upload = request("POST", origin.url("/"), body);
            let mut echoed = send(proxy.addr, version, upload).await.into_body();
            for piece in ["one", "two", "three"] {
                sender.data(piece);
                assert_eq!(next(&mut echoed).await.as_deref(), Some(piece.as_bytes()));
            }
            drop(sender);
            assert_eq!(next(&mut echoed).await, None);
        }
    }
}

#[tokio::test]
async fn trailers_pass_both_ways() {
    let origin = Origin::new(|_| {
        let sums = fields([("grpc-status", "0"), ("x-sum", "12"), ("x-sum", "34")]);
        let mut response = reply(200, frames([data("content"), trailers(sums)]));
        let announced = fields([("trailer", "grpc-status, x-sum")]);
        response.headers_mut().extend(announced);
        response
    });
    let server = Server::start(Router::new().fallback_service(origin.clone())).await;
    for forward in forwards() {
        for version in VERSIONS {
            let proxy = proxy(ProxyHost::http(), forward.clone()).await;
            let sent = trailers(fields([("x-check", "1"), ("x-check", "2")]));
            let mut ask = request("POST", server.url("/"), frames([data("content"), sent]));
            ask.headers_mut()
                .extend(fields([("te", "trailers"), ("trailer", "x-check")]));
            let answer = ask_as(proxy.addr, version, ask).await;
            let expected = fields([("grpc-status", "0"), ("x-sum", "12"), ("x-sum", "34")]);
            assert_eq!(answer.trailers, Some(expected), "{version:?} {forward:?}");
            let seen = origin.seen().pop().expect("a request").body.trailers;
            let seen = seen.expect("trailers");
            let seen: Vec<_> = seen.iter().collect();
            assert_eq!(
                seen,
                [("x-check", &b"1"[..]), ("x-check", b"2")],
                "{version:?}"
            );
        }
    }
}

/// As in gRPC: HTTP/2 on both sides, trailers without a `Trailer` header, and responses of trailers
/// only.
#[tokio::test]
async fn grpc_passes() {
    let origin = Origin::new(|request| {
        assert_eq!(request.headers()["te"], "trailers");
        let status = trailers(fields([("grpc-status", "0"), ("grpc-message", "fine")]));
        if request.uri().path() == "/only" {
            let mut response = reply(200, empty());
            response
                .headers_mut()
                .extend(fields([("grpc-status", "12")]));
            response
        } else {
            reply(200, frames([data("message"), status]))
        }
    });
    let server = Server::start(Router::new().fallback_service(origin)).await;
    let proxy = proxy(ProxyHost::http(), Forward::new().http2_only(true)).await;
    let call = |path| with(post(server.url(path), "message"), "te", "trailers");
    let answer = ask_as(proxy.addr, Version::HTTP_2, call("/service/method")).await;
    let expected = fields([("grpc-status", "0"), ("grpc-message", "fine")]);
    assert_eq!(answer.trailers, Some(expected));
    let answer = ask_as(proxy.addr, Version::HTTP_2, call("/only")).await;
    assert_eq!(
        (answer.trailers, answer.headers["grpc-status"].as_bytes()),
        (None, &b"12"[..])
    );
}

// ---- lengths

#[tokio::test]
async fn answers_without_content_keep_their_length_and_get_none() {
    for (method, status, length) in [
        ("HEAD", 200, Some("1234")),
        ("HEAD", 200, None),
        ("HEAD", 404, None),
        ("GET", 204, None),
        ("GET", 304, Some("1234")),
        ("GET", 304, None),
    ] {
        let field = length.map_or(String::new(), |length| {
            format!("content-length: {length}\r\n")
        });
        let origin = Raw::answering(format!("HTTP/1.1 {status} X\r\n{field}\r\n")).await;
        let proxy = proxy(ProxyHost::http(), Forward::new()).await;
        let what = format!("{method} {status} {length:?}");
        let ask = format!("{method} / HTTP/1.1\r\nhost: {}\r\n", origin.addr);
        // Twice on one connection: no bytes of the first response may be left over.
        let answer = talk(
            proxy.addr,
            format!("{ask}\r\n{ask}connection: close\r\n\r\n"),
        )
        .await;
        let answers: Vec<_> = answer.split_inclusive("\r\n\r\n").collect();
        assert_eq!(answers.len(), 2, "{what}: {answer}");
        for head in answers {
            assert!(
                head.starts_with(&format!("HTTP/1.1 {status} ")),
                "{what}: {head}"
            );
            // The length is optional with 304, and hyper omits it.
            if status != 304 || !values(head, "content-length").is_empty() {
                let seen = values(head, "content-length");
                assert_eq!(seen, Vec::from_iter(length), "{what}");
            }
            assert_eq!(values(head, "transfer-encoding"), [""; 0], "{what}");
        }
        let answer = ask_as(
            proxy.addr,
            Version::HTTP_2,
            request(method, origin.url("/"), empty()),
        )
        .await;
        let seen = answer.headers.get("content-length");
        assert_eq!(
            seen.map(|length| length.to_str().expect("text")),
            length,
            "{what}"
        );
    }
}

#[tokio::test]
async fn http_1_0_clients_get_http_1_0_responses() {
    let origin = Raw::serving(async |mut connection| {
        while let Some(head) = connection.head().await {
            connection
                .say(if head.starts_with("GET /known ") {
                    "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nknown"
                } else {
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
                     3\r\nchu\r\n3\r\nnks\r\n0\r\n\r\n"
                })
                .await;
        }
    })
    .await;
    let proxy = proxy(ProxyHost::http(), Forward::new()).await;
    let ask = |path, fields| {
        format!(
            "GET {path} HTTP/1.0\r\nhost: {}\r\n{fields}\r\n",
            origin.addr
        )
    };

    let chunks = talk(proxy.addr, ask("/chunks", "")).await;
    let (head, body) = chunks.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.0 200 OK"), "{chunks}");
    assert_eq!(body, "chunks");
    assert!(
        !head.to_lowercase().contains("transfer-encoding"),
        "{chunks}"
    );

    // The connection is kept until a request without `keep-alive`.
    let kept = ask("/known", "connection: keep-alive\r\n");
    let answers = talk(proxy.addr, kept + &ask("/known", "")).await;
    assert_eq!(answers.matches("HTTP/1.0 200 OK").count(), 2, "{answers}");
    assert_eq!(answers.matches("\r\n\r\nknown").count(), 2, "{answers}");
    assert_eq!(values(&answers, "connection"), ["keep-alive"]);
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let origin = Origin::new(|request| reply(200, full(request.uri().path().to_owned())));
    let origin = Server::start(Router::new().fallback_service(origin)).await;
    let proxy = proxy(ProxyHost::http(), Forward::new()).await;
    let ask = |i, last| {
        let close = if last { "connection: close\r\n" } else { "" };
        format!("GET /{i} HTTP/1.1\r\nhost: {}\r\n{close}\r\n", origin.addr)
    };
    let all: String = (0..5).map(|i| ask(i, i == 4)).collect();
    let answers = talk(proxy.addr, all).await;
    let bodies = answers.split("\r\n\r\n").skip(1);
    let bodies: Vec<_> = bodies.filter_map(|body| body.get(..2)).collect();
    assert_eq!(bodies, ["/0", "/1", "/2", "/3", "/4"], "{answers}");
}

// ---- interrupted bodies

/// The bytes that were received before the error.
async fn read_broken(mut body: Incoming) -> Bytes {
    let mut seen = Vec::new();
    soon(async move {
        loop {
            match body.frame().await {
                Some(Ok(frame)) => seen.extend_from_slice(&frame.into_data().unwrap_or_default()),
                Some(Err(_)) => return seen.into(),
                None => panic!("a body of {} bytes is not broken", seen.len()),
            }
        }
    })
    .await
}

/// The clock is paused: delayed data is sent when all tasks are idle.
#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_off_is_cut_exactly_there() {
    let large = "x".repeat(100_000);
    for (head, content, sent) in [
        ("content-length: 10", "hello", "hello"),
        ("content-length: 10", "", ""),
        ("content-length: 1000000", &large, &large),
        ("transfer-encoding: chunked", "5\r\nhello\r\n", "hello"),
        ("transfer-encoding: chunked", "a\r\nhello", "hello"),
        (
            "transfer-encoding: chunked",
            "5\r\nhello\r\ngarbage\r\n",
            "hello",
        ),
        (
            "transfer-encoding: chunked",
            &format!("186a0\r\n{large}\r\n"),
            &large,
        ),
        ("transfer-encoding: chunked", "", ""),
    ] {
        let origin = Raw::once(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{content}")).await;
        let proxy = proxy(ProxyHost::http(), Forward::new()).await;
        for version in VERSIONS {
            let response = send(proxy.addr, version, get(origin.url("/"))).await;
            assert_eq!(response.status(), 200);
            let seen = read_broken(response.into_body()).await;
            let what = format!("{version:?} {head} {}", content.len());
            assert_eq!(seen.len(), sent.len(), "{what}");
            assert!(seen == sent, "{what}");
        }
        let ask = format!("GET / HTTP/1.1\r\nhost: {}\r\n\r\n", origin.addr);
        let answer = talk(proxy.addr, ask).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        // A final chunk would mark the body as complete.
        assert!(!answer.ends_with("0\r\n\r\n"), "{head}");
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_over_http2_is_cut_there_too() {
    let (senders, mut bodies) = mpsc::unbounded_channel();
    let origin = Server::start(Router::new().fallback_service(Origin::new(move |_| {
        let (sender, body) = channel();
        senders.send(sender).expect("a test");
        reply(200, body)
    })))
    .await;
    let proxy = proxy(ProxyHost::http(), Forward::new().http2_only(true)).await;
    for version in VERSIONS {
        let response = send(proxy.addr, version, get(origin.url("/"))).await;
        let mut body = response.into_body();
        let sender = bodies.recv().await.expect("a sender");
        sender.data("hello");
        assert_eq!(next(&mut body).await.as_deref(), Some(&b"hello"[..]));
        sender.fail("gone");
        assert_eq!(read_broken(body).await, "");
    }
}

/// After an aborted upload, the origin must not have received a complete request.
#[tokio::test]
async fn an_upload_that_breaks_off_does_not_look_whole_to_the_origin() {
    let (rests, mut seen) = mpsc::unbounded_channel();
    let origin = Raw::serving(move |mut connection| {
        let rests = rests.clone();
        async move {
            connection.head().await;
            rests.send(connection.rest().await).expect("a test");
        }
    })
    .await;
    let proxy = proxy(ProxyHost::http(), Forward::new()).await;
    for (length, content, expected) in [
        ("content-length: 10", "hello", "hello"),
        (
            "transfer-encoding: chunked",
            "5\r\nhello\r\n",
            "5\r\nhello\r\n",
        ),
        (
            "transfer-encoding: chunked",
            "5\r\nhello\r\nzz\r\n",
            "5\r\nhello\r\n",
        ),
    ] {
        let mut client = TcpStream::connect(proxy.addr).await.expect("connected");
        let head = format!(
            "POST / HTTP/1.1\r\nhost: {}\r\n{length}\r\n\r\n",
            origin.addr
        );
        client.write_all(head.as_bytes()).await.expect("sent");
        client.write_all(content.as_bytes()).await.expect("sent");
        client.shutdown().await.expect("sent");
        assert_eq!(
            soon(seen.recv()).await.as_deref(),
            Some(expected),
            "{length}"
        );
    }
    let (sender, body) = channel();
    let mut client = http2_to(proxy.addr).await;
    let upload = tokio::spawn(client.send_request(request("POST", origin.url("/"), body)));
    sender.data("hello");
    tokio::task::yield_now().await;
    upload.abort();
    drop(sender);
    drop(client);
    let rest = soon(seen.recv()).await.expect("a connection");
    assert!(!rest.ends_with("0\r\n\r\n"), "{rest:?}");
}

#[tokio::test]
async fn a_disconnect_of_the_client_cancels_the_request() {
    let (left, mut gone) = mpsc::unbounded_channel();
    let origin = Raw::serving(move |mut connection| {
        let left = left.clone();
        async move {
            let head = connection.head().await.expect("a head");
            if head.starts_with("GET /body ") {
                connection
                    .say("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n")
                    .await;
            }
            connection.rest().await;
            left.send(()).expect("a test");
        }
    })
    .await;
    let proxy = proxy(ProxyHost::http(), Forward::new()).await;
    for version in VERSIONS {
        // While the client reads the body.
        let response = send(proxy.addr, version, get(origin.url("/body"))).await;
        let mut body = response.into_body();
        assert_eq!(next(&mut body).await.as_deref(), Some(&b"hi"[..]));
        drop(body);
        soon(gone.recv())
            .await
            .expect("the origin's connection ends");
    }
    // While the client waits for the response head.
    let mut client = TcpStream::connect(proxy.addr).await.expect("connected");
    let ask = format!("GET /head HTTP/1.1\r\nhost: {}\r\n\r\n", origin.addr);
    client.write_all(ask.as_bytes()).await.expect("sent");
    while origin.heads().len() < 3 {
        tokio::task::yield_now().await;
    }
    drop(client);
    soon(gone.recv())
        .await
        .expect("the origin's connection ends");
}

// ---- backpressure

const PIECE: usize = 64 << 10;
const PIECES: usize = 1024;

/// Waits until the count is stable. The clock is paused: a sleep ends when all tasks are idle.
async fn all_stands_still(count: &AtomicUsize) -> usize {
    let mut before = usize::MAX;
    loop {
        sleep(Duration::from_secs(1)).await;
        let now = count.load(Ordering::SeqCst);
        if now == before {
            return now;
        }
        before = now;
    }
}

/// A body of 64 MiB that counts the bytes read from the body.
fn counted_body(count: &Arc<AtomicUsize>) -> support::Body {
    let count = count.clone();
    let piece = Bytes::from(vec![b'x'; PIECE]);
    frames((0..PIECES).map(move |_| Ok(Frame::data(piece.clone()))))
        .map_frame(move |frame| {
            count.fetch_add(PIECE, Ordering::SeqCst);
            frame
        })
        .boxed()
}

#[tokio::test(start_paused = true)]
async fn a_client_that_does_not_read_stops_the_origin() {
    for (forward, version) in [
        (Forward::new(), Version::HTTP_11),
        (Forward::new(), Version::HTTP_2),
        (Forward::new().http2_only(true), Version::HTTP_11),
        (Forward::new().http2_only(true), Version::HTTP_2),
    ] {
        let count = Arc::new(AtomicUsize::new(0));
        let counter = count.clone();
        let app = Origin::new(move |_| reply(200, counted_body(&counter)));
        let origin = Server::start(Router::new().fallback_service(app)).await;
        let proxy = proxy(ProxyHost::http(), forward.clone()).await;
        let response = send(proxy.addr, version, get(origin.url("/"))).await;
        let written = all_stands_still(&count).await;
        assert!(written < PIECE * PIECES / 2, "{version:?}: {written}");
        let body = response.into_body().collect().await.expect("a body");
        assert_eq!(body.to_bytes().len(), PIECE * PIECES);
    }
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_does_not_read_stops_the_client() {
    for version in VERSIONS {
        let origin = Raw::serving(async |mut connection| {
            connection.head().await;
            pending::<()>().await;
        })
        .await;
        let proxy = proxy(ProxyHost::http(), Forward::new().head_timeout(None)).await;
        let count = Arc::new(AtomicUsize::new(0));
        let upload = request("POST", origin.url("/"), counted_body(&count));
        let upload = tokio::spawn(send_slowly(proxy.addr, version, upload));
        let written = all_stands_still(&count).await;
        assert!(
            (PIECE..PIECE * PIECES / 2).contains(&written),
            "{version:?}: {written}"
        );
        upload.abort();
    }
}

async fn send_slowly(
    addr: std::net::SocketAddr,
    version: Version,
    request: Request<support::Body>,
) {
    if version == Version::HTTP_2 {
        let _ = http2_to(addr).await.send_request(request).await;
    } else {
        let _ = http1_to(addr).await.send_request(request).await;
    }
}

#[tokio::test]
async fn concurrent_requests_are_served() {
    let origin = Origin::new(|request| reply(200, full(request.uri().path().to_owned())));
    let origin = Server::start(Router::new().fallback_service(origin)).await;
    for forward in forwards() {
        let proxy = proxy(
            ProxyHost::upstream(origin.url("")).expect("an upstream"),
            forward,
        )
        .await;
        for client in [http1(), support::http2()] {
            let asks = (0..200).map(|i| ask(&client, get(proxy.url(&format!("/{i}")))));
            let answers: Vec<Answer> = soon(futures::future::join_all(asks)).await;
            for (i, answer) in answers.iter().enumerate() {
                assert_eq!(answer.text(), format!("/{i}"));
            }
        }
    }
}

// ---- recording

#[tokio::test]
async fn a_recording_of_a_proxy_replaces_the_origin() {
    let folder = tempfile::tempdir().expect("a folder");
    let record = RecordTraffic::disk(folder.path());
    let recorder = record.recorder();
    let app = Router::new()
        .fallback_service(Forward::new())
        .layer(record)
        .layer(ProxyHost::http());
    let recording = Server::start(app).await;
    let origin = Server::start(Router::new().fallback_service(all_kinds())).await;
    let base = origin.url("");

    let mut answers = Vec::new();
    for request in all_requests(&base) {
        answers.push(ask_as(recording.addr, Version::HTTP_11, request).await);
    }
    settled(&recorder, answers.len() as u64).await;
    drop((origin, recording));

    let app = Router::new()
        .fallback_service(Forward::new())
        .layer(ReplayCache::disk(folder.path()).on_miss(OnMiss::Refuse))
        .layer(ProxyHost::http());
    let replaying = Server::start(app).await;
    for version in VERSIONS {
        for (request, expected) in all_requests(&base).into_iter().zip(&answers) {
            let what = format!("{version:?} {} {}", request.method(), request.uri());
            let answer = ask_as(replaying.addr, version, request).await;
            assert_eq!(answer.status, expected.status, "{what}");
            assert_eq!(answer.body, expected.body, "{what}");
            assert_eq!(answer.trailers, expected.trailers, "{what}");
        }
    }
}

#[tokio::test]
async fn a_failure_of_the_origin_is_recorded_as_the_client_sees_it() {
    let memory = Memory::new();
    let record = RecordTraffic::new(memory.clone());
    let recorder = record.recorder();
    let app = Router::new()
        .fallback_service(Forward::new())
        .layer(record)
        .layer(ProxyHost::http());
    let proxy = Server::start(app).await;
    let gone = format!("http://{}/gone", support::origins::nowhere().await);
    assert_eq!(
        ask_as(proxy.addr, Version::HTTP_11, get(&gone))
            .await
            .status,
        502
    );
    let cut = Raw::once("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").await;
    let response = send(proxy.addr, Version::HTTP_11, get(cut.url("/cut"))).await;
    read_broken(response.into_body()).await;
    settled(&recorder, 2).await;

    let exchanges = memory.exchanges();
    assert_eq!(exchanges[0].request.uri, *gone);
    let response = exchanges[0].response.as_ref().expect("a response");
    assert_eq!(response.status, 502);
    let ended = exchanges[1].end().to_string();
    assert_eq!(
        ended,
        "error: the response of the origin ended within its body"
    );
    let response = exchanges[1].response.as_ref().expect("a response");
    assert_eq!(response.body.to_bytes(), "hello");
}
