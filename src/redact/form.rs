//! Secrets in forms, and in queries, which look the same.

use super::{edits::Edits, json::Values, mark::Mark, names::Names};
use crate::media::{self, Kind, form, multipart};

/// Replaces the values of secret fields; `None` if there are none.
pub(super) fn urlencoded(text: &[u8], names: &Names, mark: &Mark) -> Option<Vec<u8>> {
    if names.is_empty() {
        return None;
    }
    let mut edits = Edits::new(text);
    let mut at = 0;
    for pair in form::pairs(text) {
        let end = at + pair.len();
        if let (name, Some(value)) = form::split(pair)
            && !mark.is_mark(value)
            && names.find_nested(&form::decoded(name)).is_some()
        {
            let mark = mark.of(&form::decoded(value));
            edits.replace(end - value.len()..end, mark.as_bytes());
        }
        at = end + 1;
    }
    edits.finish()
}

/// Replaces the contents of secret parts, and the secrets in parts that are JSON; `None` if there
/// are none.
///
/// What has no parts where it should is replaced as a whole if somebody has named secrets.
pub(super) fn multipart(
    text: &[u8],
    boundary: Option<&[u8]>,
    names: &Names,
    values: &Values,
    mark: &Mark,
) -> Option<Vec<u8>> {
    let mut edits = Edits::new(text);
    let Some(parts) = boundary.and_then(|boundary| multipart::parts(text, boundary)) else {
        if (names.has_named() || values.has_named()) && !mark.is_mark(text) {
            edits.replace(0..text.len(), mark.of(text).as_bytes());
        }
        return edits.finish();
    };
    for part in parts {
        let content = &text[part.content.clone()];
        let name = part.name(text).unwrap_or_default();
        if names.find_nested(name).is_some() {
            if !mark.is_mark(content) {
                edits.replace(part.content, mark.of(content).as_bytes());
            }
        } else if let Some(Kind::Json { is_declared }) =
            media::kind(part.content_type(text), content)
            && let Some(clean) = values.redact(content, mark, is_declared)
        {
            edits.replace(part.content, &clean);
        }
    }
    edits.finish()
}
