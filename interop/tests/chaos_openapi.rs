//! The OpenAPI document of the control API: its schemas allow exactly the documents that are
//! accepted.

use std::collections::BTreeSet;

use axum::{Router, body::Body};
use http::Request;
use http_body_util::BodyExt;
use jsonschema::Validator;
use serde_json::{Value, json};
use tower::ServiceExt;
use tower_traffic::chaos::{Chaos, ChaosApi, Stage};

async fn described(app: Router, path: &str) -> Value {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 200);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    serde_json::from_slice(&body).unwrap()
}

fn api() -> ChaosApi {
    ChaosApi::new(&Chaos::new().engine())
}

async fn schemas() -> Value {
    let mut api = described(api().router(), "/chaos").await;
    api["components"]["schemas"].take()
}

fn validator(schemas: &Value) -> Validator {
    let schema = json!({
        "$ref": "#/components/schemas/Document",
        "components": {"schemas": schemas},
    });
    jsonschema::options()
        .should_validate_formats(true)
        .build(&schema)
        .unwrap()
}

fn read(document: &Value) -> Result<Stage, String> {
    let read = document.to_string().parse::<Stage>();
    read.map_err(|bad| bad.to_string())
}

/// A document that contains a part of this family.
fn document_of(family: &str, part: &Value) -> Value {
    match family {
        "Stage" => part.clone(),
        "Trigger" => json!({"type": "wait", "until": part}),
        _ => json!({"type": "trigger", "trigger": {"type": "always"}, "behaviour": part}),
    }
}

const FAMILIES: [&str; 3] = ["Stage", "Trigger", "Behavior"];

/// The types of a family, with their schemas.
fn kinds<'a>(schemas: &'a Value, family: &str) -> Vec<(&'a str, &'a Value)> {
    let mapping = schemas[family]["discriminator"]["mapping"].as_object();
    let kinds = mapping.unwrap().iter().map(|(kind, at)| {
        let name = at.as_str().unwrap().rsplit('/').next().unwrap();
        (kind.as_str(), &schemas[name])
    });
    kinds.collect()
}

#[tokio::test]
async fn schemas_have_every_type() {
    let schemas = schemas().await;
    for family in FAMILIES {
        assert_eq!(schemas[family]["discriminator"]["propertyName"], "type");
        let unknown = document_of(family, &json!({"type": "?"}));
        let error = read(&unknown).unwrap_err();
        let (_, known) = error.split_once("expected one of ").unwrap();
        let (known, _) = known.split_once(", found").unwrap();
        let known: BTreeSet<_> = known.split(", ").collect();
        let kinds = kinds(&schemas, family);
        let described: BTreeSet<_> = kinds.iter().map(|(kind, _)| *kind).collect();
        assert_eq!(described, known, "{family}");
        let of_one = schemas[family]["oneOf"].as_array().unwrap();
        assert_eq!(of_one.len(), known.len(), "{family}");
    }
}

#[tokio::test]
async fn examples_are_valid() {
    let schemas = schemas().await;
    let validator = validator(&schemas);
    for family in FAMILIES {
        for (kind, schema) in kinds(&schemas, family) {
            let example = &schema["examples"][0];
            assert_eq!(example["type"], kind);
            let document = document_of(family, example);
            assert!(validator.is_valid(&document), "{document}");
            let stage = read(&document).unwrap();
            // The written document is valid, too.
            let written = serde_json::to_value(&stage).unwrap();
            assert!(validator.is_valid(&written), "{written}");
        }
    }
}

/// Parts of documents, with their family.
#[rustfmt::skip]
fn samples() -> Vec<(&'static str, Value)> {
    let stage = |value| ("Stage", value);
    let trigger = |value| ("Trigger", value);
    let behavior = |value| ("Behaviour", value);
    let latency = |min: &str| behavior(json!({"type": "latency", "min": min, "max": "9w"}));
    let delay = |period: Value| trigger(json!({"type": "delay", "period": period}));
    let mut samples = vec![
        stage(json!({"type": "wait", "until": null, "more": {"is": ["ignored"]}})),
        stage(json!([{"type": "wait"}, {"type": "wait", "until": {"type": "once"}}])),
        stage(json!([])),
        stage(json!("wait")),
        stage(json!(null)),
        stage(json!([[{"type": "wait"}]])),
        stage(json!({"type": "Wait"})),
        stage(json!({"type": "repeat", "stages": {}})),
        stage(json!({"type": "repeat", "stages": []})),
        stage(json!({"type": "repeat", "stages": [{"type": "wait"}], "until": {"type": "always"}})),
        trigger(json!({"type": "once", "trigger": null})),
        trigger(json!({"type": "once", "trigger": {}})),
        trigger(json!({"type": "not"})),
        trigger(json!({"type": "and", "triggers": [{"type": "always"}]})),
        trigger(json!({"type": "or", "triggers": []})),
        trigger(json!({"type": "deadline", "endTime": "2026-11-20T23:59:59Z"})),
        trigger(json!({"type": "deadline", "endTime": "2026-11-20T23:59:59.123456789+01:00"})),
        trigger(json!({"type": "deadline", "endTime": "2026-11-20"})),
        trigger(json!({"type": "deadline", "endTime": 0})),
        trigger(json!({"type": "request"})),
        trigger(json!({"type": "request", "method": "get", "path": null, "host": 5, "body": true})),
        trigger(json!({"type": "request", "queries": {"a b": "c", "d": 1}, "headers": {}})),
        trigger(json!({"type": "request", "queries": {"a": null}})),
        trigger(json!({"type": "request", "headers": ["a"]})),
        trigger(json!({"type": "request", "path": {}})),
        trigger(json!({"type": "window", "from": "0", "to": "1s"})),
        trigger(json!({"type": "window", "from": 0, "to": 1})),
        trigger(json!({"type": "ramp", "from": 0, "to": "12.5", "over": "PT1M"})),
        trigger(json!({"type": "ramp", "from": 0, "to": 100})),
        trigger(json!({"type": "route", "route": "/users/{id}"})),
        trigger(json!({"type": "route"})),
        trigger(json!({"type": "status", "status": 500})),
        trigger(json!({"type": "status", "status": "500", "from": "ignored"})),
        trigger(json!({"type": "status", "status": null, "from": 500, "to": "599"})),
        trigger(json!({"type": "status", "from": 500})),
        trigger(json!({"type": "status"})),
        behavior(json!({"type": "latency", "min": "1s"})),
        behavior(json!({"type": "latency", "min": 0, "max": "1s", "distribution": null, "cap": null})),
        behavior(json!({"type": "latency", "time": "1s", "distribution": "fixed", "on": "connection"})),
        behavior(json!({"type": "latency", "time": "1s", "distribution": "steady"})),
        behavior(json!({"type": "latency", "min": "1s", "max": "2s", "on": "toast"})),
        behavior(json!({"type": "latency", "distribution": "normal", "mean": "1s"})),
        behavior(json!({"type": "latency", "distribution": "pareto", "min": "1s", "shape": 0})),
        behavior(json!({"type": "latency", "distribution": "pareto", "min": "1s", "shape": "0.5", "cap": "1m"})),
        behavior(json!({"type": "throw", "message": 5})),
        behavior(json!({"type": "throw", "message": null})),
        behavior(json!({"type": "response", "status": 200})),
        behavior(json!({"type": "response", "status": 200, "headers": {"a": "ä", "b": 1}, "body": null})),
        behavior(json!({"type": "response", "status": 200, "headers": {"a b": "c"}})),
        behavior(json!({"type": "response", "status": 200, "headers": {"a": "b\nc"}})),
        behavior(json!({"type": "refuse"})),
        behavior(json!({"type": "refuse", "on": "connection"})),
        behavior(json!({"type": "refuse", "on": "request"})),
        behavior(json!({"type": "set-header", "name": "a", "value": "b", "on": "connection"})),
        behavior(json!({"type": "set-header", "name": "", "value": "b"})),
        behavior(json!({"type": "set-header", "name": true, "value": 1.5, "on": null})),
        behavior(json!({"type": "slice", "bytes": 0})),
        behavior(json!({"type": "slice", "bytes": "1", "every": "1ms", "on": "request"})),
        behavior(json!({"type": "misstate-length", "by": "-3"})),
        behavior(json!({"type": "misstate-length", "by": 1.5})),
        behavior(json!({"type": "drop-trailers", "on": "connection"})),
        behavior(json!({"type": "all", "behaviors": [{"type": "none"}]})),
        behavior(json!({"type": "all", "behaviors": []})),
        behavior(json!({"type": "corrupt", "percentage": -1})),
    ];
    for count in [json!(0), json!(-1), json!("0"), json!("+7"), json!(3.0), json!(3.5), json!(true),
                  json!(u64::MAX), json!(null), json!(""), json!("x"), json!([1])] {
        samples.push(trigger(json!({"type": "countdown", "count": count})));
        samples.push(trigger(json!({"type": "nth", "n": count})));
    }
    for percent in [json!(0), json!(100), json!(0.5), json!("50"), json!("0.5"), json!("100.0"),
                    json!(".5"), json!(100.1), json!("101"), json!("-1"), json!("5%"), json!(true)] {
        samples.push(trigger(json!({"type": "percentage", "percentage": percent})));
    }
    for status in [json!(199), json!(200), json!(999), json!(1000), json!("404"), json!("42"),
                   json!(404.0), json!(404.5), json!(null)] {
        samples.push(behavior(json!({"type": "status", "status": status})));
    }
    for network in ["10.0.0.0/8", "10.0.0.0/33", "10.0.0.256", "127.0.0.1", "::", "::1/128", "::1/129",
                    "fe80::/10", "1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1::8",
                    "1:2:3:4:5:6:7", "1::2::3", "g::", "localhost", ""] {
        samples.push(trigger(json!({"type": "client", "network": network})));
    }
    for time in ["PT0.1S", "PT0S", "P1D", "P1W", "P1W2D", "P1DT2H3M4.5S", "PT1H30M", "pt1,5s", "+PT1S",
                 "PT1.S", "P", "PT", "P1DT", "PT1", "1S", "PT-1S", "-PT1S", "P1Y", "P1M", "PT1M1H",
                 "100ms", "1.5s", "1h 30m", "2 weeks", "5", "ms", "1 fortnight", "-1s", "", "0"] {
        samples.push(latency(time));
        samples.push(delay(time.into()));
    }
    samples.push(delay(json!(5)));
    samples.push(delay(json!(["1s"])));
    samples
}

#[tokio::test]
async fn schemas_allow_every_accepted_document() {
    let validator = validator(&schemas().await);
    let (mut good, mut bad) = (0, 0);
    for (family, part) in samples() {
        let document = document_of(family, &part);
        let read = read(&document);
        let is_described = validator.is_valid(&document);
        assert_eq!(is_described, read.is_ok(), "{document} {read:?}");
        *if is_described { &mut good } else { &mut bad } += 1;
    }
    assert!(good > 50 && bad > 50, "{good} {bad}");
}

#[tokio::test]
async fn operations_have_the_names_of_http4k_where_it_is_mounted() {
    let nested = Router::new().nest("/x", api().path("/admin/chaos").router());
    for path in ["/x/admin/chaos", "/x/admin/chaos/"] {
        let api = described(nested.clone(), path).await;
        assert_eq!(api["openapi"], "3.1.0");
        let of = |method: &str, path: &str| {
            let path = format!("/x/admin/chaos{path}");
            api["paths"][path][method]["operationId"].clone()
        };
        for (method, path, id) in [
            ("get", "", "getChaosApi"),
            ("get", "/status", "getChaosStatus"),
            ("post", "/activate", "postChaosActivate"),
            ("post", "/activate/new", "postChaosActivateNew"),
            ("post", "/deactivate", "postChaosDeactivate"),
            ("post", "/toggle", "postChaosToggle"),
            ("get", "/state", "getChaosState"),
            ("get", "/decisions", "getChaosDecisions"),
            ("post", "/activate/again", "postChaosActivateAgain"),
            ("get", "/ui", "getChaosPage"),
        ] {
            assert_eq!(of(method, path), id);
        }
        assert_eq!(api["paths"].as_object().unwrap().len(), 10);
    }
    let at_root = described(api().path("/").router(), "/").await;
    assert_eq!(at_root["paths"]["/"]["get"]["operationId"], "getChaosApi");
    assert!(at_root["paths"]["/status"].is_object());
}

#[tokio::test]
async fn the_token_is_described_if_set() {
    let open = described(api().router(), "/chaos").await;
    assert_eq!(open["security"], Value::Null);
    assert_eq!(open["components"]["securitySchemes"], Value::Null);
    let responses = &open["paths"]["/chaos/toggle"]["post"]["responses"];
    assert_eq!(responses["401"], Value::Null);

    let app = api().token("s3cret").router::<()>();
    let request = Request::get("/chaos").header("authorization", "Bearer s3cret");
    let response = app
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let closed: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(closed["security"], json!([{"bearer": []}]));
    let scheme = &closed["components"]["securitySchemes"]["bearer"];
    assert_eq!(*scheme, json!({"type": "http", "scheme": "bearer"}));
    let responses = &closed["paths"]["/chaos/toggle"]["post"]["responses"];
    assert!(responses["401"]["headers"]["www-authenticate"].is_object());
    assert_eq!(closed["paths"]["/chaos/ui"]["get"]["security"], json!([{}]));
    assert!(!closed.to_string().contains("s3cret"));
}
