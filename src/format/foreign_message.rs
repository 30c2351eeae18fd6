//! Parts of messages as other tools write them, corrected for HTTP and with a note of each
//! correction.

use std::borrow::Cow;

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Uri, Version,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING},
};

use super::{
    node::{At, InvalidValue},
    uri,
};
use crate::{
    content::{coding, media_type},
    message::{HeaderList, head, whole_body},
    redact::Redact,
};

pub(super) fn method(at: &At<'_>) -> Result<Method, InvalidValue> {
    let text = at.text()?;
    Method::from_bytes(text.as_bytes()).map_err(|_| at.bad(format!("invalid method {text:?}")))
}

/// Parses the URI of a request with `method`, without the fragment.
pub(super) fn uri(at: &At<'_>, text: &str, method: &Method) -> Result<Uri, InvalidValue> {
    const SCHEMES: [&str; 4] = ["http", "https", "ws", "wss"];

    if let Some(scheme) = scheme(text)
        && !SCHEMES.contains(&scheme.to_ascii_lowercase().as_str())
        && *method != Method::CONNECT
    {
        return Err(at.left_out(format!("the scheme {scheme:?} is not that of HTTP")));
    }
    let uri = uri::parse(text)
        .map_err(|error| at.bad(format!("invalid URI {:?}: {error}", shortened(text))))?;
    // `example.com` parses as an authority.
    if uri.scheme().is_none() && uri.authority().is_some() && *method != Method::CONNECT {
        return Err(at.bad(format!(
            "invalid URI: expected an absolute one, found {:?}",
            shortened(text)
        )));
    }
    Ok(uri)
}

/// Returns the scheme of a URI; `None` for `host:port`.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(':')?;
    let is_scheme = scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-'));
    (is_scheme && !rest.starts_with(|first: char| first.is_ascii_digit())).then_some(scheme)
}

/// Shortens a URI for an error. Secrets are redacted, because errors may be logged.
fn shortened(text: &str) -> String {
    const SHOWN: usize = 80;
    let redacted = Redact::default().redact_text(text);
    let text = redacted.as_deref().unwrap_or(text);
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push_str("...");
    }
    shown
}

/// Parses `HTTP/1.1`, `http/2.0`, `h3` or `2`; any other text is HTTP/1.1.
pub(super) fn version(text: &str) -> Version {
    head::version_named(text).unwrap_or(Version::HTTP_11)
}

/// Content as a file has it.
#[derive(Clone, Default)]
pub(super) struct Content {
    pub(super) bytes: Bytes,
    /// Whether bytes are missing in the file. An unknown content is missing, not empty.
    pub(super) is_cut: bool,
}

impl Content {
    /// Returns missing content, and adds the reason to `notes`.
    pub(super) fn missing(note: InvalidValue, notes: &mut Vec<InvalidValue>) -> Self {
        Self::default().cut(note, notes)
    }

    /// Returns the beginning of a content, and adds the reason to `notes`.
    pub(super) fn cut(mut self, mut note: InvalidValue, notes: &mut Vec<InvalidValue>) -> Self {
        note.reason
            .push_str("; the body is incomplete, and the exchange never answers");
        notes.push(note);
        self.is_cut = true;
        self
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self {
            bytes,
            is_cut: false,
        }
    }
}

/// Headers that are read from a file of another tool.
#[derive(Default)]
pub(super) struct Fields {
    fields: Vec<(HeaderName, HeaderValue)>,
    /// Pseudo-headers such as `:authority`, without the colon.
    pseudo: Vec<(String, String)>,
}

impl Fields {
    /// Adds a header. An invalid header is left out and noted.
    pub(super) fn add(
        &mut self,
        at: &At<'_>,
        name: &str,
        value: &[u8],
        notes: &mut Vec<InvalidValue>,
    ) {
        if let Some(pseudo) = name.strip_prefix(':') {
            let value = String::from_utf8_lossy(value).into_owned();
            self.pseudo.push((pseudo.to_ascii_lowercase(), value));
            return;
        }
        let Ok(name) = HeaderName::from_bytes(name.trim().as_bytes()) else {
            notes.push(at.bad(format!(
                "invalid header name {name:?}; the header is left out"
            )));
            return;
        };
        // Browsers write repeated headers, such as `set-cookie`, as lines of one value.
        for line in value.split(|&byte| byte == b'\n') {
            match HeaderValue::from_bytes(line.trim_ascii()) {
                Ok(value) => self.fields.push((name.clone(), value)),
                Err(_) => notes.push(at.bad(format!(
                    "invalid value of {name}: control character; the header is left out"
                ))),
            }
        }
    }

    pub(super) fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.get_all(name).next()
    }

    fn get_all(&self, name: &HeaderName) -> impl Iterator<Item = &HeaderValue> {
        let fields = self.fields.iter();
        fields
            .filter(move |(n, _)| n == name)
            .map(|(_, value)| value)
    }

    pub(super) fn set(&mut self, name: &HeaderName, value: &HeaderValue) {
        for (n, v) in &mut self.fields {
            if n == name {
                *v = value.clone();
            }
        }
    }

    fn remove(&mut self, name: &HeaderName) {
        self.fields.retain(|(n, _)| n != name);
    }

    /// Returns the value of a pseudo-header such as `:authority`.
    pub(super) fn pseudo(&self, name: &str) -> Option<&str> {
        let mut pseudo = self.pseudo.iter();
        pseudo.find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Returns the length of the content as it was sent.
    pub(super) fn content_length(&self) -> Option<u64> {
        whole_body::content_length(self.get_all(&CONTENT_LENGTH))
    }

    pub(super) fn is_chunked(&self) -> bool {
        self.get(&TRANSFER_ENCODING).is_some()
    }

    pub(super) fn has_coding(&self) -> bool {
        !self.codings().is_empty()
    }

    /// Whether `content` is encoded as the headers say.
    pub(super) fn is_encoded(&self, content: &[u8]) -> bool {
        coding::is_encoded(&self.codings(), content)
    }

    fn codings(&self) -> Vec<Cow<'_, str>> {
        let values = self.get_all(&CONTENT_ENCODING).map(HeaderValue::as_bytes);
        coding::codings(values).collect()
    }

    /// Whether PHP-VCR stores the content in base64.
    pub(super) fn is_binary_in_php(&self) -> bool {
        const ENCODING: HeaderName = HeaderName::from_static("content-transfer-encoding");
        let is_binary = self.get(&ENCODING).is_some_and(|value| value == "binary");
        is_binary || self.media_type() == "application/x-gzip"
    }

    /// The media type without parameters, in lower case; empty if it is missing.
    pub(super) fn media_type(&self) -> String {
        let value = self.get(&CONTENT_TYPE).map(HeaderValue::as_bytes);
        let essence = media_type::essence(value.unwrap_or_default());
        String::from_utf8_lossy(essence).to_ascii_lowercase()
    }

    /// The charset in lower case, if one is named.
    pub(super) fn charset(&self) -> Option<String> {
        let value = self.get(&CONTENT_TYPE)?.as_bytes();
        let charset = media_type::parameter(value, "charset")?;
        Some(String::from_utf8_lossy(charset).to_ascii_lowercase())
    }

    /// Removes the headers of content that was not sent (RFC 9110, 8.6) and of chunked framing.
    pub(super) fn settle_without_content(&mut self) {
        self.remove(&TRANSFER_ENCODING);
    }

    /// Corrects the headers for `content` as it is stored, because tools store decoded content with
    /// the headers as they were sent: removes chunked framing and undone codings, sets the length.
    ///
    /// `is_decoded_format` says that the format stores decoded content.
    pub(super) fn settle(&mut self, content: &Content, is_decoded_format: bool) {
        self.remove(&TRANSFER_ENCODING);
        if content.is_cut {
            // The length is that of the whole content.
            return;
        }
        self.settle_coding(&content.bytes, is_decoded_format);
        let length = HeaderValue::from(content.bytes.len());
        self.set(&CONTENT_LENGTH, &length);
    }

    /// Removes the codings that are undone in `content`.
    fn settle_coding(&mut self, content: &[u8], is_decoded_format: bool) {
        let codings = self.codings();
        if codings.is_empty() {
            return;
        }
        let is_undone = self.is_decoded_archive(&codings, content, is_decoded_format);
        let all = codings.len() - usize::from(is_undone);
        // Tools undo the last codings first.
        let left = (0..=all).rev().find(|&count| {
            count == 0 || (!content.is_empty() && coding::is_encoded(&codings[..count], content))
        });
        let left = codings[..left.unwrap_or_default()].join(", ");
        if left.is_empty() {
            self.remove(&CONTENT_ENCODING);
        } else if let Ok(left) = HeaderValue::from_str(&left) {
            let first = self.fields.iter().position(|(n, _)| *n == CONTENT_ENCODING);
            self.remove(&CONTENT_ENCODING);
            let at = first.unwrap_or(self.fields.len());
            self.fields.insert(at, (CONTENT_ENCODING, left));
        }
    }

    /// Whether `content` is a compressed file, such as a `.tar.gz`, of which the coding is undone.
    fn is_decoded_archive(
        &self,
        codings: &[Cow<'_, str>],
        content: &[u8],
        is_decoded_format: bool,
    ) -> bool {
        const ARCHIVES: [&str; 6] = ["gzip", "tar", "tgz", "compress", "zstd", "octet-stream"];

        let media_type = self.media_type();
        let is_archive = ARCHIVES.iter().any(|part| media_type.contains(part));
        let last = &codings[codings.len() - 1..];
        is_archive
            && coding::is_encoded(last, content)
            && match self.content_length() {
                Some(length) => length != content.len() as u64,
                None => is_decoded_format,
            }
    }

    /// Sets the charset to UTF-8, if another charset is named.
    pub(super) fn settle_charset(&mut self) {
        let Some(text) = self.get(&CONTENT_TYPE).and_then(|v| v.to_str().ok()) else {
            return;
        };
        let Some(at) = text.to_ascii_lowercase().find("charset=") else {
            return;
        };
        let start = at + "charset=".len();
        let end = text[start..]
            .find(';')
            .map_or(text.len(), |end| start + end);
        if text[start..end]
            .trim_matches(['"', ' '])
            .eq_ignore_ascii_case("utf-8")
        {
            return;
        }
        let new = format!("{}utf-8{}", &text[..start], &text[end..]);
        if let Ok(value) = HeaderValue::from_str(&new) {
            self.set(&CONTENT_TYPE, &value);
        }
    }

    pub(super) fn into_list(self) -> HeaderList {
        self.fields.into_iter().collect()
    }
}

/// Decodes base64, which tools break into lines.
pub(super) fn from_base64(at: &At<'_>, text: &str) -> Result<Bytes, InvalidValue> {
    decode_base64(text).map_err(|error| at.bad(format!("invalid base64: {error}")))
}

/// Whether `text` is hardly base64 with a mistake.
pub(super) fn looks_like_text(text: &str) -> bool {
    text.contains([' ', '<', '{', '"'])
}

pub(super) fn decode_base64(text: &str) -> Result<Bytes, base64::DecodeError> {
    use base64::{
        Engine,
        alphabet::STANDARD,
        engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
    };
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let mut digits = text.as_bytes().to_vec();
    digits.retain(|byte| !byte.is_ascii_whitespace());
    LENIENT.decode(&digits).map(Bytes::from)
}
