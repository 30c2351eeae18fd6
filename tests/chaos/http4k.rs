//! Compatibility with http4k: documents, texts and headers, and intended differences.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};
use tower_traffic::chaos::{Behavior, Chaos, ChaosBody, Latency, Requests, Stage, Trigger};

type Body = Full<Bytes>;

const HEADER: &str = "x-http4k-chaos";
const CONTENT: &str = "hello, world";

fn read(document: &Value) -> Stage {
    let text = document.to_string();
    text.parse().unwrap_or_else(|bad| panic!("{bad}: {text}"))
}

fn always(behavior: &Value) -> Value {
    json!({ "type": "trigger", "trigger": { "type": "always" }, "behaviour": behavior })
}

/// The headers that the inner service received, and the response.
async fn ask(chaos: Chaos, request: Request<Body>) -> (Option<HeaderMap>, Response<Bytes>) {
    let chaos = chaos.seed(4).http4k_header(true);
    chaos.engine().enable();
    let seen = Arc::new(Mutex::new(None));
    let inside = seen.clone();
    let service = chaos.layer(service_fn(move |request: Request<ChaosBody<Body>>| {
        *inside.lock().expect("no panic") = Some(request.headers().clone());
        let mut response = Response::new(Full::from(CONTENT));
        // Set by another chaos layer further inside.
        response
            .headers_mut()
            .insert(HEADER, "Status 500".parse().expect("a value"));
        async { Ok::<_, Infallible>(response) }
    }));
    let response = service.oneshot(request).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.expect("no error").to_bytes();
    let seen = seen.lock().expect("no panic").take();
    (seen, Response::from_parts(parts, bytes))
}

fn post() -> Request<Body> {
    let mut request = Request::post("/")
        .body(Full::from(CONTENT))
        .expect("a request");
    let headers = request.headers_mut();
    headers.insert(HEADER, "before".parse().expect("a value"));
    headers.insert("content-length", CONTENT.len().into());
    request
}

fn said(headers: &HeaderMap) -> Vec<&str> {
    let values = headers.get_all(HEADER).iter();
    values.map(|value| value.to_str().expect("text")).collect()
}

/// The header replaces an existing one, on one of the two messages.
#[tokio::test(start_paused = true)]
async fn behaviors_set_the_header_of_http4k() {
    let before = "Status 500";
    for (document, expected) in [
        (
            json!({ "type": "latency", "min": "PT0.123S", "max": "PT0.123S" }),
            "Latency (123ms)",
        ),
        (json!({ "type": "status", "status": 404 }), "Status 404"),
        (json!({ "type": "body" }), "Snip body (0b)"),
        (json!({ "type": "none" }), before),
        (json!({ "type": "sniprequest" }), before),
    ] {
        let chaos = Chaos::new().stage(read(&always(&document)));
        let (seen, response) = ask(chaos, post()).await;
        assert_eq!(said(response.headers()), [expected], "{document}");
        let is_of_request = document["type"] == "sniprequest";
        if let Some(seen) = seen {
            let said = said(&seen);
            assert_eq!(said.len(), 1, "{document}");
            assert_eq!(said[0] != "before", is_of_request, "{document}: {said:?}");
            if is_of_request {
                let length = seen["content-length"].to_str().expect("text");
                assert_eq!(said, [format!("Snip request body ({length}b)")]);
            }
        }
    }
    let chaos = Chaos::new().stage(read(&always(&json!({ "type": "snip" }))));
    let (_, response) = ask(chaos, post()).await;
    let len = response.body().len();
    assert_eq!(said(response.headers()), [format!("Snip body ({len}b)")]);

    // `response` sets no header.
    let document =
        json!({ "type": "response", "status": 500, "headers": { "a": "b" }, "body": "c" });
    let (seen, response) = ask(Chaos::new().stage(read(&always(&document))), post()).await;
    assert!(seen.is_none() && said(response.headers()).is_empty());
    assert_eq!(
        (response.status().as_u16(), &response.body()[..]),
        (500, &b"c"[..])
    );
    assert_eq!(response.headers()["a"], "b");
    // By default the header is absent.
    let document = json!({ "type": "status", "status": 404 });
    let chaos = Chaos::on(read(&always(&document)));
    let service = chaos.layer(service_fn(async |_: Request<ChaosBody<Body>>| {
        Ok::<_, Infallible>(Response::new(Body::default()))
    }));
    let response = service.oneshot(post()).await.expect("an answer");
    assert!(said(response.headers()).is_empty());
    assert_eq!(response.headers()["x-chaos"], "Status 404");
}

#[test]
fn defaults_are_those_of_http4k() {
    let engine = Chaos::new().engine();
    assert!(!engine.is_enabled());
    assert_eq!(engine.to_string(), "none");
    engine.enable();
    assert_eq!(engine.to_string(), "Wait");
}

// ---- Java's texts

fn latency(text: &str) -> Result<Stage, String> {
    let document = always(&json!({ "type": "latency", "min": "PT0S", "max": text }));
    let stage = document.to_string().parse::<Stage>();
    stage.map_err(|bad| bad.to_string())
}

/// The grammar of `parse` and the text of `toString` in `java.time.Duration`.
#[test]
fn durations_have_the_grammar_of_java() {
    for (text, expected) in [
        ("PT0S", "PT0S"),
        ("PT0.000000001S", "PT0.000000001S"),
        ("PT0.0015S", "PT0.0015S"),
        ("PT0.1S", "PT0.1S"),
        ("PT1.100S", "PT1.1S"),
        ("PT59.999999999S", "PT59.999999999S"),
        ("PT60S", "PT1M"),
        ("PT90S", "PT1M30S"),
        ("PT3600S", "PT1H"),
        ("PT3600.5S", "PT1H0.5S"),
        ("PT1H0.5S", "PT1H0.5S"),
        ("PT1H30M", "PT1H30M"),
        ("PT24H", "PT24H"),
        ("P1D", "PT24H"),
        ("P2DT3H4M", "PT51H4M"),
        ("PT36H", "PT36H"),
        ("P1W", "PT168H"),
        ("pt1h2m3.5s", "PT1H2M3.5S"),
        ("PT1,5S", "PT1.5S"),
        ("PT1.S", "PT1S"),
        ("+PT1S", "PT1S"),
        ("PT+1S", "PT1S"),
        // Each part may have a sign, as long as the sum is not negative.
        ("PT1H-30M", "PT30M"),
        ("-PT-6H+3M", "PT5H57M"),
        ("PT-0.5S", "no"),
        ("PT-1S", "no"),
        ("-PT1S", "no"),
        ("PT1H-61M", "no"),
        // The maximum of Java, and of `Duration`.
        (
            "PT2562047788015215H30M7.999999999S",
            "PT2562047788015215H30M7.999999999S",
        ),
        ("PT9223372036854775807S", "PT2562047788015215H30M7S"),
        (
            "PT18446744073709551615.999999999S",
            "PT5124095576030431H15.999999999S",
        ),
        ("PT18446744073709551616S", "no"),
        ("PT99999999999999999999999999999999999999999999S", "no"),
        ("P", "no"),
        ("PT", "no"),
        ("P1DT", "no"),
        ("PT1", "no"),
        ("P1S", "no"),
        ("PT.5S", "no"),
        ("PT0.1234567890S", "no"),
        ("PT1S1M", "no"),
        ("P1Y", "no"),
        ("", "no"),
        ("1", "no"),
        ("1 parsec", "no"),
        ("ms", "no"),
        // Short forms.
        ("150ms", "PT0.15S"),
        ("1500us", "PT0.0015S"),
        ("1s 500ms", "PT1.5S"),
        ("2h", "PT2H"),
        ("-1s", "no"),
    ] {
        match latency(text) {
            Ok(stage) => {
                let expected = format!("Always Latency (range = PT0S to {expected})");
                assert_eq!(stage.to_string(), expected, "{text}");
                // Round trip.
                assert_eq!(stage.to_document().parse::<Stage>().expect(text), stage);
            }
            Err(bad) => {
                assert_eq!(expected, "no", "{text}: {bad}");
                assert!(bad.starts_with("$.behaviour.max: "), "{bad}");
            }
        }
    }
    for text in ["PT-1S", "-PT1S", "PT1H-61M"] {
        let bad = latency(text).expect_err(text);
        assert!(bad.contains("expected zero or more"), "{bad}");
    }
}

/// The grammar of `parse` and the text of `toString` (0, 3, 6 or 9 digits) in `java.time.Instant`.
#[test]
fn timestamps_have_the_grammar_of_java() {
    for (text, expected) in [
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        ("1970-01-01T00:00:00.1Z", "1970-01-01T00:00:00.100Z"),
        ("1970-01-01T00:00:00.100Z", "1970-01-01T00:00:00.100Z"),
        ("1970-01-01T00:00:00.000100Z", "1970-01-01T00:00:00.000100Z"),
        (
            "1970-01-01T00:00:00.000000001Z",
            "1970-01-01T00:00:00.000000001Z",
        ),
        ("1970-01-01T00:00:00.120000000Z", "1970-01-01T00:00:00.120Z"),
        ("1969-12-31T23:59:59Z", "1969-12-31T23:59:59Z"),
        ("1969-12-31T23:59:59.9Z", "1969-12-31T23:59:59.900Z"),
        ("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999900Z"),
        (
            "1969-12-31T23:59:59.999999999Z",
            "1969-12-31T23:59:59.999999999Z",
        ),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        (
            "9999-12-31T23:59:59.999999999Z",
            "9999-12-31T23:59:59.999999999Z",
        ),
        ("2026-11-20T23:59:59+01:00", "2026-11-20T22:59:59Z"),
        ("2026-11-20t23:59:59z", "2026-11-20T23:59:59Z"),
        ("2026-11-31T23:59:59Z", "no"),
        ("2026-11-20", "no"),
        ("23:59:59Z", "no"),
        ("now", "no"),
        ("", "no"),
    ] {
        let document = json!({
            "type": "wait", "until": { "type": "deadline", "endTime": text },
        });
        match document.to_string().parse::<Stage>() {
            Ok(stage) => {
                assert_eq!(
                    stage.to_string(),
                    format!("Wait until Deadline ({expected})")
                );
                assert_eq!(stage.to_document().parse::<Stage>().expect(text), stage);
            }
            Err(bad) => {
                assert_eq!(
                    (expected, bad.path()),
                    ("no", "$.until.endTime"),
                    "{text}: {bad}"
                );
            }
        }
    }
}

/// Times outside the range of documents, which only code can set.
#[test]
fn extreme_times_have_a_text() {
    let century = Duration::from_hours(100 * 365 * 24);
    for (end, text) in [
        (UNIX_EPOCH - century * 15, "Deadline (0470-12-30T00:00:00Z)"),
        (
            UNIX_EPOCH - century * 200,
            "Deadline (-009999-01-02T01:59:59Z)",
        ),
        (
            UNIX_EPOCH + century * 200,
            "Deadline (9999-12-31T23:59:59.999999999Z)",
        ),
    ] {
        assert_eq!(Trigger::deadline(end).to_string(), text);
    }
    let chaos = Chaos::on(Stage::wait().until(Trigger::delay(Duration::MAX)));
    let text = chaos.engine().to_string();
    assert!(text.starts_with("Wait until Delay (expires 2"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_past_deadline_fires() {
    for (end, is_hit) in [
        (UNIX_EPOCH - Duration::from_secs(1), true),
        (UNIX_EPOCH, true),
        (SystemTime::now() + Duration::from_hours(1), false),
    ] {
        let stage = Stage::when(Trigger::deadline(end), Behavior::no_body());
        tokio::time::advance(Duration::from_millis(1)).await;
        let chaos = Chaos::on(stage);
        tokio::time::advance(Duration::from_millis(1)).await;
        let (_, response) = ask(chaos, post()).await;
        assert_eq!(response.body().is_empty(), is_hit, "{end:?}");
    }
}

// ---- Triggers

#[test]
fn numbers_may_be_strings() {
    for (percentage, text) in [
        (json!(0), "0"),
        (json!("0"), "0"),
        (json!(100), "100"),
        (json!("100"), "100"),
        (json!(50.0), "50"),
        (json!("0.1"), "0.1"),
        (json!(99.9), "99.9"),
        (json!(" 7 "), "7"),
    ] {
        let document = json!({
            "type": "wait", "until": { "type": "percentage", "percentage": percentage },
        });
        let expected = format!("Wait until PercentageBased ({text}%)");
        assert_eq!(read(&document).to_string(), expected);
    }
    for percentage in [
        json!("50%"),
        json!("NaN"),
        json!("inf"),
        json!("-0.1"),
        json!(100.1),
        json!(true),
        json!([]),
        json!(null),
        json!(""),
    ] {
        let document = json!({
            "type": "wait", "until": { "type": "percentage", "percentage": percentage },
        });
        let bad = document
            .to_string()
            .parse::<Stage>()
            .expect_err("it is none");
        assert_eq!(bad.path(), "$.until.percentage", "{bad}");
    }
    for (count, is_one) in [
        (json!(0), true),
        (json!("18446744073709551615"), true),
        (json!("18446744073709551616"), false),
        (json!("1.5"), false),
        (json!(1.5), false),
        (json!("one"), false),
    ] {
        let document = json!({ "type": "wait", "until": { "type": "countdown", "count": count } });
        assert_eq!(
            document.to_string().parse::<Stage>().is_ok(),
            is_one,
            "{document}"
        );
    }
}

#[test]
fn request_triggers_list_each_field() {
    for (field, value, text) in [
        ("method", json!("get"), "method == GET"),
        ("method", json!("bob"), "method == BOB"),
        ("host", json!("h"), "host matches 'h'"),
        ("path", json!("/p.*"), "path matches '/p.*'"),
        ("body", json!("b"), "body matches 'b'"),
        ("queries", json!({ "q": "1" }), "query 'q' matches '1'"),
        (
            "queries",
            json!({ "q": "1", "r": "2" }),
            "query 'q' matches '1' AND query 'r' matches '2'",
        ),
        ("headers", json!({ "h": "1" }), "header 'h' matches '1'"),
        ("queries", json!({}), "anything"),
        ("headers", json!(null), "anything"),
        ("method", json!(null), "anything"),
        ("unknown", json!({ "a": [1] }), "anything"),
    ] {
        let mut until = json!({ "type": "request" });
        until[field] = value;
        let document = json!({ "type": "wait", "until": until });
        assert_eq!(read(&document).to_string(), format!("Wait until {text}"));
    }
}

/// The authority of the URI, or else the `host` header.
#[tokio::test]
async fn hosts_are_matched() {
    for (uri, host, is_hit) in [
        ("/", Some("a.test"), true),
        ("/", Some("b.test"), false),
        ("/", None, false),
        ("http://a.test/", Some("b.test"), true),
        ("http://b.test/", Some("a.test"), false),
        ("http://a.test:80/", None, false),
    ] {
        let requests = Requests::any().host("a.test").expect("a pattern");
        let chaos = Chaos::on(Stage::when(
            Trigger::requests(requests),
            Behavior::no_body(),
        ));
        let mut request = Request::get(uri).body(Body::default()).expect("a request");
        if let Some(host) = host {
            request
                .headers_mut()
                .insert("host", host.parse().expect("a value"));
        }
        let (_, response) = ask(chaos, request).await;
        assert_eq!(response.body().is_empty(), is_hit, "{uri} {host:?}");
    }
}

// ---- Intended differences

/// A countdown counts the evaluations.
#[tokio::test]
async fn a_trigger_is_evaluated_once_per_request() {
    let count = json!({ "type": "countdown", "count": 1_000 });
    let miss = |trigger: &Value| {
        json!({
            "type": "trigger",
            "trigger": { "type": "and", "triggers": [trigger, { "type": "not", "trigger": { "type": "always" } }] },
            "behaviour": { "type": "none" },
        })
    };
    let hit = json!({
        "type": "trigger", "trigger": { "type": "not", "trigger": count }, "behaviour": { "type": "body" },
    });
    let until = json!({ "type": "wait", "until": count });
    for (document, is_reported) in [
        (miss(&count), true),
        (hit.clone(), true),
        (until.clone(), true),
        (json!({ "type": "repeat", "stages": [miss(&count)] }), true),
        (json!({ "type": "repeat", "stages": [hit, until] }), true),
        (
            json!([miss(&json!({ "type": "once" })), miss(&count)]),
            true,
        ),
    ] {
        let chaos = Chaos::new().stage(read(&document));
        let engine = chaos.engine();
        engine.enable();
        for _ in 0..7 {
            ask(chaos.clone(), post()).await;
        }
        let text = engine.to_string();
        assert_eq!(text.contains("(993 remaining)"), is_reported, "{text}");
    }
}

/// A miss does not restart a `repeat`.
#[tokio::test]
async fn a_repeat_restarts_when_its_stages_have_ended() {
    let hit = json!({
        "type": "trigger", "trigger": { "type": "once" }, "behaviour": { "type": "body" },
        "until": { "type": "countdown", "count": 3 },
    });
    let chaos = Chaos::new().stage(read(&json!({ "type": "repeat", "stages": [hit] })));
    let engine = chaos.engine();
    engine.enable();
    let mut hits = Vec::new();
    for _ in 0..9 {
        let (_, response) = ask(chaos.clone(), post()).await;
        hits.push(u8::from(response.body().is_empty()));
    }
    assert_eq!(hits, [1, 0, 0, 1, 0, 0, 1, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn latency_sleeps_before_the_inner_service() {
    let began = tokio::time::Instant::now();
    let asked = Arc::new(AtomicUsize::new(0));
    let inside = asked.clone();
    let chaos = Chaos::on(Behavior::latency(Latency::fixed(Duration::from_secs(1))));
    let service = chaos.layer(service_fn(move |_: Request<ChaosBody<Body>>| {
        assert_eq!(began.elapsed(), Duration::from_secs(1));
        inside.fetch_add(1, Ordering::Relaxed);
        async { Ok::<_, Infallible>(Response::new(Body::default())) }
    }));
    service.oneshot(post()).await.expect("an answer");
    assert_eq!(asked.load(Ordering::Relaxed), 1);
}
