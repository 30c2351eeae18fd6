//! `Encoder`: segments as they are stored, plain or with a compressed member per record.

// Only zstd can fail or learn.
#![cfg_attr(
    not(feature = "zstd"),
    allow(clippy::unnecessary_wraps, clippy::unused_self)
)]

use std::io;
#[cfg(feature = "zstd")]
use std::io::{BufRead, Seek};

use super::{Compression, MAX_COMPRESSED, Writer};
use crate::message::Exchange;

/// Compresses records.
pub(super) trait Compress: Send {
    /// Compresses a record, and appends it as one member.
    fn member(&mut self, record: &[u8], out: &mut Vec<u8>) -> io::Result<()>;

    /// Appends the bytes at the start of the file, if the format has any.
    fn open(&mut self, _out: &mut Vec<u8>) -> io::Result<()> {
        Ok(())
    }

    /// Whether a dictionary can be trained from the records of this file that would make the next
    /// file smaller. Always `false` in formats without dictionaries.
    fn has_learned(&self) -> bool {
        false
    }

    /// Returns the compressor of the next file, whose record ids begin with `id_prefix`, with a
    /// dictionary that is trained from the records of this file if they suffice, and is that of
    /// this file otherwise; `None` in formats without dictionaries.
    #[cfg(feature = "zstd")]
    fn successor(&mut self, _id_prefix: &str) -> io::Result<Option<Box<dyn Compress>>> {
        Ok(None)
    }
}

/// Encodes the exchanges of one segment.
pub(crate) struct Encoder {
    format: Writer,
    members: Option<Members>,
}

struct Members {
    compress: Box<dyn Compress>,
    /// Uncompressed records; the buffer is kept for reuse.
    plain: Vec<u8>,
}

/// The maximum capacity of a buffer that is kept for reuse after a large exchange, in bytes.
pub(super) const KEPT: usize = 1 << 20;

impl Encoder {
    pub(crate) fn new(compression: Compression) -> io::Result<Self> {
        let compress: Option<Box<dyn Compress>> = match compression {
            Compression::None => None,
            #[cfg(feature = "gzip")]
            Compression::Gzip => Some(Box::new(super::gzip::Gzip::default())),
            #[cfg(feature = "zstd")]
            Compression::Zstd => Some(Box::new(super::zstd::Zstd::new(Vec::new())?)),
        };
        Ok(Self::with(Writer::new(), compress))
    }

    /// Returns an encoder for the file after this one.
    pub(crate) fn next(&mut self, compression: Compression) -> io::Result<Self> {
        #[cfg(feature = "zstd")]
        if let (Some(members), Compression::Zstd) = (&mut self.members, compression) {
            let format = Writer::new();
            if let Some(compress) = members.compress.successor(&format.id_prefix())? {
                return Ok(Self::with(format, Some(compress)));
            }
        }
        Self::new(compression)
    }

    /// Returns an encoder that starts with the dictionary of `other`, a file of similar traffic.
    #[cfg(feature = "zstd")]
    pub(crate) fn zstd_beside(other: impl BufRead + Seek, end: u64) -> io::Result<Self> {
        let format = Writer::new();
        let dictionary = super::zstd::dictionary_of(other, end, &format.id_prefix())?;
        let compress = super::zstd::Zstd::new(dictionary)?;
        Ok(Self::with(format, Some(Box::new(compress))))
    }

    fn with(format: Writer, compress: Option<Box<dyn Compress>>) -> Self {
        Self {
            format,
            members: compress.map(|compress| Members {
                compress,
                plain: Vec::new(),
            }),
        }
    }

    /// Whether to begin the next file now, whatever the size of this file, because a dictionary
    /// from this file would make the next file smaller.
    pub(crate) fn has_learned(&self) -> bool {
        let members = self.members.as_ref();
        members.is_some_and(|members| members.compress.has_learned())
    }

    /// Appends the start of a segment.
    pub(crate) fn open(&mut self, out: &mut Vec<u8>, file_name: &str) -> io::Result<()> {
        match &mut self.members {
            None => self.format.open(out, file_name),
            Some(members) => {
                members.compress.open(out)?;
                members.plain.clear();
                self.format.open(&mut members.plain, file_name);
                members.add(0, out)?;
            }
        }
        Ok(())
    }

    /// Appends an exchange.
    pub(crate) fn exchange(&mut self, out: &mut Vec<u8>, exchange: &Exchange) -> io::Result<()> {
        match &mut self.members {
            None => {
                self.format.exchange(out, exchange);
            }
            Some(members) => {
                members.plain.clear();
                let second = self.format.exchange(&mut members.plain, exchange);
                members.add(second, out)?;
            }
        }
        Ok(())
    }
}

impl Members {
    /// Compresses one record, or two if `second` is the position of a second one.
    fn add(&mut self, second: usize, out: &mut Vec<u8>) -> io::Result<()> {
        let (first, second) = self.plain.split_at(second);
        for record in [first, second] {
            if record.len() as u64 > MAX_COMPRESSED {
                return Err(io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    "message too long to compress: expected at most 1 GiB; record without compression, or lower max_body_bytes",
                ));
            }
            if !record.is_empty() {
                self.compress.member(record, out)?;
            }
        }
        if self.plain.capacity() > KEPT {
            self.plain = Vec::new();
        }
        Ok(())
    }
}
