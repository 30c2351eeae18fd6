//! The text of a segment: the file itself, or its decompressed members.

use std::io::{self, BufRead, Read, Seek, SeekFrom};

use memchr::memmem;

use super::{
    super::{MARK, MAX_COMPRESSED, MAX_HEAD},
    RecordError,
    form::{Found, found},
};

/// The maximum number of bytes that are decoded at once.
const DECODE_BUFFER: usize = 32 << 10;

/// The maximum memory that is reserved for a block before its bytes are read.
const FIRST_ROOM: u64 = 64 << 10;

/// The maximum number of times that each byte of a file is read in vain after damage, on
/// average.
const SPARE_WORK: u64 = 4;

/// The number of decoded bytes that count as one byte read. The highest ratio of deflate is about
/// a thousand.
const DECODED_PER_READ: usize = 64;

/// The number of bytes that may be read in vain in a file of any length: a header section of the
/// maximum size.
const MIN_SPARE_WORK: u64 = MAX_HEAD as u64;

/// Decodes the members of a file in sequence.
pub(super) trait Decode: Send {
    /// Returns the first bytes of a member.
    fn magic(&self) -> &'static [u8];

    /// Decodes a part of a member. The error is the reason why the member is invalid.
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, String>;

    /// Prepares for the start of a member.
    fn reset(&mut self);
}

pub(super) struct Step {
    pub(super) read: usize,
    pub(super) written: usize,
    /// Whether the member ends here, with a correct checksum.
    pub(super) ended: bool,
}

/// Reads the text of a file, decompressed if needed. Positions are offsets in the file; in a
/// compressed file, those of its members.
pub(super) struct Text<R> {
    file: Bounded<R>,
    members: Option<Members>,
    /// The reason why the file cannot be read, until it is reported.
    broken: Option<String>,
}

/// A range of a file.
pub(super) struct Bounded<R> {
    pub(super) input: R,
    pub(super) position: u64,
    pub(super) end: u64,
    /// The number of bytes read, and a part of the bytes decoded.
    pub(super) work: u64,
    /// The value of `work` at which reading fails.
    pub(super) work_limit: u64,
}

struct Members {
    decoder: Box<dyn Decode>,
    decoded: Box<[u8]>,
    /// The range in `decoded` that is not read yet.
    from: usize,
    to: usize,
    place: MemberPosition,
}

#[derive(Clone, Copy)]
enum MemberPosition {
    Between,
    /// Inside of the members of a record.
    Within {
        start: u64,
        /// Whether the member that is being decoded has ended.
        ended: bool,
        /// Whether text was decoded since `start`.
        has_text: bool,
    },
}

impl<R: BufRead + Seek> Text<R> {
    /// Returns the text between the input's position and `end`, both counted from the start of the
    /// input.
    pub(super) fn new(mut input: R, end: u64) -> io::Result<Self> {
        let position = input.stream_position()?;
        let mut file = Bounded::new(input, position, end);
        let (decoder, broken) = match found(&mut file)? {
            Found::Plain => (None, None),
            Found::Members(decoder) => (Some(decoder), None),
            Found::Broken(reason) => (None, Some(reason)),
        };
        Ok(Self {
            members: decoder.map(|decoder| Members {
                decoder,
                decoded: vec![0; DECODE_BUFFER].into(),
                from: 0,
                to: 0,
                place: MemberPosition::Between,
            }),
            file,
            broken,
        })
    }

    /// Returns the reason why nothing can be read, at the first call.
    pub(super) fn broken(&mut self) -> Option<String> {
        let reason = self.broken.take()?;
        self.file.end = self.file.position;
        Some(reason)
    }

    /// Whether the text is in compressed members, whose checksums reveal damage.
    pub(super) fn is_compressed(&self) -> bool {
        self.members.is_some()
    }

    /// Whether the current position is inside of a member.
    pub(super) fn is_within(&self) -> bool {
        let is_within = |members: &Members| matches!(members.place, MemberPosition::Within { .. });
        self.members.as_ref().is_some_and(is_within)
    }

    pub(super) fn at_end(&self) -> bool {
        self.file.at_end() && !self.is_within()
    }

    /// Returns the position of a record that begins here.
    pub(super) fn place(&self) -> u64 {
        match self.members.as_ref().map(|members| members.place) {
            Some(MemberPosition::Within { start, .. }) => start,
            Some(MemberPosition::Between) | None => self.file.position,
        }
    }

    pub(super) fn seek(&mut self, place: u64) -> io::Result<()> {
        if let Some(members) = &mut self.members {
            members.place = MemberPosition::Between;
            members.from = members.to;
        }
        self.file.seek(place)
    }

    /// Ends the text at the current position.
    pub(super) fn give_up(&mut self) {
        if let Some(members) = &mut self.members {
            members.place = MemberPosition::Between;
            members.from = members.to;
        }
        self.file.end = self.file.position;
    }

    /// Returns the buffered text; never empty.
    pub(super) fn fill(&mut self) -> Result<&[u8], RecordError> {
        if let Some(members) = &mut self.members {
            members.fill(&mut self.file)
        } else {
            if self.file.at_end() {
                return Err(RecordError::Torn);
            }
            let allowed = self.file.allowed()?;
            let bytes = self.file.fill()?;
            if bytes.is_empty() {
                return Err(RecordError::Torn);
            }
            Ok(&bytes[..bytes.len().min(allowed)])
        }
    }

    pub(super) fn consume(&mut self, count: usize) {
        match &mut self.members {
            Some(members) => members.from += count,
            None => self.file.consume(count),
        }
    }

    /// Fails if a block of `length` bytes exceeds the rest of the file, or in a compressed file the
    /// limit of records.
    pub(super) fn check(&self, length: u64) -> Result<(), RecordError> {
        if self.members.is_none() && length > self.file.left() {
            return Err(RecordError::Torn);
        }
        if self.members.is_some() && length > MAX_COMPRESSED {
            return Err(RecordError::Lost(format!(
                "the record says that it has {length} bytes: from a compressed file at most \
                 {MAX_COMPRESSED} are read"
            )));
        }
        Ok(())
    }

    /// Reads text of a length that was checked.
    pub(super) fn read(&mut self, length: u64) -> Result<Vec<u8>, RecordError> {
        // Memory grows with the bytes that are there, not with the stated length.
        let room = match self.members {
            Some(_) => length.min(FIRST_ROOM),
            None => length,
        };
        let mut text = Vec::with_capacity(usize::try_from(room).map_err(|_| RecordError::Torn)?);
        self.each(length, |bytes| text.extend_from_slice(bytes))?;
        Ok(text)
    }

    pub(super) fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), RecordError> {
        let mut read = 0;
        self.each(buffer.len() as u64, |bytes| {
            buffer[read..read + bytes.len()].copy_from_slice(bytes);
            read += bytes.len();
        })
    }

    pub(super) fn skip(&mut self, length: u64) -> Result<(), RecordError> {
        if self.members.is_some() {
            return self.each(length, |_| {});
        }
        let distance = i64::try_from(length).map_err(|_| RecordError::Torn)?;
        self.file.input.seek_relative(distance)?;
        self.file.position += length;
        Ok(())
    }

    fn each(&mut self, length: u64, mut take: impl FnMut(&[u8])) -> Result<(), RecordError> {
        let mut left = length;
        while left > 0 {
            let bytes = self.fill()?;
            let count = bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            take(&bytes[..count]);
            self.consume(count);
            left -= count as u64;
        }
        Ok(())
    }

    /// Skips line ends, up to the end of the member in compressed text.
    ///
    /// # Errors
    /// [`RecordError::Lost`] if there are fewer than two, and anything but a record or the end
    /// follows.
    pub(super) fn skip_line_ends(&mut self) -> Result<(), RecordError> {
        let mut lines = 0;
        while let Some(byte) = self.peek()? {
            if byte == b'\n' {
                lines += 1;
            } else if byte != b'\r' {
                if lines >= 2 {
                    return Ok(());
                }
                let next = match &self.members {
                    Some(members) => members.decoded[members.from..members.to].to_vec(),
                    None => self.file.peek(MARK.len() as u64)?,
                };
                let known = next.len().min(MARK.len());
                return if next[..known] == MARK[..known] {
                    Ok(())
                } else {
                    Err(RecordError::Lost(
                        "invalid record: wrong Content-Length".to_owned(),
                    ))
                };
            }
            self.consume(1);
        }
        Ok(())
    }

    /// Returns the next byte, `None` at the end of the file or of a member.
    fn peek(&mut self) -> Result<Option<u8>, RecordError> {
        let Some(members) = &mut self.members else {
            return Ok(if self.file.at_end() {
                None
            } else {
                self.file.fill()?.first().copied()
            });
        };
        while members.from == members.to {
            match members.place {
                MemberPosition::Within { ended: false, .. } => members.step(&mut self.file)?,
                _ => return Ok(None),
            }
        }
        Ok(Some(members.decoded[members.from]))
    }

    /// Returns the number of bytes read and decoded so far.
    pub(super) fn work(&self) -> u64 {
        self.file.work
    }

    /// Lets reading fail after `bytes` more bytes; without a limit if `None`.
    pub(super) fn limit_work(&mut self, bytes: Option<u64>) {
        self.file.work_limit = bytes.map_or(u64::MAX, |bytes| self.file.work.saturating_add(bytes));
    }

    /// Returns the number of bytes of which damaged parts may be read again.
    pub(super) fn spare_work(&self) -> u64 {
        let spare = self.file.end.saturating_mul(SPARE_WORK);
        spare.saturating_add(MIN_SPARE_WORK)
    }

    /// Marks the end of a record. In compressed text, the member must end here too.
    pub(super) fn end_record(&mut self) -> Result<(), RecordError> {
        match &mut self.members {
            Some(members) => members.end_record(&mut self.file),
            None => Ok(()),
        }
    }

    /// Returns the next position, from `from` on, at which a record may begin.
    pub(super) fn find(&mut self, from: u64) -> io::Result<Option<u64>> {
        self.seek(from)?;
        let mark = match &self.members {
            Some(members) => members.decoder.magic(),
            None => MARK,
        };
        self.file.find(mark)
    }
}

impl Members {
    fn fill<R: BufRead + Seek>(&mut self, file: &mut Bounded<R>) -> Result<&[u8], RecordError> {
        while self.from == self.to {
            let (start, has_text) = match self.place {
                MemberPosition::Between => (file.position, false),
                MemberPosition::Within {
                    start,
                    has_text,
                    ended: true,
                } => (start, has_text),
                MemberPosition::Within { ended: false, .. } => {
                    self.step(file)?;
                    continue;
                }
            };
            // A record may span several members.
            if file.at_end() {
                self.place = MemberPosition::Between;
                return Err(if has_text {
                    RecordError::Torn
                } else {
                    RecordError::Nothing
                });
            }
            self.decoder.reset();
            self.place = MemberPosition::Within {
                start,
                ended: false,
                has_text,
            };
        }
        Ok(&self.decoded[self.from..self.to])
    }

    fn step<R: BufRead + Seek>(&mut self, file: &mut Bounded<R>) -> Result<(), RecordError> {
        let allowed = file.allowed()?;
        let input = file.fill()?;
        let is_last = input.is_empty();
        let room = allowed.saturating_mul(DECODED_PER_READ);
        let room = room.min(self.decoded.len());
        let step = self
            .decoder
            .step(
                &input[..input.len().min(allowed)],
                &mut self.decoded[..room],
            )
            .map_err(RecordError::Lost)?;
        if step.read == 0 && step.written == 0 && !step.ended {
            return Err(if is_last {
                RecordError::Torn
            } else {
                RecordError::Lost("incomplete member".to_owned())
            });
        }
        file.consume(step.read);
        file.work += step.written.div_ceil(DECODED_PER_READ) as u64;
        (self.from, self.to) = (0, step.written);
        if let MemberPosition::Within {
            ended, has_text, ..
        } = &mut self.place
        {
            *ended = step.ended;
            *has_text |= step.written > 0;
        }
        Ok(())
    }

    fn end_record<R: BufRead + Seek>(&mut self, file: &mut Bounded<R>) -> Result<(), RecordError> {
        while self.from == self.to {
            match self.place {
                MemberPosition::Within { ended: false, .. } => self.step(file)?,
                MemberPosition::Within { ended: true, .. } | MemberPosition::Between => {
                    self.place = MemberPosition::Between;
                    return Ok(());
                }
            }
        }
        // Some tools compress a file as a whole: it can only be read from its start.
        Ok(())
    }
}

impl<R: BufRead + Seek> Bounded<R> {
    /// Returns the range of `input` from its position, `position`, to `end`.
    pub(super) fn new(input: R, position: u64, end: u64) -> Self {
        Self {
            input,
            position,
            end,
            work: 0,
            work_limit: u64::MAX,
        }
    }

    /// Returns the number of bytes that may be read. Fails at the limit.
    fn allowed(&self) -> Result<usize, RecordError> {
        match self.work_limit.saturating_sub(self.work) {
            0 => Err(RecordError::Lost(
                "invalid record: no end of its header section found".to_owned(),
            )),
            allowed => Ok(usize::try_from(allowed).unwrap_or(usize::MAX)),
        }
    }

    fn at_end(&self) -> bool {
        self.position >= self.end
    }

    fn left(&self) -> u64 {
        self.end.saturating_sub(self.position)
    }

    fn fill(&mut self) -> io::Result<&[u8]> {
        let left = usize::try_from(self.left()).unwrap_or(usize::MAX);
        let bytes = self.input.fill_buf()?;
        Ok(&bytes[..bytes.len().min(left)])
    }

    fn consume(&mut self, count: usize) {
        self.input.consume(count);
        self.position += count as u64;
        self.work += count as u64;
    }

    pub(super) fn seek(&mut self, position: u64) -> io::Result<()> {
        // Keeps the input's buffer: there may be a candidate every few bytes.
        let distance = i128::from(position) - i128::from(self.position);
        match i64::try_from(distance) {
            Ok(distance) => self.input.seek_relative(distance)?,
            Err(_) => drop(self.input.seek(SeekFrom::Start(position))?),
        }
        self.position = position;
        Ok(())
    }

    /// Returns the next `length` bytes, or fewer at the end, without moving the position.
    pub(super) fn peek(&mut self, length: u64) -> io::Result<Vec<u8>> {
        let start = self.position;
        let bytes = self.read(length)?;
        self.seek_back(bytes.len())?;
        self.position = start;
        Ok(bytes)
    }

    #[expect(clippy::cast_possible_wrap, reason = "no buffer is that large")]
    fn seek_back(&mut self, count: usize) -> io::Result<()> {
        self.input.seek_relative(-(count as i64))
    }

    /// Reads `len` bytes, or as many as there are.
    pub(super) fn read(&mut self, length: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let length = length.min(self.left());
        self.input.by_ref().take(length).read_to_end(&mut bytes)?;
        self.position += bytes.len() as u64;
        Ok(bytes)
    }

    /// Returns the next position of the mark, from `from` on.
    fn find(&mut self, mark: &[u8]) -> io::Result<Option<u64>> {
        // The last bytes of the previous buffer, because the mark may span two buffers.
        let mut carry: Vec<u8> = Vec::new();
        while !self.at_end() {
            let position = self.position;
            let bytes = self.fill()?;
            if bytes.is_empty() {
                return Ok(None);
            }
            let used = bytes.len();
            let carried = carry.len();
            // Copies few bytes, because there may be a mark every few bytes.
            carry.extend_from_slice(&bytes[..used.min(mark.len() - 1)]);
            if let Some(at) = memmem::find(&carry, mark) {
                return Ok(Some(position - carried as u64 + at as u64));
            }
            if let Some(at) = memmem::find(bytes, mark) {
                return Ok(Some(position + at as u64));
            }
            if used >= mark.len() {
                carry.clear();
                carry.extend_from_slice(&bytes[used + 1 - mark.len()..]);
            }
            carry.drain(..carry.len().saturating_sub(mark.len() - 1));
            self.consume(used);
        }
        Ok(None)
    }
}
