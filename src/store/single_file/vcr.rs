use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::FutureExt;

use super::{File, FileReport, Form};
use crate::{
    matching::{Key, Matching},
    message::Exchange,
    store::{BoxFuture, BoxStream, Replay, Source, StoreError, Which, blocking},
};

/// A VCR cassette, in YAML or JSON, read only. Clones share it.
///
/// Read are the dialects of VCR (Ruby) and of the crate `vcr-cassette` (`http_interactions`), of vcrpy
/// (Python) and of go-vcr (both `interactions`). URIs in cassettes are absolute: at a server, whose
/// requests are `/path`, match with [`Matching::ignore_authority`].
///
/// An interaction that cannot be an exchange is skipped, and the others are served; fields that are
/// not known are ignored. [`report`](Self::report) lists both. A dialect without dates gives exchanges
/// of 1970-01-01.
///
/// A [replay](Replay) holds the file's text in memory, a look-up all of its exchanges.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use tower_traffic::{Matching, OnMiss, ReplayCache, store::Vcr};
///
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("github.yaml");
/// # std::fs::write(&path, "
/// # http_interactions:
/// # - request: {method: get, uri: 'https://api.github.com/users/bob', body: '', headers: {}}
/// #   response: {status: {code: 200, message: OK}, headers: {}, body: '{}'}
/// # ")?;
/// let cassette = Vcr::open(path).await?.match_by(Matching::new().ignore_authority());
/// let replay = ReplayCache::from(cassette).on_miss(OnMiss::Refuse);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Vcr {
    file: Arc<File>,
    matching: Arc<Matching>,
}

impl Vcr {
    /// The cassette in this file, whether it exists or not.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            file: Arc::new(File::new(path.into().into(), Form::Vcr)),
            matching: Arc::default(),
        }
    }

    /// The cassette in this file, read now.
    ///
    /// # Errors
    /// If there is no such file or the system does not let it be read. A part that cannot be read is
    /// no error: see [`report`](Self::report).
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let vcr = Self::new(path);
        vcr.report().await?;
        Ok(vcr)
    }

    /// What makes two requests the same in a look-up.
    ///
    /// To be set before the recording is used.
    pub fn match_by(self, matching: Matching) -> Self {
        Self {
            file: Arc::new(self.file.anew()),
            matching: Arc::new(matching),
        }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Reads the file, unless that was done already, and says what it found.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn report(&self) -> Result<FileReport, StoreError> {
        let vcr = self.clone();
        blocking(move || vcr.file.report(&vcr.matching)).await
    }
}

impl Source for Vcr {
    fn matching(&self) -> &Matching {
        &self.matching
    }

    fn find(
        &self,
        key: Key,
        which: Which,
    ) -> BoxFuture<'_, Result<Option<Arc<Exchange>>, StoreError>> {
        let vcr = self.clone();
        blocking(move || vcr.file.find(&vcr.matching, key, which)).boxed()
    }

    fn is_empty(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        let vcr = self.clone();
        blocking(move || vcr.file.is_empty(&vcr.matching)).boxed()
    }
}

impl Replay for Vcr {
    /// In the file's order. A file that does not exist is an error here.
    fn replay(&self) -> BoxStream<'static, Result<Exchange, StoreError>> {
        self.file.replay()
    }
}

impl fmt::Debug for Vcr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vcr")
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}
