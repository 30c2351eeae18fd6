//! One entry of a HAR as an exchange.

use std::{
    borrow::Cow,
    time::{Duration, SystemTime},
};

use crc32fast::hash;
use http::{Method, StatusCode, Uri, header::CONTENT_TYPE};

use super::{
    content::{self, Lengths},
    post::post_data,
};
use crate::{
    format::{
        date,
        foreign_message::{self, Content, Fields, from_base64},
        node::{At, InvalidValue},
        warc::set_target,
    },
    message::{
        BodyEnd, Exchange, HeaderList, NoResponse, RecordedBody, RecordedRequest, RecordedResponse,
        whole_body,
    },
};

pub(super) fn read(at: &At<'_>, notes: &mut Vec<InvalidValue>) -> Result<Exchange, InvalidValue> {
    let at = at.object()?;
    let request = request(&at.get("request"), notes)?;
    let response = response(&at.get("response"), &request, notes)?;
    let times = Times::of(&at);
    Ok(Exchange {
        began: began(&at.get("startedDateTime"), notes)?,
        time_to_head: match at.get("_timeToHead") {
            time if !time.is_missing() => milliseconds(&time),
            _ if has_field(&at, "_timeToHead") => None,
            _ => response.is_ok().then_some(times.to_head),
        },
        time_to_end: times.to_end,
        request,
        response,
    })
}

fn has_field(at: &At<'_>, name: &str) -> bool {
    at.fields().any(|(field, _)| field == name)
}

fn began(at: &At<'_>, notes: &mut Vec<InvalidValue>) -> Result<SystemTime, InvalidValue> {
    let time = date::parse(&at.text_or_empty()?);
    if time.is_none() {
        notes.push(at.bad("invalid date: expected ISO 8601; replaced with 1970"));
    }
    Ok(time.unwrap_or(SystemTime::UNIX_EPOCH))
}

/// The durations from the start of the exchange.
struct Times {
    to_head: Duration,
    to_end: Duration,
}

impl Times {
    fn of(entry: &At<'_>) -> Self {
        let timings = entry.get("timings");
        let part = |name| milliseconds(&timings.get(name)).unwrap_or_default();
        // `ssl` is a part of `connect`.
        let parts = ["blocked", "dns", "connect", "send", "wait", "receive"];
        let sum = parts
            .into_iter()
            .map(part)
            .fold(Duration::ZERO, Duration::saturating_add);
        let to_end = milliseconds(&entry.get("time")).unwrap_or(sum);
        Self {
            to_head: to_end.saturating_sub(part("receive")),
            to_end,
        }
    }
}

/// Reads a duration in milliseconds. Returns `None` for -1, which means that the phase does not
/// apply.
fn milliseconds(at: &At<'_>) -> Option<Duration> {
    // To the nanosecond, the precision of an `f64` for up to a hundred days.
    let nanos = (at.number().ok()? * 1e6).round();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates"
    )]
    (nanos >= 0.0).then(|| Duration::from_nanos(nanos as u64))
}

fn request(at: &At<'_>, notes: &mut Vec<InvalidValue>) -> Result<RecordedRequest, InvalidValue> {
    let at = at.object()?;
    let mut fields = fields(&at.get("headers"), notes)?;
    let method = match (at.get("method").some(), fields.pseudo("method")) {
        (None, Some(method)) => Method::from_bytes(method.as_bytes())
            .map_err(|_| at.get("headers").bad(format!("invalid method {method:?}")))?,
        _ => foreign_message::method(&at.get("method"))?,
    };
    let uri = url(&at.get("url"), &fields, &method)?;
    let version = foreign_message::version(&at.get("httpVersion").text_or_empty()?);
    let post = at.get("postData");
    let content = post_data(&at, &fields, is_own(&at), notes)?;
    if !is_exact(&at, &content.bytes) {
        if fields.get(&CONTENT_TYPE).is_none()
            && let Some(mime) = post.get("mimeType").some()
            && !content.bytes.is_empty()
        {
            fields.add(
                &post.get("mimeType"),
                "content-type",
                mime.text()?.as_bytes(),
                notes,
            );
        }
        fields.settle(&content, false);
    }
    let mut request = RecordedRequest {
        method,
        uri,
        version,
        headers: fields.into_list(),
        body: body(&at, content, notes)?,
    };
    target(&at, &mut request);
    Ok(request)
}

/// Restores the request target in its original form, unless `url` was edited.
fn target(at: &At<'_>, request: &mut RecordedRequest) {
    let Some(Ok(target)) = at
        .get("_target")
        .some()
        .and_then(|at| at.text().ok())
        .map(|target| target.parse::<Uri>())
    else {
        return;
    };
    let url = std::mem::replace(&mut request.uri, target);
    let mut expected = String::new();
    set_target(&mut expected, request);
    if expected
        .parse::<Uri>()
        .is_ok_and(|expected| expected != url)
    {
        request.uri = url;
    }
}

fn url(at: &At<'_>, fields: &Fields, method: &Method) -> Result<Uri, InvalidValue> {
    let text = match (at.some(), fields.pseudo("path")) {
        (None, Some(path)) => Cow::Owned(path.to_owned()),
        _ => at.text()?,
    };
    match fields.pseudo("authority") {
        Some(authority) if text.starts_with('/') => {
            let scheme = fields.pseudo("scheme").unwrap_or("https");
            foreign_message::uri(at, &format!("{scheme}://{authority}{text}"), method)
        }
        _ => foreign_message::uri(at, &text, method),
    }
}

fn response(
    at: &At<'_>,
    request: &RecordedRequest,
    notes: &mut Vec<InvalidValue>,
) -> Result<Result<RecordedResponse, NoResponse>, InvalidValue> {
    if !at.is_missing() && !at.is_map() {
        return Err(at.expected("an object"));
    }
    let mut fields = fields(&at.get("headers"), notes)?;
    let status = match (at.get("status").some(), fields.pseudo("status")) {
        (None, Some(status)) => status.parse().unwrap_or(0.0),
        (None, None) => 0.0,
        (Some(status), _) => status.number()?,
    };
    // The request was blocked, failed, or was in progress when the file was written.
    if status <= 0.0 {
        return Ok(Err(no_response(at)?));
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates"
    )]
    let status = StatusCode::from_u16(status as u16).map_err(|_| {
        at.get("status")
            .bad(format!("invalid status code {status}"))
    })?;

    let content_at = at.get("content");
    let is_own = is_own(at);
    let mut content = if is_own || whole_body::has_content(&request.method, status) {
        let lengths = lengths(&content_at, status, &fields);
        let encoding = content_at.get("encoding");
        content::read(&content_at, &encoding, &lengths, &fields, is_own, notes)?
    } else {
        // Browsers write the content from their cache.
        Content::default()
    };
    if is_exact(at, &content.bytes) {
        if let Some(encoded) = content_at.get("_encoded").some() {
            content = from_base64(&encoded, &encoded.text()?)?.into();
        }
    } else if !whole_body::has_content(&request.method, status) {
        fields.settle_without_content();
        content = Content::default();
    } else {
        fields.settle(&content, true);
        if content_at.get("encoding").is_missing() && !content.bytes.is_ascii() {
            fields.settle_charset();
        }
    }
    Ok(Ok(RecordedResponse {
        status,
        version: foreign_message::version(&at.get("httpVersion").text_or_empty()?),
        headers: fields.into_list(),
        body: body(at, content, notes)?,
    }))
}

fn lengths(content: &At<'_>, status: StatusCode, fields: &Fields) -> Lengths {
    let size = length(&content.get("size"));
    // Browsers drop the content of a redirection, and write 0.
    let is_dropped = status.is_redirection() && size == Some(0);
    Lengths {
        size,
        #[expect(clippy::cast_possible_truncation, reason = "saturates")]
        compression: content.get("compression").number().ok().map(|n| n as i64),
        sent: fields.content_length().filter(|_| !is_dropped),
    }
}

/// Reads a number of bytes, where -1 means that it is unknown.
pub(super) fn length(at: &At<'_>) -> Option<u64> {
    let number = at.number().ok()?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates"
    )]
    (number >= 0.0).then_some(number as u64)
}

fn no_response(at: &At<'_>) -> Result<NoResponse, InvalidValue> {
    if !at.get("_clientGone").is_missing() {
        return Ok(NoResponse::ClientGone);
    }
    for name in ["_error", "statusText", "comment"] {
        let text = at.get(name);
        if !text.is_missing() && (name == "_error" || !text.text()?.is_empty()) {
            return Ok(NoResponse::Failed(text.text()?.into_owned()));
        }
    }
    Ok(NoResponse::Failed("the HAR has no response".to_owned()))
}

/// Whether this crate wrote the message.
fn is_own(message: &At<'_>) -> bool {
    !message.get("_crc32").is_missing()
}

/// Whether this crate wrote the message, and no other tool has edited it.
fn is_exact(message: &At<'_>, content: &[u8]) -> bool {
    let checksum = message.get("_crc32");
    let text = checksum.some().and_then(|at| at.text().ok());
    text.is_some_and(|text| u32::from_str_radix(&text, 16) == Ok(hash(content)))
}

/// Returns the headers of a message, as `{name, value}` or, from some tools, `[name, value]`.
fn fields(at: &At<'_>, notes: &mut Vec<InvalidValue>) -> Result<Fields, InvalidValue> {
    let mut fields = Fields::default();
    for field in at.items()? {
        let pair: Vec<_> = field
            .is_list()
            .then(|| field.items())
            .transpose()?
            .into_iter()
            .flatten()
            .collect();
        let (name, value) = match pair.as_slice() {
            [name, value] => (*name, *value),
            _ => (field.get("name"), field.get("value")),
        };
        let (Ok(name), Ok(text)) = (name.text(), value.text_or_empty()) else {
            notes.push(field.bad("expected a name and a value; the header is left out"));
            continue;
        };
        let exact = field.get("_base64");
        let value: Cow<'_, [u8]> = match exact.some() {
            Some(exact) => Cow::Owned(from_base64(&exact, &exact.text()?)?.into()),
            None => Cow::Borrowed(text.as_bytes()),
        };
        fields.add(&field, &name, &value, notes);
    }
    Ok(fields)
}

/// Returns a body with the crate's own fields.
fn body(
    at: &At<'_>,
    content: Content,
    notes: &mut Vec<InvalidValue>,
) -> Result<RecordedBody, InvalidValue> {
    let mut body = RecordedBody::from(content.bytes);
    let trailers = at.get("_trailers");
    if trailers.is_list() {
        let list: HeaderList = fields(&trailers, notes)?.into_list();
        body.trailers = Some(list);
    }
    let end = at.get("_end");
    body.end = match &*end.text_or_empty()? {
        "" if content.is_cut => BodyEnd::Limit,
        "" => BodyEnd::Complete,
        "limit" => BodyEnd::Limit,
        "dropped" => BodyEnd::Dropped,
        _ => BodyEnd::Error(at.get("_bodyError").text_or_empty()?.into_owned()),
    };
    Ok(body)
}
