//! Formats of recordings: bytes in, exchanges out, and back; no I/O with files.

mod date;
pub(crate) mod fixture;
#[cfg(any(feature = "har", feature = "vcr"))]
#[cfg_attr(not(all(feature = "har", feature = "vcr")), allow(dead_code))] // each uses its part
mod foreign_message;
#[cfg(feature = "har")]
pub(crate) mod har;
pub(crate) mod http4k;
pub(crate) mod http_text;
#[cfg(any(feature = "har", feature = "vcr"))]
mod json_list;
#[cfg(any(feature = "har", feature = "vcr"))]
#[cfg_attr(not(all(feature = "har", feature = "vcr")), allow(dead_code))] // each uses its part
mod node;
#[cfg(any(feature = "har", feature = "vcr"))]
mod reader_event;
#[cfg_attr(not(any(feature = "har", feature = "vcr")), allow(dead_code))] // they parse
mod uri;
#[cfg(feature = "vcr")]
pub(crate) mod vcr;
pub(crate) mod warc;

use std::io;

#[cfg(any(feature = "har", feature = "vcr"))]
pub(crate) use self::reader_event::{OnEvent, ReadEvent, ReadFault};

/// Returns the error of reading a format whose feature is off.
#[allow(dead_code)] // unused if all features are on
pub(crate) fn needs_feature(feature: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, NeedsFeature(feature))
}

/// The name of the missing feature.
#[derive(Debug, thiserror::Error)]
#[error("requires the feature `{0}`")]
pub(crate) struct NeedsFeature(pub(crate) &'static str);
