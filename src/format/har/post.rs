//! The content of a request.

use std::fmt::Write;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::format::{
    foreign_message::{Fields, from_base64},
    node::{At, InvalidValue},
};

/// Decodes content that is stored as text or in base64.
pub(super) fn decoded(at: &At<'_>, text: &str, encoding: &At<'_>) -> Result<Bytes, InvalidValue> {
    match encoding.text_or_empty()?.to_ascii_lowercase().as_str() {
        "base64" => from_base64(at, text),
        _ => Ok(Bytes::copy_from_slice(text.as_bytes())),
    }
}

/// Returns the content in `postData`: text, or the fields of a form.
pub(super) fn post_data(
    at: &At<'_>,
    fields: &Fields,
    notes: &mut Vec<InvalidValue>,
) -> Result<Bytes, InvalidValue> {
    let text_at = at.get("text");
    let text = text_at.text_or_empty()?;
    if !text.is_empty() {
        let own = at.get("_encoding");
        let encoding = own.some().unwrap_or(at.get("encoding"));
        return decoded(&text_at, &text, &encoding);
    }
    let params_at = at.get("params");
    let params: Vec<_> = params_at.items()?.collect();
    if params.is_empty() {
        return Ok(Bytes::new());
    }
    let mime = at.get("mimeType").text_or_empty()?;
    if !mime.starts_with("multipart/") {
        return form(&params);
    }
    let field = fields
        .get(&CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let Some(boundary) = boundary(&mime).or_else(|| boundary(field?)) else {
        notes.push(params_at.bad("missing boundary; the request is left without content"));
        return Ok(Bytes::new());
    };
    multipart(&params, boundary)
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
