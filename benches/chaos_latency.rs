//! Accuracy of chaos latencies, compared with a plain tokio timer.
//!
//! ```text
//! cargo bench --bench chaos_latency --features chaos
//! ```
//!
//! A client sends requests over a real socket and HTTP/1.1 to a server whose only work is the
//! latency. The measured time runs from the arrival at the layer to the call of the inner service.
//! A `tokio::time::sleep` of the same length starts at the same time on the same runtime, so both
//! times include the delays of the timer and of a busy machine. tokio's timer has millisecond
//! resolution and never wakes early. The benchmark prints the delay of each beyond the requested
//! latency, and the difference between the two.

use std::{
    convert::Infallible,
    env,
    future::ready,
    hint::black_box,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use axum::{Router, body::Body};
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::{net::TcpListener, sync::Semaphore, time::sleep};
use tower::{Layer, Service, ServiceExt, service_fn};
use tower_traffic::chaos::{Behavior, Chaos, ChaosBody, Latency};

const ROUNDS: usize = 4_000;

/// Delay beyond the requested latency, in microseconds: chaos, then the plain timer.
type Late = (f64, f64);

fn late(began: Instant, asked: Duration) -> f64 {
    (began.elapsed().as_secs_f64() - asked.as_secs_f64()) * 1e6
}

/// Starts a server with the latency `asked`, and adds each delay to `noted`.
async fn serve(asked: Duration, noted: Arc<Mutex<Vec<Late>>>) -> u16 {
    let inside = service_fn(|request: Request<ChaosBody<Body>>| {
        let began = request.extensions().get::<Instant>().expect("it was noted");
        let seen = began.elapsed();
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(seen);
        ready(Ok::<_, Infallible>(response))
    });
    let chaos = Chaos::on(Behavior::latency(Latency::fixed(asked))).layer(inside);
    let outside = service_fn(move |mut request: Request<Body>| {
        let (mut chaos, noted) = (chaos.clone(), noted.clone());
        async move {
            let began = Instant::now();
            request.extensions_mut().insert(began);
            let timer = tokio::spawn(async move {
                sleep(asked).await;
                late(began, asked)
            });
            let response = chaos.ready().await?.call(request).await?;
            let seen = response
                .extensions()
                .get::<Duration>()
                .expect("it was noted");
            let ours = (seen.as_secs_f64() - asked.as_secs_f64()) * 1e6;
            let timer = timer.await.expect("it ends");
            noted.lock().expect("no panic").push((ours, timer));
            Ok::<_, Infallible>(response.map(Body::new))
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let app = Router::new().fallback_service(outside);
    tokio::spawn(async move { axum::serve(listener, app).await });
    port
}

async fn measure(asked: Duration, at_once: usize) -> Vec<Late> {
    let times = Arc::default();
    let port = serve(asked, Arc::clone(&times)).await;
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let places = Arc::new(Semaphore::new(at_once));
    // Enough rounds for about four seconds.
    let most = 4.0 / asked.as_secs_f64();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a few thousand"
    )]
    let rounds = ROUNDS.min(most as usize * at_once);
    let mut tasks = Vec::new();
    for _ in 0..rounds {
        let place = places.clone().acquire_owned().await.expect("open");
        let client = client.clone();
        tasks.push(tokio::spawn(async move {
            let uri = format!("http://127.0.0.1:{port}/").parse().expect("a URI");
            let response = client.get(uri).await.expect("an answer");
            response.into_body().collect().await.expect("a body");
            drop(place);
        }));
    }
    for task in tasks {
        task.await.expect("no panic");
    }
    std::mem::take(&mut *times.lock().expect("no panic"))
}

fn quantile(values: impl Iterator<Item = f64>, share: f64) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a few thousand"
    )]
    let at = ((values.len() - 1) as f64 * share) as usize;
    values[at]
}

fn row(name: &str, asked: Duration, times: &[Late]) {
    let cell = |value: fn(&Late) -> f64, share| quantile(times.iter().map(value), share) / 1e3;
    println!(
        "{name:<24} {:>5} ms {:>6} | {:>8.3} {:>8.3} | {:>8.3} {:>8.3} | {:>8.3} {:>8.3} {:>8.3}",
        asked.as_millis(),
        times.len(),
        cell(|(ours, _)| *ours, 0.5),
        cell(|(ours, _)| *ours, 0.99),
        cell(|(_, timer)| *timer, 0.5),
        cell(|(_, timer)| *timer, 0.99),
        cell(|(ours, timer)| ours - timer, 0.01),
        cell(|(ours, timer)| ours - timer, 0.5),
        cell(|(ours, timer)| ours - timer, 0.99),
    );
}

#[tokio::main]
async fn main() {
    if env::args().any(|argument| argument == "--list" || argument == "--test") {
        return;
    }
    println!("all in milliseconds");
    println!(
        "{:<24} {:>8} {:>6} | {:>17} | {:>17} | {:>26}",
        "", "asked", "n", "chaos late", "timer late", "chaos - timer"
    );
    println!(
        "{:<40} | {:>8} {:>8} | {:>8} {:>8} | {:>8} {:>8} {:>8}",
        "", "median", "p99", "median", "p99", "p1", "median", "p99"
    );
    let is_over = Arc::new(AtomicBool::new(false));
    for is_busy in [false, true] {
        // One computing thread per core.
        let cores = if is_busy {
            thread::available_parallelism().map_or(1, usize::from)
        } else {
            0
        };
        let busy: Vec<_> = (0..cores)
            .map(|_| {
                let is_over = is_over.clone();
                thread::spawn(move || {
                    let mut number = 1_u64;
                    while !is_over.load(Ordering::Relaxed) {
                        number = black_box(number.wrapping_mul(6_364_136_223_846_793_005) + 1);
                    }
                })
            })
            .collect();
        for at_once in [1, 64] {
            for asked in [1, 10, 100].map(Duration::from_millis) {
                let times = measure(asked, at_once).await;
                let busy = if is_busy { ", CPU busy" } else { "" };
                row(&format!("{at_once} at once{busy}"), asked, &times);
            }
        }
        is_over.store(true, Ordering::Relaxed);
        for thread in busy {
            thread.join().expect("no panic");
        }
        is_over.store(false, Ordering::Relaxed);
    }
}
