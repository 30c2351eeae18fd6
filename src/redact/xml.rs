//! Secrets in XML: the content of elements, and the values of attributes.

use std::ops::Range;

use memchr::{memchr, memmem};

use super::{Rules, edits::Edits};

impl Rules {
    /// Returns `text` with the contents of secret elements and the values of secret attributes
    /// replaced, or `None` if it has no secrets. The secret names are those of JSON members, without
    /// the prefix of the namespace.
    pub(super) fn xml(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut edits = Edits::new(text);
        let mut at = 0;
        while let Some(found) = memchr(b'<', &text[at..]) {
            let start = at + found + 1;
            let name = start..start + run(&text[start..], |byte| !is_end_of_name(byte));
            let is_secret = self.values.names.contains(&text[name.clone()]);
            let (end, is_empty) = self.attributes(text, name.end, &mut edits);
            at = end;
            if is_secret && !is_empty {
                let close = [b"</", &text[name]].concat();
                let len = memmem::find(&text[at..], &close);
                let content = at..at + len.unwrap_or(text.len() - at);
                at = content.end;
                self.xml_value(text, content, &mut edits);
            }
        }
        edits.finish()
    }

    /// Replaces the values of secret attributes in a tag. Returns the end of the tag, and whether
    /// the element is empty.
    fn attributes(&self, text: &[u8], start: usize, edits: &mut Edits<'_>) -> (usize, bool) {
        let mut at = start;
        let mut name = start..start;
        while let Some(&byte) = text.get(at) {
            match byte {
                b'>' => return (at + 1, text[..at].ends_with(b"/")),
                // The next tag, after a tag with an error.
                b'<' => return (at, true),
                b'"' | b'\'' => {
                    let len = memchr(byte, &text[at + 1..]);
                    let value = at + 1..at + 1 + len.unwrap_or(text.len() - at - 1);
                    at = value.end + 1;
                    if self.values.names.contains(&text[name.clone()]) {
                        self.xml_value(text, value, edits);
                    }
                    name = at..at;
                }
                _ if is_end_of_name(byte) => at += 1,
                _ => {
                    let len = run(&text[at..], |byte| !is_end_of_name(byte));
                    name = at..at + len;
                    at = name.end;
                }
            }
        }
        (text.len(), true)
    }

    fn xml_value(&self, text: &[u8], value: Range<usize>, edits: &mut Edits<'_>) {
        let secret = text[value.clone()].trim_ascii();
        if !secret.is_empty() && !self.mark.is_mark(secret) {
            edits.replace(value, self.mark.of(secret).as_bytes());
        }
    }
}

fn is_end_of_name(byte: u8) -> bool {
    byte.is_ascii_whitespace() || b"=/<>\"'".contains(&byte)
}

fn run(text: &[u8], is_part: impl Fn(u8) -> bool) -> usize {
    let end = text.iter().position(|byte| !is_part(*byte));
    end.unwrap_or(text.len())
}
