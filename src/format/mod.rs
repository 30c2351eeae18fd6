//! Bytes in, exchanges out, and back. Nothing here opens a file.

pub(crate) mod http_text;
pub(crate) mod warc;
