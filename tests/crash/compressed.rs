//! A process that writes a compressed recording is killed: content of the recording afterwards, and
//! concurrent reads.
#![cfg(unix)]

use std::{
    collections::HashSet,
    env, fs,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
    sync::OnceLock,
    thread,
    time::{Duration, Instant},
};

use support::stores::{exchange_of, files, find, record, replay, replay_all, report};
use tower_traffic::{
    Exchange,
    store::{Compression, Disk},
};

const ROUNDS: usize = 8;
const FOLDER: &str = "TOWER_TRAFFIC_FOLDER";
const FORM: &str = "TOWER_TRAFFIC_FORM";
const RUN: &str = "TOWER_TRAFFIC_RUN";
const BATCH: usize = 10;

/// Bodies of different sizes and compressibility, so that a kill can hit a write.
fn nth(run: usize, n: usize) -> Exchange {
    let body = match n % 32 {
        0 => n.to_be_bytes().repeat(8 << 10),
        8 => [&n.to_be_bytes(), noise()].concat(),
        _ => format!("{{\"id\":{n},\"name\":\"bob\"}}").into_bytes(),
    };
    exchange_of(&format!("{run}/{n}"), body)
}

fn noise() -> &'static [u8] {
    static NOISE: OnceLock<Vec<u8>> = OnceLock::new();
    NOISE.get_or_init(|| {
        let mut state = 1_u32;
        let words = (0..256 << 10).flat_map(|_| {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state.to_be_bytes()
        });
        words.collect()
    })
}

/// The process that is killed; not a test.
#[test]
#[ignore = "started by the others"]
fn writes_until_it_is_killed() {
    let Some(folder) = env::var_os(FOLDER) else {
        return;
    };
    let compression = match env::var(FORM).unwrap().as_str() {
        "gzip" => Compression::Gzip,
        _ => Compression::Zstd,
    };
    let run = env::var(RUN).unwrap().parse().unwrap();
    let disk = Disk::new(folder)
        .compress(compression)
        .max_segment_bytes(4 << 20);
    for first in (0..).step_by(BATCH) {
        let batch: Vec<_> = (first..first + BATCH).map(|n| nth(run, n)).collect();
        record(&disk, batch);
        println!("\nstored {}", first + BATCH);
        std::io::stdout().flush().unwrap();
    }
}

struct Writer {
    child: Child,
    lines: BufReader<ChildStdout>,
    stored: usize,
}

impl Writer {
    fn start(folder: &Path, form: &str, run: usize) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "compressed::writes_until_it_is_killed",
                "--ignored",
            ])
            .arg("--nocapture")
            .env(FOLDER, folder)
            .env(FORM, form)
            .env(RUN, run.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let stored = 0;
        Self {
            child,
            lines,
            stored,
        }
    }

    /// Waits until `count` exchanges are stored, or the process has ended.
    fn await_stored(&mut self, count: usize) {
        let mut line = String::new();
        while self.stored < count && self.lines.read_line(&mut line).unwrap() > 0 {
            if line.ends_with('\n')
                && let Some(stored) = line.trim().strip_prefix("stored ")
            {
                self.stored = stored.parse().unwrap();
            }
            line.clear();
        }
    }

    /// Kills the process (`kill -9`). Returns the number of confirmed exchanges.
    fn kill(mut self) -> usize {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.await_stored(usize::MAX);
        self.stored
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for the middle of a write, if possible.
fn await_write(folder: &Path) {
    let size = || -> u64 {
        let files = files(folder);
        files
            .iter()
            .map(|file| fs::metadata(file).unwrap().len())
            .sum()
    };
    let start = Instant::now();
    let mut before = size();
    while start.elapsed() < Duration::from_secs(3) {
        let now = size();
        if now > before + (8 << 10) {
            return;
        }
        before = now;
    }
}

#[test]
fn a_gzip_recording_survives_a_kill() {
    survives_kills("gzip");
}

#[test]
fn a_zstd_recording_survives_a_kill() {
    survives_kills("zstd");
}

fn survives_kills(form: &str) {
    let folder = tempfile::tempdir().unwrap();
    let mut torn = 0;
    let mut recorded = 0;
    let mut known = HashSet::new();
    for run in 0..ROUNDS {
        let mut writer = Writer::start(folder.path(), form, run);
        // One writer reaches its second file, which begins with a dictionary.
        writer.await_stored(if run == 2 { 600 } else { 30 });
        if run % 4 == 3 {
            thread::sleep(Duration::from_millis(run as u64));
        } else {
            await_write(folder.path());
        }
        let stored = writer.kill();
        assert!(stored >= 30, "it ended by itself");

        // Only the new files: reading all files in each round takes too long.
        let alone = tempfile::TempDir::new_in(folder.path().parent().unwrap()).unwrap();
        for file in files(folder.path()) {
            if known.insert(file.clone()) {
                fs::hard_link(&file, alone.path().join(file.file_name().unwrap())).unwrap();
            }
        }
        let found = report(alone.path());
        assert!(found.skipped.is_empty(), "run {run}: {found:?}");
        assert!(found.repairs.len() <= 1, "run {run}: {found:?}");
        for repair in &found.repairs {
            assert!(repair.cut, "{repair:?}");
            assert_eq!(fs::metadata(&repair.file).unwrap().len(), repair.offset);
        }
        torn += found.repairs.len();
        let exchanges = replay_all(alone.path());
        assert_eq!(found.exchanges, exchanges.len());
        let count = exchanges.len();
        // A batch may be stored without a confirmation.
        assert!(
            (stored..stored + 2 * BATCH).contains(&count),
            "run {run}: {stored} were stored, {count} are there"
        );
        let disk = Disk::new(alone.path());
        for (n, exchange) in exchanges.iter().enumerate() {
            let expected = nth(run, n);
            assert_eq!(exchange.request.uri, expected.request.uri);
            assert_eq!(exchange.response, expected.response, "run {run}: {n}");
            if n % 7 == 0 || n + 20 > count {
                assert_eq!(find(&disk, exchange).unwrap().as_ref(), Some(exchange));
            }
        }
        recorded += count;
    }
    let found = report(folder.path());
    assert_eq!(found.exchanges, recorded);
    assert!(found.skipped.is_empty() && found.repairs.is_empty());
    println!("{form}: {torn} torn tails, {recorded} exchanges");
}

#[test]
fn a_reader_of_an_open_file_sees_complete_exchanges() {
    for form in ["gzip", "zstd"] {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = Writer::start(folder.path(), form, 0);
        writer.await_stored(BATCH);
        let read = || {
            let mut before = 0;
            for _ in 0..6 {
                let disk = Disk::new(folder.path());
                let (exchanges, errors) = replay(&disk);
                assert!(errors.is_empty(), "{errors:?}");
                assert!(exchanges.len() >= before);
                before = exchanges.len();
                let (n, last) = (before - 1, &exchanges[before - 1]);
                assert_eq!(last.response, nth(0, n).response);
                assert_eq!(find(&disk, last).unwrap().as_ref(), Some(last));
                let found = report(folder.path());
                assert!(found.skipped.is_empty() && found.repairs.is_empty());
            }
        };
        thread::scope(|scope| {
            scope.spawn(read);
            scope.spawn(read);
            writer.await_stored(700);
        });
        let stored = writer.kill();
        report(folder.path());
        assert!(replay_all(folder.path()).len() >= stored);
    }
}
