//! Recordings in S3, or in whatever speaks its protocol.

mod backoff;
mod bucket;
mod client;
mod multipart;
mod objects;
mod problem;

pub use self::bucket::Bucket;

#[cfg(test)]
mod tests;
