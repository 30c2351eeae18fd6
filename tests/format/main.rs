//! File formats: WARC, HAR, VCR cassettes and http4k's texts, read and written.

mod har;
mod http4k;
mod vcr;
mod warc;
