//! Secrets in JSON.

use std::ops::Range;

use memchr::memchr;

use super::{
    edits::Edits,
    mark::Mark,
    names::{SecretNames, SecretRule},
};
use crate::content::{
    json::{self, JsonItem, Walk},
    json_pointer::Pointer,
};

/// The maximum length of a secret's name that is searched in invalid JSON, in bytes.
const LONGEST_NAME: usize = 64;

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
    fn rule(&self, walk: &Walk<'_>, is_string: bool) -> Option<SecretRule> {
        if self.pointers.iter().any(|pointer| walk.is_at(pointer)) {
            return Some(SecretRule::Named);
        }
        if !is_string && !self.names.has_named() {
            return None;
        }
        let rule = self.rule_of(walk.name()?);
        // By its usual name, only a string is secret.
        rule.filter(|rule| is_string || *rule == SecretRule::Named)
    }

    /// Returns the rule that makes a member named `name` secret.
    fn rule_of(&self, name: &[u8]) -> Option<SecretRule> {
        self.names.find(&json::unescaped(name))
    }

    /// Returns `text` with its secrets replaced, or `None` if it has no secrets. All other bytes
    /// are kept.
    ///
    /// Invalid JSON may contain any secret: if a user has named secrets, the invalid rest of
    /// content declared as JSON is replaced.
    pub(super) fn redact(&self, text: &[u8], mark: &Mark, is_declared: bool) -> Option<Vec<u8>> {
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
                        let place = *start..end;
                        secret = None;
                        replace(&mut edits, text, place, mark);
                    }
                }
                (Some(JsonItem::Value(_)), Some(_)) | (Some(JsonItem::Close(_)), None) => {}
                (None | Some(JsonItem::Bad(_)), Some((start, _))) => {
                    replace(&mut edits, text, *start..text.len(), mark);
                    break;
                }
                (Some(JsonItem::Open(start)), None) => {
                    if self.rule(&walk, false).is_some() {
                        secret = Some((start, 1));
                    }
                }
                (Some(JsonItem::Value(place)), None) => {
                    let is_string = text[place.start] == b'"';
                    // `null` is not a secret.
                    if self.rule(&walk, is_string).is_some() && text[place.clone()] != *b"null" {
                        replace(&mut edits, text, place, mark);
                    }
                }
                (Some(JsonItem::Bad(at)), None) if is_declared && self.has_named() => {
                    if !mark.is_mark(&text[at..]) {
                        edits.replace(at..text.len(), mark.of(&text[at..]).as_bytes());
                    }
                    break;
                }
                (Some(JsonItem::Bad(at)), None) => {
                    self.scan(text, at, mark, &mut edits);
                    break;
                }
                (None, None) => break,
            }
        }
        edits.finish()
    }

    /// Replaces the values of what looks like secret members in invalid JSON.
    fn scan(&self, text: &[u8], from: usize, mark: &Mark, edits: &mut Edits<'_>) {
        let mut at = from;
        while let Some(found) = memchr(b'"', &text[at..]) {
            // The start of a string is unknown here: each quote is tried.
            at += found + 1;
            let Some(place) = self.member(text, at) else {
                continue;
            };
            at = place.end;
            replace(edits, text, place, mark);
        }
    }

    /// Returns the range of the string value of a secret member whose name begins at `name`.
    fn member(&self, text: &[u8], name: usize) -> Option<Range<usize>> {
        let rest = &text[name..];
        let end = memchr(b'"', &rest[..rest.len().min(LONGEST_NAME)])?;
        self.rule_of(&rest[..end])?;
        let after = rest[end + 1..].trim_ascii_start().strip_prefix(b":")?;
        let value = after.trim_ascii_start();
        let start = text.len() - value.len();
        value
            .starts_with(b"\"")
            .then(|| start..start + json::string(value))
    }
}

/// Replaces the value at `place` with a string.
fn replace(edits: &mut Edits<'_>, text: &[u8], place: Range<usize>, mark: &Mark) {
    let value = &text[place.clone()];
    let mark = if value.starts_with(b"\"") {
        let inside = json::inside(value);
        if mark.is_mark(inside) {
            return;
        }
        mark.of(&json::unescaped(inside))
    } else {
        mark.of(value)
    };
    edits.replace(place, format!("\"{mark}\"").as_bytes());
}
