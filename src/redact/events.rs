//! Secrets in event streams with JSON data.

use std::ops::Range;

use memchr::memchr2;

use super::{Rules, edits::Edits, pairs::PairSyntax};
use crate::content::media_type::looks_like_json;

impl Rules {
    /// Returns `text` with the secrets in the data of each event replaced, or `None` if it has no
    /// secrets.
    ///
    /// The data of an event may span several lines (WHATWG HTML, 9.2): the lines are redacted as
    /// one text, which is written back line by line.
    pub(super) fn events(&self, text: &[u8], depth: usize) -> Option<Vec<u8>> {
        let mut edits = Edits::new(text);
        let mut data: Vec<Range<usize>> = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let len = memchr2(b'\n', b'\r', &text[at..]).unwrap_or(text.len() - at);
            let line = at..at + len;
            let end = match &text[line.end..] {
                [b'\r', b'\n', ..] => 2,
                [] => 0,
                _ => 1,
            };
            if let Some(value) = text[line.clone()].strip_prefix(b"data:") {
                data.push(line.end - value.len()..line.end);
            }
            if line.is_empty() {
                self.event(text, &mut data, depth, &mut edits);
            }
            at = line.end + end;
        }
        self.event(text, &mut data, depth, &mut edits);
        edits.finish()
    }

    fn event(
        &self,
        text: &[u8],
        data: &mut Vec<Range<usize>>,
        depth: usize,
        edits: &mut Edits<'_>,
    ) {
        let lines: Vec<&[u8]> = data.iter().map(|line| &text[line.clone()]).collect();
        let whole = lines.join(&b'\n');
        // Some APIs end a stream with this.
        let is_json = looks_like_json(&whole) && whole.trim_ascii() != b"[DONE]";
        let clean = if !is_json {
            self.text(&whole, PairSyntax::TEXT_IN_BODY, depth + 1)
        } else if self.values.is_empty() {
            None
        } else {
            self.json(&whole, true, depth)
        };
        if let Some(clean) = clean {
            let mut new = clean.split(|&byte| byte == b'\n');
            for (number, line) in data.iter().enumerate() {
                let new: Vec<&[u8]> = if number + 1 < data.len() {
                    new.next().into_iter().collect()
                } else {
                    // The rest, in one line: a mark has no line breaks, so that the text has no
                    // more lines than before.
                    new.by_ref().collect()
                };
                edits.replace(line.clone(), &new.concat());
            }
        }
        data.clear();
    }
}
