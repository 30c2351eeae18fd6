//! Secrets in what looks like members of JSON objects, in text that is not JSON: HTML, scripts,
//! JSON5, GraphQL, and JSON with an error.

use memchr::{memchr, memmem, memrchr};

use super::{Rules, edits::Edits};
use crate::content::json;

/// The maximum length of a name, as written, in bytes.
const MAX_NAME_LEN: usize = 80;
const ENTITY: &[u8] = b"&quot;";

/// A quotation mark, such as `'` or `\"`.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Quote<'a>(&'a [u8]);

impl Rules {
    /// Returns `text` with the values of secret members replaced, or `None` if it has no secrets.
    pub(super) fn members(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut edits = Edits::new(text);
        self.members_after(text, &mut edits, false);
        edits.finish()
    }

    /// Replaces the values of secret members after the last replacement. A value without quotes is
    /// one only if its name has quotes, or in an object (`is_object`): `token: 5` is often part of
    /// a program.
    pub(super) fn members_after(&self, text: &[u8], edits: &mut Edits<'_>, is_object: bool) {
        let first = edits.done();
        let mut at = first;
        while let Some(found) = memchr(b':', &text[at..]) {
            let colon = at + found;
            at = colon + 1;
            let Some((name, quote)) = name_before(&text[first..colon]) else {
                continue;
            };
            if !self.values.names.contains(&json::unescaped(name)) {
                continue;
            }
            let start = text.len() - text[at..].trim_ascii_start().len();
            if let Some(quote) = Quote::at(&text[start..]) {
                at = self.quoted_value(text, start, quote, edits);
            } else if is_object || quote.is_some() {
                let end = start + bare_value(&text[start..]);
                if end > start {
                    let quote = quote.map_or(&b"\""[..], |quote| quote.0);
                    let mark = self.mark.of(&text[start..end]);
                    edits.replace(start..end, &[quote, mark.as_bytes(), quote].concat());
                    at = end;
                }
            }
        }
    }

    /// Replaces the value in quotes that begins at `start`; returns its end.
    fn quoted_value(
        &self,
        text: &[u8],
        start: usize,
        quote: Quote<'_>,
        edits: &mut Edits<'_>,
    ) -> usize {
        let start = start + quote.0.len();
        let len = quote.end_in(&text[start..]);
        let inside = start..start + len.unwrap_or(text.len() - start);
        let value = &text[inside.clone()];
        if self.mark.is_mark(value) {
            return inside.end;
        }
        let mark = self.mark.of(&json::unescaped(value));
        // A value that is cut gets an end.
        let end = if len.is_none() { quote.0 } else { b"" };
        edits.replace(inside.clone(), &[mark.as_bytes(), end].concat());
        inside.end
    }
}

impl<'a> Quote<'a> {
    /// Returns the quotation mark at the start of `text`.
    fn at(text: &'a [u8]) -> Option<Self> {
        let escapes = text.iter().take_while(|byte| **byte == b'\\').count();
        match text.get(escapes) {
            Some(b'"' | b'\'') => Some(Self(&text[..=escapes])),
            Some(b'&') if text.starts_with(ENTITY) => Some(Self(ENTITY)),
            _ => None,
        }
    }

    /// Returns the quotation mark at the end of `text`.
    fn at_end(text: &'a [u8]) -> Option<Self> {
        match text.split_last()? {
            (b'"' | b'\'', before) => {
                let escapes = before
                    .iter()
                    .rev()
                    .take_while(|byte| **byte == b'\\')
                    .count();
                Some(Self(&text[before.len() - escapes..]))
            }
            (b';', _) if text.ends_with(ENTITY) => Some(Self(ENTITY)),
            _ => None,
        }
    }

    /// Returns the position of the closing quotation mark in `text`, which follows the opening one.
    fn end_in(self, text: &[u8]) -> Option<usize> {
        let [escapes @ .., mark @ (b'"' | b'\'')] = self.0 else {
            return memmem::find(text, self.0);
        };
        let mut at = 0;
        while let Some(found) = memchr(*mark, &text[at..]) {
            let end = at + found;
            let before = text[..end].iter().rev();
            let count = before.take_while(|byte| **byte == b'\\').count();
            // In a string in a string, the mark of the inner one has more backslashes.
            let is_end = if escapes.is_empty() {
                count.is_multiple_of(2)
            } else {
                count <= escapes.len()
            };
            if is_end {
                return Some(end - count.min(escapes.len()));
            }
            at = end + 1;
        }
        None
    }
}

/// Returns the name that ends before the colon after `text`, and its quotation mark.
fn name_before(text: &[u8]) -> Option<(&[u8], Option<Quote<'_>>)> {
    let text = text.trim_ascii_end();
    let Some(quote) = Quote::at_end(text) else {
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"_$-".contains(byte);
        let len = text
            .iter()
            .rev()
            .take(MAX_NAME_LEN)
            .take_while(|byte| is_name(byte))
            .count();
        let name = &text[text.len() - len..];
        return (!name.is_empty()).then_some((name, None));
    };
    let before = &text[..text.len() - quote.0.len()];
    let window = &before[before.len().saturating_sub(MAX_NAME_LEN)..];
    let start = match quote.0 {
        ENTITY => memmem::rfind(window, ENTITY)? + ENTITY.len(),
        [.., mark] => memrchr(*mark, window)? + 1,
        [] => return None,
    };
    Some((&window[start..], Some(quote)))
}

/// Returns the length of the number, `true`, `false`, object or array at the start of `text`.
fn bare_value(text: &[u8]) -> usize {
    match text.first() {
        Some(b'{' | b'[') => container(text).unwrap_or(text.len()),
        Some(b'-' | b'0'..=b'9') => {
            let is_number = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
            text.iter().take_while(|byte| is_number(byte)).count()
        }
        _ => 0,
    }
}

/// Returns the length of the object or array at the start of `text`, or `None` if it is cut.
fn container(text: &[u8]) -> Option<usize> {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'"' => at += json::string(&text[at..]) - 1,
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
    None
}
