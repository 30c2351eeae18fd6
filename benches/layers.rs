//! Cost of each layer per request, in process, over a bare service that responds with 1 KiB.
//!
//! ```text
//! cargo bench --all-features --bench layers
//! ```
//!
//! Every figure is the time of a whole call: the call of the service and the read of the whole
//! response body. A layer's cost is its figure minus that of `bare`.
//!
//! At the end, the benchmark calls the same services alternately for many rounds and prints the
//! median differences: on a machine whose speed drifts, only alternating measurements are
//! comparable.

use std::{
    convert::Infallible,
    env,
    fmt::Debug,
    hint::black_box,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use bytes::Bytes;
use criterion::Criterion;
use futures::FutureExt;
use http::{Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use tokio::runtime::{Builder, Runtime};
use tower::{Layer, Service, ServiceBuilder, service_fn};
use tower_http::{map_request_body::MapRequestBodyLayer, map_response_body::MapResponseBodyLayer};
use tower_traffic::{
    DebugDump, Exchange, Matching, RecordTraffic, Recorder, ReplayCache, ReportLatency,
    chaos::{Behavior, Chaos, Stage, Trigger},
    debug::Printer,
    store::Memory,
};

/// Number of requests prepared at once, outside the measured time.
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

/// A minimal wrapper around a body.
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

/// A layer without work; its cost is that of the same code at another address.
struct Idle<S>(S);

impl<S: Service<R>, R> Service<R> for Idle<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: R) -> S::Future {
        // Without `black_box`, the compiler merges this function with the inner service.
        black_box(());
        self.0.call(request)
    }
}

async fn answer<B>(_: Request<B>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(response())
}

/// Makes one call, like a server.
async fn call<S, B>(service: &mut S, request: Request<Full<Bytes>>)
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes, Error: Debug>,
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
    B: Body<Data = Bytes, Error: Debug>,
{
    calls_of(service, count, request).await
}

async fn calls_of<S, B>(
    service: &mut S,
    count: u64,
    request: impl Fn() -> Request<Full<Bytes>>,
) -> Duration
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes, Error: Debug>,
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

/// Calls in rounds that fit into the recorder's queue. Between rounds, outside the measured time,
/// flushes the recorder and clears the memory: every exchange is stored, and memory use is
/// independent of `count`.
async fn calls_recorded<S, B>(
    service: &mut S,
    recorder: &Recorder,
    memory: &Memory,
    count: u64,
) -> Duration
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes, Error: Debug>,
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

/// Calls in rounds that fit into the printer's queue, and flushes the printer outside the measured
/// time.
async fn calls_printed<S, B>(service: &mut S, printer: &Printer, count: u64) -> Duration
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes, Error: Debug>,
{
    let mut left = count;
    let mut time = Duration::ZERO;
    while left > 0 {
        let round = left.min(ROUND);
        time += calls(service, round).await;
        left -= round;
        printer.flush().await;
        assert_eq!(printer.not_printed(), 0);
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
    RecordTraffic::memory(&Memory::new()).filter(|_| false)
}

fn replayed() -> ReplayCache {
    ReplayCache::memory(&Memory::from_iter([Exchange::new(
        request().map(|_| Bytes::new()),
        response().map(|_| Bytes::from_static(&KIBIBYTE)),
    )]))
}

/// Returns a request with 1 KiB of JSON.
fn json_request(content_type: &'static str) -> Request<Full<Bytes>> {
    const MEMBER: &str =
        r#"{"sku":"A-1234-B","count":12,"price":19.90,"name":"a thing","on":true},"#;
    let mut json = String::from(r#"{"customer":"bob","items":["#);
    while json.len() + MEMBER.len() < 1020 {
        json.push_str(MEMBER);
    }
    json.pop();
    json.push_str("]}");
    json.push_str(&" ".repeat(1024 - json.len()));
    Request::post("/orders")
        .header("host", "127.0.0.1:3000")
        .header("content-type", content_type)
        .body(Full::from(json))
        .expect("a request")
}

/// Returns a cache with a recording for `json_request`.
fn replayed_json(content_type: &'static str, matching: Matching) -> ReplayCache {
    let (parts, _) = json_request(content_type).into_parts();
    let body = json_request(content_type).into_body();
    let body = body.collect().now_or_never().expect("it is there");
    let request = Request::from_parts(parts, body.expect("a body").to_bytes());
    let exchange = Exchange::new(request, response().map(|_| Bytes::from_static(&KIBIBYTE)));
    ReplayCache::memory(&Memory::from_iter([exchange]).match_by(matching))
}

fn reporting() -> ReportLatency {
    ReportLatency::new(|latency| {
        black_box(latency);
    })
}

fn dumped() -> DebugDump {
    DebugDump::new(io::sink())
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
        let record = RecordTraffic::new(memory.clone());
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

    group.bench_function("debug dump, off", |b| {
        let mut service = dumped().enabled(false).layer(service_fn(answer));
        b.iter_custom(|count| runtime.block_on(calls(&mut service, count)));
    });

    group.bench_function("debug dump, to a sink", |b| {
        let dump = dumped();
        let printer = dump.printer();
        let mut service = dump.layer(service_fn(answer));
        b.iter_custom(|count| runtime.block_on(calls_printed(&mut service, &printer, count)));
    });
    group.finish();
}

/// Prints the cost of each layer over `bare`, measured alternately.
fn in_turn() {
    const ROUNDS: usize = 301;
    const CALLS: u32 = 1_000;
    let runtime = runtime();
    let mut bare = service_fn(answer);
    let mut idle = Idle(service_fn(answer));
    // The cost of changing both body types, in a layer without other work.
    let mut wrapped = ServiceBuilder::new()
        .layer(MapRequestBodyLayer::new(Wrapped))
        .layer(MapResponseBodyLayer::new(Wrapped))
        .service(service_fn(answer));
    let mut filtered = filtered().layer(service_fn(answer));
    let memory = Memory::new();
    let record = RecordTraffic::new(memory.clone());
    let recorder = record.recorder();
    let mut recording = record.layer(service_fn(answer));
    let mut replayed = replayed().layer(service_fn(answer));

    let mut reporting = reporting().layer(service_fn(answer));

    // The cost of the three clock reads that a report needs.
    let mut clocked = service_fn(async |request: Request<Full<Bytes>>| {
        for _ in 0..3 {
            black_box(tokio::time::Instant::now());
        }
        answer(request).await
    });

    let mut dump_off = dumped().enabled(false).layer(service_fn(answer));
    let dump = dumped();
    let printer = dump.printer();
    let mut dump_on = dump.layer(service_fn(answer));

    let chaos = Chaos::new();
    let mut chaos_off = chaos.layer(service_fn(answer));
    let missing = Stage::when(Trigger::percentage(0.0), Behavior::never());
    let mut chaos_miss = Chaos::on(missing).layer(service_fn(answer));

    let names = [
        "a layer of nothing",
        "bodies wrapped, no more",
        "record, filter says no",
        "record into memory",
        "replay from memory",
        "clock read three times",
        "report latency, no-op",
        "debug dump, off",
        "debug dump, to a sink",
        "chaos, off",
        "chaos, nothing fires",
    ];
    let mut costs = names.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        let (bare, times) = runtime.block_on(async {
            let bare = calls(&mut bare, CALLS.into()).await;
            let times = [
                calls(&mut idle, CALLS.into()).await,
                calls(&mut wrapped, CALLS.into()).await,
                calls(&mut filtered, CALLS.into()).await,
                calls_recorded(&mut recording, &recorder, &memory, CALLS.into()).await,
                calls(&mut replayed, CALLS.into()).await,
                calls(&mut clocked, CALLS.into()).await,
                calls(&mut reporting, CALLS.into()).await,
                calls(&mut dump_off, CALLS.into()).await,
                calls_printed(&mut dump_on, &printer, CALLS.into()).await,
                calls(&mut chaos_off, CALLS.into()).await,
                calls(&mut chaos_miss, CALLS.into()).await,
            ];
            (bare, times)
        });
        for (costs, time) in costs.iter_mut().zip(times) {
            costs.push((time.as_secs_f64() - bare.as_secs_f64()) * 1e9 / f64::from(CALLS));
        }
    }
    println!("in turn, medians of {ROUNDS} rounds of {CALLS} calls, over bare:");
    for (name, mut costs) in names.into_iter().zip(costs) {
        costs.sort_by(f64::total_cmp);
        println!("  {name:<25}{:+.0} ns", costs[ROUNDS / 2]);
    }
}

/// Prints the cost of a match key over 1 KiB of JSON for a hit, measured alternately.
fn keys_in_turn() {
    const ROUNDS: usize = 301;
    const CALLS: u32 = 1_000;
    const JSON: &str = "application/json";
    const BYTES: &str = "application/octet-stream";
    let runtime = runtime();
    let mut bytes = replayed_json(BYTES, Matching::new()).layer(service_fn(answer));
    let mut json = replayed_json(JSON, Matching::new()).layer(service_fn(answer));
    let by_value = Matching::new().ignore_json_order(true);
    let mut by_value = replayed_json(JSON, by_value).layer(service_fn(answer));
    let names = [
        "bytes",
        "JSON, looked into for secrets",
        "JSON, in any order of members",
    ];
    let mut costs = names.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        let times = runtime.block_on(async {
            [
                calls_of(&mut bytes, CALLS.into(), || json_request(BYTES)).await,
                calls_of(&mut json, CALLS.into(), || json_request(JSON)).await,
                calls_of(&mut by_value, CALLS.into(), || json_request(JSON)).await,
            ]
        });
        for (costs, time) in costs.iter_mut().zip(times) {
            costs.push(time.as_secs_f64() * 1e9 / f64::from(CALLS));
        }
    }
    println!(
        "a hit for a request with 1 KiB, medians of {ROUNDS} rounds of {CALLS} calls in turn:"
    );
    for (name, mut costs) in names.into_iter().zip(costs) {
        costs.sort_by(f64::total_cmp);
        println!("  {name:<30}{:.0} ns", costs[ROUNDS / 2]);
    }
}

fn main() {
    layers(&mut Criterion::default().configure_from_args());
    Criterion::default().configure_from_args().final_summary();
    if !env::args().any(|argument| argument == "--test" || argument == "--list") {
        in_turn();
        keys_in_turn();
    }
}
