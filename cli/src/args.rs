//! Command-line arguments.

#![allow(clippy::doc_markdown)] // clap prints these texts, without Markdown

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::{
    filter::{PointInTime, Statuses, UriPattern},
    target::Format,
    time,
};

const LOCATIONS: &str = "\
LOCATION is a folder (WARC files, fixtures, recordings of http4k), a file (WARC, also with gzip or \
Zstandard; HAR; a VCR cassette in YAML or JSON; recognized by its content), or s3://bucket/prefix. \
For S3, set the usual variables of AWS (AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL, ...).

Exit codes: 0 on success, 1 if a part of the recording is damaged and the rest was read, 2 on failure.";

/// Inspects, converts and verifies recordings of HTTP traffic.
#[derive(Debug, Parser)]
#[command(name = "tower-traffic", version, after_help = LOCATIONS)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Inspect(Box<Inspect>),
    Convert(Convert),
    Verify(Verify),
}

/// Lists the exchanges of a recording, or shows one of them in full
///
/// On a terminal, URIs are shortened to fit; in a pipe, URIs are complete. ENDED is ok, cut (only
/// the beginning of a body was kept), gone (the client disconnected) or error. STATUS of gRPC is
/// 200/14 with the gRPC status 14, and 200/- without one. A dash stands for an unknown time.
#[derive(Debug, ClapArgs)]
#[command(after_help = LOCATIONS)]
pub(crate) struct Inspect {
    /// The recording
    pub(crate) location: OsString,
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// Stop after N exchanges
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Show exchange number N of the list in full: bodies decoded, JSON indented, and the first KiB
    /// of a binary body
    #[arg(long, value_name = "N")]
    pub(crate) show: Option<u64>,
    /// With --show: save the response body in a new file that only you can read
    ///
    /// The body is saved as it was recorded: without transfer coding, with content coding.
    #[arg(long, value_name = "FILE", requires = "show")]
    pub(crate) body: Option<PathBuf>,
    /// Print one JSON object per line for each exchange; later versions only add fields
    ///
    /// number, began (RFC 3339, or null if unknown), method, uri, version, status (null if there was
    /// no response), request_bytes, response_bytes, time_to_head_ms (or null), time_to_end_ms (null
    /// if unknown), ended (complete, limit, client-gone, error), error (or null), and grpc_status of
    /// gRPC (a number, or null if missing). With --show also request and response, each
    /// with headers (a list of [name, value]), trailers, and body (text) or body_base64.
    #[arg(long)]
    pub(crate) json: bool,
    /// Show secrets; by default, secrets are replaced by REDACTED
    ///
    /// Recordings of this crate have no secrets unless redaction was disabled; a HAR file of a
    /// browser has every cookie and token.
    #[arg(long)]
    pub(crate) no_redact: bool,
}

#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Filters")]
pub(crate) struct Filter {
    /// Only these methods, for example GET,POST
    #[arg(long, value_name = "METHODS", value_delimiter = ',')]
    pub(crate) method: Vec<String>,
    /// Only these statuses: 404, 5xx, 400-499, or none for exchanges without a response
    #[arg(long, value_name = "STATUSES", value_delimiter = ',')]
    pub(crate) status: Vec<Statuses>,
    /// Only URIs that contain this text or match this regular expression
    #[arg(long, value_name = "PATTERN")]
    pub(crate) uri: Option<UriPattern>,
    /// Only at or after this time: 2026-11-20, 2026-11-20T23:59:59Z, or 10m for ten minutes ago
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<PointInTime>,
    /// Only before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<PointInTime>,
    /// Only exchanges that ended in one of these ways
    #[arg(long, value_name = "HOW", value_delimiter = ',')]
    pub(crate) ended: Vec<EndKind>,
    /// Only exchanges whose response took longer to complete: 100ms, 2s
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) slower_than: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EndKind {
    /// Both messages are complete
    #[value(name = "ok", alias = "complete")]
    Complete,
    /// Only the beginning of a body was kept
    #[value(name = "cut", alias = "limit")]
    Limit,
    /// The client disconnected
    #[value(name = "gone", alias = "client-gone")]
    ClientGone,
    /// A failure
    Error,
}

/// Converts a recording to another format
///
/// Secrets are replaced by REDACTED, as when traffic is recorded. Exchanges that the format cannot
/// hold are counted on the standard error. TO appears when it is complete, except in S3.
#[derive(Debug, ClapArgs)]
#[command(after_help = LOCATIONS)]
pub(crate) struct Convert {
    /// The recording
    pub(crate) from: OsString,
    /// The target: NAME.har, NAME.warc, NAME.warc.gz, s3://bucket/prefix, or a folder
    pub(crate) to: OsString,
    /// The format; by default implied by the name of TO, or else warc
    #[arg(long = "to", value_name = "FORMAT", id = "format")]
    pub(crate) format: Option<Format>,
    /// Replace TO, unless it is a folder with files of other kinds; in S3, add to the recording
    #[arg(long)]
    pub(crate) force: bool,
    /// Keep secrets; by default, secrets are replaced by REDACTED
    #[arg(long)]
    pub(crate) no_redact: bool,
    /// Let other users read the files, as far as the umask allows; by default, they are private
    #[arg(long)]
    pub(crate) shared: bool,
}

/// Reads a whole recording and lists its damaged parts
#[derive(Debug, ClapArgs)]
#[command(after_help = LOCATIONS)]
pub(crate) struct Verify {
    /// The recording
    pub(crate) location: OsString,
    /// Print one JSON object per line: {"damage": ...}, {"note": ...}, and
    /// {"exchanges": N, "damaged": N} at the end
    #[arg(long)]
    pub(crate) json: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    time::parse_duration(text).ok_or_else(|| "expected a duration such as 100ms or 2s".to_owned())
}
