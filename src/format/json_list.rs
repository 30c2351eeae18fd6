//! Reads the entries of a list in a JSON file, one at a time.
//!
//! After a syntax error, the reader continues with the next entry. It finds an entry by its first
//! key: `{"request":` cannot occur in a string, because a quote in a string has a backslash.

use std::io::{self, BufRead, Read};

use serde::de::{Deserialize, IgnoredAny};

use super::{
    ReadFault,
    node::{At, InvalidValue, Node},
};
use crate::content::json;

/// The keys with which an entry of a HAR or of a cassette may begin.
pub(super) const FIRST_KEYS: [&str; 16] = [
    "cache",
    "comment",
    "connection",
    "id",
    "index",
    "pageref",
    "recorded_at",
    "request",
    "response",
    "serverIPAddress",
    "serverPort",
    "startedDateTime",
    "startTime",
    "time",
    "timestamp",
    "timings",
];

/// The note on a replaced surrogate.
pub(super) const UNPAIRED: &str = "unpaired surrogate; replaced with U+FFFD";

/// The number of bytes in which the first key of an entry is found.
const KEY_SPACE: usize = 256;

/// The place of a list in a file.
#[derive(Clone, Copy)]
pub(super) struct ListPath<'a> {
    /// The possible names of each step.
    pub(super) steps: &'a [&'a [&'static str]],
    /// Whether the file may also be the list itself.
    pub(super) may_be_file: bool,
}

/// An entry, or a part of the file that is not JSON.
pub(super) enum Item<'a> {
    Entry {
        at: At<'a>,
        /// The changes that were made to read the entry.
        notes: Vec<InvalidValue>,
    },
    Missing(InvalidValue),
    Syntax {
        line: usize,
        column: usize,
        reason: String,
    },
}

/// Calls `on_item` with each entry of the list at `path`. `on_item` returns false to stop the
/// reader.
pub(super) fn read(
    source: impl BufRead,
    path: ListPath<'_>,
    on_item: &mut dyn FnMut(Item<'_>) -> bool,
) -> Result<(), ReadFault> {
    let mut reader = Reader {
        input: Input::new(source),
        path,
        list: String::from("$"),
        index: 0,
        is_whole_file: false,
        on_item,
    };
    reader.run()
}

/// The reason why a reader stops.
enum DecodeEnd {
    Io(io::Error),
    /// The line and the column, from 1, and the reason.
    Syntax((usize, usize), String),
    ByCaller,
}

impl From<io::Error> for DecodeEnd {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

struct Reader<'a, R> {
    input: Input<R>,
    path: ListPath<'a>,
    /// The path of the list that is read.
    list: String,
    /// The number of entries that are read.
    index: usize,
    /// Whether the list is the whole file, and not in an object.
    is_whole_file: bool,
    on_item: &'a mut dyn FnMut(Item<'_>) -> bool,
}

impl<R: BufRead> Reader<'_, R> {
    fn run(&mut self) -> Result<(), ReadFault> {
        let mut result = self.file();
        loop {
            let (line, column, reason) = match result {
                Ok(()) | Err(DecodeEnd::ByCaller) => return Ok(()),
                Err(DecodeEnd::Io(error)) => return Err(error.into()),
                Err(DecodeEnd::Syntax((line, column), reason)) => (line, column, reason),
            };
            if !self.input.find_entry()? {
                return Err(ReadFault::Syntax {
                    line,
                    column,
                    reason,
                });
            }
            let error = Item::Syntax {
                line,
                column,
                reason,
            };
            if !(self.on_item)(error) {
                return Ok(());
            }
            result = self.rest_of_file();
        }
    }

    fn file(&mut self) -> Result<(), DecodeEnd> {
        match self.input.next_token()? {
            Some(b'[') if self.path.may_be_file => {
                self.is_whole_file = true;
                self.list()?;
            }
            Some(b'{') => self.object(0)?,
            _ => return Err(self.input.expected("an object")),
        }
        self.end()
    }

    /// Reads on from an entry.
    fn rest_of_file(&mut self) -> Result<(), DecodeEnd> {
        let depth = if self.is_whole_file {
            0
        } else {
            self.path.steps.len()
        };
        if self.list.matches('.').count() < depth {
            // The names in the file may be damaged.
            let names = self.path.steps.iter().map(|names| names[0]);
            self.list = names.fold(String::from("$"), |list, name| list + "." + name);
        }
        self.entries()?;
        for depth in (0..depth).rev() {
            self.rest_of_object(depth)?;
        }
        self.end()
    }

    fn end(&mut self) -> Result<(), DecodeEnd> {
        match self.input.next_token()? {
            None => Ok(()),
            Some(_) => Err(self.input.expected("the end of the file")),
        }
    }

    /// Reads an object of the path, after its opening brace.
    fn object(&mut self, depth: usize) -> Result<(), DecodeEnd> {
        let is_found = match self.input.next_token()? {
            Some(b'}') => false,
            Some(b'"') => {
                let is_found = self.member(depth)?;
                self.rest_of_object(depth)? || is_found
            }
            _ => return Err(self.input.expected("a key")),
        };
        if !is_found {
            let names = self.path.steps[depth].join("` or `");
            let is_last = depth + 1 == self.path.steps.len();
            let kind = if is_last { "list" } else { "object" };
            let item = Item::Missing(InvalidValue {
                path: format!("{}.{}", self.list, self.path.steps[depth][0]),
                reason: format!("missing {kind} `{names}`"),
                is_damage: true,
            });
            if !(self.on_item)(item) {
                return Err(DecodeEnd::ByCaller);
            }
        }
        Ok(())
    }

    /// Reads an object after one of its members. Returns whether it has the step of the path.
    fn rest_of_object(&mut self, depth: usize) -> Result<bool, DecodeEnd> {
        let mut is_found = false;
        loop {
            match self.input.next_token()? {
                Some(b'}') => return Ok(is_found),
                Some(b',') => {}
                _ => return Err(self.input.expected("`,` or `}`")),
            }
            match self.input.next_token()? {
                Some(b'"') => is_found |= self.member(depth)?,
                _ => return Err(self.input.expected("a key")),
            }
        }
    }

    /// Reads a member after the quote that begins its key. Returns whether it is the step of the
    /// path.
    fn member(&mut self, depth: usize) -> Result<bool, DecodeEnd> {
        self.input.unread();
        let key: String = self.input.value()?;
        if self.input.next_token()? != Some(b':') {
            return Err(self.input.expected("`:`"));
        }
        if !self.path.steps[depth].contains(&key.as_str()) {
            self.input.value::<IgnoredAny>()?;
            return Ok(false);
        }
        let before = self.list.len();
        self.list.push('.');
        self.list.push_str(&key);
        let is_last = depth + 1 == self.path.steps.len();
        match self.input.next_token()? {
            Some(b'[') if is_last => self.list()?,
            Some(b'{') if !is_last => self.object(depth + 1)?,
            _ => {
                let kind = if is_last { "a list" } else { "an object" };
                return Err(self.input.expected(kind));
            }
        }
        self.list.truncate(before);
        Ok(true)
    }

    /// Reads the list after its opening bracket.
    fn list(&mut self) -> Result<(), DecodeEnd> {
        if self.input.next_token()? == Some(b']') {
            return Ok(());
        }
        self.input.unread();
        self.entries()
    }

    /// Reads entries to the end of the list.
    fn entries(&mut self) -> Result<(), DecodeEnd> {
        loop {
            // Skips white space.
            self.input.next_token()?;
            self.input.unread();
            let start = self.input.position();
            let node: Node = self.input.value()?;
            let at = At::item_of(&self.list, self.index, &node);
            let mut notes = Vec::new();
            if self.input.has_unpaired(start) {
                notes.push(at.bad(UNPAIRED));
            }
            if !(self.on_item)(Item::Entry { at, notes }) {
                return Err(DecodeEnd::ByCaller);
            }
            self.index += 1;
            match self.input.next_token()? {
                Some(b',') => {}
                Some(b']') => return Ok(()),
                _ => return Err(self.input.expected("`,` or `]`")),
            }
        }
    }
}

/// A file, from the current value on.
struct Input<R> {
    source: R,
    window: Vec<u8>,
    /// The start of the current value.
    mark: usize,
    /// The next byte.
    at: usize,
    /// The end of the bytes whose surrogates are paired.
    ready: usize,
    is_at_end: bool,
    /// The position of the window in the file.
    offset: u64,
    /// The line breaks before the mark, and the column of the mark.
    lines: usize,
    column: usize,
    /// The positions of unpaired surrogates in the file, from the current value on.
    unpaired: Vec<u64>,
    /// The number of bytes that were parsed.
    #[cfg(test)]
    parsed: usize,
}

impl<R: BufRead> Input<R> {
    fn new(source: R) -> Self {
        Self {
            source,
            window: Vec::new(),
            mark: 0,
            at: 0,
            ready: 0,
            is_at_end: false,
            offset: 0,
            lines: 0,
            column: 0,
            unpaired: Vec::new(),
            #[cfg(test)]
            parsed: 0,
        }
    }

    fn position(&self) -> u64 {
        self.offset + self.at as u64
    }

    /// Whether an unpaired surrogate was found between `start` and the next byte.
    fn has_unpaired(&mut self, start: u64) -> bool {
        let end = self.position();
        let found = self.unpaired.iter().any(|at| (start..end).contains(at));
        self.unpaired.retain(|at| *at >= end);
        found
    }

    /// Sets the start of the current value.
    fn set_mark(&mut self, mark: usize) {
        let passed = &self.window[self.mark..mark];
        match memchr::memrchr(b'\n', passed) {
            Some(last) => {
                self.lines += memchr::memchr_iter(b'\n', passed).count();
                self.column = passed.len() - last - 1;
            }
            None => self.column += passed.len(),
        }
        self.mark = mark;
    }

    /// Reads more bytes. Returns false at the end of the file.
    fn fill(&mut self) -> io::Result<bool> {
        if self.mark > 0 {
            self.window.drain(..self.mark);
            self.offset += self.mark as u64;
            self.at -= self.mark;
            self.ready -= self.mark;
            self.mark = 0;
        }
        while self.at == self.ready && !self.is_at_end {
            let bytes = match self.source.fill_buf() {
                Ok(bytes) => bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let count = bytes.len();
            self.is_at_end = count == 0;
            self.window.extend_from_slice(bytes);
            self.source.consume(count);
            let start = self.offset + self.ready as u64;
            let unpaired = &mut self.unpaired;
            self.ready += replace_unpaired(&mut self.window[self.ready..], self.is_at_end, |at| {
                unpaired.push(start + at as u64);
            });
        }
        Ok(self.at < self.ready)
    }

    fn next_byte(&mut self) -> io::Result<Option<u8>> {
        if self.at == self.ready && !self.fill()? {
            return Ok(None);
        }
        let byte = self.window[self.at];
        self.at += 1;
        Ok(Some(byte))
    }

    /// Returns the next byte that is not white space.
    fn next_token(&mut self) -> io::Result<Option<u8>> {
        loop {
            self.set_mark(self.at);
            match self.next_byte()? {
                Some(b' ' | b'\t' | b'\r' | b'\n') => {}
                byte => return Ok(byte),
            }
        }
    }

    /// Steps back to the last token.
    fn unread(&mut self) {
        self.at = self.mark;
    }

    /// Reads a value.
    fn value<T: for<'de> Deserialize<'de>>(&mut self) -> Result<T, DecodeEnd> {
        let first = self.next_token()?;
        self.unread();
        let (lines, column) = (self.lines, self.column);
        let mut json = serde_json::Deserializer::from_reader(&mut *self);
        match T::deserialize(&mut json) {
            Ok(value) => {
                // The end of a number shows in the byte after it.
                let is_number = first.is_some_and(|b| b == b'-' || b.is_ascii_digit());
                let is_in_number = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                let last = self.window[..self.at].last();
                if is_number && last.is_some_and(|last| !is_in_number(last)) {
                    self.at -= 1;
                }
                Ok(value)
            }
            Err(error) if error.is_io() => Err(DecodeEnd::Io(error.into())),
            Err(error) => {
                let is_first_line = error.line() <= 1;
                let place = (
                    lines + error.line().max(1),
                    error.column() + if is_first_line { column } else { 0 },
                );
                let reason = error.to_string();
                if reason.starts_with("recursion limit") {
                    // No entry is in a value that is nested as deep.
                    self.set_mark(self.at);
                }
                let end = reason.rfind(" at line ").unwrap_or(reason.len());
                Err(DecodeEnd::Syntax(place, reason[..end].to_owned()))
            }
        }
    }

    /// Returns the error of a token that is not `what`.
    fn expected(&self, what: &str) -> DecodeEnd {
        let found = match self.window.get(self.mark..self.at) {
            None | Some([]) => "the end of the file".to_owned(),
            Some(token) => format!("`{}`", token.escape_ascii()),
        };
        let place = (self.lines + 1, self.column + 1);
        DecodeEnd::Syntax(place, format!("expected {what}, found {found}"))
    }

    /// Moves to the next entry after the mark. Returns false at the end of the file.
    fn find_entry(&mut self) -> io::Result<bool> {
        let mut from = self.mark + usize::from(self.mark < self.ready);
        // Values that contain the error: parsing them again would take quadratic time.
        let end = self.at.saturating_sub(1).max(self.mark);
        let mut open = open_values(&self.window[self.mark..end], self.mark);
        loop {
            let text = &self.window[..self.ready];
            let found = memchr::memchr_iter(b'{', &text[from..])
                .map(|at| from + at)
                .find(|at| begins_entry(text, *at) && open.binary_search(at).is_err());
            if let Some(at) = found {
                self.set_mark(at);
                self.at = at;
                return Ok(true);
            }
            // An entry may begin at the end of the window.
            let kept = self.ready.saturating_sub(KEY_SPACE).max(from);
            self.set_mark(kept);
            self.at = self.ready;
            open.clear();
            from = 0;
            if !self.fill()? {
                return Ok(false);
            }
        }
    }
}

impl<R: BufRead> Read for Input<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() || (self.at == self.ready && !self.fill()?) {
            return Ok(0);
        }
        let count = buffer.len().min(self.ready - self.at);
        buffer[..count].copy_from_slice(&self.window[self.at..][..count]);
        self.at += count;
        #[cfg(test)]
        {
            self.parsed += count;
        }
        Ok(count)
    }
}

/// Returns the positions of the lists and objects that are open at the end of `text`, which begins
/// at `offset`.
fn open_values(text: &[u8], offset: usize) -> Vec<usize> {
    let mut open = Vec::new();
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match byte {
            b'{' | b'[' => open.push(offset + at),
            b'}' | b']' => {
                open.pop();
            }
            b'"' => at += json::string(&text[at..]) - 1,
            _ => {}
        }
        at += 1;
    }
    open
}

/// Whether the brace at `at` begins an entry.
fn begins_entry(text: &[u8], at: usize) -> bool {
    let space = at.saturating_sub(KEY_SPACE);
    let is_member = text[space..at].trim_ascii_end().ends_with(b":");
    let inside = text[at + 1..].trim_ascii_start();
    let inside = &inside[..inside.len().min(KEY_SPACE)];
    let Some((key, rest)) = inside
        .strip_prefix(b"\"")
        .and_then(|key| Some(key.split_at(memchr::memchr(b'"', key)?)))
    else {
        return false;
    };
    let is_key = key.starts_with(b"_") || FIRST_KEYS.iter().any(|first| first.as_bytes() == key);
    !is_member && is_key && rest[1..].trim_ascii_start().starts_with(b":")
}

/// Replaces the escapes of unpaired surrogates (RFC 8259, 8.2) with that of U+FFFD, and calls
/// `on_unpaired` with their positions. Returns the number of bytes that are checked; the rest
/// depends on bytes that follow.
pub(super) fn replace_unpaired(
    text: &mut [u8],
    is_at_end: bool,
    mut on_unpaired: impl FnMut(usize),
) -> usize {
    const PAIR: usize = r"\ud83d\ude00".len();
    const ONE: usize = PAIR / 2;

    let mut at = 0;
    while let Some(found) = memchr::memchr(b'\\', &text[at..]) {
        at += found;
        let rest = &text[at..];
        if rest.len() < PAIR && !is_at_end {
            return at;
        }
        let next = rest.get(ONE..).unwrap_or_default();
        at += match (unit(rest), unit(next)) {
            (Some(0xd800..0xdc00), Some(0xdc00..0xe000)) => PAIR,
            (Some(0xd800..0xe000), _) => {
                text[at..at + ONE].copy_from_slice(br"\ufffd");
                on_unpaired(at);
                ONE
            }
            _ => rest.len().min(2),
        };
    }
    text.len()
}

/// Reads an escape of a UTF-16 unit at the start of `text`.
fn unit(text: &[u8]) -> Option<u16> {
    let digits = text.strip_prefix(br"\u")?.get(..4)?;
    u16::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_files_take_linear_time() {
        const PATH: ListPath<'_> = ListPath {
            steps: &[&["log"], &["entries"]],
            may_be_file: false,
        };
        for part in [
            r#"[{"time":"#,
            r#"{"time":["#,
            r#"{"request":1 "#,
            r#"{"request":[{"time":1},"#,
            r#"{"time":1},"#,
            r#"{"_a":""#,
            "{",
            "[",
            r"\ud800",
        ] {
            let text = format!(
                r#"{{"log":{{"entries":[{}"#,
                part.repeat(100_000 / part.len())
            );
            let mut reader = Reader {
                input: Input::new(text.as_bytes()),
                path: PATH,
                list: String::from("$"),
                index: 0,
                is_whole_file: false,
                on_item: &mut |_| true,
            };
            assert!(reader.run().is_err(), "{part}");
            assert!(
                reader.input.parsed <= 3 * text.len(),
                "{part}: {}",
                reader.input.parsed
            );
        }
    }

    #[test]
    fn unpaired_surrogates_are_replaced() {
        for (text, expected) in [
            (r"a\ud83d\ude00b", r"a\ud83d\ude00b"),
            (r"\ud83d", r"\ufffd"),
            (r"\ud83dx\ude00", r"\ufffdx\ufffd"),
            (r"\ud83d\ud83d\ude00", r"\ufffd\ud83d\ude00"),
            (r"\\ud83d\uDCE9", r"\\ud83d\ufffd"),
            (r"\u12\", r"\u12\"),
            (r"\ud8é", r"\ud8é"),
        ] {
            let mut whole = text.as_bytes().to_vec();
            assert_eq!(replace_unpaired(&mut whole, true, |_| ()), text.len());
            assert_eq!(String::from_utf8_lossy(&whole), expected);
        }
        assert_eq!(
            replace_unpaired(&mut br"a\ud83d\ud".to_vec(), false, |_| ()),
            1
        );
    }
}
