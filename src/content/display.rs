//! What a content is: text that can be shown, or something else.

/// How a content is to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    /// Text that is worth a try to be indented.
    Json,
    Binary,
}

/// A media type without its parameters.
pub(crate) fn essence(content_type: &[u8]) -> &[u8] {
    let end = content_type.iter().position(|&byte| byte == b';');
    content_type[..end.unwrap_or(content_type.len())].trim_ascii()
}

/// What a content is, by what its sender says and by how it looks. One that was cut may end within a
/// character.
pub(crate) fn kind(content_type: Option<&[u8]>, content: &[u8], is_cut: bool) -> Kind {
    let essence = essence(content_type.unwrap_or_default()).to_ascii_lowercase();
    let names_text = names_text(&essence) && !content.contains(&0);
    if !names_text && !looks_like_text(content, is_cut) {
        return Kind::Binary;
    }
    match content.trim_ascii_start().first() {
        Some(b'{' | b'[') => Kind::Json,
        _ if essence.ends_with(b"json") => Kind::Json,
        _ => Kind::Text,
    }
}

/// In lower case.
fn names_text(essence: &[u8]) -> bool {
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

/// Whether it is UTF-8 without control characters but those that text has.
fn looks_like_text(content: &[u8], is_cut: bool) -> bool {
    // Without a branch a byte, this goes through many at a time.
    let is_control =
        |byte: u8| matches!(byte, 0..b' ' | 0x7f) && !matches!(byte, b'\t' | b'\n' | b'\r');
    let has_control = content
        .iter()
        .fold(false, |has, &byte| has | is_control(byte));
    !has_control
        && match str::from_utf8(content) {
            Ok(_) => true,
            Err(error) => is_cut && error.error_len().is_none(),
        }
}
