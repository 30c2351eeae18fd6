//! Cost of a recording's size: opening a folder, and a look-up.
//!
//! ```text
//! cargo bench --bench recordings
//! ```

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tower_traffic::{
    Exchange,
    store::{Disk, MatchKey, Sink, Source, Which},
};

const SMALL: usize = 100;
const LARGE: usize = 100_000;

fn exchange(number: usize) -> Exchange {
    Exchange::new(
        Request::get(format!("/users/{number}"))
            .header("host", "127.0.0.1:3000")
            .header("accept", "*/*")
            .body(Bytes::new())
            .expect("a request"),
        Response::builder()
            .header("content-type", "application/json")
            .body(Bytes::from(vec![b'x'; 1024]))
            .expect("a response"),
    )
}

fn record(runtime: &Runtime, count: usize) -> TempDir {
    let folder = TempDir::new().expect("a folder");
    let disk = Disk::new(folder.path());
    for start in (0..count).step_by(1_000) {
        let batch = (start..count.min(start + 1_000))
            .map(exchange)
            .map(Arc::new)
            .collect();
        runtime.block_on(disk.store(batch)).expect("stored");
    }
    folder
}

fn open(runtime: &Runtime, folder: &Path) -> Disk {
    runtime.block_on(Disk::open(folder)).expect("opened")
}

fn find(runtime: &Runtime, disk: &Disk, key: MatchKey) {
    let found = runtime
        .block_on(disk.find(key, Which::Latest))
        .expect("read");
    assert!(found.is_some());
}

fn recordings(c: &mut Criterion) {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut group = c.benchmark_group("recordings");
    group
        .sample_size(10)
        .measurement_time(Duration::from_secs(10));
    for count in [SMALL, LARGE] {
        let folder = record(&runtime, count);
        group.bench_function(BenchmarkId::new("open", count), |b| {
            b.iter(|| open(&runtime, folder.path()));
        });
        let disk = open(&runtime, folder.path());
        let keys: Vec<_> = (0..count)
            .map(|n| disk.matching().key(&exchange(n).request))
            .collect();
        let mut number = 0;
        group.bench_function(BenchmarkId::new("look up", count), |b| {
            b.iter(|| {
                number = (number + 7_919) % count;
                find(&runtime, &disk, keys[number]);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, recordings);
criterion_main!(benches);
