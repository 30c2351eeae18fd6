//! Recordings of killed processes (`kill -9`).

mod compressed;
mod fixtures;
mod warc;
