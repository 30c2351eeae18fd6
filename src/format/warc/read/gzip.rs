//! Reads gzip (RFC 1952), member by member.
//!
//! The frame around the deflated bytes is read here: only so can the decoder's memory be reused for
//! the next member.

use crc32fast::Hasher;
use flate2::{Decompress, FlushDecompress, Status};
use memchr::memchr;

use super::text::{Decode, Step};

const MAGIC: &[u8] = &[0x1f, 0x8b, 0x08];

// Flags (RFC 1952, 2.3.1).
const HEADER_CHECKSUM: u8 = 1 << 1;
const EXTRA: u8 = 1 << 2;
const NAME: u8 = 1 << 3;
const COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0b1110_0000;

pub(super) struct Gzip {
    inflate: Decompress,
    stage: Stage,
    checksum: Hasher,
    /// The length of the decoded content modulo 2^32, as in the trailer.
    length: u32,
}

/// The part of a member that is read next.
enum Stage {
    /// The fixed part of the header, and the number of its bytes that are read.
    Header {
        read: usize,
        flags: u8,
    },
    /// The fields that the flags announce, and the position in the first of them.
    Optional {
        flags: u8,
        read: usize,
        extra: usize,
    },
    Deflated,
    /// The checksum and the length.
    Trailer {
        read: usize,
        bytes: [u8; 8],
    },
}

const START: Stage = Stage::Header { read: 0, flags: 0 };

impl Gzip {
    pub(super) fn new() -> Self {
        Self {
            inflate: Decompress::new(false),
            stage: START,
            checksum: Hasher::new(),
            length: 0,
        }
    }

    /// Reads a byte of the header or the trailer. Returns true for the last byte of the member.
    fn byte(&mut self, byte: u8) -> Result<bool, String> {
        match &mut self.stage {
            Stage::Header { read, flags } => {
                match *read {
                    at @ 0..3 if byte != MAGIC[at] => {
                        return Err("expected a gzip member".to_owned());
                    }
                    3 if byte & RESERVED != 0 => {
                        return Err("invalid gzip header: unknown flags".to_owned());
                    }
                    3 => *flags = byte,
                    _ => {}
                }
                *read += 1;
                if *read == 10 {
                    let flags = *flags & (EXTRA | NAME | COMMENT | HEADER_CHECKSUM);
                    self.optional(flags);
                }
            }
            Stage::Optional { flags, read, extra } => {
                let flag = *flags & flags.wrapping_neg();
                let order = [EXTRA, NAME, COMMENT, HEADER_CHECKSUM];
                let next = order.into_iter().find(|next| *flags & next != 0);
                debug_assert!(flag != 0);
                *read += 1;
                let is_over = match next {
                    Some(EXTRA) => {
                        if *read <= 2 {
                            *extra |= usize::from(byte) << (8 * (*read - 1));
                        }
                        *read >= 2 && *read == 2 + *extra
                    }
                    Some(NAME | COMMENT) => byte == 0,
                    _ => *read == 2,
                };
                if is_over {
                    let flags = *flags & !next.unwrap_or(*flags);
                    self.optional(flags);
                }
            }
            Stage::Deflated => {}
            Stage::Trailer { read, bytes } => {
                bytes[*read] = byte;
                *read += 1;
                if *read == 8 {
                    let wrong = u64::from_le_bytes(*bytes)
                        != u64::from(self.length) << 32
                            | u64::from(self.checksum.clone().finalize());
                    return if wrong {
                        Err("damaged gzip member: wrong checksum".to_owned())
                    } else {
                        Ok(true)
                    };
                }
            }
        }
        Ok(false)
    }

    /// Skips bytes of an optional field without its last byte. Returns their number.
    fn skipped(&mut self, input: &[u8]) -> usize {
        let Stage::Optional { flags, read, extra } = &mut self.stage else {
            return 0;
        };
        let count = if *flags & EXTRA != 0 {
            let left = (2 + *extra).saturating_sub(*read + 1);
            if *read < 2 { 0 } else { left.min(input.len()) }
        } else if *flags & (NAME | COMMENT) != 0 {
            memchr(0, input).unwrap_or(input.len())
        } else {
            0
        };
        *read += count;
        count
    }

    fn optional(&mut self, flags: u8) {
        // Resetting the decoder is expensive, and in damaged files most starts of members are false.
        if flags == 0 {
            self.inflate.reset(false);
        }
        self.stage = match flags {
            0 => Stage::Deflated,
            flags => Stage::Optional {
                flags,
                read: 0,
                extra: 0,
            },
        };
    }
}

impl Decode for Gzip {
    fn magic(&self) -> &'static [u8] {
        MAGIC
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "counts of bytes in buffers; the format's own is modulo 2^32"
    )]
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, String> {
        let mut read = 0;
        loop {
            if matches!(self.stage, Stage::Deflated) {
                let before = (self.inflate.total_in(), self.inflate.total_out());
                let status = self
                    .inflate
                    .decompress(&input[read..], output, FlushDecompress::None)
                    .map_err(|error| format!("damaged gzip member: {error}"))?;
                read += (self.inflate.total_in() - before.0) as usize;
                let written = (self.inflate.total_out() - before.1) as usize;
                self.checksum.update(&output[..written]);
                self.length = self.length.wrapping_add(written as u32);
                if status == Status::StreamEnd {
                    self.stage = Stage::Trailer {
                        read: 0,
                        bytes: [0; 8],
                    };
                }
                if written > 0 || status != Status::StreamEnd {
                    return Ok(Step {
                        read,
                        written,
                        ended: false,
                    });
                }
            }
            read += self.skipped(&input[read..]);
            let Some(&byte) = input.get(read) else {
                return Ok(Step {
                    read,
                    written: 0,
                    ended: false,
                });
            };
            let ended = self.byte(byte)?;
            read += 1;
            if ended {
                return Ok(Step {
                    read,
                    written: 0,
                    ended,
                });
            }
        }
    }

    fn reset(&mut self) {
        self.stage = START;
        self.checksum = Hasher::new();
        self.length = 0;
    }
}
