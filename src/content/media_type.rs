//! Media types, and the classification of content for redaction, matching, display and export.

use super::json;

/// The format of content, as far as the crate examines it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ContentKind<'a> {
    /// One JSON text, or several in sequence.
    Json {
        /// Whether the media type is JSON. Otherwise the content looks like JSON, or is in a more
        /// liberal format such as JSON5.
        is_declared: bool,
    },
    /// `text/event-stream`.
    EventStream,
    /// `application/x-www-form-urlencoded`.
    Form,
    /// `multipart/...` with its boundary, if one is declared.
    Multipart(Option<&'a [u8]>),
    /// `text/plain` or no media type: the content may be anything.
    Unspecified,
    /// Another media type.
    Other,
}

impl<'a> ContentKind<'a> {
    /// Determines the format by the media type and, unless the media type is that of another
    /// format, by the start of `content`.
    pub(crate) fn of(content_type: Option<&'a [u8]>, content: &[u8]) -> Self {
        let declared = Self::declared(content_type);
        // `curl -d` calls everything a form, and `navigator.sendBeacon` sends JSON as text.
        let is_json = match declared {
            Self::Form => looks_like_json(content) && json::is_whole(content),
            Self::Unspecified | Self::Other => looks_like_json(content),
            _ => false,
        };
        if is_json {
            Self::Json { is_declared: false }
        } else {
            declared
        }
    }

    /// Determines the format by the media type alone.
    pub(crate) fn declared(content_type: Option<&'a [u8]>) -> Self {
        let content_type = content_type.unwrap_or_default();
        // Of two headers that a proxy has joined, the first one is valid.
        let mut types = essence(content_type).split(|&byte| byte == b',');
        let essence = types.next().unwrap_or_default().trim_ascii();
        match essence.to_ascii_lowercase().as_slice() {
            b"" | b"text/plain" => Self::Unspecified,
            b"application/x-www-form-urlencoded" => Self::Form,
            b"text/event-stream" => Self::EventStream,
            essence if essence.starts_with(b"multipart/") => {
                Self::Multipart(parameter(content_type, "boundary"))
            }
            b"application/json5" | b"text/json5" | b"application/jsonc" | b"text/jsonc" => {
                Self::Json { is_declared: false }
            }
            essence if is_json(essence) => Self::Json { is_declared: true },
            _ => Self::Other,
        }
    }

    /// Whether content begins as this declared format does, so that it is unlikely to be in
    /// another one.
    pub(crate) fn begins(self, content: &[u8]) -> bool {
        match self {
            Self::Json { .. } => looks_like_json(content),
            Self::EventStream => !looks_like_json(content),
            Self::Form => true,
            Self::Multipart(_) => content.trim_ascii_start().starts_with(b"--"),
            Self::Unspecified | Self::Other => false,
        }
    }

    /// Whether the content is JSON, declared or not.
    pub(crate) fn is_json(self) -> bool {
        matches!(self, Self::Json { .. })
    }
}

/// Whether content begins like a JSON object or array.
pub(crate) fn looks_like_json(content: &[u8]) -> bool {
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    // A record separator begins each text of a sequence (RFC 7464).
    let mut bytes = content.iter();
    let first = bytes.find(|byte| !byte.is_ascii_whitespace() && **byte != 0x1e);
    matches!(first, Some(b'{' | b'['))
}

/// Whether content begins like a form: with a name and `=`.
pub(crate) fn looks_like_form(content: &[u8]) -> bool {
    const LONGEST_NAME: usize = 128;
    let content = content.trim_ascii_start();
    let start = &content[..content.len().min(LONGEST_NAME)];
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.~%+[]$@:!*'()".contains(byte);
    memchr::memchr(b'=', start).is_some_and(|at| at > 0 && start[..at].iter().all(is_name))
}

/// Whether a `Content-Type` is `text/event-stream`.
pub(crate) fn is_event_stream(content_type: &[u8]) -> bool {
    ContentKind::declared(Some(content_type)) == ContentKind::EventStream
}

/// Whether content can be shown as text, by its media type or its bytes. With `is_cut`, content may
/// end within a character.
pub(crate) fn is_text(content_type: Option<&[u8]>, content: &[u8], is_cut: bool) -> bool {
    let essence = essence(content_type.unwrap_or_default()).to_ascii_lowercase();
    (is_textual(&essence) && !content.contains(&0)) || looks_like_text(content, is_cut)
}

/// Whether a `Content-Type` is that of XML.
pub(crate) fn is_xml(content_type: Option<&[u8]>) -> bool {
    let essence = essence(content_type.unwrap_or_default()).to_ascii_lowercase();
    essence.ends_with(b"/xml") || essence.ends_with(b"+xml")
}

/// Returns a media type without its parameters.
pub(crate) fn essence(content_type: &[u8]) -> &[u8] {
    let end = memchr::memchr(b';', content_type);
    content_type[..end.unwrap_or(content_type.len())].trim_ascii()
}

/// Whether a media type, in lower case and without parameters, is that of a text format.
fn is_textual(essence: &[u8]) -> bool {
    const SUFFIXES: [&[u8]; 10] = [
        b"json",
        b"xml",
        b"yaml",
        b"javascript",
        b"ecmascript",
        b"x-www-form-urlencoded",
        b"x-ndjson",
        b"graphql",
        b"toml",
        b"sql",
    ];
    essence.starts_with(b"text/")
        || essence
            .iter()
            .rposition(|&byte| byte == b'/' || byte == b'+')
            .is_some_and(|at| SUFFIXES.contains(&&essence[at + 1..]))
}

/// Whether `content` is UTF-8 and has no control characters except those of text.
fn looks_like_text(content: &[u8], is_cut: bool) -> bool {
    let is_control =
        |byte: u8| matches!(byte, 0..b' ' | 0x7f) && !matches!(byte, b'\t' | b'\n' | b'\r');
    // Without a branch per byte, the compiler vectorizes this loop.
    let has_control = content
        .iter()
        .fold(false, |has, &byte| has | is_control(byte));
    !has_control
        && match str::from_utf8(content) {
            Ok(_) => true,
            Err(error) => is_cut && error.error_len().is_none(),
        }
}

/// Whether a media type, in lower case and without parameters, is that of JSON.
fn is_json(essence: &[u8]) -> bool {
    const NAMES: [&[u8]; 13] = [
        b"csp-report",
        b"json",
        b"json-rpc",
        b"json-seq",
        b"jsonl",
        b"jsonlines",
        b"jsonrequest",
        b"ndjson",
        b"x-json",
        b"x-json-stream",
        b"x-jsonl",
        b"x-jsonlines",
        b"x-ndjson",
    ];
    let subtype = essence.split(|&byte| byte == b'/').nth(1);
    subtype.is_some_and(|subtype| {
        NAMES.contains(&subtype)
            || subtype.ends_with(b"+json")
            || subtype.ends_with(b"+json-seq")
            || subtype.starts_with(b"x-amz-json-")
    })
}

/// Returns the value of a parameter of a header value, without quotes; its escapes are kept.
pub(crate) fn parameter<'a>(value: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut all = parameters(value);
    let found = all.find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()));
    found.map(|(_, value)| value)
}

/// Returns names and values of all parameters, in the form in which [`parameter`] returns a value.
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

/// Returns the position of the closing quote of a quoted string.
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
    fn content_is_classified_by_media_type_then_by_its_start() {
        let json = ContentKind::Json { is_declared: true };
        let looks = ContentKind::Json { is_declared: false };
        for (content_type, content, expected) in [
            ("application/json", "x", json),
            ("Application/Problem+JSON; charset=utf-8", "", json),
            ("application/x-ndjson", "", json),
            ("application/x-amz-json-1.1", "", json),
            ("application/csp-report", "", json),
            ("application/json5", "", looks),
            ("text/html", "<", ContentKind::Other),
            ("text/html", "{", looks),
            ("application/octet-stream", "\u{1e}{}", looks),
            (
                "application/x-www-form-urlencoded",
                "a=1",
                ContentKind::Form,
            ),
            ("application/x-www-form-urlencoded", " {\"a\":1}", looks),
            (
                "application/x-www-form-urlencoded",
                "{\"&a=1",
                ContentKind::Form,
            ),
            ("application/json, text/html", "x", json),
            ("text/plain; charset=utf-8", "[1]", looks),
            ("text/plain", "\u{feff} [1]", looks),
            ("text/plain", "a", ContentKind::Unspecified),
            ("", "{", looks),
            ("text/event-stream", "{", ContentKind::EventStream),
            ("multipart/form-data", "", ContentKind::Multipart(None)),
            (
                "multipart/form-data; a=\"b;\\\"boundary=x\"; Boundary = \"y z\"",
                "",
                ContentKind::Multipart(Some(b"y z")),
            ),
            (
                "multipart/mixed;x;boundary=y ; z=1",
                "",
                ContentKind::Multipart(Some(b"y")),
            ),
        ] {
            let found = ContentKind::of(Some(content_type.as_bytes()), content.as_bytes());
            assert_eq!(found, expected, "{content_type}");
        }
        assert_eq!(ContentKind::of(None, b"{"), looks);
        assert_eq!(ContentKind::of(None, b"a=1"), ContentKind::Unspecified);
        assert_eq!(parameter(b"a; name=\"half", "name"), Some(&b"half"[..]));
        assert_eq!(parameter(b"a; name=\"half\\", "name"), Some(&b"half\\"[..]));
    }
}
