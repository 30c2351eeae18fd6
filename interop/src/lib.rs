//! Code shared by the tests: `curl`, an S3 server, and a proxy that injects faults.
#![allow(
    missing_docs,
    clippy::missing_errors_doc,
    clippy::missing_panics_doc,
    clippy::must_use_candidate,
    clippy::new_without_default
)]

pub mod curl;
pub mod faults;
pub mod s3;
