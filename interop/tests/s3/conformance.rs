//! The conformance suite, run against the stores in S3.

use std::{cell::Cell, time::Duration};

use interop::s3::Place;
use tempfile::TempDir;
use tower_traffic::{
    conformance,
    store::{S3, S3Cache},
};

#[tokio::test]
async fn s3_cache() {
    let place = Place::new();
    let count = Cell::new(0);
    let next = || {
        count.set(count.get() + 1);
        let bucket = place.bucket_at_prefix(&format!("cache/{}", count.get()));
        S3Cache::new(bucket)
    };
    conformance::cache(async || next()).await;
    let time = Duration::from_mins(1);
    conformance::cache(async || next().miss_ttl(time)).await;
}

#[tokio::test]
async fn s3() {
    let spools = TempDir::new().unwrap();
    let place = Place::new();
    let count = Cell::new(0);
    conformance::sink_and_replay(async || {
        count.set(count.get() + 1);
        let bucket = place.bucket_at_prefix(&format!("stream/{}", count.get()));
        S3::new(bucket).spool(spools.path())
    })
    .await;
}
