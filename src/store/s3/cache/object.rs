//! Encodes and decodes an entry of the cache.

use std::{io::Cursor, path::Path};

use bytes::Bytes;

use crate::{
    format::warc::{Depth, Encoder, Reader, SegmentItem},
    message::Exchange,
    store::{Compression, Location, StoreError},
};

pub(super) fn write(exchange: &Exchange, key: &str) -> Result<Bytes, StoreError> {
    let name = key.rsplit('/').next().unwrap_or(key);
    let mut content = Vec::new();
    let mut write = || {
        let mut encoder = Encoder::new(Compression::Gzip)?;
        encoder.open(&mut content, name)?;
        encoder.exchange(&mut content, exchange)
    };
    write().map_err(|error| StoreError::io("compress the exchange", Path::new(key), error))?;
    Ok(content.into())
}

/// Decodes the exchange in an object. Errors name `url`.
pub(super) fn read(content: &[u8], url: &Path) -> Result<Exchange, StoreError> {
    let failed = |error| StoreError::io("read the object", url, error);
    let end = content.len() as u64;
    let mut reader = Reader::new(Cursor::new(content), end).map_err(failed)?;
    match reader.next(Depth::Whole).map_err(failed)? {
        Some(SegmentItem::Exchange(_, exchange) | SegmentItem::Within(exchange)) => Ok(*exchange),
        Some(SegmentItem::Bad(offset, reason)) => Err(damaged(url, offset, reason)),
        Some(SegmentItem::Torn(offset)) => {
            let reason = "the object ends within the exchange";
            Err(damaged(url, offset, reason))
        }
        _ => Err(StoreError::damaged(url, "contains no exchange")),
    }
}

fn damaged(url: &Path, offset: u64, reason: impl Into<String>) -> StoreError {
    StoreError::damaged(Location::new(url).at_byte(offset), reason)
}
