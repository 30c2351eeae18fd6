//! Documents: http4k's grammar and texts, extensions, and errors with their paths.

use serde_json::{Value, json};
use tower_traffic::chaos::{Chaos, ParseDocumentError, Stage};

fn read(document: &Value) -> Result<Stage, ParseDocumentError> {
    document.to_string().parse()
}

/// The text of a behavior, from a stage that always applies it.
fn behavior(behavior: &Value) -> String {
    let stage = json!({
        "type": "trigger", "trigger": { "type": "always" }, "behaviour": behavior,
    });
    let text = read(&stage).unwrap().to_string();
    text.strip_prefix("Always ").unwrap().to_owned()
}

/// The text of a trigger.
fn trigger(trigger: &Value) -> String {
    let stage = json!({ "type": "wait", "until": trigger });
    let text = read(&stage).unwrap().to_string();
    text.strip_prefix("Wait until ").unwrap().to_owned()
}

#[test]
fn behaviors_have_the_texts_of_http4k() {
    for (document, text) in [
        (
            json!({ "type": "latency", "min": "PT0.1S", "max": "PT0.3S" }),
            "Latency (range = PT0.1S to PT0.3S)",
        ),
        (
            json!({ "type": "latency", "min": "100ms", "max": "1m 30s" }),
            "Latency (range = PT0.1S to PT1M30S)",
        ),
        (
            json!({ "type": "throw", "message": "foo" }),
            "ThrowException RuntimeException foo",
        ),
        (
            json!({ "type": "status", "status": 404 }),
            "ReturnStatus (404)",
        ),
        (json!({ "type": "body" }), "SnipBody"),
        (json!({ "type": "snip" }), "SnipBody"),
        (json!({ "type": "sniprequest" }), "SnipRequestBody"),
        (json!({ "type": "none" }), "None"),
        (
            json!({ "type": "response", "status": 500 }),
            "ReturnResponse(500)",
        ),
        (
            json!({ "type": "response", "status": 500, "headers": { "a": "b" }, "body": "c" }),
            "ReturnResponse(500)",
        ),
    ] {
        assert_eq!(behavior(&document), text, "{document}");
    }
}

#[test]
fn behaviors_of_connections_have_their_own_texts() {
    let all = json!({ "type": "all", "behaviours": [
        { "type": "latency", "on": "connection", "min": "1s", "max": "1s" },
        { "type": "refuse" },
    ] });
    for (document, text) in [
        (
            json!({ "type": "none", "on": "connection" }),
            "None of the connection",
        ),
        (
            json!({ "type": "latency", "on": "connection", "min": "PT0.1S", "max": "PT0.3S" }),
            "Latency (range = PT0.1S to PT0.3S) of the connection",
        ),
        (
            json!({ "type": "never", "on": "connection" }),
            "NeverConnect",
        ),
        (json!({ "type": "refuse" }), "RefuseConnection"),
        (
            json!({ "type": "refuse", "on": "connection" }),
            "RefuseConnection",
        ),
        (
            json!({ "type": "throw", "on": "connection", "message": "foo" }),
            "FailConnection foo",
        ),
        (
            json!({ "type": "corrupt", "on": "connection", "percentage": 0.5 }),
            "CorruptConnection (0.5%)",
        ),
        (
            json!({ "type": "slice", "on": "connection", "bytes": 7 }),
            "SliceConnection (7b every PT0S)",
        ),
        (
            json!({ "type": "throttle", "on": "connection", "bytesPerSecond": 10 }),
            "ThrottleConnection (10b a second)",
        ),
        (
            json!({ "type": "stall", "on": "connection", "after": 10 }),
            "StallConnection (after 10b)",
        ),
        (
            json!({ "type": "break", "on": "connection", "after": 10 }),
            "BreakConnection (after 10b)",
        ),
        (
            all,
            "Latency (range = PT1S to PT1S) of the connection and RefuseConnection",
        ),
        // http4k ignores unknown fields.
        (
            json!({ "type": "status", "status": 500, "on": ["bob"] }),
            "ReturnStatus (500)",
        ),
    ] {
        assert_eq!(behavior(&document), text, "{document}");
    }
}

#[test]
fn destructive_behaviors_have_the_texts_of_http4k() {
    for (name, text) in [
        ("memory", "EatMemory"),
        ("overflow", "StackOverflow"),
        ("kill", "KillProcess"),
        ("block", "BlockThread"),
    ] {
        assert_eq!(behavior(&json!({ "type": name })), text);
    }
}

#[test]
fn triggers_have_the_texts_of_http4k() {
    for (document, text) in [
        (json!({ "type": "always" }), "Always"),
        (json!({ "type": "once" }), "Once"),
        (json!({ "type": "once", "trigger": null }), "Once"),
        (
            json!({ "type": "once", "trigger": { "type": "always" } }),
            "Once (trigger = Always)",
        ),
        (
            json!({ "type": "percentage", "percentage": 50 }),
            "PercentageBased (50%)",
        ),
        (
            json!({ "type": "percentage", "percentage": "50" }),
            "PercentageBased (50%)",
        ),
        (
            json!({ "type": "percentage", "percentage": 0.1 }),
            "PercentageBased (0.1%)",
        ),
        (
            json!({ "type": "countdown", "count": 1 }),
            "Countdown (1 remaining)",
        ),
        (
            json!({ "type": "countdown", "count": "1" }),
            "Countdown (1 remaining)",
        ),
        (
            json!({ "type": "deadline", "endTime": "1970-01-01T00:00:00Z" }),
            "Deadline (1970-01-01T00:00:00Z)",
        ),
        (json!({ "type": "request" }), "anything"),
        (
            json!({ "type": "request", "method": "get" }),
            "method == GET",
        ),
        (
            json!({
                "type": "request",
                "method": "GET",
                "host": "h.*",
                "path": "/p",
                "queries": { "q": "1" },
                "headers": { "x": "2" },
                "body": "b+",
            }),
            "method == GET AND host matches 'h.*' AND path matches '/p' AND query 'q' matches '1' \
             AND header 'x' matches '2' AND body matches 'b+'",
        ),
        (
            json!({ "type": "not", "trigger": { "type": "always" } }),
            "NOT Always",
        ),
        (
            json!({ "type": "and", "triggers": [{ "type": "always" }, { "type": "once" }] }),
            "Always AND Once",
        ),
        (
            json!({ "type": "or", "triggers": [{ "type": "always" }, { "type": "once" }] }),
            "Always OR Once",
        ),
    ] {
        assert_eq!(trigger(&document), text, "{document}");
    }
}

#[test]
fn a_delay_shows_its_expiry() {
    let stage = json!({ "type": "wait", "until": { "type": "delay", "period": "PT0.1S" } });
    let chaos = Chaos::on(read(&stage).unwrap());
    let text = chaos.engine().to_string();
    let end = text.strip_prefix("Wait until Delay (expires ").unwrap();
    let end = humantime::parse_rfc3339(end.strip_suffix(')').unwrap()).unwrap();
    let left = end.duration_since(std::time::SystemTime::now());
    assert!(left.unwrap_or_default().as_millis() <= 100);
}

#[test]
fn stages_have_the_texts_of_http4k() {
    let wait = json!({ "type": "wait" });
    let hit = json!({
        "type": "trigger", "trigger": { "type": "always" }, "behaviour": { "type": "none" },
    });
    let until = json!({
        "type": "wait", "until": { "type": "countdown", "count": 2 }, "unknown": [1, 2],
    });
    for (document, text) in [
        (wait.clone(), "Wait"),
        (json!({ "type": "wait", "until": null }), "Wait"),
        (hit.clone(), "Always None"),
        (until.clone(), "Wait until Countdown (2 remaining)"),
        (json!([wait]), "Wait"),
        (json!([wait, hit]), "[Wait] then [Always None]"),
        (
            json!([wait, hit, until]),
            "[[Wait] then [Always None]] then [Wait until Countdown (2 remaining)]",
        ),
        (
            json!({ "type": "repeat", "stages": [wait, hit] }),
            "Repeat [[Wait] then [Always None]]",
        ),
        (
            json!({ "type": "repeat", "stages": [wait], "until": { "type": "once" } }),
            "Repeat [Wait] until Once",
        ),
    ] {
        assert_eq!(read(&document).unwrap().to_string(), text, "{document}");
    }
}

/// Documents with every kind of stage, trigger and behavior.
fn documents() -> Vec<Value> {
    let always = json!({ "type": "always" });
    let behaviors = [
        json!({ "type": "latency", "min": "PT0.1S", "max": "PT0.3S" }),
        json!({ "type": "latency", "distribution": "normal", "mean": "PT1S", "deviation": "PT0.5S" }),
        json!({ "type": "latency", "distribution": "exponential", "mean": "PT1S", "cap": "PT9S" }),
        json!({ "type": "latency", "distribution": "pareto", "min": "PT1S", "shape": 1.5 }),
        json!({ "type": "throw", "message": "a\nb" }),
        json!({ "type": "status", "status": 503 }),
        json!({ "type": "response", "status": 200, "headers": { "a": "b" }, "body": "ü" }),
        json!({ "type": "grpc-status", "status": 14, "message": "später" }),
        json!({ "type": "grpc-status", "status": 0 }),
        json!({ "type": "body" }),
        json!({ "type": "snip" }),
        json!({ "type": "sniprequest" }),
        json!({ "type": "none" }),
        json!({ "type": "never" }),
        json!({ "type": "asked", "atMost": "PT5S" }),
        json!({ "type": "set-header", "on": "request", "name": "a", "value": "b" }),
        json!({ "type": "remove-header", "on": "response", "name": "a" }),
        json!({ "type": "garble-header", "on": "response", "name": "a" }),
        json!({ "type": "corrupt", "on": "response", "percentage": 0.5 }),
        json!({ "type": "slice", "on": "request", "bytes": 1, "every": "PT0.01S" }),
        json!({ "type": "throttle", "on": "response", "bytesPerSecond": 1024 }),
        json!({ "type": "stall", "on": "response", "after": 10 }),
        json!({ "type": "break", "on": "response", "after": 10 }),
        json!({ "type": "drop-trailers", "on": "response" }),
        json!({ "type": "misstate-length", "on": "response", "by": -3 }),
        json!({ "type": "all", "behaviours": [{ "type": "snip" }, { "type": "never" }] }),
        json!({ "type": "none", "on": "connection" }),
        json!({ "type": "latency", "on": "connection", "min": "PT0.1S", "max": "PT0.3S", "cap": "PT1S" }),
        json!({ "type": "throw", "on": "connection", "message": "bob" }),
        json!({ "type": "never", "on": "connection" }),
        json!({ "type": "refuse", "on": "connection" }),
        json!({ "type": "corrupt", "on": "connection", "percentage": 50 }),
        json!({ "type": "slice", "on": "connection", "bytes": 1, "every": "PT0.01S" }),
        json!({ "type": "throttle", "on": "connection", "bytesPerSecond": 1024 }),
        json!({ "type": "stall", "on": "connection", "after": 10 }),
        json!({ "type": "break", "on": "connection", "after": 10 }),
        json!({ "type": "all", "behaviours": [
            { "type": "throttle", "on": "connection", "bytesPerSecond": 1024 },
            { "type": "break", "on": "connection", "after": 10 },
        ] }),
    ];
    let triggers = [
        always.clone(),
        json!({ "type": "once" }),
        json!({ "type": "once", "trigger": always }),
        json!({ "type": "percentage", "percentage": 50 }),
        json!({ "type": "percentage", "percentage": 0.25 }),
        json!({ "type": "countdown", "count": 3 }),
        json!({ "type": "delay", "period": "PT1H2M3.5S" }),
        json!({ "type": "deadline", "endTime": "2030-01-01T00:00:00Z" }),
        json!({ "type": "request" }),
        json!({ "type": "request", "method": "GET", "queries": { "a": "b" }, "headers": { "c": "d" } }),
        json!({ "type": "not", "trigger": always }),
        json!({ "type": "and", "triggers": [always, always] }),
        json!({ "type": "or", "triggers": [always, always] }),
        json!({ "type": "nth", "n": 7 }),
        json!({ "type": "ramp", "from": 0, "to": 100, "over": "PT1M" }),
        json!({ "type": "window", "from": "PT0S", "to": "PT1M" }),
        json!({ "type": "client", "network": "10.0.0.0/8" }),
        json!({ "type": "route", "route": "/users/{id}" }),
        json!({ "type": "asked" }),
        json!({ "type": "status", "from": 500, "to": 599 }),
    ];
    let mut all: Vec<_> = behaviors
        .iter()
        .map(|behavior| json!({ "type": "trigger", "trigger": always, "behaviour": behavior }))
        .chain(triggers.iter().map(|trigger| {
            json!({ "type": "trigger", "trigger": trigger, "behaviour": { "type": "none" } })
        }))
        .chain(triggers.iter().map(|trigger| json!({ "type": "wait", "until": trigger })))
        .collect();
    let stages = json!({ "type": "repeat", "stages": all, "until": always });
    let list = Value::Array(all.clone());
    all.extend([stages, list]);
    all
}

#[test]
fn documents_survive_a_round_trip() {
    for document in documents() {
        let stage = read(&document).unwrap_or_else(|bad| panic!("{bad}: {document}"));
        assert_eq!(serde_json::to_value(&stage).unwrap(), document);
        let again: Stage = serde_json::from_value(document).unwrap();
        assert_eq!(again, stage);
        assert_eq!(stage.to_document().parse::<Stage>().unwrap(), stage);
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn errors_have_a_path_and_a_reason() {
    let hit = |trigger: Value, behavior: Value| json!({ "type": "trigger", "trigger": trigger, "behaviour": behavior });
    let always = || json!({ "type": "always" });
    let none = || json!({ "type": "none" });
    for (document, path, reason) in [
        (json!(1), "$", "an object"),
        (json!([]), "$", "one or more"),
        (json!([1]), "$[0]", "an object"),
        (json!({}), "$.type", "missing"),
        (json!({ "type": "bob" }), "$.type", "wait, trigger, repeat"),
        (json!({ "type": "repeat" }), "$.stages", "one or more"),
        (
            json!({ "type": "repeat", "stages": [] }),
            "$.stages",
            "one or more",
        ),
        (
            json!({ "type": "repeat", "stages": [{ "type": 7 }] }),
            "$.stages[0].type",
            "found 7",
        ),
        (
            json!({ "type": "wait", "until": 3 }),
            "$.until",
            "an object",
        ),
        (
            json!([{ "type": "wait" }, hit(json!({ "type": "bob" }), none())]),
            "$[1].trigger.type",
            "bob",
        ),
        (
            hit(always(), json!({ "type": "bob" })),
            "$.behaviour.type",
            "bob",
        ),
        (
            json!({ "type": "trigger", "behaviour": none() }),
            "$.trigger",
            "missing",
        ),
        (
            json!({ "type": "trigger", "trigger": always() }),
            "$.behaviour",
            "missing",
        ),
        (
            hit(always(), json!({ "type": "latency", "min": "PT1S" })),
            "$.behaviour.max",
            "missing",
        ),
        (
            hit(
                always(),
                json!({ "type": "latency", "min": "-PT1S", "max": "PT1S" }),
            ),
            "$.behaviour.min",
            "zero or more",
        ),
        (
            hit(
                always(),
                json!({ "type": "latency", "min": "PT-1S", "max": "PT1S" }),
            ),
            "$.behaviour.min",
            "zero or more",
        ),
        (
            hit(
                always(),
                json!({ "type": "latency", "min": "-5ms", "max": "PT1S" }),
            ),
            "$.behaviour.min",
            "zero or more",
        ),
        (
            hit(always(), json!({ "type": "latency" })),
            "$.behaviour.min",
            "missing duration",
        ),
        (
            hit(json!({ "type": "countdown" }), none()),
            "$.trigger.count",
            "missing count",
        ),
        (
            hit(json!({ "type": "countdown", "count": [] }), none()),
            "$.trigger.count",
            "found an array",
        ),
        (
            hit(always(), json!({ "type": "misstate-length" })),
            "$.behaviour.by",
            "missing difference",
        ),
        (
            hit(
                json!({ "type": "window", "from": "1s", "to": "1s" }),
                none(),
            ),
            "$.trigger.to",
            "later than `from`",
        ),
        (
            hit(
                always(),
                json!({ "type": "latency", "min": "bob", "max": "PT1S" }),
            ),
            "$.behaviour.min",
            "invalid duration",
        ),
        (
            hit(
                always(),
                json!({ "type": "latency", "min": "PT2S", "max": "PT1S" }),
            ),
            "$.behaviour.max",
            "`min` or longer",
        ),
        (
            hit(
                always(),
                json!({ "type": "latency", "distribution": "bob" }),
            ),
            "$.behaviour.distribution",
            "pareto",
        ),
        (
            hit(always(), json!({ "type": "status", "status": 42 })),
            "$.behaviour.status",
            "42",
        ),
        (
            hit(always(), json!({ "type": "status", "status": 100 })),
            "$.behaviour.status",
            "100",
        ),
        (
            hit(always(), json!({ "type": "status" })),
            "$.behaviour.status",
            "missing status",
        ),
        (
            hit(always(), json!({ "type": "throw" })),
            "$.behaviour.message",
            "missing",
        ),
        (
            hit(
                always(),
                json!({ "type": "response", "status": 200, "headers": { "a b": "c" } }),
            ),
            "$.behaviour.headers[\"a b\"]",
            "name",
        ),
        (
            hit(
                always(),
                json!({ "type": "response", "status": 200, "headers": { "a": "b\n" } }),
            ),
            "$.behaviour.headers.a",
            "value",
        ),
        (
            hit(
                always(),
                json!({ "type": "stall", "on": "bob", "after": 1 }),
            ),
            "$.behaviour.on",
            "bob",
        ),
        (
            hit(
                always(),
                json!({ "type": "stall", "on": ["connection"], "after": 1 }),
            ),
            "$.behaviour.on",
            "an array",
        ),
        (
            hit(
                always(),
                json!({ "type": "status", "on": "connection", "status": 500 }),
            ),
            "$.behaviour.on",
            "expected request or response for `status`",
        ),
        (
            hit(
                always(),
                json!({ "type": "drop-trailers", "on": "connection" }),
            ),
            "$.behaviour.on",
            "one of response, request",
        ),
        (
            hit(always(), json!({ "type": "bob", "on": "connection" })),
            "$.behaviour.type",
            "bob",
        ),
        (
            hit(always(), json!({ "type": "refuse", "on": "request" })),
            "$.behaviour.on",
            "one of connection",
        ),
        (
            hit(
                always(),
                json!({ "type": "throttle", "on": "connection", "bytesPerSecond": 0 }),
            ),
            "$.behaviour.bytesPerSecond",
            "above 0",
        ),
        (
            hit(
                always(),
                json!({ "type": "all", "behaviours": [none(), { "type": "refuse" }] }),
            ),
            "$.behaviour.behaviours[1]",
            "one for requests",
        ),
        (
            hit(
                always(),
                json!({ "type": "all", "behaviours": [{ "type": "refuse" }, none()] }),
            ),
            "$.behaviour.behaviours[1]",
            "one for connections",
        ),
        (
            hit(always(), json!({ "type": "throttle", "bytesPerSecond": 0 })),
            "$.behaviour.bytesPerSecond",
            "above 0",
        ),
        (
            hit(json!({ "type": "percentage", "percentage": 101 }), none()),
            "$.trigger.percentage",
            "0 to 100",
        ),
        (
            hit(json!({ "type": "percentage", "percentage": -1 }), none()),
            "$.trigger.percentage",
            "0 to 100",
        ),
        (
            hit(json!({ "type": "percentage" }), none()),
            "$.trigger.percentage",
            "missing",
        ),
        (
            hit(json!({ "type": "countdown", "count": 1.5 }), none()),
            "$.trigger.count",
            "whole",
        ),
        (
            hit(json!({ "type": "countdown", "count": -1 }), none()),
            "$.trigger.count",
            "whole",
        ),
        (
            hit(json!({ "type": "delay", "period": "PT" }), none()),
            "$.trigger.period",
            "invalid duration",
        ),
        (
            hit(json!({ "type": "deadline", "endTime": "tomorrow" }), none()),
            "$.trigger.endTime",
            "invalid timestamp",
        ),
        (
            hit(json!({ "type": "request", "path": "(" }), none()),
            "$.trigger.path",
            "regular expression",
        ),
        (
            hit(json!({ "type": "request", "path": "a)(b" }), none()),
            "$.trigger.path",
            "regular expression",
        ),
        (
            hit(
                json!({ "type": "request", "headers": { "a": "(.{1000}){1000}" } }),
                none(),
            ),
            "$.trigger.headers.a",
            "regular expression",
        ),
        (
            hit(json!({ "type": "not" }), none()),
            "$.trigger.trigger",
            "missing",
        ),
        (
            hit(json!({ "type": "and", "triggers": [] }), none()),
            "$.trigger.triggers",
            "one or more",
        ),
        (
            hit(
                json!({ "type": "window", "from": "2s", "to": "1s" }),
                none(),
            ),
            "$.trigger.to",
            "expected",
        ),
        (
            hit(
                json!({ "type": "client", "network": "10.0.0.0/33" }),
                none(),
            ),
            "$.trigger.network",
            "10.0.0.0/33",
        ),
        (
            hit(json!({ "type": "status", "from": 500, "to": 400 }), none()),
            "$.trigger.to",
            "expected",
        ),
        (
            hit(json!({ "type": "nth", "n": 0 }), none()),
            "$.trigger.n",
            "above 0",
        ),
    ] {
        let bad = read(&document).unwrap_err();
        assert_eq!(bad.path(), path, "{document}: {bad}");
        assert!(bad.reason().contains(reason), "{document}: {bad}");
        let text = bad.to_string();
        assert!(text.starts_with(path), "{text}");
        let of_serde = serde_json::from_value::<Stage>(document).unwrap_err();
        assert_eq!(of_serde.to_string(), text);
    }
}

#[test]
fn errors_shorten_a_huge_pattern() {
    let pattern = "(ä|b)*".repeat(100_000);
    let requests = json!({ "type": "request", "path": pattern });
    let bad = read(&json!({ "type": "wait", "until": requests })).unwrap_err();
    assert_eq!(bad.path(), "$.until.path");
    assert!(bad.reason().ends_with("size limit"), "{bad}");
    assert!(bad.reason().len() < 250, "{bad}");
}

#[test]
fn invalid_json_is_an_error() {
    let bad = "".parse::<Stage>().unwrap_err();
    assert_eq!(
        bad.to_string(),
        "$: missing document: expected a stage or an array of stages"
    );
    for text in ["bob", "{", "[{\"type\":\"wait\"}", "\u{0}"] {
        let bad = text.parse::<Stage>().unwrap_err();
        assert_eq!(bad.path(), "$");
        assert!(bad.reason().contains("invalid JSON"), "{bad}");
    }
    for open in ["[", "{\"type\":\"not\",\"trigger\":", "{\"a\":"] {
        let text = open.repeat((1 << 20) / open.len());
        assert!(text.parse::<Stage>().is_err());
    }
}

#[test]
fn a_name_given_twice_is_an_error_with_its_path() {
    let hit = |trigger: &str, behavior: &str| {
        format!(r#"{{"type": "trigger", "trigger": {trigger}, "behaviour": {behavior}}}"#)
    };
    let always = r#"{"type": "always"}"#;
    let none = r#"{"type": "none"}"#;
    for (document, path) in [
        (r#"{"type": "wait", "type": "wait"}"#.to_owned(), "$.type"),
        (
            r#"{"type": "wait", "unknown": 1, "unknown": 2}"#.to_owned(),
            "$.unknown",
        ),
        (
            r#"[{"type": "wait"}, {"type": "wait", "until": null, "until": null}]"#.to_owned(),
            "$[1].until",
        ),
        (
            hit(
                r#"{"type": "request", "headers": {"a": "x", "a": "y"}}"#,
                none,
            ),
            "$.trigger.headers.a",
        ),
        (
            hit(
                r#"{"type": "request", "queries": {"a b": "x", "a b": "x"}}"#,
                none,
            ),
            r#"$.trigger.queries["a b"]"#,
        ),
        (
            hit(
                r#"{"type": "and", "triggers": [{"type": "nth", "n": 1, "n": 2}]}"#,
                none,
            ),
            "$.trigger.triggers[0].n",
        ),
        (
            hit(
                always,
                r#"{"type": "response", "status": 200, "headers": {"a": "b", "a": "b"}}"#,
            ),
            "$.behaviour.headers.a",
        ),
        // Names of headers have no case.
        (
            hit(
                always,
                r#"{"type": "response", "status": 200, "headers": {"A": "b", "a": "b"}}"#,
            ),
            "$.behaviour.headers.a",
        ),
    ] {
        let bad = document.parse::<Stage>().unwrap_err();
        assert_eq!(bad.path(), path, "{document}");
        assert!(bad.reason().contains("duplicate"), "{bad}");
        let of_serde = serde_json::from_str::<Stage>(&document)
            .unwrap_err()
            .to_string();
        assert!(of_serde.contains(path), "{of_serde}");
    }
    let twice = r#"[{"ordinal": 1, "ordinal": 2, "seed": "1", "behaviour": {"type": "none"}}]"#;
    let bad = tower_traffic::chaos::Decision::list_from_json(twice).unwrap_err();
    assert_eq!(bad.path(), "$[0].ordinal");
}

#[test]
fn conditions_on_one_part_are_written_as_several_triggers() {
    use tower_traffic::chaos::{Behavior, Requests, Trigger};

    let requests = Requests::any()
        .header("a", "x.*")
        .unwrap()
        .header("a", ".*y")
        .unwrap();
    let stage = Stage::when(Trigger::requests(requests), Behavior::none());
    let document: Value = serde_json::from_str(&stage.to_document()).unwrap();
    assert_eq!(
        document["trigger"],
        json!({"type": "and", "triggers": [
            {"type": "request", "headers": {"a": "x.*"}},
            {"type": "request", "headers": {"a": ".*y"}},
        ]})
    );
}

#[test]
fn patterns_that_would_take_long_are_errors() {
    let hit = |requests: Value| {
        json!({
            "type": "trigger", "trigger": requests, "behaviour": { "type": "none" },
        })
    };
    for pattern in ["(a|b)*a(a|b){12}", "(.{1,100}){1,100}", "(a{1,100}){1,100}"] {
        let document = hit(json!({ "type": "request", "headers": { "a": pattern } }));
        let bad = read(&document).unwrap_err();
        assert_eq!(bad.path(), "$.trigger.headers.a");
        assert!(bad.reason().contains("size limit"), "{bad}");
    }
    for pattern in [
        "/users/[0-9]+/orders/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        r"(?i).*\.example\.(com|org)",
        ".*(timeout|deadline|unavailable).*",
        r"[\w.+-]+@[\w-]+(\.[\w-]+)+",
        // Its automaton is small: the time of a match does not depend on the pattern.
        ".*(?:[a-e]{1,50}){1,40}x",
        ".{0,50}",
        "[^/]{1,40}",
        "Mozilla/.*(Chrome|Firefox)/[0-9]{2,3}.*",
        r"\{.*\x22id\x22: ?[0-9]+.*\}",
    ] {
        let _ = read(&hit(json!({ "type": "request", "body": pattern }))).unwrap();
    }
}

#[test]
fn patterns_for_the_same_text_are_limited() {
    let all = |requests: Vec<Value>| {
        let triggers: Vec<_> = requests
            .into_iter()
            .map(|mut fields| {
                fields["type"] = "request".into();
                fields
            })
            .collect();
        read(&json!({ "type": "wait", "until": { "type": "or", "triggers": triggers } }))
    };
    let paths = |count: usize, pattern: &dyn Fn(usize) -> String| {
        all((0..count).map(|n| json!({ "path": pattern(n) })).collect())
    };
    let _ = paths(3, &|n| format!(".*{n}.*")).unwrap();
    let bad = paths(4, &|n| format!(".*{n}.*")).unwrap_err();
    assert_eq!(bad.path(), "$");
    assert!(
        bad.reason().contains("at most 3") && bad.reason().contains("`path`"),
        "{bad}"
    );
    paths(4, &|n| format!("/a{}.*", "a".repeat(n))).unwrap_err();
    paths(4, &|_| "/same/.*".to_owned()).unwrap_err();
    // Each begins with other text, or reads no further than its own length.
    let _ = paths(100, &|n| format!("/route-{n}/.*")).unwrap();
    let _ = paths(100, &|n| format!(".{n}{{2,3}}")).unwrap();
    // Of other parts, and of other headers.
    let headers = |name: &dyn Fn(usize) -> String| {
        all((0..50)
            .map(|n| json!({ "headers": { name(n): ".*a" } }))
            .collect())
    };
    let _ = headers(&|n| format!("x-{n}")).unwrap();
    headers(&|n| if n % 2 == 0 { "x" } else { "X" }.to_owned()).unwrap_err();
}

#[test]
fn an_american_spelling_is_an_error_that_names_the_field() {
    let behavior = json!({ "type": "none" });
    let always = json!({ "type": "always" });
    let bad = read(&json!({ "type": "trigger", "trigger": always, "behavior": behavior }));
    let bad = bad.unwrap_err();
    assert_eq!(bad.path(), "$.behavior");
    assert_eq!(
        bad.reason(),
        "unknown field `behavior`: expected `behaviour`"
    );
    let all = json!({ "type": "all", "behaviors": [behavior] });
    let bad = read(&json!({ "type": "trigger", "trigger": always, "behaviour": all }));
    assert_eq!(bad.unwrap_err().path(), "$.behaviour.behaviors");
}
