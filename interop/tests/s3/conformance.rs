//! The conformance suite, run against the stores in S3.

use std::{cell::Cell, time::Duration};

use futures::StreamExt;
use interop::s3::{TestBucket, problem};
use tempfile::TempDir;
use tower_traffic::{
    conformance,
    store::{Bucket, Replay, S3, S3Cache, S3Problem},
};

#[tokio::test]
async fn s3_cache() {
    let place = TestBucket::new();
    let count = Cell::new(0);
    let next = || {
        count.set(count.get() + 1);
        let bucket = place.bucket_at_prefix(&format!("cache/{}", count.get()));
        S3Cache::new(bucket)
    };
    conformance::latest_only_cache(async || next()).await;
    let time = Duration::from_mins(1);
    conformance::latest_only_cache(async || next().miss_ttl(time)).await;
}

#[tokio::test]
async fn s3() {
    let spools = TempDir::new().unwrap();
    let place = TestBucket::new();
    let count = Cell::new(0);
    conformance::sink_and_replay(async || {
        count.set(count.get() + 1);
        let bucket = place.bucket_at_prefix(&format!("stream/{}", count.get()));
        S3::new(bucket).spool(spools.path())
    })
    .await;
}

#[tokio::test]
async fn the_server_meets_the_needs_of_the_stores() {
    let place = TestBucket::new();
    conformance::s3_server(place.bucket(), place.knows_conditions().await).await;
}

#[tokio::test]
async fn a_missing_bucket_is_named() {
    let place = TestBucket::new();
    let bucket = Bucket::new("no-such-bucket")
        .endpoint(&place.endpoint)
        .region(&place.region)
        .credentials(&place.access_key, &place.secret_key);
    let error = S3::new(bucket).replay().next().await.unwrap().unwrap_err();
    assert!(error.to_string().contains("s3://no-such-bucket"), "{error}");
    assert_eq!(problem(&error), S3Problem::NoSuchBucket);
}
