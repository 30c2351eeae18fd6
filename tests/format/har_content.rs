//! Contents of HAR files: missing, cut, decoded.

use std::fs;

use futures::executor::block_on;
use serde_json::{Value, json};
use support::stores::{find, replay};
use tower_traffic::{BodyEnd, Exchange, Matching, store::Har};

/// Reads an entry with this request and response, and its notes.
fn read(request: &Value, response: &Value) -> (Exchange, Vec<String>) {
    let entry = json!({
        "startedDateTime": "2026-11-20T23:59:59.123Z",
        "time": 1,
        "request": {"method": "GET", "url": "http://a/b", "headers": []},
        "response": {"status": 200, "headers": [], "content": {"size": 2, "text": "ok"}},
    });
    let mut entry = entry;
    for (part, changes) in [("request", request), ("response", response)] {
        for (name, value) in changes.as_object().unwrap() {
            entry[part][name] = value.clone();
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.har");
    fs::write(&path, json!({"log": {"entries": [entry]}}).to_string()).unwrap();
    let har = Har::new(&path);
    let (mut exchanges, errors) = replay(&har);
    assert!(errors.is_empty(), "{errors:?}");
    let notes = block_on(har.report()).unwrap().notes;
    let exchange = exchanges.remove(0);
    let answers = find(&har, &exchange).unwrap().is_some();
    assert_eq!(answers, Matching::new().key_of(&exchange).is_some());
    (exchange, notes.iter().map(ToString::to_string).collect())
}

fn headers(list: &[(&str, &str)]) -> Value {
    let field = |(name, value): &(&str, &str)| json!({"name": name, "value": value});
    list.iter().map(field).collect()
}

/// Reads a response; returns its content, `None` if it is incomplete, and its headers.
fn response(fields: &[(&str, &str)], content: &Value) -> (Option<Vec<u8>>, Vec<String>) {
    let changes = json!({"headers": headers(fields), "content": content});
    let (exchange, notes) = read(&json!({}), &changes);
    let response = exchange.response.as_ref().unwrap();
    let list = response.headers.iter();
    let list = list.map(|(name, value)| format!("{name}: {}", value.escape_ascii()));
    let is_whole = response.body.end == BodyEnd::Complete;
    assert_eq!(is_whole, Matching::new().key_of(&exchange).is_some());
    assert!(is_whole || !notes.is_empty(), "{content}");
    let bytes = is_whole.then(|| response.body.to_bytes().to_vec());
    (bytes, list.collect())
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::prelude::BASE64_STANDARD.encode(bytes)
}

#[test]
fn unknown_content_is_not_empty() {
    let length: &[_] = &[("content-length", "40")];
    for (fields, content) in [
        (&[][..], json!({"size": -1, "mimeType": "text/plain"})),
        (&[], json!({"mimeType": "text/plain"})),
        (&[], json!({})),
        (&[], json!(null)),
        (&[], json!("text")),
        (&[], json!({"size": -1, "text": null})),
        (&[], json!({"size": null})),
        (&[], json!({"size": "many"})),
        (&[], json!({"size": -1, "_file": "abc.png"})),
        (&[], json!({"size": 40, "_file": "abc.png"})),
        (&[], json!({"size": 40})),
        (&[], json!({"size": 40, "text": ""})),
        (length, json!({"size": -1, "text": ""})),
        (length, json!({"size": 0})),
        (
            &[],
            json!({"size": 3, "text": "A===", "encoding": "base64"}),
        ),
        (
            &[],
            json!({"size": -1, "text": "AAEC_w", "encoding": "base64"}),
        ),
    ] {
        assert_eq!(response(fields, &content).0, None, "{content}");
    }
}

#[test]
fn content_that_is_known_to_be_empty_answers() {
    for content in [
        json!({"size": 0}),
        json!({"text": ""}),
        json!({"size": -1, "text": ""}),
    ] {
        assert_eq!(response(&[], &content).0, Some(Vec::new()), "{content}");
    }
    for (request, response) in [
        (json!({"method": "HEAD"}), json!({"content": {"size": -1}})),
        (json!({}), json!({"status": 204, "content": null})),
        (json!({}), json!({"status": 304, "content": {"size": 40}})),
        (json!({}), json!({"status": 103, "content": {}})),
        // Browsers drop the content of a redirection.
        (
            json!({}),
            json!({
                "status": 302, "content": {"size": 0},
                "headers": headers(&[("content-length", "154")]),
            }),
        ),
    ] {
        let (exchange, notes) = read(&request, &response);
        assert!(Matching::new().key_of(&exchange).is_some(), "{response}");
        assert!(notes.is_empty(), "{notes:?}");
    }
}

#[test]
fn a_cut_content_never_answers() {
    let utf_8: &[_] = &[("content-type", "text/html; charset=UTF-8")];
    let gzip: &[_] = &[("content-encoding", "gzip")];
    for (fields, content) in [
        (
            &[][..],
            json!({"size": 5_000_000, "text": "{\"a\": [1, 2, 3"}),
        ),
        (
            &[],
            json!({"size": 13, "text": base64(b"a picture..."), "encoding": "base64"}),
        ),
        (&[], json!({"size": 30, "text": "twenty bytes of text"})),
        (utf_8, json!({"size": 20, "text": "grüße an alle"})),
        (
            gzip,
            json!({"size": 5_000, "compression": 95_000, "text": "hello"}),
        ),
        (
            &[("content-length", "40")],
            json!({"size": -1, "text": "hello"}),
        ),
        (
            &[("content-length", "40")],
            json!({"text": base64(b"hello"), "encoding": "base64"}),
        ),
    ] {
        assert_eq!(response(fields, &content).0, None, "{content}");
    }
}

#[test]
fn a_content_whose_size_has_another_meaning_is_whole() {
    let gzip: &[_] = &[("content-encoding", "gzip"), ("content-length", "25")];
    let polly = base64(b"\x89PNG");
    for (fields, content, expected) in [
        // mitmproxy states the compressed size.
        (
            gzip,
            json!({"size": 25, "compression": -20, "text": "hello"}),
            "hello",
        ),
        (gzip, json!({"size": 25, "text": "hello"}), "hello"),
        (
            &[][..],
            json!({"size": 3, "compression": 2, "text": "hello"}),
            "hello",
        ),
        // The content had another charset.
        (&[], json!({"size": 12, "text": "hello"}), "hello"),
        (&[], json!({"size": 10, "text": "hello"}), "hello"),
        (
            &[("content-type", "text/plain; charset=gb18030")],
            json!({"size": 8, "text": "éé"}),
            "éé",
        ),
        (
            &[("content-type", "text/plain; charset=iso-8859-1")],
            json!({"size": 2, "text": "éé"}),
            "éé",
        ),
        (
            &[("content-type", "text/plain; charset=utf-8")],
            json!({"size": 8, "text": "hello"}),
            "hello",
        ),
        // Polly states the length of the text.
        (
            &[],
            json!({"size": polly.len(), "text": base64(b"PNG."), "encoding": "base64"}),
            "PNG.",
        ),
        (
            &[],
            json!({"size": 1e300, "compression": -1e300, "text": "x", "_crc32": "0"}),
            "x",
        ),
    ] {
        let found = response(fields, &content).0;
        if content["_crc32"].is_null() {
            assert_eq!(found.as_deref(), Some(expected.as_bytes()), "{content}");
        }
    }
}

#[test]
fn text_that_is_called_base64_is_read_as_text() {
    for content in [
        json!({"size": 11, "text": "hello world", "encoding": "base64"}),
        json!({"size": 5, "text": "hello", "encoding": "base64"}),
        json!({"text": "<p>hello</p>", "encoding": "base64"}),
    ] {
        let (exchange, notes) = read(&json!({}), &json!({"content": content}));
        let body = exchange.response.unwrap().body;
        assert_eq!(body.to_bytes(), content["text"].as_str().unwrap());
        assert_eq!((body.end, notes.len()), (BodyEnd::Complete, 1));
    }
}

/// `hello`, by `printf hello | gzip -n`.
const GZIP_OF_HELLO: &[u8] =
    b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xcbH\xcd\xc9\xc9\x07\0\x86\xa6\x106\x05\0\0\0";

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01";

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, content).unwrap();
    gzip.finish().unwrap()
}

#[test]
fn a_coding_that_is_undone_is_removed_whatever_the_content_is() {
    for coding in [
        "br", "deflate", "gzip", "x-gzip", "zstd", "GZIP", "gzip, br", "dcb", "compress",
    ] {
        for content in [PNG, b"text", b";a", b"K\x00", b""] {
            let text =
                json!({"size": content.len(), "text": base64(content), "encoding": "base64"});
            if coding == "compress" && content == PNG {
                continue; // may be that coding
            }
            let fields = [("content-encoding", coding), ("content-length", "25")];
            let (body, headers) = response(&fields, &text);
            assert_eq!(body.as_deref(), Some(content), "{coding}");
            assert_eq!(
                headers,
                [format!("content-length: {}", content.len())],
                "{coding}"
            );
        }
    }
}

#[test]
fn a_coding_that_is_in_the_content_stays() {
    let twice = gzip(GZIP_OF_HELLO);
    for (codings, content, left) in [
        ("gzip", GZIP_OF_HELLO, "gzip"),
        ("gzip, br", GZIP_OF_HELLO, "gzip"),
        ("gzip, gzip", &twice, "gzip, gzip"),
        (
            "deflate",
            b"\x78\x9c\xcbH\xcd\xc9\xc9\x07\0\x06,\x02\x15",
            "deflate",
        ),
        ("br", b"\x0b\x02\x80hello\x03", "br"),
    ] {
        let text = json!({"size": content.len(), "text": base64(content), "encoding": "base64"});
        let fields = [
            ("content-encoding", codings),
            ("content-type", "text/plain"),
        ];
        let (body, headers) = response(&fields, &text);
        assert_eq!(body.as_deref(), Some(content));
        assert_eq!(headers[0], format!("content-encoding: {left}"));
    }
}

#[test]
fn a_compressed_file_keeps_the_coding_that_was_not_undone() {
    let archive = gzip(b"a file");
    let sent = gzip(&archive);
    let text = json!({"size": archive.len(), "text": base64(&archive), "encoding": "base64"});
    let headers = |length: &str| {
        let fields = [
            ("content-type", "application/gzip"),
            ("content-encoding", "gzip"),
            ("content-length", length),
        ];
        response(&fields, &text).1.len()
    };
    assert_eq!(headers(&sent.len().to_string()), 2);
    assert_eq!(headers(&archive.len().to_string()), 3);
}

#[test]
fn pollys_binary_contents_are_decoded() {
    let digits = |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16));
    let hex: String = GZIP_OF_HELLO.iter().flat_map(digits).flatten().collect();
    let (first, rest) = GZIP_OF_HELLO.split_at(7);
    let lists = [
        json!([hex[..14], hex[14..]]).to_string(),
        json!([base64(first), base64(rest)]).to_string(),
    ];
    let coded = [("content-encoding", "gzip")];
    for content in [
        json!({"text": lists[0]}),
        json!({"text": lists[0], "_isBinary": true}),
        json!({"text": lists[1], "encoding": "base64", "size": lists[1].len()}),
    ] {
        let (body, headers) = response(&coded, &content);
        assert_eq!(body.as_deref(), Some(GZIP_OF_HELLO), "{content}");
        assert_eq!(headers, ["content-encoding: gzip"]);
    }
    let content = json!({"text": "89504e47", "_isBinary": true});
    assert_eq!(response(&[], &content).0.as_deref(), Some(&b"\x89PNG"[..]));
    let content = json!({"text": "[\"89504e47\"]"});
    let (body, _) = response(&coded, &content);
    assert_eq!(body.as_deref(), Some(&b"[\"89504e47\"]"[..]));
}

#[test]
fn a_missing_content_of_a_request_is_not_empty() {
    let file = |value: Value| json!({"name": "f", "fileName": "a.bin", "value": value});
    let form =
        |param: Value| json!({"mimeType": "multipart/form-data; boundary=XX", "params": [param]});
    for (fields, size, post) in [
        (&[][..], 1000, json!(null)),
        (&[("content-length", "1000")], 0, json!(null)),
        (&[("transfer-encoding", "chunked")], -1, json!(null)),
        (&[], 1000, json!({"mimeType": "text/plain", "text": ""})),
        (
            &[],
            1000,
            json!({"mimeType": "text/plain", "text": "a part"}),
        ),
        (&[], -1, json!({"mimeType": "application/octet-stream"})),
        (&[], 4000, form(file(json!(null)))),
        (&[], 4000, form(file(json!("")))),
        (&[], -1, form(json!({"name": "f", "fileName": "a.bin"}))),
        (
            &[],
            -1,
            json!({"mimeType": "multipart/form-data", "params": [{"name": "a"}]}),
        ),
        (
            &[],
            -1,
            json!({"mimeType": "x/y", "text": "A===", "encoding": "base64"}),
        ),
    ] {
        let mut request = json!({"method": "POST", "bodySize": size, "headers": headers(fields)});
        request["postData"] = post;
        let (exchange, notes) = read(&request, &json!({}));
        assert_eq!(exchange.request.body.end, BodyEnd::Limit, "{request}");
        assert_eq!(notes.len(), 1, "{request}");
        assert!(Matching::new().key_of(&exchange).is_none());
    }
}

#[test]
fn most_requests_have_no_content() {
    let post = |post: Value| json!({"method": "POST", "postData": post});
    for request in [
        json!({"bodySize": -1}),
        json!({"method": "POST", "bodySize": -1}),
        json!({"method": "POST", "bodySize": 0, "headers": headers(&[("content-length", "0")])}),
        post(json!({"mimeType": "text/plain", "text": ""})),
        post(json!({"mimeType": ""})),
        json!({"bodySize": 0, "postData": {"mimeType": "text/plain"}}),
    ] {
        let (exchange, notes) = read(&request, &json!({}));
        assert_eq!(
            exchange.request.body,
            bytes::Bytes::new().into(),
            "{request}"
        );
        assert!(notes.is_empty(), "{notes:?}");
    }
}

fn playwright(content: &str) -> Vec<Exchange> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/format/data");
    let har = Har::new(format!("{folder}/playwright-{content}.har"));
    let (exchanges, errors) = replay(&har);
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(exchanges.len(), 13);
    exchanges
}

fn answering(exchanges: &[Exchange]) -> Vec<String> {
    let matching = Matching::new();
    let can_answer = |exchange: &&Exchange| matching.key_of(exchange).is_some();
    let shown = |exchange: &Exchange| {
        let path = exchange.request.uri.path_and_query().unwrap();
        format!("{} {path}", exchange.request.method)
    };
    exchanges.iter().filter(can_answer).map(shown).collect()
}

#[test]
fn a_har_of_playwright_answers_with_what_it_has() {
    let exchanges = playwright("embed");
    let whole = [
        "GET /",
        "GET /br.png",
        "GET /deflate?q=a|b{c}^`d%22",
        "GET /latin",
        "GET /latin",
        "GET /nothing",
        "GET /empty",
        "POST /echo",
        "HEAD /latin",
    ];
    assert_eq!(answering(&exchanges), whole);
    let found = |number: usize| {
        let response = exchanges[number].response.as_ref().unwrap();
        assert_eq!(response.headers.get("content-encoding"), None);
        assert_eq!(response.headers.get("transfer-encoding"), None);
        response.body.to_bytes()
    };
    assert!(found(0).starts_with("<!doctype html><meta charset=utf-8><p>grüße</p>".as_bytes()));
    assert!(found(1).starts_with(b"\x89PNG"));
    assert_eq!(found(2), "{\"a\":1}");
    assert_eq!(found(3), "café");
    let latin = exchanges[3].response.as_ref().unwrap();
    let charset = latin.headers.get("content-type").unwrap();
    assert_eq!(charset, b"text/plain; charset=utf-8");
    // Playwright has the text of an upload, and neither its bytes nor those of a form with a file.
    assert_eq!(exchanges[8].request.body.to_bytes(), "grüße");
    for upload in &exchanges[9..11] {
        assert_eq!(upload.request.body.end, BodyEnd::Limit);
    }
    assert!(exchanges[12].response.is_err());
}

#[test]
fn contents_beside_a_har_are_not_empty() {
    let exchanges = playwright("attach");
    assert_eq!(
        answering(&exchanges),
        ["GET /nothing", "GET /empty", "HEAD /latin"]
    );
}
