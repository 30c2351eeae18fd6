//! One attempt to upload a segment.

use std::{fs::File, io::Read, path::PathBuf};

use bytes::Bytes;
use crc32fast::Hasher;

use super::{
    folder::{FileKind, SpoolFolder},
    name::SegmentName,
};
use crate::store::{
    Bucket, S3Problem, StoreError, blocking,
    s3::{
        multipart::Parts,
        objects::{Objects, PutMode, is_transient},
    },
};

/// The media type of objects (RFC 6713).
const CONTENT_TYPE: &str = "application/gzip";
/// The name of the metadata with the checksum of the content: a CRC-32 (ISO-HDLC, as in gzip), in
/// hex.
const CHECKSUM: &str = "traffic-crc32";

/// The operation that errors name.
const PUT: &str = "put the object";

/// A segment to upload, and whether an earlier attempt may have succeeded.
pub(super) struct Delivery<'a> {
    pub(super) bucket: &'a Bucket,
    pub(super) folder: &'a SpoolFolder,
    pub(super) name: &'a SegmentName,
    /// The size of a part in bytes; larger segments are uploaded in parts.
    pub(super) part_size: u64,
    pub(super) was_tried: bool,
}

impl Delivery<'_> {
    /// Uploads the segment unless an earlier attempt succeeded, and returns its size.
    pub(super) async fn attempt(&self) -> Result<u64, StoreError> {
        let objects = self.bucket.objects().await?;
        // The caller schedules the next attempt of the whole segment.
        let once = objects.clone().attempts(1);
        let key = self.bucket.key(&self.name.key());
        let file = self.folder.file(self.name, FileKind::Packed);
        let content = read(file, self.part_size).await?;
        let other_content =
            || objects.error(PUT, &key, S3Problem::AlreadyThere, "with other content");
        if self.was_tried {
            // Saves a second upload. It also protects the object on servers that ignore
            // `If-None-Match`, such as Garage 2.5.
            match is_ours(&once, &key, &content).await {
                Ok(true) => return Ok(content.size),
                Ok(false) => return Err(other_content()),
                Err(error) if is_transient(&error) => return Err(error),
                // The object is missing, or must not be read but may be put.
                Err(_) => {}
            }
        }
        let mut put = self.put(&objects, &key, &content, PutMode::IfAbsent).await;
        if let Err(error) = &put
            && S3Problem::of(error) == Some(S3Problem::NotImplemented)
        {
            // The server knows no conditions. A look-up before the upload protects the object,
            // except from an upload at the same time.
            put = match is_ours(&once, &key, &content).await {
                Ok(true) => return Ok(content.size),
                Ok(false) => return Err(other_content()),
                Err(error) if S3Problem::of(&error) == Some(S3Problem::NotFound) => {
                    self.put(&objects, &key, &content, PutMode::Replace).await
                }
                Err(error) => return Err(error),
            };
        }
        let Err(refused) = put else {
            return Ok(content.size);
        };
        if !is_there_already(&refused) {
            return Err(refused);
        }
        match is_ours(&once, &key, &content).await {
            Ok(true) => Ok(content.size),
            Ok(false) => Err(refused),
            // The object was removed meanwhile, or never existed: the next attempt decides.
            Err(error) if S3Problem::of(&error) == Some(S3Problem::NotFound) => {
                Err(objects.error(PUT, &key, S3Problem::Transient, error))
            }
            Err(error) => Err(error),
        }
    }

    /// Uploads the segment: its `content`, or the file in parts.
    async fn put(
        &self,
        objects: &Objects,
        key: &str,
        content: &Content,
        put: PutMode,
    ) -> Result<(), StoreError> {
        let text = format!("{:08x}", content.checksum);
        let metadata = [(CHECKSUM, text.as_str())];
        if let Some(whole) = &content.whole {
            // The caller schedules the next attempt of the whole segment.
            let once = objects.clone().attempts(1);
            return once
                .put(key, whole.clone(), put, CONTENT_TYPE, &metadata)
                .await;
        }
        let parts = Parts {
            file: &content.file,
            size: content.size,
            part_size: self.part_size,
        };
        // Each part has its own retries.
        objects
            .put_parts(key, parts, put, CONTENT_TYPE, &metadata)
            .await
    }
}

/// The content of a segment to upload.
struct Content {
    file: PathBuf,
    size: u64,
    checksum: u32,
    /// The bytes; `None` if there are more than fit into a part.
    whole: Option<Bytes>,
}

pub(super) fn is_there_already(error: &StoreError) -> bool {
    S3Problem::of(error) == Some(S3Problem::AlreadyThere)
}

/// Whether the object has the content of this segment.
async fn is_ours(objects: &Objects, key: &str, content: &Content) -> Result<bool, StoreError> {
    let there = objects.head(key).await?;
    if there.size.is_some_and(|stated| stated != content.size) {
        return Ok(false);
    }
    let text = format!("{:08x}", content.checksum);
    let mut metadata = there.metadata.iter();
    if let Some((_, stored)) = metadata.find(|(name, _)| name == CHECKSUM) {
        return Ok(*stored == text);
    }
    // The server does not keep metadata.
    let mut download = objects.get(key).await?;
    let mut hasher = Hasher::new();
    while let Some(chunk) = download.chunk().await? {
        hasher.update(&chunk);
    }
    Ok(hasher.finalize() == content.checksum)
}

/// Reads the size and checksum of a file, and its content if it has at most `limit` bytes.
async fn read(path: PathBuf, limit: u64) -> Result<Content, StoreError> {
    blocking(move || {
        let read = || {
            let mut file = File::open(&path)?;
            let size = file.metadata()?.len();
            let mut hasher = Hasher::new();
            if size <= limit {
                let mut content = Vec::new();
                file.read_to_end(&mut content)?;
                hasher.update(&content);
                return Ok((
                    content.len() as u64,
                    hasher.finalize(),
                    Some(content.into()),
                ));
            }
            let mut buffer = vec![0; 256 << 10];
            loop {
                match file.read(&mut buffer)? {
                    0 => return Ok((size, hasher.finalize(), None)),
                    n => hasher.update(&buffer[..n]),
                }
            }
        };
        match read() {
            Ok((size, checksum, whole)) => Ok(Content {
                file: path,
                size,
                checksum,
                whole,
            }),
            Err(error) => Err(StoreError::io("read the file", &path, error)),
        }
    })
    .await
}
