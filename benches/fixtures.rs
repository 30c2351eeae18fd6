//! A folder of 1,000 entries: opening the folder, and a hit through `ReplayCache`.
//!
//! ```text
//! cargo bench --bench fixtures
//! ```

use std::{convert::Infallible, hint::black_box};

use bytes::Bytes;
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use futures::{FutureExt, future::ready};
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::runtime::{Builder, Runtime};
use tower::{ServiceBuilder, ServiceExt, service_fn};
use tower_traffic::{
    Exchange, OnMiss, ReplayCache,
    store::{DiskCache, Memory, Sink, Source, Which},
};

const ENTRIES: usize = 1000;

type Answer = Result<Response<Full<Bytes>>, Infallible>;

fn entry(number: usize) -> Exchange {
    let mut response = Response::new(Bytes::from(format!(
        r#"{{"id":{number},"name":"bob","email":"bob@example.com","roles":["admin","user"]}}"#
    )));
    let length = response.body().len();
    let headers = response.headers_mut();
    headers.insert("content-type", "application/json".parse().expect("a value"));
    headers.insert("content-length", length.into());
    Exchange::new(get(number).map(|_| Bytes::new()), response)
}

fn get(number: usize) -> Request<Full<Bytes>> {
    Request::get(format!("http://api.example.com/users/{number}"))
        .header("accept", "application/json")
        .body(Full::default())
        .expect("a request")
}

async fn ask(cache: ReplayCache, number: usize) -> Bytes {
    let never = service_fn(|_| ready(Answer::Ok(Response::default())));
    let service = ServiceBuilder::new().layer(cache).service(never);
    let response = service.oneshot(get(number)).await.expect("an answer");
    let body = response.into_body().collect().await.expect("a body");
    body.to_bytes()
}

fn fixtures(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let all: Vec<_> = (0..ENTRIES).map(|n| entry(n).into()).collect();
    runtime
        .block_on(DiskCache::new(folder.path()).store(all))
        .expect("stored");
    let mut group = c.benchmark_group("fixtures");

    group.bench_function("open 1,000 entries", |b| {
        b.to_async(&runtime).iter(|| async {
            let cache = DiskCache::open(folder.path()).await.expect("a folder");
            black_box(cache)
        });
    });

    let mut hit = |name: &str, cache: ReplayCache| hit(&mut group, &runtime, name, &cache);
    hit(
        "a hit through ReplayCache",
        ReplayCache::disk(folder.path()).on_miss(OnMiss::Refuse),
    );
    let memory: Memory = (0..ENTRIES).map(entry).collect();
    hit("the same from memory", ReplayCache::memory(&memory));

    // The parts of a hit: the look-up without a thread hop, and the thread hop.
    let cache = DiskCache::new(folder.path());
    let key = cache.matching().key(&entry(1).request);
    group.bench_function("the look-up alone", |b| {
        b.iter(|| cache.find(key, Which::Latest).now_or_never());
    });
    group.bench_function("an empty spawn_blocking", |b| {
        b.to_async(&runtime)
            .iter(|| async { tokio::task::spawn_blocking(|| ()).await });
    });
    group.finish();
}

fn hit(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    runtime: &Runtime,
    name: &str,
    cache: &ReplayCache,
) {
    let mut number = 0;
    group.bench_function(name, |b| {
        b.to_async(runtime).iter_batched(
            || {
                number = (number + 7) % ENTRIES;
                (cache.clone(), number)
            },
            |(cache, number)| async move {
                let body = ask(cache, number).await;
                assert!(!body.is_empty());
            },
            BatchSize::SmallInput,
        );
    });
}

criterion_group!(benches, fixtures);
criterion_main!(benches);
