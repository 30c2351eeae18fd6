//! `DebugDump`: printed messages, safe output, and no effect on the traffic.

use std::{
    convert::Infallible,
    future::{pending, poll_fn, ready},
    io::{self, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    task::{Context, Poll},
    time::{Duration, SystemTime},
};

use axum::Router;
use bytes::Bytes;
use futures::{
    FutureExt,
    executor::block_on,
    future::{BoxFuture, join_all},
};
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use support::{
    Body, BoxError, Origin, Paper, Server, all_kinds, all_requests, ask, broken, channel, data,
    empty, fields, frames, full, get, http1, http2, post, read, reply, request, soon, trailers,
    with,
};
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimit, service_fn};
use tower_http::catch_panic::CatchPanicLayer;
use tower_traffic::{
    DebugDump, Redact,
    debug::{DebugDumpService, Printer, RequestBody, ResponseBody, ResponseFuture},
};

/// A request as the inner service receives it.
type Dumped = Request<RequestBody<Body>>;

fn dumping() -> (DebugDump, Paper) {
    let paper = Paper::default();
    (DebugDump::new(paper.clone()), paper)
}

/// Makes one call, and returns the printed text.
async fn printed<S>(dump: DebugDump, paper: &Paper, inner: S, request: Request<Body>) -> String
where
    S: Service<Dumped, Response = Response<Body>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    let printer = dump.printer();
    ask(&dump.layer(inner), request).await;
    soon(printer.flush()).await;
    paper.text()
}

/// Returns the printed content of a response with these headers and this content.
async fn shown(
    dump: DebugDump,
    paper: &Paper,
    headers: &[(&'static str, &str)],
    content: impl Into<Bytes>,
) -> String {
    let mut response = reply(200, full(content));
    for (name, value) in headers {
        response
            .headers_mut()
            .append(*name, value.parse().expect("a value"));
    }
    let response = Arc::new(Mutex::new(Some(response)));
    let origin = Origin::new(move |_| response.lock().expect("no panic").take().expect("one call"));
    printed(dump, paper, origin, get("/")).await;
    let blocks = paper.blocks();
    assert_eq!(blocks.len(), 2, "{blocks:?}");
    // The content follows the head.
    match blocks[1].split_once("\n\n") {
        Some((_, content)) => content.to_owned(),
        None => String::new(),
    }
}

// ---- layout

#[tokio::test(start_paused = true)]
async fn a_call_is_a_block_for_each_message() {
    let (dump, paper) = dumping();
    let origin = Origin::waiting(|_| async {
        tokio::time::sleep(Duration::from_millis(12)).await;
        let mut response = reply(201, full("{\"id\":1}\n"));
        let headers = response.headers_mut();
        headers.extend(fields([
            ("content-type", "application/json"),
            ("set-cookie", "a=1"),
        ]));
        headers.append("x-twice", "1".parse().expect("a value"));
        headers.append("x-twice", "2".parse().expect("a value"));
        response
    });
    let body = frames([data("name="), data("bob\r\nline two\n\nlast")]);
    let ask = with(
        request("POST", "/users?page=2&token=abc", body),
        "host",
        "localhost",
    );
    let printed = printed(dump, &paper, origin, with(ask, "x-empty", "")).await;
    // tokio's timer may be late by a millisecond.
    let printed = printed.replace("13.0 ms", "12.0 ms");
    assert_eq!(
        printed,
        "#1 > POST /users?page=2&token=REDACTED HTTP/1.1\n    \
            host: localhost\n    \
            x-empty: \n\
            \n    \
            name=bob\n    \
            line two\n\
            \n    \
            last\n\
        \n\
        #1 < HTTP/1.1 201 Created (12.0 ms)\n    \
            content-type: application/json\n    \
            set-cookie: REDACTED\n    \
            x-twice: 1\n    \
            x-twice: 2\n\
            \n    \
            {\"id\":1}\n\
        \n"
    );
}

#[tokio::test]
async fn every_first_line_has_the_time() {
    let (dump, paper) = dumping();
    let before = SystemTime::now();
    printed(dump, &paper, Origin::saying("hello"), get("/")).await;
    let text = String::from_utf8(paper.bytes()).expect("UTF-8");
    let times = text.lines().filter(|line| line.contains(" #1 "));
    let times: Vec<_> = times
        .map(|line| humantime::parse_rfc3339(&line[..24]).expect("a time"))
        .collect();
    assert_eq!(times.len(), 2, "{text}");
    assert!(times[0] <= times[1], "{text}");
    // The printed time is truncated to milliseconds.
    assert!(before <= times[0] + Duration::from_millis(1), "{text}");
    assert!(times[1] <= SystemTime::now(), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_takes_long_is_timed_to_its_end() {
    let (dump, paper) = dumping();
    let printer = dump.printer();
    let (sender, body) = channel();
    let body = Arc::new(Mutex::new(Some(body)));
    let origin = Origin::new(move |_| {
        reply(
            200,
            body.lock().expect("no panic").take().expect("one call"),
        )
    });
    let response = dump
        .layer(origin)
        .oneshot(get("/"))
        .await
        .expect("an answer");
    tokio::time::advance(Duration::from_millis(3_210)).await;
    sender.data("late");
    drop(sender);
    read(response).await;
    printer.flush().await;
    assert!(
        paper
            .text()
            .contains("#1 < HTTP/1.1 200 OK (0 µs, to the end 3.21 s)\n"),
        "{}",
        paper.text()
    );
}

#[tokio::test(start_paused = true)]
async fn trailers_are_shown() {
    let (dump, paper) = dumping();
    let sent = fields([("x-sum", "1"), ("x-api-key", "secret")]);
    let body = frames([data("content"), trailers(sent)]);
    let answer = fields([("x-sum", "2")]);
    let origin = Origin::new(move |_| reply(200, frames([data("ok"), trailers(answer.clone())])));
    let printed = printed(dump, &paper, origin, request("POST", "/", body)).await;
    assert_eq!(
        printed,
        "#1 > POST / HTTP/1.1\n\n    content\n  * trailers\n    x-sum: 1\n    \
            x-api-key: REDACTED\n\n\
        #1 < HTTP/1.1 200 OK (0 µs)\n\n    ok\n  * trailers\n    x-sum: 2\n\n"
    );
}

#[tokio::test]
async fn color_is_off_by_default() {
    let (dump, paper) = dumping();
    printed(dump, &paper, all_kinds(), get("/boom")).await;
    assert!(!paper.bytes().contains(&0x1b), "{}", paper.text());

    let (dump, paper) = dumping();
    printed(dump.color(true), &paper, all_kinds(), get("/boom")).await;
    let text = String::from_utf8(paper.bytes()).expect("UTF-8");
    assert!(
        text.contains("\x1b[1m\x1b[31m500 Internal Server Error\x1b[0m"),
        "{text:?}"
    );
    // Without the styles, the text equals the plain text.
    let mut plain = text;
    while let Some(start) = plain.find('\x1b') {
        let end = start + plain[start..].find('m').expect("the end of a style");
        plain.replace_range(start..=end, "");
    }
    assert!(plain.contains("#1 > GET /boom HTTP/1.1\n"), "{plain}");
    assert!(
        plain.contains(" #1 < HTTP/1.1 500 Internal Server Error ("),
        "{plain}"
    );
}

// ---- content

#[tokio::test]
async fn a_body_is_shown_up_to_the_limit_and_passes_whole() {
    let (dump, paper) = dumping();
    let long = "0123456789".repeat(100);
    let answer = long.clone();
    let origin = Origin::new(move |_| {
        let piece = |i: usize| data(answer[i * 10..][..10].to_owned());
        reply(200, frames((0..100).map(piece).collect::<Vec<_>>()))
    });
    let dump = dump.max_body_bytes(15);
    let printer = dump.printer();
    let answer = ask(&dump.layer(origin.clone()), post("/", long.clone())).await;
    printer.flush().await;
    assert_eq!(answer.text(), long);
    assert_eq!(origin.seen()[0].body.to_bytes(), long);
    for block in paper.blocks() {
        assert!(
            block.ends_with("\n\n    012345678901234\n  * 985 more bytes\n\n"),
            "{block}"
        );
    }
}

#[tokio::test]
async fn binary_is_summarized_or_shown_as_hex() {
    let content = &b"\x89PNG\r\n\x1a\n\x00\x01\x02\xff text and more"[..];
    let png = [("content-type", "image/png")];
    let (dump, paper) = dumping();
    let summary = "  * 26 bytes, binary, image/png\n\n";
    assert_eq!(shown(dump, &paper, &png, content).await, summary);

    let (dump, paper) = dumping();
    let summary = "  * 26 bytes, binary, image/png\n\n";
    assert_eq!(
        shown(dump.max_body_bytes(20), &paper, &png, content).await,
        summary
    );

    let (dump, paper) = dumping();
    let hex = "    00000000  89 50 4e 47 0d 0a 1a 0a  00 01 02 ff 20 74 65 78  |.PNG........ tex|\n    \
        00000010  74 20 61 6e 64 20 6d 6f                           |t and mo|\n  \
        * 2 more bytes\n\n";
    let dump = dump.hex(true).max_body_bytes(24);
    assert_eq!(shown(dump, &paper, &png, content).await, hex);
}

#[tokio::test]
async fn text_is_recognized_by_its_type_or_content() {
    for (content_type, content, expected) in [
        (
            "text/plain",
            &b"caf\xe9 \x1b[31m"[..],
            "    caf\\xe9 \\x1b[31m\n\n",
        ),
        (
            "application/problem+json; charset=utf-8",
            b"{\"a\":\x07}",
            "    {\"a\":\\x07}\n\n",
        ),
        (
            "application/x-www-form-urlencoded",
            b"a=1&b=%20",
            "    a=1&b=%20\n\n",
        ),
        (
            "image/svg+xml",
            b"<svg>\x01</svg>",
            "    <svg>\\x01</svg>\n\n",
        ),
        (
            "application/octet-stream",
            "grüße\tand\n".as_bytes(),
            "    grüße\tand\n\n",
        ),
        (
            "application/octet-stream",
            b"\xff\xfe",
            "  * 2 bytes, binary, application/octet-stream\n\n",
        ),
        (
            "text/plain; charset=utf-16",
            b"a\0b\0",
            "  * 4 bytes, binary, text/plain; charset=utf-16\n\n",
        ),
        (
            "application/grpc",
            b"\0\0\0\0\x01a",
            "  * 6 bytes, binary, application/grpc\n\n",
        ),
    ] {
        let (dump, paper) = dumping();
        let content = shown(dump, &paper, &[("content-type", content_type)], content).await;
        assert_eq!(content, expected, "{content_type}");
    }
    let (dump, paper) = dumping();
    assert_eq!(shown(dump, &paper, &[], "no type").await, "    no type\n\n");
    // The limit splits the second letter; the rest is still printed as text.
    let (dump, paper) = dumping();
    let cut = shown(dump.max_body_bytes(2), &paper, &[], "aü").await;
    assert_eq!(cut, "    a\\xc3\n  * 1 more byte\n\n");
}

#[tokio::test]
async fn json_is_indented_on_request() {
    let json = [("content-type", "application/json")];
    let content = "{\"a\":[1,{}],\"b\":\"x y\"}";
    let (dump, paper) = dumping();
    let as_is = format!("    {content}\n\n");
    assert_eq!(shown(dump, &paper, &json, content).await, as_is);

    let (dump, paper) = dumping();
    let indented = "    {\n      \"a\": [\n        1,\n        {}\n      ],\n      \
        \"b\": \"x y\"\n    }\n\n";
    assert_eq!(
        shown(dump.indent_json(true), &paper, &json, content).await,
        indented
    );

    let (dump, paper) = dumping();
    let cut = "    {\n      \"a\": [\n        1,\n        {\n  * 13 more bytes\n\n";
    let dump = dump.indent_json(true).max_body_bytes(9);
    assert_eq!(shown(dump, &paper, &json, content).await, cut);

    let (dump, paper) = dumping();
    let broken = "    {\"a\":[1,}\n\n";
    assert_eq!(
        shown(dump.indent_json(true), &paper, &json, "{\"a\":[1,}").await,
        broken
    );
}

// ---- compressed content

mod compressed {
    use std::io::Read;

    use flate2::{
        Compression,
        read::{DeflateEncoder, GzEncoder, ZlibEncoder},
    };
    use ruzstd::encoding::{CompressionLevel, compress_to_vec};

    use support::random_bytes;

    use super::*;

    fn all(mut encoder: impl Read) -> Vec<u8> {
        let mut out = Vec::new();
        encoder.read_to_end(&mut out).expect("memory");
        out
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        all(GzEncoder::new(content, Compression::default()))
    }

    fn zstd(content: &[u8]) -> Vec<u8> {
        compress_to_vec(content, CompressionLevel::Fastest)
    }

    const HELLO: &[u8] = b"hello, hello, hello, brotli";

    /// Returns content compressed by Google's encoder.
    fn brotli_hello() -> Vec<u8> {
        let hex = "1b1a00f88d946ede44095286d66c2c696fd31049e4a9045c3ac7438b66";
        let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
        (0..hex.len()).step_by(2).map(byte).collect()
    }

    async fn decoded(coding: &str, content: Vec<u8>) -> String {
        let (dump, paper) = dumping();
        shown(dump, &paper, &[("content-encoding", coding)], content).await
    }

    #[tokio::test]
    async fn compressed_bodies_are_shown_decoded() {
        let skippable = [0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
        for (coding, content) in [
            ("gzip", gzip(HELLO)),
            ("X-Gzip", gzip(HELLO)),
            (
                "deflate",
                all(ZlibEncoder::new(HELLO, Compression::default())),
            ),
            (
                "deflate",
                all(DeflateEncoder::new(HELLO, Compression::default())),
            ),
            ("br", brotli_hello()),
            ("zstd", zstd(HELLO)),
            ("gzip", [gzip(&HELLO[..5]), gzip(&HELLO[5..])].concat()),
            (
                "zstd",
                [&zstd(&HELLO[..5])[..], &skippable, &zstd(&HELLO[5..])].concat(),
            ),
            ("br, identity, gzip ,zstd", zstd(&gzip(&brotli_hello()))),
        ] {
            let len = content.len();
            let names = coding.replace("identity, ", "").replace(" ,", ", ");
            let expected = format!(
                "    hello, hello, hello, brotli\n  * 27 bytes, decoded from {len} of {names}\n\n"
            );
            assert_eq!(decoded(coding, content).await, expected, "{coding}");
        }
    }

    #[tokio::test]
    async fn a_request_is_decoded_and_its_json_indented() {
        let (dump, paper) = dumping();
        let ask = with(post("/", gzip(b"[1]")), "content-encoding", "gzip");
        let printed = printed(dump.indent_json(true), &paper, Origin::saying(""), ask).await;
        assert!(
            printed.contains("\n\n    [\n      1\n    ]\n  * 3 bytes, decoded"),
            "{printed}"
        );
    }

    #[tokio::test]
    async fn without_a_limit_the_whole_body_is_shown() {
        let (dump, paper) = dumping();
        let dump = dump.max_body_bytes(usize::MAX);
        let fields = [("content-encoding", "gzip")];
        let shown = shown(dump, &paper, &fields, gzip(HELLO)).await;
        assert!(shown.starts_with("    hello, hello"), "{shown}");
    }

    #[tokio::test]
    async fn codings_in_several_fields_are_decoded_from_the_last() {
        let (dump, paper) = dumping();
        let fields = [("content-encoding", "zstd"), ("content-encoding", "gzip")];
        let shown = shown(dump, &paper, &fields, gzip(&zstd(HELLO))).await;
        assert!(shown.starts_with("    hello, hello"), "{shown}");
    }

    #[tokio::test]
    async fn broken_compressed_bodies_are_shown_up_to_the_damage() {
        // Random content is stored uncompressed, so a prefix of the bytes decodes to a prefix of
        // the content.
        let noise: Vec<u8> = random_bytes(1_000)
            .iter()
            .map(|byte| b'a' + byte % 16)
            .collect();
        for (coding, mut content) in [("gzip", gzip(&noise)), ("zstd", zstd(&noise))] {
            content.truncate(content.len() - 10);
            let shown = decoded(coding, content).await;
            assert!(shown.contains(", then broken: "), "{coding}: {shown}");
            if coding == "gzip" {
                let start = String::from_utf8_lossy(&noise[..900]).into_owned();
                assert!(shown.contains(&start), "{coding}: {shown}");
            }
        }
        // Two blocks, the second truncated: the content of the first is printed.
        let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x38];
        frame.extend_from_slice(b"\x28\0\0first\x28\0\0sec");
        let shown = decoded("zstd", frame).await;
        assert!(shown.starts_with("    first"), "{shown}");

        for (coding, content, why) in [
            (
                "gzip",
                b"no gzip".to_vec(),
                "0 bytes, decoded from 7 of gzip, then broken: ",
            ),
            (
                "deflate",
                b"\xff\xff".to_vec(),
                "0 bytes, decoded from 2 of deflate, then broken: ",
            ),
            (
                "br",
                b"\xff\xff\xff\xff".to_vec(),
                "0 bytes, decoded from 4 of br, then broken: ",
            ),
            (
                "zstd",
                b"no zstd".to_vec(),
                "0 bytes, decoded from 7 of zstd, then broken: ",
            ),
            (
                "br",
                b"\x11\x1e\0".to_vec(),
                "3 bytes, br, not decoded: its window is too large\n",
            ),
            // A window of 16 MiB.
            (
                "zstd",
                b"\x28\xb5\x2f\xfd\0\x70\x01\0\0".to_vec(),
                "0 bytes, decoded from 9 of zstd, then broken: ",
            ),
            (
                "compress",
                b"abc".to_vec(),
                "3 bytes, compress, not decoded: unknown coding\n",
            ),
            (
                "gzip, gzip, gzip, gzip, gzip",
                gzip(b""),
                "20 bytes, gzip, gzip, gzip, gzip, gzip, not decoded: too many codings\n",
            ),
        ] {
            let shown = decoded(coding, content).await;
            assert!(
                shown.starts_with(&format!("  * {why}")),
                "{coding}: {shown}"
            );
        }
    }

    #[tokio::test]
    async fn compressed_bodies_over_the_limit_are_shown_up_to_it() {
        let noise: Vec<u8> = random_bytes(1_000)
            .iter()
            .map(|byte| b'a' + byte % 16)
            .collect();
        let content = gzip(&noise);
        let (dump, paper) = dumping();
        let gzip = [("content-encoding", "gzip")];
        let len = content.len();
        let shown = shown(dump.max_body_bytes(300), &paper, &gzip, content).await;
        let start = String::from_utf8_lossy(&noise[..250]).into_owned();
        assert!(shown.contains(&start), "{shown}");
        assert!(
            shown.contains("the first 300 bytes, decoded from")
                || shown.ends_with(&format!("decoded from the first 300 of {len} of gzip\n\n")),
            "{shown}"
        );
    }

    #[tokio::test]
    async fn decoding_stops_at_the_limit() {
        let (dump, paper) = dumping();
        let gzip_field = [("content-encoding", "gzip")];
        let content = gzip(&vec![b'a'; 100_000]);
        let len = content.len();
        let shown = shown(dump.max_body_bytes(1_000), &paper, &gzip_field, content).await;
        let expected = format!(
            "    {}\n  * the first 1000 bytes, decoded from {len} of gzip\n\n",
            "a".repeat(1_000)
        );
        assert_eq!(shown, expected);
    }

    #[tokio::test]
    async fn chained_decoders_pass_at_most_a_mebibyte() {
        // A decoder skips a skippable frame without output; the frame still passes between the two
        // decoders.
        for (len, expected) in [
            (1_000, "    hello, hello"),
            (2 << 20, "  * 0 bytes, decoded"),
        ] {
            let mut frames = vec![0x50, 0x2a, 0x4d, 0x18];
            frames.extend_from_slice(&u32::to_le_bytes(len));
            frames.resize(frames.len() + len as usize, 0);
            frames.extend_from_slice(&zstd(HELLO));
            let shown = decoded("zstd, gzip", gzip(&frames)).await;
            assert!(shown.starts_with(expected), "{len}: {shown}");
        }
    }

    #[tokio::test]
    async fn damage_never_panics() {
        let sound = [
            ("gzip", gzip(HELLO)),
            (
                "deflate",
                all(ZlibEncoder::new(HELLO, Compression::default())),
            ),
            ("br", brotli_hello()),
            ("zstd", zstd(&HELLO.repeat(20))),
        ];
        let (dump, paper) = dumping();
        let printer = dump.printer();
        let mut count = 0;
        for (coding, content) in sound {
            for at in 0..content.len() {
                for bit in [1, 0x10, 0xff] {
                    let mut content = content.clone();
                    content[at] ^= bit;
                    let ask = with(post("/", content), "content-encoding", coding);
                    ask_only(&dump, ask).await;
                    count += 2;
                }
            }
        }
        printer.flush().await;
        assert_eq!(printer.not_printed(), 0);
        assert_eq!(paper.blocks().len(), count);
    }

    async fn ask_only(dump: &DebugDump, request: Request<Body>) {
        ask(&dump.layer(Origin::saying("")), request).await;
    }
}

// ---- unsafe characters

#[tokio::test]
async fn terminal_control_characters_are_escaped() {
    // Every control character, bidirectional and invisible characters, and invalid UTF-8.
    let mut evil: Vec<u8> = (0..=0xff).collect();
    let mut chars = ('\0'..='\u{9f}').collect::<String>();
    chars
        .push_str("\u{61c}\u{200b}\u{200e}\u{200f}\u{2028}\u{2029}\u{2060}\u{feff}\u{e0041}\u{ad}");
    chars.extend('\u{202a}'..='\u{202e}');
    chars.extend('\u{2066}'..='\u{206f}');
    evil.extend_from_slice(chars.as_bytes());

    let (dump, paper) = dumping();
    let printer = dump.printer();
    let broken = String::from_utf8_lossy(&evil).into_owned();
    let content = Bytes::from(evil.clone());
    let service = dump.layer(service_fn(move |request: Dumped| {
        let (content, error) = (content.clone(), broken.clone());
        async move {
            request.into_body().collect().await.expect("a body");
            let frames = frames([data(content.slice(1..)), support::broken(&error)]);
            let mut response = reply(200, frames);
            let headers = response.headers_mut();
            headers.insert("content-type", "text/plain".parse().expect("a value"));
            headers.insert("x-evil", field(&content));
            Ok::<_, Infallible>(response)
        }
    }));
    let mut ask = post("/", evil.clone());
    ask.headers_mut().insert("content-type", field(&evil));
    let response = service.oneshot(ask).await.expect("an answer");
    let _ = response.into_body().collect().await;
    let failing = dump.layer(service_fn(move |_: Dumped| {
        ready(Err::<Response<Body>, _>(
            String::from_utf8_lossy(&evil).into_owned(),
        ))
    }));
    let _ = failing.oneshot(get("/")).await;
    printer.flush().await;

    let text = String::from_utf8(paper.bytes()).expect("UTF-8");
    let is_safe = |c: char| {
        c == '\n'
            || c == '\t'
            || (!c.is_control() && !chars.contains(c))
            || c.is_ascii_graphic()
            || c == ' '
    };
    if let Some(evil) = text.chars().find(|&c| !is_safe(c)) {
        panic!("{evil:?} is in {text:?}");
    }
    for shown in [
        "\\x1b",
        "\\x07",
        "\\x7f",
        "\\x9b",
        "\\u{9b}",
        "\\u{202e}",
        "\\u{2067}",
        "\\r",
    ] {
        assert!(text.contains(shown), "{shown} is not in {text}");
    }
}

/// Returns a header value with the valid bytes of `bytes`.
fn field(bytes: &[u8]) -> HeaderValue {
    let bytes: Vec<u8> = bytes
        .iter()
        .copied()
        .filter(|&b| b == b'\t' || (b >= b' ' && b != 0x7f))
        .collect();
    HeaderValue::from_bytes(&bytes).expect("a value")
}

#[tokio::test]
async fn each_control_character_is_escaped() {
    for (sent, shown_as) in [
        ("plain ~ text", "plain ~ text"),
        ("tab\there", "tab\there"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("a\rb", "a\\rb"),
        ("\x08\x7f", "\\x08\\x7f"),
        ("\u{9b}2J", "\\u{9b}2J"),
        ("\u{202e}gpj", "\\u{202e}gpj"),
        ("zero\u{200b}width", "zero\\u{200b}width"),
        ("日本語 👩‍👩‍👧 é", "日本語 👩‍👩‍👧 é"),
    ] {
        let (dump, paper) = dumping();
        let text = [("content-type", "text/plain")];
        let content = shown(dump, &paper, &text, sent).await;
        assert_eq!(content, format!("    {shown_as}\n\n"), "{sent:?}");
    }
}

#[tokio::test]
async fn content_cannot_imitate_a_block_or_a_note() {
    let forged =
        "x\n\n2025-06-01T12:34:56.789Z #2 < HTTP/1.1 200 OK\n  * 7 more bytes\n#3 > GET /\n! none";
    let (dump, paper) = dumping();
    printed(dump, &paper, Origin::saying(forged), post("/", forged)).await;
    let text = String::from_utf8(paper.bytes()).expect("UTF-8");
    let ours = |line: &&str| !line.is_empty() && !line.starts_with("    ");
    assert_eq!(text.lines().filter(ours).count(), 2, "{text}");
}

// ---- secrets

#[tokio::test]
async fn secrets_are_masked_as_in_recordings() {
    let ask = || {
        let request = get("http://user:hunter2@localhost/?a=1&access_token=hunter2");
        let mut request = with(request, "authorization", "Bearer hunter2");
        let mut marked = HeaderValue::from_static("hunter2");
        marked.set_sensitive(true);
        request.headers_mut().insert("x-marked", marked);
        with(request, "referer", "http://localhost/?token=hunter2")
    };
    let origin = service_fn(|_: Dumped| {
        let error = "http://localhost/?token=hunter2 broke";
        let response = reply(200, frames([data("ok"), broken(error)]));
        ready(Ok::<_, Infallible>(response))
    });
    let (dump, paper) = dumping();
    let printer = dump.printer();
    let response = dump.layer(origin).oneshot(ask()).await.expect("an answer");
    let _ = response.into_body().collect().await;
    let failing = service_fn(|_: Dumped| {
        ready(Err::<Response<Body>, _>(
            "GET http://localhost/?token=hunter2 failed",
        ))
    });
    let _ = dump.layer(failing).oneshot(get("/")).await;
    printer.flush().await;
    let text = paper.text();
    assert!(!text.contains("hunter2"), "{text}");
    assert_eq!(text.matches("REDACTED").count(), 7, "{text}");

    let (dump, paper) = dumping();
    let text = printed(
        dump.redact(Redact::none()),
        &paper,
        Origin::saying(""),
        ask(),
    )
    .await;
    assert_eq!(text.matches("hunter2").count(), 5, "{text}");
}

#[tokio::test]
async fn secrets_in_contents_are_masked() {
    let json = [("content-type", "application/json")];
    let secret = "{\"a\":1,\"token\":\"hunter2\"}";
    let masked = "    {\"a\":1,\"token\":\"REDACTED\"}\n\n";
    let (dump, paper) = dumping();
    assert_eq!(shown(dump, &paper, &json, secret).await, masked);

    // Content truncated at the limit, and content printed as bytes.
    let (dump, paper) = dumping();
    let text = shown(dump.max_body_bytes(24), &paper, &json, secret).await;
    assert_eq!(
        text,
        "    {\"a\":1,\"token\":\"REDACTED\"\n  * 1 more byte\n\n"
    );

    let (dump, paper) = dumping();
    let events = [("content-type", "text/event-stream")];
    let content = "data: {\"token\":\"hunter2\"}\n\ndata: {\"pin\":1}\n\n";
    let dump = dump
        .redact(Redact::default().json_field("pin"))
        .events(true);
    let origin = Origin::new(move |_| {
        let mut response = reply(200, full(content));
        response.headers_mut().extend(fields(events));
        response
    });
    let form = request("POST", "/", full("a=1&password=hunter2"));
    let form = with(form, "content-type", "application/x-www-form-urlencoded");
    let text = printed(dump, &paper, origin, form).await;
    assert!(text.contains("    a=1&password=REDACTED\n"), "{text}");
    assert!(text.contains("data: {\"token\":\"REDACTED\"}\n"), "{text}");
    assert!(text.contains("data: {\"pin\":\"REDACTED\"}\n"), "{text}");
}

#[tokio::test]
async fn functions_redact_printed_messages() {
    let redact = || {
        Redact::default()
            .request_with(|request| {
                assert!(request.uri.path() != "/boom", "on purpose");
                request.uri = http::Uri::from_static("/users/REDACTED");
            })
            .response_with(|response| {
                let text = response.body.to_bytes();
                let text = String::from_utf8_lossy(&text).replace("bob", "somebody");
                response.body.set_bytes(text);
            })
    };
    let (dump, paper) = dumping();
    let dump = dump.redact(redact()).max_body_bytes(8);
    let text = printed(
        dump,
        &paper,
        Origin::saying("I am bob, you know"),
        get("/users/bob"),
    )
    .await;
    assert!(
        text.starts_with("#1 > GET /users/REDACTED HTTP/1.1\n"),
        "{text}"
    );
    assert!(
        text.contains("    I am somebody\n  * 10 more bytes\n"),
        "{text}"
    );

    let (dump, paper) = dumping();
    let text = printed(
        dump.redact(redact()),
        &paper,
        Origin::saying("x"),
        post("/boom", "hunter2"),
    );
    let text = text.await;
    assert!(
        text.starts_with("#1 ! not shown: a function that redacts panicked\n\n"),
        "{text}"
    );
    assert!(!text.contains("hunter2"), "{text}");

    // A single event is not a whole response, so the redaction function cannot apply.
    let (dump, paper) = dumping();
    let origin = Origin::new(|_| {
        let mut response = reply(200, frames([data("data: bob\n\n")]));
        let events = fields([("content-type", "text/event-stream")]);
        response.headers_mut().extend(events);
        response
    });
    let dump = dump.redact(redact()).events(true);
    let text = printed(dump, &paper, origin, get("/")).await;
    assert!(
        text.contains("  * not shown: a function redacts whole responses\n"),
        "{text}"
    );
    assert!(!text.contains("bob"), "{text}");
}

// ---- endings

#[tokio::test(start_paused = true)]
async fn a_failed_call_is_printed_as_failed() {
    let (dump, paper) = dumping();
    let printer = dump.printer();
    let service = dump.layer(service_fn(|_: Dumped| async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        Err::<Response<Body>, _>("connection refused")
    }));
    assert_eq!(
        service
            .oneshot(post("/", "abc"))
            .await
            .expect_err("it fails"),
        "connection refused"
    );
    printer.flush().await;
    assert_eq!(
        paper.text().replace("2.01 s", "2.00 s"),
        "#1 > POST / HTTP/1.1\n  * the body was not read\n\n\
        #1 ! failed after 2.00 s: connection refused\n\n"
    );
}

#[tokio::test(start_paused = true)]
async fn a_disconnect_before_the_response_is_printed() {
    let (dump, paper) = dumping();
    let printer = dump.printer();
    let service = dump.layer(service_fn(|_: Dumped| {
        pending::<Result<Response<Body>, Infallible>>()
    }));
    let call = tokio::time::timeout(Duration::from_secs(5), service.oneshot(get("/")));
    assert!(call.await.is_err());
    printer.flush().await;
    assert_eq!(
        paper.text(),
        "#1 > GET / HTTP/1.1\n\n#1 ! client gone after 5.00 s, before a response\n\n"
    );
}

#[tokio::test]
async fn a_call_that_hangs_is_visible() {
    let (dump, paper) = dumping();
    let printer = dump.printer();
    let hanging = service_fn(|request: Dumped| async {
        request.into_body().collect().await.expect("a body");
        pending::<Result<Response<Body>, Infallible>>().await
    });
    let mut call = dump.layer(hanging).oneshot(post("/", "abc")).boxed();
    assert!((&mut call).now_or_never().is_none());
    printer.flush().await;
    assert_eq!(paper.text(), "#1 > POST / HTTP/1.1\n\n    abc\n\n");
}

#[tokio::test(start_paused = true)]
async fn an_early_response_prints_the_request_read_so_far() {
    let (dump, paper) = dumping();
    let printer = dump.printer();
    let (sender, body) = channel();
    let service = dump.layer(service_fn(|request: Dumped| async {
        let mut body = request.into_body();
        let _ = body.frame().await;
        Ok::<_, Infallible>(Response::new(body))
    }));
    sender.data("abc");
    let response = service
        .oneshot(request("POST", "/", body))
        .await
        .expect("an answer");
    sender.data("def");
    drop(sender);
    let answer = response.into_body().collect().await.expect("a body");
    assert_eq!(answer.to_bytes(), "def");
    printer.flush().await;
    let output = paper.text();
    let began = "#1 > POST / HTTP/1.1\n\n    abc\n  * not read further than 3 bytes yet\n\n";
    assert!(output.starts_with(began), "{output}");
    let response = "#1 < HTTP/1.1 200 OK (0 µs)\n\n    def\n\n";
    assert!(output.contains(response), "{output}");
    // The rest of the request, with the content before it.
    let request = "#1 > body of the request\n\n    abcdef\n\n";
    assert!(output.contains(request), "{output}");
    assert_eq!(output.len(), [began, response, request].concat().len());
}

/// A secret may begin before the response and end after it.
#[tokio::test]
async fn a_request_body_that_outlasts_the_response_head_is_redacted_as_a_whole() {
    let (dump, paper) = dumping();
    let printer = dump.printer();
    let (sender, body) = channel();
    let service = dump.layer(service_fn(|request: Dumped| async {
        let mut body = request.into_body();
        let _ = body.frame().await;
        Ok::<_, Infallible>(Response::new(body))
    }));
    sender.data("{\"password\": \"hun");
    let request = with(
        request("POST", "/", body),
        "content-type",
        "application/json",
    );
    let response = service.oneshot(request).await.expect("an answer");
    sender.data("ter2\", \"name\": \"bob\"}");
    drop(sender);
    response.into_body().collect().await.expect("a body");
    printer.flush().await;
    let output = paper.text();
    assert!(
        !output.contains("ter2\", \"name\": \"bob\"}\n\n#1 >"),
        "{output}"
    );
    let (_, body) = output.split_once("body of the request").expect("a block");
    assert!(
        body.contains("\"name\": \"bob\"") && body.contains("REDACTED"),
        "{output}"
    );
}

#[tokio::test]
async fn a_request_body_of_which_no_more_is_read_is_not_printed_again() {
    let (dump, paper) = dumping();
    let printer = dump.printer();
    let (sender, body) = channel();
    sender.data("abc");
    let service = dump.layer(service_fn(|request: Dumped| async {
        let mut body = request.into_body();
        let _ = body.frame().await;
        let mut response = reply(200, full("ok"));
        // Dropped with the response.
        response.extensions_mut().insert(Arc::new(Mutex::new(body)));
        Ok::<_, Infallible>(response)
    }));
    drop(service.oneshot(request("POST", "/", body)).await);
    drop(sender);
    printer.flush().await;
    assert_eq!(paper.blocks().len(), 2, "{}", paper.text());
    assert_eq!(printer.not_printed(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_aborted_body_is_marked() {
    let (dump, paper) = dumping();
    let body = frames([data("abc"), broken("reset by peer")]);
    let origin = Origin::new(|_| reply(200, frames([data("de"), broken("no more")])));
    let printer = dump.printer();
    let response = dump
        .layer(origin)
        .oneshot(request("POST", "/", body))
        .await
        .expect("an answer");
    response.into_body().collect().await.expect_err("it breaks");
    printer.flush().await;
    assert_eq!(
        paper.text(),
        "#1 > POST / HTTP/1.1\n\n    abc\n  * broken off after 3 bytes: reset by peer\n\n\
        #1 < HTTP/1.1 200 OK (0 µs)\n\n    de\n  * broken off after 2 bytes: no more\n\n"
    );
}

#[tokio::test(start_paused = true)]
async fn a_dropped_body_is_marked() {
    let (dump, paper) = dumping();
    let printer = dump.printer();
    let service = dump.layer(service_fn(|request: Dumped| async {
        let mut body = request.into_body();
        let _ = body.frame().await;
        drop(body);
        Ok::<_, Infallible>(reply(200, frames([data("de"), data("fg")])))
    }));
    let body = frames([data("abc"), data("rest")]);
    let response = service
        .clone()
        .oneshot(request("POST", "/", body))
        .await
        .expect("an answer");
    let mut body = response.into_body();
    let _ = body.frame().await;
    drop(body);
    drop(service.oneshot(get("/")).await);
    printer.flush().await;
    assert_eq!(
        paper.text(),
        "#1 > POST / HTTP/1.1\n\n    abc\n  * not read further than 3 bytes\n\n\
        #1 < HTTP/1.1 200 OK (0 µs)\n\n    de\n  * client gone after 2 bytes\n\n\
        #2 > GET / HTTP/1.1\n\n\
        #2 < HTTP/1.1 200 OK (0 µs)\n  * client gone\n\n"
    );
}

#[tokio::test]
async fn a_reader_that_stops_at_the_length_has_read_all() {
    for (method, status, length, frames_read, is_whole) in [
        ("GET", 200, Some("4"), 2, true),
        ("GET", 200, Some("4"), 1, false),
        ("GET", 200, None, 2, false),
        ("HEAD", 200, Some("4"), 0, true),
        ("GET", 204, None, 0, true),
        ("GET", 304, Some("4"), 0, true),
        ("GET", 200, Some("4"), 0, false),
    ] {
        let (dump, paper) = dumping();
        let printer = dump.printer();
        let origin = Origin::new(move |_| {
            let mut response = reply(status, frames([data("ab"), data("cd")]));
            if let Some(length) = length {
                let length = fields([("content-length", length)]);
                response.headers_mut().extend(length);
            }
            response
        });
        let ask = request(method, "/", empty());
        let response = dump.layer(origin).oneshot(ask).await.expect("an answer");
        let mut body = response.into_body();
        for _ in 0..frames_read {
            body.frame().await.expect("a frame").expect("a frame");
        }
        drop(body);
        printer.flush().await;
        let is_gone = paper.text().contains("  * client gone");
        assert_eq!(
            is_gone,
            !is_whole,
            "{method} {status} {length:?} {}",
            paper.text()
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_printed_as_a_failure_and_continues() {
    let (dump, paper) = dumping();
    let printer = dump.printer();
    let in_call = service_fn(
        |_: Dumped| -> BoxFuture<'static, Result<Response<Body>, Infallible>> {
            panic!("on purpose")
        },
    );
    let in_poll = service_fn(|_: Dumped| async {
        let panics = true;
        assert!(!panics, "on purpose");
        Ok::<_, Infallible>(reply(200, empty()))
    });
    let catch = CatchPanicLayer::new();
    let answer = catch
        .layer(dump.layer(in_call))
        .oneshot(get("/call"))
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 500);
    let answer = catch
        .layer(dump.layer(in_poll))
        .oneshot(get("/poll"))
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 500);
    printer.flush().await;
    assert_eq!(
        paper.text(),
        "#1 > GET /call HTTP/1.1\n\n#1 ! failed after 0 µs: the service panicked\n\n\
        #2 > GET /poll HTTP/1.1\n\n#2 ! failed after 0 µs: the service panicked\n\n"
    );
}

// ---- events

#[tokio::test(start_paused = true)]
async fn an_event_is_visible_before_the_next_is_sent() {
    let (dump, paper) = dumping();
    let dump = dump.events(true).max_body_bytes(8);
    let printer = dump.printer();
    let (sender, body) = channel();
    let body = Arc::new(Mutex::new(Some(body)));
    let origin = Origin::new(move |_| {
        let mut response = reply(
            200,
            body.lock().expect("no panic").take().expect("one call"),
        );
        response
            .headers_mut()
            .extend(fields([("content-type", "text/event-stream")]));
        response
    });
    let response = dump
        .layer(origin)
        .oneshot(get("/"))
        .await
        .expect("an answer");
    let mut events = response.into_body();
    let head = "#1 > GET / HTTP/1.1\n\n#1 < HTTP/1.1 200 OK (0 µs)\n    \
        content-type: text/event-stream\n  * events follow\n\n";
    printer.flush().await;
    assert_eq!(paper.text(), head);

    for piece in ["data: 1\n", "\ndata: 2", "2222\r\n\r\n", ": unended"] {
        sender.data(piece);
        let frame = events.frame().await.expect("a frame").expect("a frame");
        assert_eq!(frame.into_data().expect("data"), piece);
        tokio::time::advance(Duration::from_secs(1)).await;
        printer.flush().await;
    }
    let first = format!("{head}#1 < event 1 (1.00 s)\n    data: 1\n\n");
    let second = format!("{first}#1 < event 2 (2.00 s)\n    data: 22\n  * 4 more bytes\n\n");
    assert_eq!(paper.text(), second);
    drop(sender);
    assert!(events.frame().await.is_none());
    printer.flush().await;
    let rest = "#1 < event 3 (4.00 s)\n    : unende\n  * 1 more byte\n  * not ended\n\n\
        #1 < end of 2 events (4.00 s)\n\n";
    assert_eq!(paper.text(), format!("{second}{rest}"));
}

#[tokio::test]
async fn events_are_content_by_default() {
    let (dump, paper) = dumping();
    printed(dump, &paper, all_kinds(), get("/sse")).await;
    let blocks = paper.blocks();
    assert_eq!(blocks.len(), 2);
    assert!(
        blocks[1].ends_with("\n\n    data: 1\n\n    data: 2\n\n    data: 3\n\n\n"),
        "{}",
        blocks[1]
    );
}

// ---- whole blocks, in order, under concurrency

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn blocks_are_whole_and_paired_under_concurrency() {
    const CALLS: usize = 2_000;
    let (dump, paper) = dumping();
    let printer = dump.printer();
    let origin = Origin::waiting(|request| async move {
        tokio::task::yield_now().await;
        let name = request.uri().path()[1..].to_owned();
        let answer = format!("{name}\n").repeat(20);
        let pieces = answer.into_bytes();
        reply(
            200,
            frames(
                pieces
                    .chunks(7)
                    .map(|piece| data(piece.to_vec()))
                    .collect::<Vec<_>>(),
            ),
        )
    });
    let service = dump.layer(origin);
    let calls = (0..CALLS).map(|i| {
        let ask = ask(
            &service,
            post(format!("/name{i}"), format!("name{i}\n").repeat(20)),
        );
        tokio::spawn(ask)
    });
    for call in join_all(calls).await {
        call.expect("no panic");
    }
    printer.flush().await;
    assert_eq!(printer.not_printed(), 0);

    // Each write consists of whole blocks.
    for piece in paper.0.lock().expect("no panic").iter() {
        assert!(piece.starts_with(b"20") && piece.ends_with(b"\n\n"));
    }
    let blocks = paper.blocks();
    assert_eq!(blocks.len(), 2 * CALLS);
    let mut names = std::collections::HashMap::new();
    for block in &blocks {
        let (id, rest) = block.split_once(' ').expect("an id");
        let (_, content) = rest.split_once("\n\n").expect("content");
        let lines: Vec<_> = content.lines().collect();
        let (line, end) = lines.split_first().expect("a line");
        let name = line.trim();
        assert_eq!(
            (end.len(), end.iter().filter(|l| l.trim() == name).count()),
            (20, 19),
            "{block}"
        );
        if rest.starts_with('>') {
            assert!(
                rest.starts_with(&format!("> POST /{name} HTTP/1.1\n")),
                "{block}"
            );
            assert!(names.insert(id, name).is_none(), "{block}");
        } else {
            // The request was printed first.
            assert_eq!(names.remove(id), Some(name), "{block}");
        }
    }
    assert!(names.is_empty());
}

// ---- failing outputs

/// A writer that calls a function.
struct WriteFn<F>(F);

impl<F: FnMut(&[u8]) -> io::Result<()>> Write for WriteFn<F> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        (self.0)(text).map(|()| text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn blocks_of_a_failing_output_are_counted() {
    for panics in [false, true] {
        let works = Arc::new(AtomicBool::new(false));
        let (mut paper, does_work) = (Paper::default(), works.clone());
        let written = paper.clone();
        let dump = DebugDump::new(WriteFn(move |text: &[u8]| {
            if does_work.load(Ordering::Relaxed) {
                return paper.write_all(text);
            }
            assert!(!panics, "a writer's own bug");
            Err(io::Error::other("disk full"))
        }));
        let printer = dump.printer();
        let service = dump.layer(Origin::saying("hello"));
        for lost in [2, 4] {
            assert_eq!(ask(&service, get("/")).await.text(), "hello");
            soon(printer.flush()).await;
            assert_eq!(printer.not_printed(), lost);
        }
        works.store(true, Ordering::Relaxed);
        ask(&service, get("/")).await;
        soon(printer.flush()).await;
        let text = written.text();
        assert!(
            text.starts_with("! 4 messages were not printed\n\n#3 > GET / HTTP/1.1\n"),
            "{text}"
        );
        assert_eq!(printer.not_printed(), 4);
    }
}

#[tokio::test]
async fn a_hanging_output_costs_blocks_and_the_last_drop_waits_until_the_deadline() {
    let (release, hang) = mpsc::channel::<()>();
    let (began, has_begun) = mpsc::channel();
    let written = Paper::default();
    let mut paper = written.clone();
    let dump = DebugDump::new(WriteFn(move |text: &[u8]| {
        let _ = began.send(());
        let _ = hang.recv();
        paper.write_all(text)
    }))
    .max_buffered_bytes(100_000)
    .drain_timeout(Duration::from_millis(20));
    let printer = dump.printer();
    let service = dump.layer(Origin::new(|_| reply(200, full(vec![b'x'; 10_000]))));
    ask(&service, get("/first")).await;
    has_begun
        .recv_timeout(Duration::from_secs(20))
        .expect("it writes");
    for _ in 0..100 {
        assert_eq!(ask(&service, get("/")).await.body.len(), 10_000);
    }
    let lost = printer.not_printed();
    assert!((92..200).contains(&lost), "{lost}");

    for _ in 0..10 {
        release.send(()).expect("it hangs");
    }
    soon(printer.flush()).await;
    let text = written.text();
    assert!(
        text.contains(&format!("! {lost} messages were not printed\n\n")),
        "{text}"
    );

    // The writer hangs again; the last drop must return.
    ask(&service, get("/")).await;
    drop((printer, dump));
    let dropped = tokio::task::spawn_blocking(move || drop(service));
    soon(dropped).await.expect("no panic");
}

#[test]
fn the_last_drop_drains_without_a_runtime() {
    let (dump, paper) = dumping();
    let service = dump.layer(Origin::saying("hello"));
    drop(dump);
    for _ in 0..10 {
        let response = block_on(service.clone().oneshot(get("/"))).expect("an answer");
        block_on(response.into_body().collect()).expect("a body");
    }
    drop(service);
    assert_eq!(paper.blocks().len(), 20);
}

#[test]
fn the_drain_timeout_may_be_unlimited() {
    let (dump, paper) = dumping();
    let service = dump
        .drain_timeout(Duration::MAX)
        .layer(Origin::saying("hello"));
    let response = block_on(service.oneshot(get("/"))).expect("an answer");
    block_on(response.into_body().collect()).expect("a body");
    assert_eq!(paper.blocks().len(), 2);
}

#[test]
fn flush_needs_no_runtime() {
    let (dump, paper) = dumping();
    let printer = dump.printer();
    block_on(printer.flush());
    let service = dump.layer(Origin::saying("hello"));
    let response = block_on(service.oneshot(get("/"))).expect("an answer");
    block_on(printer.flush());
    assert_eq!(paper.blocks().len(), 1, "the body was not read yet");
    block_on(response.into_body().collect()).expect("a body");
    block_on(printer.flush());
    assert_eq!(paper.blocks().len(), 2);
}

#[tokio::test]
async fn a_cut_body_names_its_missing_bytes() {
    for limit in 0..=4 {
        let (dump, paper) = dumping();
        let printed = printed(
            dump.max_body_bytes(limit),
            &paper,
            Origin::saying("abc"),
            post("/", "abc"),
        )
        .await;
        let more = 3_usize.saturating_sub(limit);
        let unit = if more == 1 { "byte" } else { "bytes" };
        let note = format!("  * {more} more {unit}\n");
        assert_eq!(
            printed.matches(&note).count(),
            if more > 0 { 2 } else { 0 },
            "{printed}"
        );
    }
}

// ---- tracing

#[derive(Clone)]
struct PaperWriter(Paper);

impl<'a> tracing_subscriber::fmt::MakeWriter<'a> for PaperWriter {
    type Writer = Paper;

    fn make_writer(&'a self) -> Paper {
        self.0.clone()
    }
}

#[tokio::test(start_paused = true)]
async fn through_tracing_each_block_is_an_event_in_the_span_of_its_call() {
    use tracing::{Instrument, debug_span, subscriber::set_default};
    use tracing_subscriber::{filter::LevelFilter, fmt};

    let dump = DebugDump::tracing();
    let printer = dump.printer();
    let service = dump.layer(Origin::saying("hello\nworld"));
    for (level, count) in [(LevelFilter::DEBUG, 2), (LevelFilter::INFO, 0)] {
        let paper = Paper::default();
        let subscriber = fmt()
            .with_max_level(level)
            .with_ansi(false)
            .without_time()
            .with_writer(PaperWriter(paper.clone()))
            .finish();
        let guard = set_default(subscriber);
        ask(&service, get("/"))
            .instrument(debug_span!("here"))
            .await;
        drop(guard);
        printer.flush().await;
        let text = String::from_utf8(paper.bytes()).expect("UTF-8");
        let events = text
            .matches("DEBUG here: tower_traffic::debug: #1 ")
            .count();
        assert_eq!(events, count, "{text}");
        if count > 0 {
            let block = "#1 < HTTP/1.1 200 OK (0 µs)\n\n    hello\n    world\n";
            assert!(text.contains(block), "{text}");
        }
    }
}

// ---- off

#[tokio::test]
async fn a_disabled_dump_prints_nothing_until_enabled() {
    let (dump, paper) = dumping();
    let dump = dump.enabled(false);
    let printer = dump.printer();
    let service = dump.layer(Origin::saying("hello"));
    assert_eq!(ask(&service, get("/1")).await.text(), "hello");
    assert!(!printer.is_enabled());
    printer.enable(true);
    let under_way = service.clone().oneshot(get("/2")).await.expect("an answer");
    printer.enable(false);
    read(under_way).await;
    ask(&service, get("/3")).await;
    printer.flush().await;
    let firsts: Vec<_> = paper.blocks();
    assert_eq!(firsts.len(), 2, "{firsts:?}");
    assert!(firsts[0].starts_with("#1 > GET /2"), "{firsts:?}");
}

#[tokio::test]
async fn a_filter_selects_printed_requests() {
    let (dump, paper) = dumping();
    let dump = dump.filter(|parts| parts.uri.path() != "/health");
    let printer = dump.printer();
    let service = dump.layer(Origin::saying("hello"));
    for path in ["/health", "/users", "/health"] {
        ask(&service, get(path)).await;
    }
    printer.flush().await;
    assert_eq!(paper.blocks().len(), 2);
    assert!(!paper.text().contains("health"));
}

#[tokio::test]
async fn a_panicking_filter_prints_nothing() {
    let (dump, paper) = dumping();
    let dump = dump.filter(|_| panic!("on purpose"));
    let text = printed(dump, &paper, Origin::saying("hello"), get("/")).await;
    assert_eq!(text, "");
}

// ---- unchanged traffic

#[tokio::test]
async fn exchanges_pass_unchanged_over_http1_and_http2() {
    for (client, version) in [(http1(), "HTTP/1.1"), (http2(), "HTTP/2")] {
        let (dump, paper) = dumping();
        let printer = dump.printer();
        let (plain, dumped) = (all_kinds(), all_kinds());
        let without = Server::start(Router::new().fallback_service(plain.clone())).await;
        let with = Server::start(Router::new().fallback_service(dumped.clone()).layer(dump)).await;
        let count = all_requests("").len();
        let requests = all_requests(&without.url(""))
            .into_iter()
            .zip(all_requests(&with.url("")));
        for (without, with) in requests {
            let (without, with) = (ask(&client, without).await, ask(&client, with).await);
            assert_eq!(
                (without.status, without.version),
                (with.status, with.version)
            );
            assert_eq!(without.body, with.body);
            assert_eq!(without.trailers, with.trailers);
            assert_eq!(without.fields(), with.fields());
        }
        for (without, with) in plain.seen().iter().zip(dumped.seen()) {
            assert_eq!(without.body, with.body);
        }
        // A client may receive the last byte before the server drops the body.
        soon(async {
            while paper.blocks().len() < 2 * count {
                printer.flush().await;
                tokio::task::yield_now().await;
            }
        })
        .await;
        let text = paper.text();
        assert_eq!(
            text.matches(&format!("{version}\n")).count(),
            count,
            "{text}"
        );
        for note in ["client gone", "broken off", "not read"] {
            assert!(!text.contains(note), "{text}");
        }
        assert!(
            text.contains("    set-cookie: REDACTED\n    set-cookie: REDACTED\n"),
            "{text}"
        );
        assert!(text.contains("    x-latin: caf\\xe9\n"), "{text}");
    }
}

#[tokio::test]
async fn frames_pass_at_once_in_both_directions() {
    let (dump, _) = dumping();
    let echo = service_fn(|request: Dumped| async {
        Ok::<_, Infallible>(Response::new(request.into_body()))
    });
    let (sender, body) = channel();
    let response = dump
        .layer(echo)
        .oneshot(request("POST", "/", body))
        .await
        .expect("an answer");
    let mut body = response.into_body();
    for piece in ["one", "two", "three"] {
        sender.data(piece);
        let frame = soon(body.frame()).await.expect("a frame").expect("a frame");
        assert_eq!(frame.into_data().expect("data"), piece);
    }
    drop(sender);
    assert!(soon(body.frame()).await.is_none());
}

#[tokio::test]
async fn the_ready_service_is_called() {
    let (dump, paper) = dumping();
    let printer = dump.printer();
    let service = dump.layer(ConcurrencyLimit::new(Origin::saying("hello"), 1));
    for answer in join_all((0..20).map(|_| ask(&service, get("/")))).await {
        assert_eq!(answer.text(), "hello");
    }
    printer.flush().await;
    assert_eq!(paper.blocks().len(), 40);
}

#[tokio::test]
async fn poll_ready_and_errors_are_those_of_the_inner_service() {
    #[derive(Clone)]
    struct Unready;

    impl Service<Dumped> for Unready {
        type Response = Response<Body>;
        type Error = BoxError;
        type Future = std::future::Ready<Result<Response<Body>, BoxError>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            Poll::Ready(Err("closed".into()))
        }

        fn call(&mut self, _: Dumped) -> Self::Future {
            ready(Err("not ready".into()))
        }
    }

    let (dump, _) = dumping();
    let mut service = dump.layer(Unready);
    let error = poll_fn(|cx| Service::<Request<Body>>::poll_ready(&mut service, cx)).await;
    assert_eq!(error.expect_err("closed").to_string(), "closed");
}

#[test]
fn the_types_meet_the_bounds_of_servers_and_clients() {
    fn is<T: Clone + Send + Sync + 'static>() {}
    fn sends<T: Send + 'static>() {}

    is::<DebugDump>();
    is::<Printer>();
    is::<DebugDumpService<Origin>>();
    sends::<ResponseFuture<BoxFuture<'static, ()>>>();
    sends::<RequestBody<Body>>();
    sends::<ResponseBody<Body>>();
}

#[tokio::test]
async fn a_handle_taken_before_the_settings_stays_attached() {
    let paper = Paper::default();
    let dump = DebugDump::new(paper.clone());
    let printer = dump.printer();
    let early = dump.layer(Origin::saying(r#"{"name":"bob"}"#));
    let dump = dump
        .enabled(false)
        .indent_json(true)
        .redact(Redact::none())
        .max_body_bytes(1000)
        .drain_timeout(Duration::from_secs(1));
    ask(&early, get("/off")).await;
    printer.enable(true);
    ask(&early, get("/early?token=secret")).await;
    printer.flush().await;
    let text = paper.text();
    assert!(!text.contains("/off"), "{text}");
    assert!(text.contains("/early?token=secret"), "{text}");

    let dump = dump.max_buffered_bytes(0);
    ask(&early, get("/none")).await;
    assert_eq!(printer.not_printed(), 2);
    assert_eq!(dump.printer().not_printed(), 2);
}
