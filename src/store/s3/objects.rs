//! The few operations on objects that recordings need.

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

/// What an upload may take beyond that: slower than this it has failed.
const UPLOAD_BYTES_PER_SECOND: u64 = 128 << 10;
/// How often something is tried, if not said otherwise.
const ATTEMPTS: u32 = 4;

/// The objects of a bucket, through one client. Keys are whole: [`Bucket::key`](super::Bucket::key).
///
/// An operation is tried several times if its failure is one that may pass, each time with a
/// time-out of its own.
#[derive(Clone)]
pub(crate) struct Objects {
    pub(super) client: Client,
    pub(super) bucket: Arc<str>,
    /// Until an answer begins, and between two pieces of one.
    pub(super) answer: Duration,
    attempts: u32,
}

/// Whether a put replaces what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// Fails with [`S3Problem::AlreadyThere`] if there is an object of the key.
    IfAbsent,
    /// The object of the key is what was put last.
    Replace,
}

/// What a listing and a `HEAD` say of an object.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) key: String,
    pub(crate) size: u64,
    /// Its metadata, by name; a listing has none.
    pub(crate) metadata: Vec<(String, String)>,
}

/// A part of a listing.
#[derive(Debug)]
pub(crate) struct Page {
    /// In the order of their keys' bytes.
    pub(crate) objects: Vec<Object>,
    /// What gives the next page.
    pub(crate) next: Option<String>,
}

/// An object's content, on its way.
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

    /// Tries everything only so often.
    pub(crate) fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// The object's content, as a stream. The stream is not resumed when it breaks.
    pub(crate) async fn get(&self, key: &str) -> Result<Download, StoreError> {
        self.get_from(key, 0).await
    }

    /// The same, without its first bytes. There must be more than those.
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

    /// The object's content in one piece, if it has at most `limit` bytes
    /// ([`S3Problem::TooLarge`]).
    pub(crate) async fn get_whole(&self, key: &str, limit: usize) -> Result<Bytes, StoreError> {
        let action = "read the object";
        self.retried(|| async {
            let mut download = self.clone().attempts(1).get(key).await?;
            let mut whole = BytesMut::new();
            while let Some(chunk) = download.chunk().await? {
                if whole.len() + chunk.len() > limit {
                    let said = format!("more than {limit} bytes");
                    return Err(self.error(action, key, S3Problem::TooLarge, said));
                }
                whole.extend_from_slice(&chunk);
            }
            Ok(whole.freeze())
        })
        .await
    }

    /// What is known of an object, without its content.
    pub(crate) async fn head(&self, key: &str) -> Result<Object, StoreError> {
        let output = self
            .send("look at the object", key, self.answer, || {
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

    /// A part of the objects whose keys begin so, from the first (`None`) or from where a page ends.
    /// A server decides how many a page has; 1,000 at most, as many as `limit` at most.
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
            // Some servers name a next page when there is none.
            next: output
                .next_continuation_token
                .filter(|_| output.is_truncated == Some(true)),
        })
    }

    /// Sends a request until it succeeds, fails for good, or was tried often enough.
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
                    let (problem, said) = classify(&error);
                    Err(self.error(action, key, problem, said))
                }
                Err(_) => {
                    let said = format!("no answer within {limit:?}");
                    Err(self.error(action, key, S3Problem::Transient, said))
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

    /// How long one request with so many bytes may take.
    pub(super) fn upload_limit(&self, bytes: u64) -> Duration {
        let more = Duration::from_secs(bytes / UPLOAD_BYTES_PER_SECOND);
        self.answer.saturating_add(more)
    }

    pub(super) fn error(
        &self,
        action: &'static str,
        key: &str,
        problem: S3Problem,
        said: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> StoreError {
        StoreError::failed(action, self.url(key), S3Error::new(problem, said))
    }
}

impl Download {
    /// The next piece, or `None` at the end. A stream that breaks or stalls is an error, and nothing
    /// comes after it.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, StoreError> {
        let limit = self.objects.answer;
        let said = match timeout(limit, self.body.next()).await {
            Ok(None) => return Ok(None),
            Ok(Some(Ok(chunk))) => return Ok(Some(chunk)),
            Ok(Some(Err(error))) => source_chain(&error),
            Err(_) => format!("nothing came for {limit:?}"),
        };
        let problem = S3Problem::Transient;
        Err(self
            .objects
            .error("read the object", &self.key, problem, said))
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
