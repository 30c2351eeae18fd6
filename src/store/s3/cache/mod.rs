//! `S3Cache`: a cache with an object for each key.

mod misses;
mod object;

use std::{collections::HashMap, fmt, path::PathBuf, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use tokio::time::timeout;

use self::misses::Misses;
use super::{Bucket, objects::PutMode};
use crate::{
    matching::{MatchKey, Matching},
    message::Exchange,
    store::{BoxFuture, S3Problem, Sink, Source, StoreError, Which, blocking},
    util::time::FOREVER,
};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// The default of [`S3Cache::max_object_bytes`]: 64 MiB.
const DEFAULT_MAX_OBJECT_BYTES: usize = 64 << 20;

/// The number of objects of a batch that are put at the same time.
const MAX_CONCURRENT_PUTS: usize = 8;

const CONTENT_TYPE: &str = "application/gzip";

/// A cache in S3, with an object for each key. All machines see a new entry at once. Clones share
/// it.
///
/// ```
/// use std::time::Duration;
/// use tower_traffic::{OnMiss, ReplayCache, store::{Bucket, S3Cache}};
///
/// let replay = ReplayCache::s3("s3://traffic/checkout").on_miss(OnMiss::Record);
///
/// // With all settings, at their defaults except for `miss_ttl`.
/// let bucket = Bucket::from("traffic/checkout").endpoint("http://127.0.0.1:9000");
/// let cache = S3Cache::new(bucket)
///     .timeout(Duration::from_secs(5))
///     .max_object_bytes(64 << 20)
///     .miss_ttl(Duration::from_secs(10));
/// let replay = ReplayCache::new(cache).on_miss(OnMiss::Record);
/// ```
///
/// - **Objects.** `<prefix>/key=3f/3f0c....warc.gz` has the match key in its name, and the exchange
///   as WARC 1.1 with a gzip member for each record. Storing a key again replaces its object, so
///   [`Which::Nth`] finds the last exchange too. Only exchanges that can answer are stored
///   ([`Matching::key_of`]). A [stream](super::S3) with the same prefix is independent of the
///   cache.
/// - **Requests.** A look-up is one GET, for a hit and for a miss. [`is_empty`](Source::is_empty)
///   is one LIST of one key. Storing is one PUT for each exchange.
/// - **Time.** A look-up that exceeds [`timeout`](Self::timeout) is an error
///   ([`StoreError::TimedOut`]), which `ReplayCache` handles like a miss. Until then, transient
///   failures (500, 503, a broken connection) are retried.
/// - **Errors.** An object that is damaged or contains another request is [`StoreError::Damaged`],
///   which `ReplayCache` handles like a miss. Part of a failed batch may be stored.
/// - **Permissions.** `s3:GetObject`, `s3:PutObject` and `s3:ListBucket`. Without the permission to
///   list, S3 answers 403 for a missing object, and every miss is an error.
#[derive(Clone)]
#[must_use]
pub struct S3Cache {
    bucket: Bucket,
    matching: Arc<Matching>,
    timeout: Duration,
    max_object_bytes: usize,
    misses: Arc<Misses>,
}

impl S3Cache {
    /// Creates a cache in `bucket`, which may be empty.
    pub fn new(bucket: impl Into<Bucket>) -> Self {
        Self {
            bucket: bucket.into(),
            matching: Arc::default(),
            timeout: DEFAULT_TIMEOUT,
            max_object_bytes: DEFAULT_MAX_OBJECT_BYTES,
            misses: Arc::default(),
        }
    }

    /// Sets the rule by which requests match.
    pub fn match_by(mut self, matching: Matching) -> Self {
        self.matching = Arc::new(matching);
        self.misses = Arc::new(self.misses.emptied());
        self
    }

    /// Limits the time of a look-up, including its retries (default 5 s).
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.min(FOREVER);
        self
    }

    /// Limits the compressed size of the objects that are read (default 64 MiB). Reading a larger
    /// object is an error ([`S3Problem::TooLarge`]).
    pub fn max_object_bytes(mut self, bytes: usize) -> Self {
        self.max_object_bytes = bytes;
        self
    }

    /// Sets how long a miss is remembered: for `ttl`, the next look-up is a miss without a request
    /// to S3 (default zero: every look-up sends a request). Exchanges that this process stores are
    /// found at once, those of other processes after `ttl`. At most 10,000 misses are remembered.
    pub fn miss_ttl(mut self, ttl: Duration) -> Self {
        self.misses = Arc::new(Misses::new(ttl));
        self
    }

    /// Returns the bucket.
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    fn object_key(&self, key: MatchKey) -> String {
        let key = key.to_string();
        self.bucket.key(&format!("key={}/{key}.warc.gz", &key[..2]))
    }

    async fn get(&self, key: MatchKey) -> Result<Option<Arc<Exchange>>, StoreError> {
        let object = self.object_key(key);
        let url = PathBuf::from(format!("s3://{}/{object}", self.bucket.name()));
        let get = async {
            let objects = self.bucket.objects().await?;
            let content = objects.get_whole(&object, self.max_object_bytes).await?;
            let url = url.clone();
            // A small object can decode to a large body.
            blocking(move || object::read(&content, &url)).await
        };
        let exchange = match timeout(self.timeout, get).await {
            Ok(Err(error)) if S3Problem::of(&error) == Some(S3Problem::NotFound) => {
                return Ok(None);
            }
            Ok(exchange) => exchange?,
            Err(_) => return Err(StoreError::TimedOut(self.timeout)),
        };
        if self.matching.key_of(&exchange) != Some(key) {
            let reason = "contains the exchange of another request";
            return Err(StoreError::damaged(url, reason));
        }
        Ok(Some(Arc::new(exchange)))
    }

    async fn look_up(&self, key: MatchKey) -> Result<Option<Arc<Exchange>>, StoreError> {
        if self.misses.contains(key) {
            return Ok(None);
        }
        let stores_before = self.misses.stores();
        let found = self.get(key).await?;
        if found.is_none() {
            self.misses.add(key, stores_before);
        }
        Ok(found)
    }

    async fn put(&self, exchanges: Vec<Arc<Exchange>>) -> Result<(), StoreError> {
        // The last exchange of each key.
        let last: HashMap<_, _> = exchanges
            .into_iter()
            .filter_map(|exchange| Some((self.matching.key_of(&exchange)?, exchange)))
            .collect();
        if last.is_empty() {
            return Ok(());
        }
        let objects = self.bucket.objects().await?;
        stream::iter(last)
            .map(|(key, exchange)| {
                let objects = objects.clone();
                async move {
                    let object = self.object_key(key);
                    let name = object.clone();
                    let content = blocking(move || object::write(&exchange, &name)).await?;
                    let put = objects.put(&object, content, PutMode::Replace, CONTENT_TYPE, &[]);
                    let stored = put.await;
                    // A put with a lost response may have succeeded.
                    self.misses.forget(key);
                    stored
                }
            })
            .buffer_unordered(MAX_CONCURRENT_PUTS)
            .try_collect()
            .await
    }
}

impl Sink for S3Cache {
    fn store(&self, exchanges: Vec<Arc<Exchange>>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.put(exchanges).boxed()
    }
}

impl Source for S3Cache {
    fn matching(&self) -> &Matching {
        &self.matching
    }

    fn find(
        &self,
        key: MatchKey,
        _: Which,
    ) -> BoxFuture<'_, Result<Option<Arc<Exchange>>, StoreError>> {
        self.look_up(key).boxed()
    }

    fn is_empty(&self) -> BoxFuture<'_, Result<bool, StoreError>> {
        async {
            let list = async {
                let objects = self.bucket.objects().await?;
                let prefix = self.bucket.key("key=");
                objects.list(&prefix, None, Some(1)).await
            };
            let page = timeout(self.timeout, list)
                .await
                .map_err(|_| StoreError::TimedOut(self.timeout))??;
            Ok(page.objects.is_empty())
        }
        .boxed()
    }
}

impl fmt::Debug for S3Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Cache")
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}
