//! Secrets in forms and queries.

use super::{edits::Edits, mark::Mark, names::SecretNames};
use crate::content::form;

/// Returns `text` with the values of secret fields replaced, or `None` if it has no secrets.
pub(super) fn urlencoded(text: &[u8], names: &SecretNames, mark: &Mark) -> Option<Vec<u8>> {
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
