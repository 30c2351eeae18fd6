//! Bytes in, exchanges out, and back. Nothing here opens a file.

use std::io;

pub(crate) mod http_text;
pub(crate) mod warc;

/// The error of reading what a feature that is off would read.
#[allow(dead_code)] // with all features there is none
pub(crate) fn needs_feature(feature: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, NeedsFeature(feature))
}

/// The name of the feature.
#[derive(Debug, thiserror::Error)]
#[error("this needs the feature `{0}`")]
pub(crate) struct NeedsFeature(pub(crate) &'static str);
