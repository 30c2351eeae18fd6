//! Streams and caches in S3.

mod cache;
mod conformance;
mod odd_servers;
mod replay;
mod stream;
