//! Secrets in a text of unknown kind: a header value, a string in JSON, or the value of a field.

use std::borrow::Cow;

use super::{Rules, pairs::PairSyntax, shapes};
use crate::content::media_type::{looks_like_form, looks_like_json};

/// The maximum number of texts around a text that is searched: JSON in a form in JSON.
pub(super) const MAX_DEPTH: usize = 6;

/// The maximum number of times that a text is redacted, until redaction changes nothing.
const MAX_PASSES: usize = 5;

/// Redacts `text` until redaction changes nothing, because a replacement may reveal another secret:
/// text that was not JSON may be JSON afterwards. If there is no end to it, returns `instead`.
pub(super) fn settled(
    text: &[u8],
    redact: impl Fn(&[u8]) -> Option<Vec<u8>>,
    instead: impl FnOnce() -> Vec<u8>,
) -> Option<Vec<u8>> {
    let mut clean = redact(text)?;
    for _ in 1..MAX_PASSES {
        match redact(&clean) {
            Some(next) if next != clean => clean = next,
            _ => return Some(clean),
        }
    }
    Some(instead())
}

/// A text that is changed step by step.
pub(super) struct Steps<'a>(Cow<'a, [u8]>);

impl<'a> Steps<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self(Cow::Borrowed(text))
    }

    /// Replaces the text by the result of `step`, if it has one.
    pub(super) fn then(&mut self, step: impl FnOnce(&[u8]) -> Option<Vec<u8>>) {
        if let Some(next) = step(&self.0) {
            self.0 = Cow::Owned(next);
        }
    }

    pub(super) fn get(&self) -> &[u8] {
        &self.0
    }

    /// Returns the text, or `None` if it was not changed.
    pub(super) fn finish(self) -> Option<Vec<u8>> {
        match self.0 {
            Cow::Borrowed(_) => None,
            Cow::Owned(text) => Some(text),
        }
    }
}

impl Rules {
    /// Returns a text with its secrets replaced, or `None` if it has no secrets. `depth` is the
    /// number of texts around it.
    pub(super) fn text(&self, text: &[u8], syntax: PairSyntax, depth: usize) -> Option<Vec<u8>> {
        if depth > MAX_DEPTH {
            return None;
        }
        let syntax = syntax.form_if(looks_like_form(text));
        let mut text = Steps::new(text);
        text.then(|text| self.json_or_members(text, depth));
        if !(syntax.is_in_body && self.values.names.keeps_usual) {
            text.then(|text| self.uris(text, syntax, depth));
            text.then(|text| self.shapes(text, false));
        }
        text.finish()
    }

    /// Returns the text with the secrets in JSON, or in what looks like its members, replaced.
    pub(super) fn json_or_members(&self, text: &[u8], depth: usize) -> Option<Vec<u8>> {
        if self.values.is_empty() {
            None
        } else if looks_like_json(text) {
            self.json(text, false, depth)
        } else {
            self.members(text)
        }
    }

    /// Returns the text with the secrets of known shapes replaced.
    pub(super) fn shapes(&self, text: &[u8], is_cut: bool) -> Option<Vec<u8>> {
        self.has_shapes
            .then(|| shapes::redact(text, &self.mark, is_cut))?
    }
}
