//! HAR files of other tools, and exact round trips of this crate's own.

use std::{
    fs,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures::executor::block_on;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use proptest::prelude::*;
use serde_json::{Value, json};
use support::stores::{exchange, find, record, replay};
use tempfile::TempDir;
use tower_traffic::{
    BodyEnd, Exchange, HeaderList, Matching, NoResponse, RecordedResponse, StoreError,
    store::{Har, RecordingReport, Source},
};

struct File {
    _folder: TempDir,
    path: PathBuf,
}

impl File {
    fn of(content: impl AsRef<[u8]>) -> Self {
        let file = Self::new();
        fs::write(&file.path, content).unwrap();
        file
    }

    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.har");
        Self {
            _folder: folder,
            path,
        }
    }
}

fn report(file: &File) -> RecordingReport {
    block_on(Har::new(&file.path).report()).unwrap()
}

/// A HAR of these entries.
fn har(entries: &Value) -> File {
    File::of(json!({"log": {"version": "1.2", "entries": entries}}).to_string())
}

/// An entry as a browser writes it, with some of its fields replaced.
fn entry(request: Value, response: Value) -> Value {
    let mut entry = json!({
        "startedDateTime": "2026-11-20T23:59:59.123Z",
        "time": 12.5,
        "request": {
            "method": "GET",
            "url": "https://example.com/a?b=c",
            "httpVersion": "HTTP/1.1",
            "headers": [],
        },
        "response": {
            "status": 200,
            "statusText": "OK",
            "httpVersion": "HTTP/1.1",
            "headers": [{"name": "Content-Type", "value": "text/plain"}],
            "content": {"size": 5, "mimeType": "text/plain", "text": "hello"},
        },
        "timings": {"blocked": 1, "dns": -1, "connect": -1, "ssl": -1, "send": 0.5, "wait": 8, "receive": 3},
    });
    for (part, changes) in [("request", request), ("response", response)] {
        for (name, value) in changes.as_object().unwrap() {
            entry[part][name] = value.clone();
        }
    }
    entry
}

/// The exchange in a HAR with one entry, and the notes of reading it.
fn read_noted(entry: &Value) -> (Exchange, Vec<String>) {
    let file = har(&json!([entry]));
    let (mut read, errors) = replay(&Har::new(&file.path));
    assert!(errors.is_empty(), "{errors:?}");
    let notes = report(&file)
        .notes
        .iter()
        .map(ToString::to_string)
        .collect();
    (read.remove(0), notes)
}

fn read(request: Value, response: Value) -> Exchange {
    let (exchange, notes) = read_noted(&entry(request, response));
    assert!(notes.is_empty(), "{notes:?}");
    exchange
}

fn response(exchange: &Exchange) -> &RecordedResponse {
    exchange.response.as_ref().unwrap()
}

fn lines(headers: &HeaderList) -> Vec<String> {
    headers
        .iter()
        .map(|(name, value)| format!("{name}: {}", value.escape_ascii()))
        .collect()
}

fn bad(file: &File) -> Vec<(String, String)> {
    let (_, errors) = replay(&Har::new(&file.path));
    errors
        .into_iter()
        .map(|error| match error {
            StoreError::Damaged { location, reason } => {
                (location.json_path().unwrap().to_owned(), reason)
            }
            other => panic!("{other:?}"),
        })
        .collect()
}

// ---- reading HARs of other tools

#[test]
fn a_browsers_entry_is_an_exchange() {
    let exchange = read(json!({}), json!({}));
    let began = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_219_199_123);
    assert_eq!(exchange.began, began);
    assert_eq!(exchange.time_to_head, Some(Duration::from_micros(9500)));
    assert_eq!(exchange.time_to_end, Duration::from_micros(12_500));
    assert_eq!(exchange.request.uri, "https://example.com/a?b=c");
    assert_eq!(response(&exchange).status, 200);
    assert_eq!(response(&exchange).body.to_bytes(), "hello");
    assert_eq!(response(&exchange).body.end, BodyEnd::Complete);
}

#[test]
fn missing_fields_are_tolerated() {
    let (exchange, notes) = read_noted(&json!({
        "request": {"method": "GET", "url": "http://example.com/"},
        "response": {"status": 204},
    }));
    assert_eq!(exchange.began, SystemTime::UNIX_EPOCH);
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(
        notes[0].starts_with("$.log.entries[0].startedDateTime: "),
        "{notes:?}"
    );
    assert_eq!(exchange.time_to_end, Duration::ZERO);
    assert!(exchange.request.headers.is_empty());
    assert_eq!(response(&exchange).status, 204);
    assert!(response(&exchange).body.is_empty());
}

#[test]
fn a_decoded_content_loses_its_coding() {
    let headers = json!([
        {"name": "Content-Encoding", "value": "gzip"},
        {"name": "content-length", "value": "25"},
        {"name": "transfer-encoding", "value": "chunked"},
        {"name": "x", "value": "y"},
    ]);
    let exchange = read(json!({}), json!({"headers": headers}));
    let fields = lines(&response(&exchange).headers);
    assert_eq!(fields, ["content-length: 5", "x: y"]);
}

#[test]
fn a_content_that_is_still_encoded_keeps_its_coding() {
    let exchange = read(
        json!({}),
        json!({
            "headers": [{"name": "content-encoding", "value": "gzip"}],
            "content": {
                "size": 25, "text": "H4sIAAAAAAAAA8tIzcnJBwCGphA2BQAAAA==", "encoding": "base64",
            },
        }),
    );
    let response = response(&exchange);
    assert_eq!(response.body.to_bytes().as_ref(), GZIP_OF_HELLO);
    assert_eq!(lines(&response.headers), ["content-encoding: gzip"]);
}

#[test]
fn base64_is_read_with_line_breaks_and_without_padding() {
    for text in ["AAEC/w==", "AAEC\r\n/w==", "AAEC/w"] {
        let content = json!({"size": 4, "text": text, "encoding": "base64"});
        let exchange = read(json!({}), json!({"content": content}));
        assert_eq!(response(&exchange).body.to_bytes().as_ref(), [0, 1, 2, 255]);
    }
}

#[test]
fn pseudo_headers_become_the_request_target() {
    let headers = json!([
        {"name": ":method", "value": "PUT"},
        {"name": ":authority", "value": "example.com"},
        {"name": ":scheme", "value": "https"},
        {"name": ":path", "value": "/from/pseudo?x=1"},
        {"name": "accept", "value": "*/*"},
    ]);
    let exchange = read(
        json!({"method": null, "url": null, "httpVersion": "h2", "headers": headers}),
        json!({"status": null, "httpVersion": "http/2.0", "headers": [
            {"name": ":status", "value": "201"},
        ]}),
    );
    assert_eq!(exchange.request.method, Method::PUT);
    assert_eq!(exchange.request.uri, "https://example.com/from/pseudo?x=1");
    assert_eq!(exchange.request.version, Version::HTTP_2);
    assert_eq!(lines(&exchange.request.headers), ["accept: */*"]);
    assert_eq!(response(&exchange).status, 201);
    assert_eq!(response(&exchange).version, Version::HTTP_2);
    assert!(response(&exchange).headers.is_empty());
}

#[test]
fn versions_are_read_in_every_spelling() {
    for (text, expected) in [
        ("HTTP/1.0", Version::HTTP_10),
        ("http/1.1", Version::HTTP_11),
        ("HTTP/2", Version::HTTP_2),
        ("h3", Version::HTTP_3),
        ("h3-29", Version::HTTP_3),
        ("unknown", Version::HTTP_11),
        ("", Version::HTTP_11),
    ] {
        let exchange = read(json!({"httpVersion": text}), json!({}));
        assert_eq!(exchange.request.version, expected, "{text}");
    }
}

#[test]
fn several_lines_in_one_value_are_several_fields() {
    let headers = json!([{"name": "set-cookie", "value": "a=1; Path=/\nb=2"}]);
    let exchange = read(json!({}), json!({"headers": headers}));
    let fields = lines(&response(&exchange).headers);
    assert_eq!(fields, ["set-cookie: a=1; Path=/", "set-cookie: b=2"]);
}

#[test]
fn invalid_fields_are_skipped_and_noted() {
    let headers = json!([
        {"name": "a b", "value": "1"},
        {"name": "x", "value": "a\u{0}b"},
        {"value": "nameless"},
        {"name": "good", "value": "1"},
        ["as-a-list", "2"],
    ]);
    let (exchange, notes) = read_noted(&entry(json!({"headers": headers}), json!({})));
    assert_eq!(
        lines(&exchange.request.headers),
        ["good: 1", "as-a-list: 2"]
    );
    assert_eq!(notes.len(), 3, "{notes:?}");
    for (number, note) in notes.iter().enumerate() {
        let place = format!("$.log.entries[0].request.headers[{number}]: ");
        assert!(note.starts_with(&place), "{note}");
    }
}

#[test]
fn post_data_is_the_content_of_the_request() {
    let posted = |post: Value, headers: Value| {
        let exchange = read(
            json!({"method": "POST", "postData": post, "headers": headers}),
            json!({}),
        );
        let body = exchange.request.body.to_bytes();
        (
            String::from_utf8(body.to_vec()).unwrap(),
            lines(&exchange.request.headers),
        )
    };
    let (body, fields) = posted(json!({"mimeType": "text/plain", "text": "abc"}), json!([]));
    assert_eq!(
        (body.as_str(), fields),
        ("abc", vec!["content-type: text/plain".to_owned()])
    );

    let params = json!([{"name": "a b", "value": "1&2"}, {"name": "c"}]);
    let form = "application/x-www-form-urlencoded";
    let (body, _) = posted(json!({"mimeType": form, "params": params}), json!([]));
    assert_eq!(body, "a%20b=1%262&c=");

    let file = json!([{"name": "f", "value": "content", "fileName": "x.txt", "contentType": "text/plain"}]);
    let mime = "multipart/form-data; boundary=XX";
    let (body, _) = posted(
        json!({"mimeType": "multipart/form-data", "params": file}),
        json!([{"name": "content-type", "value": mime}]),
    );
    let expected = "--XX\r\ncontent-disposition: form-data; name=\"f\"; filename=\"x.txt\"\r\n\
        content-type: text/plain\r\n\r\ncontent\r\n--XX--\r\n";
    assert_eq!(body, expected);
}

#[test]
fn a_status_of_zero_is_no_response() {
    for (changes, expected) in [
        (
            json!({"status": 0, "_error": "net::ERR_BLOCKED_BY_CLIENT"}),
            "net::ERR_BLOCKED_BY_CLIENT",
        ),
        (json!({"status": 0, "statusText": "Blocked"}), "Blocked"),
        (
            json!({"status": -1, "statusText": ""}),
            "the HAR has no response",
        ),
    ] {
        let exchange = read(json!({}), changes);
        assert_eq!(
            exchange.response,
            Err(NoResponse::Failed(expected.to_owned()))
        );
        assert_eq!(exchange.time_to_head, None);
    }
    let (exchange, _) = read_noted(&json!({"request": {"method": "GET", "url": "http://a/"}}));
    assert!(exchange.response.is_err());
}

#[test]
fn a_content_that_is_missing_never_answers() {
    let (exchange, notes) = read_noted(&entry(json!({}), json!({"content": {"size": 100}})));
    assert_eq!(response(&exchange).body.end, BodyEnd::Limit);
    assert_eq!(notes.len(), 1);
    assert_eq!(Matching::new().key_of(&exchange), None);

    // By definition, these responses have no content.
    let exchange = read(json!({"method": "HEAD"}), json!({"content": {"size": 100}}));
    assert_eq!(response(&exchange).body.end, BodyEnd::Complete);
    let exchange = read(json!({}), json!({"status": 304}));
    assert!(
        response(&exchange).body.is_empty(),
        "the browser's cache is no content of a 304"
    );
}

#[test]
fn text_of_another_charset_becomes_utf_8() {
    let headers = json!([{"name": "content-type", "value": "text/html; charset=ISO-8859-1; x=y"}]);
    let of = |text: &str| {
        let content = json!({"size": 4, "text": text});
        let exchange = read(json!({}), json!({"headers": headers, "content": content}));
        lines(&response(&exchange).headers)
    };
    assert_eq!(of("café"), ["content-type: text/html; charset=utf-8; x=y"]);
    assert_eq!(
        of("cafe"),
        ["content-type: text/html; charset=ISO-8859-1; x=y"]
    );
}

#[test]
fn invalid_uri_characters_are_encoded() {
    for (url, expected) in [
        (
            "http://example.com/a b|c?d=\"e\"#fragment",
            "http://example.com/a%20b|c?d=%22e%22",
        ),
        ("https://example.com/é", "https://example.com/%C3%A9"),
        (
            "https://example.com/?q=a|{b}^`",
            "https://example.com/?q=a|{b}^`",
        ),
        (
            "http://Bücher.example?x=1",
            "http://xn--bcher-kva.example/?x=1",
        ),
        ("wss://example.com/socket", "wss://example.com/socket"),
        ("/relative", "/relative"),
    ] {
        assert_eq!(read(json!({"url": url}), json!({})).request.uri, expected);
    }
}

#[test]
fn an_error_redacts_an_invalid_uri() {
    let url = "http://bob:hunter2@[x/?access_token=hunter2&id=7";
    let file = har(&json!([entry(json!({"url": url}), json!({}))]));
    let bad = bad(&file);
    assert!(!bad[0].1.contains("hunter2"), "{bad:?}");
    assert!(bad[0].1.contains("id=7"), "{bad:?}");
}

#[test]
fn an_invalid_entry_is_reported_with_its_path() {
    let good = || entry(json!({}), json!({}));
    let file = har(&json!([
        good(),
        entry(json!({"url": "nowhere"}), json!({})),
        entry(json!({"url": 7}), json!({})),
        entry(json!({"method": "G T"}), json!({})),
        entry(json!({}), json!({"status": "teapot"})),
        entry(json!({}), json!({"content": {"text": {}}})),
        "entry",
        {"request": null},
        entry(json!({"headers": {}}), json!({})),
        entry(json!({}), json!({"status": 99999})),
        good(),
    ]));
    let bad = bad(&file);
    let paths: Vec<_> = bad.iter().map(|(path, _)| path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "$.log.entries[1].request.url",
            "$.log.entries[2].request.url",
            "$.log.entries[3].request.method",
            "$.log.entries[4].response.status",
            "$.log.entries[5].response.content.text",
            "$.log.entries[6]",
            "$.log.entries[7].request",
            "$.log.entries[8].request.headers",
            "$.log.entries[9].response.status",
        ]
    );
    assert_eq!(bad[6].1, "missing an object");
    assert_eq!(bad[4].1, "expected text, found an object");

    let report = report(&file);
    assert_eq!((report.exchanges, report.skipped.len()), (2, 9));
    let error = report.skipped[1].to_string();
    assert!(
        error.contains("x.har: $.log.entries[2].request.url: "),
        "{error}"
    );
    assert!(
        find(&Har::new(&file.path), &read(json!({}), json!({})))
            .unwrap()
            .is_some()
    );
}

#[test]
fn entries_of_other_schemes_are_left_out_and_noted() {
    let of = |url: &str| entry(json!({"url": url}), json!({}));
    let file = har(&json!([
        of("data:text/plain,hello"),
        of("blob:https://example.com/1"),
        of("chrome-extension://abc/x.js"),
        of("about:blank"),
        of("https://example.com/"),
    ]));
    let report = report(&file);
    assert_eq!((report.exchanges, report.skipped.len()), (1, 0));
    assert_eq!(report.notes.len(), 4, "{:?}", report.notes);
    let note = report.notes[0].to_string();
    assert!(note.contains("entries[0].request.url: "), "{note}");
    assert!(!note.contains("hello"), "{note}");
}

#[test]
fn a_connect_request_has_an_authority() {
    for url in ["example.com:443", "https://example.com:443/"] {
        let exchange = read(json!({"method": "CONNECT", "url": url}), json!({}));
        assert_eq!(exchange.request.uri, url);
    }
}

#[test]
fn an_unpaired_surrogate_costs_its_character() {
    let text = json!({"log": {"entries": [
        entry(json!({}), json!({"content": {"text": "caf@ \u{1f600}"}})),
        entry(json!({"comment@": 1}), json!({})),
        entry(json!({}), json!({})),
    ]}});
    let file = File::of(text.to_string().replace('@', r"\udce9"));
    let (exchanges, errors) = replay(&Har::new(&file.path));
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(exchanges.len(), 3);
    let body = response(&exchanges[0]).body.to_bytes();
    assert_eq!(body, "caf\u{fffd} \u{1f600}");
    let notes = report(&file).notes;
    assert_eq!((notes.len(), notes[0].count), (1, 2), "{notes:?}");
    assert_eq!(notes[0].path, "$.log.entries[0]");
}

#[test]
fn a_bad_entry_costs_itself() {
    let good = entry(json!({}), json!({})).to_string();
    let deep = format!(r#"{{"request": {}1"#, "[".repeat(200));
    for bad in [
        r#"{"request": {"method": "GET", "url": 1e999}}"#,
        r#"{"request": {"method": "GET" "url": "http://a/"}}"#,
        r#"{"request": {"method": "GET", "url": "http://a/}"#,
        r#"{"request": "\x"}"#,
        r#"{"request": tru}"#,
        r#"{"request""#,
        &deep,
        "",
        "nul",
    ] {
        let file = File::of(format!(
            r#"{{"log": {{"entries": [{good}, {bad}, {good}]}}}}"#
        ));
        let (exchanges, errors) = replay(&Har::new(&file.path));
        assert_eq!((exchanges.len(), errors.len()), (2, 1), "{bad}: {errors:?}");
        assert_eq!(syntax(&errors[0]).0, 1);
    }
}

#[test]
fn a_compressed_har_is_read() {
    let text = fs::read(&har(&json!([entry(json!({}), json!({}))])).path).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &text).unwrap();
    let file = File::of(gzip.finish().unwrap());
    assert_eq!(replay(&Har::new(&file.path)).0.len(), 1);
    let recording = block_on(tower_traffic::store::open(&file.path)).unwrap();
    assert_eq!(recording.format(), tower_traffic::store::Format::Har);
    assert_eq!(replay(&recording).0.len(), 1);
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
    let text = fs::read_to_string(&har(&json!([entry(json!({}), json!({}))])).path).unwrap();
    let end = text.rfind(']').unwrap();
    let file = File::of(format!("{},\n{{\"request\": tru", &text[..end]));
    let (exchanges, errors) = replay(&Har::new(&file.path));
    assert_eq!(exchanges.len(), 1);
    assert_eq!(errors.len(), 1);
    assert_eq!(syntax(&errors[0]).0, 2);
    assert_eq!(report(&file).skipped.len(), 1);
}

#[test]
fn a_file_of_another_kind_is_an_error() {
    for text in [
        "",
        "[]",
        "7",
        "{\"log\": 3}",
        "{\"log\": {\"entries\": {}}}",
        "{} {}",
    ] {
        let (_, errors) = replay(&Har::new(&File::of(text).path));
        assert!(!errors.is_empty(), "{text}");
    }
    for (text, path) in [("{}", "$.log"), ("{\"log\": {}}", "$.log.entries")] {
        assert_eq!(bad(&File::of(text))[0].0, path);
    }
    let deep = format!("{{\"log\":{{\"entries\":[{}", "[".repeat(100_000));
    let (_, errors) = replay(&Har::new(&File::of(deep).path));
    assert_eq!(errors.len(), 1);
    syntax(&errors[0]);
    let (_, errors) = replay(&Har::new(&File::of(b"\xff\xfe{\0").path));
    assert!(errors[0].to_string().contains("UTF-16"), "{errors:?}");
}

#[test]
fn a_byte_order_mark_and_comments_are_ignored() {
    let text = json!({"comment": [1, {"a": 2}], "log": {
        "_custom": {"entries": 3},
        "pages": [],
        "entries": [entry(json!({"_priority": {"a": 1}, "comment": "x"}), json!({}))],
    }});
    let file = File::of(format!("\u{feff}{text}"));
    assert_eq!(replay(&Har::new(&file.path)).0.len(), 1);
    assert!(report(&file).notes.is_empty());
}

// ---- writing

#[test]
fn written_files_are_har_1_2() {
    let file = File::new();
    let mut exchange = Exchange::new(
        Request::post("http://example.com/a?b=c%20d&e")
            .header("cookie", "x=1; y=2")
            .header("content-type", "text/plain")
            .body(Bytes::from_static(b"sent"))
            .unwrap(),
        Response::builder()
            .status(302)
            .header("location", "/there")
            .header(
                "set-cookie",
                "a=b; Path=/p; Expires=Fri, 20 Nov 2026 23:59:59 GMT; HttpOnly",
            )
            .body(Bytes::from_static(b"\xff\x00"))
            .unwrap(),
    );
    exchange.time_to_head = Some(Duration::from_millis(2));
    exchange.time_to_end = Duration::from_millis(3);
    let failed = Exchange::without_response(
        Request::get("/").body(Bytes::new()).unwrap(),
        NoResponse::Failed("refused".to_owned()),
    );
    record(&Har::new(&file.path), [exchange, failed]);

    let har: Value = serde_json::from_slice(&fs::read(&file.path).unwrap()).unwrap();
    assert_eq!(har["log"]["version"], "1.2");
    assert_eq!(har["log"]["creator"]["name"], "tower-traffic");
    let entries = har["log"]["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    for entry in entries {
        assert_valid(entry);
    }
    let entry = &entries[0];
    assert_eq!(entry["time"], 3.0);
    assert_eq!(
        entry["timings"],
        json!({"send": 0.0, "wait": 2.0, "receive": 1.0})
    );
    let request = &entry["request"];
    assert_eq!(request["postData"]["text"], "sent");
    assert_eq!(
        request["queryString"][0],
        json!({"name": "b", "value": "c d"})
    );
    assert_eq!(request["cookies"][1], json!({"name": "y", "value": "2"}));
    let response = &entry["response"];
    assert_eq!(response["redirectURL"], "/there");
    assert_eq!(response["content"]["encoding"], "base64");
    assert_eq!(
        response["cookies"][0],
        json!({
            "name": "a", "value": "b", "path": "/p", "httpOnly": true, "secure": false,
            "expires": "2026-11-20T23:59:59.000000000Z",
        })
    );
    assert_eq!(entries[1]["request"]["url"], "http://unknown.invalid/");
    assert_eq!(entries[1]["response"]["status"], 0);
    assert_eq!(entries[1]["response"]["_error"], "refused");
}

/// A field, and whether its value has the right type.
type Required = (&'static str, fn(&Value) -> bool);

/// Every field that the specification requires, with its type, and no unknown field.
fn assert_valid(entry: &Value) {
    let check = |value: &Value, required: &[Required], optional: &[&str]| {
        for (name, is_right) in required {
            assert!(value.get(name).is_some_and(is_right), "{name} in {value}");
        }
        for name in value.as_object().unwrap().keys() {
            let is_known = required.iter().any(|(n, _)| n == name)
                || optional.contains(&name.as_str())
                || name.starts_with('_');
            assert!(is_known, "{name} in {value}");
        }
    };
    let pairs: fn(&Value) -> bool = |list| {
        let is_pair = |v: &Value| v["name"].is_string() && v["value"].is_string();
        list.as_array().is_some_and(|list| list.iter().all(is_pair))
    };
    check(
        entry,
        &[
            ("startedDateTime", Value::is_string),
            ("time", Value::is_number),
            ("request", Value::is_object),
            ("response", Value::is_object),
            ("cache", Value::is_object),
            ("timings", Value::is_object),
        ],
        &[],
    );
    check(
        &entry["request"],
        &[
            ("method", Value::is_string),
            ("url", Value::is_string),
            ("httpVersion", Value::is_string),
            ("cookies", pairs),
            ("headers", pairs),
            ("queryString", pairs),
            ("headersSize", Value::is_i64),
            ("bodySize", Value::is_i64),
        ],
        &["postData"],
    );
    if let Some(post) = entry["request"].get("postData") {
        check(
            post,
            &[("mimeType", Value::is_string), ("text", Value::is_string)],
            &[],
        );
    }
    check(
        &entry["response"],
        &[
            ("status", Value::is_i64),
            ("statusText", Value::is_string),
            ("httpVersion", Value::is_string),
            ("cookies", pairs),
            ("headers", pairs),
            ("content", Value::is_object),
            ("redirectURL", Value::is_string),
            ("headersSize", Value::is_i64),
            ("bodySize", Value::is_i64),
        ],
        &[],
    );
    check(
        &entry["response"]["content"],
        &[("size", Value::is_i64), ("mimeType", Value::is_string)],
        &["text", "encoding"],
    );
    let timings: &[Required] = &[
        ("send", Value::is_number),
        ("wait", Value::is_number),
        ("receive", Value::is_number),
    ];
    check(&entry["timings"], timings, &[]);
}

#[test]
fn a_har_is_whole_after_every_batch_and_grows_later() {
    let file = File::new();
    for round in 0..3 {
        // A new value, as in another process.
        let har = Har::new(&file.path);
        for name in ["a", "b"] {
            record(&har, [exchange(&format!("{round}{name}"))]);
            let text = fs::read(&file.path).unwrap();
            serde_json::from_slice::<Value>(&text).unwrap();
        }
        record(&har, []);
    }
    let (read, errors) = replay(&Har::new(&file.path));
    assert!(errors.is_empty());
    let uris: Vec<_> = read.iter().map(|e| e.request.uri.to_string()).collect();
    assert_eq!(uris, ["/0a", "/0b", "/1a", "/1b", "/2a", "/2b"]);
}

#[test]
fn a_har_of_another_tool_is_not_written_to() {
    let file = har(&json!([entry(json!({}), json!({}))]));
    let before = fs::read(&file.path).unwrap();
    let error = support::stores::try_record(&Har::new(&file.path), [exchange("a")]).unwrap_err();
    assert!(error.to_string().contains("give a new file"), "{error}");
    assert_eq!(fs::read(&file.path).unwrap(), before);
}

#[test]
fn a_har_has_one_writer() {
    let file = File::new();
    let first = Har::new(&file.path);
    record(&first, [exchange("a")]);
    let error = support::stores::try_record(&Har::new(&file.path), [exchange("b")]).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("another process is writing to it"),
        "{error}"
    );
    record(&first, [exchange("c")]);
    assert_eq!(replay(&first).0.len(), 2);
}

#[test]
fn a_missing_file_is_a_miss_and_an_error_of_replay() {
    let har = Har::new("/nonexistent/x.har");
    assert!(block_on(har.is_empty()).unwrap());
    assert!(find(&har, &exchange("a")).unwrap().is_none());
    assert!(matches!(replay(&har).1[..], [StoreError::NotFound { .. }]));
    assert!(matches!(
        block_on(har.report()),
        Err(StoreError::NotFound { .. })
    ));
}

#[test]
fn an_edited_content_is_served_as_edited() {
    let file = File::new();
    let exchange = Exchange::new(
        Request::get("/a").body(Bytes::new()).unwrap(),
        Response::builder()
            .header("content-length", "5")
            .header("x", "y")
            .body(Bytes::from_static(b"hello"))
            .unwrap(),
    );
    record(&Har::new(&file.path), [exchange]);
    let text = fs::read_to_string(&file.path).unwrap();
    fs::write(&file.path, text.replace("\"hello\"", "\"good evening\"")).unwrap();
    let (read, _) = replay(&Har::new(&file.path));
    assert_eq!(response(&read[0]).body.to_bytes(), "good evening");
    assert_eq!(
        lines(&response(&read[0]).headers),
        ["content-length: 12", "x: y"]
    );
    assert_eq!(read[0].request.uri, "/a");
}

#[test]
fn an_edited_url_is_served_as_edited() {
    let file = File::new();
    record(&Har::new(&file.path), [exchange("a")]);
    let text = fs::read_to_string(&file.path).unwrap();
    fs::write(
        &file.path,
        text.replace("unknown.invalid/a", "example.com/b"),
    )
    .unwrap();
    let (read, _) = replay(&Har::new(&file.path));
    assert_eq!(read[0].request.uri, "http://example.com/b");
}

/// `hello`, by `printf hello | gzip -n`.
const GZIP_OF_HELLO: &[u8] =
    b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xcbH\xcd\xc9\xc9\x07\0\x86\xa6\x106\x05\0\0\0";

#[test]
fn compressed_content_is_shown_decoded_and_read_as_it_was() {
    let file = File::new();
    let exchange = Exchange::new(
        Request::get("/a").body(Bytes::new()).unwrap(),
        Response::builder()
            .header("content-encoding", "gzip")
            .header("content-length", GZIP_OF_HELLO.len())
            .body(Bytes::from_static(GZIP_OF_HELLO))
            .unwrap(),
    );
    record(&Har::new(&file.path), [exchange.clone()]);
    let text = fs::read_to_string(&file.path).unwrap();
    let har: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        har["log"]["entries"][0]["response"]["content"]["text"],
        "hello"
    );
    assert_eq!(replay(&Har::new(&file.path)).0, [exchange]);

    fs::write(&file.path, text.replace("\"hello\"", "\"edited\"")).unwrap();
    let (read, _) = replay(&Har::new(&file.path));
    assert_eq!(response(&read[0]).body.to_bytes(), "edited");
    assert_eq!(lines(&response(&read[0]).headers), ["content-length: 6"]);
}

prop_compose! {
    fn headers()(fields in prop::collection::vec(
        ("[a-z][a-z0-9-]{0,12}", prop::collection::vec(any::<u8>(), 0..20)),
        0..6,
    )) -> HeaderList {
        fields
            .into_iter()
            .filter_map(|(name, value)| {
                let value = HeaderValue::from_bytes(value.trim_ascii()).ok()?;
                Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
            })
            .chain([(HeaderName::from_static("content-encoding"), HeaderValue::from_static("br"))])
            .collect()
    }
}

fn end() -> impl Strategy<Value = BodyEnd> {
    prop_oneof![
        3 => Just(BodyEnd::Complete),
        1 => Just(BodyEnd::Limit),
        1 => Just(BodyEnd::Dropped),
        1 => any::<String>().prop_map(BodyEnd::Error),
    ]
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        any::<String>().prop_map(String::into_bytes),
        Just(GZIP_OF_HELLO.to_vec()),
    ]
}

prop_compose! {
    fn exchanges()(
        method in "[A-Z]{1,9}",
        uri in prop_oneof![
            Just("*".to_owned()),
            "/[a-z0-9/{}|]{0,20}(\\?[a-z=&%0-9]{0,20})?",
            "https://user:pw@[a-z]{1,8}\\.com(:80)?/[a-z]{0,5}",
            Just("example.com:443".to_owned()),
        ],
        versions in prop::array::uniform2(prop_oneof![
            Just(Version::HTTP_09), Just(Version::HTTP_10), Just(Version::HTTP_11),
            Just(Version::HTTP_2), Just(Version::HTTP_3),
        ]),
        status in 100..1000_u16,
        fields in prop::array::uniform2(headers()),
        trailers in prop::array::uniform2(prop::option::of(headers())),
        bodies in prop::array::uniform2(content()),
        ends in prop::array::uniform2(end()),
        times in (0..253_402_300_799_u64, 0..1_000_000_000_u32, prop::option::of(0..1_000_000_000_000_u64), 0..1_000_000_000_000_u64),
        no_response in prop::option::weighted(0.2, prop_oneof![
            Just(NoResponse::ClientGone), any::<String>().prop_map(NoResponse::Failed),
        ]),
    ) -> Exchange {
        let mut exchange = exchange("x");
        exchange.began = SystemTime::UNIX_EPOCH + Duration::new(times.0, times.1);
        exchange.time_to_head = times.2.map(Duration::from_nanos);
        exchange.time_to_end = Duration::from_nanos(times.3);
        let [sent, got] = bodies;
        let [sent_trailers, got_trailers] = trailers;
        let [sent_end, got_end] = ends;
        let [sent_fields, got_fields] = fields;
        exchange.request.method = method.parse().unwrap();
        exchange.request.uri = uri.parse().unwrap_or_default();
        exchange.request.version = versions[0];
        exchange.request.headers = sent_fields;
        exchange.request.body = sent.into();
        exchange.request.body.trailers = sent_trailers;
        exchange.request.body.end = sent_end;
        if let Ok(response) = &mut exchange.response {
            response.status = StatusCode::from_u16(status).unwrap();
            response.version = versions[1];
            response.headers = got_fields;
            response.body = got.into();
            response.body.trailers = got_trailers;
            response.body.end = got_end;
        }
        if let Some(why) = no_response {
            exchange.response = Err(why);
        }
        exchange
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn written_files_are_read_back_exactly(exchanges in prop::collection::vec(exchanges(), 1..4)) {
        let file = File::new();
        record(&Har::new(&file.path), exchanges.clone());
        let (read, errors) = replay(&Har::new(&file.path));
        prop_assert!(errors.is_empty(), "{:?}", errors);
        prop_assert_eq!(read, exchanges);
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[{}\\[\\]\",:a-z0-9 ]{0,200}") {
        let text = format!("{{\"log\":{{\"entries\":[{{\"request\":{text}");
        let _ = replay(&Har::new(&File::of(text).path));
    }
}
