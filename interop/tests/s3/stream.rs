//! S3 streams: uploads, retries, quarantine and recovery, with faults on the way.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures::future::join_all;
use http::{Request, Response};
use interop::faults::{Fault, Faults, always, first, first_of};
use interop::s3::{TestBucket, is_invalid_bucket, problem};
use support::stores::files;
use support::{Origin, all_kinds, all_requests, ask, assert_adds_up, get, random_bytes, soon};
use tempfile::TempDir;
use tokio::{runtime::Handle, time::timeout};
use tower::{Layer, Service};
use tower_traffic::{
    Exchange, RecordTraffic, StoreError,
    store::{Bucket, S3, S3Problem, Sink},
};

/// An address without a server.
const NOWHERE: &str = "http://127.0.0.1:1";
/// The time that a test waits for a hanging server.
const SHORT: Duration = Duration::from_millis(300);

struct Fixture {
    place: TestBucket,
    spool: TempDir,
}

impl Fixture {
    fn new() -> Self {
        Self {
            place: TestBucket::new(),
            spool: tempfile::tempdir().unwrap(),
        }
    }

    /// A new store, as after a start of the app.
    fn store(&self) -> S3 {
        self.store_at(&self.place.endpoint)
    }

    fn store_at(&self, endpoint: &str) -> S3 {
        S3::new(self.place.bucket_at(endpoint).answer_timeout(SHORT * 10)).spool(self.spool.path())
    }

    fn faults(&self, plan: impl FnMut(&http::request::Parts) -> Fault + Send + 'static) -> Faults {
        Faults::before(&self.place.endpoint, plan)
    }

    /// The numbers of all exchanges in the bucket. Fails for duplicates.
    async fn recorded(&self) -> BTreeSet<u64> {
        self.place.recorded().await.into_keys().collect()
    }

    async fn keys(&self) -> Vec<String> {
        self.place.objects().await.into_keys().collect()
    }
}

/// The files in the spool and in quarantine.
fn spooled(store: &S3) -> Vec<String> {
    let folder = store.spool_folder();
    let folders = [folder.clone(), folder.join("quarantine")];
    let folders = folders.iter().filter(|folder| folder.exists());
    folders.flat_map(|folder| names_in(folder)).collect()
}

fn names_in(folder: &Path) -> Vec<String> {
    let names = files(folder).into_iter().filter(|path| path.is_file());
    let names = names.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
    names.filter(|name| name.contains(".warc")).collect()
}

/// `GET /numbers/{number}`, answered with `size` bytes that do not compress.
fn exchange(number: u64, len: usize) -> Arc<Exchange> {
    Arc::new(Exchange::new(
        Request::get(format!("http://h/numbers/{number}"))
            .body(Bytes::new())
            .unwrap(),
        Response::new(random_bytes(len)),
    ))
}

async fn store(sink: &S3, numbers: impl IntoIterator<Item = u64>) {
    for number in numbers {
        sink.store(vec![exchange(number, 100)]).await.unwrap();
    }
}

async fn flush(sink: &S3) {
    soon(sink.flush()).await.unwrap();
}

/// Waits until a background task makes the condition true.
async fn until(mut is_so: impl FnMut() -> bool) {
    soon(async {
        while !is_so() {
            std::thread::sleep(Duration::from_millis(1));
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// The folder in the error of a flush that leaves segments in quarantine.
fn quarantine(error: &StoreError) -> &Path {
    match error {
        StoreError::Io {
            action: "upload the segments in quarantine",
            location,
            ..
        } => location.path(),
        error => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn every_exchange_is_in_the_bucket() {
    let fixture = Fixture::new();
    let store = fixture.store();
    let record = RecordTraffic::new(store.clone());
    let recorder = record.recorder();
    let app = record.layer(all_kinds());
    let requests = all_requests("http://h");
    let count = requests.len() as u64;
    for request in requests {
        ask(&app, request).await;
    }
    let stats = soon(recorder.flush()).await;
    assert_eq!((stats.stored, stats.dropped.total()), (count, 0));

    let keys = fixture.keys().await;
    let [key] = &keys[..] else { panic!("{keys:?}") };
    let rest = key.strip_prefix(&fixture.place.key("")).unwrap();
    let parts: Vec<_> = rest.split('/').collect();
    let [date, hour, name] = parts[..] else {
        panic!("{rest}")
    };
    assert!(date.starts_with("dt=20") && date.len() == 13, "{date}");
    assert!(hour.starts_with("hh=") && hour.len() == 5, "{hour}");
    assert!(name.ends_with("-0000000000.warc.gz"), "{name}");
    assert_eq!(spooled(&store), [""; 0]);
    let stats = store.stats();
    assert_eq!((stats.sealed, stats.uploaded), (1, 1));
    assert_eq!((stats.spooled, stats.spooled_bytes), (0, 0));

    // The uploaded segments can be replayed.
    let folder = tempfile::tempdir().unwrap();
    let content = &fixture.place.objects().await[key];
    assert_eq!(stats.uploaded_bytes, content.len() as u64);
    fs::write(folder.path().join(name), content).unwrap();
    assert_eq!(
        support::stores::replay_all(folder.path()).len() as u64,
        count
    );
}

#[test]
fn building_a_store_does_no_io() {
    // Without a runtime, and with an invalid bucket.
    let record = RecordTraffic::s3("not a bucket");
    let service = record.layer(Origin::saying("hello"));
    drop(service);

    let folder = tempfile::tempdir().unwrap();
    let store = S3::new("traffic").spool(folder.path().join("spool"));
    assert_eq!(store.stats().spooled, 0);
    drop(RecordTraffic::new(store));
    assert!(files(folder.path()).is_empty());
}

#[tokio::test]
async fn no_bucket_drops_and_counts() {
    let folder = tempfile::tempdir().unwrap();
    let errors: Arc<Mutex<Vec<String>>> = Arc::default();
    let reported = errors.clone();
    let record = RecordTraffic::new(S3::new("http://host/bucket").spool(folder.path()));
    let record = record.on_error(move |error| reported.lock().unwrap().push(error.to_string()));
    let recorder = record.recorder();
    let app = record.layer(Origin::saying("hello"));
    assert_eq!(ask(&app, get("/")).await.text(), "hello");
    let stats = soon(recorder.flush()).await;
    assert_eq!(stats.dropped.store_failed, 1);
    let errors = errors.lock().unwrap();
    assert!(
        errors[0].contains("invalid bucket \"http://host/bucket\": "),
        "{errors:?}"
    );
}

#[tokio::test]
async fn an_invalid_endpoint_is_an_immediate_error() {
    let folder = tempfile::tempdir().unwrap();
    let bucket = Bucket::from("traffic").endpoint("127.0.0.1:9000");
    let sink = S3::new(bucket).spool(folder.path());
    let error = sink.store(vec![exchange(0, 1)]).await.unwrap_err();
    assert!(is_invalid_bucket(&error), "{error}");
    assert!(files(folder.path()).is_empty());
}

#[test]
fn without_its_runtime_a_flush_fails() {
    for is_gone_before in [true, false] {
        let fixture = Fixture::new();
        let uploads = tokio::runtime::Runtime::new().unwrap();
        let sink = fixture.store().runtime(uploads.handle().clone());
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let mut uploads = Some(uploads);
        if is_gone_before {
            uploads.take();
        }
        runtime.block_on(store(&sink, 0..3));
        drop(uploads);
        let error = runtime.block_on(soon(sink.flush())).unwrap_err();
        assert!(error.to_string().contains("S3::runtime"), "{error}");
        assert_eq!(spooled(&sink).len(), 1);
        drop(sink);

        // The files stay for the next store.
        runtime.block_on(until_flushed(&fixture.store(), 1));
        assert_eq!(runtime.block_on(fixture.recorded()), (0..3).collect());
    }
}

#[tokio::test]
async fn puts_are_as_few_as_the_size_allows() {
    const SIZE: u64 = 100_000;
    let fixture = Fixture::new();
    let proxy = fixture.faults(always(Fault::None));
    let sink = fixture.store_at(&proxy.url()).max_segment_bytes(SIZE);
    for number in 0..200 {
        sink.store(vec![exchange(number, 4_000)]).await.unwrap();
    }
    flush(&sink).await;
    assert_eq!(fixture.recorded().await, (0..200).collect());
    let segments = fixture.place.objects().await;
    let bytes: u64 = segments.values().map(|packed| plain_len(packed)).sum();
    let puts = proxy.count("PUT") as u64;
    assert!(puts > 5, "{puts} PUTs");
    assert!(puts <= bytes.div_ceil(SIZE), "{puts} PUTs of {bytes} bytes");
    assert_eq!(proxy.seen().len() as u64, puts, "only PUTs are paid for");
    assert_eq!(sink.stats().uploaded, puts);
}

fn plain_len(packed: &[u8]) -> u64 {
    let plain = &mut flate2::read::MultiGzDecoder::new(packed);
    std::io::copy(plain, &mut std::io::sink()).unwrap()
}

/// Keeps a paused clock from advancing while a test waits for a socket.
struct Still(#[allow(dead_code)] std::sync::mpsc::Sender<()>);

fn still() -> Still {
    let (sender, receiver) = std::sync::mpsc::channel::<()>();
    tokio::task::spawn_blocking(move || receiver.recv());
    Still(sender)
}

#[tokio::test(start_paused = true)]
async fn a_segment_is_sealed_by_its_age() {
    let _still = still();
    let fixture = Fixture::new();
    let sink = fixture.store().runtime(Handle::current());
    store(&sink, 0..2).await;
    tokio::time::advance(Duration::from_secs(59)).await;
    store(&sink, 2..4).await;
    assert_eq!(sink.stats().sealed, 0);

    tokio::time::advance(Duration::from_millis(1_001)).await;
    until(|| sink.stats().uploaded == 1).await;
    assert_eq!(fixture.recorded().await, (0..4).collect());

    // The next segment has its own age.
    store(&sink, 4..5).await;
    tokio::time::advance(Duration::from_secs(59)).await;
    store(&sink, 5..6).await;
    assert_eq!(sink.stats().sealed, 1);
    tokio::time::advance(Duration::from_millis(1_001)).await;
    until(|| sink.stats().uploaded == 2).await;
    assert_eq!(fixture.recorded().await, (0..6).collect());
}

#[tokio::test(start_paused = true)]
async fn a_failed_upload_waits_longer_each_time() {
    let _still = still();
    let fixture = Fixture::new();
    let proxy = fixture.faults(always(Fault::Answer(503, "SlowDown")));
    let sink = fixture.store_at(&proxy.url()).max_segment_bytes(1);
    let sink = sink.runtime(Handle::current());
    store(&sink, 0..1).await;
    until(|| sink.stats().retried == 1).await;
    // 500 ms, doubled up to 60 s, each shortened by up to a half.
    for (n, whole) in [
        500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000,
    ]
    .into_iter()
    .enumerate()
    {
        let whole = Duration::from_millis(whole);
        let before = n as u64 + 1;
        tokio::time::advance((whole / 2).saturating_sub(Duration::from_millis(2))).await;
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        assert_eq!((n, sink.stats().retried), (n, before), "too early");
        tokio::time::advance(whole / 2 + Duration::from_millis(4)).await;
        until(|| sink.stats().retried == before + 1).await;
    }
    proxy.plan(always(Fault::None));
    flush(&sink).await;
    assert_eq!(fixture.recorded().await, [0].into());
}

#[tokio::test]
async fn segments_of_an_outage_are_sent_by_the_next_start() {
    let fixture = Fixture::new();
    let sink = fixture.store_at(NOWHERE).max_segment_bytes(1);
    store(&sink, 0..5).await;
    until(|| sink.stats().retried > 0).await;
    let waiting: BTreeSet<_> = spooled(&sink).iter().map(|name| object(name)).collect();
    assert_eq!(waiting.len(), 5, "{waiting:?}");
    drop(sink);

    let sink = fixture.store();
    // The former writer may need a moment to release its lock.
    until_flushed(&sink, 5).await;
    assert_eq!(sink.stats().recovered, 5);
    assert_eq!(fixture.recorded().await, (0..5).collect());
    assert_eq!(spooled(&sink), [""; 0]);
    // With the keys from the file names.
    let keys: BTreeSet<_> = fixture.keys().await.iter().map(|key| object(key)).collect();
    assert_eq!(keys, waiting);
    // The files of the dead writer are gone.
    drop(sink);
    let folder = fixture.spool.path();
    until(|| files(&files(folder)[0]).is_empty()).await;
}

/// `<writer>-<sequence>`, from a file name or a key.
fn object(name: &str) -> String {
    let object = name.rsplit(['/', '_']).next().unwrap();
    object.split('.').next().unwrap().to_owned()
}

/// The key of a file, without the prefix.
fn key(name: &str) -> String {
    let (hour, _) = name.split_once('_').unwrap();
    let (date, hour) = hour.split_once('T').unwrap();
    let (year, month, day) = (&date[..4], &date[4..6], &date[6..]);
    let object = object(name);
    format!("dt={year}-{month}-{day}/hh={hour}/{object}.warc.gz")
}

async fn until_flushed(sink: &S3, uploaded: u64) {
    soon(async {
        while sink.stats().uploaded < uploaded {
            sink.flush().await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_torn_end_is_cut_and_kept() {
    let fixture = Fixture::new();
    let sink = fixture.store_at(NOWHERE);
    store(&sink, 0..3).await;
    let folder = sink.spool_folder();
    let [name] = &names_in(&folder)[..] else {
        panic!()
    };
    let file = folder.join(name);
    drop(sink);
    // The beginning of another exchange.
    let whole = fs::read(&file).unwrap();
    let second = whole.len() - 300;
    let start = whole[..second]
        .windows(8)
        .rposition(|bytes| bytes == b"WARC/1.1")
        .unwrap();
    let torn = [&whole[..], &whole[start..start + 200]].concat();
    fs::write(&file, torn).unwrap();

    let sink = fixture.store();
    until_flushed(&sink, 1).await;
    assert_eq!(fixture.recorded().await, (0..3).collect());
    let [kept] = &spooled(&sink)[..] else {
        panic!()
    };
    assert!(kept.ends_with(".warc.torn"), "{kept}");
    assert!(!fs::read(folder.join(kept)).unwrap().is_empty());
}

#[tokio::test]
async fn a_spool_that_is_full_drops_and_counts() {
    let fixture = Fixture::new();
    let proxy = fixture.faults(always(Fault::Answer(500, "InternalError")));
    let sink = fixture
        .store_at(&proxy.url())
        .max_segment_bytes(10_000)
        .max_spool_bytes(100_000);
    let record = RecordTraffic::new(sink.clone()).store_timeout(SHORT);
    let recorder = record.recorder();
    let content = random_bytes(5_000);
    let origin = Origin::new(move |_| support::reply(200, support::full(content.clone())));
    let app = record.layer(origin);
    for number in 0..50 {
        let answer = ask(&app, get(format!("http://h/numbers/{number}"))).await;
        assert_eq!(answer.body.len(), 5_000);
        // One exchange at a time, so that each batch has one exchange.
        soon(recorder.flush()).await;
        if recorder.stats().dropped.store_failed > 2 {
            break;
        }
    }
    let stats = recorder.stats();
    assert_adds_up(&stats);
    assert!(
        stats.stored > 5 && stats.dropped.store_failed > 2,
        "{stats:?}"
    );
    assert!(sink.stats().spooled_bytes <= 100_000);
    let error = sink.store(vec![exchange(99, 5_000)]).await.unwrap_err();
    assert!(
        matches!(
            error,
            StoreError::Full {
                max_bytes: 100_000,
                ..
            }
        ),
        "{error}"
    );

    // Uploads make room again.
    proxy.plan(always(Fault::None));
    flush(&sink).await;
    assert_eq!(fixture.recorded().await.len() as u64, stats.stored);
    sink.store(vec![exchange(100, 5_000)]).await.unwrap();
    flush(&sink).await;
    assert!(fixture.recorded().await.contains(&100));
}

#[tokio::test]
async fn a_refusal_quarantines_and_heals() {
    let fixture = Fixture::new();
    let proxy = fixture.faults(always(Fault::Answer(403, "AccessDenied")));
    let reported: Arc<Mutex<Vec<S3Problem>>> = Arc::default();
    let hook = reported.clone();
    let sink = fixture
        .store_at(&proxy.url())
        .max_segment_bytes(1)
        .on_error(move |error| hook.lock().unwrap().push(problem(error)));
    store(&sink, 0..1).await;
    until(|| sink.stats().quarantined == 1).await;
    // During the refusal, other segments stay in the spool.
    store(&sink, 1..5).await;
    let error = soon(sink.flush()).await.unwrap_err();
    let folder = quarantine(&error);
    assert!(error.to_string().contains("AccessDenied"), "{error}");
    assert_eq!(folder, sink.spool_folder().join("quarantine"));
    let held = names_in(folder).len();
    assert!((1..=2).contains(&held), "{held}");
    // Wait for the compression: a listing may miss a file that is being renamed.
    let waiting = || -> BTreeSet<_> { spooled(&sink).iter().map(|name| object(name)).collect() };
    until(|| waiting().len() == 5).await;
    assert_eq!(reported.lock().unwrap()[0], S3Problem::Denied);
    assert_eq!(
        proxy.count("PUT"),
        2,
        "at first, and for the flush: {:?}",
        proxy.seen()
    );

    proxy.plan(always(Fault::None));
    flush_until_empty(&sink).await;
    assert_eq!(fixture.recorded().await, (0..5).collect());
    assert_eq!(sink.stats().quarantined, 0);
    flush(&sink).await;
}

async fn flush_until_empty(sink: &S3) {
    soon(async {
        while sink.stats().spooled > 0 {
            let _ = sink.flush().await;
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_bucket_that_refuses_is_tried_now_and_then() {
    let _still = still();
    let fixture = Fixture::new();
    let proxy = fixture.faults(always(Fault::Answer(404, "NoSuchBucket")));
    let sink = fixture.store_at(&proxy.url()).max_segment_bytes(1);
    let sink = sink.runtime(Handle::current());
    store(&sink, 0..1).await;
    until(|| sink.stats().quarantined == 1).await;
    store(&sink, 1..4).await;
    tokio::time::advance(Duration::from_millis(14_900)).await;
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    assert_eq!(proxy.count("PUT"), 1);
    tokio::time::advance(Duration::from_secs(16)).await;
    until(|| sink.stats().quarantined == 2).await;

    // A user creates the bucket.
    proxy.plan(always(Fault::None));
    tokio::time::advance(Duration::from_mins(1)).await;
    until(|| sink.stats().spooled == 0).await;
    assert_eq!(fixture.recorded().await, (0..4).collect());
}

#[tokio::test]
async fn quarantine_is_sent_again_by_the_next_start_and_by_hand() {
    let fixture = Fixture::new();
    let proxy = fixture.faults(always(Fault::Answer(403, "InvalidAccessKeyId")));
    let sink = fixture.store_at(&proxy.url()).max_segment_bytes(1);
    store(&sink, 0..1).await;
    until(|| sink.stats().quarantined == 1).await;
    drop(sink);

    let sink = fixture.store();
    until_flushed(&sink, 1).await;
    assert_eq!(fixture.recorded().await, [0].into());
    drop(sink);

    // A user moves the file back.
    let sink = fixture.store_at(&proxy.url()).max_segment_bytes(1);
    store(&sink, 1..2).await;
    until(|| sink.stats().quarantined == 1).await;
    let folder = sink.spool_folder();
    let [name] = &names_in(&folder.join("quarantine"))[..] else {
        panic!()
    };
    fs::rename(folder.join("quarantine").join(name), folder.join(name)).unwrap();
    proxy.plan(always(Fault::None));
    until_flushed(&sink, 1).await;
    assert_eq!(fixture.recorded().await, [0, 1].into());
    assert_eq!(sink.stats().quarantined, 0);
    assert_eq!((sink.stats().spooled, sink.stats().spooled_bytes), (0, 0));
}

#[tokio::test]
async fn a_segment_that_was_changed_in_quarantine_is_counted_as_it_is() {
    let fixture = Fixture::new();
    let proxy = fixture.faults(always(Fault::Answer(403, "AccessDenied")));
    let sink = fixture.store_at(&proxy.url()).max_segment_bytes(1);
    store(&sink, 0..1).await;
    until(|| sink.stats().quarantined == 1).await;
    let folder = sink.spool_folder();
    let name = &names_in(&folder.join("quarantine"))[0];
    let held = folder.join("quarantine").join(name);
    let mut content = fs::read(&held).unwrap();
    content.extend_from_slice(&random_bytes(10_000));
    fs::write(&held, content).unwrap();
    fs::rename(held, folder.join(name)).unwrap();
    proxy.plan(always(Fault::None));
    flush(&sink).await;
    let stats = sink.stats();
    assert_eq!((stats.uploaded, stats.spooled), (1, 0));
    assert_eq!(stats.spooled_bytes, 0);
}

#[tokio::test]
async fn a_deleted_segment_holds_up_no_other() {
    let fixture = Fixture::new();
    let proxy = fixture.faults(always(Fault::Answer(500, "InternalError")));
    let sink = fixture.store_at(&proxy.url()).max_segment_bytes(1);
    store(&sink, 0..5).await;
    until(|| {
        let names = names_in(&sink.spool_folder());
        names.len() == 5 && names.iter().all(|name| name.ends_with("warc.gz"))
    })
    .await;
    until(|| sink.stats().retried >= 3).await;
    // A user makes room.
    for name in names_in(&sink.spool_folder()) {
        fs::remove_file(sink.spool_folder().join(name)).unwrap();
    }
    proxy.plan(always(Fault::None));
    store(&sink, 5..6).await;
    flush(&sink).await;
    assert_eq!(fixture.recorded().await, [5].into());
    let stats = sink.stats();
    assert_eq!((stats.uploaded, stats.spooled), (1, 0));
    assert_eq!(stats.spooled_bytes, 0);
}

/// Replaces the file by a folder, so that reading fails. Returns the new path of the file.
fn make_unreadable(folder: &Path, name: &str) -> PathBuf {
    let kept = folder.join(name).with_extension("kept");
    fs::rename(folder.join(name), &kept).unwrap();
    fs::create_dir(folder.join(name)).unwrap();
    kept
}

fn make_readable(folder: &Path, name: &str, kept: &Path) {
    fs::remove_dir(folder.join(name)).unwrap();
    fs::rename(kept, folder.join(name)).unwrap();
}

#[tokio::test]
async fn segments_that_cannot_be_read_hold_up_no_upload() {
    let fixture = Fixture::new();
    let proxy = fixture.faults(always(Fault::Answer(500, "InternalError")));
    let sink = fixture.store_at(&proxy.url()).max_segment_bytes(1);
    store(&sink, 0..5).await;
    let folder = sink.spool_folder();
    until(|| {
        let names = names_in(&folder);
        names.len() == 5 && names.iter().all(|name| name.ends_with("warc.gz"))
    })
    .await;
    let names = names_in(&folder);
    let kept: Vec<_> = names
        .iter()
        .map(|name| make_unreadable(&folder, name))
        .collect();
    proxy.plan(always(Fault::None));
    store(&sink, 5..8).await;
    until(|| sink.stats().uploaded == 3).await;
    assert_eq!(fixture.recorded().await, (5..8).collect());
    assert_eq!(sink.stats().spooled, 5);

    for (name, kept) in names.iter().zip(&kept) {
        make_readable(&folder, name, kept);
    }
    flush(&sink).await;
    assert_eq!(fixture.recorded().await, (0..8).collect());
    assert_eq!(spooled(&sink), [""; 0]);
}

#[tokio::test]
async fn segments_that_cannot_be_packed_hold_up_no_upload() {
    let fixture = Fixture::new();
    let sink = fixture.store();
    store(&sink, 0..1).await;
    let folder = sink.spool_folder();
    let [name] = &names_in(&folder)[..] else {
        panic!()
    };
    let kept = make_unreadable(&folder, name);
    let waits = timeout(SHORT, sink.flush()).await;
    assert!(waits.is_err(), "{waits:?}");
    store(&sink, 1..3).await;
    let waits = timeout(SHORT, sink.flush()).await;
    assert!(waits.is_err(), "{waits:?}");
    until(|| sink.stats().uploaded == 1).await;
    assert_eq!(fixture.recorded().await, (1..3).collect());

    make_readable(&folder, name, &kept);
    flush(&sink).await;
    assert_eq!(fixture.recorded().await, (0..3).collect());
    assert_eq!((sink.stats().spooled, sink.stats().spooled_bytes), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_segment_that_was_deleted_in_quarantine_is_forgotten() {
    let _still = still();
    let fixture = Fixture::new();
    let proxy = fixture.faults(always(Fault::Answer(403, "AccessDenied")));
    let sink = fixture.store_at(&proxy.url()).max_segment_bytes(1);
    let sink = sink.runtime(Handle::current());
    store(&sink, 0..1).await;
    until(|| sink.stats().quarantined == 1).await;
    let folder = sink.spool_folder().join("quarantine");
    for name in names_in(&folder) {
        fs::remove_file(folder.join(name)).unwrap();
    }
    // At the next attempt.
    tokio::time::advance(Duration::from_secs(31)).await;
    until(|| sink.stats().spooled == 0).await;
    let stats = sink.stats();
    assert_eq!((stats.quarantined, stats.spooled_bytes), (0, 0));
    proxy.plan(always(Fault::None));
    store(&sink, 1..2).await;
    tokio::time::advance(Duration::from_mins(11)).await;
    until(|| sink.stats().uploaded == 1).await;
    flush(&sink).await;
    assert_eq!(fixture.recorded().await, [1].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn flushes_count_no_segment_twice() {
    const SEGMENTS: u64 = 300;
    let fixture = Fixture::new();
    let proxy = fixture.faults(always(Fault::Answer(503, "SlowDown")));
    let sink = fixture.store_at(&proxy.url()).max_segment_bytes(1);
    store(&sink, 0..SEGMENTS).await;
    proxy.plan(always(Fault::None));
    join_all((0..8).map(|_| {
        let sink = sink.clone();
        tokio::spawn(async move {
            while sink.stats().uploaded < SEGMENTS {
                tokio::select! {
                    _ = sink.flush() => {}
                    () = tokio::time::sleep(Duration::from_millis(5)) => {}
                }
            }
        })
    }))
    .await;
    flush(&sink).await;
    let stats = sink.stats();
    assert_eq!((stats.recovered, stats.uploaded), (0, SEGMENTS));
    assert_eq!((stats.spooled, stats.spooled_bytes), (0, 0));
    assert_eq!(fixture.recorded().await, (0..SEGMENTS).collect());
}

#[tokio::test]
async fn a_foreign_object_is_not_replaced() {
    let fixture = Fixture::new();
    let sink = fixture.store_at(NOWHERE).max_segment_bytes(1);
    store(&sink, 0..3).await;
    until(|| sink.stats().retried > 0).await;
    let folder = sink.spool_folder();
    drop(sink);
    // Compression has ended, or at least the name is known.
    let mut names = names_in(&folder);
    names.sort_by_key(|name| object(name));
    names.dedup_by_key(|name| object(name));
    let rest = key(&names[1]);
    fixture.place.put(&rest, "somebody else's").await;

    let sink = fixture.store();
    soon(async {
        while sink.stats().uploaded < 2 || sink.stats().quarantined < 1 {
            let _ = sink.flush().await;
        }
    })
    .await;
    let error = soon(sink.flush()).await.unwrap_err();
    quarantine(&error);
    let objects = fixture.place.objects().await;
    assert_eq!(objects.len(), 3);
    assert_eq!(objects[&fixture.place.key(&rest)], "somebody else's");
    assert_eq!(spooled(&sink).len(), 1);

    // The segment does not block other segments.
    store(&sink, 3..4).await;
    soon(sink.flush()).await.unwrap_err();
    assert_eq!(sink.stats().uploaded, 3);
}

#[tokio::test]
async fn an_existing_object_is_not_replaced_by_the_first_attempt() {
    let fixture = Fixture::new();
    if !fixture.place.knows_conditions().await {
        return;
    }
    let sink = fixture.store();
    store(&sink, 0..1).await;
    let rest = key(&spooled(&sink)[0]);
    fixture.place.put(&rest, "somebody else's").await;
    let error = soon(sink.flush()).await.unwrap_err();
    quarantine(&error);
    let objects = fixture.place.objects().await;
    assert_eq!(objects[&fixture.place.key(&rest)], "somebody else's");
    assert_eq!(spooled(&sink).len(), 1);
}

#[tokio::test]
async fn an_attempt_that_got_through_unseen_is_confirmed() {
    for fault in [Fault::CutAnswer, Fault::SwallowAnswer] {
        let fixture = Fixture::new();
        let proxy = fixture.faults(first([fault]));
        let bucket = fixture.place.bucket_at(&proxy.url()).answer_timeout(SHORT);
        let sink = S3::new(bucket).spool(fixture.spool.path());
        store(&sink, 0..3).await;
        flush(&sink).await;
        assert_eq!(fixture.recorded().await, (0..3).collect());
        assert_eq!(fixture.keys().await.len(), 1);
        assert_eq!(spooled(&sink), [""; 0]);
        assert_eq!(sink.stats().uploaded, 1);
        assert!(proxy.count("HEAD") > 0, "it was looked at");
    }
}

#[tokio::test]
async fn each_fault_is_survived() {
    for fault in [
        Fault::SwallowRequest,
        Fault::SwallowAnswer,
        Fault::CutRequest,
        Fault::CutAnswer,
        Fault::Answer(500, "InternalError"),
        Fault::Answer(503, "SlowDown"),
        Fault::Answer(503, "ServiceUnavailable"),
        Fault::Answer(429, "TooManyRequests"),
        Fault::Answer(409, "ConditionalRequestConflict"),
        Fault::Answer(400, "RequestTimeout"),
        Fault::Answer(502, ""),
    ] {
        let fixture = Fixture::new();
        let proxy = fixture.faults(first([fault, fault]));
        let bucket = fixture.place.bucket_at(&proxy.url()).answer_timeout(SHORT);
        let sink = S3::new(bucket).spool(fixture.spool.path());
        store(&sink, 0..3).await;
        flush(&sink).await;
        assert_eq!(fixture.recorded().await, (0..3).collect(), "{fault:?}");
        assert_eq!(spooled(&sink), [""; 0], "{fault:?}");
        let stats = sink.stats();
        assert!(stats.retried >= 1, "{fault:?}: {stats:?}");
        assert_eq!(stats.quarantined, 0, "{fault:?}");
    }
}

#[tokio::test]
async fn a_412_for_a_missing_object_does_not_confirm() {
    let fixture = Fixture::new();
    let proxy = fixture.faults(first_of("PUT", [Fault::Answer(412, "PreconditionFailed")]));
    let sink = fixture.store_at(&proxy.url());
    store(&sink, 0..3).await;
    flush_until_empty(&sink).await;
    assert_eq!(fixture.recorded().await, (0..3).collect());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_exchange_is_lost_or_duplicated_under_faults() {
    let fixture = Fixture::new();
    // Every third request has a fault, from a fixed sequence.
    let mut random = fastrand::Rng::with_seed(7);
    let proxy = fixture.faults(move |_| match random.u8(..18) {
        0 => Fault::Answer(500, "InternalError"),
        1 => Fault::CutAnswer,
        2 => Fault::SwallowRequest,
        3 => Fault::Answer(503, "SlowDown"),
        4 => Fault::SwallowAnswer,
        5 => Fault::CutRequest,
        _ => Fault::None,
    });
    let bucket = fixture.place.bucket_at(&proxy.url()).answer_timeout(SHORT);
    let sink = S3::new(bucket)
        .spool(fixture.spool.path())
        .max_segment_bytes(20_000);
    let record = RecordTraffic::new(sink.clone());
    let recorder = record.recorder();
    let app = record.layer(Origin::new(|request| {
        support::reply(200, support::full(request.uri().path().to_owned()))
    }));
    let clients = (0..4).map(|client| {
        let app = app.clone();
        async move {
            for number in (client..1_000).step_by(4) {
                let path = format!("/numbers/{number}");
                let answer = ask(&app, get(format!("http://h{path}"))).await;
                assert_eq!((answer.status, answer.text()), (200, path));
                // Pauses make batches of a few exchanges.
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
    join_all(clients).await;
    soon(recorder.flush()).await;
    flush_until_empty(&sink).await;
    let stats = recorder.stats();
    assert_eq!((stats.stored, stats.dropped.total()), (1_000, 0));
    assert_eq!(fixture.recorded().await, (0..1_000).collect());
    let segments = sink.stats();
    assert_eq!(segments.uploaded, fixture.keys().await.len() as u64);
    assert!(
        segments.retried > 5 && segments.uploaded > 10,
        "{segments:?}"
    );
}

#[tokio::test]
async fn an_endpoint_that_vanishes_is_found_again() {
    let fixture = Fixture::new();
    let proxy = fixture.faults(always(Fault::None));
    let addr = proxy.addr;
    let sink = fixture.store_at(&proxy.url()).max_segment_bytes(1);
    store(&sink, 0..1).await;
    until(|| sink.stats().uploaded == 1).await;
    drop(proxy);
    until(|| std::net::TcpStream::connect(addr).is_err()).await;
    store(&sink, 1..3).await;
    until(|| sink.stats().retried > 1).await;
    drop(sink);

    let sink = fixture.store();
    until_flushed(&sink, 2).await;
    assert_eq!(fixture.recorded().await, (0..3).collect());
}

#[tokio::test]
async fn large_segments_go_up_in_parts() {
    for (fault, retries) in [
        (None, false),
        (Some(("POST", Fault::Answer(500, "InternalError"))), false),
        (Some(("PUT", Fault::CutRequest)), false),
        (Some(("PUT", Fault::Answer(403, "AccessDenied"))), true),
    ] {
        let fixture = Fixture::new();
        let proxy = fixture.faults(always(Fault::None));
        if let Some((method, fault)) = fault {
            proxy.plan(first_of(method, [fault]));
        }
        let sink = fixture.store_at(&proxy.url()).part_size(5 << 20);
        sink.store((0..3).map(|n| exchange(n, 4 << 20)).collect())
            .await
            .unwrap();
        if retries {
            soon(sink.flush()).await.unwrap_err();
            assert_eq!(proxy.count("DELETE"), 1, "what was begun is given up");
        }
        flush_until_empty(&sink).await;
        assert_eq!(fixture.recorded().await, (0..3).collect());
        assert!(proxy.count("PUT") >= 3, "{:?}", proxy.seen());
        let stats = sink.stats();
        assert_eq!((stats.uploaded, stats.quarantined), (1, 0));
    }
}

#[tokio::test]
async fn a_completion_whose_answer_was_lost_is_confirmed() {
    let fixture = Fixture::new();
    let mut posts = 0;
    let proxy = fixture.faults(move |parts| {
        posts += u32::from(parts.method == "POST");
        // The first request begins the upload.
        if parts.method == "POST" && posts == 2 {
            Fault::CutAnswer
        } else {
            Fault::None
        }
    });
    let sink = fixture.store_at(&proxy.url()).part_size(5 << 20);
    sink.store((0..3).map(|n| exchange(n, 2 << 20)).collect())
        .await
        .unwrap();
    flush(&sink).await;
    assert_eq!(fixture.recorded().await, (0..3).collect());
    assert_eq!(fixture.keys().await.len(), 1);
    assert_eq!(sink.stats().quarantined, 0);
}

#[tokio::test]
async fn processes_with_one_spool_leave_each_others_files_alone() {
    let fixture = Fixture::new();
    let first = fixture.store_at(NOWHERE);
    store(&first, 0..3).await;
    let second = fixture.store();
    store(&second, 3..6).await;
    flush(&second).await;
    assert_eq!(fixture.recorded().await, (3..6).collect());
    assert_eq!(second.stats().recovered, 0);

    // Segments of another prefix stay too.
    let elsewhere = S3::new(fixture.place.bucket_at(NOWHERE)).spool(fixture.spool.path());
    assert_eq!(elsewhere.spool_folder(), first.spool_folder());
    let elsewhere = S3::new(Bucket::from("another").endpoint(NOWHERE)).spool(fixture.spool.path());
    assert_ne!(elsewhere.spool_folder(), first.spool_folder());

    // A segment is adopted when its writer is dead.
    drop(first);
    until_flushed(&second, 2).await;
    assert_eq!(fixture.recorded().await, (0..6).collect());
}

#[tokio::test]
async fn an_error_names_its_cause() {
    let fixture = Fixture::new();
    for (fault, expected) in [
        (
            Fault::Answer(403, "RequestTimeTooSkewed"),
            S3Problem::ClockSkew,
        ),
        (
            Fault::Answer(301, "PermanentRedirect"),
            S3Problem::WrongRegion,
        ),
        (Fault::Answer(404, "NoSuchBucket"), S3Problem::NoSuchBucket),
        (
            Fault::Answer(403, "SignatureDoesNotMatch"),
            S3Problem::Denied,
        ),
        (Fault::Answer(400, "InvalidArgument"), S3Problem::Refused),
    ] {
        let proxy = fixture.faults(always(fault));
        assert_eq!(
            refused(fixture.place.bucket_at(&proxy.url())).await,
            expected
        );
    }
    let wrong_key = fixture.place.bucket().credentials("nobody", "nothing");
    assert_eq!(refused(wrong_key).await, S3Problem::Denied);
    let wrong_secret = fixture.place.bucket();
    let wrong_secret = wrong_secret.credentials(&fixture.place.access_key, "wrong");
    assert_eq!(refused(wrong_secret).await, S3Problem::Denied);
}

async fn refused(bucket: Bucket) -> S3Problem {
    let spool = tempfile::tempdir().unwrap();
    let reported = Arc::new(Mutex::new(None));
    let hook = reported.clone();
    let sink = S3::new(bucket)
        .spool(spool.path())
        .on_error(move |error| *hook.lock().unwrap() = Some(problem(error)));
    store(&sink, 0..1).await;
    soon(sink.flush()).await.unwrap_err();
    until(|| reported.lock().unwrap().is_some()).await;
    reported.lock().unwrap().unwrap()
}

#[test]
fn the_last_drop_uploads_also_without_a_runtime() {
    let fixture = Fixture::new();
    let record = RecordTraffic::new(fixture.store());
    let mut app = record.layer(Origin::saying("hello"));
    drop(record);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        for number in 0..3 {
            let request = get(format!("http://h/numbers/{number}"));
            let response = app.call(request).await.unwrap();
            support::read(response).await;
        }
    });
    drop(runtime);
    drop(app);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert_eq!(runtime.block_on(fixture.recorded()), (0..3).collect());
}

#[tokio::test]
async fn the_last_drop_does_not_wait_for_an_outage() {
    let fixture = Fixture::new();
    let proxy = fixture.faults(always(Fault::SwallowRequest));
    let sink = fixture.store_at(&proxy.url());
    let folder = sink.spool_folder();
    let record = RecordTraffic::new(sink).drain_timeout(SHORT);
    let app = record.layer(Origin::saying("hello"));
    ask(&app, get("http://h/numbers/7")).await;
    drop((record, app));
    let names = names_in(&folder);
    assert_eq!(names.len(), 1, "{names:?}");

    let sink = fixture.store();
    until_flushed(&sink, 1).await;
    assert_eq!(fixture.recorded().await, [7].into());
}
