//! Escapes for characters that control a terminal or change the direction of text.

use std::fmt::Write;

/// Returns `text` with unprintable characters escaped, except line breaks.
pub(crate) fn text(text: &str) -> String {
    escape(text, |out, c| {
        if c == '\n' {
            out.push(c);
        } else {
            out.extend(c.escape_default());
        }
    })
}

/// Returns a JSON document with unprintable characters escaped.
pub(crate) fn json(json: &str) -> String {
    escape(json, |out, c| {
        // Writing to a string cannot fail.
        let _ = write!(out, "\\u{:04x}", u32::from(c));
    })
}

fn escape(text: &str, escape: impl Fn(&mut String, char)) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_printable(c) {
            out.push(c);
        } else {
            escape(&mut out, c);
        }
    }
    out
}

fn is_printable(c: char) -> bool {
    let is_direction = matches!(c,
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    !c.is_control() && !is_direction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unprintable_characters_are_escaped() {
        assert_eq!(text("a\u{1b}[2Jb\nc\u{202e}"), "a\\u{1b}[2Jb\nc\\u{202e}");
        assert_eq!(
            json("{\"a\":\"\u{9b}\u{202e}\u{e9}\"}"),
            "{\"a\":\"\\u009b\\u202e\u{e9}\"}"
        );
    }
}
