//! Secrets that are known by their shape, wherever they stand: JSON Web Tokens, private keys, and
//! the tokens of well-known services.

use memchr::memmem;

use super::{edits::Edits, mark::Mark};

/// The length of the shortest secret with a known shape.
const SHORTEST: usize = 10;

/// The alphabet of a token.
type IsPart = fn(u8) -> bool;

/// The start of a token, the minimum number of bytes that follow, and their alphabet.
const TOKENS: [(&[u8], usize, IsPart); 20] = [
    (b"AIza", 30, is_base64url),
    (b"ghp_", 20, is_word),
    (b"gho_", 20, is_word),
    (b"ghu_", 20, is_word),
    (b"ghs_", 20, is_word),
    (b"ghr_", 20, is_word),
    (b"github_pat_", 20, is_word),
    (b"glpat-", 16, is_base64url),
    (b"xoxa-", 10, is_base64url),
    (b"xoxb-", 10, is_base64url),
    (b"xoxe-", 10, is_base64url),
    (b"xoxp-", 10, is_base64url),
    (b"xoxr-", 10, is_base64url),
    (b"xoxs-", 10, is_base64url),
    (b"sk_live_", 10, is_word),
    (b"sk_test_", 10, is_word),
    (b"rk_live_", 10, is_word),
    (b"sk-ant-", 16, is_base64url),
    (b"sk-proj-", 16, is_base64url),
    (b"npm_", 30, is_word),
];

const JWT: &[u8] = b"eyJ";
const KEY: &[u8] = b"-----BEGIN";

/// The first bytes of all shapes.
const FIRST: [bool; 256] = {
    let mut first = [false; 256];
    let bytes = b"eAgxsrn-";
    let mut at = 0;
    while at < bytes.len() {
        first[bytes[at] as usize] = true;
        at += 1;
    }
    first
};

/// Returns `text` with the secrets of known shapes replaced, or `None` if it has no secrets. With
/// `is_cut`, the start of a token at the end of the text is one too.
pub(super) fn redact(text: &[u8], mark: &Mark, is_cut: bool) -> Option<Vec<u8>> {
    if text.len() < SHORTEST && !is_cut {
        return None;
    }
    let mut edits = Edits::new(text);
    let mut at = 0;
    while let Some(found) = text[at..].iter().position(|byte| FIRST[usize::from(*byte)]) {
        at += found;
        match token(&text[at..], is_cut) {
            Found::Secret(len) => {
                edits.replace(at..at + len, mark.of(&text[at..at + len]).as_bytes());
                at += len;
            }
            Found::Nothing(len) => at += len,
        }
    }
    edits.finish()
}

enum Found {
    /// A secret of this length.
    Secret(usize),
    /// The number of bytes that can be skipped: no secret begins in them.
    Nothing(usize),
}

/// Returns the secret at the start of `text`.
fn token(text: &[u8], is_cut: bool) -> Found {
    match text[0] {
        b'e' if text.starts_with(JWT) => jwt(text, is_cut),
        b'A' if text.starts_with(b"AKIA") || text.starts_with(b"ASIA") => {
            let len = 4 + run(&text[4..], |byte| {
                byte.is_ascii_uppercase() || byte.is_ascii_digit()
            });
            if len == 20 || (is_cut && len == text.len() && len < 20) {
                Found::Secret(len)
            } else {
                Found::Nothing(len)
            }
        }
        b'-' if text.starts_with(KEY) => private_key(text),
        _ => {
            for (start, least, is_part) in TOKENS {
                if text.starts_with(start) {
                    let len = start.len() + run(&text[start.len()..], is_part);
                    let is_whole = len >= start.len() + least;
                    return if is_whole || (is_cut && len == text.len()) {
                        Found::Secret(len)
                    } else {
                        Found::Nothing(start.len())
                    };
                }
            }
            Found::Nothing(1)
        }
    }
}

/// Returns the JSON Web Token at the start of `text`: three parts in base64url, or five if it is
/// encrypted (RFC 7519). The first part is a JSON object.
fn jwt(text: &[u8], is_cut: bool) -> Found {
    let mut len = run(text, is_base64url);
    let first = len;
    for part in 1..5 {
        if len == text.len() {
            // The last part may be empty: the algorithm is `none`.
            let is_secret = part > 2 || is_cut;
            return if is_secret {
                Found::Secret(len)
            } else {
                Found::Nothing(first)
            };
        }
        let next = match text[len..].strip_prefix(b".") {
            Some(next) => run(next, is_base64url),
            None if part > 2 => return Found::Secret(len),
            None => return Found::Nothing(first),
        };
        if part > 2 && next == 0 {
            return Found::Secret(len);
        }
        len += 1 + next;
    }
    Found::Secret(len)
}

/// Returns the private key in PEM at the start of `text`. Line ends may be escaped.
fn private_key(text: &[u8]) -> Found {
    const MAX_LABEL_LEN: usize = 48;
    let label = &text[KEY.len()..text.len().min(KEY.len() + MAX_LABEL_LEN)];
    let is_private = memmem::find(label, b"PRIVATE").is_some_and(|at| {
        let key = &label[at + b"PRIVATE".len()..];
        [&b" KEY"[..], b"+KEY", b"%20KEY"]
            .iter()
            .any(|start| key.starts_with(start))
    });
    if !is_private {
        return Found::Nothing(KEY.len());
    }
    let len = run(text, |byte| {
        byte.is_ascii_alphanumeric() || byte.is_ascii_whitespace() || b"+/=-\\:,.%".contains(&byte)
    });
    let end = memmem::find(&text[..len], b"-----END").and_then(|at| {
        let label = at + b"-----END".len();
        Some(label + memmem::find(&text[label..len], b"-----")? + b"-----".len())
    });
    Found::Secret(end.unwrap_or(len))
}

fn run(text: &[u8], is_part: impl Fn(u8) -> bool) -> usize {
    let end = text.iter().position(|byte| !is_part(*byte));
    end.unwrap_or(text.len())
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}
