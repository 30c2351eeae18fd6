//! One interaction of a cassette as an exchange.

use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

use http::{Method, StatusCode, Version};
use jiff::SignedDuration;

use super::body::{self, IfMissing};
use crate::{
    format::{
        date,
        foreign_message::{self, Content, Fields, decode_base64, from_base64},
        node::{At, InvalidValue},
    },
    message::{BodyEnd, Exchange, RecordedBody, RecordedRequest, RecordedResponse, whole_body},
};

// Fields that do not matter for a replay are listed here, because unknown fields are reported.
const INTERACTION: [&str; 6] = [
    "request",
    "response",
    "recorded_at",
    "recorded_with",
    "id",
    "index",
];
const REQUEST: [&str; 19] = [
    "method",
    "uri",
    "url",
    "headers",
    "body",
    "http_version",
    "proto",
    "proto_major",
    "proto_minor",
    "content_length",
    "transfer_encoding",
    "trailer",
    "host",
    "remote_addr",
    "request_uri",
    "form",
    "curl_options",
    "post_fields",
    "post_files",
];
const RESPONSE: [&str; 18] = [
    "status",
    "status_code",
    "code",
    "headers",
    "body",
    "content",
    "http_version",
    "proto",
    "proto_major",
    "proto_minor",
    "content_length",
    "transfer_encoding",
    "trailer",
    "uncompressed",
    "url",
    "adapter_metadata",
    "duration",
    "curl_info",
];

/// The names of unknown fields that are already reported.
pub(super) type Reported = HashSet<String>;

pub(super) struct Notes<'a> {
    pub(super) notes: &'a mut Vec<InvalidValue>,
    reported: &'a mut Reported,
}

impl Notes<'_> {
    /// Notes each field of `at` whose name is not in `known`, once per cassette.
    pub(super) fn only(&mut self, at: &At<'_>, of: &str, known: &[&str]) {
        for (name, field) in at.fields() {
            if !known.contains(&name) && self.reported.insert(format!("{of}.{name}")) {
                self.notes.push(field.bad(format!(
                    "unknown field {name:?}, ignored in all interactions"
                )));
            }
        }
    }
}

pub(super) fn read(
    at: &At<'_>,
    notes: &mut Vec<InvalidValue>,
    reported: &mut Reported,
) -> Result<Exchange, InvalidValue> {
    let at = at.object()?;
    let mut notes = Notes { notes, reported };
    notes.only(&at, "", &INTERACTION);
    let is_php = at.to_string().starts_with("$[");
    let request = request(&at.get("request"), &mut notes)?;
    let response_at = at.get("response");
    let response = response(&response_at, &request.method, is_php, &mut notes)?;
    let duration = duration(&response_at.get("duration"));
    Ok(Exchange {
        began: began(&at.get("recorded_at"), &mut notes)?,
        time_to_head: Some(duration),
        time_to_end: duration,
        request,
        response: Ok(response),
    })
}

/// Reads a duration of Go, such as `1m2.5s`; zero in other dialects.
fn duration(at: &At<'_>) -> Duration {
    let text = at.text().unwrap_or_default();
    let duration = text.parse::<SignedDuration>().unwrap_or_default();
    duration.try_into().unwrap_or_default()
}

/// Reads the time at which the exchange began; 1970-01-01 in dialects without dates.
fn began(at: &At<'_>, notes: &mut Notes<'_>) -> Result<SystemTime, InvalidValue> {
    if at.is_missing() {
        return Ok(SystemTime::UNIX_EPOCH);
    }
    let time = date::parse(&at.text()?);
    if time.is_none() {
        notes.notes.push(at.bad("invalid date; replaced with 1970"));
    }
    Ok(time.unwrap_or(SystemTime::UNIX_EPOCH))
}

fn request(at: &At<'_>, notes: &mut Notes<'_>) -> Result<RecordedRequest, InvalidValue> {
    let at = at.object()?;
    notes.only(&at, "request", &REQUEST);
    let mut fields = fields(&at.get("headers"), notes)?;
    let (uri, url) = (at.get("uri"), at.get("url"));
    let uri = if uri.is_missing() && !url.is_missing() {
        url
    } else {
        uri
    };
    let method = method(&at.get("method"))?;
    let body_at = at.get("body");
    // PHP-VCR has the fields of a form and the names of files.
    let form = ["post_fields", "post_files"].map(|name| at.get(name));
    let is_left_out = body_at.is_missing() && form.iter().any(At::has_items);
    let if_missing = if is_left_out || fields.is_chunked() {
        IfMissing::Unknown
    } else {
        IfMissing::Empty
    };
    let length = length(&at, &fields);
    let content = body::read(&body_at, if_missing, length, &mut fields, notes)?;
    fields.settle(&content, false);
    Ok(RecordedRequest {
        uri: foreign_message::uri(&uri, &uri.text()?, &method)?,
        method,
        version: version(&at)?,
        headers: fields.into_list(),
        body: recorded(&at, content, notes)?,
    })
}

/// Returns the number of bytes of a body as it was sent.
fn length(message: &At<'_>, fields: &Fields) -> Option<u64> {
    let stated = message.get("content_length").text().ok();
    fields
        .content_length()
        .or_else(|| stated?.parse().ok().filter(|length| *length > 0))
}

/// Returns a body with its trailers, which go-vcr stores.
fn recorded(
    message: &At<'_>,
    content: Content,
    notes: &mut Notes<'_>,
) -> Result<RecordedBody, InvalidValue> {
    let mut body = RecordedBody::from(content.bytes);
    if content.is_cut {
        body.end = BodyEnd::Limit;
    }
    let trailer = message.get("trailer");
    if trailer.has_items() {
        body.trailers = Some(fields(&trailer, notes)?.into_list());
    }
    Ok(body)
}

/// Reads the method, which VCR writes in lower case.
fn method(at: &At<'_>) -> Result<Method, InvalidValue> {
    let method = foreign_message::method(at)?;
    let mut name = method.as_str().bytes();
    if name.any(|byte| byte.is_ascii_uppercase()) {
        return Ok(method);
    }
    let upper = method.as_str().to_ascii_uppercase();
    Ok(Method::from_bytes(upper.as_bytes()).unwrap_or(method))
}

fn version(message: &At<'_>) -> Result<Version, InvalidValue> {
    let status = message.get("status");
    let version = message.get("http_version").some();
    let text = match version.or(status.get("http_version").some()) {
        Some(version) => version.text()?,
        None => message.get("proto").text_or_empty()?,
    };
    Ok(foreign_message::version(&text))
}

fn response(
    at: &At<'_>,
    method: &Method,
    is_php: bool,
    notes: &mut Notes<'_>,
) -> Result<RecordedResponse, InvalidValue> {
    let at = at.object()?;
    notes.only(&at, "response", &RESPONSE);
    let status = status(&at)?;
    let mut fields = fields(&at.get("headers"), notes)?;
    let body_at = at.get("body").some().unwrap_or(at.get("content"));
    let has_content = whole_body::has_content(method, status);
    // PHP-VCR and people leave out empty bodies; `null` stands for one that was not read.
    let is_null = at
        .fields()
        .any(|(name, _)| matches!(name, "body" | "content"));
    let if_missing = if has_content && is_null {
        IfMissing::Unknown
    } else {
        IfMissing::Empty
    };
    let length = length(&at, &fields).filter(|_| has_content);
    let mut content = body::read(&body_at, if_missing, length, &mut fields, notes)?;
    if is_php
        && fields.is_binary_in_php()
        && let Some(bytes) = str::from_utf8(&content.bytes)
            .ok()
            .and_then(|t| decode_base64(t).ok())
    {
        content.bytes = bytes;
    }
    if has_content || !content.bytes.is_empty() {
        fields.settle(&content, false);
    } else {
        fields.settle_without_content();
    }
    Ok(RecordedResponse {
        status,
        version: version(&at)?,
        headers: fields.into_list(),
        body: recorded(&at, content, notes)?,
    })
}

/// Reads the status code of a response: `code` inside of `status`, as in `{status: {code: 200,
/// message: OK}}`, else `code` or `status_code` next to `status`, as in `{code: 200, status: 200
/// OK}`, else the code in the text `status`.
fn status(response: &At<'_>) -> Result<StatusCode, InvalidValue> {
    let status = response.get("status");
    let nested = status.get("code");
    let beside = response.get("code").some();
    let beside = beside.unwrap_or(response.get("status_code"));
    let at = match (status.is_map(), beside.is_missing()) {
        (true, _) => nested,
        (false, false) => beside,
        (false, true) => status,
    };
    let text = at.text()?;
    let mut words = text
        .split_whitespace()
        .skip_while(|word| word.starts_with("HTTP/"));
    let code = words.next().unwrap_or_default();
    StatusCode::from_bytes(code.as_bytes())
        .map_err(|_| at.bad(format!("invalid status code {text:?}")))
}

/// Reads the headers, each of which has one value or a list of values.
fn fields(at: &At<'_>, notes: &mut Notes<'_>) -> Result<Fields, InvalidValue> {
    if !at.is_missing() && !at.is_map() {
        return Err(at.expected("an object"));
    }
    let mut fields = Fields::default();
    for (name, values) in at.fields() {
        if values.is_list() {
            for value in values.items()? {
                field(&mut fields, &value, name, notes)?;
            }
        } else {
            field(&mut fields, &values, name, notes)?;
        }
    }
    Ok(fields)
}

fn field(
    fields: &mut Fields,
    at: &At<'_>,
    name: &str,
    notes: &mut Notes<'_>,
) -> Result<(), InvalidValue> {
    let text = at.text_or_empty()?;
    match at.binary() {
        Some(base64) => fields.add(at, name, &from_base64(at, base64)?, notes.notes),
        None => fields.add(at, name, text.as_bytes(), notes.notes),
    }
    Ok(())
}
