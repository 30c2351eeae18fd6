//! Reads segments, plain or with a compressed member per record.

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

/// Which parts of an exchange are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// The request and the response.
    Whole,
    /// The request, and how the response ended, which is enough for a look-up. Status, headers and
    /// content of the response are left out.
    Lookup,
}

/// An item of a segment.
#[derive(Debug)]
pub(crate) enum SegmentItem {
    /// An exchange, and the position of its first record.
    Exchange(u64, Box<Exchange>),
    /// An exchange behind other records in one compressed member, and so without a position to read
    /// it from.
    Within(Box<Exchange>),
    /// Bytes that are not one of this crate's records. The reader has moved to the next record.
    Bad(u64, String),
    /// The file ends within the exchange that begins at this position: its writer was interrupted.
    Torn(u64),
}

/// Reads the exchanges of one segment, each a pair of records. In a compressed segment, positions
/// are those of members.
pub(crate) struct Reader<R> {
    text: Text<R>,
    /// The id of the segment, from its records.
    info: Option<String>,
    /// The head of the last record, and the position of its block, if the block was not read.
    skipped: Option<(RecordHead, u64)>,
    /// The head of a record that does not belong to the previous one, and its position.
    pending: Option<(Start, RecordHead)>,
    line: Vec<u8>,
}

/// The position of a record.
#[derive(Clone, Copy)]
struct Start {
    place: u64,
    /// Whether the record begins inside of a member.
    is_within: bool,
}

/// The reason why a record cannot be read.
enum RecordError {
    Io(io::Error),
    /// The input ends within the record.
    Torn,
    /// The bytes are not a record, and the position of the next one is unknown.
    Lost(String),
    /// The input ends before the record; only empty members follow.
    Nothing,
    /// The record is invalid, but its end is known, and the input is positioned behind it.
    Bad(String),
}

impl From<io::Error> for RecordError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl<R: BufRead + Seek> Reader<R> {
    /// Reads the text between the input's position and `end`, both counted from the start of the
    /// input.
    ///
    /// # Errors
    /// If the text cannot be read, or its compression needs a feature that is off
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

    /// Returns the next item of the segment, or `None` at its end.
    pub(crate) fn next(&mut self, depth: Depth) -> io::Result<Option<SegmentItem>> {
        if let Some(reason) = self.text.broken() {
            return Ok(Some(SegmentItem::Bad(0, reason)));
        }
        while self.pending.is_some() || !self.text.at_end() {
            let start = self.start();
            let place = start.place;
            match self.pair(depth) {
                Ok(None) | Err(RecordError::Nothing) => {}
                Ok(Some(exchange)) => {
                    let exchange = Box::new(exchange);
                    return Ok(Some(if start.is_within {
                        SegmentItem::Within(exchange)
                    } else {
                        SegmentItem::Exchange(place, exchange)
                    }));
                }
                Err(RecordError::Io(error)) => return Err(error),
                Err(RecordError::Bad(reason)) => return Ok(Some(SegmentItem::Bad(place, reason))),
                Err(RecordError::Lost(reason)) => {
                    if !self.find_next(place)? {
                        self.text.give_up();
                    }
                    return Ok(Some(SegmentItem::Bad(place, reason)));
                }
                Err(RecordError::Torn) => {
                    // A wrong length looks like a file that ends too early.
                    return Ok(Some(if self.find_next(place)? {
                        SegmentItem::Bad(
                            place,
                            "incomplete record: shorter than its Content-Length".to_owned(),
                        )
                    } else {
                        self.text.give_up();
                        SegmentItem::Torn(place)
                    }));
                }
            }
        }
        Ok(None)
    }

    /// Returns the position of the next record.
    fn start(&self) -> Start {
        match &self.pending {
            Some((start, _)) => *start,
            None => Start {
                place: self.text.place(),
                is_within: self.text.is_within(),
            },
        }
    }

    /// Reads a pair; `None` for a record of another kind.
    fn pair(&mut self, depth: Depth) -> Result<Option<Exchange>, RecordError> {
        let start = self.text.place();
        let mut first = match self.pending.take() {
            Some((_, head)) => head,
            None => self.head()?,
        };
        if let Some((before, block)) = self.skipped.take()
            && (first.kind != "request" || first.info != self.info)
        {
            // Only a wrong length leads into a recorded body and to records in it.
            self.text.seek(block)?;
            self.block(&before)?;
            self.text.seek(start)?;
            first = self.head()?;
        }
        if first.kind == "warcinfo" {
            // A damaged member shows only at its end.
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
            // Records of other tools are skipped.
            return if first.checksum.is_some() && first.kind != "warcinfo" {
                Err(RecordError::Bad(format!(
                    "invalid record: {:?} without its pair",
                    first.kind
                )))
            } else {
                Ok(None)
            };
        }
        let first_block = self.block(&first)?;
        if self.text.at_end() && first.kind == "request" {
            return Err(RecordError::Torn);
        }
        if self.text.at_end() {
            return Err(RecordError::Bad(
                "invalid record: response without its request".to_owned(),
            ));
        }
        let second_start = self.start();
        let second = match self.head() {
            Err(RecordError::Nothing) => return Err(RecordError::Torn),
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
            return Err(RecordError::Bad(format!(
                "invalid record: {} without its pair",
                first.kind
            )));
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
        // Otherwise, damage to the segment's first record would affect all of them.
        self.info = first.info;
        Ok(Some(read.map_err(RecordError::Bad)?))
    }

    fn head(&mut self) -> Result<RecordHead, RecordError> {
        match self.next_line() {
            Ok(()) if self.line.starts_with(MARK) => {}
            Err(RecordError::Torn)
                if self.line.starts_with(MARK) || MARK.starts_with(&self.line) =>
            {
                return Err(RecordError::Torn);
            }
            Err(fault @ (RecordError::Io(_) | RecordError::Nothing | RecordError::Lost(_))) => {
                return Err(fault);
            }
            _ => return Err(RecordError::Lost("expected a WARC record".to_owned())),
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
                return Err(RecordError::Lost(format!(
                    "invalid record: header section longer than {MAX_HEAD} bytes"
                )));
            }
            let line = str::from_utf8(&self.line)
                .ok()
                .and_then(|line| line.split_once(':'));
            let Some((name, value)) = line else {
                let line = self.line.escape_ascii();
                return Err(RecordError::Lost(format!(
                    "invalid record: expected a header, found {line:?}"
                )));
            };
            let value = value.trim();
            if name.eq_ignore_ascii_case("Content-Length") {
                length = value.parse().ok();
            } else if name.eq_ignore_ascii_case("WARC-Type") && !head.kind.is_empty() {
                return Err(RecordError::Lost(
                    "incomplete record: another one begins in its header section".to_owned(),
                ));
            } else {
                head.field(name, value);
            }
        }
        head.length = length.ok_or_else(|| {
            RecordError::Lost("invalid record: missing Content-Length".to_owned())
        })?;
        self.text.check(head.length)?;
        Ok(head)
    }

    /// Reads the next line into `self.line`, without its end.
    fn next_line(&mut self) -> Result<(), RecordError> {
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
                return Err(RecordError::Lost(
                    "invalid record: line without an end".to_owned(),
                ));
            }
        }
    }

    /// Reads and checks a record's block.
    fn block(&mut self, head: &RecordHead) -> Result<Bytes, RecordError> {
        let block = self.text.read(head.length)?;
        self.record_end()?;
        let mut found = head.checked.clone();
        found.update(&block);
        if head
            .checksum
            .is_some_and(|checksum| checksum != found.finalize())
        {
            // The length may be wrong.
            let kind = &head.kind;
            return Err(RecordError::Lost(format!("damaged {kind}: wrong checksum")));
        }
        Ok(block.into())
    }

    fn skip(&mut self, length: u64) -> Result<(), RecordError> {
        self.text.skip(length)?;
        self.record_end()
    }

    fn record_end(&mut self) -> Result<(), RecordError> {
        let mut end = [0; 4];
        self.text.read_exact(&mut end)?;
        if end != *b"\r\n\r\n" {
            return Err(RecordError::Lost(
                "invalid record: wrong Content-Length".to_owned(),
            ));
        }
        self.text.end_record()
    }

    /// Moves to the next exchange of this segment after an invalid record. Returns false if there
    /// is none.
    ///
    /// A recorded body may contain records: a recorded download of a recording, or an attack. Only
    /// this segment's own records carry its id.
    fn find_next(&mut self, lost_at: u64) -> io::Result<bool> {
        let mut from = lost_at + 1;
        while let Some(candidate) = self.text.find(from)? {
            self.text.seek(candidate)?;
            match self.head() {
                Ok(head) if self.is_start(&head) => {
                    self.text.seek(candidate)?;
                    return Ok(true);
                }
                Err(RecordError::Io(error)) => return Err(error),
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

/// Returns the zstd dictionary at the start of a file; empty if it has no valid one.
#[cfg(feature = "zstd")]
pub(super) fn dictionary(input: impl BufRead + Seek, end: u64) -> io::Result<Vec<u8>> {
    let mut file = text::Bounded {
        input,
        position: 0,
        end,
    };
    Ok(form::dictionary(&mut file)?.unwrap_or_default())
}
