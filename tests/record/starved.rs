//! A process without file descriptors: its recorder cannot start, and starts later.
#![cfg(unix)]

use std::{
    fs::File,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use support::{Origin, Paper, ask, assert_adds_up, get, soon};
use tokio::time::sleep;
use tower::Layer;
use tower_traffic::{DebugDump, OnMiss, RecordTraffic, Recorder, ReplayCache, store::Memory};

/// Set in the process with few descriptors.
const IS_STARVED: &str = "TOWER_TRAFFIC_STARVED";

/// Runs the test `name` again in a process with few descriptors. Returns whether this is that
/// process.
fn is_starved(name: &str) -> bool {
    if std::env::var_os(IS_STARVED).is_some() {
        return true;
    }
    let test = std::env::current_exe().expect("a path");
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 40 && exec \"$0\" \"$@\""])
        .arg(test)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(IS_STARVED, "1")
        .output()
        .expect("sh");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains("1 passed"), "{printed}");
    false
}

/// Takes all descriptors that are left.
fn take_all() -> Vec<File> {
    std::iter::from_fn(|| File::open("/dev/null").ok()).collect()
}

/// Sends requests until one is stored; returns the number of requests.
async fn until_stored(recorder: &Recorder, mut request: impl AsyncFnMut()) {
    soon(async {
        while recorder.flush().await.stored == 0 {
            request().await;
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_recorder_that_cannot_start_counts_failures_and_tries_again() {
    if !is_starved("starved::a_recorder_that_cannot_start_counts_failures_and_tries_again") {
        return;
    }
    let errors = Arc::new(AtomicUsize::new(0));
    let count = errors.clone();
    let memory = Memory::new();
    let record = RecordTraffic::memory(&memory).on_error(move |error| {
        assert!(error.to_string().contains("cannot start"), "{error}");
        count.fetch_add(1, Ordering::Relaxed);
    });
    let recorder = record.recorder();
    let service = record.layer(Origin::saying("fine"));
    let taken = take_all();
    for _ in 0..20 {
        assert_eq!(ask(&service, get("/lost")).await.text(), "fine");
    }
    let lost = recorder.flush().await;
    assert_eq!(
        (lost.served, lost.dropped.store_failed),
        (20, 20),
        "{lost:?}"
    );
    assert_adds_up(&lost);
    // One attempt, not one for each request.
    let attempts = errors.load(Ordering::Relaxed);
    assert!((1..20).contains(&attempts), "{attempts}");

    drop(taken);
    until_stored(&recorder, async || drop(ask(&service, get("/kept")).await)).await;
    let stats = recorder.flush().await;
    assert_adds_up(&stats);
    assert_eq!(stats.dropped.shut_down, 0, "{stats:?}");
    assert!(
        stats.dropped.store_failed >= 20 && stats.stored > 0,
        "{stats:?}"
    );
}

#[tokio::test]
async fn a_cache_that_cannot_start_its_recorder_passes_requests_and_records_later() {
    if !is_starved(
        "starved::a_cache_that_cannot_start_its_recorder_passes_requests_and_records_later",
    ) {
        return;
    }
    let errors = Arc::new(AtomicUsize::new(0));
    let count = errors.clone();
    let cache = ReplayCache::memory(&Memory::new())
        .on_miss(OnMiss::Record)
        .on_error(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
    let recorder = cache.recorder();
    let origin = Origin::saying("fine");
    let service = cache.layer(origin.clone());
    let taken = take_all();
    for _ in 0..5 {
        assert_eq!(soon(ask(&service, get("/a"))).await.text(), "fine");
    }
    assert_eq!(origin.calls(), 5);
    let lost = recorder.flush().await;
    assert_eq!(lost.dropped.store_failed, 5, "{lost:?}");
    assert!(errors.load(Ordering::Relaxed) > 0);

    drop(taken);
    until_stored(&recorder, async || drop(ask(&service, get("/a")).await)).await;
    let calls = origin.calls();
    assert_eq!(ask(&service, get("/a")).await.text(), "fine");
    assert_eq!(origin.calls(), calls);
}

#[tokio::test]
async fn a_printer_that_cannot_start_counts_messages_and_tries_again() {
    if !is_starved("starved::a_printer_that_cannot_start_counts_messages_and_tries_again") {
        return;
    }
    let paper = Paper::default();
    let dump = DebugDump::new(paper.clone());
    let printer = dump.printer();
    let service = dump.layer(Origin::saying("fine"));
    let taken = take_all();
    for _ in 0..3 {
        ask(&service, get("/lost")).await;
    }
    printer.flush().await;
    assert_eq!(printer.not_printed(), 6);
    drop(taken);
    soon(async {
        while !paper.text().contains("/kept") {
            ask(&service, get("/kept")).await;
            printer.flush().await;
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert!(!paper.text().contains("/lost"));
}
