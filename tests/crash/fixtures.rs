//! Processes that record misses into one folder of fixtures, killed repeatedly: concurrent reads,
//! and the content of the folder afterwards.
#![cfg(unix)]

use std::{
    convert::Infallible,
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{self, Child, Command, Stdio},
    thread,
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use futures::{StreamExt, executor::block_on, stream};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use support::stores::{files, find, record, replay};
use tower::{Layer, ServiceExt, service_fn};
use tower_traffic::{Exchange, OnMiss, ReplayCache, replay::RequestBody, store::DiskCache};

const TEST: &str = "fixtures::processes_that_are_killed_leave_whole_entries";
const FOLDER: &str = "FIXTURES_CRASH_FOLDER";
/// The number of new entries before the next kill.
const ENOUGH: usize = 15;
/// The time after which a writer is considered hanging.
const PATIENCE: Duration = Duration::from_mins(1);

#[test]
fn processes_that_are_killed_leave_whole_entries() {
    if let Some(folder) = env::var_os(FOLDER) {
        record_misses(&PathBuf::from(folder));
    }
    let kills = env::var("TOWER_TRAFFIC_KILLS").map_or(10, |kills| kills.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut writers = [Writer::start(folder), Writer::start(folder)];
    for round in 0..kills {
        let wanted = entries(folder) + ENOUGH;
        let start = Instant::now();
        while entries(folder) < wanted {
            assert!(start.elapsed() < PATIENCE, "nothing is recorded");
            for writer in &mut writers {
                assert_eq!(writer.0.try_wait().unwrap(), None);
            }
            thread::sleep(Duration::from_millis(1));
        }
        // The other writer continues, together with the next one.
        let writer = &mut writers[round % 2];
        if round % 2 == 0 {
            // In the middle of a write, if possible; in every second round at a random time.
            let before = leftovers(folder);
            while leftovers(folder) == before {
                assert!(start.elapsed() < PATIENCE, "nothing is recorded");
            }
        }
        writer.kill();
        assert_whole(folder);
        *writer = Writer::start(folder);
    }
    drop(writers);
    let read = assert_whole(folder);

    let left = leftovers(folder);
    // Written past the captured output, so that every log shows the numbers.
    let _ = writeln!(
        io::stderr(),
        "{kills} kills: {} entries, {} leftovers",
        read.len(),
        left.len()
    );
    // Longer than a live writer keeps a temporary folder.
    for leftover in left {
        let long_ago = SystemTime::now() - Duration::from_hours(2);
        let leftover = fs::File::open(leftover).unwrap();
        leftover.set_modified(long_ago).unwrap();
    }
    let cache = DiskCache::new(folder);
    record(&cache, read);
    assert_eq!(leftovers(folder), Vec::<PathBuf>::new());
    for entry in files(&folder.join("no-host")) {
        for entry in files(&entry) {
            let count = files(&entry).len();
            assert!(count <= 3, "{}: {count} files", entry.display());
        }
    }
}

/// Opens the folder and reads all entries.
fn assert_whole(folder: &Path) -> Vec<Exchange> {
    let cache = block_on(DiskCache::open(folder)).unwrap();
    let report = block_on(cache.report()).unwrap();
    assert!(report.skipped.is_empty(), "{report}");
    assert_eq!((report.others, report.hidden), (0, 0), "{report}");
    let (read, errors) = replay(&cache);
    assert!(errors.is_empty(), "{errors:?}");
    read.iter().for_each(assert_answers);
    let found = read.iter().filter_map(|it| find(&cache, it).unwrap());
    // Entries written after the opening are found after the next opening.
    assert_eq!(found.inspect(assert_answers).count(), report.exchanges);
    read
}

/// Whether header section and body are from one writer and for this request.
fn assert_answers(exchange: &Exchange) {
    let response = exchange.response.as_ref().unwrap();
    let writer = response.headers.get("x-writer").unwrap();
    let writer = str::from_utf8(writer).unwrap().parse().unwrap();
    let n = exchange.request.uri.path()[1..].parse().unwrap();
    assert!(response.body.to_bytes() == answer(writer, n), "{n}");
}

/// A text for even numbers, and a binary body for odd ones.
fn answer(writer: u32, n: usize) -> Bytes {
    let mut body = format!("{writer} answers {n}\n").repeat(2000).into_bytes();
    if n % 2 == 1 {
        body.resize(body.len() + 20_000, 0xff);
    }
    body.into()
}

fn record_misses(folder: &Path) -> ! {
    let writer = process::id();
    let origin = service_fn(
        move |request: Request<RequestBody<Full<Bytes>>>| async move {
            let n = request.uri().path()[1..].parse().unwrap();
            let response = Response::builder().header("x-writer", writer);
            let body = Full::new(answer(writer, n));
            Ok::<_, Infallible>(response.body(body).unwrap())
        },
    );
    let layer = ReplayCache::disk(folder).on_miss(OnMiss::Record);
    let cache = layer.layer(origin);
    let all = stream::iter(0..).for_each_concurrent(4, |n: usize| {
        let (cache, layer) = (cache.clone(), &layer);
        async move {
            let request = Request::get(format!("/{n}")).body(Full::default()).unwrap();
            let response = cache.oneshot(request).await.unwrap();
            let writer = response.headers()["x-writer"].to_str().unwrap().to_owned();
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert!(body == answer(writer.parse().unwrap(), n), "{n}");
            // Otherwise the numbers run ahead of the stored entries.
            layer.recorder().flush().await;
        }
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(all);
    unreachable!("it is killed")
}

/// A process that records. Killed and reaped when dropped.
struct Writer(Child);

impl Writer {
    fn start(folder: &Path) -> Self {
        let mut writer = Command::new(env::current_exe().unwrap());
        writer.args(["--exact", TEST]).env(FOLDER, folder);
        Self(writer.stdout(Stdio::null()).spawn().unwrap())
    }

    /// Kills the process (`kill -9`).
    fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn entries(folder: &Path) -> usize {
    fs::read_dir(folder.join("no-host")).map_or(0, Iterator::count)
}

/// The temporary folders of writers.
fn leftovers(folder: &Path) -> Vec<PathBuf> {
    let mut files = files(folder);
    files.retain(|file| file.file_name().unwrap().as_encoded_bytes()[0] == b'.');
    files
}
