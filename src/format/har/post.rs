//! The content of a request.

use std::fmt::Write;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::{
    content::{self, Lengths},
    entry::length,
};
use crate::format::{
    foreign_message::{Content, Fields},
    node::{At, InvalidValue},
};

/// Returns the content of a request in `postData`: text, or the fields of a form.
pub(super) fn post_data(
    request: &At<'_>,
    fields: &Fields,
    is_own: bool,
    notes: &mut Vec<InvalidValue>,
) -> Result<Content, InvalidValue> {
    let at = request.get("postData");
    let lengths = Lengths {
        size: length(&request.get("bodySize")),
        compression: None,
        sent: fields.content_length(),
    };
    let params_at = at.get("params");
    let params: Vec<_> = params_at.items()?.collect();
    let text_at = at.get("text");
    let has_text = text_at.text().is_ok_and(|text| !text.is_empty());
    let mime = at.get("mimeType").text_or_empty()?;
    if has_text || is_own {
        let own = at.get("_encoding");
        let encoding = own.some().unwrap_or(at.get("encoding"));
        return content::read(&at, &encoding, &lengths, fields, is_own, notes);
    }
    if params.is_empty() {
        let is_left_out = text_at.is_missing()
            && (fields.is_chunked() || (!mime.is_empty() && lengths.size != Some(0)));
        // Most requests have no content, and no length either.
        return Ok(
            if is_left_out || lengths.announce_content(fields.has_coding()) {
                Content::missing(at.bad("missing content"), notes)
            } else {
                Content::default()
            },
        );
    }
    if !mime.starts_with("multipart/") {
        return Ok(form(&params)?.into());
    }
    let field = fields
        .get(&CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let Some(boundary) = boundary(&mime).or_else(|| boundary(field?)) else {
        return Ok(Content::missing(params_at.bad("missing boundary"), notes));
    };
    let content = Content::from(multipart(&params, boundary)?);
    let length = content.bytes.len() as u64;
    let is_short = [lengths.size, lengths.sent]
        .iter()
        .any(|stated| stated.is_some_and(|stated| stated > length));
    // Browsers leave out uploaded files.
    let missing = params.iter().find(|param| {
        let value = param.get("value");
        let is_empty = value.text().is_ok_and(|value| value.is_empty());
        !param.get("fileName").is_missing() && (value.is_missing() || is_empty && is_short)
    });
    Ok(match missing {
        Some(file) => content.cut(file.bad("missing content of a file"), notes),
        None => content,
    })
}

fn form(params: &[At<'_>]) -> Result<Bytes, InvalidValue> {
    let mut form = String::new();
    for param in params {
        if !form.is_empty() {
            form.push('&');
        }
        let (name, value) = (param.get("name"), param.get("value"));
        form.extend(utf8_percent_encode(&name.text()?, NON_ALPHANUMERIC));
        form.push('=');
        form.extend(utf8_percent_encode(
            &value.text_or_empty()?,
            NON_ALPHANUMERIC,
        ));
    }
    Ok(form.into())
}

fn boundary(mime: &str) -> Option<&str> {
    let at = mime.to_ascii_lowercase().find("boundary=")?;
    let rest = &mime[at + "boundary=".len()..];
    Some(rest.split(';').next()?.trim().trim_matches('"'))
}

/// Builds a `multipart/form-data` body from the fields of a form (RFC 7578).
fn multipart(params: &[At<'_>], boundary: &str) -> Result<Bytes, InvalidValue> {
    let mut out = String::new();
    // Writing to a string cannot fail.
    for param in params {
        let name = param.get("name").text()?.replace('"', "%22");
        let _ = write!(
            out,
            "--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\""
        );
        if let Some(file) = param.get("fileName").some() {
            let file = file.text()?.replace('"', "%22");
            let _ = write!(out, "; filename=\"{file}\"");
        }
        if let Some(kind) = param.get("contentType").some() {
            let _ = write!(out, "\r\ncontent-type: {}", kind.text()?);
        }
        let value = param.get("value").text_or_empty()?;
        let _ = write!(out, "\r\n\r\n{value}\r\n");
    }
    let _ = write!(out, "--{boundary}--\r\n");
    Ok(out.into())
}
