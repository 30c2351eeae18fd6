use std::{
    io::{self, BufRead, Seek, SeekFrom},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use crc32fast::Hasher;
use http::{HeaderName, HeaderValue, Version};
use percent_encoding::{percent_decode, percent_decode_str};

use super::{CHECKSUM, ERROR, TIME_TO_END, TIME_TO_HEAD, TRAILERS};
use crate::{
    BodyEnd, Exchange, HeaderList, NoResponse, RecordedBody, RecordedRequest, RecordedResponse,
    format::http_text,
};

/// The head of a record is a few hundred bytes, plus trailers and an error's text.
const MAX_HEAD: usize = 4 << 20;

/// How a record begins.
const MARK: &[u8] = b"WARC/1.";

/// How much of a pair is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// All of it.
    Whole,
    /// The request, and of the response only what a lookup must know: how it ended. Its status,
    /// head and content are left out.
    Lookup,
}

/// What stands at the reader's place.
#[derive(Debug)]
pub(crate) enum Item {
    /// A pair, and where it begins.
    Exchange(u64, Box<Exchange>),
    /// Bytes that are no record of ours; the reader has gone on to the next that is.
    Bad(u64, String),
    /// The file ends within the pair that begins here: it was being written when its writer died.
    Torn(u64),
}

/// Reads the pairs of one segment.
pub(crate) struct Reader<R> {
    input: R,
    position: u64,
    end: u64,
    /// The segment's id, as its records give it.
    info: Option<String>,
    /// The last record's head and where its block begins, if that was not read.
    skipped: Option<(RecordHead, u64)>,
    line: Vec<u8>,
}

/// Why a record could not be read.
enum Fault {
    Io(io::Error),
    /// The input ends within the record.
    Torn,
    /// The bytes are no record, and where the next one begins is not known.
    Lost(String),
    /// The record is bad, but it ends where it says, and the input stands behind it.
    Bad(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

#[derive(Default)]
struct RecordHead {
    kind: String,
    id: String,
    info: Option<String>,
    concurrent_to: Option<String>,
    date: Option<SystemTime>,
    protocol: Option<String>,
    truncated: Option<String>,
    /// Of every line before it, and of the block.
    checksum: Option<u32>,
    checked: Hasher,
    error: Option<String>,
    trailers: Option<HeaderList>,
    to_head: Option<Duration>,
    to_end: Option<Duration>,
    length: u64,
}

impl<R: BufRead + Seek> Reader<R> {
    /// Reads what stands between the input's place and `end`, both counted from its start.
    pub(crate) fn new(mut input: R, end: u64) -> io::Result<Self> {
        Ok(Self {
            position: input.stream_position()?,
            input,
            end,
            info: None,
            skipped: None,
            line: Vec::new(),
        })
    }

    /// The next thing in the segment, or `None` at its end.
    pub(crate) fn next(&mut self, depth: Depth) -> io::Result<Option<Item>> {
        while self.position < self.end {
            let start = self.position;
            match self.pair(depth) {
                Ok(None) => {}
                Ok(Some(exchange)) => return Ok(Some(Item::Exchange(start, Box::new(exchange)))),
                Err(Fault::Io(error)) => return Err(error),
                Err(Fault::Bad(reason)) => return Ok(Some(Item::Bad(start, reason))),
                Err(Fault::Lost(reason)) => {
                    if !self.find_next(start)? {
                        self.position = self.end;
                    }
                    return Ok(Some(Item::Bad(start, reason)));
                }
                Err(Fault::Torn) => {
                    // A length that is wrong looks just like a file that ends too early.
                    return Ok(Some(if self.find_next(start)? {
                        Item::Bad(start, "the record is shorter than it says".to_owned())
                    } else {
                        self.position = self.end;
                        Item::Torn(start)
                    }));
                }
            }
        }
        Ok(None)
    }

    /// Reads a pair; `None` if the record here is of a kind that is none of our business.
    fn pair(&mut self, depth: Depth) -> Result<Option<Exchange>, Fault> {
        let start = self.position;
        let mut first = self.head()?;
        if let Some((before, block)) = self.skipped.take()
            && (first.kind != "request" || first.info != self.info)
        {
            // Only a length that is wrong leads into a recorded body, and what stands there.
            self.seek(block)?;
            self.block(&before)?;
            self.seek(start)?;
            first = self.head()?;
        }
        if first.kind == "warcinfo" {
            self.info = Some(first.id.clone());
        } else if self.info.is_none() {
            self.info.clone_from(&first.info);
        }
        if first.kind != "request" && first.kind != "response" {
            self.skip(first.length)?;
            // Of another tool it is none of our business.
            return if first.checksum.is_some() && first.kind != "warcinfo" {
                Err(Fault::Bad(format!("{:?} stands alone", first.kind)))
            } else {
                Ok(None)
            };
        }
        let first_block = self.block(&first)?;
        if self.position >= self.end && first.kind == "request" {
            return Err(Fault::Torn);
        }
        if self.position >= self.end {
            return Err(Fault::Bad("the response stands alone".to_owned()));
        }
        let before_second = self.position;
        let second = self.head()?;
        let belongs = second.concurrent_to.as_ref() == Some(&first.id)
            || first.concurrent_to.as_ref() == Some(&second.id);
        let is_pair = matches!(
            (first.kind.as_str(), second.kind.as_str()),
            ("request", "response" | "metadata") | ("response", "request")
        );
        if !belongs || !is_pair {
            self.seek(before_second)?;
            return Err(Fault::Bad(format!("the {} stands alone", first.kind)));
        }
        // Other tools put the response first.
        let read = if first.kind == "response" {
            let request = self.block(&second)?;
            exchange(&second, &request, &first, Some(first_block))
        } else if depth == Depth::Lookup {
            let block = self.position;
            self.skip(second.length)?;
            let read = exchange(&first, &first_block, &second, None);
            self.skipped = second.checksum.is_some().then_some((second, block));
            read
        } else {
            let response = self.block(&second)?;
            exchange(&first, &first_block, &second, Some(response))
        };
        // Damage to the segment's first record would otherwise be felt in all.
        self.info = first.info;
        Ok(Some(read.map_err(Fault::Bad)?))
    }

    fn head(&mut self) -> Result<RecordHead, Fault> {
        match self.next_line() {
            Ok(()) if self.line.starts_with(MARK) => {}
            Err(Fault::Torn) if self.line.starts_with(MARK) || MARK.starts_with(&self.line) => {
                return Err(Fault::Torn);
            }
            Err(Fault::Io(error)) => return Err(Fault::Io(error)),
            _ => return Err(Fault::Lost("there should be a WARC record here".to_owned())),
        }
        let mut head = RecordHead::default();
        let mut length = None;
        let mut size = 0;
        loop {
            if head.checksum.is_none() {
                head.checked.update(&self.line);
                head.checked.update(b"\r\n");
            }
            self.next_line()?;
            if self.line.is_empty() {
                break;
            }
            size += self.line.len();
            if size > MAX_HEAD {
                return Err(Fault::Lost(format!(
                    "a record's head is over {MAX_HEAD} bytes"
                )));
            }
            let line = str::from_utf8(&self.line)
                .ok()
                .and_then(|line| line.split_once(':'));
            let Some((name, value)) = line else {
                let line = self.line.escape_ascii();
                return Err(Fault::Lost(format!("\"{line}\" is no field of a record")));
            };
            let value = value.trim();
            if name.eq_ignore_ascii_case("Content-Length") {
                length = value.parse().ok();
            } else if name.eq_ignore_ascii_case("WARC-Type") && !head.kind.is_empty() {
                return Err(Fault::Lost("a record begins within a head".to_owned()));
            } else {
                head.field(name, value);
            }
        }
        head.length = length.ok_or_else(|| Fault::Lost("the record has no length".to_owned()))?;
        if head.length > self.end.saturating_sub(self.position) {
            return Err(Fault::Torn);
        }
        Ok(head)
    }

    /// Puts the next line into `self.line`, without its end.
    fn next_line(&mut self) -> Result<(), Fault> {
        self.line.clear();
        loop {
            let left = self.end - self.position;
            let buffer = self.input.fill_buf()?;
            let buffer = &buffer[..buffer
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX))];
            if buffer.is_empty() {
                return Err(Fault::Torn);
            }
            let end = buffer.iter().position(|&byte| byte == b'\n');
            let used = end.map_or(buffer.len(), |end| end + 1);
            self.line.extend_from_slice(&buffer[..used]);
            self.input.consume(used);
            self.position += used as u64;
            if end.is_some() {
                self.line.pop();
                if self.line.last() == Some(&b'\r') {
                    self.line.pop();
                }
                return Ok(());
            }
            if self.line.len() > MAX_HEAD {
                return Err(Fault::Lost("a line without an end".to_owned()));
            }
        }
    }

    /// Reads a record's block, and checks it.
    fn block(&mut self, head: &RecordHead) -> Result<Bytes, Fault> {
        // The length was checked against what is left, so it is no larger than the file.
        let mut block = vec![0; usize::try_from(head.length).map_err(|_| Fault::Torn)?];
        self.input.read_exact(&mut block)?;
        self.position += head.length;
        self.record_end()?;
        let mut found = head.checked.clone();
        found.update(&block);
        if head
            .checksum
            .is_some_and(|checksum| checksum != found.finalize())
        {
            // Perhaps it is the length that is wrong.
            let kind = &head.kind;
            return Err(Fault::Lost(format!(
                "the {kind} does not match its checksum"
            )));
        }
        Ok(block.into())
    }

    fn skip(&mut self, length: u64) -> Result<(), Fault> {
        self.input
            .seek_relative(i64::try_from(length).map_err(|_| Fault::Torn)?)?;
        self.position += length;
        self.record_end()
    }

    fn record_end(&mut self) -> Result<(), Fault> {
        if self.end - self.position < 4 {
            return Err(Fault::Torn);
        }
        let mut end = [0; 4];
        self.input.read_exact(&mut end)?;
        self.position += 4;
        if end != *b"\r\n\r\n" {
            return Err(Fault::Lost(
                "the record does not end where it says".to_owned(),
            ));
        }
        Ok(())
    }

    fn seek(&mut self, position: u64) -> io::Result<()> {
        self.input.seek(SeekFrom::Start(position))?;
        self.position = position;
        Ok(())
    }

    /// Goes to the first pair of this segment after a place where the reader got lost. False, and
    /// no particular place, if there is none.
    ///
    /// A recorded body may contain what looks like records: a recording of a download of a
    /// recording, or an attacker's invention. Only this segment's own carry its id.
    fn find_next(&mut self, lost_at: u64) -> io::Result<bool> {
        let mut from = lost_at + 1;
        loop {
            self.seek(from)?;
            let Some(candidate) = self.find(MARK)? else {
                return Ok(false);
            };
            self.seek(candidate)?;
            match self.head() {
                Ok(head) if self.is_start(&head) => {
                    self.seek(candidate)?;
                    return Ok(true);
                }
                Err(Fault::Io(error)) => return Err(error),
                Ok(_) | Err(_) => from = candidate + 1,
            }
        }
    }

    fn is_start(&self, head: &RecordHead) -> bool {
        match &self.info {
            Some(info) => head.kind == "request" && head.info.as_ref() == Some(info),
            None => !head.id.is_empty(),
        }
    }

    /// Where the mark stands next, from the reader's place on.
    fn find(&mut self, mark: &[u8]) -> io::Result<Option<u64>> {
        // The last bytes of the buffer before, in case the mark stands across two.
        let mut carry: Vec<u8> = Vec::new();
        while self.position < self.end {
            let buffer = self.input.fill_buf()?;
            if buffer.is_empty() {
                return Ok(None);
            }
            let used = buffer.len();
            let carried = carry.len();
            carry.extend_from_slice(buffer);
            if let Some(at) = carry.windows(mark.len()).position(|window| window == mark) {
                let found = self.position - carried as u64 + at as u64;
                return Ok((found < self.end).then_some(found));
            }
            carry.drain(..carry.len().saturating_sub(mark.len() - 1));
            self.input.consume(used);
            self.position += used as u64;
        }
        Ok(None)
    }
}

impl RecordHead {
    fn field(&mut self, name: &str, value: &str) {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let text = || Some(value.to_owned());
        if is("WARC-Type") {
            value.clone_into(&mut self.kind);
        } else if is("WARC-Record-ID") {
            value.clone_into(&mut self.id);
        } else if is("WARC-Date") {
            self.date = humantime::parse_rfc3339(value).ok();
        } else if is(CHECKSUM) {
            self.checksum = u32::from_str_radix(value, 16).ok();
        } else if is("WARC-Warcinfo-ID") {
            self.info = text();
        } else if is("WARC-Concurrent-To") {
            self.concurrent_to = text();
        } else if is("WARC-Protocol") {
            self.protocol = text();
        } else if is("WARC-Truncated") {
            self.truncated = text();
        } else if is(TIME_TO_HEAD) {
            self.to_head = seconds(value);
        } else if is(TIME_TO_END) {
            self.to_end = seconds(value);
        } else if is(ERROR) {
            self.error = Some(percent_decode_str(value).decode_utf8_lossy().into_owned());
        } else if is(TRAILERS) {
            self.trailers = Some(trailers(value));
        }
    }

    fn body(&self, bytes: Bytes) -> RecordedBody {
        let mut body = RecordedBody::from(bytes);
        body.trailers.clone_from(&self.trailers);
        body.end = match self.truncated.as_deref() {
            None => BodyEnd::Complete,
            Some("disconnect") => BodyEnd::Dropped,
            Some("length") => BodyEnd::Limit,
            Some(other) => BodyEnd::Error(self.error.clone().unwrap_or_else(|| other.to_owned())),
        };
        body
    }

    fn version(&self, in_text: Version) -> Version {
        match self.protocol.as_deref() {
            Some("h2" | "http/2" | "http/2.0") => Version::HTTP_2,
            Some("h3" | "http/3" | "http/3.0") => Version::HTTP_3,
            _ => in_text,
        }
    }
}

/// An exchange from the records of a pair; without the second's block, only how it ended.
fn exchange(
    first: &RecordHead,
    request: &Bytes,
    second: &RecordHead,
    block: Option<Bytes>,
) -> Result<Exchange, String> {
    let head = http_text::read_request_head(request)?;
    let request = RecordedRequest {
        method: head.method,
        uri: head.uri,
        version: first.version(head.version),
        headers: head.headers,
        body: first.body(request.slice(head.body..)),
    };
    let response = if second.kind == "response" {
        Ok(response(second, block)?)
    } else {
        Err(match &second.error {
            Some(error) => NoResponse::Failed(error.clone()),
            None => NoResponse::ClientGone,
        })
    };
    Ok(Exchange {
        began: first.date.ok_or("the record has no date")?,
        time_to_head: second.to_head,
        time_to_end: second.to_end.unwrap_or_default(),
        request,
        response,
    })
}

fn response(head: &RecordHead, block: Option<Bytes>) -> Result<RecordedResponse, String> {
    let Some(block) = block else {
        let mut response = RecordedResponse::from(http::Response::new(Bytes::new()));
        response.body.end = head.body(Bytes::new()).end;
        return Ok(response);
    };
    let text = http_text::read_response_head(&block)?;
    Ok(RecordedResponse {
        status: text.status,
        version: head.version(text.version),
        headers: text.headers,
        body: head.body(block.slice(text.body..)),
    })
}

/// `12.345678901`, exactly.
fn seconds(text: &str) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let nanos = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    Some(Duration::new(whole.parse().ok()?, nanos))
}

fn trailers(text: &str) -> HeaderList {
    text.split('&')
        .filter_map(|field| {
            let (name, value) = field.split_once('=')?;
            let value: Vec<u8> = percent_decode(value.as_bytes()).collect();
            let name = HeaderName::from_bytes(&percent_decode(name.as_bytes()).collect::<Vec<_>>());
            Some((name.ok()?, HeaderValue::from_bytes(&value).ok()?))
        })
        .collect()
}
