//! The time of chaos patterns per KiB of the text that they are matched against, for the slowest
//! documents that are accepted.
//!
//! ```text
//! cargo bench --bench chaos_patterns --all-features
//! ```

use std::{
    convert::Infallible,
    hint::black_box,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures::FutureExt;
use http::{Request, Response};
use http_body_util::Empty;
use tower::{Layer, ServiceExt, service_fn};
use tower_traffic::{
    Chaos,
    chaos::{ChaosBody, Stage},
};

const KIBIBYTES: u32 = 32;
const BYTES: usize = (KIBIBYTES as usize) << 10;

/// Returns a document with patterns for one header, none of which matches the text.
fn document(patterns: &[&str]) -> Option<Stage> {
    let triggers: Vec<_> = patterns
        .iter()
        .map(|pattern| format!(r#"{{"type":"request","headers":{{"x":"{pattern}"}}}}"#))
        .collect();
    let document = format!(
        r#"{{"type":"trigger","trigger":{{"type":"or","triggers":[{}]}},"behaviour":{{"type":"none"}}}}"#,
        triggers.join(",")
    );
    document.parse().ok()
}

/// Returns the time of a request with this header, the shortest of many.
fn time(stage: Option<&Stage>, text: &str) -> Duration {
    let chaos = Chaos::new();
    if let Some(stage) = stage {
        chaos.engine().enable_with(stage.clone());
    }
    let service = chaos.layer(service_fn(async |_: Request<ChaosBody<Empty<Bytes>>>| {
        Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
    }));
    let one = || {
        let request = Request::get("/").header("x", text);
        let request = request.body(Empty::new()).expect("a request");
        let start = Instant::now();
        let response = service.clone().oneshot(request).now_or_never();
        let time = start.elapsed();
        black_box(response.expect("no wait").expect("an answer"));
        time
    };
    (0..200).map(|_| one()).min().unwrap_or_default()
}

fn main() {
    let texts = ["a", "abcde", "ab cd/ef.gh", "aaaaaaaaab"].map(|unit| {
        let mut text = unit.repeat(BYTES / unit.len() + 1);
        text.truncate(BYTES);
        text
    });
    println!("{:44}  us per KiB", "pattern, three of each");
    for pattern in [
        ".*(?:[a-e]{1,50}){1,40}x",
        ".*x",
        ".*q.*",
        "(?:a|b)*a(?:a|b){7}x",
        "(?:a|b)*a(?:a|b){8}x",
        "(?:a|b)*a(?:a|b){9}x",
        "(?:a|b)*a(?:a|b){10}x",
        ".*[a-e]{1,40}x",
        "(?:.{1,30}q)*",
        "(?:[a-e ]+[/.][a-z]+)*q",
        "[^q]*q",
        "(?:abcde)*q",
    ] {
        let Some(stage) = document(&[pattern; 3]) else {
            println!("{pattern:44}  refused");
            continue;
        };
        let slowest = texts.iter().map(|text| {
            let more = time(Some(&stage), text).saturating_sub(time(None, text));
            more.as_secs_f64() * 1e6 / f64::from(KIBIBYTES)
        });
        println!("{pattern:44}  {:.2}", slowest.fold(0.0, f64::max));
    }
}
