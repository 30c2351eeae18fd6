//! Changes the white space between the tokens of JSON: indents it or removes it.

use std::mem;

use super::json::{Token, Walk, is_closed};

/// The maximum length of indented text, as a multiple of the original length.
const MAX_GROWTH: usize = 8;

/// The white space between tokens.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Space {
    /// Line breaks and indentation.
    Indented,
    None,
}

/// Returns `text` with indentation, or `None` if `text` is not exactly one JSON text, or would
/// become too long. With `is_cut`, `text` may end anywhere.
pub(crate) fn indented(text: &[u8], is_cut: bool) -> Option<Vec<u8>> {
    spaced(text, is_cut, Space::Indented).ok()
}

/// Returns `text` without the white space between its tokens. The error is the position up to which
/// `text` is JSON.
pub(crate) fn compacted(text: &[u8]) -> Result<Vec<u8>, usize> {
    spaced(text, false, Space::None)
}

fn spaced(text: &[u8], is_cut: bool, space: Space) -> Result<Vec<u8>, usize> {
    // The walk skips what may precede each of several texts.
    if text.starts_with(b"\xef\xbb\xbf") {
        return Err(0);
    }
    if let Some(separator) = memchr::memchr(0x1e, text) {
        return Err(separator);
    }
    let max_len = MAX_GROWTH * text.len() + 1024;
    let mut out = Vec::with_capacity(2 * text.len());
    let new_line = |out: &mut Vec<u8>, depth: usize| {
        if space == Space::Indented {
            out.push(b'\n');
            out.resize(out.len() + 2 * depth, b' ');
        }
    };
    let mut walk = Walk::new(text);
    let (mut depth, mut has_opened, mut is_whole) = (0, false, false);
    while let Some((token, place)) = walk.next_token() {
        if token == Token::Bad || is_whole || out.len() > max_len {
            return Err(place.start);
        }
        let value = &text[place.clone()];
        let is_first = mem::replace(&mut has_opened, token == Token::Open);
        if is_first && token != Token::Close {
            new_line(&mut out, depth);
        }
        match token {
            Token::Open => depth += 1,
            Token::Close => {
                depth -= 1;
                if !is_first {
                    new_line(&mut out, depth);
                }
            }
            Token::Name | Token::Value if is_bad_string(value, is_cut) => return Err(place.start),
            _ => {}
        }
        out.extend_from_slice(value);
        match token {
            Token::Comma => new_line(&mut out, depth),
            Token::Colon if space == Space::Indented => out.push(b' '),
            _ => {}
        }
        is_whole = depth == 0;
    }
    if is_whole || (is_cut && !out.is_empty()) {
        Ok(out)
    } else {
        Err(text.len())
    }
}

/// Whether `value` is a string with a control character, or without its closing quote.
fn is_bad_string(value: &[u8], is_cut: bool) -> bool {
    let has_control = value.iter().any(|&byte| byte < b' ');
    value.starts_with(b"\"") && (has_control || !(is_cut || is_closed(value)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::json::MAX_DEPTH;

    fn text(json: &str, is_cut: bool) -> Option<String> {
        indented(json.as_bytes(), is_cut).map(|out| String::from_utf8_lossy(&out).into_owned())
    }

    #[test]
    fn only_white_space_between_tokens_changes() {
        let json =
            "{\"a\":[1,-2.50E+3, true,null,\"x\\\"y \\u00e9  z\"],\n\"b\":{}, \"a\":[],\"c\":[[]]}";
        let expected = "{\n  \"a\": [\n    1,\n    -2.50E+3,\n    true,\n    null,\n    \
            \"x\\\"y \\u00e9  z\"\n  ],\n  \"b\": {},\n  \"a\": [],\n  \"c\": [\n    []\n  ]\n}";
        assert_eq!(text(json, false).as_deref(), Some(expected));
        assert_eq!(text(expected, false).as_deref(), Some(expected));
        assert_eq!(text(" \"alone\" ", false).as_deref(), Some("\"alone\""));
    }

    #[test]
    fn white_space_is_removed() {
        let json = "{ \"a b\" :\r\n[ 1 ,\t-2.50E+3 ] , \"c\":{ },\"d\" : [\n] }\n";
        let compact = r#"{"a b":[1,-2.50E+3],"c":{},"d":[]}"#;
        assert_eq!(compacted(json.as_bytes()), Ok(compact.into()));
        assert_eq!(compacted(compact.as_bytes()), Ok(compact.into()));
        let indented = text(compact, false).unwrap_or_default();
        assert_eq!(compacted(indented.as_bytes()), Ok(compact.into()));
        for (json, good) in [("{\"a\":}", 5), ("[1,\n2", 5), ("", 0), ("[1] x", 4)] {
            assert_eq!(compacted(json.as_bytes()), Err(good), "{json}");
        }
    }

    #[test]
    fn invalid_json_is_unchanged() {
        for json in [
            "",
            " ",
            "{",
            "{]",
            "[1 2]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "[1,]",
            "[,1]",
            "{1:2}",
            "[1]]",
            "[1][2]",
            "'a'",
            "\"a",
            "\"a\nb\"",
            "[\u{1b}]",
            "tru\u{e9}",
            "1,2",
            ":",
        ] {
            assert_eq!(text(json, false), None, "{json:?}");
        }
    }

    #[test]
    fn cut_json_is_indented_up_to_its_end() {
        let json = "{\"a\":[1,{\"b\":\"c\\\"d\"}],\"e\":null}";
        let whole = text(json, false).unwrap_or_default();
        let squeeze = |text: &str| text.replace([' ', '\n'], "");
        for at in 1..json.len() {
            assert_eq!(text(&json[..at], false), None, "{at}");
            let cut = text(&json[..at], true).unwrap_or_default();
            assert_eq!(squeeze(&cut), json[..at], "{at}");
            let same = cut.trim_end_matches([' ', '\n', '"']);
            assert!(whole.starts_with(same), "{cut}");
        }
    }

    #[test]
    fn json_that_would_grow_too_much_is_unchanged() {
        assert_eq!(text(&"[".repeat(MAX_DEPTH + 1), true), None);
        let deep = "[".repeat(MAX_DEPTH) + &"1,".repeat(4096);
        assert_eq!(text(&deep, true), None);
        assert!(text(&("[".to_owned() + &"1,".repeat(4096)), true).is_some());
    }
}
