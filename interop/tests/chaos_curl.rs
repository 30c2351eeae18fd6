//! `curl` as a client of chaos: changed bodies and connections.
//!
//! Without `curl`, these tests are reported as ignored.

use std::{process::ExitCode, time::Duration};

use axum::{Router, body::Body, response::IntoResponse, routing::get};
use bytes::Bytes;
use http::StatusCode;
use interop::curl::{Curl, Curled};
use libtest_mimic::Arguments;
use support::{Server, data, fields, frames, random_bytes, soon, trailers};
use tower_traffic::chaos::{Behavior, Chaos, ChaosEngine, Message, Stage, Trigger};

/// Exit codes of `curl`: <https://curl.se/docs/manpage.html#EXIT>.
mod code {
    pub(crate) const PARTIAL_FILE: i32 = 18;
    pub(crate) const TIMED_OUT: i32 = 28;
    pub(crate) const GOT_NOTHING: i32 = 52;
    pub(crate) const HTTP2_STREAM: i32 = 92;
}

const HTTP1: &[&str] = &["--http1.1"];
const HTTP2: &[&str] = &["--http2-prior-knowledge"];

const LEN: usize = 1 << 20;

fn main() -> ExitCode {
    let curl = Curl::find();
    let mut trials = Vec::new();
    for (name, protocol) in [("http1", HTTP1), ("http2", HTTP2)] {
        macro_rules! add {
            ($($test:ident),* $(,)?) => {
                $(trials.push(curl.trial(
                    format!("{name}::{}", stringify!($test)),
                    protocol == HTTP2,
                    move || $test(protocol),
                ));)*
            };
        }
        add!(
            sees_where_a_body_broke_off,
            sees_a_snipped_body_as_whole,
            sees_an_empty_body,
            sees_a_misstated_length,
            waits_for_a_response_that_never_arrives,
            waits_for_a_stalled_body,
            sees_a_dropped_connection,
            sees_trailers_or_not,
            sees_corrupted_and_sliced_bodies,
            is_served_after_a_fault,
        );
    }
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

async fn curl(protocol: &[&str], more: &[&str], url: &str) -> Curled {
    let arguments = protocol.iter().chain(more).chain([&url]).copied();
    interop::curl::curl(arguments).await
}

fn content() -> Bytes {
    random_bytes(LEN)
}

/// A server with chaos and bodies of known length, of unknown length, and with trailers.
async fn serve(stage: impl Into<Stage>) -> (Server, ChaosEngine) {
    let chaos = Chaos::on(stage);
    let engine = chaos.engine();
    let pieces = || {
        let content = content();
        (0..16).map(move |at| data(content.slice(at * LEN / 16..(at + 1) * LEN / 16)))
    };
    let app = Router::new()
        .route("/known", get(async || content()))
        .route(
            "/unknown",
            get(async move || Body::new(frames(pieces())).into_response()),
        )
        .route(
            "/trailers",
            get(async || {
                let body = frames([data("content"), trailers(fields([("x-sum", "12")]))]);
                ([("trailer", "x-sum")], Body::new(body)).into_response()
            }),
        )
        .layer(chaos);
    (Server::start(app).await, engine)
}

/// Waits until no request or connection is affected.
async fn let_go(engine: &ChaosEngine) {
    soon(async {
        while engine.stats().active > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

async fn sees_where_a_body_broke_off(protocol: &[&str]) {
    let expected = if protocol == HTTP1 {
        code::PARTIAL_FILE
    } else {
        code::HTTP2_STREAM
    };
    for after in [0, 1, 5, 1_000, 100_000, LEN - 1] {
        let behavior = Behavior::break_after(Message::Response, after as u64);
        let (server, engine) = serve(behavior).await;
        for path in ["/known", "/unknown"] {
            let curled = curl(protocol, &[], &server.url(path)).await;
            assert_eq!(curled.code, expected, "{path} {after}: {}", curled.log);
            assert_eq!(curled.body.len(), after, "{path}: {}", curled.log);
            assert!(content().starts_with(&curled.body), "{path} {after}");
            assert_eq!(curled.length(), (path == "/known").then_some(LEN));
        }
        if protocol == HTTP1 {
            // In HTTP/1.0, a body of unknown length ends with the connection: `curl` cannot detect
            // the cut.
            for (path, expected) in [("/known", code::PARTIAL_FILE), ("/unknown", 0)] {
                let curled = curl(&["--http1.0"], &[], &server.url(path)).await;
                let came = (curled.code, curled.body.len());
                assert_eq!(came, (expected, after), "{path}: {}", curled.log);
            }
        }
        let_go(&engine).await;
    }
}

async fn sees_a_snipped_body_as_whole(protocol: &[&str]) {
    let (server, engine) = serve(Behavior::snip_body()).await;
    for path in ["/known", "/unknown", "/known", "/unknown"] {
        let curled = curl(protocol, &[], &server.url(path)).await;
        assert_eq!(curled.code, 0, "{path}: {}", curled.log);
        assert!(
            curled.body.len() < LEN && content().starts_with(&curled.body),
            "{path}"
        );
        let said = format!("Snip body ({}b)", curled.body.len());
        assert_eq!(curled.values("x-chaos"), [&*said], "{path}");
        // The length of an empty body is always known.
        let is_known = path == "/known" || curled.body.is_empty();
        let stated = is_known.then_some(curled.body.len());
        assert_eq!(curled.length(), stated, "{path}: {}", curled.head);
    }
    let head = curl(protocol, &["-I"], &server.url("/known")).await;
    assert_eq!(head.code, 0, "{}", head.log);
    let said = format!("Snip body ({}b)", head.length().expect("a length"));
    assert_eq!(head.values("x-chaos"), [&*said]);
    let_go(&engine).await;
}

async fn sees_an_empty_body(protocol: &[&str]) {
    let (server, engine) = serve(Behavior::no_body()).await;
    for path in ["/known", "/unknown", "/trailers"] {
        let curled = curl(protocol, &[], &server.url(path)).await;
        assert_eq!(
            (curled.code, curled.body.len()),
            (0, 0),
            "{path}: {}",
            curled.log
        );
        assert!(
            curled.length().is_none_or(|length| length == 0),
            "{}",
            curled.head
        );
    }
    let_go(&engine).await;
}

async fn sees_a_misstated_length(protocol: &[&str]) {
    for by in [7_i64, -7] {
        let (server, engine) = serve(Behavior::misstate_length(Message::Response, by)).await;
        let curled = curl(protocol, &[], &server.url("/known")).await;
        let stated = LEN.saturating_add_signed(isize::try_from(by).expect("few"));
        assert_eq!(curled.length(), Some(stated));
        if protocol == HTTP1 {
            // `curl` reads up to the stated length.
            let expected = if by > 0 { code::PARTIAL_FILE } else { 0 };
            assert_eq!(curled.code, expected, "{}", curled.log);
            assert_eq!(curled.body.len(), stated.min(LEN));
        } else {
            assert_eq!(curled.code, code::HTTP2_STREAM, "{by}: {}", curled.log);
        }
        // A body of unknown length has no stated length.
        let curled = curl(protocol, &[], &server.url("/unknown")).await;
        assert_eq!(
            (curled.code, curled.body.len(), curled.length()),
            (0, LEN, None)
        );
        let_go(&engine).await;
    }
}

async fn waits_for_a_response_that_never_arrives(protocol: &[&str]) {
    let (server, engine) = serve(Behavior::never()).await;
    let curled = curl(protocol, &["--max-time", "0.3"], &server.url("/known")).await;
    assert_eq!(curled.code, code::TIMED_OUT, "{}", curled.log);
    assert_eq!(curled.head, "");
    let_go(&engine).await;
}

async fn waits_for_a_stalled_body(protocol: &[&str]) {
    let (server, engine) = serve(Behavior::stall_after(Message::Response, 1_000)).await;
    for path in ["/known", "/unknown"] {
        let curled = curl(protocol, &["--max-time", "0.3"], &server.url(path)).await;
        assert_eq!(curled.code, code::TIMED_OUT, "{path}: {}", curled.log);
        assert_eq!(curled.body, content()[..1_000], "{path}");
        let_go(&engine).await;
    }
}

async fn sees_a_dropped_connection(protocol: &[&str]) {
    let (server, engine) = serve(Behavior::throw("foo")).await;
    let curled = curl(protocol, &[], &server.url("/known")).await;
    assert_ne!(curled.code, 0, "{}", curled.log);
    if protocol == HTTP1 {
        assert_eq!(curled.code, code::GOT_NOTHING, "{}", curled.log);
    }
    assert_eq!((curled.body.len(), &*curled.head), (0, ""));
    let_go(&engine).await;
}

async fn sees_trailers_or_not(protocol: &[&str]) {
    for (behavior, sums) in [
        (Behavior::corrupt(Message::Response, 0.0), &["12"][..]),
        (Behavior::drop_trailers(Message::Response), &[]),
    ] {
        let (server, engine) = serve(behavior).await;
        let curled = curl(protocol, &["-H", "te: trailers"], &server.url("/trailers")).await;
        assert_eq!(
            (curled.code, &*curled.body),
            (0, &b"content"[..]),
            "{}",
            curled.log
        );
        assert_eq!(curled.values("x-sum"), sums, "{}", curled.log);
        let_go(&engine).await;
    }
}

async fn sees_corrupted_and_sliced_bodies(protocol: &[&str]) {
    let on = Message::Response;
    let behavior = Behavior::corrupt(on, 100.0).and(Behavior::slice(on, 5_000, Duration::ZERO));
    let (server, engine) = serve(behavior).await;
    for path in ["/known", "/unknown"] {
        let curled = curl(protocol, &[], &server.url(path)).await;
        assert_eq!(
            (curled.code, curled.body.len()),
            (0, LEN),
            "{path}: {}",
            curled.log
        );
        let differ = content().iter().zip(&curled.body).all(|(a, b)| a != b);
        assert!(differ, "{path}");
    }
    let_go(&engine).await;
}

/// The next response is complete; over HTTP/1, on the same connection if it is still open.
async fn is_served_after_a_fault(protocol: &[&str]) {
    for (behavior, is_broken) in [
        (Behavior::break_after(Message::Response, 5), true),
        (Behavior::snip_body(), false),
        (Behavior::status(StatusCode::IM_A_TEAPOT), false),
    ] {
        let text = behavior.to_string();
        let (server, engine) = serve(Stage::when(Trigger::once(), behavior)).await;
        let url = server.url("/known");
        // curl 7.88.1 fails with 16 when it reuses an HTTP/2 connection, also without chaos.
        let curled = if is_broken || protocol == HTTP2 {
            curl(protocol, &[], &url).await;
            curl(protocol, &[], &url).await
        } else {
            let curled = curl(protocol, &["-o", "/dev/null", &url], &url).await;
            assert!(
                curled.log.contains("Re-using existing connection"),
                "{}",
                curled.log
            );
            curled
        };
        assert_eq!(curled.code, 0, "{text}: {}", curled.log);
        assert_eq!(curled.body, content(), "{text}");
        assert_eq!(engine.stats().affected, 1);
        let_go(&engine).await;
    }
}
