//! `curl` through a proxy: the same responses as without a proxy.
//!
//! Without `curl`, these tests are reported as ignored.

use std::process::ExitCode;

use axum::Router;
use interop::curl::{Curl, curl, curl_sending};
use libtest_mimic::Arguments;
use support::origins::{Authority, HTTP1_AND_2, Raw, TlsServer, nowhere, proxy, values};
use support::{Origin, Server, frames, full, reply};
use tower_traffic::{Forward, ProxyHost};

fn main() -> ExitCode {
    let curl = Curl::find();
    macro_rules! trials {
        ($needs_http2:literal: $($test:ident),* $(,)?) => {
            [$(curl.trial(stringify!($test), $needs_http2, $test)),*]
        };
    }
    let mut trials = Vec::from(trials![
        false:
        gets_and_posts,
        reuses_its_connection,
        speaks_http_1_0,
        waits_for_100_continue,
        sends_its_input,
        asks_for_heads_only,
        keeps_its_password_for_the_proxy,
        tunnels,
        tunnels_to_tls,
        is_refused_tunnels,
        sees_the_reason_of_a_refusal,
        sees_where_a_body_broke_off,
    ]);
    trials.extend(trials![true: speaks_http_2, is_not_upgraded_to_http_2]);
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// A server that responds with the request's method, target and body.
async fn echo() -> Server {
    let origin = Origin::new(|request| {
        let body = String::from_utf8_lossy(request.body()).into_owned();
        let text = format!("{} {} {body}", request.method(), request.uri());
        reply(200, full(text))
    });
    Server::start(Router::new().fallback_service(origin)).await
}

async fn gets_and_posts() {
    let origin = echo().await;
    let proxy = proxy(ProxyHost::http(), Forward::new()).await;
    let at = proxy.url("");
    let get = curl(["-x", &at, &origin.url("/a?b=1&c=%20")]).await;
    assert_eq!(
        (get.code, &*get.text),
        (0, "GET /a?b=1&c=%20 "),
        "{}",
        get.log
    );
    let post = curl(["-x", &at, "-d", "content", &origin.url("/a")]).await;
    assert_eq!(
        (post.code, &*post.text),
        (0, "POST /a content"),
        "{}",
        post.log
    );
    let delete = curl(["-x", &at, "-X", "DELETE", &origin.url("/a")]).await;
    assert_eq!(delete.text, "DELETE /a ");
    let options = curl([
        "-x",
        &at,
        "-X",
        "OPTIONS",
        "--request-target",
        "*",
        &origin.url("/"),
    ])
    .await;
    assert_eq!(options.text, "OPTIONS * ");
}

async fn reuses_its_connection() {
    let origin = Raw::answering("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n").await;
    let proxy = proxy(ProxyHost::http(), Forward::new()).await;
    let urls = [origin.url("/1"), origin.url("/2"), origin.url("/3")];
    let arguments = ["-v", "-x", &proxy.url("")];
    let curled = curl(arguments.into_iter().chain(urls.iter().map(String::as_str))).await;
    assert_eq!(
        (curled.code, &*curled.text),
        (0, "ok\nok\nok\n"),
        "{}",
        curled.log
    );
    let opened = curled.log.matches("* Connected to ").count();
    assert_eq!(opened, 1, "{}", curled.log);
    assert_eq!((origin.connections(), origin.heads().len()), (1, 3));
    for head in origin.heads() {
        // `curl` sends `Proxy-Connection: Keep-Alive`.
        assert_eq!(values(&head, "proxy-connection"), [""; 0], "{head}");
        assert_eq!(values(&head, "host"), [origin.addr.to_string()]);
    }
}

async fn speaks_http_1_0() {
    let origin = Server::start(Router::new().fallback_service(Origin::new(|_| {
        reply(200, frames([support::data("in "), support::data("pieces")]))
    })))
    .await;
    let proxy = proxy(ProxyHost::http(), Forward::new()).await;
    let curled = curl(["-i", "-0", "-x", &proxy.url(""), &origin.url("/")]).await;
    assert_eq!(curled.code, 0, "{}", curled.log);
    assert!(
        curled.text.starts_with("HTTP/1.0 200 OK"),
        "{}",
        curled.text
    );
    assert!(
        curled.text.ends_with("\r\n\r\nin pieces"),
        "{}",
        curled.text
    );
}

async fn waits_for_100_continue() {
    let origin = echo().await;
    let proxy = proxy(ProxyHost::http(), Forward::new()).await;
    let content = "x".repeat(2000);
    let curled = curl([
        "-i",
        "-x",
        &proxy.url(""),
        "-H",
        "expect: 100-continue",
        // Longer than the time limit of the test: only the origin's response lets `curl` continue.
        "--expect100-timeout",
        "600",
        "-d",
        &content,
        &origin.url("/a"),
    ])
    .await;
    assert_eq!(curled.code, 0, "{}", curled.log);
    assert!(
        curled
            .text
            .starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")
    );
    assert!(curled.text.ends_with(&format!("POST /a {content}")));
}

async fn sends_its_input() {
    let origin = echo().await;
    let proxy = proxy(ProxyHost::http(), Forward::new()).await;
    let arguments = ["-x", &proxy.url(""), "-T", "-", &origin.url("/a")];
    let curled = curl_sending(arguments, "from a pipe").await;
    assert_eq!(
        (curled.code, &*curled.text),
        (0, "PUT /a from a pipe"),
        "{}",
        curled.log
    );
}

async fn asks_for_heads_only() {
    let origin = Raw::answering("HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n").await;
    let proxy = proxy(ProxyHost::http(), Forward::new()).await;
    let curled = curl(["-I", "-x", &proxy.url(""), &origin.url("/")]).await;
    assert_eq!(curled.code, 0, "{}", curled.log);
    assert_eq!(values(&curled.text, "content-length"), ["1234"]);
}

async fn keeps_its_password_for_the_proxy() {
    let origin = Raw::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let proxy = proxy(ProxyHost::http(), Forward::new()).await;
    let arguments = ["-x", &proxy.url(""), "-U", "bob:secret", "-u", "ann:word"];
    let curled = curl(arguments.into_iter().chain([&*origin.url("/")])).await;
    assert_eq!(curled.code, 0, "{}", curled.log);
    let head = origin.head();
    assert_eq!(values(&head, "proxy-authorization"), [""; 0], "{head}");
    assert_eq!(values(&head, "authorization"), ["Basic YW5uOndvcmQ="]);
}

async fn tunnels() {
    let origin = echo().await;
    let proxy = proxy(ProxyHost::http().allow_connect(true), Forward::new()).await;
    let curled = curl(["-v", "-p", "-x", &proxy.url(""), &origin.url("/a")]).await;
    assert_eq!(
        (curled.code, &*curled.text),
        (0, "GET /a "),
        "{}",
        curled.log
    );
    assert!(curled.log.contains("> CONNECT "), "{}", curled.log);
}

async fn tunnels_to_tls() {
    let authority = Authority::new();
    let app = Router::new().fallback_service(Origin::saying("a secret"));
    let origin = TlsServer::start(authority.certify("origin.test", HTTP1_AND_2), app).await;
    let forward = Forward::new().resolve("origin.test", origin.addr);
    let proxy = proxy(ProxyHost::https().allow_connect(true), forward).await;
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    std::io::Write::write_all(&mut file, authority.pem().as_bytes()).expect("written");
    let trusted = file.path().to_str().expect("a path");
    let url = format!("https://origin.test:{}/", origin.addr.port());
    let at = proxy.url("");
    let curled = curl(["-x", &at, "--cacert", trusted, &url]).await;
    assert_eq!(
        (curled.code, &*curled.text),
        (0, "a secret"),
        "{}",
        curled.log
    );
    // The certificate is the origin's own, and `curl` does not trust its issuer.
    assert_eq!(curl(["-x", &at, &url]).await.code, 60);
}

async fn is_refused_tunnels() {
    let origin = echo().await;
    let proxy = proxy(ProxyHost::http(), Forward::new()).await;
    let curled = curl(["-v", "-p", "-x", &proxy.url(""), &origin.url("/a")]).await;
    assert_eq!(curled.code, 56, "{}", curled.log);
    assert!(curled.log.contains("< HTTP/1.1 405 "), "{}", curled.log);
    assert!(
        curled.log.contains("< allow: GET, HEAD, POST"),
        "{}",
        curled.log
    );
}

async fn sees_the_reason_of_a_refusal() {
    let proxy = proxy(ProxyHost::http().name("proxy.test"), Forward::new()).await;
    for (url, status, error, reason) in [
        (
            format!("http://{}/", nowhere().await),
            502,
            "connection_refused",
            "the origin refused the connection",
        ),
        (
            "http://something.invalid/".to_owned(),
            502,
            "dns_error",
            "cannot resolve the host name of the origin",
        ),
        (
            "http://169.254.169.254/".to_owned(),
            403,
            "destination_ip_prohibited",
            "link-local or metadata address 169.254.169.254 is not allowed by this proxy",
        ),
        (
            proxy.url("/"),
            508,
            "proxy_loop_detected",
            "proxy loop: the request has passed this proxy before",
        ),
    ] {
        let curled = curl(["-x", &proxy.url(""), &url]).await;
        assert_eq!(curled.code, 0, "{}", curled.log);
        let head = &curled.head;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        let expected = format!("proxy.test; error={error}");
        assert_eq!(curled.values("proxy-status"), [&*expected]);
        // One line, without a full stop.
        assert_eq!(curled.text, format!("{reason}\n"));
    }
}

async fn sees_where_a_body_broke_off() {
    let proxy = proxy(ProxyHost::http(), Forward::new()).await;
    for (head, content) in [
        ("content-length: 100", "hello"),
        ("transfer-encoding: chunked", "5\r\nhello\r\n"),
    ] {
        let origin = Raw::once(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{content}")).await;
        let curled = curl(["-x", &proxy.url(""), &origin.url("/")]).await;
        assert_eq!(
            (curled.code, &*curled.text),
            (18, "hello"),
            "{}",
            curled.log
        );
    }
}

async fn speaks_http_2() {
    let origin = echo().await;
    for forward in [Forward::new(), Forward::new().http2_only(true)] {
        let upstream = ProxyHost::upstream(origin.url("/base")).expect("an upstream");
        let proxy = proxy(upstream, forward).await;
        let arguments = ["-i", "--http2-prior-knowledge", "-d", "content"];
        let curled = curl(arguments.into_iter().chain([&*proxy.url("/a")])).await;
        assert_eq!(curled.code, 0, "{}", curled.log);
        assert!(curled.text.starts_with("HTTP/2 200"), "{}", curled.text);
        assert!(curled.text.contains("/base/a content"), "{}", curled.text);
    }
}

/// `--http2` requests an upgrade, which would bypass the proxy.
async fn is_not_upgraded_to_http_2() {
    let origin = Raw::serving(async |mut connection| {
        while let Some(head) = connection.head().await {
            assert_eq!(values(&head, "upgrade"), [""; 0], "{head}");
            assert_eq!(values(&head, "http2-settings"), [""; 0], "{head}");
            connection
                .say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await;
        }
    })
    .await;
    let proxy = proxy(
        ProxyHost::upstream(origin.url("")).expect("an upstream"),
        Forward::new(),
    )
    .await;
    let curled = curl(["-i", "--http2", &proxy.url("/")]).await;
    assert!(
        curled.text.starts_with("HTTP/1.1 200 OK\r\n"),
        "{}",
        curled.text
    );
    assert!(curled.text.ends_with("\r\n\r\nok"), "{}", curled.text);
}
