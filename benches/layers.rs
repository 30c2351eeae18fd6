//! What a layer costs a request, in process, over a bare service that answers 1 KiB.
//!
//! ```text
//! cargo bench --bench layers
//! ```
//!
//! Every figure is the time of a whole call: make the request, call the service, read the response's
//! body to its end. A layer's cost is its figure less that of `bare`.

use std::{
    convert::Infallible,
    hint::black_box,
    time::{Duration, Instant},
};

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use http::{Request, Response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, Service, service_fn};
use tower_traffic::{Exchange, RecordTraffic, Recorder, ReplayCache, store::Memory};

static KIBIBYTE: [u8; 1024] = [b'x'; 1024];

fn request() -> Request<Full<Bytes>> {
    Request::get("/users/1?page=2")
        .header("host", "127.0.0.1:3000")
        .header("user-agent", "bench")
        .header("accept", "*/*")
        .body(Full::default())
        .expect("a request")
}

fn response() -> Response<Full<Bytes>> {
    Response::builder()
        .header("content-type", "application/json")
        .header("content-length", "1024")
        .body(Full::from(&KIBIBYTE[..]))
        .expect("a response")
}

async fn answer<B>(_: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(response())
}

/// One call, as a server makes it.
async fn call<S, B>(service: &mut S)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes, Error = Infallible>,
{
    let Ok(response) = service.call(request()).await;
    let mut body = std::pin::pin!(response.into_body());
    while let Some(Ok(frame)) = body.frame().await {
        black_box(frame.into_data().ok());
    }
}

async fn calls<S, B>(service: &mut S, count: u64) -> Duration
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes, Error = Infallible>,
{
    let start = Instant::now();
    for _ in 0..count {
        call(service).await;
    }
    start.elapsed()
}

/// Calls in rounds that the recorder can hold, and between them, off the clock, waits for the writer
/// and empties the memory: nothing is dropped, and memory does not grow with the number of calls.
async fn calls_recorded<S, B>(
    service: &mut S,
    recorder: &Recorder,
    memory: &Memory,
    count: u64,
) -> Duration
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes, Error = Infallible>,
{
    const ROUND: u64 = 1_000;
    let mut left = count;
    let mut time = Duration::ZERO;
    while left > 0 {
        let round = left.min(ROUND);
        time += calls(service, round).await;
        left -= round;
        let stats = recorder.flush().await;
        assert_eq!(stats.dropped.total(), 0, "{stats:?}");
        memory.clear();
    }
    time
}

fn runtime() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime")
}

fn layers(c: &mut Criterion) {
    let runtime = runtime();
    let mut group = c.benchmark_group("layers");
    group.measurement_time(Duration::from_secs(5));

    group.bench_function("bare", |b| {
        let mut service = service_fn(answer);
        b.iter_custom(|count| runtime.block_on(calls(&mut service, count)));
    });

    group.bench_function("record, filter says no", |b| {
        let mut service = RecordTraffic::memory()
            .filter(|_| false)
            .layer(service_fn(answer));
        b.iter_custom(|count| runtime.block_on(calls(&mut service, count)));
    });

    group.bench_function("record into memory", |b| {
        let memory = Memory::new();
        let record = RecordTraffic::to(memory.clone());
        let recorder = record.recorder();
        let mut service = record.layer(service_fn(answer));
        b.iter_custom(|count| {
            runtime.block_on(calls_recorded(&mut service, &recorder, &memory, count))
        });
    });

    group.bench_function("replay from memory, hit", |b| {
        let memory = Memory::from_iter([Exchange::new(
            request().map(|_| Bytes::new()),
            response().map(|_| Bytes::from_static(&KIBIBYTE)),
        )]);
        let mut service = ReplayCache::memory(memory).layer(service_fn(answer));
        b.iter_custom(|count| runtime.block_on(calls(&mut service, count)));
    });
    group.finish();
}

criterion_group!(benches, layers);
criterion_main!(benches);
