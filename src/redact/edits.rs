//! Changes of a text, collected in order and made at once.

use std::ops::Range;

/// A text, and what is to stand in it instead.
pub(super) struct Edits<'a> {
    text: &'a [u8],
    out: Vec<u8>,
    /// Up to where the text is in `out`.
    done: usize,
}

impl<'a> Edits<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            out: Vec::new(),
            done: 0,
        }
    }

    /// Lets something stand in a place, which is after those of all changes before.
    pub(super) fn replace(&mut self, place: Range<usize>, with: &[u8]) {
        if self.text.get(place.clone()) == Some(with) || place.start < self.done {
            return;
        }
        self.out
            .extend_from_slice(&self.text[self.done..place.start]);
        self.out.extend_from_slice(with);
        self.done = place.end;
    }

    /// The changed text; `None` if nothing has changed.
    pub(super) fn finish(mut self) -> Option<Vec<u8>> {
        if self.done == 0 {
            return None;
        }
        self.out.extend_from_slice(&self.text[self.done..]);
        Some(self.out)
    }
}
