//! `Vcr`: a VCR cassette.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    BoxFuture, BoxStream, RecordingReport, Replay, Source, StoreError, Which,
    file::{FileFormat, RecordingFile},
};
use crate::{
    matching::{MatchKey, Matching},
    message::Exchange,
};

/// A VCR cassette in YAML or JSON, read-only. Clones share the cassette.
///
/// Four dialects can be read: that of VCR (Ruby) and the crate `vcr-cassette`, whose list is named
/// `http_interactions`, those of vcrpy (Python) and go-vcr, whose lists are named `interactions`, and
/// that of PHP-VCR, which has only the list. URIs in cassettes are absolute. If requests have only a
/// path, as at a server, match with [`Matching::ignore_authority`].
///
/// Bodies are encoded as their `encoding` says. A body that is `null` or not text, such as a Python
/// file object, and an empty body with a `content-length` above 0 make a body that is cut at the
/// limit; the exchange never answers. Content that is stored decoded loses its `content-encoding`.
///
/// An interaction that cannot be read as an exchange is skipped, and the others are served. After a
/// syntax error, the remaining interactions are read one by one, and those with an alias of another
/// one's value are skipped. Unknown fields are ignored. The [`report`](Self::report) lists skipped
/// interactions and ignored fields. Exchanges of a dialect without dates are dated 1970-01-01.
///
/// A [replay](Replay) keeps the text of the file in memory; a look-up keeps all exchanges of the
/// file in memory.
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
/// let cassette = Vcr::open(path).await?.match_by(Matching::new().ignore_authority(true));
/// let replay = ReplayCache::read_only(cassette).on_miss(OnMiss::Refuse);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Vcr(RecordingFile);

impl Vcr {
    /// Creates a cassette in the file at `path`, which may be missing.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(RecordingFile::new(path.into().into(), FileFormat::Vcr))
    }

    /// Opens the cassette at `path` and loads it.
    ///
    /// # Errors
    /// If the file is missing or cannot be read. Parts that cannot be read are listed in the
    /// [`report`](Self::report).
    pub async fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let vcr = Self::new(path);
        vcr.report().await?;
        Ok(vcr)
    }

    /// Sets the rule by which look-ups match requests.
    ///
    /// The returned cassette loads the file again. Clones made before keep their rule.
    pub fn match_by(self, matching: Matching) -> Self {
        Self(self.0.match_by(matching))
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Loads the file unless it is loaded already, and reports its contents.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn report(&self) -> Result<RecordingReport, StoreError> {
        self.0.report().await
    }
}

impl Source for Vcr {
    fn matching(&self) -> &Matching {
        self.0.matching()
    }

    fn find(
        &self,
        key: MatchKey,
        which: Which,
    ) -> BoxFuture<'_, Result<Option<Arc<Exchange>>, StoreError>> {
        self.0.find(key, which)
    }

    fn is_empty(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.0.is_empty()
    }
}

impl Replay for Vcr {
    /// Streams the interactions in the order of the file. A missing file is an error.
    fn replay(&self) -> BoxStream<'static, Result<Exchange, StoreError>> {
        self.0.replay()
    }
}

impl fmt::Debug for Vcr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vcr")
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}
