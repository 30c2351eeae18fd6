//! HTTP messages in the blocks of other tools' records: as they were on the wire.

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, StatusCode, Uri,
    header::{CONTENT_LENGTH, TRANSFER_ENCODING},
    uri::{Authority, Parts, PathAndQuery},
};

use super::{
    super::head::RecordHead,
    http_head::{self, Fields, HttpHead},
};
use crate::message::{
    BodyEnd, RecordedBody, RecordedRequest, RecordedResponse,
    chunked::unframe,
    whole_body::{content_length, has_content},
};

/// Schemes of requests over HTTP.
const SCHEMES: [&str; 4] = ["http", "https", "ws", "wss"];

/// A record of another tool, and its block.
pub(in super::super) struct Record {
    pub(in super::super) head: RecordHead,
    pub(in super::super) block: Bytes,
}

/// Whether the block of a record is an HTTP message, as far as its head tells.
pub(in super::super) fn is_http(head: &RecordHead) -> bool {
    let is_message = |content_type: &String| {
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        ["application/http", "message/http"]
            .iter()
            .any(|known| media_type.eq_ignore_ascii_case(known))
    };
    let is_known = |uri: &String| {
        let scheme = uri.split(':').next().unwrap_or_default();
        SCHEMES
            .iter()
            .any(|known| scheme.eq_ignore_ascii_case(known))
    };
    head.content_type.as_ref().is_none_or(is_message)
        && head.target_uri.as_ref().is_none_or(is_known)
}

/// Reads the request of a pair of records. The error is the reason why it is not HTTP.
pub(super) fn request(
    record: &Record,
    response: &RecordHead,
    notes: &mut Vec<String>,
) -> Result<RecordedRequest, String> {
    let head = http_head::read(&record.block, notes);
    let line = http_head::request_line(head.start_line)?;
    let target = record.head.target_uri.as_ref();
    let target = target.or(response.target_uri.as_ref());
    let target = target.and_then(|target| target_uri(target, notes));
    let protocol = record.head.protocol.or(response.protocol);
    let content = record.block.slice(head.length..);
    let mut message = Message::new(&record.head, head, content, "request", notes);
    message.unframe();
    message.check_length();
    Ok(RecordedRequest {
        uri: uri(&line.method, line.target, target)?,
        method: line.method,
        version: protocol.unwrap_or(line.version),
        headers: message.fields.into_iter().collect(),
        body: message.body,
    })
}

/// Reads the response to a request with `method`. The error is the reason why it is not HTTP.
pub(super) fn response(
    record: &Record,
    method: &Method,
    request: Option<&RecordHead>,
    notes: &mut Vec<String>,
) -> Result<RecordedResponse, String> {
    let mut block = record.block.clone();
    let (head, version, status) = loop {
        let mut of_head = Vec::new();
        let head = http_head::read(&block, &mut of_head);
        let (version, status) = http_head::status_line(head.start_line)?;
        let rest = &block[head.length..];
        // Some tools store interim responses before the final one.
        let is_interim = status.is_informational()
            && status != StatusCode::SWITCHING_PROTOCOLS
            && http_head::is_version(rest);
        if !is_interim {
            notes.append(&mut of_head);
            break (head, version, status);
        }
        block = block.slice(head.length..);
    };
    let protocol = record.head.protocol;
    let protocol = protocol.or_else(|| request.and_then(|request| request.protocol));
    let (is_ended, content) = (head.is_ended, block.slice(head.length..));
    let mut message = Message::new(&record.head, head, content, "response", notes);
    let is_revisit = record.head.kind == "revisit";
    if is_revisit && message.body.is_empty() {
        // Its content is in another record.
        message.take_chunked();
        message.body.end = BodyEnd::Complete;
    } else if has_content(method, status) {
        message.unframe();
        message.check_length();
        // Without its end, a head may lack the length of the content.
        if !is_ended && content_length(message.lengths()) != Some(0) {
            message.fail("the header section has no end");
        }
    } else {
        message.take_chunked();
        if !message.body.is_empty() {
            message.fail("bytes follow a response that has no content");
        }
    }
    if record.head.is_segmented {
        message.fail("the rest of the response is in other records");
    }
    Ok(RecordedResponse {
        status,
        version: protocol.unwrap_or(version),
        headers: message.fields.into_iter().collect(),
        body: message.body,
    })
}

/// Puts the content of `original` in place of that of `response`, if it fits its head.
pub(super) fn replace_content(
    response: &mut RecordedResponse,
    original: &RecordedResponse,
    notes: &mut Vec<String>,
) {
    let lengths = response.headers.get_all("content-length");
    let lengths: Fields = lengths
        .filter_map(|length| Some((CONTENT_LENGTH, HeaderValue::from_bytes(length).ok()?)))
        .collect();
    let mut message = Message {
        fields: lengths,
        body: original.body.clone(),
        kind: "response",
        notes,
    };
    message.check_length();
    response.body = message.body;
}

/// A message whose framing is removed.
struct Message<'a> {
    fields: Fields,
    body: RecordedBody,
    kind: &'static str,
    notes: &'a mut Vec<String>,
}

impl<'a> Message<'a> {
    fn new(
        record: &RecordHead,
        head: HttpHead<'_>,
        content: Bytes,
        kind: &'static str,
        notes: &'a mut Vec<String>,
    ) -> Self {
        if !head.is_ended {
            notes.push(format!("the header section of a {kind} has no end"));
        }
        Self {
            fields: head.fields,
            body: record.body(content),
            kind,
            notes,
        }
    }

    /// Removes chunked framing. Content without framing stays as it is: some tools remove the
    /// framing and keep the header.
    fn unframe(&mut self) {
        if !self.take_chunked() {
            return;
        }
        let text = self.body.to_bytes();
        let Some(unframed) = unframe(&text) else {
            return;
        };
        // The framing overrides a length (RFC 9112, 6.3).
        if content_length(self.lengths()) != Some(unframed.content.len() as u64) {
            self.fields.retain(|(name, _)| *name != CONTENT_LENGTH);
        }
        self.body.set_bytes(unframed.content);
        let trailers = http_head::read_trailers(unframed.trailers, self.notes);
        if !trailers.is_empty() {
            self.body.trailers = Some(trailers.into_iter().collect());
        }
        if let Some(fault) = unframed.fault {
            self.fail(fault);
        }
    }

    /// Removes `chunked` from the transfer codings. Returns false if it is not among them.
    fn take_chunked(&mut self) -> bool {
        let is_coding = |name: &HeaderName| *name == TRANSFER_ENCODING;
        let lines = self.fields.iter().filter(|(name, _)| is_coding(name));
        let codings: Vec<&[u8]> = lines
            .flat_map(|(_, value)| value.as_bytes().split(|&byte| byte == b','))
            .map(<[u8]>::trim_ascii)
            .collect();
        let is_chunked = |coding: &&[u8]| coding.eq_ignore_ascii_case(b"chunked");
        if !codings.iter().any(is_chunked) {
            return false;
        }
        let others: Vec<_> = codings
            .into_iter()
            .filter(|coding| !is_chunked(coding))
            .collect();
        let others = HeaderValue::from_bytes(&others.join(&b", "[..]));
        let place = self.fields.iter().position(|(name, _)| is_coding(name));
        self.fields.retain(|(name, _)| !is_coding(name));
        if let (Some(place), Ok(others)) = (place, others)
            && !others.is_empty()
        {
            self.fields.insert(place, (TRANSFER_ENCODING, others));
        }
        true
    }

    /// Compares the content with its stated length.
    fn check_length(&mut self) {
        let mut lines = self.lengths().peekable();
        if lines.peek().is_none() {
            return;
        }
        let length = content_length(lines);
        let found = self.body.len() as u64;
        match length {
            Some(length) if length == found => {}
            Some(length) if length < found => self.fail("the content is longer than its length"),
            Some(_) => self.fail("the content is shorter than its length"),
            None => self.fail("the length of the content is invalid"),
        }
    }

    fn lengths(&self) -> impl Iterator<Item = &HeaderValue> {
        let lines = self.fields.iter();
        lines
            .filter(|(name, _)| *name == CONTENT_LENGTH)
            .map(|(_, value)| value)
    }

    /// Marks the message as incomplete, unless the tool has marked it.
    fn fail(&mut self, fault: &str) {
        if self.body.end == BodyEnd::Complete {
            self.body.end = BodyEnd::Error(fault.to_owned());
            self.notes
                .push(format!("incomplete {}: {fault}", self.kind));
        }
    }
}

/// Parses `WARC-Target-URI`, without user information, which a request never has.
fn target_uri(text: &str, notes: &mut Vec<String>) -> Option<Uri> {
    let parsed = http_head::uri(text.as_bytes()).and_then(|uri| {
        let mut parts = uri.into_parts();
        let authority = parts.authority?;
        let host = authority.as_str().rsplit('@').next()?;
        parts.authority = Some(Authority::try_from(host).ok()?);
        parts.scheme.as_ref()?;
        Uri::from_parts(parts).ok()
    });
    if parsed.is_none() {
        notes.push("invalid WARC-Target-URI: the URI has no scheme and authority".to_owned());
    }
    parsed
}

/// Returns the URI of a request with the target `line` in its request line.
fn uri(method: &Method, line: Option<Uri>, target: Option<Uri>) -> Result<Uri, String> {
    let Some(line) = line.filter(|line| line.authority().is_none() || is_absolute(method, line))
    else {
        return target.ok_or_else(|| "invalid request target".to_owned());
    };
    if line.authority().is_some() {
        return Ok(line);
    }
    let Some(target) = target else {
        return Ok(line);
    };
    let path = line.path_and_query().map_or("/", PathAndQuery::as_str);
    let mut parts: Parts = target.into_parts();
    parts.path_and_query = path.parse().ok();
    Ok(Uri::from_parts(parts).unwrap_or(line))
}

/// Whether `uri`, which has an authority, is a target of a request with `method`.
fn is_absolute(method: &Method, uri: &Uri) -> bool {
    uri.scheme().is_some() || *method == Method::CONNECT
}
