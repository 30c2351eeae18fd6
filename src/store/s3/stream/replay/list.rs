//! Lists the segments of a stream.

use tokio::{runtime::Handle, sync::mpsc};

use super::{Job, Segment, Selection, fetch::Fetching};
use crate::store::{
    Bucket, S3Problem, StoreError,
    s3::{
        objects::{Object, Objects, Position},
        stream::name::SegmentName,
    },
};

/// Lists the segments, and begins to fetch each one when the queue has room.
pub(super) async fn segments(bucket: Bucket, selection: Selection, jobs: mpsc::Sender<Job>) {
    if let Err(error) = list(&bucket, &selection, &jobs).await {
        // The stream may have been dropped.
        let _ = jobs.send(Job::Failed(error)).await;
    }
}

async fn list(
    bucket: &Bucket,
    selection: &Selection,
    jobs: &mpsc::Sender<Job>,
) -> Result<(), StoreError> {
    selection.check()?;
    let objects = bucket.objects().await?;
    let base = bucket.key("");
    let prefix = format!("{base}dt=");
    let (from, to) = selection.hours();
    let key_of = |hour: &str| {
        let (date, hour) = hour.split_at("2026-11-20".len());
        format!("{base}dt={date}/hh={}", &hour[1..])
    };
    // Sorts before all keys of that hour.
    let mut next = from.as_deref().map(|hour| Position::After(key_of(hour)));
    let last = to.as_deref().map(key_of);
    let mut found = 0_u64;
    let mut foreign = 0_u64;
    let mut last_key = None;
    loop {
        let page = objects.list(&prefix, next.as_ref(), None).await?;
        let last_of_page = page.objects.last().map(|object| object.key.clone());
        if last_of_page.is_some() && last_of_page == last_key {
            let detail = "the server repeats a page of the listing";
            return Err(objects.error("list", &prefix, S3Problem::Refused, detail));
        }
        last_key = last_of_page.or(last_key);
        for object in page.objects {
            let rest = object.key.strip_prefix(&base).unwrap_or_default();
            // Bytes, because the key of another program may have a character boundary elsewhere.
            let key = object.key.as_bytes();
            let hour = &key[..key.len().min(base.len() + "dt=2026-11-20/hh=23".len())];
            if last.as_deref().is_some_and(|last| hour > last.as_bytes()) {
                return Ok(());
            }
            if SegmentName::of_key(rest).is_none() {
                foreign += 1;
                if foreign == 1 {
                    tracing::warn!(
                        %bucket, key = object.key,
                        "object skipped: its name is not a segment's (further ones are only counted)"
                    );
                }
                continue;
            }
            found += 1;
            if selection.contains_segment(rest) {
                let Ok(room) = jobs.reserve().await else {
                    return Ok(());
                };
                room.send(match sized(&objects, object).await {
                    Ok((key, size)) => Job::Segment(segment(&objects, key, size)),
                    Err(error) => Job::Failed(error),
                });
            }
        }
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    if foreign > 0 {
        tracing::warn!(%bucket, objects = foreign, "objects skipped that are not segments");
    }
    if found == 0 && selection.is_all() {
        let location = bucket.to_string().into();
        return Err(StoreError::NotFound { location });
    }
    Ok(())
}

/// Returns the key and the size of an object; asks for a size that the listing does not state.
async fn sized(objects: &Objects, object: Object) -> Result<(String, u64), StoreError> {
    let size = match object.size {
        Some(size) => Some(size),
        None => objects.head(&object.key).await?.size,
    };
    let Some(size) = size else {
        let detail = "the server does not state the size of the object";
        return Err(objects.error("read the object", &object.key, S3Problem::Refused, detail));
    };
    Ok((object.key, size))
}

fn segment(objects: &Objects, key: String, size: u64) -> Segment {
    let fetching = Fetching::begin(objects.clone(), key.clone(), size, Handle::current());
    Segment {
        key,
        size,
        fetching,
    }
}
