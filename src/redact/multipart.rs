//! Secrets in `multipart/...`.

use std::ops::Range;

use super::{Rules, edits::Edits};
use crate::content::{
    media_type::ContentKind,
    multipart::{self, Part},
};

/// The maximum nesting depth.
const MAX_DEPTH: usize = 8;

impl Rules {
    /// Returns content with the contents of secret parts, and the secrets in other parts, replaced;
    /// `None` if there are no secrets.
    ///
    /// If a user has named secrets, content without valid parts is replaced as a whole, and so are
    /// malformed parts and the text outside of parts.
    pub(super) fn multipart(
        &self,
        text: &[u8],
        boundary: Option<&[u8]>,
        depth: usize,
    ) -> Option<Vec<u8>> {
        let mut edits = Edits::new(text);
        let boundary = boundary.filter(|_| depth < MAX_DEPTH);
        let Some(found) = boundary.and_then(|boundary| multipart::parts(text, boundary)) else {
            if self.has_named() {
                self.hide(text, 0..text.len(), &mut edits);
            }
            return edits.finish();
        };
        if self.has_named() {
            self.hide(text, found.before, &mut edits);
        }
        for part in found.parts {
            self.part(text, part, depth, &mut edits);
        }
        if self.has_named() {
            self.hide(text, found.after, &mut edits);
        }
        edits.finish()
    }

    fn part(&self, text: &[u8], part: Part, depth: usize, edits: &mut Edits<'_>) {
        let is_secret = part.names(text).any(|name| match name {
            Some(name) => self.form.contains(&name),
            None => self.form.has_named(),
        });
        if !part.is_sound(text) && (is_secret || self.has_named()) {
            self.hide(text, part.whole(), edits);
            return;
        }
        let content = &text[part.content.clone()];
        if is_secret {
            if !self.mark.is_mark(content) {
                edits.replace(part.content, self.mark.of(content).as_bytes());
            }
            return;
        }
        let content_type = part.content_type(text);
        if part.is_encoded(text) {
            let may_have_secrets = match ContentKind::declared(content_type) {
                ContentKind::Unspecified => self.values.has_named(),
                ContentKind::Other => false,
                _ => self.has_named(),
            };
            if may_have_secrets {
                self.hide(text, part.content, edits);
            }
        } else if let Some(clean) = self.clean_nested(content_type, content, depth + 1, false) {
            edits.replace(part.content, &clean);
        }
    }

    /// Replaces `range`, and keeps the white space at its ends.
    fn hide(&self, text: &[u8], range: Range<usize>, edits: &mut Edits<'_>) {
        let start = range.end - text[range.clone()].trim_ascii_start().len();
        let end = start + text[start..range.end].trim_ascii_end().len();
        let hidden = &text[start..end];
        if !hidden.is_empty() && !self.mark.is_mark(hidden) {
            edits.replace(start..end, self.mark.of(hidden).as_bytes());
        }
    }
}
