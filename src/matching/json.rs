//! JSON in canonical form.

use std::{borrow::Cow, ops::Range};

use crate::content::{
    json::{self, JsonItem, Walk},
    json_pointer::{Pointer, Step},
};

/// The maximum length of the canonical form, as a multiple of the length of the text, plus a number
/// of bytes: each selected value is written with its path.
const MAX_GROWTH: usize = 16;
const MAX_ADDED_BYTES: usize = 1 << 20;

/// The selection of JSON values, and whether the order of members matters.
#[derive(Clone, Debug, Default)]
pub(super) struct Canonical {
    pub(super) ignores_order: bool,
    pub(super) ignored: Vec<Pointer>,
    /// The selected values; `None` selects all.
    pub(super) only: Option<Vec<Pointer>>,
}

impl Canonical {
    /// Whether the selection includes every value and the order of members.
    pub(super) fn is_default(&self) -> bool {
        !self.ignores_order && self.ignored.is_empty() && self.only.is_none()
    }

    /// Returns the selected values in canonical form: without white space, and with one way of
    /// escaping. Numbers are kept as they are written, because readers differ on whether `1.0` is
    /// `1`. `None` if `text` is not JSON, is nested too deep, or has names so long that the result
    /// would exceed the limit.
    pub(super) fn write(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut writer = Writer::default();
        if self.only.is_some() {
            // The selected values become members of one object, named by their paths.
            writer.open(b'{', true);
        }
        let max_len = text
            .len()
            .saturating_mul(MAX_GROWTH)
            .saturating_add(MAX_ADDED_BYTES);
        let mut walk = Walk::new(text);
        // The number of open containers inside an ignored one, and inside a selected one.
        let (mut ignored, mut counting) = (0, 0);
        while let Some(item) = walk.next() {
            match item {
                _ if writer.out.len() > max_len => return None,
                JsonItem::Bad(_) => return None,
                JsonItem::Open(_) if ignored > 0 => ignored += 1,
                JsonItem::Close(_) if ignored > 0 => ignored -= 1,
                JsonItem::Value(_) if ignored > 0 => {}
                JsonItem::Open(at) => {
                    if self.is_ignored(&walk) {
                        ignored = 1;
                    } else if counting > 0 || self.counts(&walk) {
                        self.begin(&mut writer, &walk, counting == 0);
                        writer.open(text[at], self.ignores_order);
                        counting += 1;
                    }
                }
                JsonItem::Close(end) => {
                    if counting > 0 {
                        counting -= 1;
                        writer.close(text[end - 1]);
                    }
                }
                JsonItem::Value(range) => {
                    let is_cut =
                        text[range.start] == b'"' && !json::is_closed(&text[range.clone()]);
                    if is_cut {
                        return None;
                    }
                    if !self.is_ignored(&walk) && (counting > 0 || self.counts(&walk)) {
                        self.begin(&mut writer, &walk, counting == 0);
                        writer.scalar(&text[range]);
                    }
                }
            }
        }
        if !walk.is_outside() {
            return None;
        }
        if self.only.is_some() {
            writer.close(b'}');
        }
        Some(writer.finish())
    }

    fn is_ignored(&self, walk: &Walk<'_>) -> bool {
        self.ignored.iter().any(|pointer| walk.is_at(pointer))
    }

    /// Whether the current value of `walk`, outside of all selected containers, is selected itself.
    fn counts(&self, walk: &Walk<'_>) -> bool {
        match &self.only {
            None => true,
            Some(only) => only.iter().any(|pointer| walk.is_at(pointer)),
        }
    }

    fn begin(&self, writer: &mut Writer, walk: &Walk<'_>, is_outermost: bool) {
        if self.only.is_some() && is_outermost {
            writer.begin(Some(&json::escaped(&path(walk))));
        } else {
            writer.begin(walk.name());
        }
    }
}

/// Returns the path of the current value, as a JSON pointer.
fn path(walk: &Walk<'_>) -> Vec<u8> {
    let mut path = Vec::new();
    for step in walk.steps() {
        path.push(b'/');
        match step {
            Step::Index(index) => path.extend(index.to_string().bytes()),
            Step::Name(name) => {
                for &byte in json::unescaped(name).iter() {
                    match byte {
                        b'~' => path.extend(b"~0"),
                        b'/' => path.extend(b"~1"),
                        byte => path.push(byte),
                    }
                }
            }
        }
    }
    path
}

/// Writes values in their order, then sorts the members of all objects at once: each byte is copied
/// at most twice, whatever its depth.
#[derive(Default)]
struct Writer {
    out: Vec<u8>,
    /// The objects, ordered by their starts.
    objects: Vec<Object>,
    open: Vec<Container>,
    is_sorted: bool,
}

struct Object {
    range: Range<usize>,
    /// The index of the first object that begins after the end of this one.
    next: usize,
    members: Vec<Member>,
}

struct Member {
    name: Range<usize>,
    /// The range of the value, with its name.
    range: Range<usize>,
    /// The objects in the value.
    objects: Range<usize>,
}

enum Container {
    /// The index of an object whose members are sorted.
    Sorted(usize),
    /// An array or unsorted object, and whether it has values.
    Other(bool),
}

impl Writer {
    /// Begins a value, of a member if `name` is given (escaped, without quotes).
    fn begin(&mut self, name: Option<&[u8]>) {
        let has_values = match self.open.last_mut() {
            Some(Container::Sorted(object)) => !self.objects[*object].members.is_empty(),
            Some(Container::Other(has_values)) => std::mem::replace(has_values, true),
            // Several texts in sequence.
            None => !self.out.is_empty(),
        };
        if has_values {
            let between = if self.open.is_empty() { b'\n' } else { b',' };
            self.out.push(between);
        }
        let start = self.out.len();
        if let Some(name) = name {
            write_string(&mut self.out, name);
            self.out.push(b':');
        }
        let objects = self.objects.len();
        if let Some(Container::Sorted(object)) = self.open.last() {
            self.objects[*object].members.push(Member {
                name: start..self.out.len(),
                range: start..start,
                objects: objects..objects,
            });
        }
    }

    fn open(&mut self, bracket: u8, sorts: bool) {
        if sorts && bracket == b'{' {
            self.open.push(Container::Sorted(self.objects.len()));
            self.objects.push(Object {
                range: self.out.len()..0,
                next: 0,
                members: Vec::with_capacity(8),
            });
        } else {
            self.open.push(Container::Other(false));
        }
        self.out.push(bracket);
    }

    fn close(&mut self, bracket: u8) {
        self.out.push(bracket);
        let next = self.objects.len();
        if let Some(Container::Sorted(object)) = self.open.pop() {
            let object = &mut self.objects[object];
            object.range.end = self.out.len();
            object.next = next;
            let name = |member: &Member| &self.out[member.name.clone()];
            if !object.members.is_sorted_by_key(name) {
                // Members of one name keep their order.
                object.members.sort_by(|a, b| name(a).cmp(name(b)));
                self.is_sorted = true;
            }
        }
        self.end_value();
    }

    fn scalar(&mut self, value: &[u8]) {
        if value.starts_with(b"\"") {
            write_string(&mut self.out, json::inside(value));
        } else {
            self.out.extend_from_slice(value);
        }
        self.end_value();
    }

    fn end_value(&mut self) {
        let next = self.objects.len();
        if let Some(Container::Sorted(object)) = self.open.last()
            && let Some(member) = self.objects[*object].members.last_mut()
        {
            member.range.end = self.out.len();
            member.objects.end = next;
        }
    }

    fn finish(self) -> Vec<u8> {
        if !self.is_sorted {
            return self.out;
        }
        let mut sorted = Vec::with_capacity(self.out.len());
        self.copy(0..self.out.len(), 0..self.objects.len(), &mut sorted);
        sorted
    }

    /// Copies `range`, which contains `objects`. The recursion is as deep as the nesting,
    /// which is limited.
    fn copy(&self, range: Range<usize>, objects: Range<usize>, out: &mut Vec<u8>) {
        let mut at = range.start;
        let mut next = objects.start;
        while next < objects.end {
            let object = &self.objects[next];
            out.extend_from_slice(&self.out[at..object.range.start]);
            out.push(b'{');
            for (number, member) in object.members.iter().enumerate() {
                if number > 0 {
                    out.push(b',');
                }
                self.copy(member.range.clone(), member.objects.clone(), out);
            }
            out.push(b'}');
            at = object.range.end;
            next = object.next;
        }
        out.extend_from_slice(&self.out[at..range.end]);
    }
}

/// Writes a string. `inside` is escaped, without quotes.
fn write_string(out: &mut Vec<u8>, inside: &[u8]) {
    out.push(b'"');
    match json::unescaped(inside) {
        // Text without escapes needs none.
        Cow::Borrowed(plain) => out.extend_from_slice(plain),
        Cow::Owned(text) => out.extend(json::escaped(&text)),
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(rules: &Canonical, text: &str) -> Option<String> {
        let written = rules.write(text.as_bytes())?;
        Some(String::from_utf8_lossy(&written).into_owned())
    }

    fn pointers(pointers: &[&str]) -> Vec<Pointer> {
        pointers
            .iter()
            .map(|pointer| Pointer::new(pointer))
            .collect()
    }

    #[test]
    fn members_are_sorted_at_every_depth() {
        let sorting = Canonical {
            ignores_order: true,
            ..Canonical::default()
        };
        for (text, expected) in [
            (
                r#" { "b" : [ {"z":1,"y":{}}, 2 ] , "a" : "\u0041\/" } "#,
                r#"{"a":"A/","b":[{"y":{},"z":1},2]}"#,
            ),
            (
                r#"{"c":{"b":{"d":1,"a":2},"a":{"y":3,"x":4}},"a":[{},{"b":1,"a":2},{}]}"#,
                r#"{"a":[{},{"a":2,"b":1},{}],"c":{"a":{"x":4,"y":3},"b":{"a":2,"d":1}}}"#,
            ),
            (r#"{"b":2,"a":1,"b":1}"#, r#"{"a":1,"b":2,"b":1}"#),
            (
                "[1.0, 1, 1E1, 100000000000000000001]",
                "[1.0,1,1E1,100000000000000000001]",
            ),
            ("{\"b\":1,\"a\":2}\n{}", "{\"a\":2,\"b\":1}\n{}"),
            ("7", "7"),
        ] {
            assert_eq!(written(&sorting, text).as_deref(), Some(expected));
        }
        for text in ["{", "[1,]", "\"half", "{\"a\":\"b", &"[".repeat(500)] {
            assert_eq!(written(&sorting, text), None, "{text}");
        }
    }

    #[test]
    fn only_selected_values_are_written() {
        let text = r#"{"id":1,"meta":{"nonce":[1,{"x":2}],"at":3},"items":[{"sku":"a","n":1},{"n":2,"sku":"b"}]}"#;
        let ignoring = Canonical {
            ignored: pointers(&["/meta/nonce", "/items/*/n"]),
            ..Canonical::default()
        };
        assert_eq!(
            written(&ignoring, text).as_deref(),
            Some(r#"{"id":1,"meta":{"at":3},"items":[{"sku":"a"},{"sku":"b"}]}"#)
        );
        let choosing = Canonical {
            only: Some(pointers(&["/items/*/sku", "/meta", "/none"])),
            ignored: pointers(&["/**/nonce"]),
            ..Canonical::default()
        };
        assert_eq!(
            written(&choosing, text).as_deref(),
            Some(r#"{"/items/0/sku":"a","/items/1/sku":"b","/meta":{"at":3}}"#)
        );
    }
}
