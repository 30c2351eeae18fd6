//! The header section of a record, and the exchange in a pair of records.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use crc32fast::Hasher;
use http::{HeaderName, HeaderValue, Version};
use percent_encoding::{percent_decode, percent_decode_str};

use super::super::{CHECKSUM, ERROR, PREFIX, TIME_TO_END, TIME_TO_HEAD, TRAILERS};
use crate::{
    format::{date, http_text},
    message::{
        BodyEnd, Exchange, HeaderList, NoResponse, RecordedBody, RecordedRequest, RecordedResponse,
        head::version_named,
    },
};

/// The maximum number of records that a record may name as concurrent.
const MAX_CONCURRENT: usize = 100;

#[derive(Default)]
pub(super) struct RecordHead {
    pub(super) kind: String,
    pub(super) id: String,
    pub(super) info: Option<String>,
    pub(super) concurrent_to: Vec<String>,
    pub(super) date: Option<SystemTime>,
    /// The version of HTTP; protocols of lower layers, such as TLS, are left out.
    pub(super) protocol: Option<Version>,
    pub(super) truncated: Option<String>,
    /// Whether the record has fields of this crate.
    pub(super) is_marked: bool,
    /// The checksum of the block and of the header lines before the checksum.
    pub(super) checksum: Option<u32>,
    pub(super) checked: Hasher,
    pub(super) error: Option<String>,
    pub(super) trailers: Option<HeaderList>,
    pub(super) to_head: Option<Duration>,
    pub(super) to_end: Option<Duration>,
    pub(super) length: u64,
    /// The first line that is not a field.
    pub(super) invalid_line: Option<String>,
    // Fields that this crate does not need in its own records.
    pub(super) target_uri: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) payload_digest: Option<String>,
    pub(super) refers_to: Option<String>,
    pub(super) refers_to_uri: Option<String>,
    pub(super) refers_to_date: Option<SystemTime>,
    /// Whether `continuation` records have the rest of the block.
    pub(super) is_segmented: bool,
}

impl RecordHead {
    pub(super) fn field(&mut self, name: &str, value: &str) {
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let text = || Some(value.to_owned());
        // The grammar of WARC 1.0 has angle brackets around URIs, as Wget writes them.
        let uri = || {
            let value = value.strip_prefix('<').unwrap_or(value);
            Some(value.strip_suffix('>').unwrap_or(value).trim().to_owned())
        };
        self.is_marked |= name
            .get(..PREFIX.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(PREFIX));
        if is("WARC-Type") {
            value.clone_into(&mut self.kind);
        } else if is("WARC-Record-ID") {
            value.clone_into(&mut self.id);
        } else if is("WARC-Date") {
            self.date = date::parse(value);
        } else if is(CHECKSUM) {
            self.checksum = u32::from_str_radix(value, 16).ok();
        } else if is("WARC-Warcinfo-ID") {
            self.info = text();
        } else if is("WARC-Concurrent-To") {
            if !value.is_empty() && self.concurrent_to.len() < MAX_CONCURRENT {
                self.concurrent_to.push(value.to_owned());
            }
        } else if is("WARC-Protocol") {
            // Repeated for each layer, the highest first.
            let mut named = value.split(',').filter_map(version_named);
            self.protocol = self.protocol.or_else(|| named.next());
        } else if is("WARC-Truncated") {
            self.truncated = Some(value.to_ascii_lowercase());
        } else if is("WARC-Target-URI") {
            self.target_uri = uri();
        } else if is("Content-Type") {
            self.content_type = text();
        } else if is("WARC-Payload-Digest") {
            self.payload_digest = text();
        } else if is("WARC-Refers-To") {
            self.refers_to = text();
        } else if is("WARC-Refers-To-Target-URI") {
            self.refers_to_uri = uri();
        } else if is("WARC-Refers-To-Date") {
            self.refers_to_date = date::parse(value);
        } else if is("WARC-Segment-Number") {
            self.is_segmented = true;
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

    pub(super) fn body(&self, bytes: Bytes) -> RecordedBody {
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
        self.protocol.unwrap_or(in_text)
    }
}

/// Returns the exchange in a pair of this crate's records; without the block of the second, only how
/// it ended.
pub(super) fn exchange(
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
        began: first.date.ok_or("invalid record: missing WARC-Date")?,
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

/// Parses seconds with a fraction, such as `12.345678901`, without rounding.
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
