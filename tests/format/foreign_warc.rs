//! WARC files of other tools: bytes as they were on the wire, in records that HTTP and the WARC
//! standard allow.

use std::{collections::HashMap, fmt::Write as _, fs, ops::Range, time::SystemTime};

use bytes::Bytes;
use flate2::{Compression as Level, write::GzEncoder};
use futures::executor::block_on;
use http::{Request, StatusCode, Version};
use proptest::{collection::vec, prelude::*, sample::select};
use support::stores::{replay, report};
use tower_traffic::{
    BodyEnd, Exchange, Matching, RecordedRequest, RecordedResponse, StoreError,
    store::{self, Disk, Note, Source, Which},
};

/// A record of another tool.
struct Record {
    head: String,
    block: Vec<u8>,
}

impl Record {
    fn new(kind: &str, id: &str, fields: &[(&str, &str)], block: impl Into<Vec<u8>>) -> Self {
        let block = block.into();
        let mut head = format!(
            "WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:x:{id}>\r\n\
             WARC-Date: 2026-11-20T12:00:00Z\r\n"
        );
        for (name, value) in fields {
            write!(head, "{name}: {value}\r\n").unwrap();
        }
        write!(head, "Content-Length: {}\r\n\r\n", block.len()).unwrap();
        Self { head, block }
    }

    fn request(id: &str, fields: &[(&str, &str)], block: impl Into<Vec<u8>>) -> Self {
        let media_type = ("Content-Type", "application/http;msgtype=request");
        Self::new("request", id, &[fields, &[media_type]].concat(), block)
    }

    fn response(id: &str, fields: &[(&str, &str)], block: impl Into<Vec<u8>>) -> Self {
        let media_type = ("Content-Type", "application/http; msgtype=response");
        Self::new("response", id, &[fields, &[media_type]].concat(), block)
    }

    fn bytes(&self) -> Vec<u8> {
        [self.head.as_bytes(), &self.block, b"\r\n\r\n"].concat()
    }

    fn member(&self) -> Vec<u8> {
        use std::io::Write;
        let mut encoder = GzEncoder::new(Vec::new(), Level::fast());
        encoder.write_all(&self.bytes()).unwrap();
        encoder.finish().unwrap()
    }
}

const URI: (&str, &str) = ("WARC-Target-URI", "http://h.test/a");

fn named(id: &str) -> (&'static str, String) {
    ("WARC-Concurrent-To", format!("<urn:x:{id}>"))
}

/// A request for `http://h.test/a`, with this head and content, and its response.
fn pair(request: impl Into<Vec<u8>>, response: impl Into<Vec<u8>>) -> [Record; 2] {
    let (name, id) = named("q");
    [
        Record::request("q", &[URI], request),
        Record::response("r", &[URI, (name, &id)], response),
    ]
}

/// The pair of a `GET` and this response.
fn get(response: impl Into<Vec<u8>>) -> [Record; 2] {
    pair("GET /a HTTP/1.1\r\nHost: h.test\r\n\r\n", response)
}

/// The contents of a recording.
struct Contents {
    exchanges: Vec<Exchange>,
    errors: Vec<StoreError>,
    notes: Vec<Note>,
    /// The answers to `GET http://h.test/a`, by the file and by a folder with the file.
    answers: [Option<RecordedResponse>; 2],
}

/// Reads a file as a file and in a folder, and asserts that both are equal.
fn read_file(name: &str, content: &[u8]) -> Contents {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    let file = block_on(store::open(&path)).unwrap();
    let (exchanges, errors) = replay(&file);
    let found = block_on(file.report()).unwrap();
    assert_eq!(found.exchanges, exchanges.len());

    let disk = Disk::new(folder.path());
    assert_eq!(replay(&disk).0, exchanges);
    let in_folder = report(folder.path());
    assert_eq!(in_folder.exchanges, exchanges.len());
    let what = |notes: &[Note]| -> Vec<_> {
        let notes = notes.iter();
        notes.map(|note| (note.what.clone(), note.count)).collect()
    };
    assert_eq!(what(&found.notes), what(&in_folder.notes));
    let answers = [answer(&file), answer(&disk)];
    Contents {
        exchanges,
        errors,
        notes: found.notes,
        answers,
    }
}

fn answer(source: &impl Source) -> Option<RecordedResponse> {
    let request = Request::get("http://h.test/a").body(Bytes::new()).unwrap();
    let key = source.matching().key(&RecordedRequest::from(request));
    let found = block_on(source.find(key, Which::Latest)).unwrap()?;
    Some(found.response.clone().unwrap())
}

/// Reads records plain and compressed, and asserts that both are equal.
fn read(records: &[Record]) -> Contents {
    let plain: Vec<u8> = records.iter().flat_map(Record::bytes).collect();
    let gzip: Vec<u8> = records.iter().flat_map(Record::member).collect();
    let plain = read_file("a.warc", &plain);
    let gzip = read_file("a.warc.gz", &gzip);
    assert_eq!(plain.exchanges, gzip.exchanges);
    assert_eq!(plain.answers, gzip.answers);
    assert_eq!(plain.notes.len(), gzip.notes.len());
    plain
}

impl Contents {
    /// The only exchange of a recording that is not damaged.
    fn one(&self) -> &Exchange {
        assert!(self.errors.is_empty(), "{:?}", self.errors);
        let [exchange] = &self.exchanges[..] else {
            panic!("{:#?}, {:?}", self.exchanges, self.notes)
        };
        exchange
    }

    fn response(&self) -> &RecordedResponse {
        self.one().response.as_ref().unwrap()
    }

    fn body(&self) -> Bytes {
        self.response().body.to_bytes()
    }

    /// Asserts that the response is whole and answers, without a note.
    fn assert_answers(&self) {
        assert_eq!(self.response().body.end, BodyEnd::Complete);
        assert!(self.notes.is_empty(), "{:?}", self.notes);
        for answer in &self.answers {
            assert_eq!(answer.as_ref(), Some(self.response()));
        }
    }

    /// Asserts that the exchange is there and noted, and never answers.
    fn assert_never_answers(&self) {
        assert_ne!(
            self.response().body.end,
            BodyEnd::Complete,
            "{:?}",
            self.body()
        );
        assert!(!self.notes.is_empty());
        assert_eq!(self.answers, [None, None]);
    }

    /// Asserts that there is no exchange, a note and no damage.
    fn assert_only_noted(&self, part: &str) {
        assert!(self.exchanges.is_empty(), "{:?}", self.exchanges);
        assert!(self.errors.is_empty(), "{:?}", self.errors);
        assert!(
            self.notes.iter().any(|note| note.what.contains(part)),
            "{:?}",
            self.notes
        );
    }
}

fn header<'a>(response: &'a RecordedResponse, name: &str) -> Option<&'a str> {
    let value = response.headers.get(name)?;
    Some(str::from_utf8(value).unwrap())
}

// ---- framing

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn chunked_framing_is_removed() {
    for (coding, framed, content) in [
        (
            "chunked",
            "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n",
            "hello world",
        ),
        (
            "Chunked",
            "B;a=b;c=\"d\"\r\nhello world\r\n000\r\n\r\n",
            "hello world",
        ),
        ("CHUNKED", "0\r\n\r\n", ""),
        ("chunked", "5 \r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n"),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\ntransfer-encoding: {coding}\r\n\r\n");
        let found = read(&get(head + framed));
        assert_eq!(found.body(), content);
        assert_eq!(header(found.response(), "transfer-encoding"), None);
        assert_eq!(found.response().body.trailers, None);
        found.assert_answers();
    }
}

#[test]
fn trailers_of_chunked_content_are_trailers() {
    let found = read(&get(format!(
        "{CHUNKED}2\r\nhi\r\n0\r\nX-Sum: 1\r\nx-other: a\r\n b\r\n\r\n"
    )));
    assert_eq!(found.body(), "hi");
    let trailers = found.response().body.trailers.clone().unwrap();
    let read: Vec<_> = trailers.iter().collect();
    assert_eq!(read, [("x-sum", &b"1"[..]), ("x-other", b"a b")]);
    found.assert_answers();
}

#[test]
fn only_the_framing_is_removed_and_other_codings_stay() {
    for coding in [
        "gzip, chunked",
        "gzip,Chunked",
        "gzip\r\nTransfer-Encoding: chunked",
    ] {
        let head = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n");
        let found = read(&get(head + "4\r\n\x1f\x0b\x08\x00\r\n0\r\n\r\n"));
        assert_eq!(found.body(), "\x1f\x0b\x08\x00");
        assert_eq!(header(found.response(), "transfer-encoding"), Some("gzip"));
    }
}

#[test]
fn a_chunked_request_is_read_without_framing() {
    let found = read(&pair(
        "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ));
    let request = &found.one().request;
    assert_eq!(request.body.to_bytes(), "hi");
    assert_eq!(request.headers.get("transfer-encoding"), None);
    assert!(Matching::new().key_of(found.one()).is_some());

    let found = read(&pair(
        "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ));
    assert_ne!(found.one().request.body.end, BodyEnd::Complete);
    assert_eq!(Matching::new().key_of(found.one()), None);
    assert_eq!(found.notes.len(), 1);
}

#[test]
fn decoded_content_with_the_header_of_its_framing_stays_as_it_is() {
    for content in [
        "hello world",
        "{\"a\":1}",
        "<html>\r\n</html>",
        "1\n2\n3\n",
        "fine\r\n",
    ] {
        let found = read(&get(format!("{CHUNKED}{content}")));
        assert_eq!(found.body(), content);
        assert_eq!(header(found.response(), "transfer-encoding"), None);
        found.assert_answers();
    }
}

#[test]
fn cut_or_broken_framing_never_answers() {
    let whole = "5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nx: y\r\n\r\n";
    for len in 0..whole.len() {
        let found = read(&get(format!("{CHUNKED}{}", &whole[..len])));
        found.assert_never_answers();
        assert!("hello world".as_bytes().starts_with(&found.body()), "{len}");
    }
    for broken in [
        "5\r\nhello!\r\n0\r\n\r\n",
        "5\r\nhello\r\nbroken\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ] {
        read(&get(format!("{CHUNKED}{broken}"))).assert_never_answers();
    }
}

#[test]
fn a_length_beside_the_framing_does_not_count() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 16\r\nTransfer-Encoding: chunked\r\n\r\n";
    let found = read(&get(format!("{head}2\r\nhi\r\n0\r\n\r\n")));
    assert_eq!(found.body(), "hi");
    assert_eq!(header(found.response(), "content-length"), None);
    found.assert_answers();
}

// ---- lengths

#[test]
fn content_of_another_length_than_stated_never_answers() {
    for (length, content) in [
        ("50", "hello"),
        ("2", "hello"),
        ("0", "x"),
        ("5, 6", "hello"),
        ("-1", ""),
        ("x", "hello"),
    ] {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
        let found = read(&get(head + content));
        found.assert_never_answers();
        assert_eq!(found.body(), content);
    }
    for length in ["5", "5, 5", "5\r\nContent-Length: 5"] {
        read(&get(format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nhello"
        )))
        .assert_answers();
    }
    // Content that ends with the connection.
    read(&get("HTTP/1.1 200 OK\r\n\r\nhello")).assert_answers();
}

#[test]
fn a_response_without_content_keeps_the_length_of_a_get() {
    for (method, status) in [
        ("HEAD", "200 OK"),
        ("GET", "304 Not Modified"),
        ("GET", "204 No Content"),
    ] {
        let request = format!("{method} /a HTTP/1.1\r\nHost: h.test\r\n\r\n");
        let response = format!("HTTP/1.1 {status}\r\nContent-Length: 50\r\n\r\n");
        let found = read(&pair(request.clone(), response.clone()));
        assert_eq!(found.response().body.end, BodyEnd::Complete);
        assert_eq!(header(found.response(), "content-length"), Some("50"));
        assert!(found.notes.is_empty());
        assert!(Matching::new().key_of(found.one()).is_some());

        let found = read(&pair(request, response + "more"));
        assert_ne!(found.response().body.end, BodyEnd::Complete);
    }
}

#[test]
fn a_short_request_never_matches() {
    let found = read(&pair(
        "POST /a HTTP/1.1\r\nContent-Length: 5\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ));
    assert_ne!(found.one().request.body.end, BodyEnd::Complete);
    assert_eq!(Matching::new().key_of(found.one()), None);
    assert_eq!(found.notes.len(), 1);
}

#[test]
fn a_record_that_is_marked_as_truncated_or_segmented_never_answers() {
    let (name, id) = named("q");
    for (field, end) in [
        (("WARC-Truncated", "length"), BodyEnd::Limit),
        (("WARC-Truncated", "Disconnect"), BodyEnd::Dropped),
        (
            ("WARC-Truncated", "time"),
            BodyEnd::Error("time".to_owned()),
        ),
    ] {
        let [request, _] = get("");
        let response = Record::response(
            "r",
            &[URI, (name, &id), field],
            "HTTP/1.1 200 OK\r\n\r\nhel",
        );
        let found = read(&[request, response]);
        assert_eq!(found.response().body.end, end);
        assert_eq!(found.answers, [None, None]);
    }
    let [request, _] = get("");
    let fields = [URI, (name, &id), ("WARC-Segment-Number", "1")];
    let response = Record::response("r", &fields, "HTTP/1.1 200 OK\r\n\r\nhel");
    let rest = Record::new(
        "continuation",
        "s",
        &[URI, ("WARC-Segment-Number", "2")],
        "lo",
    );
    read(&[request, response, rest]).assert_never_answers();
}

// ---- URIs

#[test]
fn the_target_uri_gives_scheme_and_authority() {
    for (target, line, uri) in [
        ("https://one.test/a", "GET /a", "https://one.test/a"),
        ("<https://one.test/a>", "GET /a", "https://one.test/a"),
        (
            "http://one.test:8080/a?b=c",
            "GET /a?b=c",
            "http://one.test:8080/a?b=c",
        ),
        ("HTTPS://one.test/a#part", "GET /a", "https://one.test/a"),
        ("https://user:pw@one.test/a", "GET /a", "https://one.test/a"),
        ("https://[::1]:3000/", "GET /", "https://[::1]:3000/"),
        // The request line has the path as it was sent.
        (
            "https://one.test/a?__wb_method=POST",
            "POST /a",
            "https://one.test/a",
        ),
        (
            "https://one.test/%7Ba%7D",
            "GET /{a}|b",
            "https://one.test/{a}|b",
        ),
        (
            "https://one.test/a%20b",
            "GET /a b",
            "https://one.test/a%20b",
        ),
        (
            "https://one.test/",
            "GET http://proxied.test/x",
            "http://proxied.test/x",
        ),
        (
            "https://one.test:443/",
            "CONNECT one.test:443",
            "one.test:443",
        ),
        ("https://one.test?x=1", "GET /?x=1", "https://one.test/?x=1"),
    ] {
        let request = Record::request(
            "q",
            &[("WARC-Target-URI", target)],
            format!("{line} HTTP/1.1\r\nHost: other.test\r\n\r\n"),
        );
        let (name, id) = named("q");
        let response = Record::response("r", &[(name, &id)], "HTTP/1.1 200 OK\r\n\r\nhi");
        let found = read(&[request, response]);
        assert_eq!(found.one().request.uri, uri, "{target} {line}");
        assert_eq!(
            found.one().request.headers.get("host"),
            Some(&b"other.test"[..])
        );
    }
}

#[test]
fn a_record_without_a_target_uri_keeps_its_request_line() {
    let (name, id) = named("q");
    for fields in [&[][..], &[("WARC-Target-URI", "http://not a host/")]] {
        let request = Record::request("q", fields, "GET /a HTTP/1.1\r\nHost: h.test\r\n\r\n");
        let response = Record::response("r", &[(name, &id)], "HTTP/1.1 200 OK\r\n\r\nhi");
        let found = read(&[request, response]);
        assert_eq!(found.one().request.uri, "/a");
        assert_eq!(found.notes.len(), fields.len());
    }
    // That of the response serves as well.
    let request = Record::request("q", &[], "GET /a HTTP/1.1\r\n\r\n");
    let response = Record::response("r", &[URI, (name, &id)], "HTTP/1.1 200 OK\r\n\r\nhi");
    read(&[request, response]).assert_answers();
}

// ---- pairs

#[test]
fn records_of_one_event_may_name_each_other_in_any_order_and_way() {
    let kinds = ["request", "response", "metadata"];
    let orders = [
        [0, 1, 2],
        [0, 2, 1],
        [1, 0, 2],
        [1, 2, 0],
        [2, 0, 1],
        [2, 1, 0],
    ];
    // The ids in each of the three records.
    let ways: [[&[&str]; 3]; 8] = [
        [&["response", "metadata"], &[], &["response"]],
        [&["metadata", "response"], &[], &["response"]],
        [
            &["metadata", "response"],
            &["request", "metadata"],
            &["request", "response"],
        ],
        [&[], &["metadata", "request"], &[]],
        [&[], &[], &["request", "response"]],
        [&["metadata"], &["metadata"], &[]],
        [&["metadata"], &[], &["response"]],
        [&["page"], &["page"], &[]],
    ];
    for way in ways {
        for order in orders {
            let records = order.map(|n| {
                let names: Vec<_> = way[n].iter().map(|id| named(id)).collect();
                let mut fields = vec![URI];
                fields.extend(names.iter().map(|(name, id)| (*name, id.as_str())));
                match n {
                    0 => Record::request(kinds[n], &fields, "GET /a HTTP/1.1\r\n\r\n"),
                    1 => Record::response(kinds[n], &fields, "HTTP/1.1 200 OK\r\n\r\nhi"),
                    _ => Record::new(kinds[n], kinds[n], &fields, "via: x\r\n"),
                }
            });
            let found = read(&records);
            assert_eq!(found.body(), "hi", "{way:?} {order:?}");
            found.assert_answers();
        }
    }
}

#[test]
fn interleaved_pairs_are_read_and_found() {
    let mut records = Vec::new();
    for n in 0..5 {
        let uri = format!("http://h.test/{n}");
        let (name, id) = named(&format!("q{n}"));
        let fields = [("WARC-Target-URI", &*uri)];
        records.push(Record::request(
            &format!("q{n}"),
            &fields,
            format!("GET /{n} HTTP/1.1\r\n\r\n"),
        ));
        let fields = [fields[0], (name, &*id)];
        records.push(Record::response(
            &format!("r{n}"),
            &fields,
            format!("HTTP/1.1 200 OK\r\n\r\nanswer {n}"),
        ));
    }
    // The requests, then the responses in reverse order.
    records.sort_by_key(|record| record.head.contains("WARC-Type: response"));
    records[5..].reverse();
    let found = read(&records);
    assert!(found.errors.is_empty() && found.notes.is_empty());
    assert_eq!(found.exchanges.len(), 5);

    let folder = tempfile::tempdir().unwrap();
    let file: Vec<u8> = records.iter().flat_map(Record::bytes).collect();
    fs::write(folder.path().join("a.warc"), file).unwrap();
    let disk = Disk::new(folder.path());
    for exchange in &found.exchanges {
        let path = exchange.request.uri.path();
        let response = exchange.response.as_ref().unwrap();
        assert_eq!(response.body.to_bytes(), format!("answer {}", &path[1..]));
        let found = support::stores::find(&disk, exchange).unwrap();
        assert_eq!(found.as_ref(), Some(exchange));
    }
}

#[test]
fn records_without_their_pair_are_noted() {
    let [request, response] = get("HTTP/1.1 200 OK\r\n\r\nhi");
    read(&[request]).assert_only_noted("request without a response record");
    read(&[response]).assert_only_noted("response without a request record");
    // Neither names the other, and so they are no pair.
    let lone = [
        Record::request("q", &[URI], "GET /a HTTP/1.1\r\n\r\n"),
        Record::response("r", &[URI], "HTTP/1.1 200 OK\r\n\r\nhi"),
    ];
    read(&lone).assert_only_noted("without a");
}

#[test]
fn records_of_other_kinds_are_no_exchange() {
    let mut records = vec![Record::new("warcinfo", "i", &[], "software: x\r\n")];
    records.extend(get("HTTP/1.1 200 OK\r\n\r\nhi"));
    let (name, id) = named("q");
    for kind in ["metadata", "resource", "conversion", "continuation", "odd"] {
        records.push(Record::new(
            kind,
            kind,
            &[URI, (name, &id)],
            "HTTP/1.1 200 OK\r\n\r\nno",
        ));
        let block = "GET /a HTTP/1.1\r\n\r\n";
        records.insert(1, Record::new(kind, kind, &[URI, (name, &id)], block));
    }
    let found = read(&records);
    assert_eq!(found.body(), "hi");
    found.assert_answers();
}

#[test]
fn records_of_other_protocols_are_noted() {
    let dns = Record::new(
        "response",
        "r",
        &[
            ("WARC-Target-URI", "dns:h.test"),
            ("Content-Type", "text/dns"),
        ],
        "20261120120000\nh.test. 1 IN A 10.0.0.1\n",
    );
    read(&[dns]).assert_only_noted("other than HTTP");
    let ftp = Record::new(
        "response",
        "r",
        &[
            ("WARC-Target-URI", "ftp://h.test/a"),
            ("Content-Type", "application/octet-stream"),
        ],
        "content",
    );
    read(&[ftp]).assert_only_noted("other than HTTP");
}

// ---- revisits

fn revisit(fields: &[(&str, &str)], block: &str) -> [Record; 2] {
    let (name, id) = named("q2");
    let fields = [
        &[
            URI,
            (name, &*id),
            (
                "WARC-Profile",
                "http://netpreserve.org/warc/1.0/revisit/identical-payload-digest",
            ),
        ],
        fields,
    ]
    .concat();
    [
        Record::request("q2", &[URI], "GET /a HTTP/1.1\r\n\r\n"),
        Record::new("revisit", "v", &fields, block),
    ]
}

const REFERS_TO: [&[(&str, &str)]; 4] = [
    &[("WARC-Refers-To", "<urn:x:r>")],
    &[
        ("WARC-Refers-To-Target-URI", "http://h.test/first"),
        ("WARC-Refers-To-Date", "2026-11-20T12:00:00.000Z"),
    ],
    &[
        ("WARC-Payload-Digest", "sha1:ABC"),
        ("WARC-Truncated", "length"),
    ],
    &[
        ("WARC-Refers-To", "<urn:x:missing>"),
        ("WARC-Payload-Digest", "sha1:ABC"),
    ],
];

/// An exchange for another URI, whose content revisits refer to.
fn original(response: &str) -> [Record; 2] {
    let uri = ("WARC-Target-URI", "http://h.test/first");
    let (name, id) = named("q");
    [
        Record::request("q", &[uri], "GET /first HTTP/1.1\r\n\r\n"),
        Record::response(
            "r",
            &[uri, (name, &id), ("WARC-Payload-Digest", "sha1:ABC")],
            response,
        ),
    ]
}

#[test]
fn a_revisit_answers_with_the_content_of_its_original() {
    let chunked = format!("{CHUNKED}5\r\nhello\r\n0\r\n\r\n");
    for refers_to in REFERS_TO {
        for first in [
            "HTTP/1.1 200 OK\r\nx: 1\r\nContent-Length: 5\r\n\r\nhello",
            &chunked,
        ] {
            for (head, x) in [
                (
                    "HTTP/1.1 200 OK\r\nx: 2\r\nContent-Length: 5\r\n\r\n",
                    Some("2"),
                ),
                (
                    "HTTP/1.1 200 OK\r\nx: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
                    Some("2"),
                ),
                ("", None),
            ] {
                // Before and behind its original.
                for is_first in [false, true] {
                    let mut records: Vec<_> = original(first).into();
                    records.extend(revisit(refers_to, head));
                    records.rotate_left(if is_first { 2 } else { 0 });
                    let found = read(&records);
                    assert!(
                        found.errors.is_empty() && found.notes.is_empty(),
                        "{:?}",
                        found.notes
                    );
                    assert_eq!(found.exchanges.len(), 2);
                    for answer in found.answers {
                        let answer = answer.expect("the revisit answers");
                        assert_eq!(answer.body.to_bytes(), "hello");
                        assert_eq!(answer.status, StatusCode::OK);
                        assert_eq!(header(&answer, "transfer-encoding"), None);
                        if x.is_some() {
                            assert_eq!(header(&answer, "x"), x);
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_revisit_finds_its_original_in_another_file() {
    let folder = tempfile::tempdir().unwrap();
    let [request, response] = original("HTTP/1.1 200 OK\r\n\r\nhello");
    fs::write(
        folder.path().join("b.warc.gz"),
        [request.member(), response.member()].concat(),
    )
    .unwrap();
    let [request, response] = revisit(REFERS_TO[0], "HTTP/1.1 200 OK\r\n\r\n");
    fs::write(
        folder.path().join("a.warc"),
        [request.bytes(), response.bytes()].concat(),
    )
    .unwrap();
    let disk = Disk::new(folder.path());
    let (exchanges, errors) = replay(&disk);
    assert!(errors.is_empty());
    assert_eq!(exchanges.len(), 2);
    assert_eq!(answer(&disk).unwrap().body.to_bytes(), "hello");
    assert!(report(folder.path()).notes.is_empty());
}

#[test]
fn a_revisit_without_its_original_is_noted_and_never_answers() {
    for refers_to in REFERS_TO {
        let found = read(&revisit(
            refers_to,
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        ));
        found.assert_never_answers();
        assert_eq!(header(found.response(), "content-length"), Some("5"));
        read(&revisit(refers_to, "")).assert_only_noted("the recording lacks");
    }
    // The head of a response that never had content says all of it.
    let not_modified = read(&revisit(REFERS_TO[0], "HTTP/1.1 304 Not Modified\r\n\r\n"));
    assert_eq!(not_modified.response().status, StatusCode::NOT_MODIFIED);
    not_modified.assert_answers();
}

#[test]
fn a_revisit_of_a_cut_record_or_of_another_length_never_answers() {
    for (first, head) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\n\r\n",
        ),
        (
            "HTTP/1.1 200 OK\r\n\r\nhello",
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n",
        ),
    ] {
        let mut records: Vec<_> = original(first).into();
        records.extend(revisit(REFERS_TO[0], head));
        let found = read(&records);
        assert_eq!(found.exchanges.len(), 2);
        assert_eq!(found.answers, [None, None]);
    }
}

// ---- heads

#[test]
fn every_form_of_protocol_is_read() {
    for (protocols, version) in [
        (&["h2"][..], Version::HTTP_2),
        (&["h2c"], Version::HTTP_2),
        (&["HTTP/2"], Version::HTTP_2),
        (&["http/2.0"], Version::HTTP_2),
        (&["h2", "tls/1.3"], Version::HTTP_2),
        (&["tls/1.3", "h2"], Version::HTTP_2),
        (&["h2, tls/1.3"], Version::HTTP_2),
        (&["tls/1.2,http/1.1"], Version::HTTP_11),
        (&["h3", "quic/1", "tls/1.3"], Version::HTTP_3),
        (&["h3-29"], Version::HTTP_3),
        (&["http/1.1", "tls/1.3"], Version::HTTP_11),
        (&["http/1.0"], Version::HTTP_10),
        (&["tls/1.3"], Version::HTTP_11),
        (&["spdy/3"], Version::HTTP_11),
    ] {
        let (name, id) = named("q");
        let fields: Vec<_> = protocols
            .iter()
            .map(|value| ("WARC-Protocol", *value))
            .collect();
        let request = Record::request(
            "q",
            &[&[URI], &fields[..]].concat(),
            "GET /a HTTP/1.1\r\n\r\n",
        );
        // The records of a pair have one connection.
        let response = Record::response("r", &[URI, (name, &id)], "HTTP/1.1 200 OK\r\n\r\nhi");
        let found = read(&[request, response]);
        assert_eq!(found.one().request.version, version, "{protocols:?}");
        assert_eq!(found.response().version, version, "{protocols:?}");
        found.assert_answers();
    }
}

#[test]
fn odd_lines_in_the_head_of_a_message_cost_only_themselves() {
    let head =
        |lines: &str| format!("HTTP/1.1 200 OK\r\nx: 1\r\n{lines}\r\nContent-Length: 2\r\n\r\nhi");
    for (line, name, value) in [
        ("y: a;\r\n b=c", "y", Some("a; b=c")),
        ("y: a\r\n\t \r\n  b", "y", Some("a  b")),
        ("y : a", "y", Some("a")),
        ("y\t: a", "y", Some("a")),
        ("y:a", "y", Some("a")),
        ("y:", "y", Some("")),
    ] {
        let found = read(&get(head(line)));
        assert_eq!(header(found.response(), name), value, "{line:?}");
        assert_eq!(header(found.response(), "x"), Some("1"));
        found.assert_answers();
    }
    for line in [
        "a line",
        "b=2; path=/",
        "y: a\u{1}b",
        "y: a\0",
        "y: a\rb",
        "\u{1}y: a",
        ": a",
        "a b: c",
    ] {
        let found = read(&get(head(line)));
        assert_eq!(found.body(), "hi", "{line:?}");
        assert_eq!(header(found.response(), "x"), Some("1"));
        assert_eq!(found.response().headers.len(), 2, "{line:?}");
        assert_eq!(found.notes.len(), 1, "{line:?}");
        assert!(
            found.notes[0].what.contains("left out"),
            "{}",
            found.notes[0]
        );
        assert!(found.answers.iter().all(Option::is_some));
    }
}

#[test]
fn unusual_start_lines_and_line_ends_are_read() {
    for (request, response, version) in [
        (
            "GET /a HTTP/1.1\nHost: h.test\n\n",
            "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
            Version::HTTP_11,
        ),
        (
            "\r\nGET /a HTTP/1.1\r\n\r\n",
            "\r\nHTTP/1.1 200 OK\r\n\r\nhi",
            Version::HTTP_11,
        ),
        (
            "GET /a http/1.1\r\n\r\n",
            "http/1.1 200 ok\r\n\r\nhi",
            Version::HTTP_11,
        ),
        (
            "GET  /a  HTTP/1.0\r\n\r\n",
            "HTTP/1.0  200\r\n\r\nhi",
            Version::HTTP_10,
        ),
        (
            "GET /a HTTP/2\r\n\r\n",
            "HTTP/2 200 \r\n\r\nhi",
            Version::HTTP_2,
        ),
        (
            "GET /a HTTP/1.1\r\n\r\n",
            "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
            Version::HTTP_11,
        ),
    ] {
        let found = read(&pair(request, response));
        assert_eq!(found.body(), "hi", "{response:?}");
        assert_eq!(found.response().version, version);
        assert_eq!(found.response().status, StatusCode::OK);
        found.assert_answers();
    }
}

#[test]
fn a_head_without_an_end_is_read_and_noted() {
    let found = read(&pair(
        "GET /a HTTP/1.1\r\nHost: h.test",
        "HTTP/1.1 200 OK\r\n\r\nhi",
    ));
    assert_eq!(
        found.one().request.headers.get("host"),
        Some(&b"h.test"[..])
    );
    assert_eq!(found.notes.len(), 1);
    assert!(found.answers.iter().all(Option::is_some));

    read(&get("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n")).assert_never_answers();
    let empty = read(&get("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"));
    assert_eq!(empty.response().body.end, BodyEnd::Complete);
}

#[test]
fn a_message_that_is_not_http_is_noted() {
    for response in ["", "<html>", "HTTP/1.1 OK\r\n\r\n", "ICY 200 OK\r\n\r\n"] {
        read(&get(response)).assert_only_noted("left out");
    }
}

#[test]
fn headers_with_a_meaning_in_files_of_this_crate_have_none_in_those_of_others() {
    let found = read(&get(
        "HTTP/1.1 200 OK\r\nX-Archive-Orig-Content-Length: 99\r\nContent-Length: 2\r\n\
         x-archive-orig-transfer-encoding: chunked\r\n\r\nhi",
    ));
    assert_eq!(
        header(found.response(), "x-archive-orig-content-length"),
        Some("99")
    );
    assert_eq!(header(found.response(), "content-length"), Some("2"));
    found.assert_answers();
}

#[test]
fn folded_and_odd_fields_of_records_are_read() {
    let records = get("HTTP/1.1 200 OK\r\n\r\nhi");
    let with = |line: &str, of: usize| -> Vec<u8> {
        let mut file = Vec::new();
        for (n, record) in records.iter().enumerate() {
            let mut head = record.head.clone();
            if n == of {
                head = head.replacen("WARC-Date", &format!("{line}\r\nWARC-Date"), 1);
            }
            file.extend([head.as_bytes(), &record.block, b"\r\n\r\n"].concat());
        }
        file
    };
    for of in 0..2 {
        for line in [
            "X-Folded: a\r\n b\r\n\tc",
            "x-blank : a",
            "x-latin: caf\u{e9}",
            "x-empty:",
        ] {
            read_file("a.warc", &with(line, of)).assert_answers();
        }
        let found = read_file("a.warc", &with("a line without a colon", of));
        assert_eq!(found.body(), "hi");
        assert_eq!(found.notes.len(), 1);
        assert!(found.answers.iter().all(Option::is_some));
    }
    let file = with("", 2);
    let folded = String::from_utf8(file).unwrap().replace(
        "WARC-Concurrent-To: <urn:x:q>",
        "WARC-Concurrent-To:\r\n  <urn:x:q>",
    );
    read_file("a.warc", folded.as_bytes()).assert_answers();
}

#[test]
fn records_may_end_with_other_line_ends() {
    for end in ["", "\n", "\r\n", "\n\n", "\r\n\r\n\r\n\r\n"] {
        let mut file = Vec::new();
        for record in get("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi") {
            let head = record.head.replace("\r\n", "\n");
            file.extend([head.as_bytes(), &record.block, end.as_bytes()].concat());
        }
        read_file("a.warc", &file).assert_answers();
    }
}

#[test]
fn dates_of_every_precision_are_read() {
    let at = |seconds, nanos| SystemTime::UNIX_EPOCH + std::time::Duration::new(seconds, nanos);
    for (date, expected) in [
        ("2026", at(1_767_225_600, 0)),
        ("2026-11", at(1_793_491_200, 0)),
        ("2026-11-20", at(1_795_132_800, 0)),
        ("2026-11-20T12:00Z", at(1_795_176_000, 0)),
        ("2026-11-20T13:00+01:00", at(1_795_176_000, 0)),
        ("2026-11-20T12:00:01Z", at(1_795_176_001, 0)),
        ("2026-11-20T12:00:01.5Z", at(1_795_176_001, 500_000_000)),
        (
            "2026-11-20T12:00:01.1234567890123456789Z",
            at(1_795_176_001, 123_456_789),
        ),
    ] {
        let mut records = get("HTTP/1.1 200 OK\r\n\r\nhi");
        for record in &mut records {
            record.head = record.head.replace("2026-11-20T12:00:00Z", date);
        }
        let found = read(&records);
        assert_eq!(found.one().began, expected, "{date}");
        found.assert_answers();
    }
    let mut records = get("HTTP/1.1 200 OK\r\n\r\nhi");
    for record in &mut records {
        record.head = record.head.replace("2026-11-20T12:00:00Z", "yesterday");
    }
    let found = read(&records);
    assert_eq!(found.one().began, SystemTime::UNIX_EPOCH);
    assert_eq!(found.notes.len(), 1);
}

// ---- damage

/// A change to the bytes of a file at a position, given in thousandths of its length.
#[derive(Clone, Debug)]
enum Damage {
    Flip(usize, u8),
    Cut(usize),
    Insert(usize, Vec<u8>),
    Delete(usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let place = 0..1_000_000_usize;
    let inserted = prop_oneof![
        vec(any::<u8>(), 1..40),
        vec(select(vec!["WARC/1.0\r\n", "\r\n", "\x1f", "a: b\n"]), 1..9)
            .prop_map(|parts| parts.concat().into_bytes()),
    ];
    prop_oneof![
        (place.clone(), 1..=255_u8).prop_map(|(at, mask)| Damage::Flip(at, mask)),
        place.clone().prop_map(Damage::Cut),
        (place.clone(), inserted).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (place, 1..2000_usize).prop_map(|(at, count)| Damage::Delete(at, count)),
    ]
}

impl Damage {
    /// Changes the file. Returns the range of the original bytes that were changed.
    fn apply(&self, file: &mut Vec<u8>) -> Range<usize> {
        let len = file.len();
        let place = |at: usize| at * len / 1_000_000;
        match self {
            Self::Flip(at, mask) => {
                let at = place(*at);
                file[at] ^= mask;
                at..at + 1
            }
            Self::Cut(at) => {
                file.truncate(place(*at));
                place(*at)..len
            }
            Self::Insert(at, bytes) => {
                let at = place(*at);
                file.splice(at..at, bytes.iter().copied());
                at..at
            }
            Self::Delete(at, count) => {
                let range = place(*at)..(place(*at) + count).min(len);
                file.drain(range.clone());
                range
            }
        }
    }
}

/// The records of exchanges, as Wget, `warcio` and Heritrix order them.
fn crawl() -> Vec<Record> {
    let mut records = vec![Record::new("warcinfo", "info", &[], "software: x\r\n")];
    for n in 0..6 {
        let uri = format!("http://h.test/{n}");
        let target = ("WARC-Target-URI", &*uri);
        let info = ("WARC-Warcinfo-ID", "<urn:x:info>");
        let (name, to_request) = named(&format!("q{n}"));
        let (_, to_response) = named(&format!("r{n}"));
        let request = format!("GET /{n} HTTP/1.1\r\nHost: h.test\r\n\r\n");
        let request = Record::request(
            &format!("q{n}"),
            &[target, info, (name, &to_response)],
            request,
        );
        let content = format!("answer {n} ").repeat(20 * n + 1);
        let length = content.len();
        let response = Record::response(
            &format!("r{n}"),
            &[target, info, (name, &to_request)],
            match n % 2 {
                0 => format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{content}"),
                _ => format!("{CHUNKED}{length:x}\r\n{content}\r\n0\r\n\r\n"),
            },
        );
        let metadata = Record::new("metadata", &format!("m{n}"), &[target, info], "via: x\r\n");
        match n % 3 {
            0 => records.extend([request, response]),
            1 => records.extend([response, request]),
            _ => records.extend([request, metadata, response]),
        }
    }
    records
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn damage_costs_only_the_exchanges_that_it_touches(
        damage in damage(),
        is_compressed in any::<bool>(),
    ) {
        let mut file = Vec::new();
        let mut ranges = HashMap::<String, Vec<Range<usize>>>::new();
        for record in crawl() {
            let start = file.len();
            file.extend(if is_compressed { record.member() } else { record.bytes() });
            let target = record.head.lines().find_map(|line| line.strip_prefix("WARC-Target-URI: "));
            if let Some(target) = target && !record.head.contains("metadata") {
                ranges.entry(target.to_owned()).or_default().push(start..file.len());
            }
        }
        let name = if is_compressed { "a.warc.gz" } else { "a.warc" };
        let whole = read_file(name, &file).exchanges;
        prop_assert_eq!(whole.len(), 6);

        let changed = damage.apply(&mut file);
        let left = read_file(name, &file).exchanges;
        for exchange in &whole {
            let is_untouched = ranges[&exchange.request.uri.to_string()]
                .iter()
                .all(|range| changed.end <= range.start || range.end <= changed.start);
            prop_assert!(!is_untouched || left.contains(exchange), "{}", exchange.request.uri);
        }
    }
}
