//! `ChaosConnect`: faults of connections.

use std::{
    convert::Infallible,
    error::Error,
    future::ready,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::{Router, routing::get as on_get};
use http::{Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connected, Connection, HttpConnector, HttpInfo},
    },
    rt::{TokioExecutor, TokioIo},
};
use support::{Body, BoxError, Server, get, post, random_bytes, soon};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex, split},
    net::TcpListener,
    sync::mpsc,
    time::{Instant, sleep, timeout},
};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_traffic::chaos::{
    Affected, AffectedConnection, Behavior, Chaos, ChaosConnect, ChaosConnection, ChaosConnector,
    ConnectionBehavior, ConnectionFault, Latency, Requests, Stage, Trigger, Variable,
};

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn refuse() -> ConnectionBehavior {
    ConnectionBehavior::refuse()
}

fn throttle(rate: u64) -> ConnectionBehavior {
    ConnectionBehavior::throttle(rate.try_into().unwrap())
}

/// The error of the operating system that chaos imitates, and its text.
fn fault<'a>(
    error: &'a (dyn Error + 'static),
) -> Option<(io::ErrorKind, Option<&'a ConnectionFault>)> {
    let Some(io) = error.downcast_ref::<io::Error>() else {
        return error.source().and_then(fault);
    };
    match io.get_ref() {
        Some(inner) if inner.is::<ConnectionFault>() => {
            Some((io.kind(), inner.downcast_ref::<ConnectionFault>()))
        }
        Some(inner) => fault(inner).or(Some((io.kind(), None))),
        None => Some((io.kind(), None)),
    }
}

fn texts(error: &(dyn Error + 'static)) -> String {
    let cause = error.source().map(texts).unwrap_or_default();
    format!("{error}; {cause}")
}

// ---- over sockets

type HttpClient = Client<ChaosConnector<HttpConnector>, Body>;

fn client(chaos: &ChaosConnect, is_http2: bool) -> HttpClient {
    Client::builder(TokioExecutor::new())
        .http2_only(is_http2)
        .build(chaos.layer(HttpConnector::new()))
}

async fn server() -> Server {
    let app = Router::new()
        .route("/", on_get("hello").post(async |body: String| body))
        .route("/large", on_get(async || random_bytes(1 << 20)));
    Server::start(app).await
}

/// Counts the bytes of each connection until it is closed; sends nothing.
async fn counting() -> (String, mpsc::UnboundedReceiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let (counts, counted) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes).await;
            counts.send(bytes.len()).unwrap();
        }
    });
    (url, counted)
}

async fn text(client: &HttpClient, url: &str) -> String {
    let response = soon(client.request(get(url))).await.unwrap();
    let body = response.into_body().collect().await.unwrap();
    String::from_utf8_lossy(&body.to_bytes()).into_owned()
}

#[tokio::test]
async fn a_connection_is_refused() {
    let server = server().await;
    for is_http2 in [false, true] {
        let chaos = ChaosConnect::on(Stage::when(Trigger::once(), refuse()));
        let engine = chaos.engine();
        let client = client(&chaos, is_http2);
        let error = client.request(get(server.url("/"))).await.unwrap_err();
        assert!(error.is_connect());
        let refused = (
            io::ErrorKind::ConnectionRefused,
            Some(&ConnectionFault::Refused),
        );
        assert_eq!(fault(&error), Some(refused));

        assert_eq!(text(&client, &server.url("/")).await, "hello");
        let stats = engine.stats();
        assert_eq!((stats.connections, stats.requests), (2, 0));
        assert_eq!((stats.affected, stats.active), (1, 0));
        assert_eq!(stats.by_behavior["refuse"], 1);
        let decision = &engine.decisions()[0];
        assert_eq!((decision.on, decision.ordinal), (Affected::Connection, 0));
        assert_eq!(&*decision.text, "RefuseConnection");
    }
}

#[tokio::test]
async fn unaffected_connections_are_unchanged() {
    let server = server().await;
    for is_http2 in [false, true] {
        let chaos = ChaosConnect::new().stage(throttle(1 << 30));
        let engine = chaos.engine();
        let mut seen = Vec::new();
        for is_on in [false, true] {
            if is_on {
                engine.enable();
            }
            let client = client(&chaos, is_http2);
            for _ in 0..2 {
                let response = client.request(get(server.url("/large"))).await.unwrap();
                let extensions = response.extensions();
                // The connection's extras are kept.
                let info = extensions.get::<HttpInfo>().unwrap();
                assert_eq!(info.remote_addr(), server.addr);
                seen.push(extensions.get::<AffectedConnection>().cloned());
                let body = response.into_body().collect().await.unwrap().to_bytes();
                assert_eq!(body, random_bytes(1 << 20));
            }
        }
        assert!(seen[0].is_none() && seen[1].is_none());
        // Both responses arrived over the same connection.
        assert_eq!(engine.stats().connections, 1);
        for affected in &seen[2..] {
            let decision = affected.as_ref().unwrap().decision();
            assert_eq!(engine.decisions(), std::slice::from_ref(decision));
        }
    }
}

#[tokio::test]
async fn a_connection_is_reset_while_the_request_is_sent() {
    let (url, mut counted) = counting().await;
    for (is_http2, after) in [
        (false, 0),
        (false, 1),
        (false, 5_000),
        (true, 0),
        (true, 5_000),
    ] {
        let chaos = ChaosConnect::on(ConnectionBehavior::break_after(after));
        let client = client(&chaos, is_http2);
        let request = post(&url, random_bytes(20_000));
        let error = soon(client.request(request)).await.unwrap_err();
        // Exactly the bytes before the limit passed.
        assert_eq!(
            soon(counted.recv()).await,
            Some(usize::try_from(after).unwrap())
        );
        // HTTP/2 may report a broken pipe.
        if !is_http2 {
            let (kind, cause) = fault(&error).unwrap();
            assert_eq!(kind, io::ErrorKind::ConnectionReset);
            assert!(
                matches!(cause, Some(ConnectionFault::Reset { after: bytes, .. }) if *bytes == after)
            );
        }
        soon(async {
            while chaos.engine().stats().active > 0 {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_connection_is_reset_while_the_response_arrives() {
    let server = server().await;
    for is_http2 in [false, true] {
        let behavior = ConnectionBehavior::break_after(100_000);
        let chaos = ChaosConnect::on(Stage::when(Trigger::once(), behavior));
        let client = client(&chaos, is_http2);
        let response = client.request(get(server.url("/large"))).await.unwrap();
        assert_eq!(response.status(), 200);
        let mut body = response.into_body();
        let mut bytes = 0;
        let error = loop {
            match soon(body.frame()).await.unwrap() {
                Ok(frame) => bytes += frame.into_data().unwrap().len(),
                Err(error) => break error,
            }
        };
        assert!((50_000..100_000).contains(&bytes), "{bytes}");
        let text = texts(&error);
        assert!(
            text.contains("chaos reset the connection after 100000 bytes"),
            "{text}"
        );

        // The pool has dropped the connection, and the next one is normal.
        assert_eq!(text_of_large(&client, &server).await, 1 << 20);
        assert_eq!(chaos.engine().stats().connections, 2);
    }
}

async fn text_of_large(client: &HttpClient, server: &Server) -> usize {
    let response = soon(client.request(get(server.url("/large"))))
        .await
        .unwrap();
    response
        .into_body()
        .collect()
        .await
        .unwrap()
        .to_bytes()
        .len()
}

#[tokio::test]
async fn an_idle_connection_that_is_reset_is_not_used_again() {
    let server = server().await;
    let mut least = 0;
    for after in 100..400 {
        let chaos = ChaosConnect::on(Stage::when(
            Trigger::once(),
            ConnectionBehavior::break_after(after),
        ));
        let client = client(&chaos, false);
        let response = soon(client.request(get(server.url("/")))).await;
        let Ok(response) = response else { continue };
        if response.into_body().collect().await.is_err() {
            continue;
        }
        least = after;
        // The whole response arrived, up to its last byte.
        assert_eq!(text(&client, &server.url("/")).await, "hello");
        assert_eq!(chaos.engine().stats().connections, 2);
        break;
    }
    assert!(least > 100);
}

#[tokio::test]
async fn documents_affect_connections() -> Result<(), BoxError> {
    let server = server().await;
    let chaos = ChaosConnect::new();
    let engine = chaos.engine();
    for (document, texts) in [
        (r#"{"type":"refuse"}"#, ["chaos refused the connection"; 2]),
        (
            r#"{"type":"throw","on":"connection","message":"no route to bob"}"#,
            ["no route to bob"; 2],
        ),
        (
            r#"{"type":"break","on":"connection","after":10}"#,
            ["chaos reset the connection after 10 bytes"; 2],
        ),
        // A fault of requests does not affect connections.
        (
            r#"{"type":"throw","message":"no route to bob"}"#,
            ["hello"; 2],
        ),
        (r#"{"type":"status","status":500}"#, ["hello"; 2]),
    ] {
        let stage =
            format!(r#"{{"type":"trigger","trigger":{{"type":"always"}},"behaviour":{document}}}"#);
        engine.enable_with(stage.parse::<Stage>()?);
        for (is_http2, text) in [false, true].into_iter().zip(texts) {
            let client = client(&chaos, is_http2);
            let found = match soon(client.request(get(server.url("/")))).await {
                Ok(response) => {
                    let body = response.into_body().collect().await?.to_bytes();
                    String::from_utf8_lossy(&body).into_owned()
                }
                Err(error) => self::texts(&error),
            };
            assert!(found.contains(text), "{document}: {found}");
        }
    }
    assert_eq!(engine.stats().affected, 6);
    Ok(())
}

#[tokio::test]
async fn reqwest_refuses_and_fails() -> Result<(), BoxError> {
    let server = server().await;
    let chaos = ChaosConnect::on(vec![
        // The host is unknown.
        Stage::when(Trigger::requests(Requests::any().host(".*")?), refuse()),
        // The bytes are inaccessible.
        Stage::when(Trigger::once(), ConnectionBehavior::break_after(0)),
        Stage::when(Trigger::once(), refuse().and(throttle(1))),
        Stage::when(
            Trigger::once(),
            ConnectionBehavior::throw("no route to bob"),
        ),
    ]);
    let client = reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .connector_layer(chaos.opaque())
        .build()?;
    let ask = async || soon(client.get(server.url("/")).send()).await;
    assert_eq!(ask().await?.text().await?, "hello");
    let error = ask().await.unwrap_err();
    assert!(error.is_connect());
    let refused = (
        io::ErrorKind::ConnectionRefused,
        Some(&ConnectionFault::Refused),
    );
    assert_eq!(fault(&error), Some(refused));
    let error = ask().await.unwrap_err();
    assert!(error.is_connect() && texts(&error).contains("no route to bob"));
    assert_eq!(ask().await?.text().await?, "hello");
    let stats = chaos.engine().stats();
    assert_eq!((stats.connections, stats.affected), (4, 2));
    assert_eq!(&*chaos.engine().decisions()[0].text, "RefuseConnection");
    Ok(())
}

// ---- in memory, with a paused clock

/// A connection in memory.
struct Wire(TokioIo<DuplexStream>);

impl Connection for Wire {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl Write for Wire {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

/// A connector that returns these connections, one after the other.
fn wires() -> (
    impl Service<Uri, Response = Wire, Error = io::Error, Future: Send + Unpin> + Clone + Send + 'static,
    mpsc::UnboundedReceiver<DuplexStream>,
) {
    let (ends, other_ends) = mpsc::unbounded_channel();
    let connector = service_fn(move |_: Uri| {
        let (ours, other) = duplex(1 << 20);
        let _ = ends.send(other);
        ready(Ok(Wire(TokioIo::new(ours))))
    });
    (connector, other_ends)
}

type Stream = TokioIo<ChaosConnection<Wire>>;

async fn connect_to(chaos: &ChaosConnect, uri: &str) -> Result<(Stream, DuplexStream), BoxError> {
    let (connector, mut other_ends) = wires();
    let stream = chaos.layer(connector).oneshot(uri.parse()?).await?;
    Ok((TokioIo::new(stream), other_ends.recv().await.unwrap()))
}

async fn connect(chaos: &ChaosConnect) -> Result<(Stream, DuplexStream), BoxError> {
    connect_to(chaos, "http://bob:81/").await
}

#[tokio::test(start_paused = true)]
async fn a_delayed_connection_is_normal_afterwards() {
    let began = Instant::now();
    let latency = ConnectionBehavior::latency(Latency::fixed(ms(1_500)));
    let chaos = ChaosConnect::on(latency.clone().and(latency));
    let engine = chaos.engine();
    let mut connecting = std::pin::pin!(connect(&chaos));
    assert!(timeout(ms(2_999), &mut connecting).await.is_err());
    assert_eq!(engine.stats().active, 1);
    let (mut ours, mut other) = connecting.await.unwrap();
    assert_eq!(began.elapsed(), ms(3_000));
    assert_eq!(engine.decisions()[0].delay, ms(3_000));
    assert_eq!(engine.stats().active, 0);
    other.write_all(b"hello").await.unwrap();
    let mut read = [0; 5];
    ours.read_exact(&mut read).await.unwrap();
    assert_eq!((&read, began.elapsed()), (b"hello", ms(3_000)));

    // Refused after a delay.
    engine.enable_with(ConnectionBehavior::latency(Latency::fixed(ms(100))).and(refuse()));
    assert!(connect(&chaos).await.is_err());
    assert_eq!(began.elapsed(), ms(3_100));

    engine.enable_with(ConnectionBehavior::latency(Latency::uniform(ms(7)..=ms(7))));
    connect(&chaos).await.unwrap();
    let decisions = engine.decisions();
    assert_eq!(
        &*decisions.last().unwrap().text,
        "Latency (7ms) of the connection"
    );
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_never_made() {
    let chaos = ChaosConnect::on(ConnectionBehavior::never());
    assert!(
        timeout(Duration::from_hours(24), connect(&chaos))
            .await
            .is_err()
    );
    // The caller has given up.
    assert_eq!(chaos.engine().stats().active, 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_waits_for_the_delay() {
    for is_http2 in [false, true] {
        let (connector, mut other_ends) = wires();
        let latency = ConnectionBehavior::latency(Latency::fixed(ms(250)));
        let chaos = ChaosConnect::on(latency.and(throttle(1_000_000)));
        let client = Client::builder(TokioExecutor::new())
            .http2_only(is_http2)
            .build::<_, Body>(chaos.layer(connector));
        tokio::spawn(async move {
            let other = TokioIo::new(other_ends.recv().await.unwrap());
            let service = hyper::service::service_fn(async |_| {
                Ok::<_, Infallible>(Response::new(support::full("hello")))
            });
            let server = hyper_util::server::conn::auto::Builder::new(TokioExecutor::new());
            let _ = server.serve_connection(other, service).await;
        });
        let began = Instant::now();
        let response = client.request(get("http://bob/")).await.unwrap();
        assert_eq!(response.status(), 200);
        assert!(
            (ms(250)..ms(300)).contains(&began.elapsed()),
            "{:?}",
            began.elapsed()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn each_direction_is_throttled_separately() {
    let chaos = ChaosConnect::on(throttle(1_000));
    let (ours, other) = connect(&chaos).await.unwrap();
    let (mut receive, mut send) = split(ours);
    let (mut other_receive, mut other_send) = split(other);
    let began = Instant::now();
    let written = async {
        send.write_all(&[1; 1_000]).await.unwrap();
        began.elapsed()
    };
    let arrived = async {
        let mut all = Vec::new();
        for _ in 0..10 {
            let mut part = [0; 200];
            let bytes = other_receive.read(&mut part).await.unwrap();
            all.push((bytes, began.elapsed()));
        }
        all
    };
    let received = async {
        other_send.write_all(&[2; 300]).await.unwrap();
        receive.read_exact(&mut [0; 300]).await.unwrap();
        began.elapsed()
    };
    let (written, arrived, received) = tokio::join!(written, arrived, received);
    // Ten parts per second: the first at once, the tenth after nine tenths.
    assert_eq!((written, received), (ms(900), ms(200)));
    let tenths: Vec<_> = (0..10).map(|tenth| (100, ms(tenth * 100))).collect();
    assert_eq!(arrived, tenths);

    // An idle connection makes up for a tenth of a second at most.
    sleep(ms(60_000)).await;
    let began = Instant::now();
    send.write_all(&[1; 400]).await.unwrap();
    assert_eq!(began.elapsed(), ms(200));
}

#[tokio::test(start_paused = true)]
async fn a_fast_throttle_keeps_its_rate() {
    // The parts take less time than the timer can resolve.
    let chaos = ChaosConnect::on(throttle(50_000_000));
    let (mut ours, mut other) = connect(&chaos).await.unwrap();
    let began = Instant::now();
    tokio::spawn(async move { ours.write_all(&vec![1; 10_000_000]).await });
    let mut bytes = vec![0; 10_000_000];
    other.read_exact(&mut bytes).await.unwrap();
    assert!(
        (ms(195)..=ms(205)).contains(&began.elapsed()),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn bytes_are_sliced() {
    let chaos = ChaosConnect::on(ConnectionBehavior::slice(3, ms(10)));
    let (mut ours, mut other) = connect(&chaos).await.unwrap();
    let began = Instant::now();
    other.write_all(b"0123456789").await.unwrap();
    let mut all = Vec::new();
    for _ in 0..4 {
        let mut part = [0; 10];
        let bytes = ours.read(&mut part).await.unwrap();
        all.push((part[..bytes].to_vec(), began.elapsed()));
    }
    let parts = [(&b"012"[..], 0), (b"345", 10), (b"678", 20), (b"9", 30)];
    assert_eq!(all, parts.map(|(part, time)| (part.to_vec(), ms(time))));
    assert_eq!(ours.write(b"0123456789").await.unwrap(), 3);
    let slices = [
        io::IoSlice::new(b""),
        io::IoSlice::new(b"0123"),
        io::IoSlice::new(b"4"),
    ];
    assert!(!tokio::io::AsyncWrite::is_write_vectored(&ours));
    assert_eq!(ours.write_vectored(&slices).await.unwrap(), 3);
}

#[tokio::test(start_paused = true)]
async fn the_seed_repeats_corrupted_bytes() {
    let mut all = Vec::new();
    for seed in [1, 1, 2] {
        let chaos = ChaosConnect::new()
            .seed(seed)
            .stage(ConnectionBehavior::corrupt(50.0));
        chaos.engine().enable();
        let (mut ours, mut other) = connect(&chaos).await.unwrap();
        let zeros = vec![0; 20_000];
        let mut got = vec![0; 20_000];
        other.write_all(&zeros).await.unwrap();
        ours.read_exact(&mut got).await.unwrap();
        let mut sent = vec![0; 20_000];
        ours.write_all(&zeros).await.unwrap();
        other.read_exact(&mut sent).await.unwrap();
        assert_ne!(got, sent);
        for bytes in [&got, &sent] {
            let changed = bytes.iter().filter(|byte| **byte != 0).count();
            assert!((9_500..10_500).contains(&changed), "{changed}");
        }
        all.push((got, sent));
    }
    assert_eq!(all[0], all[1]);
    assert_ne!(all[0], all[2]);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_task_is_woken_by_the_reset() {
    let chaos = ChaosConnect::on(ConnectionBehavior::break_after(8));
    let (ours, mut other) = connect(&chaos).await.unwrap();
    let (mut receive, mut send) = split(ours);
    let reading = tokio::spawn(async move { receive.read_u8().await.map_err(|e| e.kind()) });
    sleep(ms(1)).await;
    // No further byte passes, and the peer sends nothing.
    assert_eq!(send.write(b"0123456789").await.unwrap(), 8);
    let read = timeout(ms(1), reading).await.unwrap().unwrap();
    assert_eq!(read, Err(io::ErrorKind::ConnectionReset));
    let error = send.write(b"89").await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    drop(send);
    let mut bytes = Vec::new();
    other.read_to_end(&mut bytes).await.unwrap();
    assert_eq!(bytes, b"01234567");
    assert_eq!(chaos.engine().stats().active, 0);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_starts_enabled_expires() {
    let chaos = ChaosConnect::on(ConnectionBehavior::refuse()).expire_after(ms(1_000));
    assert!(connect(&chaos).await.is_err());
    sleep(ms(1_000)).await;
    assert!(connect(&chaos).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_stalled_connection_resumes_when_its_generation_ends() {
    type End = fn(&tower_traffic::chaos::ChaosEngine);
    let ends: [(End, u64); 4] = [
        (|engine| engine.disable(), 1),
        (|engine| engine.enable_with(Stage::wait()), 1),
        (|engine| engine.enable_again([]), 1),
        // The engine expires.
        (|_| (), 60_000),
    ];
    for (end, after) in ends {
        let chaos = ChaosConnect::new()
            .expire_after(ms(60_000))
            .stage(ConnectionBehavior::stall_after(10));
        let engine = chaos.engine();
        engine.enable();
        let began = Instant::now();
        let (ours, other) = connect(&chaos).await.unwrap();
        let (mut receive, mut send) = split(ours);
        let (mut other_receive, mut other_send) = split(other);
        other_send.write_all(b"012345").await.unwrap();
        receive.read_exact(&mut [0; 6]).await.unwrap();
        // Bytes of both directions count together.
        assert_eq!(send.write(b"0123456789").await.unwrap(), 4);
        let writing = tokio::spawn(async move { send.write_all(b"456789").await.map(|()| send) });
        let reading = tokio::spawn(async move { receive.read_u8().await });
        other_send.write_all(b"6").await.unwrap();
        sleep(ms(1)).await;
        assert!(!writing.is_finished() && !reading.is_finished());
        assert_eq!(engine.stats().active, 1);
        end(&engine);
        let _still_open = writing.await.unwrap().unwrap();
        assert_eq!(reading.await.unwrap().unwrap(), b'6');
        assert_eq!(began.elapsed(), ms(after));
        let mut bytes = [0; 10];
        other_receive.read_exact(&mut bytes).await.unwrap();
        assert_eq!(&bytes, b"0123456789");
        assert_eq!(engine.stats().active, 0);
    }
}

#[tokio::test]
async fn max_concurrent_limits_connections() {
    let chaos = Chaos::on(vec![
        Stage::always(throttle(1 << 30)),
        Stage::always(Behavior::status(StatusCode::BAD_GATEWAY)),
    ])
    .max_concurrent(1);
    // The stage and the settings are those of the engine.
    let connections = ChaosConnect::with_engine(&chaos.engine());
    let engine = chaos.engine();
    let first = connect(&connections).await.unwrap();
    let second = connect(&connections).await.unwrap();
    assert_eq!((engine.stats().active, engine.stats().capped), (1, 1));
    // A connection takes no place of a request.
    let service = requests(&chaos);
    assert_eq!(
        service.clone().oneshot(Request::new(())).await.unwrap(),
        502
    );
    drop(first);
    assert_eq!(engine.stats().active, 0);
    let third = connect(&connections).await.unwrap();
    assert_eq!((engine.stats().active, engine.stats().capped), (1, 1));
    drop((second, third));
}

// ---- one engine for both layers

/// The statuses of the responses to several requests.
fn requests(
    chaos: &Chaos,
) -> impl Service<Request<()>, Response = u16, Error = Infallible, Future: Send> + Clone + Send + 'static
{
    let inner = service_fn(|_: Request<_>| ready(Ok(Response::new(support::empty()))));
    let service = chaos.layer(inner);
    service
        .map_request(|request: Request<()>| request.map(|()| support::empty()))
        .map_response(|response: Response<_>| response.status().as_u16())
}

async fn is_refused(chaos: &ChaosConnect) -> bool {
    connect(chaos).await.is_err()
}

fn both(percent: f64) -> Vec<Stage> {
    let fails = Behavior::status(StatusCode::BAD_GATEWAY);
    vec![
        Stage::when(Trigger::percentage(percent), refuse()),
        Stage::when(Trigger::percentage(percent), fails),
    ]
}

/// The affected ordinals, in any order of arrival.
async fn affected(chaos: &Chaos, are_mixed: bool) -> (Vec<bool>, Vec<bool>) {
    let below = ChaosConnect::with_engine(&chaos.engine());
    let service = requests(chaos);
    let (mut refused, mut failed) = (Vec::new(), Vec::new());
    for turn in 0..400 {
        if if are_mixed { turn % 2 == 0 } else { turn < 200 } {
            refused.push(is_refused(&below).await);
        } else {
            failed.push(service.clone().oneshot(Request::new(())).await.unwrap() == 502);
        }
    }
    (refused, failed)
}

#[tokio::test]
async fn the_same_seed_decides_the_same_in_any_order() {
    let chaos = || Chaos::new().seed(3).stage(both(30.0));
    let first = chaos();
    first.engine().enable();
    let (refused, failed) = affected(&first, false).await;
    assert_ne!(refused, failed);
    for all in [&refused, &failed] {
        let count = all.iter().filter(|is_so| **is_so).count();
        assert!((30..90).contains(&count), "{count}");
    }
    let second = chaos();
    second.engine().enable();
    assert_eq!(
        affected(&second, true).await,
        (refused.clone(), failed.clone())
    );
    let stats = second.engine().stats();
    assert_eq!((stats.connections, stats.requests), (200, 200));

    // The same trigger draws other values for connections than for requests.
    let mut drawn = Vec::new();
    for index in 0..2 {
        let chaos = Chaos::new().seed(3).stage(both(50.0).swap_remove(index));
        chaos.engine().enable();
        let (refused, failed) = affected(&chaos, true).await;
        drawn.push(if index == 0 { refused } else { failed });
    }
    assert_ne!(drawn[0], drawn[1]);

    // Repeated with another seed and in another order.
    let again = Chaos::new().seed(4);
    again.engine().enable_again(first.engine().decisions());
    assert_eq!(affected(&again, true).await, (refused, failed));
    assert_eq!(
        again.engine().stats().affected,
        first.engine().stats().affected
    );
}

#[tokio::test]
async fn targets_count_separately_and_wait_counts_both() {
    let fails = || Behavior::status(StatusCode::BAD_GATEWAY);
    let chaos = Chaos::on(vec![
        Stage::wait().until(Trigger::countdown(3)),
        Stage::always(refuse()).until(Trigger::countdown(2)),
        Stage::when(Trigger::nth(2.try_into().unwrap()), fails()).until(Trigger::countdown(4)),
        Stage::when(Trigger::once(), ConnectionBehavior::none()),
        Stage::when(Trigger::once(), refuse()),
    ]);
    let below = ChaosConnect::with_engine(&chaos.engine());
    let service = requests(&chaos);
    let status = async || service.clone().oneshot(Request::new(())).await.unwrap();
    assert_eq!(
        (status().await, is_refused(&below).await, status().await),
        (200, false, 200)
    );
    for is_first in [true, false] {
        assert_eq!((status().await, status().await), (200, 502));
        // `None` decides: later stages are not consulted.
        assert_eq!((is_refused(&below).await, is_first), (true, is_first));
    }
    assert_eq!((status().await, status().await), (200, 200));
    assert!(!is_refused(&below).await);
    assert!(is_refused(&below).await);
    assert!(!is_refused(&below).await);
    assert_eq!(chaos.engine().stats().by_behavior["refuse"], 3);
}

#[tokio::test]
async fn a_connection_has_only_a_host() -> Result<(), BoxError> {
    let any = Requests::any;
    for (trigger, fires) in [
        (Trigger::requests(any()), true),
        (Trigger::requests(any().host("bob:81")?), true),
        (Trigger::requests(any().host("bob")?), false),
        (Trigger::requests(any().path("/.*")?), false),
        (Trigger::requests(any().method("GET")), false),
        (Trigger::requests(any().query("a", ".*")?), false),
        (
            Trigger::requests(any().host("bob:81")?.header("a", ".*")?),
            false,
        ),
        (Trigger::requests(any().body(".*")?), false),
        (Trigger::route("/"), false),
        (!Trigger::route("/"), true),
        (Trigger::client("0.0.0.0/0".parse()?), false),
        (Trigger::envoy_fault_headers(), false),
        (Trigger::status(200..=999), false),
        (
            Trigger::always() & Trigger::requests(any().host("bob:81")?),
            true,
        ),
        (Trigger::envoy_fault_headers() | Trigger::always(), true),
        (Trigger::window(Duration::ZERO, ms(60_000)), true),
        (Trigger::ramp(100.0..=100.0, ms(1)), true),
        (Trigger::deadline(std::time::SystemTime::UNIX_EPOCH), true),
    ] {
        // Exempt routes apply to requests only.
        let chaos = Chaos::on(Stage::when(trigger.clone(), refuse())).exempt_route("/");
        let connector = ChaosConnect::with_engine(&chaos.engine());
        assert_eq!(is_refused(&connector).await, fires, "{trigger}");
    }
    Ok(())
}

#[tokio::test]
async fn clocks_run_for_both_targets() {
    tokio::time::pause();
    let fails = Behavior::status(StatusCode::BAD_GATEWAY);
    // Requests alone finish the outage of connections, which depends on a clock, and restart it.
    let chaos = Chaos::on(
        Stage::sequence([
            Stage::always(refuse()).until(Trigger::delay(ms(1_000))),
            Stage::always(fails).until(Trigger::countdown(2)),
        ])
        .repeat(),
    );
    let service = requests(&chaos);
    let status = async || service.clone().oneshot(Request::new(())).await.unwrap();
    assert_eq!(
        (status().await, status().await, status().await),
        (502, 502, 200)
    );
    sleep(ms(1_000)).await;
    assert_eq!(
        (status().await, status().await, status().await),
        (502, 502, 200)
    );
}

#[tokio::test]
async fn a_variable_may_change_its_target() {
    let variable = Variable::new(Behavior::status(StatusCode::BAD_GATEWAY));
    let chaos = Chaos::on(Behavior::from(&variable));
    let below = ChaosConnect::with_engine(&chaos.engine());
    let service = requests(&chaos);
    let status = async || service.clone().oneshot(Request::new(())).await.unwrap();
    assert_eq!((status().await, is_refused(&below).await), (502, false));
    variable.set(refuse().into());
    assert_eq!((status().await, is_refused(&below).await), (200, true));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn counts_are_exact_under_concurrency() {
    let chaos = Chaos::on(vec![
        Stage::always(refuse()).until(Trigger::countdown(100)),
        Stage::when(Trigger::once(), Behavior::status(StatusCode::BAD_GATEWAY)),
    ]);
    let (refused, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let tasks: Vec<_> = (0..1_000)
        .map(|_| {
            let (chaos, refused, failed) = (chaos.clone(), refused.clone(), failed.clone());
            tokio::spawn(async move {
                let below = ChaosConnect::with_engine(&chaos.engine());
                if is_refused(&below).await {
                    refused.fetch_add(1, Ordering::Relaxed);
                }
                if requests(&chaos).oneshot(Request::new(())).await.unwrap() == 502 {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(
        (
            refused.load(Ordering::Relaxed),
            failed.load(Ordering::Relaxed)
        ),
        (100, 1)
    );
    let stats = chaos.engine().stats();
    assert_eq!((stats.connections, stats.requests), (1_000, 1_000));
    assert_eq!((stats.affected, stats.by_behavior["refuse"]), (101, 100));
}
