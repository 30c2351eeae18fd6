//! Reads segments: plain ones, and compressed ones that have a member for each record.

mod form;
#[cfg(feature = "gzip")]
mod gzip;
mod head;
mod text;
#[cfg(feature = "zstd")]
mod zstd;

use std::io::{self, BufRead, Seek};

use bytes::Bytes;
use memchr::memchr;

use self::{
    head::{RecordHead, exchange},
    text::Text,
};
use super::{MARK, MAX_HEAD};
use crate::message::Exchange;

#[cfg(feature = "zstd")]
pub(super) use self::form::ZSTD_DICTIONARY;

/// How much of a pair is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// All of it.
    Whole,
    /// The request, and of the response only what a lookup must know: how it ended. Its status,
    /// head and content are left out.
    Lookup,
}

/// What stands at the reader's place.
#[derive(Debug)]
pub(crate) enum Item {
    /// A pair, and where it begins.
    Exchange(u64, Box<Exchange>),
    /// A pair behind other records in one compressed member: it cannot be read from a place.
    Within(Box<Exchange>),
    /// Bytes that are no record of ours; the reader has gone on to the next that is.
    Bad(u64, String),
    /// The file ends within the pair that begins here: it was being written when its writer died.
    Torn(u64),
}

/// Reads the pairs of one segment. Of a compressed one, the places are those of members.
pub(crate) struct Reader<R> {
    text: Text<R>,
    /// The segment's id, as its records give it.
    info: Option<String>,
    /// The last record's head and where its block begins, if that was not read.
    skipped: Option<(RecordHead, u64)>,
    /// The head of a record that the one before it has nothing to do with, and where it begins.
    pending: Option<(Start, RecordHead)>,
    line: Vec<u8>,
}

/// Where a record begins.
#[derive(Clone, Copy)]
struct Start {
    place: u64,
    /// It is not what a member begins with.
    is_within: bool,
}

/// Why a record could not be read.
enum Fault {
    Io(io::Error),
    /// The input ends within the record.
    Torn,
    /// The bytes are no record, and where the next one begins is not known.
    Lost(String),
    /// The input ends before the record, with members that have no text.
    Nothing,
    /// The record is bad, but it ends where it says, and the input stands behind it.
    Bad(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl<R: BufRead + Seek> Reader<R> {
    /// Reads what stands between the input's place and `end`, both counted from its start.
    ///
    /// # Errors
    /// If it cannot be read, or is compressed in a way that needs a feature which is off
    /// ([`needs_feature`](crate::format::needs_feature)).
    pub(crate) fn new(input: R, end: u64) -> io::Result<Self> {
        Ok(Self {
            text: Text::new(input, end)?,
            info: None,
            skipped: None,
            pending: None,
            line: Vec::new(),
        })
    }

    /// The next thing in the segment, or `None` at its end.
    pub(crate) fn next(&mut self, depth: Depth) -> io::Result<Option<Item>> {
        if let Some(reason) = self.text.broken() {
            return Ok(Some(Item::Bad(0, reason)));
        }
        while self.pending.is_some() || !self.text.at_end() {
            let start = self.start();
            let place = start.place;
            match self.pair(depth) {
                Ok(None) | Err(Fault::Nothing) => {}
                Ok(Some(exchange)) => {
                    let exchange = Box::new(exchange);
                    return Ok(Some(if start.is_within {
                        Item::Within(exchange)
                    } else {
                        Item::Exchange(place, exchange)
                    }));
                }
                Err(Fault::Io(error)) => return Err(error),
                Err(Fault::Bad(reason)) => return Ok(Some(Item::Bad(place, reason))),
                Err(Fault::Lost(reason)) => {
                    if !self.find_next(place)? {
                        self.text.give_up();
                    }
                    return Ok(Some(Item::Bad(place, reason)));
                }
                Err(Fault::Torn) => {
                    // A length that is wrong looks just like a file that ends too early.
                    return Ok(Some(if self.find_next(place)? {
                        Item::Bad(place, "the record is shorter than it says".to_owned())
                    } else {
                        self.text.give_up();
                        Item::Torn(place)
                    }));
                }
            }
        }
        Ok(None)
    }

    /// Where the next record begins.
    fn start(&self) -> Start {
        match &self.pending {
            Some((start, _)) => *start,
            None => Start {
                place: self.text.place(),
                is_within: self.text.is_within(),
            },
        }
    }

    /// Reads a pair; `None` if the record here is of a kind that is none of our business.
    fn pair(&mut self, depth: Depth) -> Result<Option<Exchange>, Fault> {
        let start = self.text.place();
        let mut first = match self.pending.take() {
            Some((_, head)) => head,
            None => self.head()?,
        };
        if let Some((before, block)) = self.skipped.take()
            && (first.kind != "request" || first.info != self.info)
        {
            // Only a length that is wrong leads into a recorded body, and what stands there.
            self.text.seek(block)?;
            self.block(&before)?;
            self.text.seek(start)?;
            first = self.head()?;
        }
        if first.kind == "warcinfo" {
            // A member shows in the end only that it is not damaged.
            if self.text.is_compressed() {
                self.skip(first.length)?;
                self.info = Some(first.id);
                return Ok(None);
            }
            self.info = Some(first.id.clone());
        } else if self.info.is_none() {
            self.info.clone_from(&first.info);
        }
        if first.kind != "request" && first.kind != "response" {
            self.skip(first.length)?;
            // Of another tool it is none of our business.
            return if first.checksum.is_some() && first.kind != "warcinfo" {
                Err(Fault::Bad(format!("{:?} stands alone", first.kind)))
            } else {
                Ok(None)
            };
        }
        let first_block = self.block(&first)?;
        if self.text.at_end() && first.kind == "request" {
            return Err(Fault::Torn);
        }
        if self.text.at_end() {
            return Err(Fault::Bad("the response stands alone".to_owned()));
        }
        let second_start = self.start();
        let second = match self.head() {
            Err(Fault::Nothing) => return Err(Fault::Torn),
            head => head?,
        };
        let belongs = second.concurrent_to.as_ref() == Some(&first.id)
            || first.concurrent_to.as_ref() == Some(&second.id);
        let is_pair = matches!(
            (first.kind.as_str(), second.kind.as_str()),
            ("request", "response" | "metadata") | ("response", "request")
        );
        if !belongs || !is_pair {
            self.pending = Some((second_start, second));
            return Err(Fault::Bad(format!("the {} stands alone", first.kind)));
        }
        // Other tools put the response first.
        let read = if first.kind == "response" {
            let request = self.block(&second)?;
            exchange(&second, &request, &first, Some(first_block))
        } else if depth == Depth::Lookup {
            let block = self.text.place();
            self.skip(second.length)?;
            let read = exchange(&first, &first_block, &second, None);
            let is_unchecked = second.checksum.is_some() && !self.text.is_compressed();
            self.skipped = is_unchecked.then_some((second, block));
            read
        } else {
            let response = self.block(&second)?;
            exchange(&first, &first_block, &second, Some(response))
        };
        // Damage to the segment's first record would otherwise be felt in all.
        self.info = first.info;
        Ok(Some(read.map_err(Fault::Bad)?))
    }

    fn head(&mut self) -> Result<RecordHead, Fault> {
        match self.next_line() {
            Ok(()) if self.line.starts_with(MARK) => {}
            Err(Fault::Torn) if self.line.starts_with(MARK) || MARK.starts_with(&self.line) => {
                return Err(Fault::Torn);
            }
            Err(fault @ (Fault::Io(_) | Fault::Nothing | Fault::Lost(_))) => return Err(fault),
            _ => return Err(Fault::Lost("there should be a WARC record here".to_owned())),
        }
        let mut head = RecordHead::default();
        let mut length = None;
        let mut size = 0;
        loop {
            if head.checksum.is_none() {
                head.checked.update(&self.line);
                head.checked.update(b"\r\n");
            }
            self.next_line()?;
            if self.line.is_empty() {
                break;
            }
            size += self.line.len();
            if size > MAX_HEAD {
                return Err(Fault::Lost(format!(
                    "a record's head is over {MAX_HEAD} bytes"
                )));
            }
            let line = str::from_utf8(&self.line)
                .ok()
                .and_then(|line| line.split_once(':'));
            let Some((name, value)) = line else {
                let line = self.line.escape_ascii();
                return Err(Fault::Lost(format!("\"{line}\" is no field of a record")));
            };
            let value = value.trim();
            if name.eq_ignore_ascii_case("Content-Length") {
                length = value.parse().ok();
            } else if name.eq_ignore_ascii_case("WARC-Type") && !head.kind.is_empty() {
                return Err(Fault::Lost("a record begins within a head".to_owned()));
            } else {
                head.field(name, value);
            }
        }
        head.length = length.ok_or_else(|| Fault::Lost("the record has no length".to_owned()))?;
        self.text.check(head.length)?;
        Ok(head)
    }

    /// Puts the next line into `self.line`, without its end.
    fn next_line(&mut self) -> Result<(), Fault> {
        self.line.clear();
        loop {
            let buffer = self.text.fill()?;
            let end = memchr(b'\n', buffer);
            let used = end.map_or(buffer.len(), |end| end + 1);
            self.line.extend_from_slice(&buffer[..used]);
            self.text.consume(used);
            if end.is_some() {
                self.line.pop();
                if self.line.last() == Some(&b'\r') {
                    self.line.pop();
                }
                return Ok(());
            }
            if self.line.len() > MAX_HEAD {
                return Err(Fault::Lost("a line without an end".to_owned()));
            }
        }
    }

    /// Reads a record's block, and checks it.
    fn block(&mut self, head: &RecordHead) -> Result<Bytes, Fault> {
        let block = self.text.read(head.length)?;
        self.record_end()?;
        let mut found = head.checked.clone();
        found.update(&block);
        if head
            .checksum
            .is_some_and(|checksum| checksum != found.finalize())
        {
            // Perhaps it is the length that is wrong.
            let kind = &head.kind;
            return Err(Fault::Lost(format!(
                "the {kind} does not match its checksum"
            )));
        }
        Ok(block.into())
    }

    fn skip(&mut self, length: u64) -> Result<(), Fault> {
        self.text.skip(length)?;
        self.record_end()
    }

    fn record_end(&mut self) -> Result<(), Fault> {
        let mut end = [0; 4];
        self.text.read_exact(&mut end)?;
        if end != *b"\r\n\r\n" {
            return Err(Fault::Lost(
                "the record does not end where it says".to_owned(),
            ));
        }
        self.text.end_record()
    }

    /// Goes to the first pair of this segment after a place where the reader got lost. False, and
    /// no particular place, if there is none.
    ///
    /// A recorded body may contain what looks like records: a recording of a download of a
    /// recording, or an attacker's invention. Only this segment's own carry its id.
    fn find_next(&mut self, lost_at: u64) -> io::Result<bool> {
        let mut from = lost_at + 1;
        while let Some(candidate) = self.text.find(from)? {
            self.text.seek(candidate)?;
            match self.head() {
                Ok(head) if self.is_start(&head) => {
                    self.text.seek(candidate)?;
                    return Ok(true);
                }
                Err(Fault::Io(error)) => return Err(error),
                Ok(_) | Err(_) => from = candidate + 1,
            }
        }
        Ok(false)
    }

    fn is_start(&self, head: &RecordHead) -> bool {
        match &self.info {
            Some(info) => head.kind == "request" && head.info.as_ref() == Some(info),
            None => !head.id.is_empty(),
        }
    }
}

/// The zstd dictionary at the start of a file; empty if it has none that can be used.
#[cfg(feature = "zstd")]
pub(super) fn dictionary(input: impl BufRead + Seek, end: u64) -> io::Result<Vec<u8>> {
    let mut file = text::Bounded {
        input,
        position: 0,
        end,
    };
    Ok(form::dictionary(&mut file)?.unwrap_or_default())
}
