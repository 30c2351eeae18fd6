//! Multipart uploads.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use aws_sdk_s3::{
    primitives::ByteStream,
    types::{CompletedMultipartUpload, CompletedPart},
};
use bytes::Bytes;

use super::objects::{Objects, PutMode, owned};
use crate::store::{S3Problem, StoreError, blocking};

/// S3 accepts at most 10,000 parts
/// (<https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html>).
const MAX_PARTS: u64 = 10_000;

/// A file that is uploaded in parts.
pub(crate) struct Parts<'a> {
    pub(crate) file: &'a Path,
    /// The size of the file in bytes.
    pub(crate) size: u64,
    /// The size of a part in bytes, at least 5 MiB. It is increased for a file with too many parts.
    pub(crate) part_size: u64,
}

impl Objects {
    /// Uploads a file. If a part fails permanently, the upload is aborted. If this future is
    /// dropped, the parts stay in the bucket until a lifecycle rule removes them.
    pub(crate) async fn put_parts(
        &self,
        key: &str,
        parts: Parts<'_>,
        put: PutMode,
        content_type: &str,
        metadata: &[(&str, &str)],
    ) -> Result<(), StoreError> {
        let request = self
            .client
            .create_multipart_upload()
            .bucket(&*self.bucket)
            .key(key)
            .content_type(content_type)
            .set_metadata(Some(owned(metadata)));
        let begun = self
            .send("begin the upload", key, self.answer, || {
                request.clone().send()
            })
            .await?;
        let Some(upload) = begun.upload_id else {
            let said = "the response has no upload id";
            return Err(self.error("begin the upload", key, S3Problem::Refused, said));
        };
        let sent = async {
            let parts = self.parts(key, &upload, &parts).await?;
            self.complete(key, &upload, parts, put).await
        };
        let outcome = sent.await;
        if outcome.is_err() {
            let aborted = self
                .send("abort the upload", key, self.answer, || {
                    self.client
                        .abort_multipart_upload()
                        .bucket(&*self.bucket)
                        .key(key)
                        .upload_id(&upload)
                        .send()
                })
                .await;
            if let Err(error) = aborted {
                tracing::debug!(%error, "parts of an aborted upload stay in the bucket");
            }
        }
        outcome
    }

    async fn parts(
        &self,
        key: &str,
        upload: &str,
        &Parts {
            file,
            size,
            part_size,
        }: &Parts<'_>,
    ) -> Result<Vec<CompletedPart>, StoreError> {
        let part_size = part_size.max(size.div_ceil(MAX_PARTS));
        let mut parts = Vec::new();
        let mut offset = 0;
        for number in 1.. {
            if offset >= size {
                break;
            }
            let len = part_size.min(size - offset);
            let content = read(file, offset, len).await?;
            let sent = self
                .send("upload a part", key, self.upload_limit(len), || {
                    self.client
                        .upload_part()
                        .bucket(&*self.bucket)
                        .key(key)
                        .upload_id(upload)
                        .part_number(number)
                        .body(ByteStream::from(content.clone()))
                        .send()
                })
                .await?;
            parts.push(
                CompletedPart::builder()
                    .part_number(number)
                    .set_e_tag(sent.e_tag)
                    .build(),
            );
            offset += len;
        }
        Ok(parts)
    }

    async fn complete(
        &self,
        key: &str,
        upload: &str,
        parts: Vec<CompletedPart>,
        put: PutMode,
    ) -> Result<(), StoreError> {
        let request = self
            .client
            .complete_multipart_upload()
            .bucket(&*self.bucket)
            .key(key)
            .upload_id(upload)
            .multipart_upload(
                CompletedMultipartUpload::builder()
                    .set_parts(Some(parts))
                    .build(),
            )
            .set_if_none_match(put.condition());
        // One attempt: if its response is lost, the object shows whether it succeeded.
        self.clone()
            .attempts(1)
            .send("complete the upload", key, self.upload_limit(0), || {
                request.clone().send()
            })
            .await
            .map(drop)
    }
}

async fn read(path: &Path, offset: u64, len: u64) -> Result<Bytes, StoreError> {
    let path = path.to_owned();
    blocking(move || {
        let read = || {
            let mut file = File::open(&path)?;
            file.seek(SeekFrom::Start(offset))?;
            let mut content = Vec::with_capacity(usize::try_from(len).unwrap_or_default());
            file.take(len).read_to_end(&mut content)?;
            Ok(content.into())
        };
        read().map_err(|error| StoreError::io("read the file", &path, error))
    })
    .await
}
