//! Recordings in S3 and compatible servers.

mod backoff;
mod bucket;
mod cache;
mod client;
mod multipart;
mod objects;
mod problem;
mod stream;

pub use self::{
    bucket::{Bucket, InvalidBucket},
    cache::S3Cache,
    problem::{S3Error, S3Problem},
    stream::{S3, S3Stats},
};

#[cfg(feature = "test-util")]
pub(crate) use self::{
    multipart::Parts,
    objects::{Objects, Position, PutMode},
};
