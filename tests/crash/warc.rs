//! An app that records is killed or shut down under load: content of the recording afterwards.
#![cfg(unix)]

use std::{
    collections::HashSet,
    env, fs,
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::TryStreamExt;
use http::StatusCode;
use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command as AsyncCommand},
    sync::watch,
    task::JoinSet,
    time::timeout,
};
use tower_traffic::{
    Exchange, ExchangeEnd,
    store::{Disk, FolderReport, Replay},
};

/// Number of concurrent clients.
const CLIENTS: usize = 8;
/// Number of answers before an app is killed or shut down.
const ENOUGH: usize = 150;
/// The time after which an app is considered hanging.
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_loses_at_most_the_queue() {
    let kills = env::var("TOWER_TRAFFIC_KILLS").map_or(100, |kills| kills.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let numbers = Arc::new(AtomicU64::new(0));
    let mut files = HashSet::new();
    let mut recorded = HashSet::new();
    let mut torn = 0;
    let mut stored = 0;

    for round in 0..kills {
        let mut app = App::start(folder.path()).await;
        let load = Load::start(&app.url, &numbers);
        load.answered(ENOUGH).await;
        let known = app.stored().await;
        if round % 2 == 0 {
            // In the middle of a write, if possible; in every second round at a random time.
            await_growth(folder.path(), &files);
        }
        app.kill().await;
        load.end().await;

        let (exchanges, report) = read_new(folder.path(), &mut files).await;
        torn += report.repairs.len();
        stored += known;
        assert!(
            exchanges.len() as u64 >= known,
            "round {round}: {known} were stored, {} are there",
            exchanges.len()
        );
        for exchange in &exchanges {
            let number = checked(exchange);
            assert!(number < numbers.load(Ordering::Relaxed), "never asked for");
            assert!(recorded.insert(number), "{number} is there twice");
        }
    }

    let report = Disk::open(folder.path())
        .await
        .unwrap()
        .report()
        .await
        .unwrap();
    assert_eq!(report.exchanges, recorded.len());
    assert_eq!(report.segments, files.len());
    assert_undamaged(&report);
    assert!(stored > 0, "nothing was stored before a kill: no test");
    // Written past the captured output, so that every log shows the numbers.
    let _ = writeln!(
        io::stderr(),
        "{kills} kills: {torn} torn tails, {} of {} requests recorded, {stored} known to be stored",
        recorded.len(),
        numbers.load(Ordering::Relaxed),
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_leaves_everything_on_disk() {
    everything_is_on_disk_after("TERM").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigint_leaves_everything_on_disk() {
    everything_is_on_disk_after("INT").await;
}

async fn everything_is_on_disk_after(signal: &str) {
    let folder = tempfile::tempdir().unwrap();
    let app = App::start(folder.path()).await;
    let load = Load::start(&app.url, &Arc::default());
    // A request that takes a second: it began before the shutdown, and must complete.
    let mut events = reqwest::get(format!("{}/sse", app.url)).await.unwrap();
    let first = events.chunk().await.unwrap();
    load.answered(ENOUGH).await;

    app.signal(signal);
    let answered = load.end().await;
    let rest = events.bytes().await.unwrap();
    let (status, last_line) = app.exit().await;

    assert_eq!(status.code(), Some(0));
    let (exchanges, report) = read_new(folder.path(), &mut HashSet::new()).await;
    assert_undamaged(&report);
    let count = exchanges.len();
    assert_eq!(last_line, format!("recorded {count} of {count} exchanges"));

    let (streams, others): (Vec<_>, Vec<_>) = exchanges
        .iter()
        .partition(|exchange| exchange.request.uri == "/sse");
    let [stream] = streams[..] else {
        panic!("{} event streams are there", streams.len())
    };
    let seen = [first.unwrap(), rest].concat();
    assert_eq!(stream.end(), ExchangeEnd::Complete);
    assert_eq!(stream.response.as_ref().unwrap().body.to_bytes(), seen);
    assert!(seen.ends_with(b"data: event 9\n\n"));

    let recorded: HashSet<_> = others.iter().map(|exchange| number(exchange)).collect();
    assert_eq!(recorded.len(), others.len(), "some are there twice");
    for number in answered {
        assert!(recorded.contains(&number), "{number} was answered and lost");
    }
}

/// The app of `examples/axum_app.rs`. Killed and reaped when dropped.
struct App {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    url: String,
    /// A separate client with an open connection, so that the kill is fast.
    client: reqwest::Client,
}

impl App {
    async fn start(folder: &Path) -> Self {
        let mut child = AsyncCommand::new(executable())
            .env("PORT", "0")
            .env("RECORD", folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let mut app = Self {
            child,
            lines: BufReader::new(stdout).lines(),
            url: String::new(),
            client: reqwest::Client::new(),
        };
        let line = app.lines.next_line().await.unwrap().unwrap();
        let url = line.strip_prefix("try: curl ");
        let url = url.and_then(|url| url.strip_suffix("/users/1"));
        url.unwrap().clone_into(&mut app.url);
        assert_eq!(app.stored().await, 0);
        app
    }

    /// Number of exchanges stored so far.
    async fn stored(&self) -> u64 {
        let request = self.client.get(format!("{}/stats", self.url));
        let answer = request.send().await.unwrap();
        let stats: Value = answer.json().await.unwrap();
        let count = |value: &Value| value.as_u64().unwrap();
        let stored = count(&stats["stored"]);
        let dropped: u64 = stats["dropped"]
            .as_object()
            .unwrap()
            .values()
            .map(count)
            .sum();
        let queued = count(&stats["queued"]);
        assert_eq!(count(&stats["served"]), stored + dropped + queued);
        assert_eq!(dropped, 0, "the queue is too small for this load");
        stored
    }

    /// Kills the process (`kill -9`).
    async fn kill(&mut self) {
        self.child.kill().await.unwrap();
    }

    fn signal(&self, signal: &str) {
        let kill = format!("kill -{signal} {}", self.child.id().unwrap());
        let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the exit. Also returns the last line that the app printed.
    async fn exit(mut self) -> (ExitStatus, String) {
        let status = timeout(PATIENCE, self.child.wait()).await;
        let mut last = String::new();
        while let Some(line) = self.lines.next_line().await.unwrap() {
            last = line;
        }
        (status.expect("the app hangs").unwrap(), last)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.child.start_kill();
        while let Ok(None) = self.child.try_wait() {
            thread::yield_now();
        }
    }
}

/// The executable of the example, with the profile of this test.
fn executable() -> &'static Path {
    static EXECUTABLE: OnceLock<PathBuf> = OnceLock::new();
    EXECUTABLE.get_or_init(|| {
        // target/<profile>/deps/crash-<hash>
        let test = env::current_exe().unwrap();
        let profile = test.ancestors().nth(2).unwrap();
        // `cargo test` builds the examples, but `cargo test --test crash` does not, so that the
        // executable may be outdated.
        let mut build = Command::new(env!("CARGO"));
        build.args([
            "build",
            "--quiet",
            "--workspace",
            "--all-features",
            "--example",
            "axum_app",
            "--profile",
        ]);
        build.arg(match profile.file_name().unwrap().to_str().unwrap() {
            "debug" => "dev",
            profile => profile,
        });
        assert!(build.status().unwrap().success());
        profile.join("examples/axum_app")
    })
}

/// Clients that send requests continuously, each with its own number in the path, until the server
/// is gone.
struct Load {
    clients: JoinSet<Vec<u64>>,
    answers: watch::Receiver<usize>,
}

impl Load {
    fn start(url: &str, numbers: &Arc<AtomicU64>) -> Self {
        let client = reqwest::Client::new();
        let (sender, answers) = watch::channel(0);
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let (client, url) = (client.clone(), url.to_owned());
            let (numbers, sender) = (numbers.clone(), sender.clone());
            clients.spawn(async move {
                let mut answered = Vec::new();
                loop {
                    let number = numbers.fetch_add(1, Ordering::Relaxed);
                    let Ok(body) = ask(&client, &url, number).await else {
                        return answered;
                    };
                    assert_eq!(body, answer(number), "to request {number}");
                    answered.push(number);
                    sender.send_modify(|answers| *answers += 1);
                }
            });
        }
        Self { clients, answers }
    }

    /// Waits for `count` answers.
    async fn answered(&self, count: usize) {
        let mut answers = self.answers.clone();
        let reached = answers.wait_for(|answers| *answers >= count).await;
        reached.expect("the app answers");
    }

    /// Waits until the server is gone. Returns the answered numbers.
    async fn end(self) -> Vec<u64> {
        self.clients.join_all().await.concat()
    }
}

async fn ask(client: &reqwest::Client, url: &str, number: u64) -> reqwest::Result<Bytes> {
    let request = if is_large(number) {
        let request = client.post(format!("{url}/echo?number={number}"));
        request.body(answer(number))
    } else {
        client.get(format!("{url}/users/{number}"))
    };
    let response = request.send().await?.error_for_status()?;
    response.bytes().await
}

/// Bodies of different sizes, so that a kill can hit a write.
fn is_large(number: u64) -> bool {
    number.is_multiple_of(16)
}

fn answer(number: u64) -> Bytes {
    if is_large(number) {
        number.to_be_bytes().repeat(8 << 10).into()
    } else {
        format!("{{\"id\":{number},\"name\":\"bob\"}}").into()
    }
}

/// The number in the path or in the query.
fn number(exchange: &Exchange) -> u64 {
    let uri = exchange.request.uri.to_string();
    let (_, number) = uri.rsplit_once(['/', '=']).unwrap();
    number.parse().unwrap()
}

/// The number of an exchange, after checking its content.
fn checked(exchange: &Exchange) -> u64 {
    let number = number(exchange);
    let response = exchange.response.as_ref().unwrap();
    assert_eq!(exchange.end(), ExchangeEnd::Complete);
    assert_eq!(response.status, StatusCode::OK);
    assert_eq!(response.body.to_bytes(), answer(number));
    if is_large(number) {
        assert_eq!(exchange.request.body.to_bytes(), answer(number));
    }
    number
}

fn segments(folder: &Path) -> HashSet<PathBuf> {
    let files = fs::read_dir(folder).into_iter().flatten();
    files.map(|file| file.unwrap().path()).collect()
}

/// Waits until a new file is being written.
fn await_growth(folder: &Path, known: &HashSet<PathBuf>) {
    let size = || -> u64 {
        let files = segments(folder);
        let new = files.difference(known);
        new.map(|file| fs::metadata(file).unwrap().len()).sum()
    };
    let (before, start) = (size(), Instant::now());
    while size() == before {
        assert!(start.elapsed() < PATIENCE, "nothing is recorded");
    }
}

/// Opens and reads only the new files: reading all files after each round takes too long.
async fn read_new(folder: &Path, known: &mut HashSet<PathBuf>) -> (Vec<Exchange>, FolderReport) {
    // On the same file system for hard links, but outside of the recording.
    let alone = TempDir::new_in(folder.parent().unwrap()).unwrap();
    for file in segments(folder) {
        if known.insert(file.clone()) {
            fs::hard_link(&file, alone.path().join(file.file_name().unwrap())).unwrap();
        }
    }
    let disk = Disk::open(alone.path()).await.unwrap();
    let report = disk.report().await.unwrap();
    assert!(report.skipped.is_empty(), "{:?}", report.skipped);
    assert!(report.repairs.len() <= 1, "{:?}", report.repairs);
    for repair in &report.repairs {
        assert!(repair.cut, "{repair:?}");
        assert_eq!(fs::metadata(&repair.file).unwrap().len(), repair.offset);
    }
    let exchanges: Vec<_> = disk.replay().try_collect().await.unwrap();
    assert_eq!(exchanges.len(), report.exchanges);
    (exchanges, report)
}

fn assert_undamaged(report: &FolderReport) {
    assert!(report.repairs.is_empty(), "{:?}", report.repairs);
    assert!(report.skipped.is_empty(), "{:?}", report.skipped);
}
