//! Secrets in JSON.

use std::ops::Range;

use super::{
    Rules,
    edits::Edits,
    mark::Mark,
    names::{SecretNames, SecretRule},
    pairs::PairSyntax,
    splice::splice,
    text::MAX_DEPTH,
};
use crate::content::{
    json::{self, JsonItem, Walk},
    json_pointer::Pointer,
};

/// The selection of secret values in JSON.
#[derive(Clone, Debug, Default)]
pub(super) struct SecretValues {
    /// The names of members that are secret at any depth.
    pub(super) names: SecretNames,
    pub(super) pointers: Vec<Pointer>,
}

impl SecretValues {
    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty() && self.pointers.is_empty()
    }

    /// Whether a user has named at least one secret.
    pub(super) fn has_named(&self) -> bool {
        self.names.has_named() || !self.pointers.is_empty()
    }

    /// Returns the rule that makes the current value of `walk` secret.
    fn rule(&self, walk: &Walk<'_>) -> Option<SecretRule> {
        if self.pointers.iter().any(|pointer| walk.is_at(pointer)) {
            return Some(SecretRule::Named);
        }
        self.names.find(&json::unescaped(walk.name()?))
    }

    /// Whether the current value of `walk`, which is `value`, is secret.
    fn contains(&self, walk: &Walk<'_>, value: &[u8]) -> bool {
        match value {
            b"null" => false,
            // `has_password` is a flag.
            b"true" | b"false" => self
                .rule(walk)
                .is_some_and(|rule| rule != SecretRule::UsualEnding),
            _ => self.rule(walk).is_some(),
        }
    }
}

impl Rules {
    /// Returns `text` with its secrets replaced, or `None` if it has no secrets. All other bytes
    /// are kept.
    ///
    /// Invalid JSON may contain any secret: if a user has named secrets, the invalid rest of
    /// content declared as JSON is replaced.
    pub(super) fn json(&self, text: &[u8], is_declared: bool, depth: usize) -> Option<Vec<u8>> {
        let (values, mark) = (&self.values, &self.mark);
        let mut edits = Edits::new(text);
        let mut walk = Walk::new(text);
        // The start of a secret container, and the number of containers open in it.
        let mut secret: Option<(usize, usize)> = None;
        loop {
            match (walk.next(), &mut secret) {
                (Some(JsonItem::Open(_)), Some((_, depth))) => *depth += 1,
                (Some(JsonItem::Close(end)), Some((start, depth))) => {
                    *depth -= 1;
                    if *depth == 0 {
                        let range = *start..end;
                        secret = None;
                        mark.replace_value(&mut edits, text, range);
                    }
                }
                (Some(JsonItem::Value(_)), Some(_)) | (Some(JsonItem::Close(_)), None) => {}
                (None | Some(JsonItem::Bad(_)), Some((start, _))) => {
                    mark.replace_value(&mut edits, text, *start..text.len());
                    break;
                }
                (Some(JsonItem::Open(start)), None) => {
                    if values.rule(&walk).is_some() {
                        secret = Some((start, 1));
                    }
                }
                (Some(JsonItem::Value(range)), None) => {
                    let value = &text[range.clone()];
                    if values.contains(&walk, value) {
                        mark.replace_value(&mut edits, text, range);
                    } else if let Some(new) = self.string(value, depth) {
                        edits.replace(range, &new);
                    }
                }
                (Some(JsonItem::Bad(at)), None) if is_declared && values.has_named() => {
                    if !mark.is_mark(&text[at..]) {
                        edits.replace(at..text.len(), mark.of(&text[at..]).as_bytes());
                    }
                    break;
                }
                (Some(JsonItem::Bad(_)), None) => {
                    self.members_after(text, &mut edits, begins_with_object(text));
                    break;
                }
                (None, None) => break,
            }
        }
        edits.finish()
    }

    /// Returns a string with the secrets in its content replaced: the content may be JSON, a form,
    /// or text with URIs.
    fn string(&self, value: &[u8], depth: usize) -> Option<Vec<u8>> {
        if value.first() != Some(&b'"') || depth >= MAX_DEPTH {
            return None;
        }
        let inside = json::inside(value);
        // One of these precedes each secret in a text, or encodes the byte that does. Secrets with
        // a known shape are found later.
        memchr::memchr3(b'=', b':', b'\\', inside)?;
        let plain = json::unescaped(inside);
        let new = self.text(&plain, PairSyntax::TEXT_IN_BODY, depth + 1)?;
        let new = splice(inside, &plain, &new, json::unescaped_unit, json::escaped);
        let end = &value[1 + inside.len()..];
        Some([b"\"", new.as_slice(), end].concat())
    }
}

/// Whether a text begins with an object, or with an array of objects.
fn begins_with_object(text: &[u8]) -> bool {
    let mut bytes = text.iter().filter(|byte| !byte.is_ascii_whitespace());
    match bytes.next() {
        Some(b'{') => true,
        Some(b'[') => bytes.next() == Some(&b'{'),
        _ => false,
    }
}

impl Mark {
    /// Replaces the JSON value at `range` with a string.
    pub(super) fn replace_value(&self, edits: &mut Edits<'_>, text: &[u8], range: Range<usize>) {
        let value = &text[range.clone()];
        let mark = if value.starts_with(b"\"") {
            let inside = json::inside(value);
            if self.is_mark(inside) {
                return;
            }
            self.of(&json::unescaped(inside))
        } else {
            self.of(value)
        };
        edits.replace(range, format!("\"{mark}\"").as_bytes());
    }
}
