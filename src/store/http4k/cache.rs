//! Writing a cache for http4k.

use std::{
    fmt,
    path::{MAIN_SEPARATOR_STR, Path, PathBuf},
    sync::Arc,
};

use base64::{Engine, prelude::BASE64_STANDARD};
use futures_util::FutureExt;
use sha1::{Digest, Sha1};

use super::skipped::Skipped;
use crate::{
    matching::{Key, Matching},
    message::Exchange,
    store::{
        BoxFuture, Sink, Source, StoreError, Which, blocking,
        disk::{
            Kind,
            contents::{self, Contents},
        },
        files::Staging,
    },
};

/// A folder that is a `ReadWriteCache.Disk` of http4k. Clones share it.
///
/// An exchange is in `<path>/<digest>`, where the digest is the SHA-1 of the request's text in
/// base64, with `_` in place of `/` (internal.kt, `toFolder`). So http4k finds it for the very same
/// request: same URI, same fields in the same order and case, same body. Here it is found by
/// [`Matching`], as in any folder.
///
/// What http4k could not read is not stored, but [counted](Self::skipped): exchanges that are not whole, other methods than
/// http4k knows, and paths with `.` or `..` in them or with segments of more than 255 bytes, which would lead
/// elsewhere or nowhere.
#[derive(Clone)]
pub struct Cache {
    folder: Arc<Path>,
    matching: Arc<Matching>,
    contents: Arc<Contents<()>>,
    skipped: Arc<Skipped>,
}

impl Cache {
    /// The cache in this folder, whether it exists or not.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into().into(),
            matching: Arc::default(),
            contents: Arc::default(),
            skipped: Arc::default(),
        }
    }

    /// What makes two requests the same in a look-up here.
    ///
    /// To be set before the recording is used.
    pub fn match_by(mut self, matching: Matching) -> Self {
        self.matching = Arc::new(matching);
        self.contents = Arc::default();
        self
    }

    /// How many exchanges were not stored, because http4k could not read them. The first is told
    /// through `tracing`.
    pub fn skipped(&self) -> usize {
        self.skipped.count()
    }

    fn write(&self, exchanges: &[Arc<Exchange>]) -> Result<(), StoreError> {
        let writer = self.contents.writer();
        contents::create(&self.folder)?;
        self.contents.build(&writer, &self.folder, &self.matching)?;
        let staging = Staging::new(&self.folder)?;
        for (number, exchange) in exchanges.iter().enumerate() {
            let Some((text, files)) = self.skipped.files(exchange) else {
                continue;
            };
            let Some(path) = self.place(exchange.request.uri.path(), &text) else {
                self.skipped.add(exchange, "its path cannot be a folder's");
                continue;
            };
            let staged = staging.folder(number);
            files.stage(&staged)?;
            files.commit(&staged, &path)?;
            let key = self.matching.key(&exchange.request);
            if let Some(index) = &mut *self.contents.index() {
                index.put(Kind::Http4kCache, key, path.into());
            }
        }
        Ok(())
    }

    fn place(&self, path: &str, request: &[u8]) -> Option<PathBuf> {
        let mut place = self.folder.to_path_buf();
        for segment in path.split('/').filter(|segment| !segment.is_empty()) {
            let leads_elsewhere = matches!(segment, "." | "..") || segment.contains('\\');
            let is_no_name = segment.len() > 255 || segment.contains(NO_NAME);
            if leads_elsewhere || is_no_name {
                return None;
            }
            place.push(segment);
        }
        // Kotlin makes a text of the bytes, and bytes of the text.
        let text = String::from_utf8_lossy(request);
        let digest = BASE64_STANDARD.encode(Sha1::digest(text.as_bytes()));
        place.push(digest.replace(MAIN_SEPARATOR_STR, "_"));
        (place.as_os_str().len() <= LONGEST).then_some(place)
    }
}

/// What no name may have on Windows.
const NO_NAME: &[char] = if cfg!(windows) {
    &['<', '>', ':', '"', '|', '?', '*']
} else {
    &[]
};

/// Linux has room for 4096 bytes, with the file's name.
const LONGEST: usize = 4000;

impl Sink for Cache {
    fn store(&self, exchanges: Vec<Arc<Exchange>>) -> BoxFuture<'_, Result<(), StoreError>> {
        let this = self.clone();
        blocking(move || this.write(&exchanges)).boxed()
    }
}

impl Source for Cache {
    fn matching(&self) -> &Matching {
        &self.matching
    }

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

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache")
            .field("folder", &self.folder)
            .field("skipped", &self.skipped())
            .finish_non_exhaustive()
    }
}
