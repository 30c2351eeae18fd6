//! Parts of messages as other tools write them, corrected for HTTP and with a note of each
//! correction.

use bytes::Bytes;
use http::{
    HeaderName, HeaderValue, Method, Uri, Version,
    header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING},
};
use percent_encoding::utf8_percent_encode;

use super::{
    NOT_IN_URI,
    node::{At, InvalidValue},
};
use crate::{message::HeaderList, redact::Redact};

pub(super) fn method(at: &At<'_>) -> Result<Method, InvalidValue> {
    let text = at.text()?;
    Method::from_bytes(text.as_bytes()).map_err(|_| at.bad(format!("invalid method {text:?}")))
}

/// Parses the URI of a request, without the fragment.
pub(super) fn uri(at: &At<'_>, text: &str) -> Result<Uri, InvalidValue> {
    let text = text.split('#').next().unwrap_or_default();
    let encoded: String = utf8_percent_encode(text, NOT_IN_URI).collect();
    let uri: Uri = encoded
        .parse()
        .map_err(|error| at.bad(format!("invalid URI {:?}: {error}", shortened(text))))?;
    match uri.scheme_str() {
        // `example.com` would parse as an authority.
        None if !text.starts_with(['/', '*']) => Err(at.bad(format!(
            "invalid URI: expected an absolute one, found {:?}",
            shortened(text)
        ))),
        None | Some("http" | "https" | "ws" | "wss") => Ok(uri),
        Some(scheme) => Err(at.bad(format!(
            "invalid URI: expected the scheme of HTTP or WebSocket, found {scheme:?}"
        ))),
    }
}

/// Shortens a URI for an error, because `data:` URIs may be long. Secrets are redacted, because
/// errors may be logged.
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
    let text = text.trim().to_ascii_lowercase();
    let number = text.strip_prefix("http/").unwrap_or(&text);
    match number {
        "0.9" => Version::HTTP_09,
        "1.0" | "1" => Version::HTTP_10,
        "2" | "2.0" | "h2" | "h2c" => Version::HTTP_2,
        "3" | "3.0" | "h3" => Version::HTTP_3,
        other if other.starts_with("h3-") || other.starts_with("quic") => Version::HTTP_3,
        _ => Version::HTTP_11,
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
        let mut fields = self.fields.iter();
        fields.find(|(n, _)| n == name).map(|(_, value)| value)
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

    /// Corrects the headers for `content` as it is stored, because tools store decoded content with
    /// the headers as they were sent: removes chunked framing and undone codings, sets the length.
    pub(super) fn settle(&mut self, content: &[u8], has_content: bool) {
        self.remove(&TRANSFER_ENCODING);
        if !has_content {
            // The headers describe content that was not sent (RFC 9110, 8.6).
            return;
        }
        let coding = self.get(&CONTENT_ENCODING).map(HeaderValue::as_bytes);
        if coding.is_some_and(|coding| !is_encoded(coding, content)) {
            self.remove(&CONTENT_ENCODING);
        }
        let length = HeaderValue::from(content.len());
        self.set(&CONTENT_LENGTH, &length);
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

/// Whether content is still encoded with the last of `codings`.
fn is_encoded(codings: &[u8], content: &[u8]) -> bool {
    let last = codings.rsplit(|&byte| byte == b',').next().unwrap_or(b"");
    match last.trim_ascii().to_ascii_lowercase().as_slice() {
        _ if content.is_empty() => true,
        b"gzip" | b"x-gzip" => content.starts_with(&[0x1f, 0x8b]),
        b"zstd" => content.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]),
        b"identity" | b"" => true,
        // The other codings have no signature, but their bytes are hardly ever text.
        _ => str::from_utf8(content).is_err(),
    }
}

/// Decodes base64, which tools break into lines.
pub(super) fn from_base64(at: &At<'_>, text: &str) -> Result<Bytes, InvalidValue> {
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
    LENIENT
        .decode(&digits)
        .map(Bytes::from)
        .map_err(|error| at.bad(format!("invalid base64: {error}")))
}
