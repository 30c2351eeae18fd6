//! Secrets in bodies.

use std::borrow::Cow;

use bytes::Bytes;

use super::{
    Rules,
    pairs::PairSyntax,
    text::{Steps, settled},
};
use crate::{
    content::{
        coding::{self, DecodeEnd, Decoded},
        json,
        media_type::{ContentKind, is_text, is_xml, looks_like_form, looks_like_json},
    },
    message::{BodyEnd, RecordedBody},
};

/// The maximum number of decoded bytes. A longer body is replaced as a whole.
const MAX_DECODED_BYTES: usize = 16 << 20;

/// The number of bytes that show whether a body is binary.
const START: usize = 64;

const UTF_8_BOM: &[u8] = b"\xef\xbb\xbf";

/// A redacted body.
pub(super) struct RedactedBody {
    pub(super) bytes: Bytes,
    /// Whether the body was compressed before, and is decoded now.
    pub(super) is_decoded: bool,
}

impl Rules {
    /// Whether bodies are searched for secrets.
    pub(super) fn concern_bodies(&self) -> bool {
        !self.values.is_empty() || !self.form.is_empty() || self.has_shapes_in_bodies()
    }

    /// Whether bodies are searched for secrets of known shapes.
    fn has_shapes_in_bodies(&self) -> bool {
        self.has_shapes && !self.values.names.keeps_usual
    }

    /// Whether a user has named at least one secret in bodies.
    pub(super) fn has_named(&self) -> bool {
        self.values.has_named() || self.form.has_named()
    }

    /// Returns a body with its secrets replaced, or `None` if it has no secrets.
    pub(super) fn clean<'a>(
        &self,
        content_type: Option<&[u8]>,
        encodings: impl Iterator<Item = &'a [u8]> + 'a,
        body: &RecordedBody,
    ) -> Option<RedactedBody> {
        if !self.concern_bodies() || body.is_empty() {
            return None;
        }
        let codings: Vec<_> = coding::codings(encodings).collect();
        if !codings.is_empty() {
            return self.clean_compressed(content_type, &codings, body);
        }
        let bytes = body.chunks().flat_map(|chunk| chunk.iter());
        let start: Vec<u8> = bytes.take(START).copied().collect();
        if !may_be_searched(content_type, &start) {
            return None;
        }
        let is_cut = body.end != BodyEnd::Complete;
        let bytes = self.clean_content(content_type, &body.to_bytes(), is_cut)?;
        Some(RedactedBody {
            bytes: bytes.into(),
            is_decoded: false,
        })
    }

    /// Decodes and redacts a compressed body, if a user has named secrets. For the usual names
    /// alone, neither the work is justified nor a change of the body.
    fn clean_compressed(
        &self,
        content_type: Option<&[u8]>,
        codings: &[Cow<'_, str>],
        body: &RecordedBody,
    ) -> Option<RedactedBody> {
        let declared = ContentKind::declared(content_type);
        let has_named = match declared {
            ContentKind::Json { .. } | ContentKind::EventStream => self.values.has_named(),
            _ => self.has_named(),
        };
        if !has_named {
            return None;
        }
        let is_cut = body.end != BodyEnd::Complete;
        let content = body.to_bytes();
        let bytes = match coding::decode(codings, &content, MAX_DECODED_BYTES) {
            Ok(Decoded { content, end })
                if end == DecodeEnd::End || (is_cut && end != DecodeEnd::Limit) =>
            {
                self.clean_content(content_type, &content, is_cut)?
            }
            // The start of the content shows whether it would be searched.
            Ok(Decoded { content, .. }) if !content.trim_ascii().is_empty() => {
                let kind = match declared {
                    ContentKind::Unspecified | ContentKind::Other => {
                        ContentKind::of(content_type, &content)
                    }
                    declared => declared,
                };
                if matches!(kind, ContentKind::Unspecified | ContentKind::Other) {
                    return None;
                }
                self.instead_of(kind, &body.to_bytes())
            }
            _ if declared == ContentKind::Other => return None,
            _ => self.instead_of(declared, &content),
        };
        Some(RedactedBody {
            bytes: bytes.into(),
            is_decoded: true,
        })
    }

    /// Returns `content` with its secrets replaced, or `None` if it has no secrets. With `is_cut`,
    /// the content may end anywhere.
    pub(super) fn clean_content(
        &self,
        content_type: Option<&[u8]>,
        content: &[u8],
        is_cut: bool,
    ) -> Option<Vec<u8>> {
        let clean = |text: &[u8]| {
            settled(
                text,
                |text| self.clean_nested(content_type, text, 0, is_cut),
                || self.instead_of(ContentKind::declared(content_type), text),
            )
        };
        if let Some(text) = content.strip_prefix(UTF_8_BOM) {
            return Some([UTF_8_BOM, &clean(text)?].concat());
        }
        match Utf16::of(content) {
            Some((order, text)) => Some(order.encode(&clean(text.as_bytes())?)),
            None => clean(content),
        }
    }

    /// Returns content with its secrets replaced, like [`clean_content`](Self::clean_content), for
    /// content that is nested `depth` times.
    ///
    /// Content is searched as what it is declared as, and as what it looks like.
    pub(super) fn clean_nested(
        &self,
        content_type: Option<&[u8]>,
        content: &[u8],
        depth: usize,
        is_cut: bool,
    ) -> Option<Vec<u8>> {
        let mut text = Steps::new(content);
        let declared = ContentKind::declared(content_type);
        match declared {
            ContentKind::Json { is_declared } => {
                let has_secrets = !self.values.is_empty();
                text.then(|text| has_secrets.then(|| self.json(text, is_declared, depth))?);
            }
            ContentKind::EventStream => text.then(|text| self.events(text, depth)),
            ContentKind::Form => text.then(|text| self.form(text, depth)),
            ContentKind::Multipart(boundary) => {
                text.then(|text| self.multipart(text, boundary, depth));
            }
            ContentKind::Unspecified | ContentKind::Other => {}
        }
        if !declared.begins(text.get()) {
            text.then(|text| self.undeclared(content_type, text, depth));
        }
        if self.has_shapes_in_bodies() {
            text.then(|text| {
                let is_text = is_text(content_type, text, is_cut) || looks_like_json(text);
                is_text.then(|| self.shapes(text, is_cut))?
            });
        }
        text.finish()
    }

    /// Returns a form with its secrets replaced; `curl -d` calls JSON a form, too.
    fn form(&self, text: &[u8], depth: usize) -> Option<Vec<u8>> {
        let mut text = Steps::new(text);
        if !self.values.is_empty() {
            text.then(|text| {
                let is_json = looks_like_json(text);
                is_json.then(|| self.json(text, false, depth))?
            });
        }
        text.then(|text| {
            let is_json = looks_like_json(text) && json::is_json(text);
            let syntax = if is_json {
                PairSyntax::FORM_OR_JSON
            } else {
                PairSyntax::FORM
            };
            self.form_pairs(text, syntax, depth)
        });
        text.finish()
    }

    fn form_pairs(&self, text: &[u8], syntax: PairSyntax, depth: usize) -> Option<Vec<u8>> {
        let has_names = !self.form.is_empty();
        has_names.then(|| self.pairs(text, &self.form, syntax, depth))?
    }

    /// Returns text of an unspecific media type with its secrets replaced: JSON, a form, or text
    /// with members of JSON objects.
    fn undeclared(
        &self,
        content_type: Option<&[u8]>,
        text: &[u8],
        depth: usize,
    ) -> Option<Vec<u8>> {
        if !looks_like_json(text) && !is_text(content_type, text, true) {
            return None;
        }
        let is_json = looks_like_json(text);
        let is_form = looks_like_form(text);
        let is_plain = ContentKind::declared(content_type) == ContentKind::Unspecified;
        let mut text = Steps::new(text);
        text.then(|text| self.json_or_members(text, depth));
        if is_xml(content_type) && !self.values.is_empty() {
            text.then(|text| self.xml(text));
        }
        // Of other types, such as scripts, only a form without white space is certain to be one.
        if is_form && (is_plain || !has_space(text.get())) {
            text.then(|text| self.form_pairs(text, PairSyntax::FORM_LINES, depth));
        }
        if is_plain && !is_json && !self.values.names.keeps_usual {
            text.then(|text| self.uris(text, PairSyntax::TEXT, depth));
        }
        text.finish()
    }

    /// Returns the replacement of content that cannot be searched for secrets.
    fn instead_of(&self, kind: ContentKind<'_>, content: &[u8]) -> Vec<u8> {
        let mark = self.mark.of(content);
        match kind {
            ContentKind::Json { .. } => format!("\"{mark}\""),
            ContentKind::EventStream => format!("data: \"{mark}\"\n\n"),
            _ => mark,
        }
        .into_bytes()
    }
}

/// Whether content that begins with `start` may be searched for secrets.
fn may_be_searched(content_type: Option<&[u8]>, start: &[u8]) -> bool {
    match ContentKind::declared(content_type) {
        ContentKind::Unspecified | ContentKind::Other => {
            is_text(content_type, start, true)
                || looks_like_json(start)
                || matches!(start, [0xff, 0xfe, ..] | [0xfe, 0xff, ..])
        }
        _ => true,
    }
}

fn has_space(text: &[u8]) -> bool {
    text.trim_ascii().iter().any(u8::is_ascii_whitespace)
}

/// The byte order of UTF-16 with a byte order mark.
#[derive(Clone, Copy)]
enum Utf16 {
    Little,
    Big,
}

impl Utf16 {
    /// Returns the byte order and the text of content in UTF-16.
    fn of(content: &[u8]) -> Option<(Self, String)> {
        let (order, units) = match content {
            [0xff, 0xfe, units @ ..] => (Self::Little, units),
            [0xfe, 0xff, units @ ..] => (Self::Big, units),
            _ => return None,
        };
        // The last byte of cut content may be half a unit.
        let units = units
            .chunks_exact(2)
            .map(|unit| order.unit([unit[0], unit[1]]));
        let chars = char::decode_utf16(units);
        let text = chars.map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER));
        Some((order, text.collect()))
    }

    fn unit(self, bytes: [u8; 2]) -> u16 {
        match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        }
    }

    /// Returns the content of a text in UTF-8.
    fn encode(self, text: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(text);
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        let bytes = units.flat_map(|unit: u16| match self {
            Self::Little => unit.to_le_bytes(),
            Self::Big => unit.to_be_bytes(),
        });
        bytes.collect()
    }
}
