//! A cache in S3: an object for each key.

mod misses;
mod object;

use std::{collections::HashMap, fmt, path::PathBuf, sync::Arc, time::Duration};

use futures_util::{FutureExt, StreamExt, TryStreamExt, stream};
use tokio::time::timeout;

use self::misses::Misses;
use super::{Bucket, objects::Put};
use crate::{
    matching::{MatchKey, Matching},
    message::Exchange,
    store::{BoxFuture, S3Problem, Sink, Source, StoreError, Which, blocking},
    util::time::FOREVER,
};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// 64 MiB.
const DEFAULT_LIMIT: usize = 64 << 20;

/// How many objects of a batch are put at once.
const PUTS: usize = 8;

const CONTENT_TYPE: &str = "application/gzip";

/// A cache in S3: an object for each key, so that a fleet sees a new entry at once. Clones share it.
///
/// ```
/// use std::time::Duration;
/// use tower_traffic::{OnMiss, ReplayCache, store::{Bucket, S3Cache}};
///
/// let replay = ReplayCache::s3("s3://traffic/checkout").on_miss(OnMiss::Record);
///
/// // With what can be set.
/// let bucket = Bucket::from("traffic/checkout").endpoint("http://127.0.0.1:9000");
/// let cache = S3Cache::new(bucket)
///     .timeout(Duration::from_secs(5))
///     .max_object_bytes(64 << 20)
///     .miss_ttl(Duration::from_secs(10));
/// let replay = ReplayCache::new(cache).on_miss(OnMiss::Record);
/// ```
///
/// - **Objects.** `<prefix>/key=3f/3f0c....warc.gz`: the key in hex, and in the object the exchange as
///   WARC 1.1 with a gzip member for each record. An object is replaced by what is stored under its
///   key later: there is one entry for a key, the last one stored, and so [`Which::Nth`] gives that
///   too. Only what can answer is kept ([`Matching::key_of`]). A [stream](super::S3) may be in the
///   same place: neither sees the other.
/// - **What it costs.** A look-up is one GET, whether it hits or misses: no HEAD and no LIST.
///   [`is_empty`](Source::is_empty) is one LIST of one key, storing a PUT for each exchange.
/// - **Time.** A look-up that takes longer than 5 s ([`timeout`](Self::timeout)) is an error
///   ([`StoreError::TimedOut`]), which answers a request like a miss. Within that time, what may pass
///   (500, 503, a broken connection) is tried again.
/// - **Errors.** An object that cannot be read, or that holds another request's exchange, is
///   [`StoreError::Damaged`], and answers like a miss. Where a batch fails, some of it may be stored
///   nevertheless.
/// - **Rights.** `s3:GetObject`, `s3:PutObject` and `s3:ListBucket`: to who may not list, S3 says
///   403 where there is no object, and every miss is an error.
#[derive(Clone)]
pub struct S3Cache {
    bucket: Bucket,
    matching: Arc<Matching>,
    timeout: Duration,
    limit: usize,
    misses: Arc<Misses>,
}

impl S3Cache {
    /// The cache in this bucket, whether there is one or not.
    pub fn new(bucket: impl Into<Bucket>) -> Self {
        Self {
            bucket: bucket.into(),
            matching: Arc::default(),
            timeout: DEFAULT_TIMEOUT,
            limit: DEFAULT_LIMIT,
            misses: Arc::default(),
        }
    }

    /// What makes two requests the same here.
    pub fn match_by(mut self, matching: Matching) -> Self {
        self.matching = Arc::new(matching);
        self.misses = Arc::new(self.misses.anew());
        self
    }

    /// A look-up takes so long at most, with all that is tried again; 5 s by default.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout.min(FOREVER);
        self
    }

    /// Reads only objects of at most so many bytes, compressed; 64 MiB by default. A larger one is an
    /// error ([`S3Problem::TooLarge`]).
    pub fn max_object_bytes(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// Does not ask again for so long after a miss; by default every look-up asks. What this process
    /// stores is found at once, and what another stores only when that time is over. At most 10,000
    /// misses are remembered.
    pub fn miss_ttl(mut self, time: Duration) -> Self {
        self.misses = Arc::new(Misses::new(time));
        self
    }

    /// The place in S3.
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
            let content = objects.get_whole(&object, self.limit).await?;
            let url = url.clone();
            // A few bytes can stand for many.
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
        if self.misses.has(key) {
            return Ok(None);
        }
        let asked = self.misses.asked();
        let found = self.get(key).await?;
        if found.is_none() {
            self.misses.add(key, asked);
        }
        Ok(found)
    }

    async fn put(&self, exchanges: Vec<Arc<Exchange>>) -> Result<(), StoreError> {
        // Of several under one key, the last.
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
                    let put = objects.put(&object, content, Put::Replace, CONTENT_TYPE, &[]);
                    let stored = put.await;
                    // Where the answer was lost, it may be there.
                    self.misses.forget(key);
                    stored
                }
            })
            .buffer_unordered(PUTS)
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
                objects.list(&prefix, None, None, Some(1)).await
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
