//! The S3 operations that the stores in S3 rely on.

use std::{env, fs};

use bytes::Bytes;
use uuid::Uuid;

use crate::store::{
    Bucket, S3Problem, StoreError,
    s3::{Objects, Parts, Position, PutMode},
};

const PLAIN: &str = "text/plain";

/// Checks that an S3 server does what the stores in S3 rely on: it keeps content and metadata,
/// lists keys in order and in pages, takes uploads in parts, and refuses with the usual error
/// codes.
///
/// `bucket` needs an endpoint, a region and credentials, and an empty prefix. With
/// `conditional_puts`, the server must also honor `If-None-Match: *` in a put.
///
/// # Panics
/// If the server violates an expectation, which the message names.
pub async fn s3_server(bucket: Bucket, conditional_puts: bool) {
    let objects = &bucket.objects().await.expect("a usable bucket");
    objects_keep_content_and_metadata(&bucket, objects).await;
    puts_replace_only_if_asked_to(&bucket, objects, conditional_puts).await;
    listings_have_pages(&bucket, objects).await;
    large_files_are_uploaded_in_parts(&bucket, objects, conditional_puts).await;
    failures_have_their_codes(bucket).await;
}

fn problem(error: &StoreError) -> S3Problem {
    S3Problem::of(error).expect("an error of S3")
}

async fn objects_keep_content_and_metadata(bucket: &Bucket, objects: &Objects) {
    let key = bucket.key("a b/ü+%20.txt");
    let content = Bytes::from_static(b"content");
    let metadata = [("crc", "12")];
    let put = objects.put(&key, content.clone(), PutMode::IfAbsent, PLAIN, &metadata);
    put.await.expect("a put");

    assert_eq!(objects.get_whole(&key, 7).await.expect("a get"), content);
    let mut download = objects.get(&key).await.expect("a get");
    assert_eq!(download.chunk().await.expect("a chunk"), Some(content));
    assert_eq!(download.chunk().await.expect("an end"), None);
    let head = objects.head(&key).await.expect("a HEAD");
    assert_eq!(head.size, Some(7));
    assert_eq!(head.metadata, [("crc".to_owned(), "12".to_owned())]);
    let error = objects.get_whole(&key, 6).await.unwrap_err();
    assert_eq!(problem(&error), S3Problem::TooLarge);
}

async fn puts_replace_only_if_asked_to(bucket: &Bucket, objects: &Objects, conditional: bool) {
    let key = bucket.key("key");
    let put = |content: &'static str, put| objects.put(&key, content.into(), put, PLAIN, &[]);

    put("1", PutMode::IfAbsent).await.expect("a put");
    if conditional {
        let error = put("2", PutMode::IfAbsent).await.unwrap_err();
        assert_eq!(problem(&error), S3Problem::AlreadyThere);
    }
    let stored = objects.get_whole(&key, 9).await.expect("a get");
    assert!(!conditional || stored == "1");

    put("3", PutMode::Replace).await.expect("a put");
    assert_eq!(objects.get_whole(&key, 9).await.expect("a get"), "3");
}

async fn listings_have_pages(bucket: &Bucket, objects: &Objects) {
    let keys: Vec<_> = (0..5).map(|n| bucket.key(&format!("list/{n}"))).collect();
    for key in &keys {
        let put = objects.put(key, "x".into(), PutMode::Replace, PLAIN, &[]);
        put.await.expect("a put");
    }
    let prefix = bucket.key("list/");
    let mut listed = Vec::new();
    let mut next = Some(Position::After(keys[0].clone()));
    let mut pages = 0;
    loop {
        let page = objects.list(&prefix, next.as_ref(), Some(2));
        let page = page.await.expect("a page");
        pages += 1;
        assert!(page.objects.iter().all(|object| object.size == Some(1)));
        listed.extend(page.objects.into_iter().map(|object| object.key));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(listed, keys[1..]);
    assert_eq!(pages, 2);
}

async fn large_files_are_uploaded_in_parts(bucket: &Bucket, objects: &Objects, conditional: bool) {
    let file = env::temp_dir().join(format!("tower-traffic-{}", Uuid::new_v4().simple()));
    let blocks = (0..=11_u8).flat_map(|n| std::iter::repeat_n(n, 1 << 20));
    let content: Vec<u8> = blocks.take((11 << 20) + 1).collect();
    fs::write(&file, &content).expect("a temporary file");
    let key = bucket.key("parts");
    let put = |put| {
        let parts = Parts {
            file: &file,
            size: content.len() as u64,
            part_size: 5 << 20,
        };
        objects.put_parts(&key, parts, put, PLAIN, &[("crc", "12")])
    };

    put(PutMode::IfAbsent).await.expect("an upload");
    let stored = objects.get_whole(&key, 12 << 20).await;
    assert!(stored.expect("a get") == content);
    let head = objects.head(&key).await.expect("a HEAD");
    assert_eq!(head.metadata, [("crc".to_owned(), "12".to_owned())]);
    if conditional {
        let error = put(PutMode::IfAbsent).await.unwrap_err();
        assert_eq!(problem(&error), S3Problem::AlreadyThere);
    }
    fs::remove_file(&file).expect("the temporary file");
}

async fn failures_have_their_codes(bucket: Bucket) {
    let missing = async |bucket: Bucket| {
        let objects = bucket.objects().await.expect("a usable bucket");
        let key = bucket.key("none");
        objects.attempts(1).get_whole(&key, 1).await.unwrap_err()
    };
    let error = missing(bucket.clone()).await;
    assert_eq!(problem(&error), S3Problem::NotFound, "{error}");
    let error = missing(bucket.clone().credentials("nobody", "nothing")).await;
    assert_eq!(problem(&error), S3Problem::Denied, "{error}");
    let error = missing(bucket.endpoint("http://127.0.0.1:1")).await;
    assert_eq!(problem(&error), S3Problem::Transient, "{error}");
}
