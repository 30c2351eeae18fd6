//! Servers that differ from AWS: ranges, listings, conditions and errors.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use axum::{Router, body::Body, extract::Request};
use bytes::Bytes;
use futures::{StreamExt, stream};
use http::{HeaderMap, Method, Response, request::Parts};
use interop::s3::problem;
use support::{Server, soon};
use tower_traffic::{
    StoreError,
    store::{Bucket, S3, S3Cache, S3Problem, Sink, Source, Which},
};

use super::replay::{exchange, key, read, read_all, segment};

/// A server that answers as a function says, and the requests that it has received.
struct Odd {
    server: Server,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Odd {
    async fn start(
        answer: impl Fn(&Parts, Bytes) -> Response<Body> + Clone + Send + Sync + 'static,
    ) -> Self {
        let seen: Arc<Mutex<Vec<String>>> = Arc::default();
        let all = seen.clone();
        let app = Router::new().fallback(async move |request: Request| {
            let (parts, body) = request.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            all.lock()
                .unwrap()
                .push(format!("{} {}", parts.method, parts.uri));
            answer(&parts, body)
        });
        let server = Server::start(app).await;
        Self { server, seen }
    }

    fn bucket(&self) -> Bucket {
        Bucket::from("s3://traffic/p")
            .endpoint(self.server.url(""))
            .credentials("a", "b")
    }

    fn replay(&self) -> S3 {
        S3::new(self.bucket())
    }

    fn count(&self, begin: &str) -> usize {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|line| line.starts_with(begin)).count()
    }
}

fn answer(
    status: u16,
    headers: &[(&'static str, String)],
    body: impl Into<Body>,
) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = status.try_into().unwrap();
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}

fn refusal(status: u16, code: &str) -> Response<Body> {
    answer(status, &[], error(code))
}

fn error(code: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <Error><Code>{code}</Code><Message>odd</Message></Error>"
    )
}

/// A listing of keys and sizes, with `rest` as further elements.
fn listing(objects: &[(&str, Option<usize>)], rest: &str) -> Response<Body> {
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
        <ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>traffic</Name>"
        .to_owned();
    for (key, size) in objects {
        let size = size.map_or(String::new(), |size| format!("<Size>{size}</Size>"));
        text.extend([
            "<Contents><Key>",
            *key,
            "</Key>",
            size.as_str(),
            "</Contents>",
        ]);
    }
    answer(200, &[], text + rest + "</ListBucketResult>")
}

const LAST: &str = "<IsTruncated>false</IsTruncated>";

fn is_list(parts: &Parts) -> bool {
    parts
        .uri
        .query()
        .is_some_and(|query| query.contains("list-type"))
}

/// The first position of the `Range` of a request.
fn start_of(headers: &HeaderMap) -> Option<usize> {
    let range = headers.get("range")?.to_str().unwrap();
    range
        .strip_prefix("bytes=")?
        .strip_suffix('-')?
        .parse()
        .ok()
}

/// The first `len` bytes of `content`, and then a broken connection.
fn broken(content: &Bytes, len: usize) -> Body {
    let start = Ok(content.slice(..len));
    let rest = stream::once(async {
        // Bytes before the fault must arrive: a server discards unsent bytes.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        Err("cut")
    });
    Body::from_stream(stream::iter([start]).chain(rest))
}

/// A segment with forty exchanges, which do not compress.
fn forty() -> Bytes {
    segment((0..40).map(|number| exchange(number, 9_000))).into()
}

/// A server with one segment whose first response breaks off; `resumed` answers the later requests.
async fn breaking(
    content: Bytes,
    resumed: impl Fn(&Bytes, Option<usize>) -> Response<Body> + Clone + Send + Sync + 'static,
) -> Odd {
    let key = format!("p/{}", key("00", "a", 0));
    let is_first = Arc::new(Mutex::new(true));
    Odd::start(move |parts, _| {
        if is_list(parts) {
            return listing(&[(&key, Some(content.len()))], LAST);
        }
        if std::mem::take(&mut *is_first.lock().unwrap()) {
            let length = [("content-length", content.len().to_string())];
            return answer(200, &length, broken(&content, content.len() / 2));
        }
        resumed(&content, start_of(&parts.headers))
    })
    .await
}

#[tokio::test]
async fn a_whole_object_in_answer_to_a_range_is_read_from_the_break() {
    let odd = breaking(forty(), |content, start| {
        assert!(start.is_some());
        answer(200, &[], content.clone())
    })
    .await;
    assert_eq!(read_all(&odd.replay()).await, (0..40).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_earlier_range_is_read_from_the_break() {
    let odd = breaking(forty(), |content, start| {
        let from = start.unwrap() - 100;
        let last = content.len() - 1;
        let range = format!("bytes {from}-{last}/{}", content.len());
        answer(206, &[("content-range", range)], content.slice(from..))
    })
    .await;
    assert_eq!(read_all(&odd.replay()).await, (0..40).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_later_or_unreadable_range_is_an_error() {
    for range in ["bytes 350000-350099/360000", "bytes */360000", "?"] {
        let odd = breaking(forty(), move |content, _| {
            answer(
                206,
                &[("content-range", range.to_owned())],
                content.slice(..100),
            )
        })
        .await;
        let (numbers, errors) = read(&odd.replay()).await;
        assert!(
            !numbers.is_empty() && numbers.len() < 40,
            "{range}: {numbers:?}"
        );
        assert_eq!(errors.len(), 1, "{range}: {errors:?}");
        assert!(
            errors[0].to_string().contains("Content-Range"),
            "{errors:?}"
        );
    }
}

#[tokio::test]
async fn a_body_that_ends_early_without_a_stated_length_is_resumed() {
    let content = forty();
    let key = format!("p/{}", key("00", "a", 0));
    let odd = Odd::start(move |parts, _| {
        if is_list(parts) {
            return listing(&[(&key, Some(content.len()))], LAST);
        }
        // Chunked, and complete as far as HTTP can tell.
        let start = start_of(&parts.headers).unwrap_or(0);
        let end = (start + 100_000).min(content.len());
        let range = format!("bytes {start}-{}/{}", end - 1, content.len());
        let part = stream::iter([Ok::<_, &str>(content.slice(start..end))]);
        let headers = [("content-range", range)];
        let (status, headers) = if start > 0 {
            (206, &headers[..])
        } else {
            (200, &[][..])
        };
        answer(status, headers, Body::from_stream(part))
    })
    .await;
    assert_eq!(read_all(&odd.replay()).await, (0..40).collect::<Vec<_>>());
}

#[tokio::test]
async fn an_object_that_is_shorter_than_listed_is_an_error() {
    // Two segments in one object; the server only ever sends the first.
    let first = Bytes::from(segment([exchange(0, 100)]));
    let size = first.len() + segment([exchange(1, 100)]).len();
    let key = format!("p/{}", key("00", "a", 0));
    let odd = Odd::start(move |parts, _| {
        if is_list(parts) {
            return listing(&[(&key, Some(size))], LAST);
        }
        answer(200, &[], first.clone())
    })
    .await;
    let (numbers, errors) = read(&odd.replay()).await;
    assert_eq!(numbers, [0]);
    assert_eq!(errors.len(), 1, "{errors:?}");
}

/// Two segments of one exchange each, as keys and contents.
fn two() -> BTreeMap<String, Bytes> {
    let one = |n| {
        (
            format!("p/{}", key("00", "a", n)),
            segment([exchange(n, 10)]).into(),
        )
    };
    (0..2).map(one).collect()
}

/// A server with two segments; `list` lists them.
async fn listed(
    list: impl Fn(&Parts, &[(&str, Option<usize>)]) -> Response<Body> + Clone + Send + Sync + 'static,
) -> Odd {
    let objects = two();
    Odd::start(move |parts, _| {
        let sizes: Vec<_> = objects
            .iter()
            .map(|(key, content)| (key.as_str(), Some(content.len())))
            .collect();
        if is_list(parts) {
            return list(parts, &sizes);
        }
        let path = parts.uri.path().strip_prefix("/traffic/").unwrap();
        match objects.get(&path.replace("%3D", "=")) {
            Some(content) => answer(200, &[], content.clone()),
            None => refusal(404, "NoSuchKey"),
        }
    })
    .await
}

fn asks(parts: &Parts, text: &str) -> bool {
    parts.uri.query().is_some_and(|query| query.contains(text))
}

#[tokio::test]
async fn a_listing_goes_on_without_is_truncated() {
    let odd = listed(|parts, objects| {
        if asks(parts, "continuation-token=more") {
            listing(&objects[1..], "")
        } else {
            listing(
                &objects[..1],
                "<NextContinuationToken>more</NextContinuationToken>",
            )
        }
    })
    .await;
    assert_eq!(read_all(&odd.replay()).await, [0, 1]);
}

#[tokio::test]
async fn a_truncated_listing_without_a_token_goes_on_after_its_last_key() {
    let odd = listed(|parts, objects| {
        if asks(parts, "start-after=") {
            listing(&objects[1..], LAST)
        } else {
            listing(&objects[..1], "<IsTruncated>true</IsTruncated>")
        }
    })
    .await;
    assert_eq!(read_all(&odd.replay()).await, [0, 1]);
}

#[tokio::test]
async fn a_listing_that_does_not_advance_is_an_error() {
    for rest in [
        "<IsTruncated>true</IsTruncated>",
        "<IsTruncated>true</IsTruncated><NextContinuationToken>a</NextContinuationToken>",
    ] {
        let odd = listed(|_, objects| listing(objects, rest)).await;
        let (_, errors) = read(&odd.replay()).await;
        assert_eq!(errors.len(), 1, "{errors:?}");
        assert!(errors[0].to_string().contains("repeats"), "{errors:?}");
    }
    let odd = listed(|_, _| listing(&[], "<IsTruncated>true</IsTruncated>")).await;
    let (_, errors) = read(&odd.replay()).await;
    assert_eq!(problem(&errors[0]), S3Problem::Refused, "{errors:?}");
}

#[tokio::test]
async fn encoded_keys_are_decoded() {
    let odd = listed(|_, objects| {
        let encoded: Vec<_> = objects
            .iter()
            .map(|(key, size)| (key.replace('=', "%3D").replace('/', "%2F"), *size))
            .collect();
        let encoded: Vec<_> = encoded.iter().map(|(key, size)| (&**key, *size)).collect();
        listing(&encoded, "<EncodingType>url</EncodingType>")
    })
    .await;
    assert_eq!(read_all(&odd.replay()).await, [0, 1]);
}

#[tokio::test]
async fn a_size_that_the_listing_omits_is_asked_for() {
    let odd = listed(|_, objects| {
        let keys: Vec<_> = objects.iter().map(|(key, _)| (*key, None)).collect();
        listing(&keys, LAST)
    })
    .await;
    assert_eq!(read_all(&odd.replay()).await, [0, 1]);
    assert_eq!(odd.count("HEAD "), 2);
}

#[tokio::test]
async fn errors_without_a_code_are_classified() {
    for (status, body, expected) in [
        (404, String::new(), S3Problem::NoSuchBucket),
        (404, "<html>".to_owned(), S3Problem::NoSuchBucket),
        (404, error("NoSuchKey"), S3Problem::NoSuchBucket),
        (404, error("NoSuchBucket"), S3Problem::NoSuchBucket),
        (403, "denied".to_owned(), S3Problem::Denied),
        (501, String::new(), S3Problem::NotImplemented),
        (400, error("NotImplemented"), S3Problem::NotImplemented),
        (400, error("InvalidArgument"), S3Problem::Refused),
    ] {
        let text = body.clone();
        let odd = Odd::start(move |_, _| answer(status, &[], text.clone())).await;
        let (_, errors) = read(&odd.replay()).await;
        assert_eq!(errors.len(), 1);
        assert_eq!(problem(&errors[0]), expected, "{status} {body}: {errors:?}");
    }
}

#[tokio::test]
async fn passing_errors_are_retried() {
    for refused in [
        || answer(503, &[], ""),
        || answer(503, &[], "<html>Slow down</html>"),
        || refusal(503, "SlowDown"),
        || refusal(400, "ServiceUnavailable"),
        || refusal(409, "OperationAborted"),
        // An error that the server met after it had sent 200.
        || answer(200, &[], error("InternalError")),
        || answer(200, &[], ""),
        || answer(200, &[], "<html>not S3</html>"),
    ] {
        let left = Arc::new(Mutex::new(2));
        let odd = listed(move |_, objects| {
            let mut left = left.lock().unwrap();
            if *left > 0 {
                *left -= 1;
                return refused();
            }
            listing(objects, LAST)
        })
        .await;
        assert_eq!(read_all(&odd.replay()).await, [0, 1]);
    }
}

#[tokio::test]
async fn a_missing_object_of_a_cache_is_a_miss_with_or_without_a_code() {
    for body in ["", "<html>", &error("NoSuchKey"), &error("NotFound")] {
        let body = body.to_owned();
        let odd = Odd::start(move |_, _| answer(404, &[], body.clone())).await;
        let cache = S3Cache::new(odd.bucket());
        let exchange = exchange(0, 10);
        let wanted = cache.matching().key_of(&exchange).unwrap();
        let found = soon(cache.find(wanted, Which::Latest)).await;
        assert!(found.unwrap().is_none());
    }
}

#[tokio::test]
async fn an_object_of_a_cache_that_is_cut_never_answers() {
    let exchange = exchange(0, 10_000);
    let whole = Bytes::from(segment([exchange.clone()]));
    for len in [0, 1, 20, whole.len() / 2, whole.len() - 1] {
        let part = whole.slice(..len);
        let odd = Odd::start(move |_, _| {
            let part = stream::iter([Ok::<_, &str>(part.clone())]);
            answer(200, &[], Body::from_stream(part))
        })
        .await;
        let cache = S3Cache::new(odd.bucket());
        let wanted = cache.matching().key_of(&exchange).unwrap();
        let found = soon(cache.find(wanted, Which::Latest)).await;
        assert!(!matches!(found, Ok(Some(_))), "{len}");
    }
}

/// Records one exchange into a bucket of `odd`.
async fn upload(odd: &Odd, spool: &tempfile::TempDir) -> Result<(), StoreError> {
    let sink = S3::new(odd.bucket()).spool(spool.path());
    sink.store(vec![exchange(0, 10).into()]).await?;
    soon(sink.flush()).await
}

#[tokio::test]
async fn a_server_without_conditions_gets_the_segment_after_a_look_up() {
    for refused in [(501, "NotImplemented"), (400, "NotImplemented")] {
        let kept: Arc<Mutex<Option<Bytes>>> = Arc::default();
        let keep = kept.clone();
        let odd = Odd::start(move |parts, body| match parts.method {
            Method::PUT if parts.headers.contains_key("if-none-match") => {
                refusal(refused.0, refused.1)
            }
            Method::PUT => {
                *keep.lock().unwrap() = Some(body);
                answer(200, &[], "")
            }
            _ => answer(404, &[], ""),
        })
        .await;
        let spool = tempfile::tempdir().unwrap();
        upload(&odd, &spool).await.unwrap();
        assert!(kept.lock().unwrap().is_some());
        assert_eq!(odd.count("HEAD "), 1);
    }
}

#[tokio::test]
async fn a_server_without_conditions_keeps_the_object_of_another() {
    let odd = Odd::start(move |parts, _| match parts.method {
        Method::PUT if parts.headers.contains_key("if-none-match") => {
            refusal(501, "NotImplemented")
        }
        Method::HEAD => answer(200, &[("content-length", "7".to_owned())], ""),
        _ => panic!("{parts:?}"),
    })
    .await;
    let spool = tempfile::tempdir().unwrap();
    upload(&odd, &spool).await.unwrap_err();
}

#[tokio::test]
async fn other_codes_for_an_existing_key_mean_that_it_exists() {
    for (status, code) in [
        (412, ""),
        (412, "PreconditionFailed"),
        (409, "ObjectAlreadyExists"),
    ] {
        let odd = Odd::start(move |parts, _| match parts.method {
            Method::PUT => answer(
                status,
                &[],
                if code.is_empty() {
                    String::new()
                } else {
                    error(code)
                },
            ),
            Method::HEAD => answer(200, &[("content-length", "7".to_owned())], ""),
            _ => panic!("{parts:?}"),
        })
        .await;
        let spool = tempfile::tempdir().unwrap();
        upload(&odd, &spool).await.unwrap_err();
        assert_eq!(odd.count("PUT "), 1, "{status} {code}");
    }
}

#[tokio::test]
async fn an_error_in_a_200_does_not_complete_an_upload() {
    const PART: usize = 5 << 20;
    let state: Arc<Mutex<(usize, bool)>> = Arc::default();
    let shared = state.clone();
    let odd = Odd::start(move |parts, _| {
        let mut state = shared.lock().unwrap();
        let is_complete = asks(parts, "uploadId");
        match parts.method {
            Method::POST if asks(parts, "uploads") => answer(
                200,
                &[],
                "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
            ),
            Method::POST if is_complete => {
                state.0 += 1;
                if state.0 == 1 {
                    return answer(200, &[], error("InternalError"));
                }
                state.1 = true;
                answer(
                    200,
                    &[],
                    "<CompleteMultipartUploadResult><Key>k</Key></CompleteMultipartUploadResult>",
                )
            }
            Method::PUT => answer(200, &[("etag", "\"e\"".to_owned())], ""),
            Method::DELETE => answer(204, &[], ""),
            _ => answer(404, &[], ""),
        }
    })
    .await;
    let spool = tempfile::tempdir().unwrap();
    let sink = S3::new(odd.bucket())
        .spool(spool.path())
        .part_size(PART as u64);
    let large = exchange(0, PART + 1000);
    sink.store(vec![large.into()]).await.unwrap();
    soon(sink.flush()).await.unwrap();
    assert_eq!(*state.lock().unwrap(), (2, true));
}
