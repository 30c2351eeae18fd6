use std::{
    io::Write,
    time::{Duration, SystemTime},
};

use crc32fast::Hasher;
use http::{Version, uri::PathAndQuery};
use jiff::Timestamp;
use percent_encoding::{percent_encode, utf8_percent_encode};
use uuid::Uuid;

use super::{CHECKSUM, ERROR, LINE, LINE_AND_SPACE, TIME_TO_END, TIME_TO_HEAD, TRAILER, TRAILERS};
use crate::{
    format::{http_text, uri::NOT_IN_URI},
    message::{
        BodyEnd, Exchange, HeaderList, NoResponse, RecordedBody, RecordedRequest, RecordedResponse,
        head,
    },
    util::time::timestamp,
};

/// The field with which a record names its segment's `warcinfo` record.
pub(super) const INFO_ID: &str = "WARC-Warcinfo-ID";

/// The number of characters of an id up to the last hyphen, inclusive.
pub(super) const ID_PREFIX: usize = 24;

/// Writes the records of one segment.
pub(crate) struct Writer {
    /// The id of the segment's `warcinfo` record. The records of every exchange name this id, so
    /// that a reader can tell them from WARC records inside a recorded body.
    info: Uuid,
    /// The number of records written with an id.
    records: u64,
    date: Date,
    // Buffers, kept for reuse.
    head: Vec<u8>,
    target: String,
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self {
            info: custom(Uuid::new_v4(), 0),
            records: 0,
            date: Date::default(),
            head: Vec::new(),
            target: String::new(),
        }
    }

    /// Appends the record that begins a segment.
    pub(crate) fn open(&self, out: &mut Vec<u8>, file_name: &str) {
        let block = format!(
            "software: tower-traffic/{}\r\nformat: WARC File Format 1.1\r\n",
            env!("CARGO_PKG_VERSION")
        );
        let start = begin(out, "warcinfo", self.info, &Date::of(SystemTime::now()));
        field(out, "WARC-Filename", file_name);
        field(out, "Content-Type", "application/warc-fields");
        end_record(out, start, block.as_bytes(), &RecordedBody::default());
    }

    /// Appends an exchange. Returns the position of its second record in `out`.
    pub(crate) fn exchange(&mut self, out: &mut Vec<u8>, exchange: &Exchange) -> usize {
        out.reserve(exchange.weight());
        let request = self.next_id();
        self.date.set(exchange.began);
        set_target(&mut self.target, &exchange.request);
        self.request(out, &exchange.request, request);
        let second = out.len();
        match &exchange.response {
            Ok(response) => self.response(out, exchange, response, request),
            Err(why) => self.no_response(out, exchange, why, request),
        }
        second
    }

    fn next_id(&mut self) -> Uuid {
        self.records += 1;
        custom(self.info, self.records)
    }

    /// Returns the common start of the segment's ids, of [`ID_PREFIX`] characters.
    #[cfg(feature = "zstd")]
    pub(super) fn id_prefix(&self) -> String {
        let mut id = self.info.hyphenated().to_string();
        id.truncate(ID_PREFIX);
        id
    }

    fn request(&mut self, out: &mut Vec<u8>, request: &RecordedRequest, id: Uuid) {
        let start = begin(out, "request", id, &self.date);
        id_field(out, INFO_ID, self.info);
        field(out, "WARC-Target-URI", &self.target);
        body_fields(out, request.version, &request.body);
        field(out, "Content-Type", "application/http;msgtype=request");
        self.head.clear();
        http_text::write_request_head(&mut self.head, request);
        end_record(out, start, &self.head, &request.body);
    }

    fn response(
        &mut self,
        out: &mut Vec<u8>,
        exchange: &Exchange,
        response: &RecordedResponse,
        request: Uuid,
    ) {
        let id = self.next_id();
        let start = begin(out, "response", id, &self.date);
        id_field(out, "WARC-Concurrent-To", request);
        field(out, "WARC-Target-URI", &self.target);
        body_fields(out, response.version, &response.body);
        times(out, exchange);
        field(out, "Content-Type", "application/http;msgtype=response");
        self.head.clear();
        http_text::write_response_head(&mut self.head, response);
        end_record(out, start, &self.head, &response.body);
    }

    fn no_response(
        &mut self,
        out: &mut Vec<u8>,
        exchange: &Exchange,
        why: &NoResponse,
        request: Uuid,
    ) {
        let id = self.next_id();
        let start = begin(out, "metadata", id, &self.date);
        id_field(out, "WARC-Concurrent-To", request);
        field(out, "WARC-Target-URI", &self.target);
        times(out, exchange);
        let block = match why {
            NoResponse::ClientGone => "ended: client gone\r\n",
            NoResponse::Failed(error) => {
                error_field(out, error);
                "ended: error\r\n"
            }
        };
        field(out, "Content-Type", "application/warc-fields");
        end_record(out, start, block.as_bytes(), &RecordedBody::default());
    }
}

/// Creates an id of version 8 (RFC 9562, 5.8) from 74 bits of `random`, and `number`. Ids without
/// common bits would take up a quarter of a small compressed exchange.
fn custom(random: Uuid, number: u64) -> Uuid {
    const NUMBER: u128 = (1 << 48) - 1;
    const VERSION: u128 = 0xf << 76;
    let bits = random.as_u128() & !NUMBER & !VERSION;
    Uuid::from_u128(bits | 8 << 76 | u128::from(number) & NUMBER)
}

/// Begins a record, and returns its position in `out`.
fn begin(out: &mut Vec<u8>, kind: &str, id: Uuid, date: &Date) -> usize {
    let start = out.len();
    out.extend_from_slice(b"WARC/1.1\r\n");
    field(out, "WARC-Type", kind);
    id_field(out, "WARC-Record-ID", id);
    out.extend_from_slice(b"WARC-Date: ");
    out.extend_from_slice(date.text.as_bytes());
    out.push(b'.');
    push_nanos(out, date.time.subsec_nanosecond().unsigned_abs());
    out.extend_from_slice(b"Z\r\n");
    start
}

/// A timestamp whose text without the fraction is formatted once per second.
#[derive(Default)]
struct Date {
    time: Timestamp,
    text: String,
}

impl Date {
    fn of(time: SystemTime) -> Self {
        let mut date = Self::default();
        date.set(time);
        date
    }

    fn set(&mut self, time: SystemTime) {
        let time = timestamp(time);
        if self.text.is_empty() || time.as_second() != self.time.as_second() {
            self.text = format!("{time:.0}");
            self.text.pop();
        }
        self.time = time;
    }
}

fn push_nanos(out: &mut Vec<u8>, nanos: u32) {
    push_digits(out, u64::from(nanos), 9);
}

/// Appends a decimal number, padded with zeros to a width. An exchange has eight of them, and `fmt`
/// was visible in profiles.
fn push_digits(out: &mut Vec<u8>, number: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let mut start = digits.len();
    let mut left = number;
    while left > 0 || digits.len() - start < width {
        start -= 1;
        digits[start] += (left % 10) as u8;
        left /= 10;
    }
    out.extend_from_slice(&digits[start..]);
}

fn push_hex(out: &mut Vec<u8>, number: u32) {
    for digit in (0..8).rev() {
        out.push(b"0123456789abcdef"[(number >> (4 * digit)) as usize & 15]);
    }
}

fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn id_field(out: &mut Vec<u8>, name: &str, id: Uuid) {
    let mut buffer = Uuid::encode_buffer();
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": <");
    out.extend_from_slice(id.urn().encode_lower(&mut buffer).as_bytes());
    out.extend_from_slice(b">\r\n");
}

fn error_field(out: &mut Vec<u8>, error: &str) {
    // Spaces at the ends of a value are lost, and therefore escaped; others stay readable.
    let escaped = if error.starts_with(' ') || error.ends_with(' ') {
        LINE_AND_SPACE
    } else {
        LINE
    };
    let _ = write!(out, "{ERROR}: {}\r\n", utf8_percent_encode(error, escaped));
}

fn times(out: &mut Vec<u8>, exchange: &Exchange) {
    let mut seconds = |name: &str, time: Duration| {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": ");
        push_digits(out, time.as_secs(), 1);
        out.push(b'.');
        push_nanos(out, time.subsec_nanos());
        out.extend_from_slice(b"\r\n");
    };
    if let Some(time) = exchange.time_to_head {
        seconds(TIME_TO_HEAD, time);
    }
    seconds(TIME_TO_END, exchange.time_to_end);
}

/// Appends the fields for what HTTP/1 text cannot express.
fn body_fields(out: &mut Vec<u8>, version: Version, body: &RecordedBody) {
    match version {
        Version::HTTP_2 => field(out, "WARC-Protocol", "h2"),
        Version::HTTP_3 => field(out, "WARC-Protocol", "h3"),
        _ => {}
    }
    match &body.end {
        BodyEnd::Complete => {}
        BodyEnd::Limit => field(out, "WARC-Truncated", "length"),
        BodyEnd::Dropped => field(out, "WARC-Truncated", "disconnect"),
        BodyEnd::Error(error) => {
            field(out, "WARC-Truncated", "unspecified");
            error_field(out, error);
        }
    }
    if let Some(trailers) = &body.trailers {
        trailer_field(out, trailers);
    }
}

fn trailer_field(out: &mut Vec<u8>, trailers: &HeaderList) {
    out.extend_from_slice(TRAILERS.as_bytes());
    out.extend_from_slice(b": ");
    for (i, (name, value)) in trailers.iter().enumerate() {
        let separator = if i == 0 { "" } else { "&" };
        let name = utf8_percent_encode(name, TRAILER);
        let value = percent_encode(value, TRAILER);
        let _ = write!(out, "{separator}{name}={value}");
    }
    out.extend_from_slice(b"\r\n");
}

/// Ends the header section of the record that begins at `start`, and appends its block: the head
/// and body of a message.
fn end_record(out: &mut Vec<u8>, start: usize, head: &[u8], body: &RecordedBody) {
    out.extend_from_slice(b"Content-Length: ");
    push_digits(out, (head.len() + body.len()) as u64, 1);
    out.extend_from_slice(b"\r\n");
    let mut checksum = Hasher::new();
    checksum.update(&out[start..]);
    checksum.update(head);
    for chunk in body.chunks() {
        checksum.update(chunk);
    }
    out.extend_from_slice(CHECKSUM.as_bytes());
    out.extend_from_slice(b": ");
    push_hex(out, checksum.finalize());
    out.extend_from_slice(b"\r\n\r\n");
    out.extend_from_slice(head);
    for chunk in body.chunks() {
        out.extend_from_slice(chunk);
    }
    out.extend_from_slice(b"\r\n\r\n");
}

/// The host that is written if a request has none; no host has this name (RFC 6761).
const UNKNOWN_HOST: &str = "unknown.invalid";

/// Sets `target` to the absolute URI that a record requires. The original target is in the request
/// line.
pub(crate) fn set_target(target: &mut String, request: &RecordedRequest) {
    let uri = &request.uri;
    let host = head::host(uri, request.headers.get("host"))
        .and_then(uri_host)
        .unwrap_or(UNKNOWN_HOST);
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    target.clear();
    target.push_str(uri.scheme_str().unwrap_or("http"));
    target.push_str("://");
    target.push_str(host);
    if !path.starts_with('/') {
        target.push('/');
    }
    if path != "*" {
        target.extend(utf8_percent_encode(path, NOT_IN_URI));
    }
}

/// Returns `value` as text, or `None` if it is not a valid host and port of a URI.
fn uri_host(value: &[u8]) -> Option<&str> {
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~%:[]".contains(byte);
    let is_host = !value.is_empty() && value.iter().all(is_allowed);
    str::from_utf8(value).ok().filter(|_| is_host)
}
