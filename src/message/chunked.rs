//! Chunked framing (RFC 9112, 7.1).

use memchr::memchr;

/// Content without its framing.
pub(crate) struct Unframed<'a> {
    pub(crate) content: Vec<u8>,
    /// The lines of the trailer section.
    pub(crate) trailers: &'a [u8],
    /// The reason why the framing is incomplete or invalid. The content before it is kept.
    pub(crate) fault: Option<&'static str>,
}

/// Removes chunked framing. Returns `None` if `text` does not begin with a chunk, because the
/// framing was removed before.
pub(crate) fn unframe(text: &[u8]) -> Option<Unframed<'_>> {
    let (size, line) = match chunk_size(text) {
        ChunkSize::Is { size, line } => (size, line),
        ChunkSize::Cut => {
            return Some(Unframed {
                content: Vec::new(),
                trailers: &[],
                fault: Some(CUT),
            });
        }
        ChunkSize::Invalid => return None,
    };
    let unframed = chunks(text, size, line);
    // A decoded text may begin with a number. Some servers end the lines of the framing with LF
    // alone, and then only a whole framing proves that it is one.
    let is_certain = text[..line].ends_with(b"\r\n");
    (is_certain || unframed.fault.is_none()).then_some(unframed)
}

const CUT: &str = "the content ends before its last chunk";
const INVALID: &str = "invalid chunked framing";

/// Reads the chunks of `text`. The first one has `size` bytes, behind a line of `line` bytes.
fn chunks(text: &[u8], mut size: usize, line: usize) -> Unframed<'_> {
    let mut unframed = Unframed {
        content: Vec::new(),
        trailers: &[],
        fault: None,
    };
    let mut rest = &text[line..];
    loop {
        if size == 0 {
            unframed.fault = match trailer_section(rest) {
                Some((trailers, b"")) => {
                    unframed.trailers = trailers;
                    None
                }
                Some(_) => Some("bytes follow the last chunk"),
                None => Some("the content ends within its trailers"),
            };
            return unframed;
        }
        let (chunk, after) = rest.split_at(size.min(rest.len()));
        unframed.content.extend_from_slice(chunk);
        let end = match after {
            [b'\r', b'\n', ..] => 2,
            [b'\n', ..] => 1,
            [] | [b'\r'] => {
                unframed.fault = Some(CUT);
                return unframed;
            }
            _ => {
                unframed.fault = Some(INVALID);
                return unframed;
            }
        };
        rest = &after[end..];
        (size, rest) = match chunk_size(rest) {
            ChunkSize::Is { size, line } => (size, &rest[line..]),
            ChunkSize::Cut => {
                unframed.fault = Some(CUT);
                return unframed;
            }
            ChunkSize::Invalid => {
                unframed.fault = Some(INVALID);
                return unframed;
            }
        };
    }
}

enum ChunkSize {
    Is {
        size: usize,
        /// The length of the line, with its end.
        line: usize,
    },
    /// The text ends within the line.
    Cut,
    Invalid,
}

/// Reads the line before a chunk: the size in hex, and extensions, which are ignored.
fn chunk_size(text: &[u8]) -> ChunkSize {
    let mut size: usize = 0;
    let mut digits = 0;
    for &byte in text {
        let Some(digit) = char::from(byte).to_digit(16) else {
            break;
        };
        let Some(larger) = size.checked_mul(16).map(|size| size + digit as usize) else {
            return ChunkSize::Invalid;
        };
        size = larger;
        digits += 1;
    }
    if digits == 0 {
        return if text.is_empty() {
            ChunkSize::Cut
        } else {
            ChunkSize::Invalid
        };
    }
    let rest = skip_blanks(&text[digits..]);
    let extensions = match rest {
        [] | [b'\r'] => return ChunkSize::Cut,
        [b';' | b'\n', ..] | [b'\r', b'\n', ..] => rest,
        _ => return ChunkSize::Invalid,
    };
    match memchr(b'\n', extensions) {
        Some(end) => ChunkSize::Is {
            size,
            line: text.len() - extensions.len() + end + 1,
        },
        None => ChunkSize::Cut,
    }
}

/// Skips blanks and tabs, which some servers write after the size.
fn skip_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t'));
    &text[blanks.count()..]
}

/// Returns the trailer lines and what follows their end, an empty line; `None` if it is missing.
fn trailer_section(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut end = 0;
    loop {
        let rest = &text[end..];
        let line = memchr(b'\n', rest)? + 1;
        if matches!(&rest[..line], b"\r\n" | b"\n") {
            return Some((&text[..end], &rest[line..]));
        }
        end += line;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unframed(text: &str) -> Option<(String, String, Option<&'static str>)> {
        let unframed = unframe(text.as_bytes())?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Some((
            text(&unframed.content),
            text(unframed.trailers),
            unframed.fault,
        ))
    }

    #[test]
    fn whole_framing_is_removed() {
        for (framed, content, trailers) in [
            ("0\r\n\r\n", "", ""),
            ("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world", ""),
            ("A\r\n0123456789\r\n000\r\n\r\n", "0123456789", ""),
            (
                "a;b=c;d=\"e;f\"\r\n0123456789\r\n0;x\r\n\r\n",
                "0123456789",
                "",
            ),
            ("2  \r\nhi\r\n0 \t\r\n\r\n", "hi", ""),
            ("2\nhi\n0\n\n", "hi", ""),
            (
                "2\r\nhi\r\n0\r\na: b\r\nc: d\r\n\r\n",
                "hi",
                "a: b\r\nc: d\r\n",
            ),
            ("5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n", ""),
        ] {
            let expected = Some((content.to_owned(), trailers.to_owned(), None));
            assert_eq!(unframed(framed), expected, "{framed:?}");
        }
    }

    #[test]
    fn framing_that_is_cut_anywhere_is_incomplete() {
        let whole = "5;a=b\r\nhello\r\n10\r\nand 16 more char\r\n0\r\na: b\r\n\r\n";
        assert_eq!(unframed(whole).unwrap().2, None);
        for len in 0..whole.len() {
            let (content, _, fault) = unframed(&whole[..len]).unwrap();
            assert!(fault.is_some(), "{len}");
            assert!("helloand 16 more char".starts_with(&content), "{len}");
        }
    }

    #[test]
    fn broken_framing_is_invalid() {
        for framed in [
            "5\r\nhello!\r\n0\r\n\r\n",
            "5\r\nhello\r\nx\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\nmore",
            "5\r\nhello\r\nffffffffffffffffff\r\n\r\n",
        ] {
            assert!(unframed(framed).unwrap().2.is_some(), "{framed:?}");
        }
    }

    #[test]
    fn content_that_does_not_begin_with_a_chunk_stays() {
        for content in [
            "hello",
            "{}",
            "\r\n",
            "5 apples\r\n",
            "1\n2\n3\n",
            "bad things\r\n",
            "ffffffffffffffffff\r\n",
            ";x\r\n",
        ] {
            assert_eq!(unframed(content), None, "{content:?}");
        }
    }
}
