//! A recording wherever it is, and whatever it is in.

#[cfg(feature = "s3")]
mod bucket;
mod detect;

use std::{ffi::OsStr, fmt, path::Path, sync::Arc};

use futures_util::FutureExt;

use self::detect::detect;
use super::{
    BoxFuture, BoxStream, Disk, FileReport, Replay, Source, StoreError, Which, blocking,
    disk::contents::examine,
    single_file::{File, Form},
};
use crate::{
    matching::{Key, Matching},
    message::Exchange,
};

/// A recording that was opened by its location, to be read. Clones share it.
///
/// It is what [`open`] gives, and goes wherever a recording is read:
/// [`ReplayStream::from`](crate::ReplayStream::from), [`Resend::from`](crate::Resend::from),
/// [`ReplayCache::from`](crate::ReplayCache::from). A look-up in a file or in S3 reads all of it into
/// memory first; one in a folder builds an index.
///
/// A replay changes nothing: the torn tail that a killed writer leaves is an error here
/// ([`StoreError::Corrupt`]), and stays where it is. A look-up in a folder mends it, as
/// [`Disk`] does.
#[derive(Clone)]
pub struct Recording {
    kind: Kind,
    format: Format,
    matching: Arc<Matching>,
}

#[derive(Clone)]
enum Kind {
    Folder(Disk),
    File(Arc<File>),
    #[cfg(feature = "s3")]
    Bucket(bucket::Stream),
}

/// What a recording is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// A folder of any layout, read by [`Disk`].
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

/// Opens the recording at a location: a folder of any layout, a file in any format that this crate
/// reads, or `s3://bucket/prefix`.
///
/// A file's format is told by its content, not by its name: WARC (`.warc`, `.warc.gz`, `.warc.zst`), HAR,
/// or a VCR cassette in YAML or JSON. Only its beginning is read for that. S3 is not asked before it is
/// read from; credentials and endpoint are those that `store::Bucket` finds.
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
/// let replay = ReplayStream::from(recording.clone());
/// let resend = Resend::from(recording);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// - [`StoreError::NotFound`] if nothing is there,
/// - [`StoreError::UnknownFormat`] if it is a file, and in none of the formats,
/// - [`StoreError::FeatureOff`] if it needs a feature of this crate that is off,
/// - [`StoreError::Io`] if the system does not let it be read.
pub async fn open(location: impl AsRef<OsStr>) -> Result<Recording, StoreError> {
    if let Some(place) = location.as_ref().to_str().filter(|text| is_s3(text)) {
        return in_s3(place);
    }
    let path: Arc<Path> = Path::new(location.as_ref()).into();
    let (kind, format) = blocking(move || {
        let Some(form) = detect(&path)? else {
            return Ok((Kind::Folder(Disk::new(&*path)), Format::Folder));
        };
        let format = match form {
            Form::Warc => Format::Warc,
            Form::Har => Format::Har,
            Form::Vcr => Format::Vcr,
        };
        Ok((Kind::File(Arc::new(File::new(path, form))), format))
    })
    .await?;
    Ok(Recording {
        kind,
        format,
        matching: Arc::default(),
    })
}

fn is_s3(location: &str) -> bool {
    let scheme = location.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("s3"))
}

#[cfg(feature = "s3")]
#[expect(clippy::unnecessary_wraps, reason = "as without the feature")]
fn in_s3(place: &str) -> Result<Recording, StoreError> {
    Ok(Recording {
        kind: Kind::Bucket(bucket::Stream::new(place)),
        format: Format::S3,
        matching: Arc::default(),
    })
}

#[cfg(not(feature = "s3"))]
fn in_s3(place: &str) -> Result<Recording, StoreError> {
    Err(StoreError::feature_off(Path::new(place), "s3"))
}

impl Recording {
    /// What it is in.
    pub fn format(&self) -> Format {
        self.format
    }

    /// What makes two requests the same in a look-up.
    ///
    /// To be set before the recording is used.
    pub fn match_by(mut self, matching: Matching) -> Self {
        self.kind = match self.kind {
            Kind::Folder(disk) => Kind::Folder(disk.match_by(matching.clone())),
            Kind::File(file) => Kind::File(Arc::new(file.anew())),
            #[cfg(feature = "s3")]
            Kind::Bucket(stream) => Kind::Bucket(stream.anew()),
        };
        self.matching = Arc::new(matching);
        self
    }

    /// Reads the recording, unless that was done already, and says what it found. Of a file nothing is
    /// kept in memory.
    ///
    /// # Errors
    /// If the recording cannot be read. A part that cannot be is no error: it is in the report.
    pub async fn report(&self) -> Result<FileReport, StoreError> {
        match &self.kind {
            Kind::Folder(disk) => {
                let report = disk.report().await?;
                Ok(FileReport {
                    exchanges: report.exchanges,
                    skipped: report.skipped.clone(),
                    folder: Some(report),
                    ..FileReport::default()
                })
            }
            Kind::File(file) => {
                let file = file.clone();
                blocking(move || file.scan()).await
            }
            #[cfg(feature = "s3")]
            Kind::Bucket(stream) => stream.report().await,
        }
    }
}

impl Source for Recording {
    fn matching(&self) -> &Matching {
        &self.matching
    }

    fn find(
        &self,
        key: Key,
        which: Which,
    ) -> BoxFuture<'_, Result<Option<Arc<Exchange>>, StoreError>> {
        match &self.kind {
            Kind::Folder(disk) => disk.find(key, which),
            Kind::File(file) => {
                let (file, matching) = (file.clone(), self.matching.clone());
                blocking(move || file.find(&matching, key, which)).boxed()
            }
            #[cfg(feature = "s3")]
            Kind::Bucket(stream) => stream.find(&self.matching, key, which).boxed(),
        }
    }

    fn is_empty(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        match &self.kind {
            Kind::Folder(disk) => disk.is_empty(),
            Kind::File(file) => {
                let (file, matching) = (file.clone(), self.matching.clone());
                blocking(move || file.is_empty(&matching)).boxed()
            }
            #[cfg(feature = "s3")]
            Kind::Bucket(stream) => stream.is_empty().boxed(),
        }
    }
}

impl Replay for Recording {
    /// In the order in which the recording has them. Only a few are in memory at a time.
    fn replay(&self) -> BoxStream<'static, Result<Exchange, StoreError>> {
        match &self.kind {
            Kind::Folder(disk) => examine(disk.folder().into()),
            Kind::File(file) => file.replay(),
            #[cfg(feature = "s3")]
            Kind::Bucket(stream) => stream.replay(),
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
