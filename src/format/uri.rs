//! URIs as other programs write them.

use std::borrow::Cow;

use http::{Uri, uri::InvalidUri};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// Characters of a query that [`Uri`] rejects.
const NOT_IN_QUERY: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>');

/// Characters of a path that [`Uri`] rejects.
const NOT_IN_PATH: &AsciiSet = &CONTROLS.add(b' ').add(b'<').add(b'>').add(b'`');

/// Characters that a valid URI (RFC 3986) cannot contain.
pub(super) const NOT_IN_URI: &AsciiSet = &NOT_IN_QUERY
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Parses the URI of a request, without the fragment.
///
/// A client's request has the characters that [`Uri`] accepts as they are. Other characters are
/// percent-encoded, the host is converted to ASCII, and an empty path becomes `/`.
pub(super) fn parse(text: &str) -> Result<Uri, InvalidUri> {
    let text = text.split('#').next().unwrap_or_default();
    let (scheme, rest) = split_scheme(text);
    let authority_end = match scheme {
        "" => 0,
        _ => rest.find(['/', '?']).unwrap_or(rest.len()),
    };
    let (authority, target) = rest.split_at(authority_end);
    let (path, query) = match target.find('?') {
        Some(at) => target.split_at(at),
        None => (target, ""),
    };
    let mut uri = format!("{scheme}{}", ascii_authority(authority));
    uri.extend(utf8_percent_encode(path, NOT_IN_PATH));
    if path.is_empty() && !(scheme.is_empty() && query.is_empty()) {
        uri.push('/');
    }
    uri.extend(utf8_percent_encode(query, NOT_IN_QUERY));
    uri.parse()
}

/// Splits after `://`; the scheme is empty in other forms of request targets.
fn split_scheme(text: &str) -> (&str, &str) {
    match text.find("://") {
        Some(at) if !text[..at].contains(['/', '?', '*']) => text.split_at(at + "://".len()),
        _ => ("", text),
    }
}

/// Converts the host in `authority` to ASCII (RFC 5891).
#[cfg(any(feature = "har", feature = "vcr"))]
fn ascii_authority(authority: &str) -> Cow<'_, str> {
    if authority.is_ascii() {
        return Cow::Borrowed(authority);
    }
    let host_start = authority.rfind('@').map_or(0, |at| at + 1);
    let (user, host) = authority.split_at(host_start);
    let (host, port) = host.split_at(host.find(':').unwrap_or(host.len()));
    match idna::domain_to_ascii(host) {
        Ok(host) => {
            let user = utf8_percent_encode(user, CONTROLS);
            Cow::Owned(format!("{user}{host}{port}"))
        }
        // The parser returns the error.
        Err(_) => Cow::Borrowed(authority),
    }
}

#[cfg(not(any(feature = "har", feature = "vcr")))]
fn ascii_authority(authority: &str) -> Cow<'_, str> {
    Cow::Borrowed(authority)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted_characters_stay_and_others_are_encoded() {
        for (text, expected) in [
            ("http://a/x|y?q={z}^`|", "http://a/x|y?q={z}^`|"),
            ("http://a/%7C%zz?%20", "http://a/%7C%zz?%20"),
            (
                "http://a/b c`<d>\t?e=\"f g\"",
                "http://a/b%20c%60%3Cd%3E%09?e=%22f%20g%22",
            ),
            ("http://a/é?é", "http://a/%C3%A9?%C3%A9"),
            ("http://a?x=1", "http://a/?x=1"),
            ("http://a#x", "http://a/"),
            ("http://user:pw@a:81?x://y", "http://user:pw@a:81/?x://y"),
            ("http://[::1]:80", "http://[::1]:80/"),
            ("/to?u=http://b|c", "/to?u=http://b|c"),
            ("?x=1", "/?x=1"),
            ("*", "*"),
        ] {
            assert_eq!(parse(text).expect(text), expected);
        }
        for text in ["", "http://", "http://a b/", "http:///x", "http://[::1/"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    #[cfg(any(feature = "har", feature = "vcr"))]
    fn international_hosts_are_converted_to_ascii() {
        for (text, expected) in [
            (
                "http://Bücher.example:81/x",
                "http://xn--bcher-kva.example:81/x",
            ),
            ("https://u@例え.テスト", "https://u@xn--r8jz45g.xn--zckzah/"),
        ] {
            assert_eq!(parse(text).expect(text), expected);
        }
    }
}
