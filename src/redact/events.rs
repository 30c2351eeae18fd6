//! Secrets in event streams with JSON data.

use std::ops::Range;

use memchr::memchr2;

use super::{edits::Edits, json::SecretValues, mark::Mark};
use crate::content::media_type::looks_like_json;

/// Returns `text` with the secrets in the data of each event replaced, or `None` if it has no
/// secrets.
///
/// The data of an event may span several lines (WHATWG HTML, 9.2): the lines are redacted as one
/// text, which is written back line by line.
pub(super) fn redact(text: &[u8], values: &SecretValues, mark: &Mark) -> Option<Vec<u8>> {
    let mut edits = Edits::new(text);
    let mut data: Vec<Range<usize>> = Vec::new();
    let mut at = match text {
        // A byte order mark does not belong to the first line.
        [0xef, 0xbb, 0xbf, ..] => 3,
        _ => 0,
    };
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
            event(text, &mut data, values, mark, &mut edits);
        }
        at = line.end + end;
    }
    event(text, &mut data, values, mark, &mut edits);
    edits.finish()
}

fn event(
    text: &[u8],
    data: &mut Vec<Range<usize>>,
    values: &SecretValues,
    mark: &Mark,
    edits: &mut Edits<'_>,
) {
    let lines: Vec<&[u8]> = data.iter().map(|line| &text[line.clone()]).collect();
    let whole = lines.join(&b'\n');
    // Some APIs end a stream with this.
    if looks_like_json(&whole)
        && whole.trim_ascii() != b"[DONE]"
        && let Some(clean) = values.redact(&whole, mark, true)
    {
        let mut new = clean.split(|&byte| byte == b'\n');
        for (number, line) in data.iter().enumerate() {
            let new: Vec<&[u8]> = if number + 1 < data.len() {
                new.next().into_iter().collect()
            } else {
                // The rest, in one line: a mark has no line breaks, so that the text has no more
                // lines than before.
                new.by_ref().collect()
            };
            edits.replace(line.clone(), &new.concat());
        }
    }
    data.clear();
}
