//! Bytes in, exchanges out, and back. Nothing here opens a file.

#[cfg(any(feature = "har", feature = "vcr"))]
mod date;
#[cfg(any(feature = "har", feature = "vcr"))]
mod entry;
pub(crate) mod fixture;
#[cfg(feature = "har")]
pub(crate) mod har;
pub(crate) mod http4k;
pub(crate) mod http_text;
#[cfg(any(feature = "har", feature = "vcr"))]
#[cfg_attr(not(all(feature = "har", feature = "vcr")), allow(dead_code))] // each uses its part
mod message;
#[cfg(any(feature = "har", feature = "vcr"))]
#[cfg_attr(not(all(feature = "har", feature = "vcr")), allow(dead_code))] // each uses its part
mod node;
#[cfg(feature = "vcr")]
pub(crate) mod vcr;
pub(crate) mod warc;

use std::io;

use percent_encoding::{AsciiSet, CONTROLS};

#[cfg(any(feature = "har", feature = "vcr"))]
pub(crate) use self::entry::{Event, Fault, OnEvent};

/// What no URI contains.
const NOT_IN_URI: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The error of reading what a feature that is off would read.
#[allow(dead_code)] // with all features there is none
pub(crate) fn needs_feature(feature: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, NeedsFeature(feature))
}

/// The name of the feature.
#[derive(Debug, thiserror::Error)]
#[error("this needs the feature `{0}`")]
pub(crate) struct NeedsFeature(pub(crate) &'static str);
