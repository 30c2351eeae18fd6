//! `Walk`: a tokenizer of JSON texts (RFC 8259) that yields the position and path of each value.
//!
//! Values are not parsed: secrets are replaced in place, and text that is cut is read up to its
//! end. Memory is bounded by the depth.

use std::{borrow::Cow, ops::Range};

use memchr::memchr2;

use super::json_pointer::{Pointer, Step};

/// The maximum nesting depth.
pub(crate) const MAX_DEPTH: usize = 128;

/// A pull parser for one JSON text, or for several in sequence (NDJSON, RFC 7464).
pub(crate) struct Walk<'a> {
    text: &'a [u8],
    at: usize,
    next: Next,
    path: Vec<Level>,
    /// The closing bracket of the container that was opened last, if no token has followed.
    opened: Option<u8>,
}

/// A value, or the bracket at the start or end of an object or array.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum JsonItem {
    /// The range of a string, number, `true`, `false` or `null`. If the text ends within the value,
    /// so does the range.
    Value(Range<usize>),
    /// The position of the bracket that opens an object or an array.
    Open(usize),
    /// The position after the bracket that closes an object or an array.
    Close(usize),
    /// The position where the text stops being JSON, or is nested too deep.
    Bad(usize),
}

/// The kind of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// A string, a number, `true`, `false` or `null`.
    Value,
    /// The bracket that opens an object or an array.
    Open,
    /// The bracket that closes an object or an array.
    Close,
    /// The name of a member, with its quotes.
    Name,
    Colon,
    Comma,
    /// A token that is not JSON, or that is nested too deep.
    Bad,
}

/// The tokens that the grammar allows next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Text,
    Value,
    ValueOrEnd,
    Name,
    NameOrEnd,
    Colon,
    CommaOrEnd,
}

/// An open container and the current position in it.
struct Level {
    /// The closing bracket.
    end: u8,
    index: usize,
    /// The current member's name, without quotes.
    name: Range<usize>,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(text: &'a [u8]) -> Self {
        Self {
            text,
            at: if text.starts_with(b"\xef\xbb\xbf") {
                3
            } else {
                0
            },
            next: Next::Text,
            path: Vec::new(),
            opened: None,
        }
    }

    /// Whether `pointer` leads to the value or container that was returned last.
    pub(crate) fn is_at(&self, pointer: &Pointer) -> bool {
        pointer.leads_to(|at| self.step(at), self.path.len())
    }

    /// Returns the steps from the root to the value or container that was returned last.
    pub(crate) fn steps(&self) -> impl Iterator<Item = Step<'a>> {
        (0..self.path.len()).filter_map(|at| self.step(at))
    }

    fn step(&self, at: usize) -> Option<Step<'a>> {
        let level = self.path.get(at)?;
        Some(if level.end == b'}' {
            Step::Name(&self.text[level.name.clone()])
        } else {
            Step::Index(level.index)
        })
    }

    /// Returns the name of the current member, escaped and without quotes; `None` outside of
    /// objects.
    pub(crate) fn name(&self) -> Option<&'a [u8]> {
        let level = self.path.last()?;
        (level.end == b'}').then(|| &self.text[level.name.clone()])
    }

    /// Whether no container is open.
    pub(crate) fn is_outside(&self) -> bool {
        self.path.is_empty()
    }

    /// Returns the next item, or `None` at the end of the input, even if the input ends within a
    /// value.
    pub(crate) fn next(&mut self) -> Option<JsonItem> {
        loop {
            let (token, range) = self.next_token()?;
            return Some(match token {
                Token::Value => JsonItem::Value(range),
                Token::Open => JsonItem::Open(range.start),
                Token::Close => JsonItem::Close(range.end),
                Token::Bad => JsonItem::Bad(range.start),
                Token::Name | Token::Colon | Token::Comma => continue,
            });
        }
    }

    /// Returns the next token and its range, or `None` at the end of the input, even if the input
    /// ends within a value.
    // Inlined, `next` skips names and commas without a return.
    #[inline]
    pub(crate) fn next_token(&mut self) -> Option<(Token, Range<usize>)> {
        if let Some(end) = self.opened.take() {
            self.path.push(Level {
                end,
                index: 0,
                name: 0..0,
            });
        }
        let start = self.skip_space()?;
        let text = &self.text[start..];
        let may_be_value = matches!(self.next, Next::Text | Next::Value | Next::ValueOrEnd);
        let (token, len) = match text[0] {
            b'"' if matches!(self.next, Next::Name | Next::NameOrEnd) => {
                let len = string(text);
                if let Some(level) = self.path.last_mut() {
                    let first = start + 1;
                    level.name = first..(start + len).saturating_sub(1).max(first);
                }
                self.next = Next::Colon;
                (Token::Name, len)
            }
            b'"' if may_be_value => {
                self.after_value();
                (Token::Value, string(text))
            }
            b':' if self.next == Next::Colon => {
                self.next = Next::Value;
                (Token::Colon, 1)
            }
            b',' if self.next == Next::CommaOrEnd => {
                if let Some(level) = self.path.last_mut() {
                    level.index += 1;
                    self.next = if level.end == b'}' {
                        Next::Name
                    } else {
                        Next::Value
                    };
                }
                (Token::Comma, 1)
            }
            byte @ (b'{' | b'[') if may_be_value && self.path.len() < MAX_DEPTH => {
                // Plus two is the other bracket, in ASCII.
                self.opened = Some(byte + 2);
                self.next = if byte == b'{' {
                    Next::NameOrEnd
                } else {
                    Next::ValueOrEnd
                };
                (Token::Open, 1)
            }
            byte @ (b'}' | b']') if self.may_close(byte) => {
                self.path.pop();
                self.after_value();
                (Token::Close, 1)
            }
            b'-' | b'0'..=b'9' | b'a'..=b'z' if may_be_value => {
                let len = scalar(text);
                if is_scalar(&text[..len], len == text.len()) {
                    self.after_value();
                    (Token::Value, len)
                } else {
                    (Token::Bad, 0)
                }
            }
            _ => (Token::Bad, 0),
        };
        self.at = start + len;
        Some((token, start..self.at))
    }

    /// Skips white space and returns the position of the next token.
    fn skip_space(&mut self) -> Option<usize> {
        loop {
            match self.text.get(self.at)? {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                // Begins each text of a sequence (RFC 7464).
                0x1e if self.next == Next::Text => self.at += 1,
                _ => return Some(self.at),
            }
        }
    }

    fn may_close(&self, byte: u8) -> bool {
        matches!(
            self.next,
            Next::ValueOrEnd | Next::NameOrEnd | Next::CommaOrEnd
        ) && self.path.last().is_some_and(|level| level.end == byte)
    }

    fn after_value(&mut self) {
        self.next = if self.path.is_empty() {
            Next::Text
        } else {
            Next::CommaOrEnd
        };
    }
}

/// Whether `text` is JSON. Text that is cut off counts as JSON if its beginning is.
pub(crate) fn is_json(text: &[u8]) -> bool {
    let mut walk = Walk::new(text);
    let mut items = std::iter::from_fn(|| walk.next());
    !items.any(|item| matches!(item, JsonItem::Bad(_)))
}

/// Whether `text` is JSON, from its start to its end.
pub(crate) fn is_whole(text: &[u8]) -> bool {
    let mut walk = Walk::new(text);
    while let Some(item) = walk.next() {
        match item {
            JsonItem::Bad(_) => return false,
            JsonItem::Value(range)
                if text[range.start] == b'"' && !is_closed(&text[range.clone()]) =>
            {
                return false;
            }
            _ => {}
        }
    }
    walk.is_outside()
}

/// Returns the length of the string at the start of `text`, quotes included; all of `text` if it is
/// cut.
pub(crate) fn string(text: &[u8]) -> usize {
    let mut at = 1;
    while let Some(found) = text.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if text[at] == b'"' {
            return at + 1;
        }
        at += 2;
    }
    text.len()
}

/// Returns the length of the number, `true`, `false` or `null` at the start of `text`.
fn scalar(text: &[u8]) -> usize {
    let is_part = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'E');
    let end = text.iter().position(|byte| !is_part(byte));
    end.unwrap_or(text.len())
}

/// Whether `text` is a number, `true`, `false` or `null`; with `is_end`, also the beginning of one.
fn is_scalar(text: &[u8], is_end: bool) -> bool {
    const WORDS: [&[u8]; 3] = [b"true", b"false", b"null"];
    let is_number = |byte: &u8| matches!(byte, b'-' | b'+' | b'.' | b'0'..=b'9' | b'e' | b'E');
    match text.first() {
        Some(b'a'..=b'z') => WORDS
            .iter()
            .any(|word| *word == text || is_end && word.starts_with(text)),
        _ => text.iter().all(is_number),
    }
}

/// Returns the content of a string, without its quotes. The closing quote may be missing.
pub(crate) fn inside(string: &[u8]) -> &[u8] {
    let inside = string.get(1..).unwrap_or_default();
    let Some((b'"', before)) = inside.split_last() else {
        return inside;
    };
    let escapes = before.iter().rev().take_while(|&&byte| byte == b'\\');
    if escapes.count().is_multiple_of(2) {
        before
    } else {
        inside
    }
}

/// Whether a string has its closing quote.
pub(crate) fn is_closed(string: &[u8]) -> bool {
    inside(string).len() + 2 == string.len()
}

/// Returns the content of a string with its escapes decoded. Half of a surrogate pair becomes three
/// bytes that are never part of UTF-8.
pub(crate) fn unescaped(inside: &[u8]) -> Cow<'_, [u8]> {
    if !inside.contains(&b'\\') {
        return Cow::Borrowed(inside);
    }
    let mut out = Vec::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        out.extend_from_slice(&rest[..at]);
        rest = &rest[at..];
        rest = &rest[escape(rest, &mut out)..];
    }
    out.extend_from_slice(rest);
    Cow::Owned(out)
}

/// Decodes the escape at the start of `text`, or copies one byte; returns the length that it read.
pub(crate) fn unescaped_unit(text: &[u8], out: &mut Vec<u8>) -> usize {
    match text.first() {
        Some(b'\\') => escape(text, out),
        byte => {
            out.extend(byte);
            1
        }
    }
}

/// Decodes the escape at the start of `text`; returns the length that it read.
fn escape(text: &[u8], out: &mut Vec<u8>) -> usize {
    let (plain, len) = match text.get(1) {
        Some(b'n') => (b'\n', 2),
        Some(b't') => (b'\t', 2),
        Some(b'r') => (b'\r', 2),
        Some(b'b') => (8, 2),
        Some(b'f') => (12, 2),
        Some(b'u') => return unicode(text, out),
        Some(&byte) => (byte, 2),
        None => (b'\\', 1),
    };
    out.push(plain);
    len
}

/// Escapes a text for a string, as little as possible; the inverse of [`unescaped`].
pub(crate) fn escaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        rest = match rest {
            [byte @ (b'"' | b'\\'), rest @ ..] => {
                out.extend([b'\\', *byte]);
                rest
            }
            [byte @ 0..=0x1f, rest @ ..] => {
                out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
                rest
            }
            // Half of a surrogate pair.
            [0xed, high @ 0xa0..=0xbf, low @ 0x80..=0xbf, rest @ ..] => {
                let unit = 0xd000 | u16::from(high & 63) << 6 | u16::from(low & 63);
                out.extend_from_slice(format!("\\u{unit:04x}").as_bytes());
                rest
            }
            [byte, rest @ ..] => {
                out.push(*byte);
                rest
            }
            [] => return out,
        };
    }
}

/// Decodes `\uXXXX`, or a surrogate pair of two; returns the length that it read.
fn unicode(text: &[u8], out: &mut Vec<u8>) -> usize {
    let unit = |text: &[u8]| {
        let digits = text.strip_prefix(b"\\u")?.get(..4)?;
        let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
        u16::from_str_radix(str::from_utf8(digits).ok().filter(|_| is_hex)?, 16).ok()
    };
    let units = [unit(text), text.get(6..).and_then(unit)]
        .into_iter()
        .map_while(|unit| unit);
    match char::decode_utf16(units).next() {
        Some(Ok(char)) => {
            out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes());
            6 * char.len_utf16()
        }
        Some(Err(half)) => {
            let [high, low] = half.unpaired_surrogate().to_be_bytes();
            out.extend([
                0xe0 | high >> 4,
                0x80 | (high & 15) << 2 | low >> 6,
                0x80 | low & 63,
            ]);
            6
        }
        None => {
            out.extend_from_slice(&text[..2]);
            2
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each item as text.
    fn walk(text: &str) -> Vec<String> {
        let mut walk = Walk::new(text.as_bytes());
        let mut items = Vec::new();
        while let Some(item) = walk.next() {
            items.push(match &item {
                JsonItem::Value(range) => {
                    let steps = walk.steps().map(|step| match step {
                        Step::Name(name) => String::from_utf8_lossy(name).into_owned(),
                        Step::Index(index) => index.to_string(),
                    });
                    let steps: Vec<_> = steps.collect();
                    format!("/{}={}", steps.join("/"), &text[range.clone()])
                }
                JsonItem::Open(at) => text[*at..=*at].to_owned(),
                JsonItem::Close(at) => text[at - 1..*at].to_owned(),
                JsonItem::Bad(at) => format!("bad {at}"),
            });
            if matches!(item, JsonItem::Bad(_)) {
                break;
            }
        }
        items
    }

    #[test]
    fn values_have_their_paths() {
        assert_eq!(
            walk("{\"a\" : [1, {\"b\":\"x\\\"\"},[]], \"c\":null}\n7 \"s\""),
            [
                "{",
                "[",
                "/a/0=1",
                "{",
                "/a/1/b=\"x\\\"\"",
                "}",
                "[",
                "]",
                "]",
                "/c=null",
                "}",
                "/=7",
                "/=\"s\""
            ]
        );
    }

    #[test]
    fn invalid_json_is_found() {
        for (text, at) in [
            ("{]", 1),
            ("[1 2]", 3),
            ("{\"a\"}", 4),
            ("{\"a\":}", 5),
            ("{\"a\":1,}", 7),
            ("[1,]", 3),
            ("[,1]", 1),
            ("{1:2}", 1),
            ("[1]]", 3),
            ("'a'", 0),
            ("word", 0),
            ("[nul]", 1),
            ("[12ab]", 1),
            ("REDACTED", 0),
            ("[DONE]", 1),
        ] {
            assert_eq!(walk(text).last(), Some(&format!("bad {at}")), "{text}");
        }
        let deep = "[".repeat(MAX_DEPTH + 1);
        assert_eq!(walk(&deep).last(), Some(&format!("bad {MAX_DEPTH}")));
    }

    #[test]
    fn cut_json_is_valid_up_to_its_end() {
        let text = "{\"a\":[1,{\"b\":\"c\\\"d\"}],\"e\":nul}";
        for end in 0..text.len() {
            assert!(
                walk(&text[..end])
                    .iter()
                    .all(|item| !item.starts_with("bad")),
                "{end}"
            );
        }
        assert_eq!(walk("{\"a\":\"b\\\""), ["{", "/a=\"b\\\""]);
    }

    #[test]
    fn escapes_are_undone() {
        for (text, expected) in [
            ("plain", "plain"),
            ("a\\\"b\\\\c\\/d\\n", "a\"b\\c/d\n"),
            ("\\u0041\\u00e9\\ud83d\\ude00!", "Aé😀!"),
            ("\\u12", "\\u12"),
            ("\\u+123", "\\u+123"),
            ("end\\", "end\\"),
        ] {
            assert_eq!(
                String::from_utf8_lossy(&unescaped(text.as_bytes())),
                expected
            );
        }
        for (string, expected) in [
            ("\"a\"", "a"),
            ("\"a", "a"),
            ("\"", ""),
            ("\"\"", ""),
            ("\"a\\\"", "a\\\""),
            ("\"a\\\\\"", "a\\\\"),
        ] {
            assert_eq!(inside(string.as_bytes()), expected.as_bytes(), "{string}");
        }
    }
}
