//! A folder with one entry for each key, as text: made to be edited, compared and committed.

pub(super) mod entry;
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
    BoxFuture, BoxStream, Replay, Report, Sink, Source, StoreError, Which, blocking,
    disk::{
        Kind,
        contents::{self, Contents},
    },
    files::Staging,
};
use crate::{
    format::fixture::Style,
    matching::{Key, Matching},
    message::{Exchange, RecordedRequest},
};

/// Entries of one name whose requests were edited: more are nobody's.
const MOST_NAMESAKES: usize = 1000;

/// A folder with one entry for each key. Clones share it.
///
/// An entry is a folder with two texts, to be read, edited, compared and committed with the tests
/// that need them:
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
/// **Kept is** what can answer ([`Matching::key_of`]), under its key the exchange stored last, without its times:
/// the same exchange makes the same bytes. What answers has `began` at the Unix epoch.
///
/// **Bodies.** Text stands beneath the head, JSON indented ([`indent_json`](Self::indent_json)), the rest in
/// a file beside it (`response.body.1a2b3c4d.png`). With the feature `decompress`, a body that came
/// compressed (gzip, deflate, br or zstd, up to 64 MiB) is stored decoded; a response is then served so too, without its
/// `content-encoding`, with the new length and with its `ETag` and `Vary` as they were. One with a
/// `content-range`, a digest or a signature stays compressed, because they speak of the bytes. A
/// request's compressed body is kept beside its text, and counts as long as the text is not
/// edited. All else that is not edited is served byte by byte as it came. [`exact`](Self::exact)
/// leaves all bodies as they came.
///
/// **Editing.** A response is read when it is looked up, and served as it stands: with
/// `content-length`, where there is one, set to the length of the body. An edited request answers
/// what it says from the next opening on. Two files written by hand are an entry, in a folder of any
/// name. Lines may end with LF or CR LF, and line breaks at the end of the file do not belong to the body, so that it
/// does not matter whether an editor adds one. What http text cannot hold stands above it, in lines like
/// `# @json compact` (the body is JSON without white space), `# @final-newlines 1` (it ends with a
/// line break) or `# @trailer name: value`: leave them, or delete one to have the text served as it
/// stands. A text with a mistake is skipped, and told with file, line and what was expected
/// ([`StoreError::BadMessage`], also in the [`report`](Self::report)); the others answer. An entry that is
/// deleted is a miss, and recorded anew by [`OnMiss::Record`](crate::OnMiss::Record). Of several entries for the
/// same requests the first by its path answers, and the report counts the others as hidden.
///
/// **Writing.** An entry appears with one renaming, and is changed file by file so that whoever
/// reads finds the old one or the new one. Several processes may write one folder; what another one
/// adds is found after the next opening. There is no `fsync`: what was stored survives the process,
/// but not a power cut. To keep git from changing line ends in bodies that are no text, say
/// `*.body.* -text` in `.gitattributes`.
///
/// **Sizes.** A file of more than 256 MiB is not read: its entry is skipped, and told. What would
/// make one is not stored, with a warning.
///
/// **Names** are safe on every file system, and say to a person what is where. Nothing is read from
/// them: a folder can be opened with another [`Matching`](Self::match_by), and moved about.
///
/// **Any layout.** Other recordings in the folder answer too: see [`Disk`](crate::store::Disk#any-layout).
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
/// let cache = ReplayCache::cache(fixtures).on_miss(OnMiss::Record);
/// # let _ = cache;
/// ```
#[derive(Clone)]
pub struct DiskCache {
    folder: Arc<Path>,
    matching: Arc<Matching>,
    style: Style,
    contents: Arc<Contents<()>>,
}

impl DiskCache {
    /// The entries in this folder, whether it exists or not.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into().into(),
            matching: Arc::default(),
            style: Style {
                decode: true,
                indent_json: true,
            },
            contents: Arc::default(),
        }
    }

    /// The entries in this folder, read and indexed now.
    ///
    /// # Errors
    /// If there is no such folder ([`StoreError::NotFound`]), it is a file
    /// ([`StoreError::NotAFolder`]), or the system does not let it be listed. Mistakes in entries
    /// are no error: see [`report`](Self::report).
    pub async fn open(folder: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let cache = Self::new(folder);
        cache.report().await?;
        Ok(cache)
    }

    /// Whether JSON is indented where it is written: yes by default. It is served without what was
    /// added. JSON that has white space between its tokens stays as it is.
    pub fn indent_json(mut self, indent: bool) -> Self {
        self.style.indent_json = indent;
        self
    }

    /// Writes every body as it came: JSON is not indented, and what is compressed stays so, in a
    /// file of its own.
    pub fn exact(mut self) -> Self {
        self.style = Style {
            decode: false,
            indent_json: false,
        };
        self
    }

    /// What makes two requests the same.
    ///
    /// To be set before the recording is used.
    pub fn match_by(mut self, matching: Matching) -> Self {
        self.matching = Arc::new(matching);
        self.contents = Arc::default();
        self
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Reads the folder, unless that was done already, and says what it found.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn report(&self) -> Result<Report, StoreError> {
        let this = self.clone();
        blocking(move || this.contents.report(&this.folder, &this.matching)).await
    }

    fn write(&self, exchanges: &[Arc<Exchange>]) -> Result<(), StoreError> {
        // Of several with one key the last.
        let keyed: HashMap<_, _> = exchanges
            .iter()
            .filter_map(|exchange| Some((self.matching.key_of(exchange)?, exchange)))
            .collect();
        if keyed.is_empty() {
            return Ok(());
        }
        let writer = self.contents.writer();
        contents::create(&self.folder)?;
        self.contents.build(&writer, &self.folder, &self.matching)?;
        let staging = Staging::new(&self.folder)?;
        let mut staged = Vec::with_capacity(keyed.len());
        for (number, (key, exchange)) in keyed.into_iter().enumerate() {
            if let Some(files) = entry::write(exchange, self.style) {
                files.stage(&staging.folder(number))?;
                staged.push((key, exchange, files, staging.folder(number)));
            }
        }
        // Others who write wait here, where the file system has locks.
        let folder = File::open(&self.folder);
        let _lock = folder.as_ref().is_ok_and(|folder| folder.lock().is_ok());
        for (key, exchange, files, staged) in staged {
            let path = self.place(key, &exchange.request);
            files.commit(&staged, &path)?;
            entry::remove_stale(&path, &files);
            if let Some(index) = &mut *self.contents.index() {
                index.put(Kind::Entry, key, path);
            }
        }
        Ok(())
    }

    /// Where the entry of a key stands, or is to stand.
    fn place(&self, key: Key, request: &RecordedRequest) -> Arc<Path> {
        let is_free = |place: &Path| match entry::read(place) {
            Ok(there) => self.matching.key(&there.request) == key,
            // Another's entry, since somebody edited it, is not replaced, nor one with a mistake.
            Err(error) => matches!(
                error,
                StoreError::NotFound { .. } | StoreError::HalfEntry { .. }
            ),
        };
        let known = self
            .contents
            .index()
            .as_ref()
            .and_then(|index| index.entry(key).cloned());
        if let Some(path) = known.filter(|path| path.exists() && is_free(path)) {
            return path;
        }
        let path = self.folder.join(names::path(request, key));
        let name = path.file_name().unwrap_or_default().to_os_string();
        let mut place = path.clone();
        for number in 2..MOST_NAMESAKES {
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
    /// Nothing is written of what cannot answer.
    fn store(&self, exchanges: Vec<Arc<Exchange>>) -> BoxFuture<'_, Result<(), StoreError>> {
        let this = self.clone();
        blocking(move || this.write(&exchanges)).boxed()
    }
}

impl Source for DiskCache {
    fn matching(&self) -> &Matching {
        &self.matching
    }

    /// A key's entry, whichever is asked for; another layout's recordings, if there is none.
    fn find(
        &self,
        key: Key,
        which: Which,
    ) -> BoxFuture<'_, Result<Option<Arc<Exchange>>, StoreError>> {
        let this = self.clone();
        blocking(move || {
            this.contents
                .look_up(&this.folder, &this.matching, key, which)
        })
        .boxed()
    }

    fn is_empty(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        let this = self.clone();
        blocking(move || this.contents.is_empty(&this.folder, &this.matching)).boxed()
    }
}

impl Replay for DiskCache {
    /// Entries by their paths, after whatever else is in the folder that has an order. A folder that
    /// does not exist is an error here.
    fn replay(&self) -> BoxStream<'static, Result<Exchange, StoreError>> {
        contents::replay(self.folder.clone())
    }
}

impl fmt::Debug for DiskCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskCache")
            .field("folder", &self.folder)
            .finish_non_exhaustive()
    }
}
