//! Cassettes of VCR, vcrpy and go-vcr.

use std::{
    fmt::Write,
    fs,
    time::{Duration, SystemTime},
};

use futures::executor::block_on;
use http::{Method, Version};
use proptest::prelude::*;
use support::stores::replay;
use tower_traffic::{
    Exchange, HeaderList, Matching, StoreError,
    store::{FileReport, Source, Vcr, Which},
};

/// The exchanges and errors of replaying a cassette, and the report of reading it.
fn read(text: impl AsRef<[u8]>) -> (Vec<Exchange>, Vec<StoreError>, FileReport) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cassette.yaml");
    fs::write(&path, text).unwrap();
    let vcr = Vcr::new(&path);
    let (exchanges, errors) = replay(&vcr);
    (exchanges, errors, block_on(vcr.report()).unwrap())
}

/// The exchanges of a cassette without errors and notes.
fn read_good(text: &str) -> Vec<Exchange> {
    let (exchanges, errors, report) = read(text);
    assert!(errors.is_empty(), "{errors:?}");
    assert!(report.notes.is_empty(), "{:?}", report.notes);
    assert_eq!(report.exchanges, exchanges.len());
    exchanges
}

fn sent(exchange: &Exchange) -> Vec<u8> {
    exchange.request.body.to_bytes().to_vec()
}

fn got(exchange: &Exchange) -> Vec<u8> {
    exchange.response.as_ref().unwrap().body.to_bytes().to_vec()
}

fn lines(headers: &HeaderList) -> Vec<String> {
    headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.escape_ascii()))
        .collect()
}

fn response_lines(exchange: &Exchange) -> Vec<String> {
    lines(&exchange.response.as_ref().unwrap().headers)
}

const RUBY: &str = "---
http_interactions:
- request:
    method: post
    uri: http://localhost:7777/foo?a=1
    body:
      encoding: UTF-8
      string: ''
    headers:
      Accept:
      - '*/*'
      X-Twice:
      - one
      - two
  response:
    status:
      code: 201
      message: Created
    headers:
      Content-Type:
      - text/html;charset=utf-8
      Content-Length:
      - '9'
    body:
      encoding: UTF-8
      string: |-
        Hello
        foo
    http_version: '1.1'
  recorded_at: Tue, 01 Nov 2011 04:58:44 GMT
- request:
    method: get
    uri: http://localhost:7777/binary
    body:
      encoding: US-ASCII
      base64_string: aGVsbG8=
    headers: {}
  response:
    status:
      code: 200
      message: OK
    headers: {}
    body:
      encoding: ASCII-8BIT
      string: !binary |-
        AAEC
        /w==
    http_version:
  recorded_at: Tue, 01 Nov 2011 04:58:44 GMT
recorded_with: VCR 6.0.0
";

#[test]
fn rubys_cassettes_are_read() {
    let exchanges = read_good(RUBY);
    let [first, second] = &exchanges[..] else {
        panic!("{exchanges:?}");
    };
    assert_eq!(first.request.method, Method::POST);
    assert_eq!(first.request.uri, "http://localhost:7777/foo?a=1");
    assert_eq!(
        lines(&first.request.headers),
        ["accept: */*", "x-twice: one", "x-twice: two"]
    );
    let began = SystemTime::UNIX_EPOCH + Duration::from_secs(1_320_123_524);
    assert_eq!(first.began, began);
    assert_eq!(first.response.as_ref().unwrap().status, 201);
    assert_eq!(first.response.as_ref().unwrap().version, Version::HTTP_11);
    assert_eq!(got(first), b"Hello\nfoo");
    assert_eq!(
        response_lines(first),
        ["content-type: text/html;charset=utf-8", "content-length: 9"]
    );
    assert_eq!(sent(second), b"hello");
    assert_eq!(got(second), [0, 1, 2, 255]);
}

#[test]
fn a_rust_cassette_in_json_is_read() {
    // As written by the crate `vcr-cassette`, with tabs and an emoji as a surrogate pair.
    let text = "{\n\t\"http_interactions\": [\n\t\t{\"response\": {\"body\": \"Hello \\ud83d\\ude00 \\/ foo\",
        \"http_version\": \"2\", \"status\": {\"code\": 200, \"message\": \"OK\"},
        \"headers\": {\"Date\": [\"Thu, 27 Oct 2011 06:16:31 GMT\"]}},
        \"request\": {\"uri\": \"http://localhost:7777/foo\", \"body\": {\"encoding\": null, \"string\": \"x\"},
        \"method\": \"get\", \"headers\": {\"Accept\": [\"identity\"]}},
        \"recorded_at\": \"Tue, 01 Nov 2011 04:58:44 GMT\"}],
        \"recorded_with\": \"VCR 2.0.0\"}";
    let exchanges = read_good(text);
    assert_eq!(exchanges.len(), 1);
    assert_eq!(exchanges[0].request.method, Method::GET);
    assert_eq!(
        exchanges[0].response.as_ref().unwrap().version,
        Version::HTTP_2
    );
    assert_eq!(got(&exchanges[0]), "Hello 😀 / foo".as_bytes());
    assert_eq!(sent(&exchanges[0]), b"x");
}

#[test]
fn pythons_cassettes_are_read() {
    let exchanges = read_good(
        "interactions:
- request:
    body: null
    headers:
      Accept-Encoding: [identity]
      User-Agent: python
    method: GET
    uri: https://httpbin.org/gzip
  response:
    body:
      string: !!binary |
        H4sIAAAAAAAAA8tIzcnJBwCGphA2BQAAAA==
    headers:
      Content-Encoding: [gzip]
      Content-Length: ['25']
      Transfer-Encoding: [chunked]
    status: {code: 200, message: OK}
- request: {body: a=b, headers: {}, method: PATCH, uri: 'https://httpbin.org/'}
  response:
    body: {string: 007}
    headers: {Content-Encoding: gzip}
    status: {code: 200, message: OK}
version: 1
",
    );
    // Still compressed: the coding stays, the framing is removed.
    assert_eq!(
        response_lines(&exchanges[0]),
        ["content-encoding: gzip", "content-length: 25"]
    );
    assert_eq!(got(&exchanges[0])[..2], [0x1f, 0x8b]);
    assert_eq!(exchanges[0].began, SystemTime::UNIX_EPOCH);
    assert_eq!(
        lines(&exchanges[0].request.headers)[1],
        "user-agent: python"
    );
    // The recorder has decoded the body, so the coding is removed. A number stays text.
    assert_eq!(response_lines(&exchanges[1]), [""; 0]);
    assert_eq!(got(&exchanges[1]), b"007");
    assert_eq!(exchanges[1].request.method, Method::PATCH);
}

#[test]
fn gos_cassettes_are_read() {
    let exchanges = read_good(
        "---
version: 1
interactions:
- request:
    body: hello
    headers: {}
    url: http://example.com/
    method: POST
  response:
    body: world
    headers: {Content-Type: [text/plain]}
    status: 404 Not Found
    code: 404
    duration: ''
- request: {url: 'http://example.com/', method: GET}
  response: {status: 204 No Content}
",
    );
    assert_eq!(exchanges[0].response.as_ref().unwrap().status, 404);
    assert_eq!(exchanges[1].response.as_ref().unwrap().status, 204);
    assert_eq!(sent(&exchanges[0]), b"hello");
}

#[test]
fn aliases_are_followed() {
    // Ruby writes an alias for a repeated string.
    let exchanges = read_good(
        "http_interactions:
- request: {method: get, uri: &uri 'http://a/', body: &empty '', headers: &h {A: [b]}}
  response: {status: {code: 200}, headers: *h, body: *empty}
- request: {method: get, uri: *uri, body: *empty, headers: *h}
  response: {status: {code: 200}, headers: *h, body: *uri}
",
    );
    assert_eq!(exchanges[1].request.uri, "http://a/");
    assert_eq!(lines(&exchanges[1].request.headers), ["a: b"]);
    assert_eq!(got(&exchanges[1]), b"http://a/");
}

#[test]
fn unknown_fields_are_told_once() {
    let interaction = "- new: 1
  request: {method: get, uri: 'http://a/', odd: 2, body: {string: x, also: 3}}
  response: {status: {code: 200}}
";
    let (exchanges, errors, report) = read(format!("interactions:\n{interaction}{interaction}"));
    assert_eq!((exchanges.len(), errors.len()), (2, 0));
    let notes: Vec<_> = report.notes.iter().map(ToString::to_string).collect();
    let places = [
        "$.interactions[0].new: ",
        "$.interactions[0].request.odd: ",
        "$.interactions[0].request.body.also: ",
    ];
    assert_eq!(notes.len(), places.len(), "{notes:?}");
    for (note, place) in notes.iter().zip(places) {
        assert!(note.starts_with(place), "{note}");
    }
}

#[test]
fn bad_interactions_are_told_by_their_path_and_the_rest_is_served() {
    let good = "- request: {method: get, uri: 'http://a/'}\n  response: {status: {code: 200}}\n";
    let bad = [
        ("- 7", "$.http_interactions[1]"),
        ("- {}", "$.http_interactions[1].request"),
        (
            "- request: {method: get, uri: 'http://a/'}",
            "$.http_interactions[1].response",
        ),
        (
            "- request: {uri: 'http://a/'}\n  response: {status: 200}",
            "$.http_interactions[1].request.method",
        ),
        (
            "- request: {method: get, uri: nowhere}\n  response: {status: 200}",
            "$.http_interactions[1].request.uri",
        ),
        (
            "- request: {method: get, uri: /a}\n  response: {status: {code: OK}}",
            "$.http_interactions[1].response.status.code",
        ),
        (
            "- request: {method: get, uri: /a, body: [1]}\n  response: {status: 200}",
            "$.http_interactions[1].request.body",
        ),
        (
            "- request: {method: get, uri: /a, headers: 3}\n  response: {status: 200}",
            "$.http_interactions[1].request.headers",
        ),
        (
            "- request: {method: get, uri: /a, body: !!binary '!'}\n  response: {status: 200}",
            "$.http_interactions[1].request.body",
        ),
    ];
    for (interaction, expected) in bad {
        let (exchanges, errors, report) =
            read(format!("http_interactions:\n{good}{interaction}\n{good}"));
        assert_eq!(exchanges.len(), 2, "{interaction}");
        let [StoreError::Damaged { location, .. }] = &errors[..] else {
            panic!("{interaction}: {errors:?}");
        };
        assert_eq!(location.json_path(), Some(expected));
        assert_eq!(report.skipped.len(), 1);
    }
}

/// The line and column of a syntax error.
fn syntax(error: &StoreError) -> (usize, usize) {
    match error {
        StoreError::Damaged { location, .. } => {
            (location.line().unwrap(), location.column().unwrap())
        }
        error => panic!("{error:?}"),
    }
}

#[test]
fn what_stands_before_a_syntax_error_is_served() {
    let (exchanges, errors, report) = read(
        "interactions:
- request: {method: get, uri: 'http://a/'}
  response: {status: {code: 200}}
- request: {method: get, uri: 'http://b/'
  response: oh
",
    );
    assert_eq!(exchanges.len(), 1);
    assert_eq!(errors.len(), 1);
    assert!((4..=6).contains(&syntax(&errors[0]).0), "{errors:?}");
    assert_eq!(report.skipped.len(), 1);
}

#[test]
fn what_is_no_cassette_is_told() {
    for text in [
        "",
        "{}",
        "7",
        "interactions: 3",
        "- a\n- b",
        "a: b",
        "interactions:\n  a: b",
    ] {
        let (exchanges, errors, _) = read(text);
        assert!(exchanges.is_empty());
        assert_eq!(errors.len(), 1, "{text}");
        syntax(&errors[0]);
    }
    let (_, errors, _) = read(b"a: b\nc: \xff");
    assert_eq!(syntax(&errors[0]), (2, 4));
    assert!(read_good("interactions: []").is_empty());
}

#[test]
fn bombs_are_refused() {
    // Each list has ten references to the previous list: 10^9 strings.
    let mut text = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
    for n in 1..9 {
        let aliases = vec![format!("*a{}", n - 1); 10].join(", ");
        writeln!(text, "a{n}: &a{n} [{aliases}]").unwrap();
    }
    text.push_str("interactions: []\n");
    let (_, errors, _) = read(&text);
    assert!(
        errors[0].to_string().contains("aliases copy more than"),
        "{errors:?}"
    );

    for deep in [
        "[".repeat(100_000),
        "- ".repeat(100_000),
        "{a: ".repeat(100_000),
    ] {
        let (_, errors, _) = read(format!("interactions: {deep}"));
        assert_eq!(errors.len(), 1);
        syntax(&errors[0]);
    }
}

#[test]
fn a_cassette_answers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cassette.yaml");
    fs::write(&path, RUBY).unwrap();
    let vcr = block_on(Vcr::open(&path))
        .unwrap()
        .match_by(Matching::new().ignore_authority(true));
    let request = http::Request::post("/foo?a=1")
        .body(bytes::Bytes::new())
        .unwrap();
    let key = vcr.matching().key(&request.into());
    let found = block_on(vcr.find(key, Which::Latest)).unwrap().unwrap();
    assert_eq!(got(&found), b"Hello\nfoo");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_text_makes_the_reader_panic(text in "[-{}\\[\\]\"':&*!|>a-c0-9 \n]{0,200}") {
        let _ = read(format!("interactions:\n- request: {text}"));
    }
}
