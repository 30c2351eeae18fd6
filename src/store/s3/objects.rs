//! Operations on objects, with retries and time-outs.

use std::{collections::HashMap, error::Error, fmt, sync::Arc, time::Duration};

use aws_sdk_s3::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    primitives::ByteStream,
};
use bytes::{Bytes, BytesMut};
use tokio::time::{sleep, timeout};

use super::{backoff::Backoff, problem::classify};
use crate::{
    store::{S3Error, S3Problem, StoreError},
    util::error::source_chain,
};

/// The assumed minimum speed of an upload, for its time-out.
const UPLOAD_BYTES_PER_SECOND: u64 = 128 << 10;
/// The default number of attempts.
const ATTEMPTS: u32 = 4;

/// The objects of a bucket, through one client. Keys include the prefix
/// ([`Bucket::key`](super::Bucket::key)).
///
/// An operation is retried after a transient failure; each attempt has its own time-out.
#[derive(Clone)]
pub(crate) struct Objects {
    pub(super) client: Client,
    pub(super) bucket: Arc<str>,
    /// The maximum time until a response begins, and between two chunks of it.
    pub(super) answer: Duration,
    attempts: u32,
}

/// Whether a put replaces an existing object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// Fails with [`S3Problem::AlreadyThere`] if an object with the key exists.
    IfAbsent,
    /// Replaces an object with the key.
    Replace,
}

/// The properties of an object, from a listing or a `HEAD`.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) key: String,
    pub(crate) size: u64,
    /// The metadata by name; empty in a listing.
    pub(crate) metadata: Vec<(String, String)>,
}

/// A page of a listing.
#[derive(Debug)]
pub(crate) struct Page {
    /// The objects, sorted by the bytes of their keys.
    pub(crate) objects: Vec<Object>,
    /// The token of the next page; `None` on the last page.
    pub(crate) next: Option<String>,
}

/// The content of an object, as a stream.
pub(crate) struct Download {
    objects: Objects,
    key: String,
    body: ByteStream,
}

impl Objects {
    pub(super) fn new(client: Client, bucket: Arc<str>, answer: Duration) -> Self {
        Self {
            client,
            bucket,
            answer,
            attempts: ATTEMPTS,
        }
    }

    /// Sets the number of attempts.
    pub(crate) fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Streams the content of an object. A broken stream is not resumed.
    pub(crate) async fn get(&self, key: &str) -> Result<Download, StoreError> {
        self.get_from(key, 0).await
    }

    /// Streams the content from the offset `start`, which must be less than the size of the object.
    pub(crate) async fn get_from(&self, key: &str, start: u64) -> Result<Download, StoreError> {
        let range = (start > 0).then(|| format!("bytes={start}-"));
        let output = self
            .send("read the object", key, self.answer, || {
                self.client
                    .get_object()
                    .bucket(&*self.bucket)
                    .key(key)
                    .set_range(range.clone())
                    .send()
            })
            .await?;
        Ok(Download {
            objects: self.clone(),
            key: key.to_owned(),
            body: output.body,
        })
    }

    /// Reads the content of an object of at most `limit` bytes; a larger one is
    /// [`S3Problem::TooLarge`].
    pub(crate) async fn get_whole(&self, key: &str, limit: usize) -> Result<Bytes, StoreError> {
        let action = "read the object";
        self.retried(|| async {
            let mut download = self.clone().attempts(1).get(key).await?;
            let mut whole = BytesMut::new();
            while let Some(chunk) = download.chunk().await? {
                if whole.len() + chunk.len() > limit {
                    let detail = format!("more than {limit} bytes");
                    return Err(self.error(action, key, S3Problem::TooLarge, detail));
                }
                whole.extend_from_slice(&chunk);
            }
            Ok(whole.freeze())
        })
        .await
    }

    /// Reads the properties of an object.
    pub(crate) async fn head(&self, key: &str) -> Result<Object, StoreError> {
        let output = self
            .send("check the object", key, self.answer, || {
                self.client
                    .head_object()
                    .bucket(&*self.bucket)
                    .key(key)
                    .send()
            })
            .await?;
        Ok(Object {
            key: key.to_owned(),
            size: output.content_length.unwrap_or(0).try_into().unwrap_or(0),
            metadata: output.metadata.unwrap_or_default().into_iter().collect(),
        })
    }

    /// Puts an object.
    pub(crate) async fn put(
        &self,
        key: &str,
        content: Bytes,
        put: Put,
        content_type: &str,
        metadata: &[(&str, &str)],
    ) -> Result<(), StoreError> {
        let limit = self.upload_limit(content.len() as u64);
        self.send("put the object", key, limit, || {
            self.client
                .put_object()
                .bucket(&*self.bucket)
                .key(key)
                .content_type(content_type)
                .set_metadata(Some(owned(metadata)))
                .set_if_none_match(put.condition())
                .body(ByteStream::from(content.clone()))
                .send()
        })
        .await
        .map(drop)
    }

    /// Lists a page of the objects under `prefix`: after `start_after`, or from the token `next`.
    /// The server chooses the size of the page, up to `limit` and 1,000.
    pub(crate) async fn list(
        &self,
        prefix: &str,
        start_after: Option<&str>,
        next: Option<&str>,
        limit: Option<i32>,
    ) -> Result<Page, StoreError> {
        let output = self
            .send("list", prefix, self.answer, || {
                self.client
                    .list_objects_v2()
                    .bucket(&*self.bucket)
                    .prefix(prefix)
                    .set_start_after(start_after.map(str::to_owned))
                    .set_continuation_token(next.map(str::to_owned))
                    .set_max_keys(limit)
                    .send()
            })
            .await?;
        let objects = output.contents.unwrap_or_default().into_iter();
        let objects = objects.filter_map(|object| {
            Some(Object {
                key: object.key?,
                size: object.size.unwrap_or(0).try_into().unwrap_or(0),
                metadata: Vec::new(),
            })
        });
        Ok(Page {
            objects: objects.collect(),
            // Some servers return a token with the last page.
            next: output
                .next_continuation_token
                .filter(|_| output.is_truncated == Some(true)),
        })
    }

    /// Sends a request until it succeeds, fails permanently, or has no attempts left.
    pub(super) async fn send<T, E, F>(
        &self,
        action: &'static str,
        key: &str,
        limit: Duration,
        request: impl Fn() -> F,
    ) -> Result<T, StoreError>
    where
        E: Error + ProvideErrorMetadata + 'static,
        F: Future<Output = Result<T, SdkError<E>>>,
    {
        self.retried(|| async {
            match timeout(limit, request()).await {
                Ok(Ok(output)) => Ok(output),
                Ok(Err(error)) => {
                    let (problem, detail) = classify(&error);
                    Err(self.error(action, key, problem, detail))
                }
                Err(_) => {
                    let detail = format!("no response within {limit:?}");
                    Err(self.error(action, key, S3Problem::Transient, detail))
                }
            }
        })
        .await
    }

    async fn retried<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut backoff = Backoff::for_a_waiting_caller();
        let mut left = self.attempts;
        loop {
            left = left.saturating_sub(1);
            match attempt().await {
                Err(error) if left > 0 && is_transient(&error) => sleep(backoff.next()).await,
                outcome => return outcome,
            }
        }
    }

    fn url(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }

    /// Returns the time-out of a request with a body of `bytes` bytes.
    pub(super) fn upload_limit(&self, bytes: u64) -> Duration {
        let more = Duration::from_secs(bytes / UPLOAD_BYTES_PER_SECOND);
        self.answer.saturating_add(more)
    }

    pub(super) fn error(
        &self,
        action: &'static str,
        key: &str,
        problem: S3Problem,
        detail: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> StoreError {
        StoreError::failed(action, self.url(key), S3Error::new(problem, detail))
    }
}

impl Download {
    /// Returns the next chunk, or `None` at the end. An error (a broken or stalled stream) ends the
    /// stream.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, StoreError> {
        let limit = self.objects.answer;
        let detail = match timeout(limit, self.body.next()).await {
            Ok(None) => return Ok(None),
            Ok(Some(Ok(chunk))) => return Ok(Some(chunk)),
            Ok(Some(Err(error))) => source_chain(&error),
            Err(_) => format!("no data within {limit:?}"),
        };
        let problem = S3Problem::Transient;
        Err(self
            .objects
            .error("read the object", &self.key, problem, detail))
    }
}

impl Put {
    pub(super) fn condition(self) -> Option<String> {
        (self == Self::IfAbsent).then(|| "*".to_owned())
    }
}

pub(super) fn owned(metadata: &[(&str, &str)]) -> HashMap<String, String> {
    let owned = metadata.iter();
    owned
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

pub(super) fn is_transient(error: &StoreError) -> bool {
    S3Problem::of(error).is_some_and(S3Problem::is_transient)
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Objects")
            .field("bucket", &self.bucket)
            .finish_non_exhaustive()
    }
}
