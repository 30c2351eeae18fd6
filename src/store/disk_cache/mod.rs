//! `DiskCache`: a folder with one entry for each match key, as text that people edit and commit.

mod entry;
mod names;

use std::{
    collections::HashMap,
    fmt,
    fs::File,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::FutureExt;

use super::{
    BoxFuture, BoxStream, FolderReport, Replay, Sink, Source, StoreError, Which,
    atomic_dir::Staging,
    blocking,
    folder::{Folder, Layout, is_missing, read_fixture},
};
use crate::{
    format::fixture::Style,
    matching::{MatchKey, Matching},
    message::{Exchange, RecordedRequest},
};

/// The maximum number of entries that may have the same name after their requests were edited.
const MAX_NAMESAKES: usize = 1000;

/// A cache in a folder: one entry for each match key, as text. Clones share it.
///
/// An entry is a folder with two files, made to be read, edited, diffed and committed with the
/// tests that need them:
///
/// ```text
/// tests/fixtures/api.example.com/users/1/GET-5f0c9a1e2b3d4c5a/request.http
/// tests/fixtures/api.example.com/users/1/GET-5f0c9a1e2b3d4c5a/response.http
/// ```
///
/// ```text
/// # @json compact
/// HTTP/1.1 200 OK
/// content-type: application/json
/// content-length: 27
///
/// {
///   "id": 1,
///   "name": "bob"
/// }
/// ```
///
/// **Content.** Only exchanges that can answer ([`Matching::key_of`]), one for each key: the last
/// one stored, without its times. The same exchange always makes the same bytes. Exchanges read
/// from an entry have `began` at the Unix epoch.
///
/// **Bodies.** Text follows the header section, with JSON indented
/// ([`indent_json`](Self::indent_json)). Other bodies are stored in a file beside it
/// (`response.body.1a2b3c4d.png`). With the feature `decompress`, a compressed body (gzip, deflate,
/// br or zstd, up to 64 MiB) is stored decoded. Such a response is then served decoded too: without
/// `content-encoding`, with the new length, and with its `ETag` and `Vary` unchanged. A response
/// with a `content-range`, a digest or a signature stays compressed, because these headers describe
/// the compressed bytes. A request's compressed body is stored in addition to its text, and is part
/// of the match key until the text is edited. All other content is served byte for byte until it is
/// edited. [`exact`](Self::exact) stores all bodies unchanged.
///
/// **Editing.** A response is read at each look-up and served as it stands, with its
/// `content-length`, if present, set to the length of the body. An edited request takes effect when
/// the folder is opened next. Two files written by hand are an entry, in a folder of any name.
/// Lines may end with LF or CR LF. Line breaks at the end of a file are not part of the body, so
/// editors may add one. Facts that HTTP text cannot express stand above it, in lines such as `#
/// @json compact` (the body is JSON without white space), `# @final-newlines 1` (the body ends with
/// a line break) or `# @trailer name: value`; delete such a line to have the text served as it
/// stands. An entry with a mistake is skipped, and the others answer; the error
/// ([`StoreError::Damaged`], also in the [`report`](Self::report)) has the file, the line and the
/// expected text. A deleted entry is a miss: [`OnMiss::Record`](crate::OnMiss::Record) records it
/// again. Of several entries with the same key, the first by path answers; the report counts the
/// others as hidden.
///
/// **Writing.** A new entry appears with one rename. An existing one is replaced file by file, each
/// with one rename. Several processes may write to one folder; each finds the entries of the others
/// when it opens the folder next. There is no `fsync`: stored entries survive the process, but not
/// a power cut. Put `*.body.* -text` into `.gitattributes` to keep git from changing line ends in
/// binary bodies.
///
/// **Sizes.** A file of more than 256 MiB is not read: its entry is listed as damaged. An exchange
/// that needs a larger file is not stored, and a warning is logged.
///
/// **Names** are safe on every file system and show people what is where. They carry no meaning: a
/// folder can be moved, and opened with another [`Matching`](Self::match_by).
///
/// **Any layout.** Other recordings in the folder answer too: see
/// [`Disk`](crate::store::Disk#any-layout).
///
/// ```
/// use tower_traffic::{Matching, OnMiss, ReplayCache, store::DiskCache};
///
/// // The default:
/// let cache = ReplayCache::disk("tests/fixtures").on_miss(OnMiss::Record);
///
/// let fixtures = DiskCache::new("tests/fixtures")
///     .match_by(Matching::new().ignore_query("nonce"))
///     .indent_json(false);
/// let cache = ReplayCache::new(fixtures).on_miss(OnMiss::Record);
/// # let _ = cache;
/// ```
#[derive(Clone)]
#[must_use]
pub struct DiskCache {
    folder: Folder<()>,
    exact: bool,
    indent_json: bool,
}

impl DiskCache {
    /// Creates a cache in `folder`, which may be missing.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: Folder::new(folder.into().into()),
            exact: false,
            indent_json: true,
        }
    }

    /// Opens the cache in `folder` and builds its index.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if `folder` is missing, [`StoreError::Unsupported`] if it is a
    /// file, [`StoreError::Io`] if it cannot be listed. Mistakes in entries are listed in the
    /// [`report`](Self::report).
    pub async fn open(folder: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let cache = Self::new(folder);
        cache.report().await?;
        Ok(cache)
    }

    /// Sets whether JSON is stored with indentation (default `true`). Responses are served without
    /// the added indentation. JSON that already has white space between its tokens is stored
    /// unchanged. With [`exact`](Self::exact), JSON is never indented.
    pub fn indent_json(mut self, indent: bool) -> Self {
        self.indent_json = indent;
        self
    }

    /// Sets whether every body is stored unchanged (default `false`): JSON without added
    /// indentation, whatever [`indent_json`](Self::indent_json) says, and compressed bodies
    /// compressed, in files of their own.
    pub fn exact(mut self, exact: bool) -> Self {
        self.exact = exact;
        self
    }

    /// Sets whether other users may read the recording (default `false`): by default, new files are
    /// readable by their user only (on Unix 0600, in folders of 0700), and a folder of another user
    /// is refused. With `true`, the process's umask decides. Existing folders keep their
    /// permissions.
    ///
    /// Files that people commit need no `true`: git stores no permission but that to execute.
    pub fn shared(mut self, shared: bool) -> Self {
        self.folder.access.is_shared = shared;
        self
    }

    /// Sets the rule by which requests match.
    ///
    /// The returned cache builds an index of its own by this rule. Clones made before keep their
    /// index; all of them use the same folder.
    pub fn match_by(mut self, matching: Matching) -> Self {
        self.folder.match_by(matching);
        self
    }

    /// Returns the folder of the cache.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Builds the index unless it exists, and reports the contents of the folder.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn report(&self) -> Result<FolderReport, StoreError> {
        self.folder.report().await
    }

    fn write(&self, exchanges: &[Arc<Exchange>]) -> Result<(), StoreError> {
        // The last exchange of each key.
        let keyed: HashMap<_, _> = exchanges
            .iter()
            .filter_map(|exchange| Some((self.matching().key_of(exchange)?, exchange)))
            .collect();
        if keyed.is_empty() {
            return Ok(());
        }
        let style = Style {
            decode: !self.exact,
            indent_json: self.indent_json && !self.exact,
        };
        let writer = self.folder.writer();
        self.folder.create()?;
        self.folder.build_index(&writer)?;
        let staging = Staging::new(self.folder(), self.folder.access)?;
        let mut staged = Vec::with_capacity(keyed.len());
        for (number, (key, exchange)) in keyed.into_iter().enumerate() {
            if let Some(files) = entry::write(exchange, style) {
                files.stage(&staging.folder(number), self.folder.access)?;
                staged.push((key, exchange, files, staging.folder(number)));
            }
        }
        // Other writers wait here, where the file system has locks.
        let folder = File::open(self.folder());
        let _lock = folder.as_ref().is_ok_and(|folder| folder.lock().is_ok());
        for (key, exchange, files, staged) in staged {
            let path = self.place(key, &exchange.request);
            files.commit(&staged, self.folder(), &path, self.folder.access)?;
            entry::remove_stale(&path, &files);
            if let Some(index) = &mut *self.folder.index() {
                index.put(Layout::Fixture, key, path);
            }
        }
        Ok(())
    }

    /// Returns the folder of the entry for `key`, which may not exist yet.
    fn place(&self, key: MatchKey, request: &RecordedRequest) -> Arc<Path> {
        let is_free = |place: &Path| match read_fixture(place) {
            Ok(existing) => self.matching().key(&existing.request) == key,
            // An entry with a mistake, or whose edited request has another key, is not replaced.
            Err(error) => is_missing(&error),
        };
        let known = self
            .folder
            .index()
            .as_ref()
            .and_then(|index| index.entry(key).cloned());
        if let Some(path) = known.filter(|path| path.exists() && is_free(path)) {
            return path;
        }
        let path = self.folder().join(names::path(request, key));
        let name = path.file_name().unwrap_or_default().to_os_string();
        let mut place = path.clone();
        for number in 2..MAX_NAMESAKES {
            if is_free(&place) {
                break;
            }
            let mut name = name.clone();
            name.push(format!("-{number}"));
            place = path.with_file_name(name);
        }
        place.into()
    }
}

impl Sink for DiskCache {
    /// Stores the exchanges that can answer a request.
    fn store(&self, exchanges: Vec<Arc<Exchange>>) -> BoxFuture<'_, Result<(), StoreError>> {
        let cache = self.clone();
        blocking(move || cache.write(&exchanges)).boxed()
    }
}

impl Source for DiskCache {
    fn matching(&self) -> &Matching {
        self.folder.matching()
    }

    /// Finds the only entry for `key`, whatever `which` is. If there is no entry, finds a recording
    /// of another layout.
    fn find(
        &self,
        key: MatchKey,
        which: Which,
    ) -> BoxFuture<'_, Result<Option<Arc<Exchange>>, StoreError>> {
        self.folder.find(key, which)
    }

    fn is_empty(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.folder.is_empty()
    }
}

impl Replay for DiskCache {
    /// Streams the exchanges with a recorded order, then the entries by path. A missing folder is
    /// an error.
    fn replay(&self) -> BoxStream<'static, Result<Exchange, StoreError>> {
        self.folder.replay()
    }
}

impl fmt::Debug for DiskCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskCache")
            .field("folder", &self.folder())
            .finish_non_exhaustive()
    }
}
