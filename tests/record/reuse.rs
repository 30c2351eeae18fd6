//! Reuse of the recorder's buffers: an exchange contains nothing of the previous exchange.

use std::{
    future::pending,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderValue, Request, Response};
use http_body_util::BodyExt;
use support::{
    Body, BoxError, broken, data, empty, fields, frames, get, post, reply, trailers, with,
};
use tower::{Layer, Service, service_fn};
use tower_traffic::{Exchange, RecordTraffic, Redact, store::Memory};

/// The request paths; each path selects a kind of exchange.
const WAYS: [&str; 8] = [
    "/plain",
    "/echo",
    "/trailers",
    "/frames",
    "/broken",
    "/failed",
    "/gone",
    "/sensitive",
];

async fn origin(request: Request<impl http_body::Body>) -> Result<Response<Body>, BoxError> {
    match request.uri().path() {
        "/trailers" => Ok(reply(
            200,
            frames([data("few"), trailers(fields([("x-sum", "1")]))]),
        )),
        "/frames" => Ok(reply(
            203,
            frames([
                data(vec![b'a'; 300]),
                data("b"),
                data(vec![b'c'; 999]),
                data("d"),
            ]),
        )),
        "/broken" => Ok(reply(200, frames([data("half"), broken("no more")]))),
        "/failed" => Err("out of order".into()),
        "/gone" => pending().await,
        "/sensitive" => {
            let mut secret = HeaderValue::from_static("secret");
            secret.set_sensitive(true);
            let mut response = reply(200, empty());
            response.headers_mut().insert("x-secret", secret);
            Ok(response)
        }
        _ => Ok(reply(204, empty())),
    }
}

fn ask_for(way: &str) -> Request<Body> {
    match way {
        "/echo" => with(
            post(way, Bytes::from(vec![b'q'; 5000])),
            "x-long",
            &"v".repeat(700),
        ),
        "/trailers" => post(format!("http://localhost{way}"), "small"),
        _ => get(way),
    }
}

/// Runs one exchange per path in `ways`, and returns the last recorded exchange.
async fn go(ways: &[&str]) -> Exchange {
    let memory = Memory::new();
    let record = RecordTraffic::new(memory.clone()).redact(Redact::none());
    let recorder = record.recorder();
    let mut service = record.layer(service_fn(origin));
    for way in ways {
        let call = service.call(ask_for(way));
        if *way == "/gone" {
            assert!(call.now_or_never().is_none());
        } else if let Ok(response) = call.await {
            // Reads the body to its end, even when the body fails.
            let _ = response.into_body().collect().await;
        }
        // After the flush, the next exchange reuses the buffer.
        recorder.flush().await;
    }
    let mut last = Exchange::clone(memory.exchanges().last().expect("an exchange"));
    last.began = SystemTime::UNIX_EPOCH;
    last.time_to_head = last.time_to_head.map(|_| Duration::ZERO);
    last.time_to_end = Duration::ZERO;
    last
}

#[tokio::test]
async fn reused_buffers_carry_nothing_over() {
    for second in WAYS {
        let alone = go(&[second]).await;
        for first in WAYS {
            assert_eq!(go(&[first, second]).await, alone, "{second} after {first}");
        }
    }
}
