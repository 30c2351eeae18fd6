//! Media types that are looked into, and where things stand in them.

use super::display::essence;

/// A content that is looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind<'a> {
    /// One JSON text or several, one after the other.
    Json {
        /// By its media type; else it only looks like it.
        is_declared: bool,
    },
    /// `text/event-stream`.
    Events,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `multipart/...` with its boundary, if it has one.
    Multipart(Option<&'a [u8]>),
}

/// What a content is by its media type and, where that says little, by how it looks.
pub(crate) fn kind<'a>(content_type: Option<&'a [u8]>, content: &[u8]) -> Option<Kind<'a>> {
    let declared = declared(content_type);
    if may_be_json(content_type) {
        // `curl -d` calls everything a form, and `navigator.sendBeacon` sends JSON as text.
        let is_form = matches!(declared, Some(Declared::Kind(Kind::Form)));
        if looks_like_json(content) && (!is_form || super::json::is_json(content)) {
            return Some(Kind::Json { is_declared: false });
        }
    }
    match declared {
        Some(Declared::Kind(kind)) => Some(kind),
        _ => None,
    }
}

/// Whether a content is taken for JSON if it looks like it.
pub(crate) fn may_be_json(content_type: Option<&[u8]>) -> bool {
    matches!(
        declared(content_type),
        Some(Declared::Kind(Kind::Form) | Declared::Text) | None
    )
}

/// Whether a content begins as JSON does.
pub(crate) fn looks_like_json(content: &[u8]) -> bool {
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    matches!(content.trim_ascii_start().first(), Some(b'{' | b'['))
}

/// What a content is by its media type alone.
pub(crate) fn declared_kind(content_type: Option<&[u8]>) -> Option<Kind<'_>> {
    match declared(content_type) {
        Some(Declared::Kind(kind)) => Some(kind),
        _ => None,
    }
}

enum Declared<'a> {
    Kind(Kind<'a>),
    /// Text that might be anything.
    Text,
    Other,
}

fn declared(content_type: Option<&[u8]>) -> Option<Declared<'_>> {
    let content_type = content_type?;
    // Where a proxy has made one field of two, the first counts.
    let mut types = essence(content_type).split(|&byte| byte == b',');
    let essence = types.next().unwrap_or_default().trim_ascii();
    let essence = essence.to_ascii_lowercase();
    let kind = match essence.as_slice() {
        b"" => return None,
        b"text/plain" => return Some(Declared::Text),
        b"application/x-www-form-urlencoded" => Kind::Form,
        b"text/event-stream" => Kind::Events,
        multipart if multipart.starts_with(b"multipart/") => {
            Kind::Multipart(parameter(content_type, "boundary"))
        }
        other if is_json(other) => Kind::Json { is_declared: true },
        _ => return Some(Declared::Other),
    };
    Some(Declared::Kind(kind))
}

/// Whether a `Content-Type` is `text/event-stream`.
pub(crate) fn is_event_stream(content_type: &[u8]) -> bool {
    declared_kind(Some(content_type)) == Some(Kind::Events)
}

/// In lower case.
fn is_json(essence: &[u8]) -> bool {
    const NAMES: [&[u8]; 7] = [
        b"json",
        b"x-json",
        b"json-seq",
        b"ndjson",
        b"x-ndjson",
        b"jsonl",
        b"x-jsonl",
    ];
    let subtype = essence.split(|&byte| byte == b'/').nth(1);
    subtype.is_some_and(|subtype| {
        NAMES.contains(&subtype) || subtype.ends_with(b"+json") || subtype.ends_with(b"+json-seq")
    })
}

/// A parameter of a field's value, without its quotes; what is escaped in it stays so.
pub(crate) fn parameter<'a>(value: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut all = parameters(value);
    let found = all.find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()));
    found.map(|(_, value)| value)
}

/// Names and values of all parameters, as [`parameter`] gives them.
pub(crate) fn parameters(value: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    let start = memchr::memchr(b';', value).unwrap_or(value.len());
    let mut rest = &value[start..];
    std::iter::from_fn(move || {
        while let Some(after) = rest.strip_prefix(b";") {
            let equals = after.iter().position(|byte| matches!(byte, b'=' | b';'))?;
            let (name, after) = after.split_at(equals);
            let Some(after) = after.strip_prefix(b"=") else {
                rest = after;
                continue;
            };
            let after = after.trim_ascii_start();
            let (value, after) = if let Some(quoted) = after.strip_prefix(b"\"") {
                quoted.split_at(end_of_quoted(quoted))
            } else {
                let end = memchr::memchr(b';', after).unwrap_or(after.len());
                (after[..end].trim_ascii(), &after[end..])
            };
            rest = &after[memchr::memchr(b';', after).unwrap_or(after.len())..];
            return Some((name.trim_ascii(), value));
        }
        None
    })
}

/// Where the quote stands that ends a quoted string.
fn end_of_quoted(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_types_say_what_a_content_is() {
        let json = Some(Kind::Json { is_declared: true });
        let looks = Some(Kind::Json { is_declared: false });
        for (content_type, content, expected) in [
            ("application/json", "x", json),
            ("Application/Problem+JSON; charset=utf-8", "", json),
            ("application/x-ndjson", "", json),
            ("text/html", "{", None),
            ("application/jsonp", "{", None),
            ("application/x-www-form-urlencoded", "a=1", Some(Kind::Form)),
            ("application/x-www-form-urlencoded", " {\"a\"", looks),
            ("application/json, text/html", "x", json),
            ("text/plain; charset=utf-8", "[1]", looks),
            ("text/plain", "\u{feff} [1]", looks),
            ("text/plain", "a", None),
            ("", "{", looks),
            ("text/event-stream", "{", Some(Kind::Events)),
            ("multipart/form-data", "", Some(Kind::Multipart(None))),
            (
                "multipart/form-data; a=\"b;\\\"boundary=x\"; Boundary = \"y z\"",
                "",
                Some(Kind::Multipart(Some(b"y z"))),
            ),
            (
                "multipart/mixed;x;boundary=y ; z=1",
                "",
                Some(Kind::Multipart(Some(b"y"))),
            ),
        ] {
            let found = kind(Some(content_type.as_bytes()), content.as_bytes());
            assert_eq!(found, expected, "{content_type}");
        }
        assert_eq!(kind(None, b"{"), looks);
        assert_eq!(kind(None, b"a=1"), None);
        assert_eq!(parameter(b"a; name=\"half", "name"), Some(&b"half"[..]));
        assert_eq!(parameter(b"a; name=\"half\\", "name"), Some(&b"half\\"[..]));
    }
}
