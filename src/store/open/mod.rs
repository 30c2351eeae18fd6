//! `open`: a recording of any kind, by its location.

#[cfg(feature = "s3")]
mod bucket;
mod detect;

use std::{ffi::OsStr, fmt, path::Path, sync::Arc};

use self::detect::detect;
use super::{
    BoxFuture, BoxStream, RecordingReport, Replay, Source, StoreError, Which, blocking,
    file::{FileFormat, RecordingFile},
    folder::Folder,
};
use crate::{
    matching::{MatchKey, Matching},
    message::Exchange,
};

/// A read-only recording of any kind. Clones share it.
///
/// [`open`] returns it, and everything that reads a recording takes it:
/// [`ReplayStream::new`](crate::ReplayStream::new), [`Resend::new`](crate::Resend::new),
/// [`ReplayCache::read_only`](crate::ReplayCache::read_only). The first look-up loads a file or an
/// S3 stream into memory; for a folder, the first look-up builds an index.
///
/// A replay never changes the recording: the torn tail of a killed writer is an error
/// ([`StoreError::Damaged`]), and stays in its file. A look-up in a folder repairs it, as
/// [`Disk`](super::Disk) does.
#[derive(Clone)]
#[must_use]
pub struct Recording {
    location: Location,
    format: Format,
}

#[derive(Clone)]
enum Location {
    Folder(Folder<()>),
    File(RecordingFile),
    #[cfg(feature = "s3")]
    Bucket(bucket::BucketRecording),
}

/// The format of a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// A folder of any layout, read as by [`Disk`](super::Disk).
    Folder,
    /// One WARC file, compressed or not.
    Warc,
    /// An HTTP Archive (`Har`, feature `har`).
    Har,
    /// A VCR cassette (`Vcr`, feature `vcr`).
    Vcr,
    /// Segments in S3 (`S3`, feature `s3`).
    S3,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Folder => "folder",
            Self::Warc => "WARC",
            Self::Har => "HAR",
            Self::Vcr => "VCR cassette",
            Self::S3 => "S3",
        })
    }
}

/// Opens the recording at `location`: a folder of any layout, a file of any format that this crate
/// reads, or `s3://bucket/prefix`.
///
/// The content of a file determines its format, whatever its name is: WARC (also compressed with
/// gzip or Zstandard), HAR, or a VCR cassette in YAML or JSON. `open` reads only its beginning, and
/// sends no request to S3. The credentials and the endpoint of S3 are those of `store::Bucket`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_traffic::{Resend, ReplayStream, store};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("session.har");
/// # std::fs::write(&path, r#"{"log": {"entries": []}}"#)?;
/// let recording = store::open(path).await?;
/// println!("a {}", recording.format());
/// let replay = ReplayStream::new(recording.clone());
/// let resend = Resend::new(recording);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// - [`StoreError::NotFound`] if `location` does not exist,
/// - [`StoreError::Unsupported`] if it is a file of an unknown format, or needs a feature of this
///   crate that is off,
/// - [`StoreError::Io`] if it cannot be read.
pub async fn open(location: impl AsRef<OsStr>) -> Result<Recording, StoreError> {
    if let Some(location) = location.as_ref().to_str().filter(|text| is_s3(text)) {
        return in_s3(location);
    }
    let path: Arc<Path> = Path::new(location.as_ref()).into();
    let (location, format) = blocking(move || {
        let Some(format) = detect(&path)? else {
            return Ok((Location::Folder(Folder::new(path)), Format::Folder));
        };
        let file = RecordingFile::new(path, format);
        let format = match format {
            FileFormat::Warc => Format::Warc,
            FileFormat::Har => Format::Har,
            FileFormat::Vcr => Format::Vcr,
        };
        Ok((Location::File(file), format))
    })
    .await?;
    Ok(Recording { location, format })
}

fn is_s3(location: &str) -> bool {
    let scheme = location.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("s3"))
}

#[cfg(feature = "s3")]
#[expect(clippy::unnecessary_wraps, reason = "as without the feature")]
fn in_s3(location: &str) -> Result<Recording, StoreError> {
    Ok(Recording {
        location: Location::Bucket(bucket::BucketRecording::new(location)),
        format: Format::S3,
    })
}

#[cfg(not(feature = "s3"))]
fn in_s3(location: &str) -> Result<Recording, StoreError> {
    Err(StoreError::feature_off(Path::new(location), "s3"))
}

impl Recording {
    /// Returns the format of the recording.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// Sets the rule by which look-ups match requests.
    ///
    /// The returned recording is loaded or indexed again. Clones made before keep their rule.
    pub fn match_by(mut self, matching: Matching) -> Self {
        match &mut self.location {
            Location::Folder(folder) => folder.match_by(matching),
            Location::File(file) => *file = file.match_by(matching),
            #[cfg(feature = "s3")]
            Location::Bucket(bucket) => *bucket = bucket.match_by(matching),
        }
        self
    }

    /// Reads the recording unless it was read already, and reports its contents. The content of
    /// files is not kept in memory.
    ///
    /// # Errors
    /// If the recording cannot be read. The report lists the parts that cannot be read.
    pub async fn report(&self) -> Result<RecordingReport, StoreError> {
        match &self.location {
            Location::Folder(folder) => {
                let report = folder.report().await?;
                Ok(RecordingReport {
                    exchanges: report.exchanges,
                    skipped: report.skipped.clone(),
                    notes: report.notes.clone(),
                    folder: Some(report),
                    ..RecordingReport::default()
                })
            }
            Location::File(file) => file.scan().await,
            #[cfg(feature = "s3")]
            Location::Bucket(bucket) => bucket.report().await,
        }
    }

    fn source(&self) -> &dyn Source {
        match &self.location {
            Location::Folder(folder) => folder,
            Location::File(file) => file,
            #[cfg(feature = "s3")]
            Location::Bucket(bucket) => bucket,
        }
    }
}

impl Source for Recording {
    fn matching(&self) -> &Matching {
        self.source().matching()
    }

    fn find(
        &self,
        key: MatchKey,
        which: Which,
    ) -> BoxFuture<'_, Result<Option<Arc<Exchange>>, StoreError>> {
        self.source().find(key, which)
    }

    fn is_empty(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.source().is_empty()
    }
}

impl Replay for Recording {
    /// Streams the exchanges in the order of the recording, with a few in memory at a time.
    fn replay(&self) -> BoxStream<'static, Result<Exchange, StoreError>> {
        match &self.location {
            Location::Folder(folder) => folder.replay_unchanged(),
            Location::File(file) => file.replay(),
            #[cfg(feature = "s3")]
            Location::Bucket(bucket) => bucket.replay(),
        }
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording")
            .field("format", &self.format)
            .finish_non_exhaustive()
    }
}
