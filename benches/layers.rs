//! What a layer costs a request, in process, over a bare service that answers 1 KiB.
//!
//! ```text
//! cargo bench --bench layers
//! ```
//!
//! Every figure is the time of a whole call: call the service, read the response's body to its end. A
//! layer's cost is its figure less that of `bare`.
//!
//! At the end the same are called in turn, round after round, and what is printed is the median of
//! the differences: on a machine whose speed drifts, only what was measured side by side compares.

use std::{
    convert::Infallible,
    env,
    hint::black_box,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use criterion::Criterion;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, Service, ServiceBuilder, service_fn};
use tower_http::{map_request_body::MapRequestBodyLayer, map_response_body::MapResponseBodyLayer};
use tower_traffic::{Exchange, RecordTraffic, Recorder, ReplayCache, ReportLatency, store::Memory};

/// How many requests are made at a time, off the clock.
const ROUND: u64 = 1_000;

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

/// A body in another, as small as can be.
struct Wrapped<B>(B);

impl<B: Body + Unpin> Body for Wrapped<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.0).poll_frame(cx)
    }
}

async fn answer<B>(_: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(response())
}

/// One call, as a server makes it.
async fn call<S, B>(service: &mut S, request: Request<Full<Bytes>>)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes, Error = Infallible>,
{
    let Ok(response) = service.call(request).await;
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
    let mut left = count;
    let mut time = Duration::ZERO;
    while left > 0 {
        let round = left.min(ROUND);
        let requests: Vec<_> = (0..round).map(|_| request()).collect();
        let start = Instant::now();
        for request in requests {
            call(service, request).await;
        }
        time += start.elapsed();
        left -= round;
    }
    time
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

fn filtered() -> RecordTraffic {
    RecordTraffic::memory().filter(|_| false)
}

fn replayed() -> ReplayCache {
    ReplayCache::memory(Memory::from_iter([Exchange::new(
        request().map(|_| Bytes::new()),
        response().map(|_| Bytes::from_static(&KIBIBYTE)),
    )]))
}

fn reporting() -> ReportLatency {
    ReportLatency::to(|latency| {
        black_box(latency);
    })
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
        let mut service = filtered().layer(service_fn(answer));
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
        let mut service = replayed().layer(service_fn(answer));
        b.iter_custom(|count| runtime.block_on(calls(&mut service, count)));
    });

    group.bench_function("report latency, no-op", |b| {
        let mut service = reporting().layer(service_fn(answer));
        b.iter_custom(|count| runtime.block_on(calls(&mut service, count)));
    });
    group.finish();
}

/// What each layer costs over `bare`, measured in turn.
fn in_turn() {
    const ROUNDS: usize = 301;
    const CALLS: u32 = 1_000;
    let runtime = runtime();
    let mut bare = service_fn(answer);
    // What it costs to give both bodies another type, with a layer that does nothing else.
    let mut wrapped = ServiceBuilder::new()
        .layer(MapRequestBodyLayer::new(Wrapped))
        .layer(MapResponseBodyLayer::new(Wrapped))
        .service(service_fn(answer));
    let mut filtered = filtered().layer(service_fn(answer));
    let memory = Memory::new();
    let record = RecordTraffic::to(memory.clone());
    let recorder = record.recorder();
    let mut recording = record.layer(service_fn(answer));
    let mut replayed = replayed().layer(service_fn(answer));

    let mut reporting = reporting().layer(service_fn(answer));

    // What it costs to read the clock as often as it must be.
    let mut clocked = service_fn(async |request: Request<Full<Bytes>>| {
        for _ in 0..3 {
            black_box(tokio::time::Instant::now());
        }
        answer(request).await
    });

    let mut costs = [const { Vec::new() }; 6];
    for _ in 0..ROUNDS {
        let times = runtime.block_on(async {
            [
                calls(&mut bare, CALLS.into()).await,
                calls(&mut filtered, CALLS.into()).await,
                calls_recorded(&mut recording, &recorder, &memory, CALLS.into()).await,
                calls(&mut replayed, CALLS.into()).await,
                calls(&mut wrapped, CALLS.into()).await,
                calls(&mut reporting, CALLS.into()).await,
                calls(&mut clocked, CALLS.into()).await,
            ]
        });
        let nanos = times.map(|time| time.as_secs_f64() * 1e9 / f64::from(CALLS));
        costs[0].push(nanos[1] - nanos[0]);
        costs[1].push(nanos[2] - nanos[0]);
        costs[2].push(nanos[3]);
        costs[3].push(nanos[4] - nanos[0]);
        costs[4].push(nanos[5] - nanos[0]);
        costs[5].push(nanos[6] - nanos[0]);
    }
    let [no, yes, hit, wrap, report, clock] = costs.map(|mut costs| {
        costs.sort_by(f64::total_cmp);
        costs[ROUNDS / 2]
    });
    println!("in turn, medians of {ROUNDS} rounds of {CALLS} calls:");
    println!("  bodies wrapped, no more: {wrap:+.0} ns over bare");
    println!("  record, filter says no:  {no:+.0} ns over bare");
    println!("  record into memory:      {yes:+.0} ns over bare");
    println!("  replay from memory:      {hit:.0} ns in all");
    println!("  clock read three times:  {clock:+.0} ns over bare");
    println!("  report latency, no-op:   {report:+.0} ns over bare");
}

fn main() {
    layers(&mut Criterion::default().configure_from_args());
    Criterion::default().configure_from_args().final_summary();
    if !env::args().any(|argument| argument == "--test" || argument == "--list") {
        in_turn();
    }
}
