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
    store::{RecordingReport, Source, Vcr, Which},
};

/// The exchanges and errors of replaying a cassette, and the report of reading it.
fn read(text: impl AsRef<[u8]>) -> (Vec<Exchange>, Vec<StoreError>, RecordingReport) {
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
fn an_unknown_field_is_noted_once() {
    let interaction = "- new: 1
  request: {method: get, uri: 'http://a/', odd: 2, body: {string: x, also: 3}}
  response: {status: {code: 204}}
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
fn an_invalid_interaction_is_reported_with_its_path() {
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
fn entries_before_a_syntax_error_are_served() {
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
fn a_file_of_another_kind_is_an_error() {
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

#[test]
fn encodings_are_applied() {
    let read = |encoding: &str, string: &str, content_type: &str| {
        let (exchanges, errors, report) = read(format!(
            "http_interactions:
- request: {{method: get, uri: 'http://a/'}}
  response:
    status: {{code: 200}}
    headers: {{Content-Type: [{content_type}]}}
    body: {{encoding: {encoding}, string: {string}}}
"
        ));
        assert!(errors.is_empty(), "{errors:?}");
        let content_type = response_lines(&exchanges[0]).remove(0);
        (got(&exchanges[0]), content_type, report.notes.len())
    };
    let latin = "text/plain; charset=ISO-8859-1";
    let kept = format!("content-type: {latin}");
    for (encoding, string, expected) in [
        (
            "ISO-8859-1",
            "\"caf\\u00e9\\u0080\"",
            b"caf\xe9\x80".as_slice(),
        ),
        ("Windows-1252", "€", b"\x80"),
        ("Shift_JIS", "日", b"\x93\xfa"),
        ("EUC-JP", "日", b"\xc6\xfc"),
        ("GB18030", "日", b"\xc8\xd5"),
        ("UTF-16LE", "é", b"\xe9\0"),
        ("UTF-8", "é", "é".as_bytes()),
        ("ASCII-8BIT", "é", "é".as_bytes()),
        ("US-ASCII", "e", b"e"),
        ("unknown", "e", b"e"),
    ] {
        assert_eq!(
            read(encoding, string, latin),
            (expected.to_vec(), kept.clone(), 0)
        );
    }
    for (encoding, string) in [
        ("ISO-8859-1", "€"),
        ("Windows-1252", "日"),
        ("unknown", "é"),
    ] {
        let utf_8 = "content-type: text/plain; charset=utf-8".to_owned();
        assert_eq!(
            read(encoding, string, latin),
            (string.as_bytes().to_vec(), utf_8, 1)
        );
    }
}

#[test]
fn unknown_bodies_are_not_empty() {
    let request = |rest: &str| {
        format!(
            "interactions:
- request: {{method: POST, uri: 'http://a/', {rest}}}
  response: {{status: {{code: 200}}, body: {{string: ok}}}}
"
        )
    };
    let response = |rest: &str| {
        format!(
            "interactions:
- request: {{method: GET, uri: 'http://a/', body: null}}
  response: {{status: {{code: 200}}, {rest}}}
"
        )
    };
    for text in [
        request("body: !!python/object:__builtin__.file {}"),
        request("body: !!python/object/new:_io.BytesIO {state: [!!binary 'aGVsbG8=', 0, null]}"),
        request("body: {string: null}"),
        request("body: null, headers: {Content-Length: ['9']}"),
        request("body: '', headers: {Content-Length: ['9']}"),
        request("body: null, headers: {Transfer-Encoding: [chunked]}"),
        request("body: '', content_length: 9"),
        request("post_files: [{name: a}]"),
        request("body: {encoding: base64, string: A===}"),
        response("body: null"),
        response("headers: {Content-Length: ['9']}"),
        response("body: {}"),
        response("body: {string: null}"),
        response("body: !!python/object:__builtin__.file {}"),
        response("body: {string: ''}, headers: {Content-Length: ['9']}"),
    ] {
        let (exchanges, errors, report) = read(&text);
        assert!(errors.is_empty(), "{errors:?}");
        assert!(Matching::new().key_of(&exchanges[0]).is_none(), "{text}");
        let notes = report.notes;
        assert!(
            notes.iter().any(|note| note.what.contains("never answers")),
            "{notes:?}"
        );
    }
    for text in [
        request("body: null"),
        request("body: ''"),
        request("headers: {Content-Length: ['0']}"),
        response("body: null, headers: {Content-Length: ['0']}"),
        response("body: {string: ''}"),
        response("body: ''"),
        response("headers: {}"),
        response("body: {encoding: base64, string: '<p>text</p>'}"),
    ] {
        let (exchanges, ..) = read(&text);
        assert!(Matching::new().key_of(&exchanges[0]).is_some(), "{text}");
    }
}

#[test]
fn go_vcr_writes_fields_that_do_not_matter() {
    let exchanges = read_good(
        "---
version: 2
interactions:
    - id: 0
      request:
        proto: HTTP/2.0
        proto_major: 2
        proto_minor: 0
        content_length: 5
        transfer_encoding: []
        trailer: {}
        host: example.com
        remote_addr: \"\"
        request_uri: \"\"
        body: hello
        form: {}
        headers: {}
        url: http://example.com/
        method: POST
      response:
        proto: HTTP/2.0
        proto_major: 2
        proto_minor: 0
        transfer_encoding: [chunked]
        trailer: {Grpc-Status: ['0']}
        content_length: -1
        uncompressed: true
        body: world
        headers: {}
        status: 200 OK
        code: 200
        duration: 1m2.5s
",
    );
    let response = exchanges[0].response.as_ref().unwrap();
    assert_eq!(response.version, Version::HTTP_2);
    assert_eq!(
        lines(response.body.trailers.as_ref().unwrap()),
        ["grpc-status: 0"]
    );
    assert_eq!(exchanges[0].time_to_end, Duration::from_millis(62_500));
}

#[test]
fn phps_cassettes_are_read() {
    const PHP: &str = "
-
    request:
        method: POST
        url: 'http://example.com/'
        headers:
            Host: example.com
        body: sent
        curl_options: {}
    response:
        status:
            http_version: '1.0'
            code: '200'
            message: OK
        headers:
            Content-Type: application/x-gzip
        body: H4sIAAAAAAAAA8tIzcnJBwCGphA2BQAAAA==
    index: 0
-
    request:
        method: GET
        url: 'http://example.com/empty'
    response:
        status: HTTP/1.1 404 Not Found
        headers: {}
        curl_info: {url: x}
";
    let exchanges = read_good(PHP);
    let response = exchanges[0].response.as_ref().unwrap();
    assert_eq!(response.version, Version::HTTP_10);
    assert_eq!(got(&exchanges[0])[..2], [0x1f, 0x8b]);
    assert_eq!(exchanges[1].response.as_ref().unwrap().status, 404);
    assert_eq!(got(&exchanges[1]), b"");
    let json =
        r#"[{"request": {"method": "GET", "url": "http://a/"}, "response": {"status": "200"}}]"#;
    assert_eq!(read_good(json).len(), 1);
}

#[test]
fn a_decoded_body_loses_its_coding() {
    for coding in ["br", "deflate", "gzip", "zstd"] {
        let exchanges = read_good(&format!(
            "interactions:
- request: {{method: GET, uri: 'http://a/'}}
  response:
    body: {{string: !!binary iVBORw0KGgoAAAAN}}
    headers: {{Content-Encoding: [{coding}], Content-Length: ['9']}}
    status: {{code: 200}}
"
        ));
        assert_eq!(response_lines(&exchanges[0]), ["content-length: 12"]);
    }
}

#[test]
fn an_unpaired_surrogate_costs_its_character() {
    let json = r#"{"interactions": [
{"request": {"method": "GET", "uri": "http://a/1"}, "response": {"status": 200, "body": "a\udce9"}},
{"request": {"method": "GET", "uri": "http://a/2"}, "response": {"status": 200, "body": "b"}}]}"#;
    let yaml = "interactions:
- request: {method: GET, uri: 'http://a/1'}
  response: {status: 200, body: \"a\\uDCE9\"}
- request: {method: GET, uri: 'http://a/2'}
  response: {status: 200, body: b}
";
    for text in [json, yaml] {
        let (exchanges, errors, report) = read(text);
        assert!(errors.is_empty(), "{errors:?}");
        assert_eq!(got(&exchanges[0]), "a\u{fffd}".as_bytes());
        assert_eq!(got(&exchanges[1]), b"b");
        assert_eq!(report.notes.len(), 1);
    }
}

#[test]
fn a_bad_interaction_costs_itself() {
    let good = "- request: {method: get, uri: 'http://a/'}\n  response: {status: 200, body: ''}\n";
    let deep = format!("- {}", "[".repeat(100));
    for bad in [
        "- {",
        "- \"",
        "- '",
        "- *unknown",
        "- %",
        "- a: b: c",
        &deep,
    ] {
        let (exchanges, errors, _) =
            read(format!("interactions:\n{good}{bad}\n{good}version: 1\n"));
        assert_eq!((exchanges.len(), errors.len()), (2, 1), "{bad}: {errors:?}");
        assert!((4..=5).contains(&syntax(&errors[0]).0), "{bad}: {errors:?}");
    }
    let bytes = [
        b"interactions:\n",
        good.as_bytes(),
        b"- \xff\n",
        good.as_bytes(),
    ]
    .concat();
    let (exchanges, errors, _) = read(bytes);
    assert_eq!((exchanges.len(), errors.len()), (2, 1), "{errors:?}");
}

#[test]
fn a_uri_is_as_the_client_writes_it() {
    for (uri, expected) in [
        (
            "http://a/css?f=Roboto:400|Open+Sans",
            "http://a/css?f=Roboto:400|Open+Sans",
        ),
        ("http://a/{x}?q={y}^`", "http://a/{x}?q={y}^`"),
        ("http://a?q=\"b\"", "http://a/?q=%22b%22"),
    ] {
        let exchanges = read_good(&format!(
            "interactions:\n- request: {{method: get, uri: '{uri}'}}\n  response: {{status: 204}}\n"
        ));
        assert_eq!(exchanges[0].request.uri, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_text_makes_the_reader_panic(text in "[-{}\\[\\]\"':&*!|>a-c0-9 \n]{0,200}") {
        let _ = read(format!("interactions:\n- request: {text}"));
    }
}
