//! Names of buckets and endpoints.

use crate::store::{Bucket, StoreError};

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
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(aws_sdk_s3::config::BehaviorVersion::latest())
        .build();
    let client = aws_sdk_s3::Client::from_conf(config);
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
