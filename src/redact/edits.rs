//! `Edits`: replacements in a text, collected in order.

use std::ops::Range;

/// A text and the replacements in it.
pub(super) struct Edits<'a> {
    text: &'a [u8],
    out: Vec<u8>,
    /// The position up to which the original text was processed.
    done: usize,
    is_changed: bool,
}

impl<'a> Edits<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            out: Vec::new(),
            done: 0,
            is_changed: false,
        }
    }

    /// Replaces `range`, which must follow all ranges that were replaced before.
    pub(super) fn replace(&mut self, range: Range<usize>, with: &[u8]) {
        if self.text.get(range.clone()) == Some(with) || range.start < self.done {
            return;
        }
        self.out
            .extend_from_slice(&self.text[self.done..range.start]);
        self.out.extend_from_slice(with);
        self.done = range.end;
        self.is_changed = true;
    }

    /// Returns the position up to which the text was replaced or kept.
    pub(super) fn done(&self) -> usize {
        self.done
    }

    /// Returns the edited text, or `None` if nothing was replaced.
    pub(super) fn finish(mut self) -> Option<Vec<u8>> {
        if !self.is_changed {
            return None;
        }
        self.out.extend_from_slice(&self.text[self.done..]);
        Some(self.out)
    }
}
