//! Recordings of processes that are killed with `kill -9`.

mod compressed;
mod fixtures;
mod warc;
