//! Writes a HAR entry by entry.

use std::time::SystemTime;

use base64::{Engine, prelude::BASE64_STANDARD};
use crc32fast::hash;

use super::shape::{
    Cache, Content, Cookie, Entry, Field, Own, Pair, PostData, Request, Response, Timings,
};
use crate::{
    content::{
        coding::{self, DecodeEnd},
        form,
    },
    format::{date, warc::set_target},
    message::{
        BodyEnd, Exchange, HeaderList, NoResponse, RecordedBody, RecordedRequest, RecordedResponse,
        head,
    },
    util::time::timestamp,
};

/// The start of a file.
pub(crate) const OPENING: &str = concat!(
    r#"{"log":{"version":"1.2","creator":{"name":"tower-traffic","version":""#,
    env!("CARGO_PKG_VERSION"),
    r#""},"entries":["#
);

/// The end of a file, which an appended entry overwrites.
pub(crate) const TAIL: &str = "\n]}}\n";

/// The maximum size of content that is decoded, in bytes.
const MAX_DECODED_BYTES: usize = 64 << 20;

/// Appends an entry on its own line.
pub(crate) fn write_entry(out: &mut Vec<u8>, exchange: &Exchange, is_first: bool) {
    out.extend_from_slice(if is_first { b"\n" } else { b",\n" });
    // Cannot fail: the entry is plain data, written to memory.
    let _ = serde_json::to_writer(out, &Entry::of(exchange));
}

impl<'a> Entry<'a> {
    fn of(exchange: &'a Exchange) -> Self {
        let to_end = exchange.time_to_end;
        let to_head = match &exchange.response {
            Ok(_) => exchange.time_to_head.unwrap_or_default(),
            Err(_) => to_end,
        };
        let fits_timings = exchange.response.is_ok()
            && exchange
                .time_to_head
                .is_some_and(|to_head| to_head <= to_end)
            || exchange.response.is_err() && exchange.time_to_head.is_none();
        Self {
            started_date_time: rfc3339(exchange.began),
            time: milliseconds(to_end),
            request: request(&exchange.request),
            response: match &exchange.response {
                Ok(response) => self::response(response),
                Err(why) => no_response(why),
            },
            cache: Cache {},
            timings: Timings {
                send: 0.0,
                wait: milliseconds(to_head.min(to_end)),
                receive: milliseconds(to_end.saturating_sub(to_head)),
            },
            time_to_head: (!fits_timings).then(|| exchange.time_to_head.map(milliseconds).into()),
        }
    }
}

fn rfc3339(time: SystemTime) -> String {
    format!("{:.9}", timestamp(time))
}

fn milliseconds(time: std::time::Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn request(request: &RecordedRequest) -> Request<'_> {
    let mut url = String::new();
    set_target(&mut url, request);
    let target = request.uri.to_string();
    let content = request.body.to_bytes();
    let (text, encoding) = text(&content);
    let mime_type = text_of(&request.headers, "content-type");
    Request {
        method: request.method.as_str(),
        cookies: request_cookies(&request.headers),
        headers: fields(&request.headers),
        query_string: query(request.uri.query().unwrap_or_default()),
        post_data: (!content.is_empty()).then_some(PostData {
            mime_type,
            text,
            encoding,
        }),
        http_version: head::version_name(request.version),
        headers_size: -1,
        body_size: content.len(),
        target: (target != url).then_some(target),
        own: Own::of(&request.body, &content),
        url,
    }
}

fn response(response: &RecordedResponse) -> Response<'_> {
    let sent = response.body.to_bytes();
    let decoded = decoded(response, &sent);
    let shown = decoded.as_deref().unwrap_or(&sent);
    let (text, encoding) = text(shown);
    Response {
        status: response.status.as_u16(),
        status_text: response.status.canonical_reason().unwrap_or_default(),
        http_version: head::version_name(response.version),
        cookies: response_cookies(&response.headers),
        headers: fields(&response.headers),
        content: Content {
            size: shown.len(),
            mime_type: text_of(&response.headers, "content-type"),
            text,
            encoding,
            encoded: decoded.as_ref().map(|_| BASE64_STANDARD.encode(&sent)),
        },
        redirect_url: text_of(&response.headers, "location"),
        headers_size: -1,
        body_size: i64::try_from(sent.len()).unwrap_or(-1),
        error: None,
        client_gone: None,
        own: Own::of(&response.body, shown),
    }
}

fn no_response(why: &NoResponse) -> Response<'_> {
    let (error, client_gone) = match why {
        NoResponse::Failed(error) => (error.as_str(), None),
        NoResponse::ClientGone => ("client gone", Some(true)),
    };
    Response {
        status: 0,
        status_text: "",
        http_version: "",
        cookies: Vec::new(),
        headers: Vec::new(),
        content: Content {
            size: 0,
            mime_type: String::new(),
            text: String::new(),
            encoding: None,
            encoded: None,
        },
        redirect_url: String::new(),
        headers_size: -1,
        body_size: -1,
        error: Some(error),
        client_gone,
        own: Own::default(),
    }
}

impl<'a> Own<'a> {
    fn of(body: &'a RecordedBody, shown: &[u8]) -> Self {
        let (end, error) = match &body.end {
            BodyEnd::Complete => (None, None),
            BodyEnd::Limit => (Some("limit"), None),
            BodyEnd::Dropped => (Some("dropped"), None),
            BodyEnd::Error(error) => (Some("error"), Some(error.as_str())),
        };
        Self {
            checksum: Some(format!("{:08x}", hash(shown))),
            trailers: body.trailers.as_ref().map(fields),
            end,
            error,
        }
    }
}

/// Returns the content of a response, decoded as HAR requires; `None` if it is not encoded or
/// cannot be decoded completely.
fn decoded(response: &RecordedResponse, sent: &[u8]) -> Option<Vec<u8>> {
    let codings: Vec<_> = coding::codings(response.headers.get_all("content-encoding")).collect();
    if codings.is_empty() || sent.is_empty() {
        return None;
    }
    let decoded = coding::decode(&codings, sent, MAX_DECODED_BYTES).ok()?;
    (decoded.end == DecodeEnd::End).then_some(decoded.content)
}

fn text(content: &[u8]) -> (String, Option<&'static str>) {
    match str::from_utf8(content) {
        Ok(text) => (text.to_owned(), None),
        Err(_) => (BASE64_STANDARD.encode(content), Some("base64")),
    }
}

fn fields(headers: &HeaderList) -> Vec<Field<'_>> {
    let field = |(name, value)| {
        let (text, exact) = match str::from_utf8(value) {
            Ok(text) => (text.to_owned(), None),
            // Latin-1, as in earlier versions of HTTP.
            Err(_) => (
                value.iter().copied().map(char::from).collect(),
                Some(BASE64_STANDARD.encode(value)),
            ),
        };
        Field {
            name,
            value: text,
            exact,
        }
    };
    headers.iter().map(field).collect()
}

fn text_of(headers: &HeaderList, name: &str) -> String {
    let value = headers.get(name).unwrap_or_default();
    String::from_utf8_lossy(value).into_owned()
}

fn query(query: &str) -> Vec<Pair> {
    form::texts(query)
        .map(|(name, value)| Pair { name, value })
        .collect()
}

fn request_cookies(headers: &HeaderList) -> Vec<Cookie<'_>> {
    headers
        .iter()
        .filter(|(name, _)| *name == "cookie")
        .filter_map(|(_, value)| str::from_utf8(value).ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| {
            let (name, value) = pair.trim().split_once('=')?;
            Some(Cookie {
                name,
                value,
                ..Cookie::default()
            })
        })
        .collect()
}

fn response_cookies(headers: &HeaderList) -> Vec<Cookie<'_>> {
    headers
        .iter()
        .filter(|(name, _)| *name == "set-cookie")
        .filter_map(|(_, value)| {
            let mut parts = str::from_utf8(value).ok()?.split(';').map(str::trim);
            let (name, value) = parts.next()?.split_once('=')?;
            let mut cookie = Cookie {
                name,
                value,
                http_only: Some(false),
                secure: Some(false),
                ..Cookie::default()
            };
            for part in parts {
                let (name, value) = part.split_once('=').unwrap_or((part, ""));
                match name.to_ascii_lowercase().as_str() {
                    "path" => cookie.path = Some(value),
                    "domain" => cookie.domain = Some(value),
                    "expires" => {
                        cookie.expires = date::parse(value).map(rfc3339);
                    }
                    "httponly" => cookie.http_only = Some(true),
                    "secure" => cookie.secure = Some(true),
                    _ => {}
                }
            }
            Some(cookie)
        })
        .collect()
}
