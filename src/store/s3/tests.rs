//! The operations on objects, against a real server; nothing public shows them one by one.

use bytes::Bytes;

use super::{
    multipart::Parts,
    objects::{Objects, Put},
};
use crate::store::{Bucket, S3Problem, StoreError};

#[path = "../../../interop/src/s3.rs"]
#[allow(dead_code, unreachable_pub)]
mod s3;

use s3::Place;

const PLAIN: &str = "text/plain";

async fn objects(place: &Place) -> Objects {
    place.bucket().objects().await.unwrap()
}

fn problem(error: &StoreError) -> S3Problem {
    match error {
        StoreError::S3 { problem, .. } => *problem,
        error => panic!("{error}"),
    }
}

#[tokio::test]
async fn what_is_put_is_there() {
    let place = Place::new();
    let objects = objects(&place).await;
    let key = place.bucket().key("a b/ü+%20.txt");
    let content = Bytes::from_static(b"content");
    let put = objects.put(
        &key,
        content.clone(),
        Put::IfAbsent,
        PLAIN,
        &[("crc", "12")],
    );
    put.await.unwrap();

    assert_eq!(objects.get_whole(&key, 7).await.unwrap(), content);
    let mut download = objects.get(&key).await.unwrap();
    assert_eq!(download.chunk().await.unwrap(), Some(content));
    assert_eq!(download.chunk().await.unwrap(), None);
    let head = objects.head(&key).await.unwrap();
    assert_eq!(head.size, 7);
    assert_eq!(head.metadata, [("crc".to_owned(), "12".to_owned())]);
    let error = objects.get_whole(&key, 6).await.unwrap_err();
    assert_eq!(problem(&error), S3Problem::TooLarge);
}

#[tokio::test]
async fn only_a_put_that_may_replaces() {
    let place = Place::new();
    let objects = objects(&place).await;
    let key = place.key("key");
    let put = |content: &'static str, put| objects.put(&key, content.into(), put, PLAIN, &[]);

    put("1", Put::IfAbsent).await.unwrap();
    if place.knows_conditions().await {
        let error = put("2", Put::IfAbsent).await.unwrap_err();
        assert_eq!(problem(&error), S3Problem::AlreadyThere);
    }
    assert_eq!(objects.get_whole(&key, 9).await.unwrap(), "1");

    put("3", Put::Replace).await.unwrap();
    assert_eq!(objects.get_whole(&key, 9).await.unwrap(), "3");
}

#[tokio::test]
async fn a_listing_has_pages() {
    let place = Place::new();
    let objects = objects(&place).await;
    let keys: Vec<_> = (0..5).map(|n| place.key(&format!("k{n}"))).collect();
    for key in &keys {
        let put = objects.put(key, "x".into(), Put::Replace, PLAIN, &[]);
        put.await.unwrap();
    }
    let prefix = place.key("");
    let mut listed = Vec::new();
    let mut next = None;
    let mut pages = 0;
    loop {
        let page = objects.list(&prefix, Some(&keys[0]), next.as_deref(), Some(2));
        let page = page.await.unwrap();
        pages += 1;
        assert!(page.objects.iter().all(|object| object.size == 1));
        listed.extend(page.objects.into_iter().map(|object| object.key));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(listed, keys[1..]);
    assert_eq!(pages, 2);
}

#[tokio::test]
async fn large_files_go_up_in_parts() {
    let place = Place::new();
    let objects = objects(&place).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    let blocks = (0..=11_u8).flat_map(|n| std::iter::repeat_n(n, 1 << 20));
    let content: Vec<u8> = blocks.take((11 << 20) + 1).collect();
    std::fs::write(&file, &content).unwrap();
    let put = |key: String, put| {
        let (objects, file) = (&objects, &file);
        let size = content.len() as u64;
        async move {
            let parts = Parts {
                file,
                size,
                part_size: 5 << 20,
            };
            objects
                .put_parts(&key, parts, put, PLAIN, &[("crc", "12")])
                .await
        }
    };

    put(place.key("parts"), Put::IfAbsent).await.unwrap();
    let stored = objects.get_whole(&place.key("parts"), 12 << 20).await;
    assert!(stored.unwrap() == content);
    let head = objects.head(&place.key("parts")).await.unwrap();
    assert_eq!(head.metadata, [("crc".to_owned(), "12".to_owned())]);
    if place.knows_conditions().await {
        let error = put(place.key("parts"), Put::IfAbsent).await.unwrap_err();
        assert_eq!(problem(&error), S3Problem::AlreadyThere);
    }
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let place = Place::new();
    let missing = |bucket: Bucket| async move {
        let objects = bucket.objects().await.unwrap().attempts(1);
        objects.get_whole("none", 1).await.unwrap_err()
    };
    assert_eq!(problem(&missing(place.bucket()).await), S3Problem::NotFound);
    let nowhere = Bucket::from("no-such-bucket")
        .endpoint(&place.endpoint)
        .region(&place.region);
    let nowhere = nowhere.credentials(&place.access_key, &place.secret_key);
    let nowhere = nowhere.objects().await.unwrap();
    let error = nowhere.list("none", None, None, None).await.unwrap_err();
    assert_eq!(problem(&error), S3Problem::NoSuchBucket, "{error}");
    assert!(error.to_string().contains("s3://no-such-bucket/none"));

    let error = missing(place.bucket().credentials("nobody", "nothing")).await;
    assert_eq!(problem(&error), S3Problem::Denied, "{error}");
    let error = missing(place.bucket_at("http://127.0.0.1:1")).await;
    assert_eq!(problem(&error), S3Problem::Transient, "{error}");
}

#[test]
fn texts_that_name_no_bucket() {
    for (text, name, prefix) in [
        ("bucket", "bucket", ""),
        ("bucket/", "bucket", ""),
        ("s3://bucket/a/b/", "bucket", "a/b"),
    ] {
        let bucket = Bucket::from(text);
        assert_eq!((bucket.name(), bucket.prefix()), (name, prefix));
        bucket.check().unwrap();
    }
    for text in [
        "",
        "s3://",
        "/prefix",
        "b",
        "http://host/bucket",
        "bu cket",
        "../x",
        "bucket/a//b",
        "bucket/../x",
        "bucket/a\nb",
    ] {
        let error = Bucket::from(text).check().unwrap_err();
        assert!(matches!(error, StoreError::BadBucket { .. }), "{text:?}");
    }
}

#[tokio::test]
async fn endpoints_that_are_no_urls() {
    for endpoint in [
        "127.0.0.1:9000",
        "localhost",
        "ftp://h",
        "http://",
        "h:x",
        "",
    ] {
        let error = Bucket::from("bucket").endpoint(endpoint).objects().await;
        let error = error.unwrap_err();
        assert!(
            matches!(error, StoreError::BadBucket { .. }),
            "{endpoint:?}"
        );
    }
    let bucket = Bucket::from("bucket").endpoint("127.0.0.1:9000");
    let error = bucket.check().unwrap_err().to_string();
    assert!(error.contains("\"127.0.0.1:9000\""), "{error}");
    assert!(
        error.contains("write http:// or https:// before it"),
        "{error}"
    );
    for endpoint in ["http://127.0.0.1:9000", "https://h/path/", "HTTP://[::1]:1"] {
        Bucket::from("bucket").endpoint(endpoint).check().unwrap();
    }
    // A client has an endpoint of its own.
    let client = Place::new().client();
    bucket.client(client).check().unwrap();
}

#[test]
fn a_password_in_a_url_is_never_told() {
    let bucket = Bucket::from("bucket/a@b").endpoint("http://AKID:SECRET@h:9000/x");
    let told = format!("{bucket:?}");
    assert!(told.contains("a@b") && told.contains("@h:9000/x"), "{told}");
    assert!(!told.contains("AKID") && !told.contains("SECRET"), "{told}");
    for endpoint in ["AKID:SECRET@h", "ftp://AKID:SEC/SECRET@h"] {
        let bucket = Bucket::from("bucket").endpoint(endpoint);
        let error = bucket.check().unwrap_err();
        let told = format!("{error} {error:?} {bucket:?}");
        assert!(!told.contains("AKID") && !told.contains("SECRET"), "{told}");
    }
    for text in [
        "https://AKID:SECRET@h/bucket",
        "https://AKID:S/SECRET@h/bucket",
        "s3://AKID:SECRET@bucket/prefix",
        "AKID:SECRET@bucket",
        "AKID@bucket",
    ] {
        let bucket = Bucket::from(text);
        let error = bucket.check().unwrap_err();
        assert!(matches!(error, StoreError::BadBucket { .. }), "{text:?}");
        let told = format!("{bucket} {bucket:?} {error} {error:?}");
        assert!(!told.contains("AKID") && !told.contains("SECRET"), "{told}");
    }
}
