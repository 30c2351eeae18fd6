//! WARC 1.1 (ISO 28500): the format of recordings on disk.
//!
//! A segment opens with a `warcinfo` record. Every exchange is a pair of neighbours: a `request`
//! record, and a `response` record that names it in `WARC-Concurrent-To`, or, where no response
//! came, a `metadata` record. What WARC has no field for stands in fields of our own, which other
//! readers ignore as the standard tells them to:
//!
//! A compressed segment has a gzip member or a zstd frame for each record, and so a place in the file
//! for each. All ids of a segment begin with the same random bits and end with a number.
//!
//! The standard's digests are left out, and a checksum of our own stands there instead: SHA-256, with
//! the processor's help, was a fifth of the writer's time in a profile of `axum_app` under load.
//!
//! | field | on | says |
//! |---|---|---|
//! | `Traffic-Time-To-Head`, `Traffic-Time-To-End` | response, metadata | seconds since `WARC-Date` |
//! | `Traffic-Trailers` | request, response | trailers, as `name=value` joined by `&`, percent-encoded |
//! | `Traffic-CRC32` | every one | a CRC-32 (ISO-HDLC, as in gzip) of the lines before it and of the block, in hex |
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
    read::{Depth, Item, Reader},
    write::Writer,
};

const TIME_TO_HEAD: &str = "Traffic-Time-To-Head";
const TIME_TO_END: &str = "Traffic-Time-To-End";
const TRAILERS: &str = "Traffic-Trailers";
const ERROR: &str = "Traffic-Error";
const CHECKSUM: &str = "Traffic-CRC32";

/// A record that is compressed has at most so many bytes, here and in what is read: a few bytes can
/// stand for gigabytes.
const MAX_COMPRESSED: u64 = 1 << 30;

/// How a record begins.
const MARK: &[u8] = b"WARC/1.";

/// The head of a record is a few hundred bytes, plus trailers and an error's text.
const MAX_HEAD: usize = 4 << 20;

/// What is escaped in a line of text; non-ASCII bytes always are.
const LINE: &AsciiSet = &CONTROLS.add(b'%');
const LINE_AND_SPACE: &AsciiSet = &LINE.add(b' ');
/// What is escaped in a trailer.
const TRAILER: &AsciiSet = &LINE_AND_SPACE.add(b'&').add(b'=');
