//! `Forward`: error responses, TLS, time limits, kept connections and retries.

use std::{net::SocketAddr, time::Duration};

use axum::Router;
use bytes::Bytes;
use http::{Request, Version};
use support::origins::{
    Authority, HTTP1, HTTP1_AND_2, HTTP2, Raw, TlsServer, ask_as, nowhere, proxy, values,
};
use support::{
    Answer, Body, Origin, Server, ask, broken, channel, data, empty, frames, full, get, post,
    reply, request, soon, with,
};
use tokio::{
    io::AsyncReadExt,
    time::{Instant, sleep},
};
use tower_traffic::{Forward, ProxyHost, proxy::InvalidCertificate};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// Asserts an error response that names the error, without the address of the origin.
fn assert_failed(answer: &Answer, status: u16, error: &str, what: &str) {
    let text = answer.text();
    assert_eq!(answer.status, status, "{what}: {text}");
    assert_eq!(
        answer.headers["proxy-status"],
        format!("tower-traffic; error={error}"),
        "{what}: {text}"
    );
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    assert!(
        !text.ends_with(".\n") && text.ends_with('\n'),
        "{what}: {text}"
    );
    assert!(text.len() > 20, "{what}: {text}");
    let lower = text.to_lowercase();
    for leak in [
        "127.0.0.1",
        "error",
        "hyper",
        "rustls",
        "os ",
        "::",
        "/",
        "origin.test",
    ] {
        assert!(!lower.contains(leak), "{what}: {text}");
    }
}

fn local() -> SocketAddr {
    "127.0.0.1:0".parse().expect("an address")
}

// ---- origins that fail before the response head

#[tokio::test]
async fn a_name_that_does_not_resolve() {
    let long = "a".repeat(300);
    for host in [
        "something.invalid",
        "two..dots.invalid",
        "under_score.invalid",
        &long,
    ] {
        let answer = ask(&Forward::new(), get(format!("http://{host}/path"))).await;
        assert_failed(&answer, 502, "dns_error", host);
    }
}

#[tokio::test]
async fn a_refused_connection_is_a_502() {
    let url = format!("http://{}/path", nowhere().await);
    let answer = ask(&Forward::new(), get(url)).await;
    assert_failed(&answer, 502, "connection_refused", "refused");
}

#[tokio::test]
async fn an_origin_that_closes_before_its_head() {
    let at_once = Raw::serving(async |_| ()).await;
    let after_request = Raw::once("").await;
    let within_line = Raw::once("HTTP/1.1 20").await;
    let within_head = Raw::once("HTTP/1.1 200 OK\r\ncontent-le").await;
    let after_hint = Raw::once("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n").await;
    let reset = Raw::serving(async |mut connection| {
        connection.head().await;
        connection.stream.set_zero_linger().expect("an option");
    })
    .await;
    let good = Raw::answering(OK).await;
    let forward = Forward::new();
    for (what, origin) in [
        ("at once", &at_once),
        ("after the request", &after_request),
        ("within the first line", &within_line),
        ("within the head", &within_head),
        ("after a hint", &after_hint),
        ("by a reset", &reset),
    ] {
        let answer = ask(&forward, get(origin.url("/path"))).await;
        assert_failed(&answer, 502, "connection_terminated", what);
        // An error on a new connection is not retried: the request may have caused the error.
        assert_eq!(origin.connections(), 1, "{what}");
        assert_eq!(ask(&forward, get(good.url("/"))).await.text(), "ok");
    }
}

#[tokio::test]
async fn a_head_that_is_nearly_too_long() {
    let long = "x".repeat(120 << 10);
    let head = format!("HTTP/1.1 200 OK\r\nx: {long}\r\ncontent-length: 2\r\n\r\nok");
    let origin = Raw::once(head).await;
    let answer = ask(&Forward::new(), get(origin.url("/path"))).await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
}

#[tokio::test]
async fn a_response_that_is_not_http() {
    let many = "x: y\r\n".repeat(200);
    let forward = Forward::new();
    let good = Raw::answering(OK).await;
    for bytes in [
        "garbage\r\n\r\n".to_owned(),
        "SSH-2.0-OpenSSH_9.2p1 Debian\r\n".to_owned(),
        "\x15\x03\x03\0\x02\x02\x28".to_owned(),
        "<html>HTTP 0.9</html>\r\n\r\n".to_owned(),
        "HTTP/9.9 200 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 20 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 000 OK\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nx: a\r\n folded\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab".to_owned(),
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
        format!("HTTP/1.1 200 OK\r\n{many}\r\n"),
        format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(384 << 10)),
    ] {
        let what = &bytes[..bytes.len().min(60)].to_owned();
        let origin = Raw::once(bytes).await;
        let answer = ask(&forward, get(origin.url("/path"))).await;
        assert_failed(&answer, 502, "http_protocol_error", what);
        assert_eq!(ask(&forward, get(good.url("/"))).await.text(), "ok");
    }
}

#[tokio::test]
async fn a_transfer_coding_that_would_be_lost() {
    for coding in ["gzip, chunked", "gzip"] {
        let head = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: {coding}\r\n\r\n0\r\n\r\n");
        let origin = Raw::once(head).await;
        let answer = ask(&Forward::new(), get(origin.url("/"))).await;
        assert_failed(&answer, 502, "http_response_transfer_coding", coding);
    }
}

#[tokio::test]
async fn an_unrequested_101_is_a_502() {
    let switch = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    let origin = Raw::answering(switch).await;
    let answer = ask(&Forward::new(), get(origin.url("/"))).await;
    assert_failed(&answer, 502, "http_protocol_error", "101");
    let named = ProxyHost::http().name("tower-traffic");
    let proxy = proxy(named, Forward::new()).await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let answer = ask_as(proxy.addr, version, get(origin.url("/"))).await;
        assert_failed(&answer, 502, "http_protocol_error", "101");
    }
}

/// With `Transfer-Encoding`, `Content-Length` is ignored (RFC 9112, 6.3).
#[tokio::test]
async fn an_answer_with_two_lengths_has_one() {
    for length in ["3", "300"] {
        let origin = Raw::answering(format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\ntransfer-encoding: chunked\r\n\r\n\
             5\r\nhello\r\n0\r\n\r\n"
        ))
        .await;
        let answer = ask(&Forward::new(), get(origin.url("/"))).await;
        assert_eq!(answer.text(), "hello");
        assert_eq!(answer.headers.get("content-length"), None);
        let proxy = proxy(ProxyHost::http(), Forward::new()).await;
        for version in [Version::HTTP_11, Version::HTTP_2] {
            let answer = ask_as(proxy.addr, version, get(origin.url("/"))).await;
            assert_eq!(answer.text(), "hello");
            assert_eq!(answer.headers.get("content-length"), None);
        }
    }
}

#[tokio::test]
async fn hints_before_the_answer_are_passed_over() {
    let hint = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>\r\n\r\n";
    let origin = Raw::answering(format!("HTTP/1.1 102 Processing\r\n\r\n{hint}{hint}{OK}")).await;
    let answer = ask(&Forward::new(), get(origin.url("/"))).await;
    assert_eq!((answer.status, answer.text()), (200, "ok".to_owned()));
    assert_eq!(answer.headers.get("link"), None);
}

#[tokio::test]
async fn invalid_targets_are_refused() {
    let forward = Forward::new();
    for uri in [
        "/path",
        "*",
        "ftp://example.com/",
        "ws://example.com/",
        "example.com:80",
    ] {
        let answer = ask(&forward, get(uri)).await;
        assert_eq!(answer.status, 400, "{uri}");
    }
    let answer = ask(&forward, request("CONNECT", "example.com:443", empty())).await;
    assert_eq!(answer.status, 405);
    assert!(answer.headers.contains_key("allow"));
}

/// Every form of an address that the C library accepts.
#[tokio::test]
async fn a_host_that_resolves_to_a_link_local_address() {
    let forward = Forward::new();
    for host in [
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "0251.0376.0251.0376",
        "169.254.43518",
        "0xa9.0xfe.0xa9.0xfe",
        "[::ffff:169.254.169.254]",
        "[fe80::1]",
        "metadata.google.internal",
    ] {
        let answer = ask(&forward, get(format!("http://{host}/latest/meta-data"))).await;
        assert_failed(&answer, 403, "destination_ip_prohibited", host);
        // Some hosts cannot have a certificate, and are refused before the name is resolved.
        let answer = ask(&forward, get(format!("https://{host}/latest/meta-data"))).await;
        if answer.status == 502 {
            assert_failed(&answer, 502, "tls_certificate_error", host);
        } else {
            assert_failed(&answer, 403, "destination_ip_prohibited", host);
        }
    }
}

#[tokio::test]
async fn a_metadata_service_is_reached_if_allowed() {
    let origin = Raw::answering(OK).await;
    let forward = Forward::new()
        .resolve("metadata.google.internal", origin.addr)
        .allow_link_local(true);
    let proxy = proxy(ProxyHost::http().allow_link_local(true), forward).await;
    let request = get("http://metadata.google.internal/");
    assert_eq!(
        ask_as(proxy.addr, Version::HTTP_11, request).await.text(),
        "ok"
    );
}

#[tokio::test]
async fn a_resolved_host_is_found_in_any_case_and_at_any_port() {
    let origin = Raw::answering(OK).await;
    let port = origin.addr.port();
    let forward = Forward::new()
        .resolve("with-port.test", origin.addr)
        .resolve("any-port.test", local());
    for uri in [
        "http://with-port.test/".to_owned(),
        "http://WITH-PORT.test/".to_owned(),
        format!("http://with-port.test:{port}/"),
        format!("http://any-port.test:{port}/"),
    ] {
        assert_eq!(ask(&forward, get(&uri)).await.text(), "ok", "{uri}");
    }
    let seen = &origin.heads()[0];
    assert_eq!(values(seen, "host"), ["with-port.test"]);
}

// ---- TLS

fn answers_hi() -> Router {
    Router::new().fallback_service(Origin::new(|request| {
        reply(200, full(format!("hi over {:?}", request.version())))
    }))
}

#[tokio::test]
async fn the_origin_selects_the_protocol_by_alpn() {
    let authority = Authority::new();
    let forward = authority.forward().resolve("origin.test", local());
    for (protocols, expected) in [
        (HTTP1, "hi over HTTP/1.1"),
        (HTTP2, "hi over HTTP/2.0"),
        (HTTP1_AND_2, "hi over HTTP/2.0"),
        // A server without ALPN.
        (&[], "hi over HTTP/1.1"),
    ] {
        let config = authority.certify("origin.test", protocols);
        let origin = TlsServer::start(config, answers_hi()).await;
        let url = format!("https://origin.test:{}/", origin.addr.port());
        for _ in 0..3 {
            assert_eq!(ask(&forward, get(&url)).await.text(), expected);
        }
        assert_eq!(origin.connections(), 1);
    }
}

#[tokio::test]
async fn certificates_of_addresses_are_checked_as_such() {
    let authority = Authority::new();
    let origin = TlsServer::start(authority.certify("127.0.0.1", HTTP1), answers_hi()).await;
    let url = format!("https://{}/", origin.addr);
    assert_eq!(ask(&authority.forward(), get(&url)).await.status, 200);
}

#[tokio::test]
async fn invalid_certificates_have_distinct_errors() {
    let authority = Authority::new();
    let other = Authority::new();
    let forward = authority.forward().resolve("origin.test", local());
    for (config, reason) in [
        (other.certify("origin.test", HTTP1), "not"),
        (authority.certify("other.test", HTTP1), "name"),
        (authority.certify_until_2001("origin.test"), "expired"),
    ] {
        let origin = TlsServer::start(config, answers_hi()).await;
        let url = format!("https://origin.test:{}/path", origin.addr.port());
        let answer = ask(&forward, get(&url)).await;
        assert_failed(&answer, 502, "tls_certificate_error", reason);
        assert!(answer.text().contains(reason), "{}", answer.text());
    }
}

#[tokio::test]
async fn plain_text_behind_https_is_a_502() {
    let plain = Raw::serving(async |mut connection| {
        // The response of a plain server to a TLS handshake.
        let _ = connection.stream.read_u8().await;
        connection
            .say("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            .await;
        connection.rest().await;
    })
    .await;
    let alert = Raw::serving(async |mut connection| {
        let _ = connection.stream.read_u8().await;
        connection.say(b"\x15\x03\x03\x00\x02\x02\x28").await;
        connection.rest().await;
    })
    .await;
    let closes = Raw::serving(async |mut connection| {
        let mut hello = [0; 1024];
        let _ = connection.stream.read(&mut hello).await;
    })
    .await;
    let forward = Authority::new().forward();
    for (origin, error) in [
        (&plain, "tls_protocol_error"),
        (&alert, "tls_alert_received"),
        (&closes, "connection_terminated"),
    ] {
        let url = format!("https://{}/path", origin.addr);
        let answer = ask(&forward, get(&url)).await;
        assert_failed(&answer, 502, error, error);
    }
}

#[tokio::test]
async fn tls_behind_http() {
    let authority = Authority::new();
    let origin = TlsServer::start(authority.certify("127.0.0.1", HTTP1), answers_hi()).await;
    let answer = ask(&Forward::new(), get(format!("http://{}/path", origin.addr))).await;
    assert_failed(&answer, 502, "http_protocol_error", "TLS behind http");
}

#[tokio::test]
async fn system_roots_do_not_trust_a_test_authority() {
    let authority = Authority::new();
    let origin = TlsServer::start(authority.certify("127.0.0.1", HTTP1), answers_hi()).await;
    let url = format!("https://{}/path", origin.addr);
    for forward in [Forward::new(), Forward::new().system_roots(false)] {
        let answer = ask(&forward, get(&url)).await;
        assert_failed(&answer, 502, "tls_certificate_error", "the system's");
    }
    // Added roots complement the system's roots.
    let both = Forward::new().add_roots(authority.pem()).expect("roots");
    assert_eq!(ask(&both, get(&url)).await.status, 200);
}

#[test]
fn invalid_roots_are_errors() {
    let good = Authority::new().pem();
    let bad = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let add = |pem: &str| Forward::new().add_roots(pem).map(drop);
    assert_eq!(add(""), Err(InvalidCertificate::Missing));
    assert_eq!(add("no PEM at all"), Err(InvalidCertificate::Missing));
    let key = "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n";
    assert_eq!(add(key), Err(InvalidCertificate::Missing));
    for text in [
        "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n",
        "-----BEGIN CERTIFICATE-----\nAAAA\n",
    ] {
        let error = add(text).expect_err(text);
        assert!(
            matches!(error, InvalidCertificate::InvalidPem(_)),
            "{error:?}"
        );
    }
    assert!(matches!(
        add(bad),
        Err(InvalidCertificate::InvalidRoot { number: 1, .. })
    ));
    let error = add(&format!("{good}{bad}")).expect_err("a bad one");
    assert!(matches!(
        error,
        InvalidCertificate::InvalidRoot { number: 2, .. }
    ));
    assert!(
        error
            .to_string()
            .starts_with("invalid root certificate 2: "),
        "{error}"
    );
    assert_eq!(add(&format!("{good}{good}")), Ok(()));
    assert!(Forward::new().add_roots(b"\xff\xfe").is_err());
}

// ---- time limits: the clock is paused, and advances when all tasks are idle

async fn hangs() -> Raw {
    Raw::serving(async |mut connection| {
        connection.rest().await;
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_never_answers() {
    let origin = hangs().await;
    let minute = Duration::from_mins(1);
    for (forward, limit) in [
        (Forward::new(), minute),
        (Forward::new().head_timeout(90 * minute), 90 * minute),
    ] {
        let began = Instant::now();
        let answer = ask(&forward, get(origin.url("/path"))).await;
        assert_failed(&answer, 504, "http_response_timeout", "never answers");
        assert_eq!(began.elapsed().as_secs(), limit.as_secs());
    }
    let half = Raw::serving(async |mut connection| {
        connection.head().await;
        connection.say("HTTP/1.1 200 OK\r\ncontent-le").await;
        connection.rest().await;
    })
    .await;
    let answer = ask(&Forward::new(), get(half.url("/path"))).await;
    assert_failed(&answer, 504, "http_response_timeout", "half a head");
    // The proxy still works.
    let good = Raw::answering(OK).await;
    assert_eq!(ask(&Forward::new(), get(good.url("/"))).await.text(), "ok");
}

/// A frame of HTTP/2 (RFC 9113, 4.1).
fn frame(kind: u8, stream: u32, content: &[u8]) -> Vec<u8> {
    let len = u32::try_from(content.len()).expect("a small frame");
    let mut frame = len.to_be_bytes()[1..].to_vec();
    frame.extend([kind, 0]);
    frame.extend(stream.to_be_bytes());
    frame.extend(content);
    frame
}

/// An HTTP/2 origin that answers the first request of each connection with these frames.
async fn http2_origin(frames: Vec<u8>) -> Raw {
    const SETTINGS: u8 = 4;
    const HEADERS: u8 = 1;
    Raw::serving(move |mut connection| {
        let frames = frames.clone();
        async move {
            connection.say(frame(SETTINGS, 0, &[])).await;
            let mut preface = [0; 24];
            let stream = &mut connection.stream;
            if stream.read_exact(&mut preface).await.is_err() {
                return;
            }
            let mut head = [0; 9];
            while stream.read_exact(&mut head).await.is_ok() {
                let len = u32::from_be_bytes([0, head[0], head[1], head[2]]);
                let mut content = vec![0; len as usize];
                if stream.read_exact(&mut content).await.is_err() {
                    return;
                }
                if head[3] == HEADERS {
                    break;
                }
            }
            connection.say(&frames).await;
            connection.rest().await;
        }
    })
    .await
}

#[tokio::test]
async fn an_http2_origin_that_fails_is_not_called_unreachable() {
    const DATA: u8 = 0;
    const RST_STREAM: u8 = 3;
    const GOAWAY: u8 = 7;
    let reset = |code: u32| frame(RST_STREAM, 1, &code.to_be_bytes());
    let go_away = |code: u32| frame(GOAWAY, 0, &[[0; 4], code.to_be_bytes()].concat());
    let terminated = "connection_terminated";
    let broken = "http_protocol_error";
    let mut broken_head = frame(1, 1, &[0xff, 0xff, 0xff]);
    // END_HEADERS.
    broken_head[4] = 4;
    let mut cases = vec![
        // The frame breaks the rules: no head, an unknown stream, garbage, and HTTP/1.
        (
            frame(DATA, 1, b"hello"),
            broken,
            "a body without a head".to_owned(),
        ),
        (
            frame(DATA, 0, b"hello"),
            broken,
            "data of no stream".to_owned(),
        ),
        (
            frame(RST_STREAM, 1, b"abc"),
            broken,
            "a wrong size".to_owned(),
        ),
        // A whole head of three undefined bytes of HPACK.
        (broken_head, broken, "a broken head".to_owned()),
        (OK.as_bytes().to_vec(), broken, "HTTP/1".to_owned()),
    ];
    // NO_ERROR, INTERNAL_ERROR, REFUSED_STREAM, CANCEL, CONNECT_ERROR, ENHANCE_YOUR_CALM.
    for code in [0, 2, 7, 8, 10, 11] {
        cases.push((reset(code), terminated, format!("reset {code}")));
        cases.push((go_away(code), terminated, format!("go away {code}")));
    }
    // PROTOCOL_ERROR, FLOW_CONTROL_ERROR, SETTINGS_TIMEOUT, STREAM_CLOSED, FRAME_SIZE_ERROR,
    // COMPRESSION_ERROR, INADEQUATE_SECURITY, HTTP_1_1_REQUIRED, and an unknown code.
    for code in [1, 3, 4, 5, 6, 9, 12, 13, 99] {
        cases.push((reset(code), broken, format!("reset {code}")));
        cases.push((go_away(code), broken, format!("go away {code}")));
    }
    for (frames, error, what) in cases {
        let origin = http2_origin(frames).await;
        let forward = Forward::new().http2_only(true);
        let answer = soon(ask(&forward, get(origin.url("/path")))).await;
        assert_eq!(answer.status, 502, "{what}: {}", answer.text());
        assert_eq!(
            answer.headers["proxy-status"],
            format!("tower-traffic; error={error}"),
            "{what}: {}",
            answer.text()
        );
        assert!(
            !answer.text().contains("reach"),
            "{what}: {}",
            answer.text()
        );
        assert_eq!(origin.connections(), 1, "{what}");
    }
}

/// All requests share an HTTP/2 connection. After its peer has vanished, the connection is closed.
#[tokio::test(start_paused = true)]
async fn an_http2_origin_that_vanishes() {
    let origin = hangs().await;
    let forward = Forward::new().http2_only(true).head_timeout(None);
    let answer = ask(&forward, get(origin.url("/path"))).await;
    assert_failed(&answer, 502, "destination_unavailable", "vanished");
    ask(&forward, get(origin.url("/path"))).await;
    assert_eq!(origin.connections(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_origin_that_hangs_in_the_tls_handshake() {
    let origin = hangs().await;
    let forward = Authority::new().forward().head_timeout(None);
    for (forward, seconds) in [
        (forward.clone(), 10),
        (forward.connect_timeout(Duration::from_secs(3)), 3),
    ] {
        let began = Instant::now();
        let answer = ask(&forward, get(format!("https://{}/path", origin.addr))).await;
        assert_failed(&answer, 504, "connection_timeout", "TLS");
        assert_eq!(began.elapsed().as_secs(), seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn the_head_timeout_limits_the_wait() {
    let late = Raw::serving(async |mut connection| {
        connection.head().await;
        sleep(Duration::from_secs(50)).await;
        connection.say(OK).await;
    })
    .await;
    let ask_with = |forward: Forward| {
        let url = late.url("/");
        async move { ask(&forward, get(url)).await.status }
    };
    assert_eq!(ask_with(Forward::new()).await, 200);
    assert_eq!(ask_with(Forward::new().head_timeout(None)).await, 200);
    assert_eq!(
        ask_with(Forward::new().head_timeout(Duration::from_secs(49))).await,
        504
    );
}

/// The time limit is for the response head: a body may be streamed for days.
#[tokio::test(start_paused = true)]
async fn a_slow_body_is_not_cut() {
    let slow = Raw::serving(async |mut connection| {
        connection.head().await;
        connection
            .say("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n")
            .await;
        for byte in ["a", "b", "c"] {
            sleep(Duration::from_hours(24)).await;
            connection.say(byte).await;
        }
    })
    .await;
    assert_eq!(ask(&Forward::new(), get(slow.url("/"))).await.text(), "abc");
}

#[tokio::test(start_paused = true)]
async fn a_slow_upload_with_progress_succeeds() {
    let origin = Server::start(Router::new().fallback_service(Origin::new(|request| {
        reply(200, full(request.body().clone()))
    })))
    .await;
    let upload = |pauses: &'static [u64]| {
        let (sender, body) = channel();
        tokio::spawn(async move {
            for &pause in pauses {
                sleep(Duration::from_secs(pause)).await;
                sender.data("x");
            }
        });
        let request = request("POST", origin.url("/"), body);
        async move { ask(&Forward::new(), request).await }
    };
    assert_eq!(upload(&[50; 10]).await.text(), "xxxxxxxxxx");
    let answer = upload(&[50, 130, 50]).await;
    assert_failed(&answer, 504, "http_response_timeout", "a stalled upload");
}

// ---- kept connections

#[tokio::test]
async fn one_connection_serves_many_requests_and_clones() {
    let origin = Raw::answering(OK).await;
    let forward = Forward::new();
    for _ in 0..10 {
        assert_eq!(
            ask(&forward.clone(), get(origin.url("/"))).await.text(),
            "ok"
        );
    }
    assert_eq!((origin.connections(), origin.heads().len()), (1, 10));
}

#[tokio::test]
async fn connections_are_pooled_across_clients() {
    let origin = Raw::answering(OK).await;
    let proxy = proxy(ProxyHost::http(), Forward::new()).await;
    for version in [Version::HTTP_11, Version::HTTP_2, Version::HTTP_11] {
        let request = with(get(origin.url("/")), "connection", "close");
        assert_eq!(ask_as(proxy.addr, version, request).await.text(), "ok");
    }
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn without_idle_connections_none_is_kept() {
    let origin = Raw::answering(OK).await;
    let forward = Forward::new().max_idle_per_host(0);
    for _ in 0..3 {
        ask(&forward, get(origin.url("/"))).await;
    }
    assert_eq!(origin.connections(), 3);
}

#[tokio::test]
async fn a_closing_origin_gets_a_new_connection() {
    let close = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
    for answer in [close, "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok"] {
        let origin = Raw::once(answer).await;
        let forward = Forward::new();
        for method in ["GET", "POST", "GET"] {
            let answer = ask(&forward, request(method, origin.url("/"), empty())).await;
            assert_eq!(answer.text(), "ok");
        }
        assert_eq!((origin.connections(), origin.heads().len()), (3, 3));
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_kept_until_the_idle_timeout() {
    let hour = Duration::from_hours(1);
    for (forward, limit) in [
        (Forward::new(), 90),
        (Forward::new().idle_timeout(hour), 3600),
    ] {
        let origin = Raw::answering(OK).await;
        for (pause, connections) in [(limit - 1, 1), (limit - 1, 1), (limit + 1, 2)] {
            ask(&forward, get(origin.url("/"))).await;
            sleep(Duration::from_secs(pause)).await;
            ask(&forward, get(origin.url("/"))).await;
            assert_eq!(origin.connections(), connections, "after {pause} s");
        }
    }
}

// ---- retries

/// Responds to the first request of the first connection, and hangs up on the second request.
async fn hangs_up_on_the_second() -> Raw {
    Raw::serving(async |mut connection| {
        connection.head().await;
        connection.say(OK).await;
        if connection.number > 0 {
            while connection.head().await.is_some() {
                connection.say(OK).await;
            }
        }
        // The second request of the first connection is read without a response.
        connection.head().await;
    })
    .await
}

#[tokio::test]
async fn repeatable_requests_are_retried_on_a_closed_connection() {
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"] {
        let origin = hangs_up_on_the_second().await;
        let forward = Forward::new();
        ask(&forward, get(origin.url("/first"))).await;
        let again = with(
            request(method, origin.url("/again?q"), empty()),
            "x-kept",
            "yes",
        );
        let answer = ask(&forward, again).await;
        assert_eq!(answer.status, 200, "{method}: {}", answer.text());
        let heads = origin.heads();
        assert_eq!(heads.len(), 3, "{method}: {heads:?}");
        assert_eq!(heads[1], heads[2]);
        assert!(heads[2].starts_with(&format!("{method} /again?q HTTP/1.1\r\n")));
        assert_eq!(values(&heads[2], "x-kept"), ["yes"]);
        assert_eq!(origin.connections(), 2);
    }
}

#[tokio::test]
async fn a_kept_connection_with_tls_that_was_dropped_is_replaced() {
    let authority = Authority::new();
    let forward = authority.forward();
    for protocols in [HTTP1, HTTP2] {
        let config = authority.certify("127.0.0.1", protocols);
        let origin = TlsServer::start(config, answers_hi()).await;
        let url = format!("https://{}/", origin.addr);
        for connections in 1..10 {
            let answer = ask(&forward, get(&url)).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(origin.connections(), connections);
            // With and without time for the proxy to notice that the connection was closed.
            origin.hang_up();
            if connections % 2 == 0 {
                tokio::task::yield_now().await;
            }
        }
    }
}

#[tokio::test]
async fn other_requests_are_not_retried() {
    let ask_again: [fn(String) -> Request<Body>; 5] = [
        |url| request("POST", url, empty()),
        |url| post(url, "content"),
        |url| request("PATCH", url, full("content")),
        // The content of a PUT was already sent.
        |url| request("PUT", url, full("content")),
        |url| request("BREW", url, empty()),
    ];
    for make in ask_again {
        let origin = hangs_up_on_the_second().await;
        let forward = Forward::new();
        ask(&forward, get(origin.url("/first"))).await;
        let request = make(origin.url("/again"));
        let method = request.method().to_string();
        let answer = ask(&forward, request).await;
        assert_failed(&answer, 502, "connection_terminated", &method);
        assert_eq!(
            (origin.connections(), origin.heads().len()),
            (1, 2),
            "{method}"
        );
    }
}

#[tokio::test]
async fn a_request_is_sent_at_most_twice() {
    // Every connection responds to its first request only.
    let origin = Raw::serving(async |mut connection| {
        connection.head().await;
        if connection.number == 0 {
            connection.say(OK).await;
            connection.head().await;
        }
    })
    .await;
    let forward = Forward::new();
    ask(&forward, get(origin.url("/first"))).await;
    let answer = ask(&forward, get(origin.url("/again"))).await;
    assert_failed(&answer, 502, "connection_terminated", "twice");
    assert_eq!((origin.connections(), origin.heads().len()), (2, 3));
}

#[tokio::test(start_paused = true)]
async fn a_late_response_is_not_retried() {
    let origin = Raw::serving(async |mut connection| {
        connection.head().await;
        connection.say(OK).await;
        connection.rest().await;
    })
    .await;
    let forward = Forward::new();
    ask(&forward, get(origin.url("/first"))).await;
    let answer = ask(&forward, get(origin.url("/again"))).await;
    assert_failed(&answer, 504, "http_response_timeout", "late");
    assert_eq!(origin.connections(), 1);
}

#[tokio::test]
async fn error_responses_of_an_origin_pass() {
    for status in [400, 429, 500, 502, 503, 504] {
        let origin = Raw::answering(format!(
            "HTTP/1.1 {status} Whatever\r\nretry-after: 1\r\ncontent-length: 4\r\n\r\nbusy"
        ))
        .await;
        let answer = ask(&Forward::new(), get(origin.url("/"))).await;
        assert_eq!((answer.status, answer.text()), (status, "busy".to_owned()));
        assert_eq!(answer.headers.get("proxy-status"), None);
        assert_eq!(origin.heads().len(), 1);
    }
}

#[tokio::test]
async fn redirects_are_passed_on_and_content_stays_encoded() {
    let origin = Raw::answering(
        "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-encoding: gzip\r\n\
         content-length: 3\r\n\r\n\x1f\x08?",
    )
    .await;
    let answer = ask(&Forward::new(), get(origin.url("/"))).await;
    assert_eq!(answer.status, 302);
    assert_eq!(answer.headers["location"], "http://127.0.0.1:1/");
    assert_eq!(answer.headers["content-encoding"], "gzip");
    assert_eq!(answer.text(), "\x1f\x08?");
    // The proxy adds no headers that change the response.
    assert_eq!(
        origin.head(),
        format!("GET / HTTP/1.1\r\nhost: {}\r\n\r\n", origin.addr)
    );
}

/// Excess bytes after a response are not the response to the next request.
#[tokio::test]
async fn bytes_behind_an_answer_do_not_answer_the_next_request() {
    const MORE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nsmuggled";
    for (method, head) in [
        ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 46\r\n\r\n"),
        (
            "GET",
            "HTTP/1.1 204 No Content\r\ncontent-length: 46\r\n\r\n",
        ),
        (
            "GET",
            "HTTP/1.1 304 Not Modified\r\ncontent-length: 46\r\n\r\n",
        ),
        ("GET", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        (
            "GET",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
    ] {
        let origin = Raw::serving(move |mut connection| async move {
            while let Some(seen) = connection.head().await {
                if seen.contains("/victim ") {
                    connection.say(OK).await;
                } else {
                    connection.say(format!("{head}{MORE}")).await;
                }
            }
        })
        .await;
        let forward = Forward::new();
        for _ in 0..20 {
            ask(&forward, request(method, origin.url("/attack"), empty())).await;
            let answer = ask(&forward, get(origin.url("/victim"))).await;
            assert_eq!(answer.text(), "ok", "{head}");
        }
    }
}

// ---- requests with bodies

/// Keeps the request head and reads the body, either chunked or of the declared length.
async fn reads_bodies() -> Raw {
    Raw::serving(async |mut connection| {
        while let Some(head) = connection.head().await {
            let mut body = Vec::new();
            if values(&head, "transfer-encoding") == ["chunked"] {
                while !body.ends_with(b"0\r\n\r\n") {
                    body.push(connection.stream.read_u8().await.expect("a chunk"));
                }
            } else if let [len] = values(&head, "content-length")[..] {
                body.resize(len.parse().expect("a length"), 0);
                connection
                    .stream
                    .read_exact(&mut body)
                    .await
                    .expect("a body");
            }
            let body = String::from_utf8_lossy(&body);
            let len = body.len();
            connection
                .say(format!(
                    "HTTP/1.1 200 OK\r\ncontent-length: {len}\r\n\r\n{body}"
                ))
                .await;
        }
    })
    .await
}

#[tokio::test]
async fn bodies_are_framed_by_their_known_length() {
    let origin = reads_bodies().await;
    let forward = Forward::new();
    for method in ["GET", "POST", "PUT", "DELETE", "QUERY"] {
        let known = ask(&forward, request(method, origin.url("/"), full("content"))).await;
        assert_eq!(known.text(), "content", "{method}");
        // A body of unknown length, as when the client sends chunks; also with GET.
        let chunks = frames([data("con"), data("tent")]);
        let chunked = ask(&forward, request(method, origin.url("/"), chunks)).await;
        assert_eq!(
            chunked.text(),
            "3\r\ncon\r\n4\r\ntent\r\n0\r\n\r\n",
            "{method}"
        );
    }
    for (method, expected) in [
        ("GET", [""; 0].as_slice()),
        ("POST", &["0"]),
        ("PUT", &["0"]),
    ] {
        ask(&forward, request(method, origin.url("/"), empty())).await;
        let heads = origin.heads();
        let head = heads.last().expect("a request");
        // Some servers respond with 411 to a request without `Content-Length` (RFC 9110, 8.6).
        assert_eq!(values(head, "content-length"), expected, "{method}");
    }
}

#[tokio::test]
async fn a_request_that_breaks_off_breaks_off_at_the_origin() {
    let origin = Raw::serving(async |mut connection| {
        let head = connection.head().await.expect("a head");
        if head.starts_with("POST") {
            let rest = connection.rest().await;
            assert_eq!(rest, "5\r\nfirst\r\n", "no last chunk");
            return;
        }
        connection.say(OK).await;
    })
    .await;
    let forward = Forward::new();
    let broken = frames([data("first"), broken("gone")]);
    let answer = ask(&forward, request("POST", origin.url("/"), broken)).await;
    assert_failed(&answer, 400, "http_request_error", "broken");
    assert_eq!(ask(&forward, get(origin.url("/"))).await.text(), "ok");
}

/// For example, 413 for an upload that is too large.
#[tokio::test]
async fn an_answer_before_the_end_of_the_request_is_passed_on() {
    let origin = Raw::serving(async |mut connection| {
        connection.head().await;
        connection
            .say("HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nno!")
            .await;
        connection.rest().await;
    })
    .await;
    let (sender, body) = channel();
    sender.data("a start");
    let answer = soon(ask(&Forward::new(), request("POST", origin.url("/"), body))).await;
    assert_eq!((answer.status, answer.text()), (413, "no!".to_owned()));
}

/// The origin closes the connection before it has read the request. The response may be lost, but
/// the request does not hang.
#[tokio::test]
async fn an_origin_that_hangs_up_on_an_upload() {
    let origin = Raw::serving(async |mut connection| {
        connection.head().await;
        connection
            .say("HTTP/1.1 413 Content Too Large\r\nconnection: close\r\ncontent-length: 3\r\n\r\nno!")
            .await;
    })
    .await;
    let content = support::random_bytes(8 << 20);
    let proxy = proxy(ProxyHost::http(), Forward::new()).await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let upload = post(origin.url("/"), content.clone());
        let answer = ask_as(proxy.addr, version, upload).await;
        assert!([413, 502].contains(&answer.status), "{}", answer.text());
    }
    let answer = ask(&Forward::new(), post(origin.url("/"), content)).await;
    assert!([413, 502].contains(&answer.status), "{}", answer.text());
}

#[tokio::test]
async fn a_large_body_arrives_whole_both_ways() {
    let content: Bytes = support::random_bytes(8 << 20);
    let origin = Origin::new(|request| reply(200, full(request.body().clone())));
    let authority = Authority::new();
    let app = Router::new().fallback_service(origin);
    for protocols in [HTTP1, HTTP2] {
        let origin = TlsServer::start(authority.certify("127.0.0.1", protocols), app.clone()).await;
        let url = format!("https://{}/", origin.addr);
        let answer = ask(&authority.forward(), post(&url, content.clone())).await;
        assert!(answer.body == content);
    }
}
