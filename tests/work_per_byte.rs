//! Every reader needs time linear in the length of its input, also if the input is hostile.
//!
//! The time is the processor time of this process, which waiting and other processes do not change.
//! Four times the bytes may cost eight times the time: a reader whose time is quadratic needs
//! sixteen times.

// Separate test binary, because it measures the whole process, with one test at a time.
#![cfg(unix)]

use std::{fs, hint::black_box, path::Path, sync::Mutex, time::Duration};

use bytes::Bytes;
use flate2::{Compression as Level, write::GzEncoder};
use futures::executor::block_on;
use http::{Method, Request, Response, header::CONTENT_TYPE};
use rustix::time::{ClockId, clock_gettime};
use support::stores::{files, record, replay};
use tower_traffic::{
    Exchange, Matching, RecordedRequest, Redact,
    debug::Formatter,
    store::{self, Compression, Disk, Source, Which},
};

static ALONE: Mutex<()> = Mutex::new(());

/// The shortest and the longest input, in bytes.
const SHORTEST: usize = 64 << 10;
const LONGEST: usize = 1 << 20;

/// The longest content of a message. There are many kinds, and each is read several times.
const LONGEST_CONTENT: usize = 256 << 10;

/// The time that does not count: of threads, files and the first use of code.
const OVERHEAD: Duration = Duration::from_millis(20);

fn processor_time() -> Duration {
    let now = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        now.tv_sec.try_into().unwrap(),
        now.tv_nsec.try_into().unwrap(),
    )
}

/// Asserts that `read` needs time linear in the length of the input that `hostile` makes.
fn assert_linear(what: &str, hostile: impl Fn(usize) -> Vec<u8>, read: impl Fn(&[u8])) {
    assert_linear_from(SHORTEST, LONGEST, what, hostile, read);
}

fn assert_linear_from(
    shortest: usize,
    longest: usize,
    what: &str,
    hostile: impl Fn(usize) -> Vec<u8>,
    read: impl Fn(&[u8]),
) {
    let _alone = ALONE.lock();
    let mut before = None;
    let mut length = shortest;
    while length <= longest {
        let input = hostile(length);
        let cost = || {
            let start = processor_time();
            read(black_box(&input));
            processor_time().saturating_sub(start)
        };
        let mut time = cost();
        if let Some(before) = before {
            let most = 8 * OVERHEAD.max(before);
            // Caches and other processes cost at most a part of the time, and not every time.
            for _ in 0..2 {
                if time > most {
                    time = time.min(cost());
                }
            }
            assert!(
                time <= most,
                "{what}: {length} bytes take {time:?}, a quarter of them {before:?}"
            );
        }
        eprintln!("{what}: {length} bytes, {time:?}");
        before = Some(time);
        length *= 4;
    }
}

/// Repeats `unit` up to `length` bytes.
fn repeated(unit: impl AsRef<[u8]>) -> impl Fn(usize) -> Vec<u8> {
    let unit = unit.as_ref().to_vec();
    move |length| unit.repeat(length / unit.len())
}

fn between(start: &str, unit: &str, end: &str) -> impl Fn(usize) -> Vec<u8> + use<> {
    let (start, unit, end) = (start.to_owned(), unit.to_owned(), end.to_owned());
    move |length| format!("{start}{}{end}", unit.repeat(length / unit.len())).into_bytes()
}

/// Replays and searches a recording in one file.
fn read_file(name: &'static str) -> impl Fn(&[u8]) {
    move |content| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        read_at(&path);
    }
}

fn read_at(path: &Path) {
    // A file without a known format is refused.
    if let Ok(file) = block_on(store::open(path)) {
        black_box(replay(&file));
        let request = Request::get("http://h.test/a").body(Bytes::new()).unwrap();
        let key = file.matching().key(&RecordedRequest::from(request));
        let _ = black_box(block_on(file.find(key, Which::Latest)));
    }
}

// ---- WARC

#[test]
fn damaged_warc_files() {
    for (what, unit) in [
        ("starts of records in lines", "WARC/1.:\n"),
        ("starts of records in one line", "WARC/1."),
        ("starts of records at the ends of lines", "a: WARC/1.1\n"),
        (
            "starts of records and lengths",
            "WARC/1.1\nContent-Length: 5\n",
        ),
        ("empty lines", "\r\n"),
        ("fields", "WARC/1.1\r\na: b\r\nc: d\r\n\r\n"),
        (
            "records without a block",
            "WARC/1.1\nWARC-Type: request\nWARC-Record-ID: x\nContent-Length: 0\n\n",
        ),
        (
            "lone requests",
            "WARC/1.1\nWARC-Type: request\nWARC-Record-ID: x\nContent-Length: 18\n\nGET / HTTP/1.1\r\n\r\n\r\n\r\n",
        ),
        (
            "damaged records",
            "WARC/1.1\nWARC-Type: request\nTraffic-CRC32: 0\nWARC-Record-ID: x\nContent-Length: 0\n\n\r\n\r\n",
        ),
    ] {
        assert_linear(what, repeated(unit), read_file("a.warc"));
        assert_linear(what, between("WARC/1.1\r\n", unit, ""), read_file("a.warc"));
        assert_linear(
            what,
            between("WARC/1.1\r\nx: y\r\n\r\n", unit, "\r\n\r\n"),
            read_file("a.warc"),
        );
    }
    let line = |unit: &str| between("WARC/1.1\r\na: ", unit, "\r\n\r\n");
    assert_linear("a folded field", line("b\r\n "), read_file("a.warc"));
    assert_linear("a long field", line("b"), read_file("a.warc"));
}

#[test]
fn warc_records_with_wrong_lengths() {
    for kind in ["request", "response", "revisit", "metadata"] {
        for marked in ["", "Traffic-CRC32: 0\n"] {
            let hostile = |length: usize| {
                let unit = format!(
                    "WARC/1.1\nWARC-Type: {kind}\n{marked}WARC-Record-ID: x\nContent-Length: {}\n\n",
                    length / 2
                );
                unit.repeat(length / unit.len()).into_bytes()
            };
            // Shorter files are searched exhaustively after damage, at another cost per byte.
            assert_linear_from(1 << 20, 4 << 20, kind, hostile, read_file("a.warc"));
        }
    }
}

#[test]
fn warc_records_that_name_many_others() {
    let hostile = |length: usize| {
        let mut file = String::new();
        let mut n = 0;
        while file.len() < length {
            n += 1;
            let kind = ["request", "metadata", "revisit", "response"][n % 4];
            let mut add = |line: String| file.push_str(&line);
            add(format!(
                "WARC/1.1\nWARC-Type: {kind}\nWARC-Record-ID: {}\n",
                n / 2
            ));
            for m in 0..100 {
                add(format!("WARC-Concurrent-To: {}\n", n + m));
            }
            add("Content-Length: 0\n\n\n\n".to_owned());
        }
        file.into_bytes()
    };
    assert_linear("concurrent records", hostile, read_file("a.warc"));
}

#[test]
fn warc_messages_of_other_tools() {
    let pair = |response: Vec<u8>| {
        let record = |kind: &str, id: &str, block: &[u8]| {
            let head = format!(
                "WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <{id}>\r\n\
                 WARC-Concurrent-To: <q>\r\nWARC-Target-URI: http://h.test/a\r\n\
                 Content-Length: {}\r\n\r\n",
                block.len()
            );
            [head.as_bytes(), block, b"\r\n\r\n"].concat()
        };
        let request = record("request", "q", b"GET /a HTTP/1.1\r\n\r\n");
        [request, record("response", "r", &response)].concat()
    };
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for (what, start, unit) in [
        ("chunks", chunked, "1\r\na\r\n"),
        ("chunk extensions", chunked, "1;a=b;c=d\r\na\r\n"),
        ("digits of a chunk size", chunked, "0"),
        ("trailers", &*format!("{chunked}0\r\n"), "a: b\r\n"),
        ("interim responses", "", "HTTP/1.1 100 Continue\r\n\r\n"),
        ("headers", "HTTP/1.1 200 OK\r\n", "a: b\r\n"),
        ("folded headers", "HTTP/1.1 200 OK\r\na: b\r\n", " c\r\n"),
        ("invalid headers", "HTTP/1.1 200 OK\r\n", "a\r\n"),
        ("invalid names", "HTTP/1.1 200 OK\r\n", "\x01: b\r\n"),
        (
            "codings",
            "HTTP/1.1 200 OK\r\n",
            "transfer-encoding: a, chunked\r\n",
        ),
        ("lengths", "HTTP/1.1 200 OK\r\n", "content-length: 1, 1\r\n"),
        ("empty lines", "", "\r\n"),
    ] {
        let content = between(start, unit, "\r\n\r\n");
        assert_linear(what, |length| pair(content(length)), read_file("a.warc"));
    }
}

/// The body of one request is enough, if the file is damaged behind it.
#[test]
fn a_body_of_marks_before_a_torn_tail() {
    let hostile = |length: usize| {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path());
        for unit in [&b"WARC/1.:\n"[..], b"a: WARC/1.1\n", b"WARC/1."] {
            let request = Request::post("/")
                .body(Bytes::from(repeated(unit)(length / 3)))
                .unwrap();
            record(&disk, [Exchange::new(request, Response::new(Bytes::new()))]);
        }
        drop(disk);
        let file = fs::read(files(folder.path()).remove(0)).unwrap();
        file[..file.len() - 100].to_vec()
    };
    assert_linear("marks and a torn tail", hostile, read_file("a.warc"));
    // Damage in the head of each exchange.
    let damaged = |length: usize| {
        let mut file = hostile(length);
        let starts = memchr::memmem::find_iter(&file, b"WARC-Type: request");
        for start in starts.collect::<Vec<_>>() {
            file[start] ^= 1;
        }
        file
    };
    assert_linear("marks and damage", damaged, read_file("a.warc"));
}

#[test]
fn compressed_warc_files() {
    // A member of stored blocks that overlap the following ones.
    let stored = |text: &str| {
        let mut unit = b"\x1f\x8b\x08\0\0\0\0\0\0\0".to_vec();
        unit.extend(b"\0\xff\xff\0\0");
        unit.extend(text.as_bytes());
        unit
    };
    let mut member = GzEncoder::new(Vec::new(), Level::best());
    std::io::Write::write_all(&mut member, b"WARC/1.1\n").unwrap();
    let member = member.finish().unwrap();
    for (what, unit) in [
        ("starts of members", b"\x1f\x8b\x08\0\0\0\0\0\0\0".to_vec()),
        ("first bytes of members", b"\x1f\x8b\x08".to_vec()),
        (
            "names without an end",
            b"\x1f\x8b\x08\x08\x01\x01\x01\x01\x01\x01".to_vec(),
        ),
        (
            "extra fields",
            b"\x1f\x8b\x08\x04\x01\x01\x01\x01\x01\x01\xff\xff".to_vec(),
        ),
        ("overlapping members", stored("")),
        (
            "overlapping records",
            stored("WARC/1.1\nWARC-Type: request\n"),
        ),
        (
            "overlapping heads",
            stored("WARC/1.1\nWARC-Type:request\nWARC-Record-ID:x\nContent-Length:99999\n\n"),
        ),
        ("small members", member),
    ] {
        assert_linear(what, repeated(unit), read_file("a.warc.gz"));
    }
    for (what, unit) in [
        ("starts of frames", &b"\x28\xb5\x2f\xfd"[..]),
        (
            "empty frames",
            b"\x28\xb5\x2f\xfd\x24\0\x01\0\0\x99\xe9\xd8\x51",
        ),
        ("raw blocks", b"\x28\xb5\x2f\xfd\x84\0\0\0\x08\0\xf8\xff"),
        ("skippable frames", b"\x50\x2a\x4d\x18\x04\0\0\0abcd"),
    ] {
        assert_linear(what, repeated(unit), read_file("a.warc.zst"));
    }
}

#[test]
fn compressed_recordings_with_damage() {
    for compression in [Compression::Gzip, Compression::Zstd] {
        let hostile = |length: usize| {
            let folder = tempfile::tempdir().unwrap();
            let disk = Disk::new(folder.path()).compress(compression);
            record(
                &disk,
                (0..length / 400)
                    .map(|n| support::stores::exchange(&n.to_string()))
                    .collect::<Vec<_>>(),
            );
            drop(disk);
            let mut file: Vec<u8> = files(folder.path())
                .iter()
                .flat_map(|file| fs::read(file).unwrap())
                .collect();
            for at in (500..file.len()).step_by(300) {
                file[at] ^= 0xff;
            }
            file
        };
        assert_linear("a compressed recording", hostile, read_file("a.warc.gz"));
    }
}

// ---- HAR and VCR

const ENTRY: &str = r#"{"startedDateTime":"2026-11-20T12:00:00Z","time":1,"request":{"method":"GET","url":"http://h.test/a","httpVersion":"HTTP/1.1","headers":[]},"response":{"status":200,"headers":[],"content":{"size":2,"mimeType":"text/plain","text":"hi"}}},"#;

#[test]
fn har_files() {
    let start = r#"{"log":{"version":"1.2","entries":["#;
    let entry = |before: &str, unit: &str, after: &str| {
        let (head, tail) = ENTRY.split_once(r#""headers":[]"#).unwrap();
        between(
            &format!("{start}{head}{before}"),
            unit,
            &format!("{after}{}]}}}}", tail.trim_end_matches(',')),
        )
    };
    for (what, hostile) in [
        (
            "entries",
            Box::new(between(start, ENTRY, "null]}}")) as Box<dyn Fn(usize) -> Vec<u8>>,
        ),
        ("empty entries", Box::new(between(start, "{},", "null]}}"))),
        ("arrays", Box::new(between(start, "[", "]"))),
        ("objects", Box::new(between(start, r#"{"a":"#, "1"))),
        (
            "names",
            Box::new(between(r#"{"log":{"#, r#""a":1,"#, r#""entries":[]}}"#)),
        ),
        (
            "headers",
            Box::new(entry(
                r#""headers":["#,
                r#"{"name":"a","value":"b"},"#,
                r#"{"name":"a","value":"b"}]"#,
            )),
        ),
        (
            "invalid headers",
            Box::new(entry(
                r#""headers":["#,
                r#"{"name":"a b","value":"\u0001"},"#,
                r#"{"name":"a","value":"b"}]"#,
            )),
        ),
        (
            "cookies",
            Box::new(entry(
                r#""headers":[],"cookies":["#,
                r#"{"name":"a","value":"b"},"#,
                "1]",
            )),
        ),
        (
            "escapes",
            Box::new(entry(r#""headers":[],"x":""#, r"\u00e9", r#"""#)),
        ),
        (
            "surrogates",
            Box::new(entry(r#""headers":[],"x":""#, r"\ud83d", r#"""#)),
        ),
        (
            "backslashes",
            Box::new(entry(r#""headers":[],"x":""#, r"\\", r#"""#)),
        ),
        (
            "parameters",
            Box::new(entry(
                r#""headers":[],"postData":{"mimeType":"application/x-www-form-urlencoded","params":["#,
                r#"{"name":"a","value":"b"},"#,
                r#"{"name":"a"}]}"#,
            )),
        ),
        ("digits", Box::new(entry(r#""headers":[],"x":"#, "1", ""))),
        ("blanks", Box::new(between(start, " \n", ""))),
    ] {
        assert_linear(what, hostile, read_file("a.har"));
    }
}

#[test]
fn cassettes() {
    let start = "version: 1\nhttp_interactions:\n";
    let json = r#"{"http_interactions":["#;
    let interaction = "- request: {method: get, uri: 'http://h.test/a', headers: {a: [b]}, body: {string: ''}}\n  response: {status: {code: 200}, headers: {}, body: {string: hi}}\n";
    for (what, hostile) in [
        (
            "interactions",
            Box::new(between(start, interaction, "")) as Box<dyn Fn(usize) -> Vec<u8>>,
        ),
        ("lists", Box::new(between(start, "- ", ""))),
        ("flow lists", Box::new(between(start, "[", ""))),
        ("flow maps", Box::new(between(start, "{a: ", ""))),
        ("maps", Box::new(between(start, "? ", ""))),
        ("names", Box::new(between("", "a: b\n", start))),
        (
            "lines of a text",
            Box::new(between("a: |\n", "  b\n", start)),
        ),
        (
            "a folded text",
            Box::new(between("a: >\n", "  b\n\n", start)),
        ),
        (
            "quotes",
            Box::new(between("a: '", "''", "'\nhttp_interactions:\n")),
        ),
        (
            "escapes",
            Box::new(between("a: \"", "\\x41", "\"\nhttp_interactions:\n")),
        ),
        ("plain lines", Box::new(between("a:\n", "  b\n", start))),
        (
            "anchors",
            Box::new(between(
                "x: &a [b]\ny: [",
                "&b c, ",
                "]\nhttp_interactions:\n",
            )),
        ),
        (
            "aliases",
            Box::new(between(
                "x: &a [b]\ny: [",
                "*a, ",
                "]\nhttp_interactions:\n",
            )),
        ),
        (
            "tags",
            Box::new(between("y: [", "!a b, ", "]\nhttp_interactions:\n")),
        ),
        ("comments", Box::new(between("", "# a\n", start))),
        ("documents", Box::new(between("", "---\n", start))),
        ("JSON", Box::new(between(json, "{},", "1]}"))),
        ("JSON arrays", Box::new(between(json, "[", "]"))),
    ] {
        assert_linear(what, hostile, read_file("a.yaml"));
    }
}

// ---- folders of texts

#[test]
fn texts_of_http4k_and_entries() {
    let head = "POST /a HTTP/1.1\r\n";
    for (what, hostile) in [
        (
            "headers",
            Box::new(between(head, "a: b\r\n", "\r\nbody")) as Box<dyn Fn(usize) -> Vec<u8>>,
        ),
        ("lines", Box::new(between(head, "a\r\n", "\r\n\r\n"))),
        ("empty lines", Box::new(between(head, "\r\n", ""))),
        ("comments", Box::new(between(head, "# a\n", "\n"))),
        (
            "a long line",
            Box::new(between("POST /", "a", " HTTP/1.1\r\n\r\n")),
        ),
        (
            "a body",
            Box::new(between(&format!("{head}\r\n"), "a\n", "")),
        ),
        (
            "blanks",
            Box::new(between("POST ", " ", " HTTP/1.1\r\n\r\n")),
        ),
    ] {
        for names in [
            ["request.txt", "response.txt"],
            ["request.http", "response.http"],
        ] {
            let read = |content: &[u8]| {
                let folder = tempfile::tempdir().unwrap();
                let entry = folder.path().join("00000000-a");
                fs::create_dir(&entry).unwrap();
                fs::write(entry.join(names[0]), content).unwrap();
                fs::write(entry.join(names[1]), content).unwrap();
                read_at(folder.path());
            };
            assert_linear(what, &hostile, read);
        }
    }
}

// ---- content

/// Redacts, matches and shows content of a type.
fn read_content(content_type: &str, content: &[u8]) {
    let request = Request::builder()
        .method(Method::POST)
        .uri("/a")
        .header(CONTENT_TYPE, content_type)
        .body(Bytes::copy_from_slice(content));
    let response = Response::builder()
        .header(CONTENT_TYPE, content_type)
        .body(Bytes::copy_from_slice(content));
    let mut exchange = Exchange::new(request.unwrap(), response.unwrap());
    for matching in [
        Matching::new().ignore_json_order(true),
        Matching::new().ignore_json("/a/-/b"),
        Matching::new().ignore_form_field("b").ignore_boundary(true),
    ] {
        black_box(matching.key_of(&exchange));
    }
    let redact = Redact::default().json_pointer("/a/-/b").form_field("b");
    redact.exchange(&mut exchange);
    let formatter = Formatter::new()
        .max_body_bytes(usize::MAX)
        .indent_json(true);
    black_box(formatter.format(&exchange, 1));
}

fn assert_content_is_linear(content_type: &str, inputs: &[(&str, &str, &str)]) {
    for (start, unit, end) in inputs {
        let what = format!("{content_type}: {start:?} {unit:?} {end:?}");
        let hostile = between(start, unit, end);
        assert_linear_from(SHORTEST, LONGEST_CONTENT, &what, hostile, |content| {
            read_content(content_type, content);
        });
    }
}

#[test]
fn json() {
    let inputs = [
        ("", "[", ""),
        ("", "{\"a\":", ""),
        ("[", "[],", "1]"),
        ("[", "{\"password\":\"x\"},", "1]"),
        ("{", "\"password\":\"x\",", "\"a\":1}"),
        ("{", "\"a\":1,", "\"a\":1}"),
        ("{\"password\":", "[", ""),
        ("{\"password\":[", "1,", "1]}"),
        ("\"", "\\u00e9", "\""),
        ("\"", "\\\\", "\""),
        ("\"", "\\ud83d", ""),
        ("", "\"", ""),
        ("", "1", ""),
        ("[", "1e9,", ""),
        ("", " \n", "{}"),
        ("", "{}\n", ""),
        ("\"", "{\\\"password\\\":\\\"x\\\"}", "\""),
        ("[", "\"a=b&token=c\",", "1]"),
        ("[", "\"http://h.test/?token=x\",", "1]"),
        ("[", "\"eyJhbGciOiJIUzI1NiJ9.e30.x\",", "1]"),
        ("", "\u{feff}", "{}"),
    ];
    for content_type in ["application/json", "text/html"] {
        assert_content_is_linear(content_type, &inputs);
    }
}

#[test]
fn forms_and_uris() {
    let inputs = [
        ("", "&", ""),
        ("", "=", ""),
        ("", "a=b&", ""),
        ("", "token=b&", ""),
        ("", "password", ""),
        ("", "%61", "=b"),
        ("", "a=%26token%3Db&", ""),
        ("", "token[", ""),
        ("{\"", "&password=x", ""),
        ("a=", "http://h.test/?token=x&", ""),
        ("a=", "http%3A%2F%2Fh.test%2F%3Ftoken%3Dx%26", ""),
        ("", "a;", ""),
        ("", "a.token.", "=x"),
    ];
    for content_type in ["application/x-www-form-urlencoded", "text/plain"] {
        assert_content_is_linear(content_type, &inputs);
    }
    for (start, unit, end) in inputs {
        for name in ["location", "x-odd"] {
            let what = format!("{name}: {start:?} {unit:?} {end:?}");
            let read = |content: &[u8]| {
                let value = http::HeaderValue::from_bytes(content).unwrap();
                let request = Request::get("/a").header(name, &value).body(Bytes::new());
                let response = Response::builder().header(name, &value).body(Bytes::new());
                let mut exchange = Exchange::new(request.unwrap(), response.unwrap());
                black_box(Matching::new().header(name).key_of(&exchange));
                Redact::default().exchange(&mut exchange);
                black_box(Formatter::new().format(&exchange, 1));
            };
            let hostile = between(&format!("/?{start}"), unit, end);
            assert_linear_from(SHORTEST, LONGEST_CONTENT, &what, hostile, read);
        }
    }
}

#[test]
fn multipart_content() {
    assert_content_is_linear(
        "multipart/form-data; boundary=b",
        &[
            ("", "--b\r\n", ""),
            ("", "--b", ""),
            ("", "\r\n--", ""),
            ("", "\r\n--b--", ""),
            ("", "-", ""),
            (
                "",
                "\r\n--b\r\ncontent-disposition: form-data; name=\"password\"\r\n\r\nx",
                "\r\n--b--\r\n",
            ),
            ("--b\r\n", "a: b\r\n", "\r\n--b--"),
            (
                "--b\r\ncontent-disposition: form-data; ",
                "name=\"a\"; ",
                "\r\n\r\nx\r\n--b--",
            ),
            (
                "--b\r\ncontent-disposition: form-data; name=\"",
                "\\\"",
                "\"\r\n\r\nx\r\n--b--",
            ),
            ("--b\r\n\r\n", "\r\n", "\r\n--b--"),
        ],
    );
}

#[test]
fn event_streams() {
    assert_content_is_linear(
        "text/event-stream",
        &[
            ("", "data: x\n\n", ""),
            ("", "data: x\n", ""),
            ("", "data: {\"password\":\"x\"}\n\n", ""),
            ("", "data: {\n", ""),
            ("", "\r", ""),
            ("", "\n", ""),
            ("", ":", ""),
            ("data: ", "x", ""),
            ("", "data:\u{feff}", ""),
            ("", "data: a=b&token=c\ndata: ", ""),
        ],
    );
}

#[test]
fn encoded_content() {
    let gzip = |content: &[u8]| {
        let mut encoder = GzEncoder::new(Vec::new(), Level::fast());
        std::io::Write::write_all(&mut encoder, content).unwrap();
        encoder.finish().unwrap()
    };
    let read = |coding: &'static str| {
        move |content: &[u8]| {
            let response = Response::builder()
                .header(CONTENT_TYPE, "application/json")
                .header("content-encoding", coding)
                .body(Bytes::copy_from_slice(content));
            let request = Request::get("/a").body(Bytes::new()).unwrap();
            let mut exchange = Exchange::new(request, response.unwrap());
            Redact::default().exchange(&mut exchange);
            black_box(Formatter::new().format(&exchange, 1));
        }
    };
    for (coding, unit) in [
        ("gzip", gzip(b"")),
        ("gzip", gzip(b"{\"password\":\"x\"}")),
        ("gzip", b"\x1f\x8b\x08\x08\x01".to_vec()),
        ("deflate", b"\0\0\0\xff\xff".to_vec()),
        ("br", b"\x06".to_vec()),
        ("br", b"\x0b\x02\x80{}\x03".to_vec()),
        ("zstd", b"\x50\x2a\x4d\x18\0\0\0\0".to_vec()),
        (
            "zstd",
            b"\x28\xb5\x2f\xfd\x24\0\x01\0\0\x99\xe9\xd8\x51".to_vec(),
        ),
        ("identity", b"{}".to_vec()),
        ("odd", b"{}".to_vec()),
    ] {
        assert_linear(coding, repeated(unit), read(coding));
    }
    assert_linear("many codings", between("", "a, ", "gzip"), |codings| {
        let response = Response::builder()
            .header(
                "content-encoding",
                http::HeaderValue::from_bytes(codings).unwrap(),
            )
            .body(Bytes::from_static(b"{}"));
        let request = Request::get("/a").body(Bytes::new()).unwrap();
        let mut exchange = Exchange::new(request, response.unwrap());
        Redact::default().exchange(&mut exchange);
        black_box(Formatter::new().format(&exchange, 1));
    });
}
