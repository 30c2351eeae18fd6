//! `HeaderList`: headers as they are recorded.

use std::ops::Range;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use memchr::memchr;

/// Headers in the order in which they were received, with every repeated line.
///
/// The list is text in a buffer of its own: the values of a [`HeaderMap`] that came from the
/// network are slices of a read buffer, and would keep that buffer alive.
///
/// Unlike maps, two lists are equal only if their order is equal.
#[derive(Clone, Debug, Default)]
pub struct HeaderList {
    /// Lines `name: value\r\n`. Names and values contain no CR or LF, and names no colon.
    text: Bytes,
    /// The indexes of the lines whose value is marked sensitive.
    sensitive: Box<[usize]>,
}

impl HeaderList {
    /// Creates an empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of header lines. A header with two values on two lines counts twice.
    pub fn len(&self) -> usize {
        self.iter().count()
    }

    /// Whether the list has no lines.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Returns the first value of the header `name`, which is case-insensitive; `None` if the
    /// header is missing.
    pub fn get(&self, name: impl AsRef<str>) -> Option<&[u8]> {
        self.iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(name.as_ref()))
            .map(|(_, value)| value)
    }

    /// Returns all values of the header `name`, which is case-insensitive, in the order of the
    /// list.
    pub fn get_all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// Returns the name, in lower case, and the value of each line, in the order of the list.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        lines(&self.text).map(|(name, value)| (name, &self.text[value]))
    }

    /// Returns the headers as a [`HeaderMap`], whose values share the buffer of this list.
    pub fn to_map(&self) -> HeaderMap {
        let mut map = HeaderMap::with_capacity(self.len());
        for (number, (name, value)) in lines(&self.text).enumerate() {
            // Cannot fail: the list contains valid names and values.
            if let Ok(name) = HeaderName::from_bytes(name.as_bytes())
                && let Ok(mut value) = HeaderValue::from_maybe_shared(self.text.slice(value))
            {
                value.set_sensitive(self.sensitive.contains(&number));
                map.append(name, value);
            }
        }
        map
    }

    /// Returns the lines as text, each ended by CR LF.
    pub(crate) fn as_text(&self) -> &[u8] {
        &self.text
    }

    /// Replaces values by those that `replacement` returns. `replacement` is called with the name
    /// and value of each line, and whether the value is marked sensitive.
    pub(crate) fn replace(
        &mut self,
        replacement: impl Fn(&str, &[u8], bool) -> Option<HeaderValue>,
    ) {
        let new =
            |(number, (name, value))| replacement(name, value, self.sensitive.contains(&number));
        // Most lists have nothing to replace.
        if self.iter().enumerate().all(|line| new(line).is_none()) {
            return;
        }
        let mut text = Vec::with_capacity(self.text.len());
        for (number, (name, value)) in self.iter().enumerate() {
            match new((number, (name, value))) {
                Some(value) => push_line(&mut text, name, value.as_bytes()),
                None => push_line(&mut text, name, value),
            }
        }
        self.text = text.into();
    }

    /// Returns the name, in lower case, and the value of each line, in order, and whether the value
    /// is marked sensitive.
    pub(crate) fn iter_marked(&self) -> impl Iterator<Item = (&str, &[u8], bool)> {
        self.iter()
            .enumerate()
            .map(|(number, (name, value))| (name, value, self.sensitive.contains(&number)))
    }

    /// Removes all lines of the headers `names`, given in lower case.
    pub(crate) fn remove(&mut self, names: &[&str]) {
        if !self.iter().any(|(name, _)| names.contains(&name)) {
            return;
        }
        let (mut text, mut sensitive, mut kept) = (Vec::new(), Vec::new(), 0);
        for (name, value, is_sensitive) in self.iter_marked() {
            if !names.contains(&name) {
                push_line(&mut text, name, value);
                sensitive.extend(is_sensitive.then_some(kept));
                kept += 1;
            }
        }
        self.text = text.into();
        self.sensitive = sensitive.into();
    }

    /// Returns the size of the list in bytes.
    pub(crate) fn weight(&self) -> usize {
        self.text.len()
    }
}

#[inline]
fn push_line(text: &mut Vec<u8>, name: &str, value: &[u8]) {
    text.extend_from_slice(name.as_bytes());
    text.extend_from_slice(b": ");
    text.extend_from_slice(value);
    text.extend_from_slice(b"\r\n");
}

/// Returns the names in a text of header lines, and the ranges of their values.
fn lines(text: &[u8]) -> impl Iterator<Item = (&str, Range<usize>)> {
    let mut start = 0;
    std::iter::from_fn(move || {
        let line = &text[start..];
        let colon = memchr(b':', line)?;
        let end = colon + memchr(b'\r', &line[colon..])?;
        let value = start + colon + 2..start + end;
        start += end + 2;
        // Cannot fail: names are ASCII.
        Some((str::from_utf8(&line[..colon]).unwrap_or_default(), value))
    })
}

impl From<&HeaderMap> for HeaderList {
    fn from(map: &HeaderMap) -> Self {
        let mut text = HeaderText::default();
        text.set(&[], map);
        text.to_list()
    }
}

/// Header lines after a prefix, in a buffer that is filled on the request path, read on another
/// thread, and reused.
#[derive(Clone, Default)]
pub(crate) struct HeaderText {
    text: Vec<u8>,
    prefix: usize,
    sensitive: Vec<usize>,
}

impl HeaderText {
    pub(crate) fn set(&mut self, prefix: &[u8], map: &HeaderMap) {
        self.text.clear();
        self.sensitive.clear();
        self.text.extend_from_slice(prefix);
        self.prefix = prefix.len();
        for (number, (name, value)) in map.iter().enumerate() {
            push_line(&mut self.text, name.as_str(), value.as_bytes());
            if value.is_sensitive() {
                self.sensitive.push(number);
            }
        }
    }

    pub(crate) fn set_list(&mut self, prefix: &[u8], list: &HeaderList) {
        self.text.clear();
        self.text.extend_from_slice(prefix);
        self.text.extend_from_slice(&list.text);
        self.prefix = prefix.len();
        self.sensitive.clear();
        self.sensitive.extend_from_slice(&list.sensitive);
    }

    pub(crate) fn prefix(&self) -> &[u8] {
        &self.text[..self.prefix]
    }

    /// Returns the first value of the header `name`, given in lower case.
    pub(crate) fn get(&self, name: &str) -> Option<&[u8]> {
        let text = &self.text[self.prefix..];
        let mut lines = lines(text);
        lines
            .find(|(n, _)| *n == name)
            .map(|(_, value)| &text[value])
    }

    /// Returns the name, in lower case, and the value of each line, in order, and whether the value
    /// is marked sensitive.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &[u8], bool)> {
        let text = &self.text[self.prefix..];
        lines(text).enumerate().map(move |(number, (name, value))| {
            (name, &text[value], self.sensitive.contains(&number))
        })
    }

    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.prefix = 0;
        self.sensitive.clear();
    }

    pub(crate) fn to_list(&self) -> HeaderList {
        HeaderList {
            text: Bytes::copy_from_slice(&self.text[self.prefix..]),
            sensitive: self.sensitive.as_slice().into(),
        }
    }

    /// Returns the size in bytes.
    pub(crate) fn weight(&self) -> usize {
        self.text.len()
    }

    /// Returns the capacity of the buffer, in bytes.
    pub(crate) fn capacity(&self) -> usize {
        self.text.capacity()
    }
}

impl FromIterator<(HeaderName, HeaderValue)> for HeaderList {
    fn from_iter<I: IntoIterator<Item = (HeaderName, HeaderValue)>>(fields: I) -> Self {
        let mut text = Vec::new();
        let mut sensitive = Vec::new();
        for (number, (name, value)) in fields.into_iter().enumerate() {
            push_line(&mut text, name.as_str(), value.as_bytes());
            if value.is_sensitive() {
                sensitive.push(number);
            }
        }
        Self {
            text: text.into(),
            sensitive: sensitive.into(),
        }
    }
}

impl PartialEq for HeaderList {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for HeaderList {}
