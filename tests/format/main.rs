//! File formats: WARC, HAR, VCR cassettes and http4k's texts, read and written.

mod conversions;
mod damage;
mod foreign_warc;
mod har;
mod har_content;
mod http4k;
mod vcr;
mod warc;
