//! The body of a message in a cassette.

use bytes::Bytes;
use encoding_rs::Encoding;

use super::interaction::Notes;
use crate::format::{
    foreign_message::{Content, Fields, decode_base64, from_base64, looks_like_text},
    node::{At, InvalidValue},
};

const KNOWN: [&str; 3] = ["encoding", "string", "base64_string"];

/// The meaning of a body that is missing or `null`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum IfMissing {
    Empty,
    Unknown,
}

/// Reads a body. `length` is the number of bytes that were sent, if the cassette states it.
pub(super) fn read(
    at: &At<'_>,
    if_missing: IfMissing,
    length: Option<u64>,
    fields: &mut Fields,
    notes: &mut Notes<'_>,
) -> Result<Content, InvalidValue> {
    let (text_at, encoding) = if at.is_map() {
        notes.only(at, "body", &KNOWN);
        match at.get("base64_string").some() {
            Some(base64) => (base64, "base64".to_owned()),
            None => (
                at.get("string"),
                at.get("encoding").text_or_empty()?.to_ascii_lowercase(),
            ),
        }
    } else {
        (*at, String::new())
    };
    let text = text_at.text_or_empty()?;
    if text.is_empty() {
        let is_unknown = text_at.is_missing() && (at.is_map() || if_missing == IfMissing::Unknown);
        // A coding makes a few bytes of nothing.
        let is_announced = length.is_some_and(|length| length > 0) && !fields.has_coding();
        return Ok(if (is_unknown && length != Some(0)) || is_announced {
            Content::missing(at.bad("missing content"), notes.notes)
        } else {
            Content::default()
        });
    }
    if text_at.binary().is_some() {
        return Ok(from_base64(&text_at, &text)?.into());
    }
    if encoding != "base64" {
        return Ok(encoded(&text_at, &text, &encoding, fields, notes).into());
    }
    match decode_base64(&text) {
        Ok(bytes) => Ok(bytes.into()),
        Err(_) if looks_like_text(&text) => {
            let note = text_at.bad("expected base64, found text; read as text");
            notes.notes.push(note);
            Ok(Bytes::copy_from_slice(text.as_bytes()).into())
        }
        Err(error) => {
            let note = text_at.bad(format!("invalid base64: {error}"));
            Ok(Content::missing(note, notes.notes))
        }
    }
}

/// Encodes a text that had `encoding` before it became YAML.
fn encoded(
    at: &At<'_>,
    text: &str,
    encoding: &str,
    fields: &mut Fields,
    notes: &mut Notes<'_>,
) -> Bytes {
    if let Some(bytes) = in_encoding(text, encoding) {
        return bytes.into();
    }
    notes.notes.push(at.bad(format!(
        "the text cannot be encoded in {encoding:?}; encoded in UTF-8"
    )));
    fields.settle_charset();
    Bytes::copy_from_slice(text.as_bytes())
}

/// Returns `None` if the encoding is unknown or lacks a character.
fn in_encoding(text: &str, encoding: &str) -> Option<Vec<u8>> {
    match encoding {
        "" | "utf-8" | "us-ascii" | "ascii-8bit" | "binary" => Some(text.as_bytes().to_vec()),
        // The standard for browsers reads it as Windows-1252.
        "iso-8859-1" => text.chars().map(|char| u8::try_from(char).ok()).collect(),
        "utf-16le" => Some(text.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        "utf-16be" => Some(text.encode_utf16().flat_map(u16::to_be_bytes).collect()),
        _ if text.is_ascii() && !encoding.starts_with("utf-") => Some(text.as_bytes().to_vec()),
        label => {
            let encoding = Encoding::for_label(label.as_bytes())?;
            let (bytes, used, has_unmappable) = encoding.encode(text);
            (used == encoding && !has_unmappable).then(|| bytes.into_owned())
        }
    }
}
