//! Reads segments, plain or with a compressed member per record.

mod foreign;
mod form;
#[cfg(feature = "gzip")]
mod gzip;
mod head;
mod text;
#[cfg(feature = "zstd")]
mod zstd;

use std::{
    collections::VecDeque,
    io::{self, BufRead, Seek},
};

use bytes::Bytes;
use memchr::{memchr, memmem};

pub(crate) use self::foreign::{Original, OriginalKey, Revisit};
use self::{
    foreign::{Pair, Pairing, Waiting, is_http},
    head::{RecordHead, exchange},
    text::Text,
};
use super::{CHECKSUM, MARK, MAX_HEAD, write::ID_PREFIX};
use crate::message::Exchange;

/// The maximum length of the first line of a record.
const MAX_FIRST_LINE: usize = 16;

/// The length of a header section that is always read, however much is damaged.
const SMALL_HEAD: u64 = 4 << 10;

/// The start of the ids of this crate's records, before the part that a segment has in common.
const URN: &str = "<urn:uuid:";

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
    /// An exchange whose content is in another record.
    Revisit {
        /// The position of its first record, if `is_placed`; otherwise that of its member.
        place: u64,
        is_placed: bool,
        revisit: Box<Revisit>,
    },
    /// A part of the record at this position was left out or changed, or the record was left out.
    Noted(u64, String),
    /// Bytes that are not one of this crate's records. The reader has moved to the next record.
    Bad(u64, String),
    /// The file ends within the exchange that begins at this position: its writer was interrupted.
    Torn(u64),
}

/// Reads the exchanges of one segment, each a pair of records. In a compressed segment, positions
/// are those of members.
pub(crate) struct Reader<R> {
    text: Text<R>,
    /// The id of the segment, from its records, if this crate wrote them.
    info: Option<String>,
    /// The last record of another tool; `None` before the first one.
    foreign_info: Option<ForeignInfo>,
    pairing: Pairing,
    /// Items that were read and not returned yet.
    ready: VecDeque<SegmentItem>,
    /// The number of bytes that were read in vain.
    wasted: u64,
    /// Whether a header section ends wherever another record may begin, because too much was read
    /// in vain.
    is_hurried: bool,
    /// The head of the last record, and the position of its block, if the block was not read.
    skipped: Option<(RecordHead, u64)>,
    /// The head of a record that does not belong to the previous one, and its position.
    pending: Option<(Start, RecordHead)>,
    line: Vec<u8>,
}

/// The id of the `warcinfo` record that a record of another tool names, if it names one.
struct ForeignInfo(Option<String>);

/// The position of a record, in the order of the file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
            foreign_info: None,
            pairing: Pairing::default(),
            ready: VecDeque::new(),
            wasted: 0,
            is_hurried: false,
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
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Ok(Some(item));
            }
            let is_over = self.pending.is_none() && self.text.at_end();
            if let Some(lone) = self.pairing.expired(is_over) {
                return Ok(Some(lone.noted()));
            }
            if is_over {
                return Ok(None);
            }
            let start = self.start();
            let work = self.text.work();
            match self.pair(depth) {
                Ok(None) | Err(RecordError::Nothing) => {}
                Ok(Some(exchange)) => return Ok(Some(start.item(exchange))),
                Err(RecordError::Io(error)) => return Err(error),
                Err(RecordError::Bad(reason)) => {
                    return Ok(Some(SegmentItem::Bad(start.place, reason)));
                }
                Err(error @ (RecordError::Lost(_) | RecordError::Torn)) => {
                    self.wasted += self.text.work() - work;
                    return self.recover(start.place, error).map(Some);
                }
            }
        }
    }

    /// Moves to the next record after a damaged one. Returns the damage.
    fn recover(&mut self, place: u64, error: RecordError) -> io::Result<SegmentItem> {
        let is_found = self.find_next(place)?;
        if !is_found {
            self.text.give_up();
        }
        let reason = match error {
            RecordError::Lost(reason) => reason,
            // A wrong length looks like a file that ends too early.
            _ if is_found => "incomplete record: shorter than its Content-Length".to_owned(),
            _ => return Ok(SegmentItem::Torn(place)),
        };
        Ok(SegmentItem::Bad(place, reason))
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

    /// Reads a pair of this crate's records, or one record of another kind or tool, for which it
    /// returns `None`.
    fn pair(&mut self, depth: Depth) -> Result<Option<Exchange>, RecordError> {
        let start = self.start();
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
            self.text.seek(start.place)?;
            first = self.head()?;
        }
        if !self.is_own(&first)? {
            self.foreign(start, first)?;
            return Ok(None);
        }
        if first.kind == "warcinfo" {
            // A damaged member shows only at its end.
            if self.text.is_compressed() {
                self.skip(&first)?;
                self.info = Some(first.id);
                return Ok(None);
            }
            self.info = Some(first.id.clone());
        } else if self.info.is_none() {
            self.info.clone_from(&first.info);
        }
        if first.kind != "request" && first.kind != "response" {
            self.skip(&first)?;
            return if first.kind == "warcinfo" {
                Ok(None)
            } else {
                Err(RecordError::Bad(format!(
                    "invalid record: {:?} without its pair",
                    first.kind
                )))
            };
        }
        let request = self.block(&first)?;
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
        let is_pair = self.is_own(&second)?
            && second.concurrent_to.contains(&first.id)
            && first.kind == "request"
            && matches!(second.kind.as_str(), "response" | "metadata");
        if !is_pair {
            self.pending = Some((second_start, second));
            return Err(RecordError::Bad(format!(
                "invalid record: {} without its pair",
                first.kind
            )));
        }
        let read = if depth == Depth::Lookup {
            let block = self.text.place();
            self.skip(&second)?;
            let read = exchange(&first, &request, &second, None);
            self.skipped = (!self.text.is_compressed()).then_some((second, block));
            read
        } else {
            let response = self.block(&second)?;
            exchange(&first, &request, &second, Some(response))
        };
        // Otherwise, damage to the segment's first record would affect all of them.
        self.info = first.info;
        Ok(Some(read.map_err(RecordError::Bad)?))
    }

    /// Whether this crate wrote the record.
    ///
    /// # Errors
    /// If it did, and the record lacks the checksum.
    fn is_own(&self, head: &RecordHead) -> Result<bool, RecordError> {
        let prefix = |id: &str| id.get(..URN.len() + ID_PREFIX).map(str::to_owned);
        let info = self.info.as_deref().and_then(prefix);
        let is_of_segment = info.is_some() && prefix(&head.id) == info;
        if !head.is_marked && !is_of_segment {
            return Ok(false);
        }
        if head.checksum.is_none() {
            return Err(RecordError::Lost(format!(
                "invalid record: missing or invalid {CHECKSUM}"
            )));
        }
        match &head.invalid_line {
            Some(line) => Err(RecordError::Lost(format!(
                "invalid record: expected a header, found {line:?}"
            ))),
            None => Ok(true),
        }
    }

    /// Reads a record of another tool. Records of other kinds are skipped.
    fn foreign(&mut self, start: Start, head: RecordHead) -> Result<(), RecordError> {
        let mut note = |what: &str| {
            let note = SegmentItem::Noted(start.place, what.to_owned());
            self.ready.push_back(note);
        };
        let is_message = matches!(head.kind.as_str(), "request" | "response" | "revisit");
        if is_message && head.invalid_line.is_some() {
            note("invalid field of a record: expected `name: value`; the line is left out");
        }
        if is_message && !is_http(&head) {
            note("record of a protocol other than HTTP; the record is left out");
        }
        if !is_message || !is_http(&head) {
            self.skip(&head)?;
            if head.kind == "warcinfo" {
                self.info = None;
                self.foreign_info = Some(ForeignInfo(Some(head.id)));
            } else {
                for (request, response) in self.pairing.join(start, &head) {
                    self.foreign_pair(&request, &response);
                }
            }
            return Ok(());
        }
        let block = self.block(&head)?;
        self.foreign_info = Some(ForeignInfo(head.info.clone()));
        if let Some((request, response)) = self.pairing.add(start, head, block) {
            self.foreign_pair(&request, &response);
        }
        Ok(())
    }

    fn foreign_pair(&mut self, request: &Waiting, response: &Waiting) {
        let start = request.start.min(response.start);
        let mut notes = Vec::new();
        let item = match foreign::exchange(request, response, &mut notes) {
            Ok(Pair::Exchange(exchange)) => start.item(exchange),
            Ok(Pair::Revisit(revisit)) => SegmentItem::Revisit {
                place: start.place,
                is_placed: !start.is_within,
                revisit: Box::new(revisit),
            },
            Err(reason) => {
                SegmentItem::Noted(start.place, format!("{reason}; the exchange is left out"))
            }
        };
        let to_item = |note| SegmentItem::Noted(start.place, note);
        self.ready.extend(notes.into_iter().map(to_item));
        self.ready.push_back(item);
    }

    /// Calls `on_original` with the names of each response record of another tool, and its position.
    pub(crate) fn originals(
        &mut self,
        mut on_original: impl FnMut(Vec<OriginalKey>, u64),
    ) -> io::Result<()> {
        while self.text.broken().is_none() && !self.text.at_end() {
            let start = self.start();
            let work = self.text.work();
            let mut read = || {
                let head = self.head()?;
                let keys = (head.kind == "response" && !head.is_marked && !start.is_within)
                    .then(|| foreign::keys(&head));
                self.skip(&head)?;
                Ok::<_, RecordError>(keys)
            };
            match read() {
                Ok(Some(keys)) => on_original(keys, start.place),
                Ok(None) | Err(RecordError::Nothing | RecordError::Bad(_)) => {}
                Err(RecordError::Io(error)) => return Err(error),
                Err(error @ (RecordError::Lost(_) | RecordError::Torn)) => {
                    self.wasted += self.text.work() - work;
                    self.recover(start.place, error)?;
                }
            }
        }
        Ok(())
    }

    /// Returns the response in the record at the current position; `None` if it has none.
    pub(crate) fn original(&mut self) -> io::Result<Option<Original>> {
        let mut read = || {
            let head = self.head()?;
            let block = self.block(&head)?;
            Ok::<_, RecordError>((head, block))
        };
        match read() {
            Ok((head, block)) => Ok(foreign::original(head, block)),
            Err(RecordError::Io(error)) => Err(error),
            Err(_) => Ok(None),
        }
    }

    fn head(&mut self) -> Result<RecordHead, RecordError> {
        match self.next_line(MAX_FIRST_LINE) {
            Ok(()) if self.line.starts_with(MARK) => {}
            Err(RecordError::Torn)
                if self.line.starts_with(MARK) || MARK.starts_with(&self.line) =>
            {
                return Err(RecordError::Torn);
            }
            Err(fault @ (RecordError::Io(_) | RecordError::Nothing)) => return Err(fault),
            // A damaged member, unless its text can be seen.
            Err(fault @ RecordError::Lost(_)) if self.line.is_empty() => return Err(fault),
            _ => return Err(RecordError::Lost("expected a WARC record".to_owned())),
        }
        let mut head = RecordHead::default();
        let mut length = None;
        let mut size = 0;
        // A field may be folded into several lines.
        let mut field: Vec<u8> = Vec::new();
        let mut is_checked = true;
        loop {
            if is_checked {
                head.checked.update(&self.line);
                head.checked.update(b"\r\n");
            }
            self.next_line(MAX_HEAD)?;
            size += self.line.len();
            if size > MAX_HEAD {
                return Err(RecordError::Lost(format!(
                    "invalid record: header section longer than {MAX_HEAD} bytes"
                )));
            }
            let mark = memmem::find(&self.line, MARK);
            if mark == Some(0) || (mark.is_some() && self.is_hurried) {
                return Err(RecordError::Lost(ANOTHER_BEGINS.to_owned()));
            }
            if let [b' ' | b'\t', ..] = self.line[..] {
                field.push(b' ');
                field.extend_from_slice(self.line.trim_ascii());
                continue;
            }
            add_field(&mut head, &mut length, &field)?;
            if self.line.is_empty() {
                break;
            }
            field.clear();
            field.extend_from_slice(&self.line);
            let name = self.line.get(..CHECKSUM.len());
            is_checked &= !name.is_some_and(|name| name.eq_ignore_ascii_case(CHECKSUM.as_bytes()));
        }
        head.length = length.ok_or_else(|| {
            RecordError::Lost("invalid record: missing Content-Length".to_owned())
        })?;
        self.text.check(head.length)?;
        Ok(head)
    }

    /// Reads the next line into `self.line`, without its end.
    fn next_line(&mut self, max: usize) -> Result<(), RecordError> {
        self.line.clear();
        loop {
            let buffer = self.text.fill()?;
            // The rest of a long line is read only if it is short.
            let buffer = &buffer[..buffer.len().min(max + 1 - self.line.len())];
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
            if self.line.len() > max {
                return Err(RecordError::Lost(
                    "invalid record: line without an end".to_owned(),
                ));
            }
        }
    }

    /// Reads and checks a record's block.
    fn block(&mut self, head: &RecordHead) -> Result<Bytes, RecordError> {
        let block = self.text.read(head.length)?;
        self.record_end(head)?;
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

    fn skip(&mut self, head: &RecordHead) -> Result<(), RecordError> {
        self.text.skip(head.length)?;
        self.record_end(head)
    }

    fn record_end(&mut self, head: &RecordHead) -> Result<(), RecordError> {
        if !head.is_marked {
            // Some tools write fewer line ends, or more.
            self.text.skip_line_ends()?;
            return self.text.end_record();
        }
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
    ///
    /// The time is linear in the length of the file: the bytes that may be read in vain are limited,
    /// and after that only small header sections are read.
    fn find_next(&mut self, lost_at: u64) -> io::Result<bool> {
        let mut from = lost_at + 1;
        while let Some(candidate) = self.text.find(from)? {
            self.text.seek(candidate)?;
            let spare = self.text.spare_work().saturating_sub(self.wasted);
            let work = self.text.work();
            let limit = spare.max(SMALL_HEAD);
            self.text.limit_work(Some(limit));
            self.is_hurried = spare < limit;
            let head = self.head();
            self.text.limit_work(None);
            self.is_hurried = false;
            match head {
                Ok(head) if self.is_start(&head) && head.length <= limit => {
                    self.text.seek(candidate)?;
                    return Ok(true);
                }
                Err(RecordError::Io(error)) => return Err(error),
                Ok(_) | Err(_) => {
                    self.wasted += self.text.work() - work;
                    from = candidate + 1;
                }
            }
        }
        Ok(false)
    }

    fn is_start(&self, head: &RecordHead) -> bool {
        match (&self.info, &self.foreign_info) {
            (Some(info), _) => head.kind == "request" && head.info.as_ref() == Some(info),
            (None, Some(ForeignInfo(info))) if head.kind != "warcinfo" => {
                !head.id.is_empty() && head.info == *info
            }
            (None, _) => !head.id.is_empty(),
        }
    }
}

const ANOTHER_BEGINS: &str = "incomplete record: another one begins in its header section";

/// Adds a field to a record's head. Lines that are not fields are remembered.
fn add_field(
    head: &mut RecordHead,
    length: &mut Option<u64>,
    field: &[u8],
) -> Result<(), RecordError> {
    if field.is_empty() {
        return Ok(());
    }
    let line = String::from_utf8_lossy(field);
    let Some((name, value)) = line.split_once(':') else {
        let line = field.escape_ascii().to_string();
        head.invalid_line.get_or_insert(line);
        return Ok(());
    };
    let (name, value) = (name.trim_end(), value.trim());
    if name.eq_ignore_ascii_case("Content-Length") {
        *length = value.parse().ok();
    } else if name.eq_ignore_ascii_case("WARC-Type") && !head.kind.is_empty() {
        return Err(RecordError::Lost(ANOTHER_BEGINS.to_owned()));
    } else {
        head.field(name, value);
    }
    Ok(())
}

impl Start {
    fn item(self, exchange: Exchange) -> SegmentItem {
        let exchange = Box::new(exchange);
        if self.is_within {
            SegmentItem::Within(exchange)
        } else {
            SegmentItem::Exchange(self.place, exchange)
        }
    }
}

/// Returns the zstd dictionary at the start of a file; empty if it has no valid one.
#[cfg(feature = "zstd")]
pub(super) fn dictionary(input: impl BufRead + Seek, end: u64) -> io::Result<Vec<u8>> {
    let mut file = text::Bounded::new(input, 0, end);
    Ok(form::dictionary(&mut file)?.unwrap_or_default())
}
