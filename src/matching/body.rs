//! The parts of bodies that are part of the match key.

use super::{json::Canonical, selection::NameSelection};
use crate::{
    content::{
        form,
        media_type::{ContentKind, essence},
        multipart,
    },
    message::RecordedBody,
};

/// The selection of what is part of the match key in bodies.
#[derive(Clone, Debug)]
pub(super) struct Contents {
    /// `None` if JSON is compared byte by byte.
    pub(super) json: Option<Canonical>,
    pub(super) form: NameSelection,
    /// Whether the text between the parts of multipart bodies is part of the match key.
    pub(super) boundary: bool,
}

impl Default for Contents {
    fn default() -> Self {
        Self {
            json: None,
            form: NameSelection::all(),
            boundary: true,
        }
    }
}

impl Contents {
    /// Whether all bytes of all bodies are part of the match key.
    fn is_all(&self) -> bool {
        self.json.is_none() && self.form.is_all() && self.boundary
    }

    /// Returns the selected parts of a body in canonical form; `None` for the body as it is.
    pub(super) fn of(&self, content_type: Option<&[u8]>, body: &RecordedBody) -> Option<Vec<u8>> {
        if self.is_all() || body.is_empty() {
            return None;
        }
        let bytes = body.to_bytes();
        match ContentKind::of(content_type, &bytes) {
            ContentKind::Json { .. } => self.json.as_ref()?.write(&bytes),
            ContentKind::Form => self.form(&bytes),
            ContentKind::Multipart(boundary) => self.multipart(&bytes, boundary?),
            _ => None,
        }
    }

    fn form(&self, text: &[u8]) -> Option<Vec<u8>> {
        if self.form.is_all() {
            return None;
        }
        let counts = |pair: &&[u8]| self.name_counts(&form::decoded(form::split(pair).0));
        let pairs: Vec<_> = form::pairs(text).filter(counts).collect();
        Some(pairs.join(&b'&'))
    }

    fn multipart(&self, text: &[u8], boundary: &[u8]) -> Option<Vec<u8>> {
        if self.boundary && self.form.is_all() {
            return None;
        }
        let mut out = Vec::new();
        for part in multipart::parts(text, boundary)?.parts {
            if self.name_counts(part.name(text).unwrap_or_default()) {
                let part = &text[part.whole()];
                out.extend_from_slice(format!("part of {} bytes\n", part.len()).as_bytes());
                out.extend_from_slice(part);
                out.push(b'\n');
            }
        }
        Some(out)
    }

    fn name_counts(&self, name: &[u8]) -> bool {
        self.form.contains(&String::from_utf8_lossy(name))
    }

    /// Returns the selected part of a `content-type`.
    pub(super) fn content_type<'a>(&self, value: &'a [u8]) -> &'a [u8] {
        let is_free = !self.boundary || !self.form.is_all();
        match ContentKind::declared(Some(value)) {
            ContentKind::Multipart(_) if is_free => essence(value),
            _ => value,
        }
    }
}
