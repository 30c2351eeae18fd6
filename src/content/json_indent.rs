//! Indents JSON, and takes the white space out of it, without changing anything but that.

use super::json::scalar;

/// How deep JSON may be nested to be indented.
const DEEPEST: usize = 64;

/// How many times as long as the original an indented text may become.
const LONGEST: usize = 8;

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Value,
    ValueOrEnd,
    Key,
    KeyOrEnd,
    Colon,
    CommaOrEnd,
    Nothing,
}

/// What stands between tokens.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Space {
    /// Line breaks and indentation.
    Indented,
    Nothing,
}

/// The text indented; `None` if it is no JSON, or would become too long. One that was cut may end
/// anywhere.
pub(crate) fn indented(text: &[u8], is_cut: bool) -> Option<Vec<u8>> {
    spaced(text, is_cut, Space::Indented).ok()
}

/// The text without white space between its tokens; an error says how many bytes of it are JSON.
pub(crate) fn compacted(text: &[u8]) -> Result<Vec<u8>, usize> {
    spaced(text, false, Space::Nothing)
}

fn spaced(text: &[u8], is_cut: bool, space: Space) -> Result<Vec<u8>, usize> {
    let new_line = |out: &mut Vec<u8>, depth: usize| {
        if space == Space::Indented {
            out.push(b'\n');
            out.resize(out.len() + 2 * depth, b' ');
        }
    };
    let longest = LONGEST * text.len() + 1024;
    let mut out = Vec::with_capacity(2 * text.len());
    // The ends of what is open.
    let mut open = Vec::new();
    let mut next = Next::Value;
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        if out.len() > longest {
            return Err(at);
        }
        let takes_value = matches!(next, Next::Value | Next::ValueOrEnd);
        let is_first = matches!(next, Next::ValueOrEnd | Next::KeyOrEnd);
        let mut len = 1;
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' => {}
            b'{' | b'[' if takes_value && open.len() < DEEPEST => {
                if is_first {
                    new_line(&mut out, open.len());
                }
                out.push(byte);
                // Plus two is the other bracket, in ASCII.
                open.push(byte + 2);
                next = if byte == b'{' {
                    Next::KeyOrEnd
                } else {
                    Next::ValueOrEnd
                };
            }
            b'}' | b']' if open.last() == Some(&byte) && (is_first || next == Next::CommaOrEnd) => {
                open.pop();
                if !is_first {
                    new_line(&mut out, open.len());
                }
                out.push(byte);
                next = after_value(&open);
            }
            b',' if next == Next::CommaOrEnd => {
                out.push(byte);
                new_line(&mut out, open.len());
                next = if open.last() == Some(&b'}') {
                    Next::Key
                } else {
                    Next::Value
                };
            }
            b':' if next == Next::Colon => {
                out.extend_from_slice(if space == Space::Indented {
                    b": "
                } else {
                    b":"
                });
                next = Next::Value;
            }
            _ => {
                let is_key = matches!(next, Next::Key | Next::KeyOrEnd);
                len = match byte {
                    b'"' if is_key || takes_value => string(&text[at..], is_cut).ok_or(at)?,
                    b'-' | b'0'..=b'9' | b'a'..=b'z' if takes_value => scalar(&text[at..]),
                    _ => return Err(at),
                };
                if is_first {
                    new_line(&mut out, open.len());
                }
                out.extend_from_slice(&text[at..at + len]);
                next = if is_key {
                    Next::Colon
                } else {
                    after_value(&open)
                };
            }
        }
        at += len;
    }
    if next == Next::Nothing || (is_cut && !out.is_empty()) {
        Ok(out)
    } else {
        Err(at)
    }
}

fn after_value(open: &[u8]) -> Next {
    if open.is_empty() {
        Next::Nothing
    } else {
        Next::CommaOrEnd
    }
}

/// The length of the string that begins a text, with its quotes.
fn string(text: &[u8], is_cut: bool) -> Option<usize> {
    let mut bytes = text.iter().enumerate().skip(1);
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Some(at + 1),
            b'\\' => {
                bytes.next();
            }
            0..=0x1f => return None,
            _ => {}
        }
    }
    is_cut.then_some(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn white_space_is_taken_out() {
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
    fn what_is_no_json_is_left() {
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
    fn what_was_cut_is_indented_as_far_as_it_goes() {
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
    fn what_would_become_long_is_left() {
        assert_eq!(text(&"[".repeat(DEEPEST + 1), true), None);
        let deep = "[".repeat(DEEPEST) + &"1,".repeat(4096);
        assert_eq!(text(&deep, true), None);
        assert!(text(&("[".to_owned() + &"1,".repeat(4096)), true).is_some());
    }
}
