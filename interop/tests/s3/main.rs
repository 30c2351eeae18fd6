//! Streams and caches in S3.

mod cache;
mod conformance;
mod replay;
mod stream;
