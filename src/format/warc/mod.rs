//! WARC 1.1 (ISO 28500): the format of recordings on disk.
//!
//! A segment begins with a `warcinfo` record. Every exchange is a pair of adjacent records: a
//! `request` record, and a `response` record that names it in `WARC-Concurrent-To`, or, without a
//! response, a `metadata` record. The crate's own fields are ignored by other readers, as the
//! standard requires:
//!
//! A compressed segment has a gzip member or a zstd frame per record, and so a position in the file
//! for each record. All ids of a segment begin with the same random bits and end with a number.
//!
//! A CRC-32 replaces the standard's digests: SHA-256, even with hardware support, took a fifth of
//! the writer's time in a profile of `axum_app` under load.
//!
//! A record without the crate's own fields is read as one of another tool (`read/foreign`): the
//! message in it is as it was on the wire.
//!
//! | field | on | meaning |
//! |---|---|---|
//! | `Traffic-Time-To-Head`, `Traffic-Time-To-End` | response, metadata | seconds since `WARC-Date` |
//! | `Traffic-Trailers` | request, response | trailers, as `name=value` joined by `&`, percent-encoded |
//! | `Traffic-CRC32` | all | a CRC-32 (ISO-HDLC, as in gzip) of the preceding lines and of the block, in hex |
//! | `Traffic-Error` | request, response, metadata | the error that the body or the exchange ended with, percent-encoded |

mod compression;
mod encode;
#[cfg(feature = "gzip")]
mod gzip;
#[cfg(feature = "s3")]
mod pack;
mod read;
mod write;
#[cfg(feature = "zstd")]
mod zstd;

use percent_encoding::{AsciiSet, CONTROLS};

pub use self::compression::Compression;
#[cfg(feature = "gzip")]
#[cfg(feature = "s3")]
pub(crate) use self::pack::pack_gzip;
#[cfg(feature = "har")]
pub(crate) use self::write::set_target;
pub(crate) use self::{
    encode::Encoder,
    read::{Depth, OriginalKey, Reader, SegmentItem},
    write::Writer,
};

/// The start of the names of this crate's fields.
const PREFIX: &str = "Traffic-";
const TIME_TO_HEAD: &str = "Traffic-Time-To-Head";
const TIME_TO_END: &str = "Traffic-Time-To-End";
const TRAILERS: &str = "Traffic-Trailers";
const ERROR: &str = "Traffic-Error";
const CHECKSUM: &str = "Traffic-CRC32";

/// The maximum size of a compressed record, written or read, in bytes: a few bytes can expand to
/// gigabytes.
const MAX_COMPRESSED: u64 = 1 << 30;

/// The bytes with which a record begins.
const MARK: &[u8] = b"WARC/1.";

/// The maximum size of a record's header section, in bytes. It usually has a few hundred, plus
/// trailers and the text of an error.
const MAX_HEAD: usize = 4 << 20;

/// ASCII characters that are escaped in a line of text; all other characters are escaped too.
const LINE: &AsciiSet = &CONTROLS.add(b'%');
const LINE_AND_SPACE: &AsciiSet = &LINE.add(b' ');
/// Characters that are escaped in a trailer.
const TRAILER: &AsciiSet = &LINE_AND_SPACE.add(b'&').add(b'=');
