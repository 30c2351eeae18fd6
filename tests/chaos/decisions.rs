//! Decisions: their JSON, and their repetition.

use std::time::Duration;

use axum::{Router, body::Body, extract::Request, response::Response, routing::get};
use http_body_util::BodyExt;
use tower::ServiceExt;
use tower_traffic::chaos::{
    Behavior, Chaos, ChaosEngine, Decision, Latency, Message, Stage, Trigger,
};

const TEXT: &str = "The quick brown fox jumps over the lazy dog";

fn app(chaos: Chaos) -> Router {
    Router::new().route("/", get(async || TEXT)).layer(chaos)
}

/// The visible part of a response, and its delay.
async fn answers(app: &Router, count: usize) -> Vec<(u16, Option<String>, Vec<u8>, Duration)> {
    let mut answers = Vec::new();
    for _ in 0..count {
        let begun = tokio::time::Instant::now();
        let request = Request::get("/").body(Body::empty()).unwrap();
        let response: Response = app.clone().oneshot(request).await.unwrap();
        let said = response.headers().get("x-chaos").cloned();
        answers.push((
            response.status().as_u16(),
            said.map(|said| said.to_str().unwrap().to_owned()),
            response
                .into_body()
                .collect()
                .await
                .unwrap()
                .to_bytes()
                .to_vec(),
            begun.elapsed(),
        ));
    }
    answers
}

fn stage() -> Stage {
    let ms = Duration::from_millis;
    Stage::when(
        Trigger::percentage(30.0),
        Behavior::latency(Latency::exponential(ms(50)).max(ms(400)))
            .and(Behavior::corrupt(Message::Response, 20.0)),
    )
    .then(Stage::when(
        Trigger::percentage(30.0),
        Behavior::snip_body(),
    ))
}

#[tokio::test(start_paused = true)]
async fn decisions_are_repeated_from_json() {
    let chaos = Chaos::new().stage(stage());
    let engine = chaos.engine();
    engine.enable();
    let first = app(chaos);
    let before = answers(&first, 200).await;
    let log = serde_json::to_string(&engine.decisions()).unwrap();
    assert!(before.iter().any(|answer| answer.3 > Duration::ZERO));
    assert!(before.iter().any(|answer| answer.2.len() < TEXT.len()));

    let decisions = Decision::list_from_json(&log).unwrap();
    assert_eq!(decisions, engine.decisions());
    engine.enable_again(decisions.clone());
    assert_eq!((engine.stats().affected, engine.decisions().len()), (0, 0));
    assert_eq!(answers(&first, 200).await, before);
    assert_eq!(engine.decisions(), decisions);

    // Another seed, and no stages.
    let chaos = Chaos::new();
    chaos.engine().enable_again(decisions);
    let text = format!("Again ({} decisions)", engine.decisions().len());
    assert_eq!(chaos.engine().to_string(), text);
    assert_eq!(answers(&app(chaos), 200).await, before);
}

#[test]
fn a_decision_round_trips_as_json() {
    let json = serde_json::json!({
        "ordinal": 3,
        "on": "request",
        "seed": "18446744073709551615",
        "behaviour": { "type": "status", "status": 503 },
        "delay": "PT0S",
        "text": "Status 503",
    });
    let decision: Decision = serde_json::from_value(json.clone()).unwrap();
    assert_eq!(decision.seed, u64::MAX);
    assert_eq!(serde_json::to_value(&decision).unwrap(), json);

    let short = r#"[{"ordinal": 0, "seed": 7, "behaviour": {"type": "status", "status": 503}}]"#;
    let decisions = Decision::list_from_json(short).unwrap();
    assert_eq!(&*decisions[0].text, "ReturnStatus (503)");
    assert!(Decision::list_from_json("[]").unwrap().is_empty());
}

#[test]
fn an_invalid_log_has_a_path_and_a_reason() {
    let good = r#"{"ordinal": 0, "seed": "7", "behaviour": {"type": "snip"}}"#;
    for (log, path, reason) in [
        (String::new(), "$", "an array of decisions"),
        ("[".to_owned(), "$", "invalid JSON: EOF"),
        (
            good.to_owned(),
            "$",
            "invalid decisions: expected an array, found an object",
        ),
        (
            format!("[{good}, 3]"),
            "$[1]",
            "expected an object, found 3",
        ),
        (
            format!("[{good}, {good}]"),
            "$[1].ordinal",
            "duplicate ordinal: expected one decision for 0",
        ),
        (
            good_but("\"7\"", "\"x\""),
            "$[0].seed",
            "expected a whole number of 0 or more, found `x`",
        ),
        (
            good_but("0,", "-1,"),
            "$[0].ordinal",
            "expected a whole number of 0 or more, found -1",
        ),
        (
            good_but("snip", "snap"),
            "$[0].behaviour.type",
            "found `snap`",
        ),
        (
            good_but("{\"ordinal", "{\"on\": \"cat\", \"ordinal"),
            "$[0].on",
            "found `cat`",
        ),
        (
            good_but("{\"ordinal", "{\"on\": \"connection\", \"ordinal"),
            "$[0].behaviour",
            "invalid behavior: expected one for connections, as in `on`",
        ),
        (
            good_but("{\"ordinal", "{\"delay\": \"-1s\", \"ordinal"),
            "$[0].delay",
            "-1s",
        ),
    ] {
        let bad = Decision::list_from_json(&log).unwrap_err();
        assert_eq!(bad.path(), path, "{log}: {bad}");
        assert!(bad.reason().contains(reason), "{log}: {bad}");
    }
}

fn good_but(this: &str, other: &str) -> String {
    let good = r#"[{"ordinal": 0, "seed": "7", "behaviour": {"type": "snip"}}]"#;
    assert!(good.contains(this));
    good.replacen(this, other, 1)
}

#[tokio::test]
async fn max_decisions_are_kept() {
    async fn kept(chaos: Chaos) -> Vec<u64> {
        let engine: ChaosEngine = chaos.engine();
        engine.enable_with(Behavior::no_body());
        answers(&app(chaos), 1_010).await;
        engine
            .decisions()
            .iter()
            .map(|decision| decision.ordinal)
            .collect()
    }
    assert_eq!(kept(Chaos::new()).await, (10..1_010).collect::<Vec<_>>());
    assert_eq!(kept(Chaos::new().max_decisions(2)).await, [1_008, 1_009]);
    assert!(kept(Chaos::new().max_decisions(0)).await.is_empty());
}
