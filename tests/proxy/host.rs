//! `ProxyHost`: targets, headers of requests and responses, and refused requests.

use std::{
    future::poll_fn,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{Router, extract::ConnectInfo};
use http::{HeaderMap, HeaderValue, Request, Version};
use support::origins::{
    Authority, HTTP1, HTTP1_AND_2, HTTP2, Raw, TlsServer, ask_as, proxy, read_head, talk, values,
};
use support::{
    Answer, Body, Origin, Server, all_kinds, all_requests, ask, empty, fields, full, get, http1,
    http2, read, reply, request, soon, with,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, limit::ConcurrencyLimitLayer, service_fn};
use tower_traffic::{Forward, ProxyHost, RecordedRequest};

/// Returns the response, and the request that the inner service received.
async fn pass(layer: &ProxyHost, request: Request<Body>) -> (Answer, Option<RecordedRequest>) {
    let origin = Origin::saying("from the origin");
    let answer = ask(&layer.layer(origin.clone()), request).await;
    (answer, origin.seen().pop())
}

/// Returns the request that the inner service received.
async fn passed(layer: &ProxyHost, request: Request<Body>) -> RecordedRequest {
    let (answer, seen) = pass(layer, request).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    seen.expect("a request inside")
}

/// Returns the response to a request that does not reach the inner service.
async fn refused(layer: &ProxyHost, request: Request<Body>) -> Answer {
    let (answer, seen) = pass(layer, request).await;
    assert_eq!(seen, None);
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    let text = answer.text();
    assert!(text.ends_with('\n') && !text.ends_with(".\n"), "{text}");
    answer
}

fn from_host(uri: &str, host: &str) -> Request<Body> {
    with(get(uri), "host", host)
}

fn proxy_status(answer: &Answer) -> &str {
    answer.headers["proxy-status"].to_str().expect("text")
}

fn field(request: &RecordedRequest, name: &str) -> Vec<String> {
    let values = request.headers.get_all(name);
    values
        .map(|value| String::from_utf8_lossy(value).into_owned())
        .collect()
}

// ---- targets

/// Per line: the constructor of the layer, the request target, `Host`, and the expected URI.
const TARGETS: &str = "
    http /a?b=1&b=%2F example.com http://example.com/a?b=1&b=%2F
    http / example.com:80 http://example.com/
    http / example.com:8080 http://example.com:8080/
    http / example.com:443 http://example.com:443/
    http / [2001:db8::1] http://[2001:db8::1]/
    http / [2001:db8::1]:80 http://[2001:db8::1]/
    http / [2001:db8::1]:81 http://[2001:db8::1]:81/
    http / EXAMPLE.com. http://EXAMPLE.com./
    # The target's authority comes before Host.
    http http://example.com/a other.test http://example.com/a
    http http://example.com other.test http://example.com/
    http http://example.com?q other.test http://example.com/?q
    http http://example.com:80/a other.test http://example.com/a
    http https://example.com/a example.com http://example.com/a
    http ws://example.com/chat example.com http://example.com/chat
    # A path that looks like an authority is a path.
    http //evil.test/a example.com http://example.com//evil.test/a
    https / example.com https://example.com/
    https / example.com:80 https://example.com/
    https / example.com:443 https://example.com/
    https / example.com:8443 https://example.com:8443/
    https http://example.com/a none https://example.com/a
    https / [2001:db8::1]:80 https://[2001:db8::1]/
    by_port / example.com http://example.com/
    by_port / example.com:80 http://example.com/
    by_port / example.com:443 https://example.com/
    by_port / example.com:8443 http://example.com:8443/
    by_port / [2001:db8::1]:443 https://[2001:db8::1]/
    by_port https://example.com/a none https://example.com/a
    by_port https://example.com:8443/a none https://example.com:8443/a
    by_port https://example.com:443/a none https://example.com/a
    by_port https://example.com:80/a none https://example.com:80/a
    by_port wss://example.com/a none https://example.com/a
    by_port http://example.com:443/a none https://example.com/a
    http https://example.com/a none http://example.com/a
    http://up.test:81 /a?b example.com http://up.test:81/a?b
    http://up.test/ /a example.com http://up.test/a
    https://up.test/base /a?b example.com https://up.test/base/a?b
    https://up.test/base/ / example.com https://up.test/base/
    https://up.test/base http://example.com?q none https://up.test/base/?q
    https://up.test/base //a example.com https://up.test/base//a
    https://up.test/base /a/../b example.com https://up.test/base/a/../b
    http://up.test /a none http://up.test/a
    # It was named here, and that is enough.
    http://169.254.169.254 /a example.com http://169.254.169.254/a
";

#[tokio::test]
async fn every_mode_finds_the_origin() {
    let lines = TARGETS.lines().map(str::trim);
    for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let [mode, uri, host, expected] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        let layer = match mode {
            "http" => ProxyHost::http(),
            "https" => ProxyHost::https(),
            "by_port" => ProxyHost::by_port(),
            upstream => ProxyHost::upstream(upstream).expect("an upstream"),
        };
        let request = if host == "none" {
            get(uri)
        } else {
            from_host(uri, host)
        };
        let seen = passed(&layer, request).await;
        assert_eq!(seen.uri.to_string(), expected, "{line}");
        // The client sets `Host` from the URI.
        assert_eq!(seen.headers.get("host"), None, "{line}");
        assert_eq!(seen.version, Version::HTTP_11);
    }
}

#[tokio::test]
async fn a_request_about_the_server_keeps_its_asterisk() {
    let to = ProxyHost::upstream("http://up.test/base").expect("an upstream");
    for (layer, host) in [(ProxyHost::http(), "example.com"), (to, "up.test")] {
        let options = with(request("OPTIONS", "*", empty()), "host", "example.com");
        let seen = passed(&layer, options).await;
        assert_eq!((seen.uri.host(), seen.uri.path()), (Some(host), "*"));
    }
}

#[test]
fn an_invalid_upstream_is_an_error_with_the_reason() {
    for (uri, reason) in [
        ("", "expected http://host"),
        ("not a uri", "expected http://host"),
        ("/path", "expected http://host"),
        ("example.com", "expected http://host"),
        ("ftp://example.com", "expected http://host"),
        ("http://example.com/?a=b", "query"),
        ("http://bob@example.com/", "user information"),
        ("http://example.com:99999/", "port"),
        ("http://:80/", "host"),
    ] {
        let error = ProxyHost::upstream(uri).expect_err(uri).to_string();
        assert!(error.contains(reason), "{uri:?}: {error}");
    }
    let error = ProxyHost::upstream("http://bob:hunter2@example.com/").expect_err("a password");
    assert!(
        !format!("{error} {error:?}").contains("hunter2"),
        "{error:?}"
    );
}

#[tokio::test]
async fn targets_of_other_schemes_are_refused() {
    let layer = ProxyHost::http();
    for request in [
        get("ftp://example.com/file"),
        get("javascript://example.com/"),
        from_host("*", "example.com"),
    ] {
        let what = request.uri().to_string();
        assert_eq!(refused(&layer, request).await.status, 400, "{what}");
    }
}

/// Origins receive `Host` in HTTP/1 and `:authority` in HTTP/2, for each version of the request.
#[tokio::test]
async fn host_and_authority_are_right_in_every_version() {
    let authority = Authority::new();
    let origin = Origin::new(|request| {
        let headers = request.headers();
        let host = headers.get("host").map(|host| host.to_str().expect("text"));
        let target = request.uri();
        reply(
            200,
            full(format!("{:?} {target} {host:?}", request.version())),
        )
    });
    let app = Router::new().fallback_service(origin);
    let tls1 = TlsServer::start(authority.certify("origin.test", HTTP1), app.clone()).await;
    let tls2 = TlsServer::start(authority.certify("origin.test", HTTP2), app.clone()).await;
    let both = TlsServer::start(authority.certify("origin.test", HTTP1_AND_2), app.clone()).await;
    let plain = Server::start(app).await;
    let forward = authority
        .forward()
        .resolve("origin.test", "127.0.0.1:0".parse().expect("an address"));

    let http = |port| format!("HTTP/1.1 /a?b Some(\"origin.test:{port}\")");
    let http2 = |scheme, port| format!("HTTP/2.0 {scheme}://origin.test:{port}/a?b None");
    for (layer, forward, port, expected) in [
        (
            ProxyHost::http(),
            forward.clone(),
            plain.addr.port(),
            http(plain.addr.port()),
        ),
        (
            ProxyHost::http(),
            forward.clone().http2_only(true),
            plain.addr.port(),
            http2("http", plain.addr.port()),
        ),
        (
            ProxyHost::https(),
            forward.clone(),
            tls1.addr.port(),
            http(tls1.addr.port()),
        ),
        (
            ProxyHost::https(),
            forward.clone(),
            tls2.addr.port(),
            http2("https", tls2.addr.port()),
        ),
        (
            ProxyHost::https(),
            forward.clone(),
            both.addr.port(),
            http2("https", both.addr.port()),
        ),
    ] {
        let proxy = proxy(layer, forward).await;
        let host = format!("origin.test:{port}");
        let absolute = format!("http://{host}/a?b");
        for (version, request) in [
            (Version::HTTP_11, from_host("/a?b", &host)),
            (Version::HTTP_11, get(&absolute)),
            (Version::HTTP_11, from_host(&absolute, "other.test")),
            (Version::HTTP_2, get(&absolute)),
            (Version::HTTP_2, from_host(&absolute, "other.test")),
        ] {
            let answer = ask_as(proxy.addr, version, request).await;
            assert_eq!(answer.text(), expected, "{version:?}");
            assert_eq!(answer.version, version);
        }
        let old = format!("GET /a?b HTTP/1.0\r\nhost: {host}\r\n\r\n");
        let answer = talk(proxy.addr, old).await;
        assert!(answer.starts_with("HTTP/1.0 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with(&expected), "{answer}");
    }
}

#[tokio::test]
async fn the_default_port_is_not_in_host() {
    let origin = Raw::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let forward = Forward::new().resolve("origin.test", origin.addr);
    let proxy = proxy(ProxyHost::http(), forward).await;
    for host in ["origin.test:80", "origin.test", "origin.test:"] {
        let answer = ask_as(proxy.addr, Version::HTTP_11, from_host("/", host)).await;
        assert_eq!(answer.status, 200, "{host} {}", answer.text());
    }
    for head in origin.heads() {
        assert_eq!(values(&head, "host"), ["origin.test"], "{head}");
    }
}

#[tokio::test]
async fn an_origin_is_reached_over_ipv6() {
    let listener = match TcpListener::bind("[::1]:0").await {
        Ok(listener) => listener,
        Err(error) => return eprintln!("not tested, there is no IPv6 here: {error}"),
    };
    let addr = listener.local_addr().expect("an address");
    let app = Router::new().fallback_service(Origin::new(|request| {
        let host = request.headers()["host"].to_str().expect("text");
        reply(200, full(host.to_owned()))
    }));
    let origin = tokio::spawn(async move { axum::serve(listener, app).await });
    let proxy = proxy(ProxyHost::http(), Forward::new()).await;
    for version in [Version::HTTP_11, Version::HTTP_2] {
        let answer = ask_as(proxy.addr, version, get(format!("http://{addr}/"))).await;
        assert_eq!(answer.text(), addr.to_string());
    }
    origin.abort();
}

#[tokio::test]
async fn the_target_reaches_the_origin_as_it_was_written() {
    let origin = Raw::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let proxy = proxy(ProxyHost::http(), Forward::new()).await;
    let host = origin.addr;
    for (line, expected) in [
        (
            "GET /%7Ebob/../a//b;c=d?q=%20&&=# HTTP/1.1",
            "GET /%7Ebob/../a//b;c=d?q=%20&&= HTTP/1.1",
        ),
        ("GET /a%2fb%00%ff HTTP/1.1", "GET /a%2fb%00%ff HTTP/1.1"),
        ("OPTIONS * HTTP/1.1", "OPTIONS * HTTP/1.1"),
        (&format!("GET http://{host}?q HTTP/1.1"), "GET /?q HTTP/1.1"),
        (&format!("GET http://{host}/ HTTP/1.1"), "GET / HTTP/1.1"),
        ("BREW /pot HTTP/1.1", "BREW /pot HTTP/1.1"),
    ] {
        let ask = format!("{line}\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let answer = talk(proxy.addr, ask).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{line}: {answer}");
        let heads = origin.heads();
        let seen = heads.last().and_then(|head| head.lines().next());
        assert_eq!(seen, Some(expected), "{line}");
    }
}

#[tokio::test]
async fn a_very_long_target_is_refused_or_passed_but_never_cut() {
    let origin = Raw::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let proxy = proxy(ProxyHost::http(), Forward::new()).await;
    let near = format!("/{}", "a".repeat(60_000));
    let far = format!("/{}", "a".repeat(70_000));
    for (path, expected) in [(&near, "HTTP/1.1 200 "), (&far, "HTTP/1.1 414 ")] {
        let ask = format!(
            "GET {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n\r\n",
            origin.addr
        );
        let answer = talk(proxy.addr, ask).await;
        assert!(answer.starts_with(expected), "{answer}");
    }
    assert!(
        origin
            .head()
            .starts_with(&format!("GET {near} HTTP/1.1\r\n"))
    );
}

#[tokio::test]
async fn a_base_path_and_a_long_target_that_do_not_fit_are_a_400() {
    let layer = ProxyHost::upstream("http://up.test/base").expect("an upstream");
    let answer = refused(&layer, get(format!("/{}", "a".repeat(65_530)))).await;
    assert_eq!(answer.status, 400);
}

// ---- hop-by-hop headers

#[tokio::test]
async fn hop_by_hop_headers_are_removed() {
    let mut request = with(get("/"), "host", "example.com");
    request.headers_mut().extend(fields([
        ("connection", "close, X-One"),
        ("connection", " x-two ,, keep-alive;x=1,bad name"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "keep-alive"),
        ("proxy-authorization", "Basic Ym9iOmJvYg=="),
        ("proxy-authenticate", "Basic"),
        ("te", "gzip, Trailers;q=1"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("http2-settings", "AAMAAABkAAQAAP__"),
        ("x-one", "1"),
        ("x-two", "2"),
        ("x-three", "3"),
        ("trailer", "x-sum"),
        ("authorization", "Basic Ym9iOmJvYg=="),
    ]));
    let odd = HeaderValue::from_bytes(b"caf\xe9, x-four").expect("a value");
    request.headers_mut().append("connection", odd);
    let four = HeaderValue::from_static("4");
    request.headers_mut().append("x-four", four);
    let seen = passed(&ProxyHost::http().name("me"), request).await;
    let names: Vec<_> = seen.headers.iter().collect();
    let mut expected: Vec<(&str, &[u8])> = vec![
        ("x-three", b"3"),
        ("trailer", b"x-sum"),
        ("authorization", b"Basic Ym9iOmJvYg=="),
        ("te", b"trailers"),
        ("via", b"1.1 me"),
    ];
    let mut names_sorted = names.clone();
    names_sorted.sort_unstable();
    expected.sort_unstable();
    assert_eq!(names_sorted, expected);
}

#[tokio::test]
async fn upgrades_pass_except_those_to_http() {
    let ask = |version, protocol: &str| {
        let mut request = from_host("/", "example.com");
        *request.version_mut() = version;
        let request = with(request, "connection", "keep-alive, Upgrade, http2-settings");
        with(
            with(request, "upgrade", protocol),
            "http2-settings",
            "AAMAAABkAAQAAP__",
        )
    };
    let layer = ProxyHost::http();
    let seen = passed(&layer, ask(Version::HTTP_11, "websocket")).await;
    assert_eq!(field(&seen, "connection"), ["upgrade"]);
    assert_eq!(field(&seen, "upgrade"), ["websocket"]);
    // After an upgrade to HTTP/2, requests would bypass the proxy, and could name other hosts.
    for protocol in ["h2c", "H2C", "h2", "websocket, h2c", "HTTP/2.0", "h2c;x"] {
        let seen = passed(&layer, ask(Version::HTTP_11, protocol)).await;
        for name in ["connection", "upgrade", "http2-settings"] {
            assert_eq!(field(&seen, name), [""; 0], "{protocol}");
        }
    }
    for version in [Version::HTTP_10, Version::HTTP_2] {
        let seen = passed(&layer, ask(version, "websocket")).await;
        assert_eq!(field(&seen, "upgrade"), [""; 0], "{version:?}");
    }
}

#[tokio::test]
async fn te_without_trailers_is_removed() {
    let request = with(from_host("/", "example.com"), "te", "gzip, x-trailers");
    assert_eq!(
        field(&passed(&ProxyHost::http(), request).await, "te"),
        [""; 0]
    );
}

#[tokio::test]
async fn hop_by_hop_headers_of_a_response_are_removed() {
    let origin = Origin::new(|_| {
        let mut response = reply(200, full("x"));
        *response.version_mut() = Version::HTTP_10;
        response.headers_mut().extend(fields([
            // Not the length of the chunked body.
            ("content-length", "300"),
            ("connection", "close, x-one"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "close"),
            ("proxy-authenticate", "Basic"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("x-one", "1"),
            ("via", "1.0 far"),
            ("set-cookie", "a=1"),
            ("set-cookie", "b=2"),
        ]));
        response
    });
    let layer = ProxyHost::http().name("me");
    let answer = ask(&layer.layer(origin), from_host("/", "example.com")).await;
    let expected = fields([
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("via", "1.0 far"),
        ("via", "1.0 me"),
    ]);
    assert_eq!(answer.headers, expected);
    // The version of the client's connection, not of the origin's.
    assert_eq!(answer.version, Version::HTTP_11);
}

/// Without these headers, the message would lose its length, its host, or the proxy's own headers.
#[tokio::test]
async fn connection_cannot_remove_headers_that_the_proxy_needs() {
    let origin = Server::start(Router::new().fallback_service(Origin::new(|request| {
        let mut text = String::from_utf8_lossy(request.body()).into_owned();
        for (name, value) in request.headers() {
            text += "\n";
            text += name.as_str();
            text += ": ";
            text += value.to_str().expect("text");
        }
        let mut response = reply(200, full(text));
        let named = "content-length, content-type, via"
            .parse()
            .expect("a value");
        response.headers_mut().insert("connection", named);
        response
    })))
    .await;
    let proxy = proxy(
        ProxyHost::http().name("me").x_forwarded(true),
        Forward::new(),
    )
    .await;
    let ask = format!(
        "POST / HTTP/1.1\r\nhost: {}\r\nconnection: close, content-length, host, via, \
         x-forwarded-proto\r\ncontent-length: 5\r\n\r\nhello",
        origin.addr
    );
    let answer = talk(proxy.addr, ask).await;
    for expected in [
        "\r\n\r\nhello\n",
        &format!("\nhost: {}", origin.addr),
        "\ncontent-length: 5",
        "\nvia: 1.1 me",
        "\nx-forwarded-proto: http",
    ] {
        assert!(answer.contains(expected), "{expected:?} is not in {answer}");
    }
    assert_eq!(values(&answer, "via"), ["1.1 me"]);
    assert_eq!(values(&answer, "content-length").len(), 1, "{answer}");
}

#[tokio::test]
async fn cookies_of_http2_become_one_field() {
    let origin = Raw::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let proxy = proxy(ProxyHost::http(), Forward::new()).await;
    let mut request = get(origin.url("/"));
    request.headers_mut().extend(fields([
        ("cookie", "a=1"),
        ("x-other", "1"),
        ("cookie", "b=2"),
        ("cookie", "c=\"3; 4\""),
    ]));
    ask_as(proxy.addr, Version::HTTP_2, request).await;
    assert_eq!(values(&origin.head(), "cookie"), ["a=1; b=2; c=\"3; 4\""]);
}

#[tokio::test]
async fn cookies_of_http3_become_one_field_and_those_of_http1_stay() {
    for (version, expected) in [(Version::HTTP_3, "a=1; b=2"), (Version::HTTP_11, "a=1")] {
        let mut request = with(get("http://example.com/"), "cookie", "a=1");
        request = with(request, "cookie", "b=2");
        *request.version_mut() = version;
        let seen = passed(&ProxyHost::http(), request).await;
        assert_eq!(seen.headers.get("cookie"), Some(expected.as_bytes()));
    }
}

// ---- Via, Forwarded, Max-Forwards

#[tokio::test]
async fn via_has_the_version_of_each_side() {
    let origin = Server::start(Router::new().fallback_service(Origin::new(|request| {
        let via = request.headers().get_all("via").iter();
        let via: Vec<_> = via.map(|via| via.to_str().expect("text")).collect();
        reply(200, full(via.join(", ")))
    })))
    .await;
    for (forward, inner) in [
        (Forward::new(), "1.1 me"),
        (Forward::new().http2_only(true), "2 me"),
    ] {
        let proxy = proxy(ProxyHost::http().name("me"), forward).await;
        for (version, outer) in [(Version::HTTP_11, "1.1 me"), (Version::HTTP_2, "2 me")] {
            let answer = ask_as(proxy.addr, version, get(origin.url("/"))).await;
            assert_eq!(answer.text(), outer);
            assert_eq!(answer.headers["via"], inner);
        }
        let old = format!(
            "GET / HTTP/1.0\r\nhost: {}\r\nvia: 1.0 first\r\n\r\n",
            origin.addr
        );
        let answer = talk(proxy.addr, old).await;
        assert!(answer.ends_with("\r\n\r\n1.0 first, 1.0 me"), "{answer}");
    }
    let old = Raw::once("HTTP/1.0 200 OK\r\n\r\nold").await;
    let proxy = proxy(ProxyHost::http().name("me"), Forward::new()).await;
    let answer = ask_as(proxy.addr, Version::HTTP_11, get(old.url("/"))).await;
    assert_eq!(answer.headers["via"], "1.0 me");
    assert_eq!(answer.text(), "old");
}

#[tokio::test]
async fn each_proxy_has_a_unique_name() {
    let name = async || {
        let seen = passed(&ProxyHost::http(), from_host("/", "example.com")).await;
        field(&seen, "via").remove(0)
    };
    let (one, other) = (name().await, name().await);
    assert!(one.starts_with("1.1 tower-traffic-"), "{one}");
    assert_ne!(one, other);
}

#[tokio::test]
async fn a_name_cannot_inject_anything() {
    for (name, expected) in [
        ("a, 1.1 b\r\nx: y", "1.1 a--1.1-b--x:-y"),
        ("café", "1.1 caf-"),
        ("proxy.test:8080", "1.1 proxy.test:8080"),
    ] {
        let layer = ProxyHost::http().name(name);
        let seen = passed(&layer, from_host("/", "example.com")).await;
        assert_eq!(field(&seen, "via"), [expected]);
    }
    // In `Proxy-Status`, a name that does not begin with a letter is a string.
    for (name, expected) in [("me", "me"), ("192.0.2.1:80", "\"192.0.2.1:80\"")] {
        let answer = refused(&ProxyHost::http().name(name), get("/")).await;
        assert_eq!(
            proxy_status(&answer),
            format!("{expected}; error=http_request_error")
        );
    }
    // An empty name is replaced by a generated name, because loops are detected by the name.
    let layer = ProxyHost::http().name("");
    let seen = passed(&layer, from_host("/", "example.com")).await;
    assert!(field(&seen, "via")[0].starts_with("1.1 tower-traffic-"));
}

#[tokio::test]
async fn forwarded_headers_are_optional() {
    let seen = passed(&ProxyHost::http(), from_host("/", "example.com")).await;
    assert_eq!(field(&seen, "forwarded"), [""; 0]);
    assert_eq!(field(&seen, "x-forwarded-for"), [""; 0]);

    let layer = ProxyHost::http().forwarded(true).x_forwarded(true);
    for (address, forwarded, x_forwarded) in [
        ("192.0.2.1:1234", "for=192.0.2.1", "192.0.2.1"),
        ("[2001:db8::1]:1234", "for=\"[2001:db8::1]\"", "2001:db8::1"),
        // The IPv4 address of a client, as a dual-stack socket reports the address.
        ("[::ffff:192.0.2.1]:1234", "for=192.0.2.1", "192.0.2.1"),
    ] {
        let address: SocketAddr = address.parse().expect("an address");
        let mut by_axum = from_host("/", "example.com:81");
        by_axum.extensions_mut().insert(ConnectInfo(address));
        let mut plain = from_host("/", "example.com:81");
        plain.extensions_mut().insert(address);
        for request in [by_axum, plain] {
            let seen = passed(&layer, request).await;
            assert_eq!(
                field(&seen, "forwarded"),
                [format!("{forwarded};host=\"example.com:81\";proto=http")]
            );
            assert_eq!(field(&seen, "x-forwarded-for"), [x_forwarded]);
            assert_eq!(field(&seen, "x-forwarded-host"), ["example.com:81"]);
            assert_eq!(field(&seen, "x-forwarded-proto"), ["http"]);
        }
    }
}

#[tokio::test]
async fn forwarded_addresses_append_to_those_of_the_client() {
    let layer = ProxyHost::upstream("http://up.test").expect("an upstream");
    let layer = layer.forwarded(true).x_forwarded(true);
    let claim = |mut request: Request<Body>| {
        request.headers_mut().extend(fields([
            ("forwarded", "for=203.0.113.7"),
            ("x-forwarded-for", "203.0.113.7"),
            ("x-forwarded-for", "203.0.113.8, 203.0.113.9"),
            ("x-forwarded-host", "bank.test"),
            ("x-forwarded-proto", "https"),
        ]));
        request
    };
    let mut known = claim(from_host("/", "example.com"));
    let address: SocketAddr = "192.0.2.1:1".parse().expect("an address");
    known.extensions_mut().insert(address);
    let seen = passed(&layer, known).await;
    assert_eq!(
        field(&seen, "forwarded"),
        [
            "for=203.0.113.7",
            "for=192.0.2.1;host=\"example.com\";proto=http"
        ]
    );
    assert_eq!(
        field(&seen, "x-forwarded-for"),
        ["203.0.113.7, 203.0.113.8, 203.0.113.9, 192.0.2.1"]
    );
    assert_eq!(field(&seen, "x-forwarded-host"), ["example.com"]);
    assert_eq!(field(&seen, "x-forwarded-proto"), ["http"]);

    // The scheme in the client's request target is ignored.
    let seen = passed(&layer, get("https://example.com/")).await;
    assert_eq!(field(&seen, "x-forwarded-proto"), ["http"]);
    // Behind TLS, the request itself does not state the scheme.
    let tls = layer.clone().scheme(http::uri::Scheme::HTTPS);
    let seen = passed(&tls, from_host("/", "example.com")).await;
    assert_eq!(field(&seen, "x-forwarded-proto"), ["https"]);
    let forwarded = ["for=unknown;host=\"example.com\";proto=https"];
    assert_eq!(field(&seen, "forwarded"), forwarded);

    // A reader of the last entry must not find an entry that the client wrote.
    let seen = passed(&layer, claim(get("/"))).await;
    assert_eq!(
        field(&seen, "x-forwarded-for"),
        ["203.0.113.7, 203.0.113.8, 203.0.113.9, unknown"]
    );
    assert_eq!(field(&seen, "x-forwarded-host"), [""; 0]);
    assert_eq!(
        field(&seen, "forwarded"),
        ["for=203.0.113.7", "for=unknown;proto=http"]
    );
}

#[tokio::test]
async fn the_clients_address_comes_from_axum() {
    let origin = Raw::answering("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
    let app = Router::new()
        .fallback_service(Forward::new())
        .layer(ProxyHost::http().forwarded(true));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let app = app.into_make_service_with_connect_info::<SocketAddr>();
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    ask_as(addr, Version::HTTP_11, get(origin.url("/"))).await;
    let expected = format!("for=127.0.0.1;host=\"{}\";proto=http", origin.addr);
    assert_eq!(values(&origin.head(), "forwarded"), [expected]);
    server.abort();
}

#[tokio::test]
async fn max_forwards_counts_down_for_trace_and_options() {
    let layer = ProxyHost::http();
    let ask = |method: &str, left: &str| {
        let request = with(request(method, "/", empty()), "host", "example.com");
        with(request, "max-forwards", left)
    };
    for (method, left, expected) in [
        ("OPTIONS", "10", "9"),
        ("TRACE", "1", "0"),
        ("GET", "0", "0"),
        ("GET", "many", "many"),
    ] {
        let seen = passed(&layer, ask(method, left)).await;
        assert_eq!(field(&seen, "max-forwards"), [expected], "{method}");
    }
    for (method, left, status) in [
        ("OPTIONS", "0", 200),
        ("TRACE", "0", 405),
        ("OPTIONS", "-1", 400),
        ("OPTIONS", "1e9", 400),
        ("OPTIONS", "99999999999999999999", 400),
    ] {
        let (answer, seen) = pass(&layer, ask(method, left)).await;
        assert_eq!((answer.status, seen), (status, None), "{method} {left}");
        assert_eq!(answer.headers.contains_key("allow"), status != 400);
    }
}

// ---- refusals

#[tokio::test]
async fn a_request_without_a_host_is_refused() {
    for layer in [ProxyHost::http(), ProxyHost::https(), ProxyHost::by_port()] {
        for request in [
            get("/"),
            from_host("/", ""),
            request("OPTIONS", "*", empty()),
        ] {
            let answer = refused(&layer, request).await;
            assert_eq!(answer.status, 400);
            assert!(
                answer
                    .text()
                    .contains("neither an absolute target nor Host")
            );
            assert!(proxy_status(&answer).ends_with("; error=http_request_error"));
        }
    }
}

#[tokio::test]
async fn invalid_hosts_are_refused() {
    let to = ProxyHost::upstream("http://up.test").expect("an upstream");
    for layer in [ProxyHost::http(), to] {
        for host in [
            "bob@example.com",
            "bob:secret@example.com",
            "@example.com",
            "exa mple.com",
            " example.com:80 x",
            "example.com:",
            "example.com:99999",
            "example.com:-1",
            "example.com:+1",
            "example.com:80:80",
            "example.com:80x",
            "example.com/path",
            "example.com?query",
            "example.com#fragment",
            "example.com\\path",
            "http://example.com",
            "exam%70le.com",
            "[::1",
            "::1",
            "[zz]:80",
            "[::1]x:80",
            ":80",
            "a\"b",
            "<script>",
            "example.com, other.test",
        ] {
            if host == "example.com:" {
                // An empty port is the default port (RFC 3986, 3.2.3).
                passed(&layer, from_host("/", host)).await;
                continue;
            }
            let answer = refused(&layer, from_host("/", host)).await;
            assert_eq!(answer.status, 400, "{host}");
            assert!(!answer.text().contains("secret"), "{}", answer.text());
        }
        let mut latin = get("/");
        let value = HeaderValue::from_bytes(b"caf\xe9.test").expect("a value");
        latin.headers_mut().insert("host", value);
        assert_eq!(refused(&layer, latin).await.status, 400);

        let two = with(from_host("/", "example.com"), "host", "example.com");
        let answer = refused(&layer, two).await;
        assert!(
            answer.text().contains("more than one Host"),
            "{}",
            answer.text()
        );
        let two = with(from_host("http://example.com/", "a.test"), "host", "b.test");
        assert_eq!(refused(&layer, two).await.status, 400);
    }
    for uri in [
        "http://bob:secret@example.com/",
        "http://bob@example.com:80/",
    ] {
        let answer = refused(&ProxyHost::http(), get(uri)).await;
        assert_eq!(answer.status, 400, "{uri}");
        assert!(
            answer.text().contains("user information"),
            "{}",
            answer.text()
        );
    }
}

#[tokio::test]
async fn malformed_requests_do_not_reach_the_origin() {
    let origin = Raw::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let proxy = proxy(ProxyHost::http(), Forward::new()).await;
    let host = format!("host: {}\r\n", origin.addr);
    for bytes in [
        format!("GET / HTTP/1.1\r\n{host}{host}\r\n"),
        format!("GET / HTTP/1.1\r\nhost: bob@{}\r\n\r\n", origin.addr),
        format!(
            "GET http://bob:secret@{}/ HTTP/1.1\r\n{host}\r\n",
            origin.addr
        ),
        "GET / HTTP/1.1\r\nhost: a b\r\n\r\n".to_owned(),
        "GET / HTTP/1.1\r\n\r\n".to_owned(),
        "GET / HTTP/1.0\r\n\r\n".to_owned(),
        format!("GET /a b HTTP/1.1\r\n{host}\r\n"),
        format!("GET / HTTP/9.9\r\n{host}\r\n"),
        format!("GET / HTTP/1.1\r\n{host}bad name: x\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{host}name : x\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{host}x: a\r\n folded\r\n\r\n"),
        format!("GET / HTTP/1.1\r\n{host}x: a\0b\r\n\r\n"),
        format!("POST / HTTP/1.1\r\n{host}content-length: 1\r\ncontent-length: 2\r\n\r\nab"),
        format!("POST / HTTP/1.1\r\n{host}content-length: -1\r\n\r\n"),
        format!("POST / HTTP/1.1\r\n{host}content-length: +1\r\n\r\na"),
        format!("POST / HTTP/1.1\r\n{host}transfer-encoding: identity\r\n\r\n"),
        format!("POST / HTTP/1.1\r\n{host}transfer-encoding: chunked, identity\r\n\r\n"),
        format!("POST / HTTP/1.0\r\n{host}transfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
        // A transfer coding that this proxy would remove without decoding.
        format!("POST / HTTP/1.1\r\n{host}transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03".to_owned(),
        "GARBAGE\r\n\r\n".to_owned(),
    ] {
        let mut stream = TcpStream::connect(proxy.addr).await.expect("connected");
        stream.write_all(bytes.as_bytes()).await.expect("sent");
        let answer = soon(read_head(&mut stream)).await.expect("an answer");
        let status = &answer[9..12];
        assert!(["400", "501"].contains(&status), "{bytes:?} {answer}");
    }
    assert_eq!(origin.heads(), [""; 0]);
    // The proxy still works.
    let answer = ask_as(proxy.addr, Version::HTTP_11, get(origin.url("/"))).await;
    assert_eq!(answer.text(), "ok");
}

#[tokio::test]
async fn a_request_with_two_lengths_is_one_request_for_both_sides() {
    let origin = Raw::serving(async |mut connection| {
        while let Some(head) = connection.head().await {
            assert_eq!(values(&head, "content-length"), [""; 0], "{head}");
            assert_eq!(values(&head, "transfer-encoding"), ["chunked"], "{head}");
            let mut chunks = Vec::new();
            while !chunks.ends_with(b"0\r\n\r\n") {
                chunks.push(connection.stream.read_u8().await.expect("a chunk"));
            }
            assert_eq!(chunks, b"5\r\nhello\r\n0\r\n\r\n");
            connection
                .say("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                .await;
        }
    })
    .await;
    let proxy = proxy(ProxyHost::http(), Forward::new()).await;
    for lengths in [
        "content-length: 3\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 3\r\n",
        "Transfer-Encoding: Chunked\r\ncontent-length: 100\r\n",
    ] {
        let ask = format!(
            "POST / HTTP/1.1\r\nhost: {}\r\n{lengths}connection: close\r\n\r\n\
             5\r\nhello\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nhost: {}\r\n\r\n",
            origin.addr, origin.addr
        );
        let answer = talk(proxy.addr, ask).await;
        // One response: 200 or 400.
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
    let heads = origin.heads();
    assert!(
        heads.iter().all(|head| head.starts_with("POST / ")),
        "{heads:?}"
    );
}

#[tokio::test]
async fn only_allowed_hosts_are_contacted() {
    let layer =
        ProxyHost::by_port().allow_hosts(["example.com", "*.example.org:443", "[2001:db8::1]"]);
    for host in [
        "example.com",
        "EXAMPLE.COM.",
        "example.com:8080",
        "www.example.org:443",
        "[2001:db8::1]:80",
    ] {
        passed(&layer, from_host("/", host)).await;
    }
    for host in [
        "www.example.com",
        "example.com.evil.test",
        "evil-example.com",
        "example.org:443",
        "www.example.org",
        "www.example.org:444",
        "[2001:db8::2]",
        "localhost",
    ] {
        let answer = refused(&layer, from_host("/", host)).await;
        assert_eq!(answer.status, 403, "{host}");
        assert!(proxy_status(&answer).ends_with("; error=http_request_denied"));
    }
    // The host of the request target is checked, not `Host`.
    let answer = refused(&layer, from_host("http://evil.test/", "example.com")).await;
    assert_eq!(answer.status, 403);
    // An empty list allows no host.
    let none = ProxyHost::http().allow_hosts([""; 0]);
    assert_eq!(
        refused(&none, from_host("/", "example.com")).await.status,
        403
    );
    // A name with a trailing dot is the same name.
    let dotted = ProxyHost::http().allow_hosts(["example.com."]);
    passed(&dotted, from_host("/", "example.com")).await;
}

#[tokio::test]
async fn link_local_and_metadata_addresses_are_refused() {
    for layer in [ProxyHost::http(), ProxyHost::https().allow_hosts(["*"])] {
        for host in [
            "169.254.169.254",
            "169.254.169.254:80",
            "169.254.169.254.",
            "[fe80::1]",
            "[FE80::1]:8080",
            "[::ffff:169.254.169.254]",
            "[::ffff:a9fe:a9fe]",
            "[fd00:ec2::254]",
            "metadata.google.internal",
            "Metadata.Google.Internal.:80",
        ] {
            let answer = refused(&layer, from_host("/latest/meta-data", host)).await;
            assert_eq!(answer.status, 403, "{host}");
            assert!(proxy_status(&answer).ends_with("; error=destination_ip_prohibited"));
        }
        passed(
            &layer.allow_link_local(true),
            from_host("/", "169.254.169.254"),
        )
        .await;
    }
}

#[tokio::test]
async fn a_path_cannot_leave_the_base() {
    let layer = ProxyHost::upstream("http://up.test/base").expect("an upstream");
    for path in [
        "/..",
        "/../admin",
        "/a/../../admin",
        "/%2e%2e/admin",
        "/.%2E/admin",
        "/..%2fadmin",
        "/..%5cadmin",
        "/a/..;x=1/../admin",
        "/..;/admin",
        "/..;a=b/admin",
        "/%2e%2e%3b/admin",
        "//../admin",
    ] {
        let answer = refused(&layer, get(path)).await;
        assert_eq!(answer.status, 400, "{path}");
    }
    for path in ["/a/../b", "/...", "/a;../b", "/..a", "/?/../.."] {
        passed(&layer, get(path)).await;
    }
}

#[tokio::test]
async fn connect_is_refused() {
    let to = ProxyHost::upstream("http://up.test").expect("an upstream");
    for layer in [ProxyHost::http(), to.allow_connect(true)] {
        let answer = refused(&layer, request("CONNECT", "example.com:443", empty())).await;
        assert_eq!(answer.status, 405);
        assert_eq!(
            answer.headers["allow"],
            "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
        );
    }
}

#[tokio::test]
async fn a_refused_tunnel_names_the_request_to_send_instead() {
    let up = ProxyHost::upstream("http://up.test").expect("an upstream");
    for (layer, target, instead) in [
        (
            ProxyHost::by_port(),
            "example.com:443",
            "http://example.com:443/",
        ),
        (
            ProxyHost::by_port(),
            "example.com:8443",
            "https://example.com:8443/",
        ),
        (ProxyHost::https(), "example.com:443", "http://example.com/"),
        (
            ProxyHost::https(),
            "example.com:8443",
            "http://example.com:8443/",
        ),
        (ProxyHost::http(), "example.com:443", "http://example.com/"),
        (up, "example.com:443", "reverse proxy"),
    ] {
        let answer = refused(&layer, request("CONNECT", target, empty())).await;
        assert_eq!(answer.status, 405);
        assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
        assert!(answer.text().contains(instead), "{}", answer.text());
    }
}

#[tokio::test]
async fn a_tunnel_needs_an_allowed_host_and_a_port() {
    let layer = ProxyHost::http().allow_connect(true);
    for target in ["example.com", "bob@example.com:443"] {
        let answer = refused(&layer, request("CONNECT", target, empty())).await;
        assert_eq!(answer.status, 400, "{target}");
    }
    let connect = request("CONNECT", "example.com:443", empty());
    let two = with(with(connect, "host", "a.test"), "host", "b.test");
    assert_eq!(refused(&layer, two).await.status, 400);
    for target in [
        "169.254.169.254:80",
        "[fe80::1]:443",
        "metadata.google.internal:80",
    ] {
        let answer = refused(&layer, request("CONNECT", target, empty())).await;
        assert_eq!(answer.status, 403, "{target}");
    }
    let layer = layer.allow_hosts(["*.example.com:443"]);
    for (target, is_allowed) in [
        ("www.example.com:443", true),
        ("www.example.com:22", false),
        ("example.org:443", false),
    ] {
        let (answer, seen) = pass(&layer, request("CONNECT", target, empty())).await;
        assert_eq!(
            answer.status,
            if is_allowed { 200 } else { 403 },
            "{target}"
        );
        assert_eq!(seen.is_some(), is_allowed);
    }
}

/// RFC 8441: a `CONNECT` with `:protocol` opens a WebSocket.
#[tokio::test]
async fn an_extended_connect_opens_no_tunnel() {
    let layer = ProxyHost::http().allow_connect(true);
    let connect = || request("CONNECT", "http://example.com:80/chat", empty());
    assert_eq!(refused(&layer, connect()).await.status, 400);
    let mut connect = connect();
    let websocket = hyper::ext::Protocol::from_static("websocket");
    connect.extensions_mut().insert(websocket);
    *connect.version_mut() = Version::HTTP_2;
    let mut other = request("CONNECT", "http://example.com:80/chat", empty());
    let udp = hyper::ext::Protocol::from_static("connect-udp");
    other.extensions_mut().insert(udp);
    assert_eq!(refused(&layer, other).await.status, 400);
    let (answer, seen) = pass(&layer, connect).await;
    assert_eq!(answer.status, 502, "a 200 would pass for a WebSocket");
    let seen = seen.expect("a request inside");
    assert_eq!((seen.method.as_str(), seen.uri.path()), ("GET", "/chat"));
    assert_eq!(seen.headers.get("upgrade"), Some(&b"websocket"[..]));
}

// ---- loops

#[tokio::test]
async fn a_returning_request_is_a_508() {
    let layer = ProxyHost::http().name("me");
    for via in [
        "1.1 me",
        "1.0 far, 1.1 ME (old)",
        "HTTP/1.1 me",
        "2 x,1.1\tme",
    ] {
        let request = with(from_host("/", "example.com"), "via", via);
        let answer = refused(&layer, request).await;
        assert_eq!(answer.status, 508, "{via}");
        assert_eq!(proxy_status(&answer), "me; error=proxy_loop_detected");
    }
    for via in ["1.1 menu", "1.1 other (me)", "me 1.1", ""] {
        passed(&layer, with(from_host("/", "example.com"), "via", via)).await;
    }
}

/// A proxy, and the number of requests to it.
async fn counted(layer: ProxyHost, forward: Forward) -> (Server, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = count.clone();
    let app = Router::new().fallback_service(forward).layer(layer).layer(
        tower_http::map_request_body::MapRequestBodyLayer::new(move |body: axum::body::Body| {
            counter.fetch_add(1, Ordering::SeqCst);
            body
        }),
    );
    (Server::start(app).await, count)
}

#[tokio::test]
async fn a_request_for_the_proxy_itself_loops_once() {
    let (proxy, count) = counted(ProxyHost::http(), Forward::new()).await;
    for (version, asked) in [(Version::HTTP_11, 2), (Version::HTTP_2, 4)] {
        let answer = ask_as(proxy.addr, version, get(proxy.url("/"))).await;
        assert_eq!(answer.status, 508, "{}", answer.text());
        assert_eq!(count.load(Ordering::SeqCst), asked);
    }
}

#[tokio::test]
async fn a_loop_of_two_proxies_ends() {
    let (first, first_count) = counted(
        ProxyHost::http(),
        // Forwards to the second proxy, which forwards back to the first.
        Forward::new(),
    )
    .await;
    let second = ProxyHost::upstream(first.url("")).expect("an upstream");
    let (second, second_count) = counted(second, Forward::new()).await;
    // The request's target sends the first proxy to the second. The second always forwards to the
    // first, where the target is the first proxy itself.
    let answer = ask_as(first.addr, Version::HTTP_11, get(second.url("/"))).await;
    assert_eq!(answer.status, 508, "{}", answer.text());
    let counts = [&first_count, &second_count].map(|count| count.load(Ordering::SeqCst));
    assert_eq!(counts, [2, 1]);
}

// ---- as a layer

#[derive(Debug, PartialEq)]
struct Failed;

#[tokio::test]
async fn the_layer_and_its_service_are_shared_and_keep_the_error() {
    fn check<T: Clone + Send + Sync + 'static>(_: &T) {}
    let layer = ProxyHost::http();
    check(&layer);
    let service = layer.layer(Origin::saying("x"));
    check(&service);
    assert!(format!("{layer:?} {:?}", Forward::new()).contains("ProxyHost"));

    let failing = layer.layer(service_fn(async |_: Request<Body>| {
        Err::<http::Response<Body>, _>(Failed)
    }));
    let error: Failed = failing
        .oneshot(from_host("/", "example.com"))
        .await
        .map(drop)
        .unwrap_err();
    assert_eq!(error, Failed);
}

#[tokio::test]
async fn an_inner_limit_neither_hangs_nor_panics() {
    let service = ServiceBuilder::new()
        .layer(ProxyHost::http())
        .layer(ConcurrencyLimitLayer::new(1))
        .service(Origin::saying("x"));
    let asks = (0..20).map(|i| {
        let host = if i % 3 == 0 {
            "bad host"
        } else {
            "example.com"
        };
        ask(&service, from_host("/", host))
    });
    let answers = soon(futures::future::join_all(asks)).await;
    let count = |status| {
        answers
            .iter()
            .filter(|answer| answer.status == status)
            .count()
    };
    assert_eq!((count(200), count(400)), (13, 7));

    // One service for all requests: it stays ready while it refuses requests.
    let mut service = service;
    for host in ["bad host", "example.com", "bad host", "example.com"] {
        let request = from_host("/", host);
        soon(poll_fn(|cx| {
            Service::<Request<Body>>::poll_ready(&mut service, cx)
        }))
        .await
        .expect("ready");
        let answer = soon(service.call(request)).await.expect("an answer");
        soon(read(answer)).await;
    }
}

#[tokio::test]
async fn the_layer_works_in_a_hyper_server() {
    let origin = Server::start(Router::new().fallback_service(Origin::saying("hi"))).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let addr = listener.local_addr().expect("an address");
    let proxy = ProxyHost::http().layer(Forward::new());
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = hyper_util::service::TowerToHyperService::new(proxy.clone());
            let stream = hyper_util::rt::TokioIo::new(stream);
            tokio::spawn(
                hyper::server::conn::http1::Builder::new()
                    .serve_connection(stream, service)
                    .with_upgrades(),
            );
        }
    });
    let answer = ask_as(addr, Version::HTTP_11, get(origin.url("/"))).await;
    assert_eq!(answer.text(), "hi");
    server.abort();
}

/// Every kind of message is the same with and without a proxy, except for the proxy's own headers.
#[tokio::test]
async fn messages_pass_unchanged() {
    let origin = all_kinds();
    let server = Server::start(Router::new().fallback_service(origin.clone())).await;
    for forward in [Forward::new(), Forward::new().http2_only(true)] {
        let proxy = proxy(
            ProxyHost::upstream(server.url("")).expect("an upstream"),
            forward,
        )
        .await;
        let direct = [http1(), http2()];
        for client in &direct {
            let requests = all_requests(&server.url("")).into_iter();
            for (plain, proxied) in requests.zip(all_requests(&proxy.url(""))) {
                let what = format!("{} {}", plain.method(), plain.uri());
                let plain = ask(client, plain).await;
                let plain_seen = origin.seen().pop().expect("a request");
                let mut proxied = ask(client, proxied).await;
                let proxied_seen = origin.seen().pop().expect("a request");
                assert!(proxied.headers.remove("via").is_some());
                assert_eq!(proxied.status, plain.status, "{what}");
                assert_eq!(proxied.body, plain.body, "{what}");
                assert_eq!(proxied.trailers, plain.trailers, "{what}");
                assert_eq!(proxied.fields(), plain.fields(), "{what}");
                // An empty body has `Content-Length: 0` in HTTP/1, and only an end of stream in
                // HTTP/2.
                if !plain.body.is_empty() || what.starts_with("HEAD") {
                    assert_eq!(
                        proxied.headers.get("content-length"),
                        plain.headers.get("content-length"),
                        "{what}"
                    );
                }
                assert_eq!(proxied_seen.body, plain_seen.body, "{what}");
                assert_eq!(end_to_end(&proxied_seen), end_to_end(&plain_seen), "{what}");
            }
        }
    }
}

fn end_to_end(request: &RecordedRequest) -> HeaderMap {
    let mut headers = request.headers.to_map();
    for name in ["via", "host", "transfer-encoding", "content-length"] {
        headers.remove(name);
    }
    headers
}
