//! Random values: shares, distributions, and repeatability by seed.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    num::NonZeroU64,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use bytes::Bytes;
use futures::future::join_all;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use proptest::prelude::*;
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_traffic::chaos::{
    Behavior, Chaos, ChaosBody, ChaosEngine, ChaosService, Decision, Latency, Stage, ThrowPanic,
    Trigger,
};

type Body = Full<Bytes>;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn fails() -> Behavior {
    Behavior::status(StatusCode::SERVICE_UNAVAILABLE)
}

fn on(seed: u64, stage: impl Into<Stage>) -> (Chaos, ChaosEngine) {
    let chaos = Chaos::new().seed(seed).stage(stage);
    let engine = chaos.engine();
    engine.enable();
    (chaos, engine)
}

fn answer(_: Request<ChaosBody<Body>>) -> Ready<Result<Response<Body>, Infallible>> {
    ready(Ok(Response::new(Full::from("hello, world"))))
}

type Inner = fn(Request<ChaosBody<Body>>) -> Ready<Result<Response<Body>, Infallible>>;
type Asked = ChaosService<tower::util::ServiceFn<Inner>, ThrowPanic>;

fn service(chaos: &Chaos) -> Asked {
    chaos.layer(service_fn(answer as Inner))
}

fn request() -> Request<Body> {
    Request::new(Full::default())
}

/// Asserts that `hits` of `of` agree with a probability of `share`, within three sigma.
fn assert_share(hits: u64, of: u64, share: f64, text: &str) {
    #[expect(clippy::cast_precision_loss, reason = "there are not that many")]
    let (hits, of) = (hits as f64, of as f64);
    let sigma = (of * share * (1.0 - share)).sqrt();
    let off = (hits - of * share).abs();
    assert!(off <= 3.0 * sigma, "{text}: {hits} of {of}, not {share}");
}

// ---- shares

#[test]
fn percentages_are_exact_over_a_million() {
    const COUNT: u64 = 1_000_000;
    thread::scope(|scope| {
        for percent in [0.0, 0.1, 1.0, 10.0, 50.0, 99.9, 100.0] {
            scope.spawn(move || {
                let stage = Stage::when(Trigger::percentage(percent), Behavior::no_body());
                let (chaos, engine) = on(42, stage);
                let mut service = service(&chaos);
                for _ in 0..COUNT {
                    // The decision is made in `call`.
                    drop(service.call(request()));
                }
                let stats = engine.stats();
                assert_eq!((stats.requests, stats.active), (COUNT, 0));
                assert_share(stats.affected, COUNT, percent / 100.0, "affected");
            });
        }
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn counters_are_exact_under_concurrency() {
    let n = |n| NonZeroU64::new(n).expect("more than 0");
    let until = |count| Stage::always(fails()).until(Trigger::countdown(count));
    for (stage, expected) in [
        (Stage::when(Trigger::once(), fails()), 1),
        (
            Stage::when(Trigger::once_for(Trigger::nth(n(9))), fails()),
            1,
        ),
        (Stage::when(Trigger::countdown(7), fails()), 993),
        (Stage::when(!Trigger::countdown(7), fails()), 7),
        (Stage::when(Trigger::nth(n(10)), fails()), 100),
        (Stage::when(Trigger::nth(n(1)), fails()), 1_000),
        (Stage::when(Trigger::nth(n(1_001)), fails()), 0),
        (until(3), 3),
        (until(0), 0),
        (until(3).then(until(4)), 7),
        // Two of every three.
        (
            until(2)
                .then(Stage::wait().until(Trigger::countdown(1)))
                .repeat(),
            667,
        ),
    ] {
        let text = stage.to_string();
        let (chaos, engine) = on(1, stage);
        let failed = &*Box::leak(Box::new(AtomicU64::new(0)));
        let tasks = (0..1_000).map(|_| {
            let service = service(&chaos);
            tokio::spawn(async move {
                let response = service.oneshot(request()).await.expect("an answer");
                if response.status() == 503 {
                    failed.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        for task in join_all(tasks).await {
            task.expect("no panic");
        }
        assert_eq!(failed.load(Ordering::Relaxed), expected, "{text}");
        let stats = engine.stats();
        assert_eq!(
            (stats.requests, stats.affected, stats.active),
            (1_000, expected, 0),
            "{text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 8)]
async fn max_concurrent_limits_requests() {
    let (chaos, _) = on(1, Behavior::latency(Latency::fixed(ms(20))));
    let chaos = chaos.max_concurrent(10);
    let engine = chaos.engine();
    let tasks = (0..1_000).map(|_| {
        let (service, engine) = (service(&chaos), engine.clone());
        tokio::spawn(async move {
            let response = service.oneshot(request()).await.expect("an answer");
            assert!(engine.stats().active <= 10);
            response.extensions().get::<Decision>().is_some()
        })
    });
    let mut affected = 0;
    for task in join_all(tasks).await {
        affected += u64::from(task.expect("no panic"));
    }
    let stats = engine.stats();
    assert_eq!((stats.affected, stats.active), (affected, 0));
    assert_eq!(stats.capped, 1_000 - affected);
}

#[tokio::test(start_paused = true)]
async fn a_ramp_is_linear() {
    const COUNT: u64 = 20_000;
    for (from, to) in [(0.0, 100.0), (80.0, 20.0), (5.0, 5.0)] {
        let (chaos, engine) = on(4, Stage::when(Trigger::ramp(from..=to, ms(1_000)), fails()));
        let mut service = service(&chaos);
        let mut before = 0;
        for step in 0..=12_u32 {
            for _ in 0..COUNT {
                drop(service.call(request()));
            }
            let affected = engine.stats().affected;
            let share = (from + (to - from) * f64::from(step.min(10)) / 10.0) / 100.0;
            assert_share(
                affected - before,
                COUNT,
                share,
                &format!("{from} to {to}, {step}"),
            );
            before = affected;
            tokio::time::advance(ms(100)).await;
        }
    }
}

// ---- distributions

/// Draws delays. A decision is made in `call`, so that no delay is awaited.
fn draws(seed: u64, latency: Latency, count: usize) -> Vec<Duration> {
    let (chaos, engine) = on(seed, Behavior::latency(latency));
    let mut service = service(&chaos);
    let mut all = Vec::new();
    while all.len() < count {
        // The engine keeps 1,000 decisions.
        for _ in 0..1_000 {
            drop(service.call(request()));
        }
        all.extend(engine.decisions().iter().map(|decision| decision.delay));
    }
    all.truncate(count);
    all
}

#[test]
fn latencies_have_their_distributions() {
    const COUNT: usize = 100_000;
    let seconds = Duration::from_secs_f64;
    // Quantiles of the standard normal distribution.
    let normal = [
        (0.022_750_13, -2.0),
        (0.158_655_25, -1.0),
        (0.5, 0.0),
        (0.841_344_75, 1.0),
    ];
    let quantiles = [0.01, 0.1, 0.5, 0.9, 0.99, 0.999];
    let uniform = quantiles.map(|p| (p, 0.1 + 0.2 * p));
    let exponential = quantiles.map(|p: f64| (p, -0.1 * (1.0 - p).ln()));
    let pareto = quantiles.map(|p: f64| (p, 0.1 / (1.0 - p).powf(1.0 / 1.5)));
    for (latency, mean, quantiles) in [
        (
            Latency::uniform(ms(100)..=ms(300)),
            Some(0.2),
            uniform.to_vec(),
        ),
        (
            Latency::normal(ms(1_000), ms(100)),
            Some(1.0),
            normal.map(|(p, sigmas)| (p, 1.0 + 0.1 * sigmas)).to_vec(),
        ),
        (
            Latency::exponential(ms(100)),
            Some(0.1),
            exponential.to_vec(),
        ),
        // The mean depends on a few very long delays.
        (Latency::pareto(ms(100), 1.5), None, pareto.to_vec()),
        (
            Latency::exponential(ms(100)).max(ms(50)),
            Some(0.1 * (1.0 - (-0.5_f64).exp())),
            exponential[..2].to_vec(),
        ),
    ] {
        let text = latency.to_string();
        let drawn = draws(7, latency, COUNT);
        for (p, quantile) in quantiles {
            let below = drawn
                .iter()
                .filter(|time| **time < seconds(quantile))
                .count();
            assert_share(
                below as u64,
                COUNT as u64,
                p,
                &format!("{text} below {quantile}"),
            );
        }
        if let Some(mean) = mean {
            let sum: f64 = drawn.iter().map(Duration::as_secs_f64).sum();
            let off = (sum / 100_000.0 - mean).abs();
            // The standard deviation is at most the mean.
            assert!(off < 3.0 * mean / 100_000_f64.sqrt(), "{text}: {off}");
        }
    }
}

#[test]
fn caps_cut() {
    let cap = ms(50);
    for latency in [
        Latency::fixed(ms(80)),
        Latency::uniform(ms(0)..=ms(100)),
        Latency::normal(ms(50), ms(10)),
        Latency::exponential(ms(50)),
        Latency::pareto(ms(10), 0.5),
    ] {
        let text = latency.to_string();
        let drawn = draws(3, latency.max(cap), 10_000);
        assert_eq!(drawn.iter().max(), Some(&cap), "{text}");
        // Only longer delays are cut.
        let share = drawn.iter().filter(|time| **time == cap).count();
        assert!(share > 3_000, "{text}: {share}");
    }
}

#[test]
fn a_range_of_one_value_is_constant() {
    for time in [
        Duration::ZERO,
        Duration::from_nanos(1),
        Duration::from_micros(500),
        Duration::new(3, 141_592_653),
    ] {
        for latency in [
            Latency::fixed(time),
            Latency::uniform(time..=time),
            Latency::normal(time, Duration::ZERO),
        ] {
            let text = latency.to_string();
            assert!(
                draws(5, latency, 1_000).iter().all(|drawn| *drawn == time),
                "{text}"
            );
        }
    }
    // A reversed range gives its start.
    let wrong = Latency::uniform(ms(2)..=ms(1));
    assert!(draws(5, wrong, 1_000).iter().all(|drawn| *drawn == ms(2)));
    // Delays have a finer resolution than a millisecond.
    let between = Latency::uniform(Duration::from_micros(100)..=Duration::from_micros(900));
    let mut drawn = draws(5, between, 1_000);
    drawn.dedup();
    assert!(drawn.len() > 990);
}

fn times() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        Just(Duration::from_nanos(1)),
        Just(Duration::MAX),
        (any::<u64>(), 0..1_000_000_000_u32).prop_map(|(secs, nanos)| Duration::new(secs, nanos)),
        (0..10_u64, 0..1_000_000_000_u32).prop_map(|(secs, nanos)| Duration::new(secs, nanos)),
    ]
}

/// The longest delay.
const FOREVER: Duration = Duration::from_hours(100 * 365 * 24);

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn delays_stay_within_their_bounds(
        first in times(),
        second in times(),
        cap in proptest::option::of(times()),
        shape in prop_oneof![proptest::num::f64::ANY, Just(f64::MIN_POSITIVE), Just(0.0)],
        seed in any::<u64>(),
    ) {
        let within = |latency: Latency, least: Duration, most: Duration| {
            let latency = cap.map_or(latency.clone(), |cap| latency.max(cap));
            let end = cap.unwrap_or(FOREVER).min(FOREVER);
            for drawn in draws(seed, latency.clone(), 50) {
                assert!(drawn >= least.min(end) && drawn <= most.min(end), "{latency}: {drawn:?}");
            }
            let text = latency.to_string();
            assert!(text.starts_with('(') && text.ends_with(')'), "{text}");
            // A round trip as a document.
            let stage = Stage::always(Behavior::latency(latency));
            assert_eq!(stage.to_document().parse::<Stage>().expect(&text), stage);
        };
        let (zero, max) = (Duration::ZERO, Duration::MAX);
        within(Latency::fixed(first), first, first);
        within(Latency::uniform(first..=second), first, first.max(second));
        within(Latency::normal(first, second), zero, max);
        within(Latency::exponential(first), zero, max);
        within(Latency::pareto(first, shape), first.mul_f64(1.0 - 1e-9), max);
    }

    /// Whichever clone is called, and whichever future is polled first.
    #[test]
    fn a_seed_decides_the_same_in_any_order_of_polling(
        seed in any::<u64>(),
        calls in proptest::collection::vec((0..4_usize, any::<u32>(), any::<bool>()), 1..40),
    ) {
        let stage = Stage::when(
            Trigger::percentage(40.0),
            Behavior::latency(Latency::exponential(ms(100))).and(Behavior::snip_body()),
        )
        .then(Stage::when(
            Trigger::percentage(50.0) | Trigger::nth(NonZeroU64::MIN.saturating_add(2)),
            Behavior::latency(Latency::uniform(ms(0)..=ms(9)))
                .and(Behavior::corrupt(tower_traffic::chaos::Message::Response, 30.0)),
        ));
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        let (chaos, engine) = on(seed, stage.clone());
        let mut one = service(&chaos);
        let mut plain = Vec::new();
        for _ in &calls {
            plain.push(runtime.block_on(read(one.call(request()))));
        }

        let (chaos, other_engine) = on(seed, stage);
        let first = service(&chaos);
        // Clones of the service and of the layer.
        let mut all = [first.clone(), service(&chaos), service(&chaos.clone()), first];
        let mixed = runtime.block_on(async {
            let mut futures = Vec::new();
            for (at, (clone, place, is_polled)) in calls.iter().enumerate() {
                let mut future = Box::pin(read(all[*clone].call(request())));
                let mut done = None;
                if *is_polled
                    && let Poll::Ready(body) =
                        future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
                {
                    done = Some(body);
                }
                futures.push((*place, at, future, done));
            }
            futures.sort_by_key(|(place, at, ..)| (*place, *at));
            let mut bodies = vec![Bytes::new(); calls.len()];
            for (_, at, future, done) in futures {
                bodies[at] = match done {
                    Some(body) => body,
                    None => future.await,
                };
            }
            bodies
        });
        prop_assert_eq!(mixed, plain);
        prop_assert_eq!(engine.decisions(), other_engine.decisions());
        prop_assert_eq!(engine.stats(), other_engine.stats());
    }
}

async fn read(
    response: impl Future<Output = Result<Response<ChaosBody<Body>>, Infallible>>,
) -> Bytes {
    let body = response.await.expect("an answer").into_body();
    body.collect().await.expect("no error").to_bytes()
}
