//! A process that records into S3 is killed during writes, compression and uploads, and started
//! again: the bucket has each stored exchange once.
#![cfg(unix)]

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response};
use interop::faults::{Fault, Faults, always};
use interop::s3::TestBucket;
use tower_traffic::{
    Exchange,
    store::{Bucket, S3, Sink},
};

/// The time after which a process is considered hanging.
const PATIENCE: Duration = Duration::from_mins(1);
/// The size of a batch.
const BATCH: u64 = 5;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_loses_no_stored_exchange() {
    let kills = env::var("TOWER_TRAFFIC_KILLS").map_or(12, |kills| kills.parse().unwrap());
    let place = TestBucket::new();
    let spool = tempfile::tempdir().unwrap();
    let proxy = Faults::before(&place.endpoint, always(Fault::None));
    let mut next = 0;
    // Numbers of batches without a confirmation when the process was killed.
    let mut unknown = Vec::new();
    let mut in_uploads = 0;
    for round in 0..kills {
        // The upload in progress is lost, or only its response is, or neither.
        let fault = [Fault::SwallowRequest, Fault::SwallowAnswer, Fault::None][round % 3];
        proxy.plan(always(Fault::None));
        let before = proxy.seen().len();
        let mut recorder = Recorder::start(&place, &proxy, spool.path(), next);
        recorder.stored_at_least(next + 40 * BATCH);
        proxy.plan(move |parts| {
            if parts.method == "PUT" {
                fault
            } else {
                Fault::None
            }
        });
        let puts = proxy.count("PUT");
        if round % 3 < 2 {
            await_that(|| proxy.count("PUT") > puts);
            in_uploads += 1;
        } else {
            // During a write, a compression or an upload.
            thread::sleep(Duration::from_micros(fastrand::u64(..20_000)));
        }
        let known = recorder.kill();
        next = known + BATCH;
        unknown.extend(known..next);
        assert!(proxy.seen().len() > before, "nothing was uploaded");
    }

    let store = store(&place.bucket(), spool.path());
    let start = Instant::now();
    store.flush().await.unwrap();
    while store.stats().spooled > 0 {
        assert!(start.elapsed() < PATIENCE, "{:?}", store.stats());
        store.flush().await.unwrap();
    }
    let recorded = place.recorded().await;
    for number in (0..next).filter(|number| !unknown.contains(number)) {
        assert!(recorded.contains_key(&number), "{number} is lost");
    }
    for (number, exchange) in &recorded {
        assert!(*number < next, "{number} was never stored");
        let body = exchange.response.as_ref().unwrap().body.to_bytes();
        assert_eq!(body, content(*number));
    }
    let _ = writeln!(
        io::stderr(),
        "{kills} kills, {in_uploads} in an upload: {} recorded, {} known to be stored, {:?}",
        recorded.len(),
        next - unknown.len() as u64,
        store.stats()
    );
}

/// A process that stores continuously. Killed when dropped.
struct Recorder {
    child: Child,
    /// The number after the last stored one.
    next: Arc<AtomicU64>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Recorder {
    fn start(place: &TestBucket, proxy: &Faults, spool: &Path, first: u64) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "recorder", "--ignored", "--nocapture"])
            .env("RECORDER_FIRST", first.to_string())
            .env(
                "RECORDER_BUCKET",
                format!("s3://{}/{}", place.name, place.prefix),
            )
            .env("RECORDER_SPOOL", spool)
            .env("AWS_ENDPOINT_URL", proxy.url())
            .env("AWS_REGION", &place.region)
            .env("AWS_ACCESS_KEY_ID", &place.access_key)
            .env("AWS_SECRET_ACCESS_KEY", &place.secret_key)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let next = Arc::new(AtomicU64::new(first));
        let seen = next.clone();
        let reader = thread::spawn(move || {
            for line in lines {
                let line = line.unwrap();
                if let Some(number) = line.strip_prefix("stored up to ") {
                    seen.store(number.parse().unwrap(), Ordering::SeqCst);
                }
            }
        });
        Self {
            child,
            next,
            reader: Some(reader),
        }
    }

    fn stored_at_least(&self, number: u64) {
        await_that(|| self.next.load(Ordering::SeqCst) >= number);
    }

    /// Kills the process (`kill -9`). Returns the number after the last confirmed one.
    fn kill(&mut self) -> u64 {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
        self.next.load(Ordering::SeqCst)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn await_that(is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "this hangs");
        thread::sleep(Duration::from_millis(1));
    }
}

fn store(bucket: &Bucket, spool: &Path) -> S3 {
    S3::new(bucket).spool(spool).max_segment_bytes(20_000)
}

fn content(number: u64) -> Bytes {
    number.to_be_bytes().repeat(100).into()
}

/// The process that is killed; not a test.
#[tokio::test]
#[ignore = "the process that a test here starts and kills"]
async fn recorder() {
    let var = |name| env::var(name).unwrap();
    let bucket = Bucket::from(var("RECORDER_BUCKET"));
    let store = store(&bucket, Path::new(&var("RECORDER_SPOOL")));
    let mut first: u64 = var("RECORDER_FIRST").parse().unwrap();
    loop {
        let exchanges = (first..first + BATCH).map(|number| {
            let request = Request::get(format!("http://h/numbers/{number}"));
            Arc::new(Exchange::new(
                request.body(Bytes::new()).unwrap(),
                Response::new(content(number)),
            ))
        });
        store.store(exchanges.collect()).await.unwrap();
        first += BATCH;
        println!("stored up to {first}");
        // Slow enough for the uploads.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}
