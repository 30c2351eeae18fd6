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
    /// Appends a record as a member.
    fn member(&mut self, record: &[u8], out: &mut Vec<u8>) -> io::Result<()>;

    /// Appends the start of the file.
    fn open(&mut self, _out: &mut Vec<u8>) -> io::Result<()> {
        Ok(())
    }

    /// Whether the next file would be smaller, because of what this one has learned.
    fn has_learned(&self) -> bool {
        false
    }

    /// The compressor of the next file, whose ids begin with `ids`, if it can use what this one has
    /// learned.
    #[cfg(feature = "zstd")]
    fn successor(&mut self, _id_prefix: &str) -> io::Result<Option<Box<dyn Compress>>> {
        Ok(None)
    }
}

/// Writes one segment.
pub(crate) struct Encoder {
    format: Writer,
    members: Option<Members>,
}

struct Members {
    compress: Box<dyn Compress>,
    /// Uncompressed records; the buffer is kept for reuse.
    plain: Vec<u8>,
}

/// The capacity above which a buffer is released after a large exchange, in bytes.
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

    /// An encoder for the file after this one.
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

    /// An encoder for a file beside another one of the same traffic, whose dictionary may help.
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

    /// Whether to begin the next file, whatever the size of this one.
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
    /// Compresses one record, or two, the second of which begins at `second`.
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
