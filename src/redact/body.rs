//! Secrets in bodies.

use std::borrow::Cow;

use bytes::Bytes;

use super::{Rules, events, form};
use crate::{
    content::{
        coding::{self, Decoded, Stop},
        media_type::{ContentKind, looks_like_json},
    },
    message::{BodyEnd, RecordedBody},
};

/// The maximum number of decoded bytes. A longer body is replaced as a whole.
const DECODED: usize = 16 << 20;

/// A redacted body.
pub(super) struct Clean {
    pub(super) bytes: Bytes,
    /// Whether the body was compressed before, and is decoded now.
    pub(super) is_decoded: bool,
}

impl Rules {
    /// Whether bodies are searched for secrets.
    pub(super) fn concern_bodies(&self) -> bool {
        !self.values.is_empty() || !self.form.is_empty()
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
    ) -> Option<Clean> {
        if !self.concern_bodies() || body.is_empty() {
            return None;
        }
        let codings: Vec<_> = coding::codings(encodings).collect();
        if !codings.is_empty() {
            return self.clean_compressed(content_type, &codings, body);
        }
        let mut bytes = body.chunks().flat_map(|chunk| chunk.iter());
        // A byte order mark may come first.
        let start =
            bytes.find(|byte| !byte.is_ascii_whitespace() && !b"\xef\xbb\xbf".contains(byte));
        let start = start.map(std::slice::from_ref).unwrap_or_default();
        if !has_places_for_secrets(ContentKind::of(content_type, start)) {
            return None;
        }
        let content = body.to_bytes();
        let kind = ContentKind::of(content_type, &content);
        let bytes = self.clean_content(kind, &content)?.into();
        Some(Clean {
            bytes,
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
    ) -> Option<Clean> {
        let declared = ContentKind::declared(content_type);
        let has_named = match declared {
            ContentKind::Json { .. } | ContentKind::EventStream | ContentKind::Unspecified => {
                self.values.has_named()
            }
            ContentKind::Form | ContentKind::Multipart(_) => self.has_named(),
            ContentKind::Other => false,
        };
        if !has_named {
            return None;
        }
        let is_cut = body.end != BodyEnd::Complete;
        let content = body.to_bytes();
        let bytes = match coding::decode(codings, &content, DECODED) {
            Ok(Decoded { content, stop })
                if stop == Stop::End || (is_cut && stop != Stop::Limit) =>
            {
                self.clean_content(ContentKind::of(content_type, &content), &content)?
            }
            // The start of the content shows whether it would be searched.
            Ok(Decoded { content, .. }) if !content.trim_ascii().is_empty() => {
                let kind = match declared {
                    ContentKind::Unspecified => ContentKind::of(content_type, &content),
                    declared => declared,
                };
                if !has_places_for_secrets(kind) {
                    return None;
                }
                self.instead_of(kind, &body.to_bytes())
            }
            _ => self.instead_of(declared, &content),
        };
        Some(Clean {
            bytes: bytes.into(),
            is_decoded: true,
        })
    }

    /// Returns `content` with its secrets replaced, or `None` if it has no secrets.
    pub(super) fn clean_content(&self, kind: ContentKind<'_>, content: &[u8]) -> Option<Vec<u8>> {
        self.clean_nested(kind, content, 0)
    }

    /// Returns content with its secrets replaced, like [`clean_content`](Self::clean_content), for
    /// content that is nested `depth` times.
    pub(super) fn clean_nested(
        &self,
        kind: ContentKind<'_>,
        content: &[u8],
        depth: usize,
    ) -> Option<Vec<u8>> {
        let (values, mark) = (&self.values, &self.mark);
        match kind {
            ContentKind::Json { .. } | ContentKind::EventStream if values.is_empty() => None,
            ContentKind::Json { is_declared } => values.redact(content, mark, is_declared),
            ContentKind::EventStream => events::redact(content, values, mark),
            ContentKind::Form => {
                // Content declared as a form may be invalid JSON.
                let is_json = looks_like_json(content) && !values.is_empty();
                let scanned = is_json.then(|| values.redact(content, mark, false));
                let scanned = scanned.flatten();
                let content = scanned.as_deref().unwrap_or(content);
                form::urlencoded(content, &self.form, mark).or(scanned)
            }
            ContentKind::Multipart(boundary) => self.multipart(content, boundary, depth),
            ContentKind::Unspecified | ContentKind::Other => None,
        }
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

/// Whether content of this kind is searched for secrets.
fn has_places_for_secrets(kind: ContentKind<'_>) -> bool {
    !matches!(kind, ContentKind::Unspecified | ContentKind::Other)
}
