//! One interaction of a cassette as an exchange.

use std::{
    collections::HashSet,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{Method, StatusCode, Version};

use crate::{
    format::{
        date,
        foreign_message::{self, Fields, from_base64},
        node::{At, InvalidValue},
    },
    message::{Exchange, RecordedRequest, RecordedResponse, whole_body},
};

// Fields that do not matter for a replay are listed here, because unknown fields are reported.
const INTERACTION: [&str; 5] = ["request", "response", "recorded_at", "recorded_with", "id"];
const REQUEST: [&str; 7] = [
    "method",
    "uri",
    "url",
    "headers",
    "body",
    "http_version",
    "proto",
];
const RESPONSE: [&str; 9] = [
    "status",
    "code",
    "headers",
    "body",
    "http_version",
    "proto",
    "url",
    "adapter_metadata",
    "duration",
];
const BODY: [&str; 3] = ["encoding", "string", "base64_string"];

/// The names of unknown fields that are already reported.
pub(super) type Reported = HashSet<String>;

struct Notes<'a> {
    notes: &'a mut Vec<InvalidValue>,
    reported: &'a mut Reported,
}

impl Notes<'_> {
    /// Notes each field of `at` whose name is not in `known`, once per cassette.
    fn only(&mut self, at: &At<'_>, of: &str, known: &[&str]) {
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
    let request = request(&at.get("request"), &mut notes)?;
    let response = response(&at.get("response"), &request.method, &mut notes)?;
    Ok(Exchange {
        began: began(&at.get("recorded_at"), &mut notes)?,
        time_to_head: Some(Duration::ZERO),
        time_to_end: Duration::ZERO,
        request,
        response: Ok(response),
    })
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
    let content = body(&at.get("body"), notes)?;
    fields.settle(&content, true);
    Ok(RecordedRequest {
        method: method(&at.get("method"))?,
        uri: foreign_message::uri(&uri, &uri.text()?)?,
        version: version(&at)?,
        headers: fields.into_list(),
        body: content.into(),
    })
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
    let version = message.get("http_version");
    let text = match version.some() {
        Some(version) => version.text()?,
        None => message.get("proto").text_or_empty()?,
    };
    Ok(foreign_message::version(&text))
}

fn response(
    at: &At<'_>,
    method: &Method,
    notes: &mut Notes<'_>,
) -> Result<RecordedResponse, InvalidValue> {
    let at = at.object()?;
    notes.only(&at, "response", &RESPONSE);
    let status = status(&at)?;
    let mut fields = fields(&at.get("headers"), notes)?;
    let content = body(&at.get("body"), notes)?;
    let has_content = whole_body::has_content(method, status) || !content.is_empty();
    fields.settle(&content, has_content);
    Ok(RecordedResponse {
        status,
        version: version(&at)?,
        headers: fields.into_list(),
        body: content.into(),
    })
}

/// Reads the status code of a response: `code` inside of `status`, as in `{status: {code: 200,
/// message: OK}}`, else `code` next to `status`, as in `{code: 200, status: 200 OK}`, else the
/// start of the text `status`.
fn status(response: &At<'_>) -> Result<StatusCode, InvalidValue> {
    let status = response.get("status");
    let nested = status.get("code");
    let beside = response.get("code");
    let at = match (status.is_map(), beside.is_missing()) {
        (true, _) => nested,
        (false, false) => beside,
        (false, true) => status,
    };
    let text = at.text()?;
    let code = text.split_whitespace().next().unwrap_or_default();
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

fn body(at: &At<'_>, notes: &mut Notes<'_>) -> Result<Bytes, InvalidValue> {
    if !at.is_map() {
        return content(at, "");
    }
    notes.only(at, "body", &BODY);
    let encoding = at.get("encoding").text_or_empty()?.to_ascii_lowercase();
    match at.get("base64_string").some() {
        Some(base64) => content(&base64, "base64"),
        None => content(&at.get("string"), &encoding),
    }
}

fn content(at: &At<'_>, encoding: &str) -> Result<Bytes, InvalidValue> {
    let text = at.text_or_empty()?;
    if at.binary().is_some() || encoding == "base64" {
        return from_base64(at, &text);
    }
    Ok(Bytes::copy_from_slice(text.as_bytes()))
}
