//! `application/x-www-form-urlencoded`: the syntax of forms and of queries.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// Returns a name or a value with its percent-encoding and `+` decoded.
pub(crate) fn decoded(text: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr2(b'%', b'+', text).is_none() {
        return Cow::Borrowed(text);
    }
    let spaces: Vec<u8> = text
        .iter()
        .map(|&byte| if byte == b'+' { b' ' } else { byte })
        .collect();
    Cow::Owned(percent_decode(&spaces).collect())
}

/// Whether [`decoded`] text is `name`, without an allocation.
#[cfg(feature = "chaos")]
pub(crate) fn decodes_to(text: &[u8], name: &str) -> bool {
    let words = text.split(|&byte| byte == b'+').enumerate();
    let bytes = words.flat_map(|(index, word)| {
        let space = (index > 0).then_some(b' ');
        space.into_iter().chain(percent_decode(word))
    });
    bytes.eq(name.bytes())
}

/// Returns the encoded pairs of a form, empty ones included.
pub(crate) fn pairs(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|&byte| byte == b'&')
}

/// Returns the decoded names and values of a form as text; invalid UTF-8 becomes U+FFFD.
#[cfg(feature = "har")]
pub(crate) fn texts(text: &str) -> impl Iterator<Item = (String, String)> + '_ {
    let decoded = |text: &[u8]| String::from_utf8_lossy(&decoded(text)).into_owned();
    pairs(text.as_bytes())
        .filter(|pair| !pair.is_empty())
        .map(split)
        .map(move |(name, value)| (decoded(name), decoded(value.unwrap_or_default())))
}

/// Returns the encoded name and value of a pair; `None` for a value without `=`.
pub(crate) fn split(pair: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'=', pair) {
        Some(at) => (&pair[..at], Some(&pair[at + 1..])),
        None => (pair, None),
    }
}
