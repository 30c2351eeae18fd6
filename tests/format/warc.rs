//! Exchanges with every property that HTTP allows are replayed from a folder as recorded.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures::{StreamExt, executor::block_on};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use proptest::{collection::vec, option, prelude::*, sample::select};
use tower_traffic::{
    BodyEnd, Exchange, HeaderList, NoResponse, RecordedBody, RecordedRequest, RecordedResponse,
    store::{Compression, Disk, MatchKey, Replay, Sink, Source, Which},
};

proptest! {
    // `PROPTEST_CASES` sets the number of cases, 256 by default. A failure prints the values for a
    // test.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn exchanges_come_back_equal(
        batches in vec(vec(exchange(), 0..=8), 1..=4),
        segment_size in select(vec![1, 4 << 10, 1 << 20]),
        compression in select(vec![
            Compression::None,
            Compression::Gzip,
            Compression::Zstd,
        ]),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let writer = Disk::new(folder.path())
            .max_segment_bytes(segment_size)
            .compress(compression);
        // Reads the empty folder: from now on the writer keeps its index up to date.
        block_on(writer.report()).unwrap();
        for batch in &batches {
            block_on(writer.store(batch.iter().cloned().map(Arc::new).collect())).unwrap();
        }
        let recorded = batches.concat();

        let replayed: Vec<_> = block_on(writer.replay().map(Result::unwrap).collect());
        prop_assert_eq!(replayed.len(), recorded.len());
        for (replayed, recorded) in replayed.iter().zip(&recorded) {
            prop_assert_eq!(replayed, recorded);
        }

        let reader = block_on(Disk::open(folder.path())).unwrap();
        let report = block_on(reader.report()).unwrap();
        prop_assert_eq!(report.exchanges, recorded.len());
        prop_assert!(report.skipped.is_empty() && report.repairs.is_empty(), "{:?}", report);
        for (key, answers) in by_key(&reader, &recorded) {
            for disk in [&writer, &reader] {
                for (n, answer) in answers.iter().enumerate() {
                    prop_assert_eq!(&find(disk, key, Which::Nth(n)), *answer);
                }
                prop_assert_eq!(&find(disk, key, Which::Latest), answers[answers.len() - 1]);
            }
        }
    }
}

/// The exchanges that can answer, by match key.
fn by_key<'a>(
    source: &impl Source,
    recorded: &'a [Exchange],
) -> HashMap<MatchKey, Vec<&'a Exchange>> {
    let mut by_key: HashMap<_, Vec<_>> = HashMap::new();
    for exchange in recorded {
        if let Some(key) = source.matching().key_of(exchange) {
            by_key.entry(key).or_default().push(exchange);
        }
    }
    by_key
}

fn find(source: &impl Source, key: MatchKey, which: Which) -> Exchange {
    let found = block_on(source.find(key, which)).unwrap();
    Exchange::clone(&found.expect("what can answer is found"))
}

fn exchange() -> impl Strategy<Value = Exchange> {
    let response = prop_oneof![
        9 => response().prop_map(Ok),
        1 => Just(Err(NoResponse::ClientGone)),
        1 => text().prop_map(|error| Err(NoResponse::Failed(error))),
    ];
    (request(), response, began(), option::of(time()), time()).prop_map(
        |(request, response, began, to_head, to_end)| {
            let mut exchange = Exchange::without_response(request, NoResponse::ClientGone);
            exchange.response = response;
            exchange.began = began;
            exchange.time_to_head = to_head;
            exchange.time_to_end = to_end;
            exchange
        },
    )
}

fn request() -> impl Strategy<Value = RecordedRequest> {
    (method_and_uri(), version(), headers(), body()).prop_map(
        |((method, uri), version, headers, body)| {
            let mut request = RecordedRequest::from(Request::new(Bytes::new()));
            request.method = method;
            request.uri = uri;
            request.version = version;
            request.headers = headers;
            request.body = body;
            request
        },
    )
}

fn response() -> impl Strategy<Value = RecordedResponse> {
    (100..1000_u16, version(), headers(), body()).prop_map(|(status, version, headers, body)| {
        let mut response = RecordedResponse::from(Response::new(Bytes::new()));
        response.status = StatusCode::from_u16(status).unwrap();
        response.version = version;
        response.headers = headers;
        response.body = body;
        response
    })
}

fn method_and_uri() -> impl Strategy<Value = (Method, Uri)> {
    prop_oneof![
        6 => (method(), path_and_query()),
        2 => (method(), (select(vec!["http", "https", "ws"]), authority(), path_and_query())
            .prop_map(|(scheme, authority, path)| format!("{scheme}://{authority}{path}"))),
        1 => (method(), authority().prop_map(|authority| format!("http://{authority}"))),
        1 => (Just(Method::CONNECT), authority()),
        1 => (Just(Method::OPTIONS), Just("*".to_owned())),
    ]
    .prop_filter_map("no URI", |(method, uri)| Some((method, uri.parse().ok()?)))
}

fn method() -> impl Strategy<Value = Method> {
    let standard = select(vec![
        Method::GET,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::HEAD,
        Method::OPTIONS,
        Method::PATCH,
        Method::TRACE,
    ]);
    let extension = "[!#$%&'*+.^_`|~0-9A-Za-z-]{1,24}";
    prop_oneof![
        4 => standard,
        1 => extension.prop_map(|name| Method::from_bytes(name.as_bytes()).unwrap()),
    ]
}

fn authority() -> impl Strategy<Value = String> {
    let host = select(vec![
        "example.com",
        "127.0.0.1",
        "[::1]",
        "a-b.c_d",
        "user:pw@host",
    ]);
    (host, option::of(1..=u16::MAX)).prop_map(|(host, port)| match port {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

/// Few values, so that duplicates are common, and unusual but valid ones.
fn path_and_query() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec![
            "/",
            "/a",
            "/a?b",
            "/?token=secret&page=2",
            "//a//../%2e%2e/%00",
            "/*"
        ])
        .prop_map(str::to_owned),
        r#"/[!-"$->@-~]{0,40}(\?[!-"$-~]{0,40})?"#,
        "/[a-zé☃]{0,10}",
    ]
}

fn version() -> impl Strategy<Value = Version> {
    select(vec![
        Version::HTTP_09,
        Version::HTTP_10,
        Version::HTTP_11,
        Version::HTTP_2,
        Version::HTTP_3,
    ])
}

fn headers() -> impl Strategy<Value = HeaderList> {
    vec((header_name(), header_value()), 0..8).prop_map(|fields| fields.into_iter().collect())
}

fn header_name() -> impl Strategy<Value = HeaderName> {
    // Few values, so that duplicates are common; the last ones have a meaning in the format.
    let known = select(vec![
        "accept",
        "set-cookie",
        "x-twice",
        "host",
        "authorization",
        "trailer",
        "transfer-encoding",
        "content-length",
        "x-archive-orig-content-length",
        "x-archive-orig-transfer-encoding",
        "x-archive-orig-x-archive-orig-a",
        "x-archive-orig-",
        "warc-type",
        "traffic-crc32",
    ]);
    prop_oneof![
        3 => known.prop_map(HeaderName::from_static),
        1 => "[!#$%&'*+.^_`|~0-9a-z-]{1,24}"
            .prop_map(|name| HeaderName::from_bytes(name.as_bytes()).unwrap()),
    ]
}

/// Bytes that HTTP allows, without white space around them, which HTTP removes.
fn header_value() -> impl Strategy<Value = HeaderValue> {
    let byte = prop_oneof![
        4 => 0x20..=0x7e_u8,
        2 => 0x80..=0xff_u8,
        1 => Just(b'\t'),
    ];
    prop_oneof![
        3 => vec(byte, 0..40),
        1 => select(vec!["0", "5", "+5", "05", "-1", "99999", "chunked", "127.0.0.1:3000", "a b"])
            .prop_map(Vec::from),
    ]
    .prop_map(|value| HeaderValue::from_bytes(value.trim_ascii()).unwrap())
}

fn body() -> impl Strategy<Value = RecordedBody> {
    let end = prop_oneof![
        6 => Just(BodyEnd::Complete),
        1 => Just(BodyEnd::Limit),
        1 => Just(BodyEnd::Dropped),
        1 => text().prop_map(BodyEnd::Error),
    ];
    (content(), option::weighted(0.2, headers()), end).prop_map(|(content, trailers, end)| {
        let mut body = RecordedBody::from(content);
        body.trailers = trailers;
        body.end = end;
        body
    })
}

fn content() -> impl Strategy<Value = Bytes> {
    let record_text = "\r\n\r\nWARC/1.1\r\nWARC-Type: request\r\n\
        WARC-Record-ID: <urn:uuid:00000000-0000-4000-8000-000000000000>\r\n\
        WARC-Date: 2026-11-20T00:00:00Z\r\nContent-Length: 18\r\n\r\nGET / HTTP/1.1\r\n\r\n\r\n\r\n";
    prop_oneof![
        120 => Just(Vec::new()),
        200 => vec(any::<u8>(), 0..300),
        // Line ends, and special characters at the start of lines.
        100 => vec(select(vec!["\r\n", "\n", "\r", "WARC/1.1", "WARC/", "a", ": ", "\0"]), 0..40)
            .prop_map(|parts| parts.concat().into()),
        // Content is never framed in files of this crate.
        20 => Just(b"5\r\nhello\r\n0\r\n\r\n".to_vec()),
        60 => vec(Just(record_text), 1..4).prop_map(|records| records.concat().into()),
        // At the bounds of the buffers for reading and writing.
        4 => (any::<u8>(), select(vec![8 << 10, 128 << 10, 256 << 10]), 0..700_usize)
            .prop_map(|(seed, size, less)| bytes(seed, size - less)),
        1 => (any::<u8>(), 1 << 20..=4_usize << 20).prop_map(|(seed, size)| bytes(seed, size)),
    ]
    .prop_map(Bytes::from)
}

/// Cheap to make, without repetitions nearby.
fn bytes(seed: u8, size: usize) -> Vec<u8> {
    let mut state = u32::from(seed) | 1;
    let mut block: Vec<u8> = Vec::new();
    block.resize_with(4093, || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    });
    let mut bytes = block.repeat(size.div_ceil(block.len()));
    bytes.truncate(size);
    bytes
}

/// The text of an error.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        select(vec![
            "",
            " ",
            "reset by peer",
            "100%",
            "%0A%",
            " a \r\n b\t",
            "é☃\u{a0}"
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ]
}

/// The range of dates in the format.
fn began() -> impl Strategy<Value = SystemTime> {
    let seconds = prop_oneof![4 => 1_700_000_000..1_900_000_000_u64, 1 => 0..=253_402_300_799_u64];
    (seconds, nanos())
        .prop_map(|(seconds, nanos)| SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos))
}

fn time() -> impl Strategy<Value = Duration> {
    (prop_oneof![Just(0), 0..100_000_u64], nanos())
        .prop_map(|(seconds, nanos)| Duration::new(seconds, nanos))
}

fn nanos() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 0..1_000_000_000_u32, Just(999_999_999)]
}
