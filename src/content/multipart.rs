//! Parts of `multipart/...` (RFC 2046, section 5.1.1).

use std::{borrow::Cow, iter, ops::Range};

use memchr::memmem;
use percent_encoding::percent_decode;

use super::media_type::{parameter, parameters};

/// The parts of multipart content, and the text around them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    /// The range of the text before the first part.
    pub(crate) before: Range<usize>,
    pub(crate) parts: Vec<Part>,
    /// The range of the text after the last part.
    pub(crate) after: Range<usize>,
}

/// The ranges of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    head: Range<usize>,
    pub(crate) content: Range<usize>,
    /// Whether an empty line separates the header section from the content.
    is_split: bool,
}

impl Part {
    /// Returns the lines of the part's header section.
    fn lines<'a>(&self, text: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
        let mut rest = &text[self.head.clone()];
        iter::from_fn(move || {
            // A line that begins with white space continues the previous one.
            let mut ends = memchr::memchr_iter(b'\n', rest);
            let end = ends.find(|at| !matches!(rest.get(at + 1), Some(b' ' | b'\t')));
            let (line, after) = rest.split_at(end.unwrap_or(rest.len()));
            rest = after.get(1..).unwrap_or_default();
            (end.is_some() || !line.is_empty()).then_some(line)
        })
    }

    /// Returns the values of the header `name` in the part.
    fn fields<'a>(&self, text: &'a [u8], name: &str) -> impl Iterator<Item = &'a [u8]> {
        let fields = self.lines(text).filter_map(|line| {
            let colon = memchr::memchr(b':', line)?;
            Some((line[..colon].trim_ascii(), line[colon + 1..].trim_ascii()))
        });
        let fields = fields.filter(move |(found, _)| found.eq_ignore_ascii_case(name.as_bytes()));
        fields.map(|(_, value)| value)
    }

    fn field<'a>(&self, text: &'a [u8], name: &str) -> Option<&'a [u8]> {
        self.fields(text, name).next()
    }

    /// Whether the header section has only valid headers, and ends with an empty line.
    pub(crate) fn is_sound(&self, text: &[u8]) -> bool {
        let is_field = |line: &[u8]| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
            let has_name = !name.trim_ascii().is_empty() && name.len() < line.len();
            let is_name = name.trim_ascii().iter().all(u8::is_ascii_graphic);
            let mut ends = memchr::memchr_iter(b'\r', line);
            has_name && is_name && ends.all(|at| line.get(at + 1) == Some(&b'\n'))
        };
        self.is_split && self.lines(text).all(is_field)
    }

    /// Returns all names that a reader may find for the form field; `None` for a name in pieces
    /// (RFC 2231).
    pub(crate) fn names<'a>(&self, text: &'a [u8]) -> impl Iterator<Item = Option<Cow<'a, [u8]>>> {
        let dispositions = self.fields(text, "content-disposition");
        let parameters = dispositions.flat_map(parameters);
        parameters.flat_map(|(name, value)| {
            let (first, second) = match name.to_ascii_lowercase().as_slice() {
                b"name" => (
                    Some(Some(Cow::Borrowed(value))),
                    value.contains(&b'\\').then(|| Some(unquoted(value))),
                ),
                b"name*" => (Some(Some(extended(value))), None),
                name if name.starts_with(b"name*") => (Some(None), None),
                _ => (None, None),
            };
            first.into_iter().chain(second)
        })
    }

    /// Whether the part has a transfer encoding, so that its content cannot be searched.
    pub(crate) fn is_encoded(&self, text: &[u8]) -> bool {
        let mut transfer = self.fields(text, "content-transfer-encoding");
        let is_plain = |coding: &[u8]| {
            let plain: [&[u8]; 5] = [b"7bit", b"8bit", b"binary", b"identity", b""];
            plain.iter().any(|plain| plain.eq_ignore_ascii_case(coding))
        };
        transfer.any(|coding| !is_plain(coding))
            || self
                .fields(text, "content-encoding")
                .any(|coding| !is_plain(coding))
    }

    /// Returns the name of the form field.
    pub(crate) fn name<'a>(&self, text: &'a [u8]) -> Option<&'a [u8]> {
        parameter(self.field(text, "content-disposition")?, "name")
    }

    pub(crate) fn content_type<'a>(&self, text: &'a [u8]) -> Option<&'a [u8]> {
        self.field(text, "content-type")
    }

    /// Returns the range of header section and content.
    pub(crate) fn whole(&self) -> Range<usize> {
        self.head.start..self.content.end
    }
}

/// Returns a quoted string without its backslashes.
fn unquoted(value: &[u8]) -> Cow<'_, [u8]> {
    let mut out = Vec::with_capacity(value.len());
    let mut bytes = value.iter();
    while let Some(&byte) = bytes.next() {
        let byte = if byte == b'\\' {
            bytes.next()
        } else {
            Some(&byte)
        };
        out.extend(byte);
    }
    Cow::Owned(out)
}

/// Returns the value after charset and language, decoded (RFC 8187).
fn extended(value: &[u8]) -> Cow<'_, [u8]> {
    let text = value.splitn(3, |&byte| byte == b'\'').nth(2);
    Cow::from(percent_decode(text.unwrap_or(value)))
}

/// Returns the parts, or `None` if there are none. In text that is cut, the beginning of the last
/// part counts as a part.
pub(crate) fn parts(text: &[u8], boundary: &[u8]) -> Option<Content> {
    let delimiter = [b"--", boundary].concat();
    let mut delimiters = memmem::find_iter(text, &delimiter).filter_map(|start| {
        let is_line = start == 0 || text[start - 1] == b'\n';
        let after = &text[start + delimiter.len()..];
        let is_last = after.starts_with(b"--");
        let padding = after.iter().take_while(|byte| matches!(byte, b' ' | b'\t'));
        let padding = padding.count();
        let end = match &after[padding..] {
            [b'\r', b'\n', ..] => 2,
            [b'\n', ..] => 1,
            [] | [b'\r'] => after.len() - padding,
            _ if is_last => 0,
            _ => return None,
        };
        let start = match &text[..start] {
            [.., b'\r', b'\n'] => start - 2,
            [.., b'\n'] => start - 1,
            _ => start,
        };
        let next = text.len() - after.len() + padding + end;
        is_line.then_some((start, next, is_last))
    });
    let (first, mut from, mut is_last) = delimiters.next()?;
    let mut parts = Vec::new();
    while !is_last && from < text.len() {
        let next = delimiters.next();
        let end = next.map_or(text.len(), |(start, ..)| start.max(from));
        parts.push(part(text, from..end));
        let Some((_, next, last)) = next else {
            from = text.len();
            break;
        };
        (from, is_last) = (next, last);
    }
    // The two hyphens that end the last delimiter do not belong to the following text.
    let after = &text[from..];
    let after = after
        .strip_prefix(b"--")
        .filter(|_| is_last)
        .unwrap_or(after);
    Some(Content {
        before: 0..first,
        parts,
        after: text.len() - after.len()..text.len(),
    })
}

fn part(text: &[u8], whole: Range<usize>) -> Part {
    let part = &text[whole.clone()];
    // A part without headers begins with an empty line.
    let empty_line = [(&b"\r\n"[..], 2), (b"\n", 1)]
        .into_iter()
        .find_map(|(start, len)| part.starts_with(start).then_some((0, len)));
    let ends = [(&b"\r\n\r\n"[..], 4), (b"\n\n", 2), (b"\n\r\n", 3)]
        .into_iter()
        .filter_map(|(end, len)| Some((memmem::find(part, end)?, len)));
    let split = empty_line.or_else(|| ends.min());
    let (head, line) = split.unwrap_or((part.len(), 0));
    Part {
        is_split: split.is_some(),
        head: whole.start..whole.start + head,
        content: whole.start + head + line..whole.end,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name and content of each part.
    fn read(text: &str) -> Option<Vec<(String, String)>> {
        let bytes = text.as_bytes();
        let parts = parts(bytes, b"b")?.parts;
        let lossy = |text: &[u8]| String::from_utf8_lossy(text).into_owned();
        let part = |part: &Part| {
            (
                lossy(part.name(bytes).unwrap_or_default()),
                lossy(&bytes[part.content.clone()]),
            )
        };
        Some(parts.iter().map(part).collect())
    }

    fn all(parts: &[(&str, &str)]) -> Vec<(String, String)> {
        let owned = |(name, content): &(&str, &str)| ((*name).to_owned(), (*content).to_owned());
        parts.iter().map(owned).collect()
    }

    #[test]
    fn parts_are_found() {
        let head = "Content-Disposition: form-data; name=\"a\"";
        let text = format!(
            "before\r\n--b\r\n{head}\r\n\r\n1\r\n--bc\r\n--b \r\ncontent-disposition:form-data;name=c\
             \r\nx: y\r\n\r\n\r\n--b\r\n\r\nno name\r\n--b--\r\nafter --b"
        );
        let expected = all(&[("a", "1\r\n--bc"), ("c", ""), ("", "no name")]);
        assert_eq!(read(&text), Some(expected));
        // Lines may end like this too.
        assert_eq!(
            read(&text.replace("\r\n", "\n")).map(|all| all.len()),
            Some(3)
        );
        assert_eq!(read("no part"), None);
        assert_eq!(read(""), None);
        assert_eq!(read("--b--"), Some(all(&[])));
    }

    #[test]
    fn cut_content_has_its_complete_parts() {
        let text = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nsecret\r\n--b--\r\n";
        for end in 0..=text.len() {
            let found = read(&text[..end]).unwrap_or_default();
            assert!(found.len() <= 1, "{end}");
            let before = "secret\r\n--b-";
            assert!(
                found
                    .iter()
                    .all(|(_, content)| before.starts_with(content.as_str())),
                "{end}"
            );
        }
    }
}
