//! The arguments.

#![allow(clippy::doc_markdown)] // the texts are shown as they stand here

use std::{ffi::OsString, time::Duration};

use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};

use crate::{
    filter::{Statuses, UriPattern, When},
    target::Form,
};

const LOCATIONS: &str = "\
LOCATION is a folder (of WARC files, fixtures, http4k's texts), a file (WARC, also .gz and .zst; HAR; a VCR cassette in YAML or JSON: told by \
its content), or s3://bucket/prefix. For S3 the usual variables of AWS count (AWS_PROFILE, \
AWS_REGION, AWS_ENDPOINT_URL, ...).

Exit codes: 0 if all is well, 1 if a part of the recording is damaged (the rest is still read), 2 if \
what was asked for cannot be done.";

/// Looks into recordings of HTTP traffic, converts and checks them.
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

/// Lists the exchanges of a recording, or shows one whole
///
/// On a terminal URIs are shortened to its width; in a pipe nothing is. ENDED is ok, cut (only the
/// beginning of a body was kept), gone (the client went away) or error.
#[derive(Debug, ClapArgs)]
#[command(after_help = LOCATIONS)]
pub(crate) struct Inspect {
    /// The recording
    pub(crate) location: OsString,
    #[command(flatten)]
    pub(crate) filter: Filter,
    /// Stop after so many
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// Show this exchange whole, by its number in the list: bodies decoded, JSON indented, as
    /// `DebugDump` does it
    #[arg(long, value_name = "N")]
    pub(crate) show: Option<u64>,
    /// Print a JSON object a line for each exchange; fields are only ever added
    ///
    /// number, began (RFC 3339), method, uri, version, status (null if there was no response),
    /// request_bytes, response_bytes, time_to_head_ms (or null), time_to_end_ms, ended (complete,
    /// limit, client-gone, error), error (or null). With --show also request and response, each with
    /// headers (a list of [name, value]), trailers, and body (text) or body_base64.
    #[arg(long)]
    pub(crate) json: bool,
    /// Show secrets as the recording has them
    ///
    /// They are otherwise replaced by REDACTED. A recording of this crate has none, unless that was
    /// asked for; a HAR from a browser has every cookie and token.
    #[arg(long)]
    pub(crate) no_redact: bool,
}

#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Filters")]
pub(crate) struct Filter {
    /// Only these methods, as in GET,POST
    #[arg(long, value_name = "METHODS", value_delimiter = ',')]
    pub(crate) method: Vec<String>,
    /// Only these statuses, as in 404, 5xx or 400-499; none is no response
    #[arg(long, value_name = "STATUSES", value_delimiter = ',')]
    pub(crate) status: Vec<Statuses>,
    /// Only URIs that contain this text, or match it as a regular expression
    #[arg(long, value_name = "PATTERN")]
    pub(crate) uri: Option<UriPattern>,
    /// Only from this time on: 2026-11-20, 2026-11-20T23:59:59Z, or 10m for ten minutes ago
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<When>,
    /// Only before this time
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<When>,
    /// Only those that ended so
    #[arg(long, value_name = "HOW", value_delimiter = ',')]
    pub(crate) ended: Vec<EndedAs>,
    /// Only those that took longer, to the end of the response: 100ms, 2s
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub(crate) slower_than: Option<Duration>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum EndedAs {
    Complete,
    Limit,
    ClientGone,
    Error,
}

/// Writes a recording in another form
///
/// Secrets are replaced by REDACTED on the way, as when traffic is recorded. What cannot be carried
/// over is told. TO appears only when all of it is written, except in S3.
#[derive(Debug, ClapArgs)]
#[command(after_help = LOCATIONS)]
pub(crate) struct Convert {
    /// The recording
    pub(crate) from: OsString,
    /// Where to write it: NAME.har, NAME.warc, NAME.warc.gz, s3://bucket/prefix, or a folder
    pub(crate) to: OsString,
    /// The form, where TO's name does not tell it; a folder has WARC files by default
    #[arg(long = "to", value_name = "FORM", id = "form")]
    pub(crate) form: Option<Form>,
    /// Replace what stands at TO, unless it is a folder with files of no recording; in S3, add to it
    #[arg(long)]
    pub(crate) force: bool,
    /// Keep secrets as the recording has them
    #[arg(long)]
    pub(crate) no_redact: bool,
}

/// Reads all of a recording, and says what is damaged and where
#[derive(Debug, ClapArgs)]
#[command(after_help = LOCATIONS)]
pub(crate) struct Verify {
    /// The recording
    pub(crate) location: OsString,
    /// Print a JSON object a line: {"damage": ...} and {"note": ...} for each, and
    /// {"exchanges": N, "damaged": N} at the end
    #[arg(long)]
    pub(crate) json: bool,
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; 100ms or 2s is expected"))
}
