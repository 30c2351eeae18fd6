//! Writes gzip (RFC 1952) with a member per record, as WARC 1.1 recommends (annex D).

use std::io;

use crc32fast::Hasher;
use flate2::{Compression, FlushCompress, Status};

use super::encode::Compress;

/// The gzip header of every member. It has no file name and no modification time, so that equal
/// records give equal bytes; the operating system is "unknown".
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// Compresses records into gzip members, one after the other, and reuses its buffers.
pub(super) struct Gzip {
    deflate: flate2::Compress,
    checksum: Hasher,
    length: u32,
}

impl Default for Gzip {
    fn default() -> Self {
        Self {
            deflate: flate2::Compress::new(Compression::default(), false),
            checksum: Hasher::new(),
            length: 0,
        }
    }
}

impl Compress for Gzip {
    fn member(&mut self, record: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.begin(out);
        self.text(record, out)?;
        self.end(out)
    }
}

impl Gzip {
    pub(super) fn begin(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&HEADER);
        self.deflate.reset();
        self.checksum = Hasher::new();
        self.length = 0;
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the format counts modulo 2^32"
    )]
    pub(super) fn text(&mut self, text: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        self.checksum.update(text);
        self.length = self.length.wrapping_add(text.len() as u32);
        let mut read = 0;
        while read < text.len() {
            let before = self.deflate.total_in();
            self.run(&text[read..], out, FlushCompress::None)?;
            read += (self.deflate.total_in() - before) as usize;
        }
        Ok(())
    }

    pub(super) fn end(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        while self.run(&[], out, FlushCompress::Finish)? != Status::StreamEnd {}
        let checksum = self.checksum.clone().finalize();
        out.extend_from_slice(&checksum.to_le_bytes());
        out.extend_from_slice(&self.length.to_le_bytes());
        Ok(())
    }

    fn run(&mut self, text: &[u8], out: &mut Vec<u8>, flush: FlushCompress) -> io::Result<Status> {
        // Only spare capacity is written to.
        out.reserve(text.len() / 2 + 256);
        Ok(self.deflate.compress_vec(text, out, flush)?)
    }
}
