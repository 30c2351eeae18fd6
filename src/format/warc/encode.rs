//! Segments as they are stored: plain, or with a compressed member for each record.

use std::io;

use super::{MAX_COMPRESSED, Writer};
use crate::{Exchange, store::Compression};

/// Compresses records.
pub(super) trait Compress: Send {
    /// Appends a record as a member.
    fn member(&mut self, record: &[u8], out: &mut Vec<u8>) -> io::Result<()>;
}

/// Writes one segment.
pub(crate) struct Encoder {
    format: Writer,
    members: Option<Members>,
}

struct Members {
    compress: Box<dyn Compress>,
    /// What is yet to be compressed; kept for its memory only.
    plain: Vec<u8>,
}

/// Room that is given back when one large exchange has asked for it, in bytes.
const KEPT: usize = 1 << 20;

impl Encoder {
    pub(crate) fn new(compression: Compression) -> Self {
        let compress: Option<Box<dyn Compress>> = match compression {
            Compression::None => None,
            #[cfg(feature = "gzip")]
            Compression::Gzip => Some(Box::new(super::gzip::Gzip::default())),
        };
        Self {
            format: Writer::new(),
            members: compress.map(|compress| Members {
                compress,
                plain: Vec::new(),
            }),
        }
    }

    /// Appends what opens a segment.
    pub(crate) fn open(&mut self, out: &mut Vec<u8>, file_name: &str) -> io::Result<()> {
        match &mut self.members {
            None => self.format.open(out, file_name),
            Some(members) => {
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
    /// Compresses one record, or two, of which the second begins there.
    fn add(&mut self, second: usize, out: &mut Vec<u8>) -> io::Result<()> {
        let (first, second) = self.plain.split_at(second);
        for record in [first, second] {
            if record.len() as u64 > MAX_COMPRESSED {
                return Err(io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    "a message over 1 GiB is not compressed: record it plain, or less of it",
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
