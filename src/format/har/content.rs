//! Content as text or base64, compared with its stated length: browsers cut long content, and leave
//! out what they have discarded.

use bytes::Bytes;

use crate::format::{
    foreign_message::{Content, Fields, decode_base64, looks_like_text},
    node::{At, InvalidValue},
};

/// The bytes that a content coding adds at most to a content that it cannot compress.
const OVERHEAD: u64 = 64;

/// The lengths of a content in bytes that an entry states, as far as they are known.
#[derive(Default)]
pub(super) struct Lengths {
    /// The field `size`: decoded as HAR defines it, compressed in mitmproxy, as text in Polly.
    pub(super) size: Option<u64>,
    /// The field `compression`: the decoded length less the compressed one.
    pub(super) compression: Option<i64>,
    /// The length as it was sent.
    pub(super) sent: Option<u64>,
}

impl Lengths {
    /// Whether the entry states that there was content.
    pub(super) fn announce_content(&self, is_coded: bool) -> bool {
        let empty = if is_coded { OVERHEAD } else { 0 };
        self.size.is_some_and(|size| size > 0) || self.sent.is_some_and(|sent| sent > empty)
    }

    /// Returns a stated length that `found` cannot have.
    fn contradicted_by(&self, found: &Found<'_>, is_coded: bool) -> Option<u64> {
        let is_size = |size: u64| {
            let decoded = self
                .compression
                .and_then(|saved| size.checked_add_signed(saved));
            let compressed = size.saturating_sub(if is_coded { OVERHEAD } else { 0 });
            found.may_have(compressed)
                || decoded.is_some_and(|size| found.may_have(size))
                || size == found.stored as u64
        };
        let sent = self.sent.filter(|&sent| !is_coded && !found.may_have(sent));
        self.size.filter(|&size| !is_size(size)).or(sent)
    }
}

/// A content and its form in the file.
struct Found<'a> {
    bytes: &'a [u8],
    /// The content as text, whose charset may have been another one.
    text: Option<&'a str>,
    charset: Option<String>,
    /// The length of the text in the file.
    stored: usize,
}

impl Found<'_> {
    /// Whether the content may have had `length` bytes before it became text.
    fn may_have(&self, length: u64) -> bool {
        const UTF_8_MARK: u64 = 3;
        const GB18030_MARK: u64 = 4;

        if length <= self.bytes.len() as u64 {
            return true;
        }
        let Some(text) = self.text else {
            return false;
        };
        // A byte order mark overrides the charset.
        let utf_16 = 2 * text.encode_utf16().count() as u64;
        if length == utf_16 || length == utf_16 + 2 {
            return true;
        }
        let charset = self.charset.as_deref().unwrap_or_default();
        if matches!(charset, "utf-8" | "utf8") {
            return length <= text.len() as u64 + UTF_8_MARK;
        }
        let has_escapes = ["iso-2022", "hz", "utf-7"]
            .iter()
            .any(|start| charset.starts_with(start));
        let longest = if has_escapes { 8 } else { 4 };
        let ascii = text.bytes().filter(u8::is_ascii).count() as u64;
        let others = text.chars().filter(|char| !char.is_ascii()).count() as u64;
        length <= ascii + longest * others + GB18030_MARK
    }
}

/// Returns the content in the field `text`.
///
/// `is_own` says that this crate wrote the entry and a person has edited it: the stated lengths are
/// those before.
pub(super) fn read(
    at: &At<'_>,
    encoding: &At<'_>,
    lengths: &Lengths,
    fields: &Fields,
    is_own: bool,
    notes: &mut Vec<InvalidValue>,
) -> Result<Content, InvalidValue> {
    let text_at = at.get("text");
    let text = text_at.text_or_empty()?;
    if text_at.is_missing() || text.is_empty() {
        let is_empty = match lengths.size {
            _ if is_own => true,
            Some(size) => size == 0,
            None => !text_at.is_missing(),
        };
        return Ok(
            if is_empty && (is_own || !lengths.announce_content(fields.has_coding())) {
                Content::default()
            } else {
                Content::missing(at.bad("missing content"), notes)
            },
        );
    }
    let is_base64 = encoding.text_or_empty()?.eq_ignore_ascii_case("base64");
    let is_text_size = lengths.size == Some(text.len() as u64);
    let (bytes, is_text) = if let Some(bytes) = polly(at, &text, is_base64, fields) {
        (bytes, false)
    } else if is_base64 {
        match decode_base64(&text) {
            Ok(bytes) if !(is_text_size && text.contains(' ')) => (bytes, false),
            _ if is_text_size || (lengths.size.is_none() && looks_like_text(&text)) => {
                notes.push(encoding.bad("expected base64, found text; read as text"));
                (Bytes::copy_from_slice(text.as_bytes()), true)
            }
            Ok(bytes) => (bytes, false),
            Err(error) => {
                let note = text_at.bad(format!("invalid base64: {error}"));
                return Ok(Content::missing(note, notes));
            }
        }
    } else {
        (Bytes::copy_from_slice(text.as_bytes()), true)
    };
    let found = Found {
        bytes: &bytes,
        text: is_text.then_some(&text),
        charset: fields.charset(),
        stored: text.len(),
    };
    let missing = lengths.contradicted_by(&found, fields.has_coding());
    let length = bytes.len();
    let content = Content::from(bytes);
    Ok(match missing.filter(|_| !is_own) {
        Some(expected) => {
            let reason = format!("incomplete content: expected {expected} bytes, found {length}");
            content.cut(text_at.bad(reason), notes)
        }
        None => content,
    })
}

/// Decodes the forms in which Polly stores binary content: the chunks as a list in JSON, each in
/// hexadecimal digits or in base64, or hexadecimal digits alone.
fn polly(at: &At<'_>, text: &str, is_base64: bool, fields: &Fields) -> Option<Bytes> {
    let is_binary = at.get("_isBinary").text().is_ok_and(|is| is == "true");
    if !(is_binary || is_base64 || fields.has_coding()) {
        return None;
    }
    let decode = |text: &str| {
        if is_base64 {
            decode_base64(text).ok()
        } else {
            from_hex(text)
        }
    };
    if text.starts_with('[') {
        let chunks: Vec<String> = serde_json::from_str(text).ok()?;
        let chunks: Vec<Bytes> = chunks
            .iter()
            .map(|chunk| decode(chunk))
            .collect::<Option<_>>()?;
        let bytes = Bytes::from(chunks.concat());
        // Other content may be a list of hexadecimal digits.
        return (is_binary || is_base64 || fields.is_encoded(&bytes)).then_some(bytes);
    }
    (is_binary && !is_base64).then(|| from_hex(text)).flatten()
}

fn from_hex(text: &str) -> Option<Bytes> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return None;
    };
    let digit = |byte: u8| char::from(byte).to_digit(16);
    pairs
        .iter()
        .map(|[high, low]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok())
        .collect()
}
