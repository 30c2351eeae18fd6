//! Secrets in pairs of names and values: in queries, fragments, path parameters and forms.

use std::ops::Range;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};

use super::{Rules, edits::Edits, names::SecretNames, splice::splice, text::MAX_DEPTH};
use crate::content::{form::decoded, media_type::looks_like_json};

/// The maximum length of a name after `;`, in bytes.
const MAX_NAME_LEN: usize = 64;

/// The bytes that are kept when a changed value is encoded again.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/')
    .remove(b':')
    .remove(b'?')
    .remove(b'@');

/// The place of pairs: where the first one begins, and where a URI ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct PairSyntax {
    /// Whether the text begins with a name, as a form does, and not with a path.
    pub(super) is_form: bool,
    /// The bytes that end a value, besides `&`; `#` in a URI.
    ends: &'static [u8],
    /// Whether text surrounds the pairs: ASCII white space ends a URI, and punctuation at its end
    /// belongs to the text.
    is_in_text: bool,
    /// Whether the text is part of a body.
    pub(super) is_in_body: bool,
}

impl PairSyntax {
    /// A form.
    pub(super) const FORM: Self = Self {
        is_form: true,
        ends: b"",
        is_in_text: false,
        is_in_body: true,
    };
    /// A form that may be JSON as well.
    pub(super) const FORM_OR_JSON: Self = Self {
        ends: b"\"",
        ..Self::FORM
    };
    /// A form whose fields may stand on lines of their own.
    pub(super) const FORM_LINES: Self = Self {
        ends: b"\r\n",
        ..Self::FORM
    };
    /// Exactly one URI.
    pub(super) const URI: Self = Self {
        is_form: false,
        ends: b"#",
        is_in_body: false,
        ..Self::FORM
    };
    /// A header whose value has URIs.
    pub(super) const HEADER: Self = Self {
        is_in_text: true,
        ..Self::URI
    };
    /// A header with URIs in angle brackets.
    pub(super) const LINK: Self = Self {
        ends: b"#>",
        ..Self::HEADER
    };
    /// Text with URIs.
    pub(super) const TEXT: Self = Self {
        ends: b"#\"<>",
        ..Self::HEADER
    };

    /// Text with URIs in a body.
    pub(super) const TEXT_IN_BODY: Self = Self {
        is_in_body: true,
        ..Self::TEXT
    };

    /// Returns the syntax for text that may begin with a form.
    pub(super) fn form_if(self, is_form: bool) -> Self {
        Self { is_form, ..self }
    }

    fn is_uri(self) -> bool {
        self.ends.contains(&b'#')
    }

    /// Whether a pair follows the end of a value: on the next line of a form.
    fn begins_with_name(self, end: u8) -> bool {
        self.is_form && matches!(end, b'\r' | b'\n')
    }

    pub(super) fn ends_at(self, text: &[u8], at: usize) -> bool {
        let byte = text[at];
        (self.is_in_text && byte.is_ascii_whitespace())
            || (self.ends.contains(&byte) && !(byte == b'"' && is_escaped(text, at)))
    }
}

/// The part of a URI.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Path,
    Query,
}

impl Rules {
    /// Returns `text` with the values of secret pairs, and the secrets in other values, replaced;
    /// `None` if it has no secrets. `depth` is the number of texts around it.
    pub(super) fn pairs(
        &self,
        text: &[u8],
        names: &SecretNames,
        syntax: PairSyntax,
        depth: usize,
    ) -> Option<Vec<u8>> {
        let mut edits = Edits::new(text);
        let first = if syntax.is_form {
            Part::Query
        } else {
            Part::Path
        };
        let mut part = first;
        let mut name = syntax.is_form.then_some(0);
        let mut at = 0;
        while at < text.len() {
            let byte = text[at];
            at += 1;
            match byte {
                b'?' | b'#' => (part, name) = (Part::Query, Some(at)),
                b'&' if part == Part::Query => name = Some(at),
                b';' => name = Some(at),
                b'/' if part == Part::Path => name = None,
                b'=' => {
                    let Some(start) = name.take() else { continue };
                    let is_secret = names.contains(&decoded(&text[start..at - 1]));
                    let value = at..value_end(text, at, syntax, part, is_secret);
                    if is_secret {
                        at = value.end;
                        self.secret_value(text, value, syntax, &mut edits);
                    } else if may_be_nested(&text[value.clone()]) {
                        at = value.end;
                        if let Some(new) =
                            self.nested_value(&text[value.clone()], syntax.is_in_body, depth)
                        {
                            edits.replace(value, &new);
                        }
                    }
                }
                // A name may have leading blanks.
                _ if byte.is_ascii_whitespace() && name == Some(at - 1) => name = Some(at),
                _ if syntax.ends_at(text, at - 1) => {
                    part = first;
                    name = syntax.begins_with_name(byte).then_some(at);
                }
                _ => {}
            }
        }
        edits.finish()
    }

    fn secret_value(
        &self,
        text: &[u8],
        mut value: Range<usize>,
        syntax: PairSyntax,
        edits: &mut Edits<'_>,
    ) {
        if syntax.is_in_text {
            value.end = value.start + trimmed(&text[value.clone()]).len();
        }
        let secret = &text[value.clone()];
        if !self.mark.is_mark(secret) {
            edits.replace(value, self.mark.of(&decoded(secret)).as_bytes());
        }
    }

    /// Returns an encoded value with its secrets replaced. The value may be a URI or JSON, and may
    /// be encoded several times.
    fn nested_value(&self, raw: &[u8], is_in_body: bool, depth: usize) -> Option<Vec<u8>> {
        if depth >= MAX_DEPTH {
            return None;
        }
        let plain = decoded(raw);
        let has_pairs = plain.contains(&b'=') || looks_like_json(&plain);
        let new = if has_pairs || !plain.contains(&b'%') {
            let syntax = PairSyntax {
                is_in_body,
                ..uri_syntax(&plain)
            };
            self.text(&plain, syntax, depth + 1)?
        } else {
            self.nested_value(&plain, is_in_body, depth + 1)?
        };
        let unit = |text: &[u8], out: &mut Vec<u8>| {
            let is_encoded =
                text[0] == b'%' && text.len() > 2 && text[1..3].iter().all(u8::is_ascii_hexdigit);
            let len = if is_encoded { 3 } else { 1 };
            out.extend_from_slice(&decoded(&text[..len]));
            len
        };
        let encode = |text: &[u8]| percent_encode(text, KEPT).to_string().into_bytes();
        Some(splice(raw, &plain, &new, unit, encode))
    }
}

/// Returns the syntax of a decoded value: a URI, or text with URIs.
fn uri_syntax(value: &[u8]) -> PairSyntax {
    let is_scheme = |byte: &u8| byte.is_ascii_alphanumeric() || b"+-.".contains(byte);
    let has_scheme =
        memchr::memchr(b':', value).is_some_and(|at| value[..at].iter().all(is_scheme));
    if has_scheme || matches!(value.first(), Some(b'/' | b'?' | b'#')) {
        PairSyntax::URI
    } else {
        PairSyntax::TEXT
    }
}

/// Whether a value may contain an encoded text with secrets.
fn may_be_nested(value: &[u8]) -> bool {
    value.contains(&b'%') || looks_like_json(value)
}

/// Returns the end of the value that begins at `start`. The value of a secret extends as far as
/// any reader may read it; other values end at `?`, where another URI's query begins.
fn value_end(text: &[u8], start: usize, syntax: PairSyntax, part: Part, is_secret: bool) -> usize {
    let mut at = start;
    while at < text.len() {
        let is_end = match text[at] {
            b'&' => true,
            b';' => !is_secret || (syntax.is_uri() && begins_pair(&text[at + 1..])),
            b'?' => !is_secret || part == Part::Path,
            b'/' => part == Part::Path,
            _ => syntax.ends_at(text, at),
        };
        if is_end {
            break;
        }
        at += 1;
    }
    at
}

/// Whether `text` begins with a name and `=`.
fn begins_pair(text: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.%[]+ ".contains(byte);
    let start = &text[..text.len().min(MAX_NAME_LEN)];
    let end = start.iter().position(|byte| !is_name(byte));
    end.is_some_and(|end| end > 0 && start[end] == b'=')
}

/// Whether an odd number of backslashes precedes the byte at `at`.
fn is_escaped(text: &[u8], at: usize) -> bool {
    let before = text[..at].iter().rev();
    !before
        .take_while(|byte| **byte == b'\\')
        .count()
        .is_multiple_of(2)
}

/// Returns a value without the punctuation of the surrounding text: a value may end with it, but
/// more likely it belongs to the text.
fn trimmed(value: &[u8]) -> &[u8] {
    let is_punctuation = |byte: &u8| b")]}>'\",;:.".contains(byte);
    let len = value.iter().rposition(|byte| !is_punctuation(byte));
    &value[..len.map_or(0, |at| at + 1)]
}
