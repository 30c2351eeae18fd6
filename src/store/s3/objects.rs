//! Operations on objects, with retries and time-outs.

use std::{collections::HashMap, error::Error, fmt, sync::Arc, time::Duration};

use aws_sdk_s3::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    primitives::ByteStream,
    types::EncodingType,
};
use bytes::{Buf, Bytes, BytesMut};
use percent_encoding::percent_decode_str;
use tokio::time::{sleep, timeout};

use super::{backoff::Backoff, problem::classify};
use crate::{
    store::{S3Error, S3Problem, StoreError},
    util::error::source_chain,
};

/// The assumed minimum speed of an upload, for its time-out.
const UPLOAD_BYTES_PER_SECOND: u64 = 128 << 10;
/// The default number of attempts.
const DEFAULT_ATTEMPTS: u32 = 4;

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
pub(crate) enum PutMode {
    /// Fails with [`S3Problem::AlreadyThere`] if an object with the key exists.
    IfAbsent,
    /// Replaces an object with the key.
    Replace,
}

/// The properties of an object, from a listing or a `HEAD`.
#[derive(Clone, Debug)]
pub(crate) struct Object {
    pub(crate) key: String,
    /// The size in bytes; `None` if the server does not state it.
    pub(crate) size: Option<u64>,
    /// The metadata by name; empty in a listing.
    pub(crate) metadata: Vec<(String, String)>,
}

/// A page of a listing.
#[derive(Debug)]
pub(crate) struct Page {
    /// The objects, sorted by the bytes of their keys.
    pub(crate) objects: Vec<Object>,
    /// The position of the next page; `None` on the last page.
    pub(crate) next: Option<Position>,
}

/// A position in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Position {
    /// After this key.
    After(String),
    /// That of a token of the server.
    Token(String),
}

/// The content of an object, as a stream.
pub(crate) struct Download {
    objects: Objects,
    key: String,
    body: ByteStream,
    /// The number of bytes until the offset that was requested.
    ahead: u64,
}

impl Objects {
    pub(super) fn new(client: Client, bucket: Arc<str>, answer: Duration) -> Self {
        Self {
            client,
            bucket,
            answer,
            attempts: DEFAULT_ATTEMPTS,
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
    /// A server may ignore the range, and respond with the whole object (RFC 9110, 14.2).
    pub(crate) async fn get_from(&self, key: &str, start: u64) -> Result<Download, StoreError> {
        let action = "read the object";
        let range = (start > 0).then(|| format!("bytes={start}-"));
        let output = self
            .send(action, key, self.answer, || {
                self.client
                    .get_object()
                    .bucket(&*self.bucket)
                    .key(key)
                    .set_range(range.clone())
                    .send()
            })
            .await?;
        let first = output.content_range().map_or(Some(0), first_of_range);
        let Some(ahead) = first.and_then(|first| start.checked_sub(first)) else {
            let range = output.content_range().unwrap_or_default();
            let detail = format!("expected the bytes from {start}, found Content-Range `{range}`");
            return Err(self.error(action, key, S3Problem::Transient, detail));
        };
        Ok(Download {
            objects: self.clone(),
            key: key.to_owned(),
            body: output.body,
            ahead,
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
            size: output.content_length.and_then(|size| size.try_into().ok()),
            metadata: output.metadata.unwrap_or_default().into_iter().collect(),
        })
    }

    /// Puts an object.
    pub(crate) async fn put(
        &self,
        key: &str,
        content: Bytes,
        put: PutMode,
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
        .map_err(S3Problem::of_bucket)
    }

    /// Lists a page of the objects under `prefix` from `from`. The server chooses the size of the
    /// page, up to `limit` and 1,000.
    pub(crate) async fn list(
        &self,
        prefix: &str,
        from: Option<&Position>,
        limit: Option<i32>,
    ) -> Result<Page, StoreError> {
        let (start_after, token) = match from {
            None => (None, None),
            Some(Position::After(key)) => (Some(key), None),
            Some(Position::Token(token)) => (None, Some(token)),
        };
        let output = self
            .send("list", prefix, self.answer, || {
                self.client
                    .list_objects_v2()
                    .bucket(&*self.bucket)
                    .prefix(prefix)
                    .set_start_after(start_after.cloned())
                    .set_continuation_token(token.cloned())
                    .set_max_keys(limit)
                    .send()
            })
            .await
            .map_err(S3Problem::of_bucket)?;
        // Some servers encode keys without a request for it.
        let is_encoded = output.encoding_type() == Some(&EncodingType::Url);
        let objects = output.contents.unwrap_or_default().into_iter();
        let objects: Vec<_> = objects
            .filter_map(|object| {
                let key = object.key?;
                Some(Object {
                    key: if is_encoded { url_decoded(&key) } else { key },
                    size: object.size.and_then(|size| size.try_into().ok()),
                    metadata: Vec::new(),
                })
            })
            .collect();
        let token = output.next_continuation_token;
        let token = token.filter(|token| !token.is_empty());
        let next = match output.is_truncated {
            // Some servers return a token with the last page.
            Some(false) => None,
            Some(true) if token.is_none() => {
                let last = objects.last().map(|last| Position::After(last.key.clone()));
                if last.is_none() {
                    let detail = "the listing is truncated, without a token for its next page";
                    return Err(self.error("list", prefix, S3Problem::Refused, detail));
                }
                last
            }
            _ => token.map(Position::Token),
        };
        if next.is_some() && next.as_ref() == from {
            let detail = "the server repeats a page of the listing";
            return Err(self.error("list", prefix, S3Problem::Refused, detail));
        }
        Ok(Page { objects, next })
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

    pub(crate) fn error(
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
        let detail = loop {
            match timeout(limit, self.body.next()).await {
                Ok(None) => return Ok(None),
                Ok(Some(Ok(mut chunk))) => {
                    let ahead = usize::try_from(self.ahead).unwrap_or(usize::MAX);
                    let skipped = ahead.min(chunk.len());
                    self.ahead -= skipped as u64;
                    chunk.advance(skipped);
                    if !chunk.is_empty() {
                        return Ok(Some(chunk));
                    }
                }
                Ok(Some(Err(error))) => break source_chain(&error),
                Err(_) => break format!("no data within {limit:?}"),
            }
        };
        let problem = S3Problem::Transient;
        Err(self
            .objects
            .error("read the object", &self.key, problem, detail))
    }
}

impl PutMode {
    pub(super) fn condition(self) -> Option<String> {
        (self == Self::IfAbsent).then(|| "*".to_owned())
    }
}

/// Returns the first position of a `Content-Range` (RFC 9110, 14.4).
fn first_of_range(range: &str) -> Option<u64> {
    let range = range.trim().strip_prefix("bytes")?.trim_start();
    range.split_once('-')?.0.trim().parse().ok()
}

fn url_decoded(key: &str) -> String {
    let spaced = key.replace('+', " ");
    percent_decode_str(&spaced).decode_utf8_lossy().into_owned()
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
