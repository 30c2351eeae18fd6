//! The exchanges of the checks.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};

use crate::message::{
    BodyEnd, Exchange, HeaderList, NoResponse, RecordedBody, RecordedRequest, RecordedResponse,
};

/// Returns an exchange that differs from others with another `number` in each part of the match
/// key.
pub(super) fn numbered(number: usize) -> Exchange {
    let mut exchange = Exchange::new(
        Request::get(format!("/numbered/{number}"))
            .body(Bytes::new())
            .expect("a request"),
        Response::new(Bytes::from(format!("answer {number}"))),
    );
    exchange.began = began();
    exchange
}

/// Returns requests that a store may confuse with each other or with special names when it derives
/// names from them.
pub(super) fn alike() -> Vec<Exchange> {
    let long = "segment".repeat(43);
    let longer = format!("/{}", "deep/".repeat(800));
    let paths = [
        "/",
        "/a",
        "/A",
        "/a/",
        "/a//",
        "//a",
        "/a?",
        "/a?b",
        "/a?B",
        "/a?b=",
        "/a/b",
        "/a%2Fb",
        "/a%2fb",
        "/a/request.http",
        "/a/GET",
        "/a%00",
        "/a%5Cb",
        "/a/..",
        "/a/../b",
        "/..",
        "/../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/.",
        "/./a",
        "/a.",
        "/a%20",
        "/a:b",
        "/a*",
        "/con",
        "/CON",
        "/aux.txt",
        "/nul.",
        "/com1",
        "/caf%C3%A9",
        "/cafe%CC%81",
        "/caf\u{e9}",
        "/~a",
        "/%7Ea",
        "/.hidden",
        "/-",
        "/%25",
        "/%",
        "http://example.com/a",
        "http://EXAMPLE.com/A",
        "https://example.com/a",
        "http://example.com:8080/a",
        "http://[::1]:8080/a",
        "http://example.com./a",
    ];
    let mut paths: Vec<String> = paths.map(str::to_owned).into();
    paths.extend([
        format!("/{long}"),
        format!("/{long}1"),
        longer.clone(),
        longer + "1",
    ]);
    let mut exchanges = Vec::new();
    let mut add = |method: &str, uri: &str, body: &'static str| {
        let mut exchange = numbered(exchanges.len());
        exchange.request.method = method.parse().expect("a method");
        exchange.request.uri = uri.parse().expect("a URI");
        exchange.request.body = body.into();
        exchanges.push(exchange);
    };
    for path in &paths {
        add("GET", path, "");
    }
    for method in ["get", "HEAD", "POST", "A.B", "A|B", "A*"] {
        add(method, "/a", "");
    }
    for body in ["a", "a\n", "a\r\n", "\n", "A", "{\"a\":1}", "{\"a\": 1}"] {
        add("POST", "/a", body);
    }
    exchanges
}

/// Returns a time with the precision of Windows, 100 nanoseconds.
pub(super) fn began() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::new(1_795_219_199, 987_654_300)
}

/// Returns every way in which a body may be cut short.
pub(super) fn cut_short() -> [BodyEnd; 4] {
    [
        BodyEnd::Limit,
        BodyEnd::Dropped,
        BodyEnd::Error("reset by peer: 100%\r\nof it\n".to_owned()),
        BodyEnd::Error(String::new()),
    ]
}

/// Returns messages that HTTP allows and a store may get wrong, each with its own URI or method.
pub(super) fn varied() -> Vec<Exchange> {
    let mut exchanges = Vec::new();
    let mut add = |change: &dyn Fn(&mut RecordedRequest, &mut RecordedResponse)| {
        let mut exchange = numbered(1000 + exchanges.len());
        exchange.time_to_head = Some(Duration::new(1, 234_567_800));
        exchange.time_to_end = Duration::new(12, 100);
        if let Ok(response) = &mut exchange.response {
            change(&mut exchange.request, response);
        }
        exchanges.push(exchange);
    };

    add(&|_, _| {});
    for body in bodies() {
        add(&|request, response| {
            request.method = Method::POST;
            request.body = body.clone().into();
            response.body = body.clone().into();
        });
    }
    add(&|request, response| {
        request.headers = awkward_headers();
        response.headers = awkward_headers();
    });
    for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
        add(&|request, _| request.version = version);
        add(&|_, response| response.version = version);
    }
    for trailers in [HeaderList::new(), awkward_headers()] {
        add(&|request, response| {
            request.body.trailers = Some(trailers.clone());
            response.body.trailers = Some(trailers.clone());
        });
    }
    for end in cut_short() {
        for bytes in ["", "the beginning"] {
            let cut = || {
                let mut body = RecordedBody::from(bytes);
                body.end = end.clone();
                body
            };
            add(&|request, _| request.body = cut());
            add(&|_, response| response.body = cut());
        }
    }
    for status in [StatusCode::NO_CONTENT, StatusCode::NOT_FOUND] {
        add(&|_, response| response.status = status);
    }
    let unknown = StatusCode::from_u16(799).expect("a status");
    add(&|_, response| response.status = unknown);
    let extension = Method::from_bytes(b"PURGE").expect("a method");
    add(&|request, _| request.method = extension.clone());
    add(&|request, response| {
        request.method = Method::HEAD;
        response.headers = [(http::header::CONTENT_LENGTH, HeaderValue::from(1234))]
            .into_iter()
            .collect();
    });
    for (method, uri) in [
        (Method::GET, "http://example.com:8080/absolute?a=1&a=2"),
        (Method::CONNECT, "example.com:443"),
        (Method::OPTIONS, "*"),
    ] {
        add(&|request, _| {
            request.method = method.clone();
            request.uri = uri.parse().expect("a URI");
        });
    }
    for why in [
        NoResponse::ClientGone,
        NoResponse::Failed("refused: 100%\r\nof it\n".to_owned()),
        NoResponse::Failed(String::new()),
    ] {
        let mut exchange = numbered(2000 + exchanges.len());
        exchange.time_to_head = None;
        exchange.response = Err(why);
        exchanges.push(exchange);
    }
    exchanges
}

fn bodies() -> Vec<Bytes> {
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    vec![
        every_byte.into(),
        Bytes::from_static(b"\r\n\r\n"),
        Bytes::from_static(b"line\r\nline\r\n\r\nWARC/1.1\r\nWARC-Type: request\r\n\r\n"),
        Bytes::from_static(b"0\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        vec![b'\n'; 300_000].into(),
    ]
}

/// Returns separated duplicate headers, values that are not UTF-8, and headers that contradict the
/// body.
fn awkward_headers() -> HeaderList {
    let fields: [(&str, &[u8]); 11] = [
        ("x-twice", b"first"),
        ("x-latin", b"caf\xe9"),
        ("x-twice", b"second"),
        ("x-binary", b"\x80\xff\t\xfe"),
        ("x-empty", b""),
        ("x-signs", b"100% a=b&c;d: \"e\", <f>"),
        ("transfer-encoding", b"chunked"),
        ("content-length", b"99999"),
        ("x-archive-orig-content-length", b"7"),
        ("content-encoding", b"gzip"),
        ("x-twice", b"first"),
    ];
    fields
        .into_iter()
        .map(|(name, value)| {
            let value = HeaderValue::from_bytes(value).expect("a value");
            (HeaderName::from_static(name), value)
        })
        .collect()
}
