//! What the tests with other programs share: an S3 server, and a proxy that breaks its answers.
#![allow(missing_docs, clippy::missing_errors_doc, clippy::missing_panics_doc)]

pub mod faults;
pub mod s3;
