//! Conversions from each format to each other format and back: nothing is lost but what the formats
//! document.

use std::{
    fs,
    path::Path,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures::executor::block_on;
use http::{Request, Response, Version};
use support::stores::{record, replay};
use tower_traffic::{
    BodyEnd, Exchange, HeaderList, Matching, NoResponse,
    store::{self, Compression, Disk, DiskCache, Har, Sink},
};

/// `hello`, by `printf hello | gzip -n`.
const GZIP_OF_HELLO: &[u8] =
    b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xcbH\xcd\xc9\xc9\x07\0\x86\xa6\x106\x05\0\0\0";

const BINARY: &[u8] = b"\x89PNG\r\n\x1a\n\0\xff\xfe{\"WARC/1.1\r\n\r\n";

fn list(fields: &[(&'static str, &'static str)]) -> HeaderList {
    let map: http::HeaderMap = fields
        .iter()
        .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
        .collect();
    HeaderList::from(&map)
}

/// Exchanges with what HTTP allows and files of text find hard.
fn exchanges() -> Vec<Exchange> {
    let mut all: Vec<Exchange> = [
        "/",
        "*",
        "/a|b{c}\"d\"\\^?e=`f`&%7C",
        "http://h?x=1",
        "https://u:p@h:8443/a%20b?&&=",
        "http://[::1]:80/x",
        "/%zz/%ff?\u{e9}",
    ]
    .iter()
    .map(|uri| Exchange::new(get(uri), ok(b"text")))
    .collect();
    all.push(Exchange::new(
        Request::connect("example.com:443")
            .body(Bytes::new())
            .unwrap(),
        ok(b""),
    ));
    for (status, body) in [
        (100, b"" as &[u8]),
        (204, b""),
        (205, b""),
        (304, b""),
        (599, b"x"),
    ] {
        let mut response = ok(body);
        *response.status_mut() = status.try_into().unwrap();
        all.push(Exchange::new(get(&format!("/status/{status}")), response));
    }
    let bodies: [&'static [u8]; 9] = [
        BINARY,
        b"\r\n",
        b"\n\n\n",
        b"a\rb\r\nc",
        b" {\"a\" : 1}\n",
        b"caf\xe9",
        b"\xef\xbb\xbf",
        "\u{fffd}\u{1f600}\u{0}".as_bytes(),
        b"\x1f\x8b",
    ];
    for (number, body) in bodies.into_iter().enumerate() {
        let mut request = Request::put(format!("/body/{number}"))
            .body(Bytes::from_static(body))
            .unwrap();
        *request.version_mut() = [Version::HTTP_10, Version::HTTP_2, Version::HTTP_3][number % 3];
        let json = [("content-type", "application/json")];
        let mut exchange = Exchange::new(request, ok(body));
        exchange.response.as_mut().unwrap().headers = list(&json[..number % 2]);
        all.push(exchange);
    }
    all.extend(with_headers());
    all.extend(incomplete());
    let began = SystemTime::UNIX_EPOCH + Duration::from_nanos(1_795_219_199_123_456_789);
    for (number, exchange) in (0_u32..).zip(&mut all) {
        exchange.began = began + Duration::from_millis(number.into());
        exchange.time_to_end = Duration::new(1, 3 * number);
        if exchange.response.is_ok() {
            exchange.time_to_head = Some(Duration::new(1, 2 * number));
        }
    }
    all
}

fn get(uri: &str) -> Request<Bytes> {
    Request::get(uri).body(Bytes::new()).unwrap()
}

fn ok(body: &'static [u8]) -> Response<Bytes> {
    Response::new(Bytes::from_static(body))
}

/// Exchanges with repeated headers, content codings and trailers.
fn with_headers() -> Vec<Exchange> {
    let mut all = Vec::new();
    let repeated = list(&[
        ("set-cookie", "a=1; Path=/"),
        ("x", ""),
        ("set-cookie", "b=2"),
        ("x-archive-orig-y", "z"),
        ("content-length", "4"),
    ]);
    let coded = |coding| list(&[("content-encoding", coding), ("content-type", "text/plain")]);
    for (number, (headers, body)) in [
        (repeated, b"four" as &[u8]),
        (coded("gzip"), GZIP_OF_HELLO),
        (coded("br"), BINARY),
        (coded("identity"), b"text"),
        (coded("gzip, unknown"), GZIP_OF_HELLO),
    ]
    .into_iter()
    .enumerate()
    {
        let mut exchange = Exchange::new(get(&format!("/headers/{number}")), ok(body));
        exchange.request.headers = headers.clone();
        exchange.response.as_mut().unwrap().headers = headers;
        all.push(exchange);
    }
    let mut trailers = Exchange::new(get("/trailers"), ok(b"{}"));
    trailers.request.body = Bytes::from_static(b"sent").into();
    trailers.request.body.trailers = Some(list(&[("a", "1"), ("a", "2")]));
    trailers.response.as_mut().unwrap().body.trailers = Some(HeaderList::new());
    all.push(trailers);
    all
}

/// Exchanges that ended early.
fn incomplete() -> Vec<Exchange> {
    let mut all = Vec::new();
    let ends = [
        BodyEnd::Limit,
        BodyEnd::Dropped,
        BodyEnd::Error("reset\r\n100%".to_owned()),
    ];
    for (number, end) in ends.into_iter().enumerate() {
        let mut exchange = Exchange::new(get(&format!("/end/{number}")), ok(b"begin"));
        exchange.request.body.end = end.clone();
        let response = exchange.response.as_mut().unwrap();
        response.headers = list(&[("content-length", "1000")]);
        response.body.end = end;
        all.push(exchange);
    }
    for why in [NoResponse::ClientGone, NoResponse::Failed("é\n".to_owned())] {
        all.push(Exchange::without_response(get("/none"), why));
    }
    all
}

/// The formats that keep everything, each with a name for its place.
fn exact(name: &str, place: &Path) -> Box<dyn Sink> {
    match name {
        "warc" => Box::new(Disk::new(place)),
        "warc.gz" => Box::new(Disk::new(place).compress(Compression::Gzip)),
        "warc.zst" => Box::new(Disk::new(place).compress(Compression::Zstd)),
        _ => Box::new(Har::new(place)),
    }
}

fn read(place: &Path) -> Vec<Exchange> {
    let recording = block_on(store::open(place)).unwrap();
    let (exchanges, errors) = replay(&recording);
    assert!(errors.is_empty(), "{}: {errors:?}", place.display());
    exchanges
}

fn assert_same(found: &[Exchange], expected: &[Exchange], what: &str) {
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected, "{what}");
    }
    assert_eq!(found.len(), expected.len(), "{what}");
}

/// Writes exchanges in each format, and from there in each other format.
fn convert_everywhere(exchanges: &[Exchange]) {
    const EXACT: [&str; 4] = ["warc", "warc.gz", "warc.zst", "har"];

    let folder = tempfile::tempdir().unwrap();
    let mut current = exchanges.to_vec();
    let mut step = 0;
    for (from, first) in EXACT.iter().enumerate() {
        for second in &EXACT[from..] {
            for name in [first, second] {
                step += 1;
                let place = folder.path().join(format!("{step}.{name}"));
                record(&*exact(name, &place), current);
                current = read(&place);
                assert_same(&current, exchanges, &format!("{first}, {second}"));
            }
        }
    }

    // Fixtures keep the last whole exchange for each request, without times.
    let place = folder.path().join("fixtures");
    let matching = Matching::new();
    let kept: Vec<_> = exchanges
        .iter()
        .filter(|exchange| matching.key_of(exchange).is_some())
        .collect();
    record(&DiskCache::new(&place).exact(true), exchanges);
    let found = read(&place);
    for exchange in &kept {
        let key = matching.key_of(exchange);
        let last = kept
            .iter()
            .rev()
            .find(|other| matching.key_of(other) == key)
            .unwrap();
        let same = found.iter().find(|found| matching.key_of(found) == key);
        let same = same.unwrap_or_else(|| panic!("{:?}", exchange.request));
        assert_eq!(same.request, last.request);
        assert_eq!(same.response, last.response);
        assert_eq!(same.began, SystemTime::UNIX_EPOCH);
    }
    let keys: std::collections::HashSet<_> = kept
        .iter()
        .map(|exchange| matching.key_of(exchange))
        .collect();
    assert_eq!(found.len(), keys.len());
    // Other formats keep the content of fixtures exactly.
    let har = folder.path().join("from-fixtures.har");
    record(&Har::new(&har), found.clone());
    assert_same(&read(&har), &found, "fixtures, har");
}

#[test]
fn every_exchange_comes_back_from_every_format() {
    convert_everywhere(&exchanges());
}

const CASSETTE: &str = r#"
http_interactions:
- request:
    method: post
    uri: http://a/b?c=|&d=é
    body: {encoding: UTF-8, string: "grüße"}
    headers: {X: [one, two], Content-Length: ['7']}
  response:
    status: {code: 200, message: OK}
    headers: {Content-Type: [text/plain; charset=ISO-8859-1], Transfer-Encoding: [chunked]}
    body: {encoding: ISO-8859-1, string: "caf\u00e9"}
  recorded_at: Tue, 01 Nov 2011 04:58:44 GMT
- request: {method: get, uri: 'http://a/cut', body: null, headers: {}}
  response: {status: {code: 200}, headers: {}, body: null}
"#;

#[test]
fn what_is_read_from_a_cassette_comes_back_from_every_format() {
    let json = serde_json::json!({"interactions": [{
        "request": {"method": "GET", "uri": "http://a/", "headers": {}, "body": null},
        "response": {"status": {"code": 200}, "headers": {}, "body": {"string": "\u{1f600}"}},
    }]});
    let folder = tempfile::tempdir().unwrap();
    for (name, text, count) in [("a.yaml", CASSETTE, 2), ("a.json", &json.to_string(), 1)] {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let exchanges = read(&path);
        assert_eq!(exchanges.len(), count);
        convert_everywhere(&exchanges);
    }
}

#[test]
fn what_is_read_from_http4k_comes_back_from_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let entry = folder
        .path()
        .join("1795132799000000000e2b3d4c5-0000-4000-8000-000000000000");
    fs::create_dir_all(&entry).unwrap();
    fs::write(
        entry.join("request.txt"),
        "POST http://a/b HTTP/1.1\r\nx: 1\r\nx: 2\r\n\r\ngrüße",
    )
    .unwrap();
    fs::write(
        entry.join("response.txt"),
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\ntransfer-encoding: chunked\r\n\r\nline\r\nend",
    )
    .unwrap();
    let exchanges = read(folder.path());
    assert_eq!(exchanges.len(), 1);
    assert_eq!(
        exchanges[0].response.as_ref().unwrap().headers,
        list(&[("content-length", "9")])
    );
    convert_everywhere(&exchanges);
}
