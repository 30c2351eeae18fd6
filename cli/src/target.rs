//! Targets of a conversion.

use std::{ffi::OsStr, path::Path, sync::Arc};

use clap::ValueEnum;
use tower_traffic::{
    Exchange,
    store::{Compression, Disk, DiskCache, Har, Sink},
};

use crate::{atomic_path::AtomicPath, failure::Failure};

/// A format to convert to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// WARC 1.1: one file if the name of TO ends with .warc, else a folder of WARC files
    Warc,
    /// WARC with gzip: one file if the name of TO ends with .warc.gz, else a folder of WARC files
    #[value(name = "warc.gz")]
    WarcGz,
    /// WARC with Zstandard: a folder of WARC files
    #[value(name = "warc.zst")]
    WarcZst,
    /// HAR 1.2
    Har,
    /// A folder of text files for editing: for each request its last response, without times
    Fixtures,
    /// WARC files in S3; TO is `s3://bucket/prefix`
    S3,
}

impl Format {
    /// Returns the format that a file name implies, or `None` if it implies no format.
    fn by_name(name: &OsStr) -> Option<Self> {
        let name = name.to_string_lossy().to_ascii_lowercase();
        let ends = [
            (".har", Self::Har),
            (".warc", Self::Warc),
            (".warc.gz", Self::WarcGz),
            (".warc.zst", Self::WarcZst),
        ];
        if name.starts_with("s3://") {
            return Some(Self::S3);
        }
        ends.into_iter()
            .find(|(end, _)| name.ends_with(end))
            .map(|(_, format)| format)
    }

    /// Whether a recording in this format is a folder, unless its name implies a file.
    fn is_folder(self) -> bool {
        !matches!(self, Self::Har | Self::S3)
    }

    /// Whether the format has only one exchange for each request.
    pub(crate) fn is_cache(self) -> bool {
        self == Self::Fixtures
    }
}

/// A recording that is being written.
pub(crate) struct Target {
    pub(crate) format: Format,
    sink: Box<dyn Sink>,
    /// The final path; `None` in S3.
    output: Option<AtomicPath>,
}

impl Target {
    pub(crate) async fn new(
        to: &OsStr,
        format: Option<Format>,
        force: bool,
        shared: bool,
    ) -> Result<Self, Failure> {
        let by_name = Format::by_name(to);
        let is_chosen = format.is_some();
        let format = format.or(by_name).unwrap_or(Format::Warc);
        let name = to.to_string_lossy();
        let refused = |reason: &str| {
            Err(Failure::Target {
                what: name.clone().into_owned(),
                reason: reason.to_owned(),
            })
        };
        match (by_name, format) {
            (Some(by_name), format) if by_name != format => {
                return refused("the name implies another format than --to");
            }
            (Some(Format::WarcZst), _) => {
                return refused(
                    "dictionaries need several files: give a folder, with --to warc.zst",
                );
            }
            (None, Format::S3) => return refused("invalid target: expected s3://bucket/prefix"),
            #[cfg(feature = "s3")]
            (Some(Format::S3), _) => return Self::in_s3(&name, force).await,
            #[cfg(not(feature = "s3"))]
            (Some(Format::S3), _) => {
                return refused("needs the feature `s3` of tower-traffic-cli");
            }
            (None, format) if format.is_folder() && names_a_file(&name, is_chosen) => {
                return refused(
                    "expected NAME.har, NAME.warc, NAME.warc.gz, s3://bucket/prefix, or the name of \
                     a folder, with --to if it has a dot",
                );
            }
            _ => {}
        }
        let is_one_warc = by_name.is_some() && format != Format::Har;
        let output = AtomicPath::new(Path::new(to), is_one_warc, force)?;
        let partial = output.partial();
        let sink: Box<dyn Sink> = match format {
            Format::Har => Box::new(Har::new(partial).shared(shared)),
            Format::Fixtures => Box::new(DiskCache::new(partial).shared(shared)),
            Format::WarcGz => {
                Box::new(warc(partial, Compression::Gzip, is_one_warc).shared(shared))
            }
            Format::WarcZst => Box::new(warc(partial, Compression::Zstd, false).shared(shared)),
            Format::Warc | Format::S3 => {
                Box::new(warc(partial, Compression::None, is_one_warc).shared(shared))
            }
        };
        Ok(Self {
            format,
            sink,
            output: Some(output),
        })
    }

    /// Fails if a recording exists, unless `force`, which adds to it.
    #[cfg(feature = "s3")]
    async fn in_s3(location: &str, force: bool) -> Result<Self, Failure> {
        use futures_util::StreamExt;
        use tower_traffic::{
            StoreError,
            store::{Replay, S3},
        };

        let s3 = S3::new(location);
        if !force {
            match s3.replay().next().await {
                None | Some(Err(StoreError::NotFound { .. })) => {}
                Some(Err(error)) if !matches!(error, StoreError::Damaged { .. }) => {
                    return Err(error.into());
                }
                Some(_) => {
                    return Err(Failure::Target {
                        what: location.to_owned(),
                        reason: "already exists: give another prefix, or --force to add to it"
                            .to_owned(),
                    });
                }
            }
        }
        Ok(Self {
            format: Format::S3,
            sink: Box::new(s3),
            output: None,
        })
    }

    pub(crate) async fn store(&self, exchanges: Vec<Arc<Exchange>>) -> Result<(), Failure> {
        Ok(self.sink.store(exchanges).await?)
    }

    /// Completes the recording and moves it to its final path.
    pub(crate) async fn finish(self) -> Result<(), Failure> {
        self.sink.flush().await?;
        // The sink closes its files.
        drop(self.sink);
        match self.output {
            Some(output) => output.take(),
            None => Ok(()),
        }
    }
}

/// Whether a name has the extension of a file. With a chosen format, only well-known extensions
/// count; otherwise all that are not a number, as in `v1.2`.
fn names_a_file(name: &str, is_chosen: bool) -> bool {
    const KNOWN: [&str; 22] = [
        "7z", "br", "bz2", "cassette", "csv", "gz", "har", "html", "http", "json", "jsonl", "log",
        "ndjson", "pcap", "tar", "txt", "warc", "xml", "yaml", "yml", "zip", "zst",
    ];
    // A trailing slash means a folder.
    let last = name.rsplit('/').next().unwrap_or_default();
    match last.trim_start_matches('.').rsplit_once('.') {
        Some((_, extension)) if is_chosen => {
            KNOWN.contains(&extension.to_ascii_lowercase().as_str())
        }
        Some((_, extension)) => extension.contains(|c: char| !c.is_ascii_digit()),
        None => false,
    }
}

fn warc(folder: &Path, compression: Compression, is_one: bool) -> Disk {
    let disk = Disk::new(folder).compress(compression);
    if is_one {
        disk.max_segment_bytes(u64::MAX)
    } else {
        disk
    }
}
