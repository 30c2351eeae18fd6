//! Replay of S3 streams: completeness, order, selection and damage.

use std::{
    collections::BTreeSet,
    fs,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use http::{Request, Response, request::Parts};
use interop::faults::{Fault, Faults, always, first_of};
use interop::s3::{TestBucket, is_invalid_bucket, problem};
use support::stores::files;
use support::{random_bytes, soon};
use tower_traffic::{
    Exchange, StoreError,
    store::{Compression, Disk, Replay, S3, S3Problem, Sink},
};

/// `GET /{number}`, answered with bytes that do not compress.
pub(super) fn exchange(number: usize, len: usize) -> Exchange {
    let request = Request::get(format!("/{number}")).body(Bytes::new());
    Exchange::new(request.unwrap(), Response::new(random_bytes(len)))
}

fn number(exchange: &Exchange) -> usize {
    exchange.request.uri.path()[1..].parse().unwrap()
}

/// The content of a segment.
pub(super) fn segment(exchanges: impl IntoIterator<Item = Exchange>) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(folder.path()).compress(Compression::Gzip);
    let exchanges: Vec<_> = exchanges.into_iter().collect();
    support::stores::record(&disk, exchanges);
    fs::read(&files(folder.path())[0]).unwrap()
}

/// The key of a segment of this hour and writer.
pub(super) fn key(hour: &str, writer: &str, sequence: usize) -> String {
    format!("dt=2026-11-20/hh={hour}/20261120T000000Z-{writer}-{sequence:010}.warc.gz")
}

/// The numbers that were read, and the errors.
pub(super) async fn read(replay: &S3) -> (Vec<usize>, Vec<StoreError>) {
    collect(replay.replay()).await
}

async fn collect(
    mut replay: BoxStream<'static, Result<Exchange, StoreError>>,
) -> (Vec<usize>, Vec<StoreError>) {
    let (mut numbers, mut errors) = (Vec::new(), Vec::new());
    while let Some(item) = soon(replay.next()).await {
        match item {
            Ok(exchange) => numbers.push(number(&exchange)),
            Err(error) => errors.push(error),
        }
    }
    (numbers, errors)
}

pub(super) async fn read_all(replay: &S3) -> Vec<usize> {
    let (numbers, errors) = read(replay).await;
    assert!(errors.is_empty(), "{errors:?}");
    numbers
}

/// Ten segments, each with ten exchanges of 20,000 bytes.
async fn ten_segments(place: &TestBucket) {
    for n in 0..10 {
        let exchanges = (n * 10..n * 10 + 10).map(|number| exchange(number, 20_000));
        place.put(&key("00", "a", n * 10), segment(exchanges)).await;
    }
}

fn is_for(parts: &Parts, sequence: usize) -> bool {
    parts.method == "GET"
        && parts
            .uri
            .path()
            .ends_with(&format!("-{sequence:010}.warc.gz"))
}

#[tokio::test]
async fn exchanges_are_replayed_in_recorded_order() {
    let place = TestBucket::new();
    let spool = tempfile::tempdir().unwrap();
    let sink = S3::new(place.bucket())
        .spool(spool.path())
        .max_segment_bytes(1);
    let exchanges: Vec<_> = (0..30).map(|n| exchange(n, 100)).collect();
    for exchange in &exchanges {
        sink.store(vec![exchange.clone().into()]).await.unwrap();
    }
    soon(sink.flush()).await.unwrap();
    let read: Vec<_> = sink.replay().map(Result::unwrap).collect().await;
    assert_eq!(read, exchanges);
}

#[tokio::test]
async fn more_objects_than_a_page_has_are_each_read_once() {
    const COUNT: usize = 1_100;
    let place = TestBucket::new();
    let put = |n: usize| {
        let place = &place;
        async move {
            let content = segment([exchange(n, 10)]);
            place.put(&key("00", "a", n), content).await;
        }
    };
    stream::iter(0..COUNT)
        .map(put)
        .buffer_unordered(8)
        .collect::<Vec<_>>()
        .await;
    let proxy = Faults::before(&place.endpoint, always(Fault::None));
    let numbers = read_all(&S3::new(place.bucket_at(&proxy.url()))).await;
    assert_eq!(numbers, (0..COUNT).collect::<Vec<_>>());
    let lists = proxy
        .seen()
        .iter()
        .filter(|line| line.contains("list-type=2"))
        .count();
    assert_eq!(lists, 2);
    assert_eq!(proxy.count("GET"), lists + COUNT);
}

#[tokio::test]
async fn segments_are_read_by_hour_then_writer_then_sequence() {
    let place = TestBucket::new();
    let keys = [
        key("00", "b", 0),
        key("00", "b", 9),
        key("00", "b", 10),
        key("00", "c", 5),
        key("01", "a", 0),
        key("23", "a", 1),
    ];
    for (n, key) in keys.iter().enumerate().rev() {
        place.put(key, segment([exchange(n, 10)])).await;
    }
    assert_eq!(read_all(&S3::new(place.bucket())).await, [0, 1, 2, 3, 4, 5]);
}

#[tokio::test]
async fn foreign_objects_are_skipped_or_reported() {
    let place = TestBucket::new();
    let good = segment([exchange(1, 10)]);
    for rest in [
        "notes.txt",
        "dt=2026-11-20/hh=00/notes.txt",
        "dt=2026-11-20/hh=00/20261120T000000Z-a-0000000000.warc",
        "dt=2026-11-20/notes.warc.gz",
        "dt=notes",
        "traffic-20261120T000000Z-1a2b3c4d-00001.warc.gz",
    ] {
        place.put(rest, good.clone()).await;
    }
    // A different prefix that begins with the same text.
    let beside = format!("{}-2/{}", place.prefix, key("00", "a", 1));
    let put = place.client().put_object().bucket(&place.name).key(beside);
    put.body(good.clone().into()).send().await.unwrap();
    place.put(&key("00", "a", 1), good.clone()).await;
    // A segment's name without a segment.
    place.put(&key("00", "a", 2), "no segment\n").await;
    place.put(&key("00", "a", 3), "").await;
    place
        .put(&key("00", "a", 4), &b"\x1f\x8b\x08 no gzip"[..])
        .await;
    let (numbers, errors) = read(&S3::new(place.bucket())).await;
    assert_eq!(numbers, [1]);
    let texts: Vec<_> = errors.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    for (text, sequence) in texts.iter().zip([2, 4]) {
        let url = format!(
            "s3://{}/{}",
            place.name,
            place.key(&key("00", "a", sequence))
        );
        assert!(text.contains(&url), "{text}");
    }
}

#[tokio::test]
async fn a_non_ascii_name_hides_no_object() {
    let place = TestBucket::new();
    place
        .put(&key("00", "a", 1), segment([exchange(1, 10)]))
        .await;
    // This key has a multi-byte character at the end of the hour.
    place
        .put("dt=2026-11-20/hh=0\u{e9}/notes.txt", "notes")
        .await;
    place
        .put(&key("12", "a", 2), segment([exchange(2, 10)]))
        .await;
    assert_eq!(read_all(&S3::new(place.bucket())).await, [1, 2]);
}

#[tokio::test]
async fn damage_costs_only_its_exchange() {
    let place = TestBucket::new();
    let whole = segment((0..10).map(|n| exchange(n, 20_000)));
    for position in (300..whole.len()).step_by(whole.len() / 12) {
        let mut content = whole.clone();
        content[position] ^= 0xff;
        place.put(&key("00", "a", 0), content).await;
        place
            .put(&key("00", "a", 10), segment([exchange(10, 10)]))
            .await;
        let (numbers, errors) = read(&S3::new(place.bucket())).await;
        assert_eq!(numbers.len(), 10, "{position}: {numbers:?} {errors:?}");
        assert!(numbers.is_sorted());
        assert_eq!(errors.len(), 1, "{position}: {errors:?}");
        assert!(
            matches!(errors[0], StoreError::Damaged { .. }),
            "{errors:?}"
        );
    }
    // A truncated segment.
    place
        .put(&key("00", "a", 0), whole[..whole.len() - 10].to_vec())
        .await;
    let (numbers, errors) = read(&S3::new(place.bucket())).await;
    assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 10]);
    assert_eq!(errors.len(), 1, "{errors:?}");
}

/// The reader seeks back further than the buffer, and the object is fetched again from there.
#[tokio::test]
async fn damage_to_a_large_exchange_costs_only_that_exchange() {
    let place = TestBucket::new();
    let sizes = [10, 3_000_000, 10, 12_000_000, 10];
    let whole = segment(sizes.iter().enumerate().map(|(n, len)| exchange(n, *len)));
    let mut content = whole.clone();
    // In the middle of the first large exchange, and near the end of the second.
    content[1_500_000] ^= 0xff;
    let end = content.len() - 10_000;
    content[end] ^= 0xff;
    place.put(&key("00", "a", 0), content).await;
    let (numbers, errors) = read(&S3::new(place.bucket())).await;
    assert_eq!(numbers, [0, 2, 4]);
    assert_eq!(errors.len(), 2, "{errors:?}");

    place.put(&key("00", "a", 0), whole).await;
    assert_eq!(read_all(&S3::new(place.bucket())).await, [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn an_interrupted_download_resumes() {
    let place = TestBucket::new();
    ten_segments(&place).await;
    let proxy = Faults::before(&place.endpoint, {
        let mut cut = BTreeSet::new();
        // The download of each segment breaks once, at different positions.
        move |parts: &Parts| match (0..10).find(|n| is_for(parts, n * 10)) {
            Some(n) if cut.insert(n) => Fault::CutAnswerAfter(n * 20_000),
            _ => Fault::None,
        }
    });
    let numbers = read_all(&S3::new(place.bucket_at(&proxy.url()))).await;
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
    assert!(proxy.count("GET") > 20, "{:?}", proxy.seen());
}

#[tokio::test]
async fn an_unreadable_segment_is_reported_and_the_rest_is_replayed() {
    let place = TestBucket::new();
    ten_segments(&place).await;
    let proxy = Faults::before(&place.endpoint, {
        let mut asked = 0;
        move |parts: &Parts| {
            if is_for(parts, 20) {
                // Deleted since the listing.
                return Fault::Answer(404, "NoSuchKey");
            }
            if is_for(parts, 50) {
                asked += 1;
                return match asked {
                    1 => Fault::CutAnswerAfter(90_000),
                    _ => Fault::CutAnswerAfter(0),
                };
            }
            Fault::None
        }
    });
    let (numbers, errors) = read(&S3::new(place.bucket_at(&proxy.url()))).await;
    let expected: Vec<_> = (0..100)
        .filter(|n| !(20..30).contains(n) && !(54..60).contains(n))
        .collect();
    assert_eq!(numbers, expected);
    let problems: Vec<_> = errors.iter().map(problem).collect();
    assert_eq!(problems, [S3Problem::NotFound, S3Problem::Transient]);
    for (error, sequence) in errors.iter().zip([20, 50]) {
        assert!(
            error.to_string().contains(&key("00", "a", sequence)),
            "{error}"
        );
    }
}

#[tokio::test]
async fn transient_errors_are_retried() {
    let place = TestBucket::new();
    ten_segments(&place).await;
    let faults = [
        Fault::Answer(503, "SlowDown"),
        Fault::None,
        Fault::Answer(500, "InternalError"),
        Fault::CutAnswer,
    ];
    let proxy = Faults::before(&place.endpoint, first_of("GET", faults));
    let numbers = read_all(&S3::new(place.bucket_at(&proxy.url()))).await;
    assert_eq!(numbers, (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_hanging_server_is_an_error() {
    let place = TestBucket::new();
    ten_segments(&place).await;
    let plan = |parts: &Parts| {
        if is_for(parts, 10) {
            Fault::SwallowAnswer
        } else {
            Fault::None
        }
    };
    let proxy = Faults::before(&place.endpoint, plan);
    let bucket = place
        .bucket_at(&proxy.url())
        .answer_timeout(Duration::from_millis(200));
    let (numbers, errors) = read(&S3::new(bucket)).await;
    assert_eq!(numbers.len(), 90);
    assert_eq!(errors.len(), 1, "{errors:?}");
}

#[tokio::test]
async fn a_time_range_reads_only_its_segments() {
    let place = TestBucket::new();
    // 2026-11-20T00:00:00Z.
    let midnight = SystemTime::UNIX_EPOCH + Duration::from_hours(24 * 20_777);
    let at = |minutes: u64| midnight + Duration::from_mins(minutes);
    for hour in 0..8 {
        // Exchanges that began some minutes before the segment's hour, and in that hour.
        let minutes = [60 * hour + 55, 60 * hour + 60, 60 * hour + 90];
        let exchanges = minutes.map(|minutes| {
            let mut exchange = exchange(usize::try_from(minutes).unwrap(), 10);
            exchange.began = at(minutes);
            exchange
        });
        place
            .put(
                &key(&format!("{:02}", hour + 1), "a", 0),
                segment(exchanges),
            )
            .await;
    }
    let proxy = Faults::before(&place.endpoint, always(Fault::None));
    let replay = S3::new(place.bucket_at(&proxy.url()));

    let numbers = read_all(&replay.clone().began(at(240)..at(300))).await;
    assert_eq!(numbers, [240, 270, 295]);
    let fetched: Vec<_> = proxy
        .seen()
        .into_iter()
        .filter(|line| !line.contains("list-type"))
        .collect();
    let hours: Vec<_> = (3..=6).map(|hour| format!("hh={hour:02}")).collect();
    assert_eq!(fetched.len(), hours.len(), "{fetched:?}");
    for (line, hour) in fetched.iter().zip(&hours) {
        assert!(line.replace("%3D", "=").contains(hour), "{fetched:?}");
    }

    assert_eq!(
        read_all(&replay.clone().began(at(475)..)).await,
        [475, 480, 510]
    );
    assert_eq!(read_all(&replay.clone().began(..at(60))).await, [55]);
    assert_eq!(
        read_all(&replay.clone().began(at(55)..=at(60))).await,
        [55, 60]
    );
    // An empty range is not an error, because the recording exists.
    assert_eq!(
        read_all(&replay.clone().began(at(2000)..at(2100))).await,
        [0; 0]
    );
    assert_eq!(
        read_all(&replay.began(SystemTime::UNIX_EPOCH..))
            .await
            .len(),
        24
    );
}

#[tokio::test]
async fn shares_are_disjoint_and_together_they_are_everything() {
    let place = TestBucket::new();
    for n in 0..40 {
        let exchanges = (n * 2..n * 2 + 2).map(|number| exchange(number, 10));
        place.put(&key("00", "a", n * 2), segment(exchanges)).await;
    }
    for of in [1, 3, 50] {
        let mut all = Vec::new();
        for index in 0..of {
            let share = S3::new(place.bucket()).share(index, of);
            let numbers = read_all(&share).await;
            assert!(numbers.is_sorted());
            assert_eq!(
                numbers,
                read_all(&share).await,
                "a share is always the same"
            );
            if of == 3 {
                assert!((8..72).contains(&numbers.len()), "{}", numbers.len());
            }
            all.extend(numbers);
        }
        all.sort_unstable();
        assert_eq!(all, (0..80).collect::<Vec<_>>());
    }
    for (index, of) in [(3, 3), (0, 0)] {
        let (numbers, errors) = read(&S3::new(place.bucket()).share(index, of)).await;
        assert!(numbers.is_empty());
        let expected = format!("invalid share {index} of {of}");
        assert!(errors[0].to_string().starts_with(&expected), "{errors:?}");
    }
}

#[tokio::test]
async fn an_empty_prefix_and_a_missing_bucket_are_errors() {
    let place = TestBucket::new();
    let (numbers, errors) = read(&S3::new(place.bucket())).await;
    assert!(numbers.is_empty());
    assert!(
        matches!(&errors[..], [StoreError::NotFound { .. }]),
        "{errors:?}"
    );
    let text = errors[0].to_string();
    assert!(
        text.contains(&format!("s3://{}/{}", place.name, place.prefix)),
        "{text}"
    );

    place.put("notes.txt", "notes").await;
    assert_eq!(read(&S3::new(place.bucket())).await.1.len(), 1);

    let missing = tower_traffic::store::Bucket::from("there-is-none")
        .endpoint(&place.endpoint)
        .region(&place.region)
        .credentials(&place.access_key, &place.secret_key);
    let (_, errors) = read(&S3::new(missing)).await;
    assert_eq!(problem(&errors[0]), S3Problem::NoSuchBucket);
    let (_, errors) = read(&S3::new("no bucket")).await;
    assert!(is_invalid_bucket(&errors[0]), "{errors:?}");
    assert_eq!(errors.len(), 1);
}

#[test]
fn a_replay_without_a_runtime_is_an_error() {
    let items: Vec<_> = futures::executor::block_on(S3::new("traffic").replay().collect());
    assert!(
        matches!(&items[..], [Err(StoreError::Other(_))]),
        "{items:?}"
    );
}

#[tokio::test]
async fn a_replay_makes_no_spool() {
    let place = TestBucket::new();
    place
        .put(&key("00", "a", 0), segment([exchange(0, 10)]))
        .await;
    let folder = tempfile::tempdir().unwrap();
    let spool = folder.path().join("spool");
    assert_eq!(read_all(&S3::new(place.bucket()).spool(&spool)).await, [0]);
    assert!(!spool.exists());
}

#[tokio::test]
async fn a_dropped_replay_fetches_no_more() {
    let place = TestBucket::new();
    for n in 0..30 {
        let exchanges = (0..100).map(|number| exchange(n * 100 + number, 1000));
        place
            .put(&key("00", "a", n * 100), segment(exchanges))
            .await;
    }
    let proxy = Faults::before(&place.endpoint, always(Fault::None));
    let store = S3::new(place.bucket_at(&proxy.url()));
    let mut replay = store.replay();
    assert_eq!(number(&soon(replay.next()).await.unwrap().unwrap()), 0);
    drop(replay);
    // A later replay shows that the first replay had enough time to continue.
    assert_eq!(read_all(&store).await.len(), 3000);
    assert!(proxy.count("GET") <= 2 + 5 + 30, "{}", proxy.count("GET"));
}
