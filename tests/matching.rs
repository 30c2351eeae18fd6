//! Match keys: which requests find which recordings.

use std::fmt::Write;

use axum::Router;
use bytes::Bytes;
use http::{HeaderValue, Request};
use proptest::{collection, prelude::*};
use serde_json::Value;
use support::{Origin, Server, ask, http1, post, settled, with};
use tower::Layer;
use tower_traffic::{
    Matching, OnMiss, RecordTraffic, RecordedRequest, Redact, ReplayCache,
    store::{Disk, Memory},
};

fn request(method: &str, uri: &str, fields: &[(&str, &str)], body: &str) -> RecordedRequest {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let body = Bytes::copy_from_slice(body.as_bytes());
    request.body(body).expect("a request").into()
}

/// Pinned, because recordings on disk are found by these keys.
#[test]
fn keys_are_stable() {
    let json = [("content-type", "application/json"), ("accept", "a")];
    let asked = request(
        "POST",
        "http://H:80/a?b=1&token=x",
        &json,
        r#"{"b": 1, "a": 2}"#,
    );
    let key = |matching: Matching, request: &RecordedRequest| matching.key(request).to_string();
    let less = Matching::new()
        .header("accept")
        .ignore_query("b")
        .ignore_authority(true);
    for (found, expected) in [
        (
            key(Matching::new(), &asked),
            "5d42fbd3447678dbc51f60df2887dd03",
        ),
        (key(less, &asked), "7029c0edf0d915fc515504868879b13d"),
        (
            key(Matching::new(), &request("GET", "/", &[], "")),
            "975d4d6b1234968642ee96c943739619",
        ),
        (
            key(Matching::new().ignore_body(true), &asked),
            "3c9c5827b570311caaea77299db2ed19",
        ),
    ] {
        assert_eq!(found, expected);
    }
}

/// Without the body, the headers that describe the body are unknown, and ignored.
#[test]
fn redacted_headers_do_not_count_without_the_body() {
    let fields = [
        ("content-type", "application/json"),
        ("content-length", "13"),
        ("content-digest", "sha-256=:AAAA:"),
        ("x-a", "1"),
    ];
    let live = request("POST", "/", &fields, "");
    let named = Redact::default().json_field("pin");
    for (redact, body) in [
        (Redact::default(), "{\"token\":\"x\"}"),
        (named.clone(), "{\"pin\": 1234}"),
    ] {
        let mut stored = request("POST", "/", &fields, body);
        redact.request(&mut stored);
        assert_eq!(stored.headers.get("content-digest"), None);
        for matching in [
            Matching::new()
                .ignore_body(true)
                .all_headers_except::<&str>([]),
            Matching::new().ignore_body(true).header("content-length"),
            Matching::new().ignore_body(true).also_by(|request| {
                let fields = request.headers.iter().map(|(name, _)| name);
                format!(
                    "{} {}",
                    fields.collect::<Vec<_>>().join(" "),
                    request.body.len()
                )
            }),
        ] {
            let matching = matching.redact(redact.clone());
            assert_eq!(matching.key(&stored), matching.key(&live), "{matching:?}");
        }
    }
    // Other headers are part of the key, and so are these if bodies are not redacted.
    let all = Matching::new()
        .ignore_body(true)
        .all_headers_except::<&str>([]);
    let other = request("POST", "/", &[fields[0], fields[1], ("x-a", "2")], "");
    assert_ne!(all.key(&other), all.key(&live));
    let keeping = all.clone().redact(Redact::default().keep_bodies(true));
    assert_ne!(
        keeping.key(&request("POST", "/", &fields[..2], "")),
        keeping.key(&request("POST", "/", &fields[..1], ""))
    );
    // A decoded body has no coding.
    let packed = [fields[0], ("content-encoding", "gzip")];
    let (packed, unpacked) = (&packed[..], &packed[..1]);
    let is_same = |matching: &Matching| {
        let key = |fields| matching.key(&request("POST", "/", fields, ""));
        key(packed) == key(unpacked)
    };
    assert!(!is_same(&all));
    assert!(is_same(&all.redact(named)));
}

const JSON: (&str, &str) = ("content-type", "application/json");
const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

fn same(matching: &Matching, field: (&str, &str), one: &str, other: &str) -> bool {
    let key = |body| matching.key(&request("POST", "/", &[field], body));
    key(one) == key(other)
}

#[track_caller]
fn check(matching: &Matching, field: (&str, &str), cases: &[(&str, &str, bool)]) {
    for (one, other, expected) in cases {
        assert_eq!(
            same(matching, field, one, other),
            *expected,
            "{one} and {other}"
        );
    }
}

// ---- JSON

#[test]
fn every_byte_counts_by_default() {
    let matching = Matching::new();
    check(
        &matching,
        JSON,
        &[
            ("{\"a\":1}", "{\"a\":1}", true),
            ("{\"a\":1}", "{\"a\": 1}", false),
        ],
    );
    check(&matching, FORM, &[("a=1&b=2", "b=2&a=1", false)]);
}

#[test]
fn the_order_of_members_can_be_left_out() {
    let matching = Matching::new().ignore_json_order(true);
    let cases = [
        (
            r#"{"a":1,"b":{"c":[{"x":1,"y":2}],"d":null}}"#,
            "{ \"b\" : {\"d\":null,\r\n\"c\":[{\"y\":2,\"x\":1}]}, \"a\":1 }\n",
            true,
        ),
        (r#"{"a":"\u0041\/\n"}"#, r#"{"a":"A/\u000a"}"#, true),
        (r#"{"\u0061":1}"#, r#"{"a":1}"#, true),
        (r#"{"a":1,"b":2}"#, r#"{"a":2,"b":1}"#, false),
        ("[1,2]", "[2,1]", false),
        // Numbers are compared digit by digit.
        ("[1]", "[1.0]", false),
        ("[1e2]", "[100]", false),
        ("[9007199254740993]", "[9007199254740992]", false),
        ("[1]", "[\"1\"]", false),
        // The order of members with one name is compared, because readers differ on which one is
        // valid.
        (r#"{"a":1,"a":2,"b":3}"#, r#"{"b":3,"a":1,"a":2}"#, true),
        (r#"{"a":1,"a":2}"#, r#"{"a":2,"a":1}"#, false),
        // A container differs from its contents.
        ("[[1],[2]]", "[[1,2]]", false),
        (r#"{"a":{"b":1}}"#, r#"{"a":"b","b":1}"#, false),
        (r#"["a,b"]"#, r#"["a","b"]"#, false),
        (r#"["\ud800"]"#, r#"["\\ud800"]"#, false),
        (r#"["\ud800"]"#, r#"["\ud801"]"#, false),
        ("{\"a\":1}\n{\"b\":1}", "{\"b\":1}\n{\"a\":1}", false),
        // Invalid JSON is compared byte by byte.
        ("{\"a\":1", "{\"a\": 1", false),
        ("oops", "oops", true),
        ("", "", true),
        ("", "null", false),
    ];
    check(&matching, JSON, &cases);
    // The same for undeclared JSON.
    check(&matching, FORM, &cases[..1]);
    check(
        &matching,
        ("content-type", "text/html"),
        &[
            ("{\"a\":1}", "{\"a\": 1}", true),
            ("<a href=b>", "<a  href=b>", false),
        ],
    );
}

#[test]
fn deep_and_wide_json_is_read_in_bounds() {
    let matching = Matching::new().ignore_json_order(true);
    let deep = |inside: &str| format!("{}{inside}{}", "[".repeat(100), "]".repeat(100));
    assert!(same(
        &matching,
        JSON,
        &deep("{\"a\":1,\"b\":2}"),
        &deep("{\"b\":2,\"a\":1}")
    ));
    // Nested too deep: byte by byte.
    let deeper = |inside: &str| format!("{}{inside}{}", "[".repeat(200), "]".repeat(200));
    assert!(!same(
        &matching,
        JSON,
        &deeper("{\"a\":1,\"b\":2}"),
        &deeper("{\"b\":2,\"a\":1}")
    ));
    assert!(same(&matching, JSON, &deeper("1"), &deeper("1")));
    let open = "[{\"a\":".repeat(100_000);
    assert!(same(&matching, JSON, &open, &open));
}

#[test]
fn values_can_be_left_out() {
    let matching = Matching::new()
        .ignore_json("/meta/at")
        .ignore_json("/**/nonce");
    check(
        &matching,
        JSON,
        &[
            (
                r#"{"meta":{"at":1,"by":2}}"#,
                r#"{"meta": {"at":{"x":[]},"by":2}}"#,
                true,
            ),
            (r#"{"meta":{"at":1,"by":2}}"#, r#"{"meta":{"by":2}}"#, true),
            (
                r#"{"a":[{"nonce":1},2]}"#,
                r#"{"nonce":0,"a":[{},2]}"#,
                true,
            ),
            (r#"{"at":1}"#, r#"{"at":2}"#, false),
            (
                r#"{"meta":{"at":1,"by":2}}"#,
                r#"{"meta":{"at":1,"by":3}}"#,
                false,
            ),
            // The order is still compared.
            (r#"{"a":1,"b":2}"#, r#"{"b":2,"a":1}"#, false),
        ],
    );
}

#[test]
fn only_selected_values_can_count() {
    let matching = Matching::new().only_json(["/model", "/messages/*/content"]);
    check(
        &matching,
        JSON,
        &[
            (
                r#"{"model":"m","at":1,"messages":[{"role":"u","content":"hi"}]}"#,
                r#"{"messages":[{"content":"hi"}],"model":"m"}"#,
                true,
            ),
            (r#"{"model":"m"}"#, r#"{"model":"n"}"#, false),
            (r#"{"model":"m"}"#, r#"{"x":"m"}"#, false),
            (
                r#"{"messages":[{"content":1}]}"#,
                r#"{"messages":[{},{"content":1}]}"#,
                false,
            ),
            (r#"{"x":1}"#, r#"{"y":2}"#, true),
        ],
    );
    let both = Matching::new()
        .only_json(["/a"])
        .ignore_json("/a/nonce")
        .ignore_json_order(true);
    check(
        &both,
        JSON,
        &[(
            r#"{"a":{"nonce":1,"x":1,"y":2},"b":1}"#,
            r#"{"a":{"y":2,"x":1}}"#,
            true,
        )],
    );
}

// ---- forms

#[test]
fn fields_of_forms_can_be_left_out_or_chosen() {
    let ignoring = Matching::new().ignore_form_field("CSRF");
    check(
        &ignoring,
        FORM,
        &[
            ("a=1&csrf=x&b=2", "a=1&b=2", true),
            ("a=1&c%73rf=x", "csrf=y&a=1", true),
            ("a=1", "a=2", false),
            ("csrf=1", "csrf=2", true),
        ],
    );
    let choosing = Matching::new().only_form_fields(["a"]);
    check(
        &choosing,
        FORM,
        &[("a=1&b=2", "b=3&a=1", true), ("a=1", "a=2", false)],
    );
}

fn multipart(boundary: &str, name: &str, value: &str) -> RecordedRequest {
    let content_type = format!("multipart/form-data; boundary={boundary}");
    let body = format!(
        "--{boundary}\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n\
         --{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n\
         --{boundary}--\r\n"
    );
    request("POST", "/", &[("content-type", &content_type)], &body)
}

#[test]
fn the_boundary_can_be_left_out() {
    let one = multipart("x", "b", "2");
    let other = multipart("yy", "b", "2");
    assert_ne!(Matching::new().key(&one), Matching::new().key(&other));
    for matching in [
        Matching::new().ignore_boundary(true),
        Matching::new().ignore_boundary(true).header("content-type"),
        Matching::new().ignore_form_field("c"),
    ] {
        assert_eq!(matching.key(&one), matching.key(&other));
        assert_ne!(matching.key(&one), matching.key(&multipart("x", "b", "3")));
        assert_ne!(matching.key(&one), matching.key(&multipart("x", "c", "2")));
    }
    let matching = Matching::new().ignore_form_field("b");
    assert_eq!(matching.key(&one), matching.key(&multipart("z", "b", "3")));
}

// ---- functions

#[test]
fn a_function_can_count_alone_or_in_addition() {
    let also = Matching::new().also_by(|request| {
        request.headers.get("accept-language").unwrap_or_default()[..2].to_vec()
    });
    let asked = |uri, language| request("GET", uri, &[("accept-language", language)], "");
    assert_eq!(
        also.key(&asked("/", "de-AT")),
        also.key(&asked("/", "de-DE"))
    );
    assert_ne!(also.key(&asked("/", "de")), also.key(&asked("/", "en")));
    assert_ne!(also.key(&asked("/", "de")), also.key(&asked("/x", "de")));

    let only = Matching::new().only_by(|request| request.uri.path().len().to_string());
    assert_eq!(only.key(&asked("/ab", "de")), only.key(&asked("/cd", "en")));
    assert_ne!(
        only.key(&asked("/ab", "de")),
        only.key(&asked("/abc", "de"))
    );
}

#[test]
fn a_function_gets_redacted_requests() {
    let matching = Matching::new().only_by(|request| format!("{request:?}"));
    let key = |secret: &str| {
        let fields = [("authorization", secret), JSON];
        let uri = format!("/?token={secret}");
        matching.key(&request(
            "POST",
            &uri,
            &fields,
            &format!("{{\"password\":\"{secret}\"}}"),
        ))
    };
    assert_eq!(key("hunter2"), key("hunter3"));
}

#[test]
fn a_request_whose_function_panics_matches_no_other() {
    let panicking = Matching::new().also_by(|request| -> Vec<u8> {
        assert!(request.uri.path() != "/boom", "on purpose");
        Vec::new()
    });
    let boom = request("GET", "/boom", &[], "");
    let calm = request("GET", "/calm", &[], "");
    assert_ne!(panicking.key(&boom), panicking.key(&boom));
    assert_eq!(panicking.key(&calm), panicking.key(&calm));
}

#[test]
fn values_that_are_marked_sensitive_do_not_count() {
    let matching = Matching::new().header("x-session");
    let key = |session: &str| {
        let mut value = HeaderValue::from_str(session).expect("a value");
        value.set_sensitive(true);
        let request = Request::get("/")
            .header("x-session", value)
            .body(Bytes::new());
        matching.key(&request.expect("a request").into())
    };
    assert_eq!(key("a"), key("b"));
    let stored = request("GET", "/", &[("x-session", "REDACTED")], "");
    assert_eq!(key("a"), matching.key(&stored));
}

// ---- a replay

/// A client's request finds its recording over a socket, and an explanation shows the selected
/// parts.
#[tokio::test]
async fn a_recording_answers_requests_with_the_same_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let matching = Matching::new()
        .ignore_json_order(true)
        .ignore_json("/nonce")
        .ignore_boundary(true);
    let record = RecordTraffic::disk(folder.path());
    let app = Router::new()
        .fallback(|body: Bytes| async move { format!("{} bytes", body.len()) })
        .layer(record.clone());
    let server = Server::start(app).await;
    let send = |url: &str, body: &str| {
        with(
            post(url, body.to_owned()),
            "content-type",
            "application/json",
        )
    };
    let body = r#"{"name": "bob", "nonce": 1, "password": "hunter2"}"#;
    let answer = ask(&http1(), send(&server.url("/users"), body)).await;
    assert_eq!(answer.text(), "50 bytes");
    settled(&record.recorder(), 1).await;

    let recording = Disk::new(folder.path()).match_by(matching);
    let replay = ReplayCache::read_only(recording).on_miss(OnMiss::Refuse);
    let server = Server::start(Router::new().fallback(|| async { "passed" }).layer(replay)).await;
    let other = r#"{"password":"hunter3","nonce":[2],"name":"bob"}"#;
    let answer = ask(&http1(), send(&server.url("/users"), other)).await;
    assert_eq!(answer.text(), "50 bytes");

    let answer = ask(
        &http1(),
        send(&server.url("/users"), r#"{"name":"eve","nonce":3}"#),
    )
    .await;
    assert_eq!(answer.status, 503);
    let text = answer.text();
    assert!(
        text.contains(r#"selected from the body of 24 bytes: {"name":"eve"}"#),
        "{text}"
    );
    assert!(!text.contains("nonce"), "{text}");
}

#[tokio::test]
async fn an_explanation_shows_the_values_of_functions() {
    let matching = Matching::new()
        .only_by(|request| format!("job {}", request.uri.path().len()))
        .redact(Redact::none());
    let replay = ReplayCache::read_only(Memory::new().match_by(matching)).on_miss(OnMiss::Refuse);
    let answer = ask(
        &replay.layer(Origin::saying("passed")),
        post("/ab", "content"),
    )
    .await;
    let text = answer.text();
    assert!(
        text.contains("POST /ab\n  result of a function: job 3\n"),
        "{text}"
    );
    assert!(!text.contains("content"), "{text}");
}

// ---- any JSON

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inside| {
        prop_oneof![
            collection::vec(inside.clone(), 0..6).prop_map(Value::from),
            collection::vec((any::<String>(), inside), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The same value in another form: members reversed, with white space.
fn otherwise(value: &Value, out: &mut String) {
    match value {
        Value::Object(members) => {
            out.push_str("{ ");
            for (number, (name, value)) in members.iter().rev().enumerate() {
                out.push_str(if number > 0 { "\n,\t" } else { "" });
                out.push_str(&Value::from(name.as_str()).to_string());
                out.push_str(" : ");
                otherwise(value, out);
            }
            out.push('}');
        }
        Value::Array(elements) => {
            out.push('[');
            for (number, value) in elements.iter().enumerate() {
                out.push_str(if number > 0 { " ,\r\n" } else { "" });
                otherwise(value, out);
            }
            out.push_str(" ]");
        }
        // With every character escaped.
        Value::String(text) => {
            out.push('"');
            for unit in text.encode_utf16() {
                write!(out, "\\u{unit:04X}").expect("a string");
            }
            out.push('"');
        }
        other => out.push_str(&other.to_string()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn equal_json_has_one_canonical_form(value in value()) {
        let mut other = String::new();
        otherwise(&value, &mut other);
        let matching = Matching::new().ignore_json_order(true).redact(Redact::none());
        prop_assert!(same(&matching, JSON, &value.to_string(), &other), "{value} {other}");
    }

    #[test]
    fn different_json_has_different_keys(one in value(), other in value()) {
        let matching = Matching::new().ignore_json_order(true).redact(Redact::none());
        let (one, other) = (one.to_string(), other.to_string());
        prop_assert_eq!(same(&matching, JSON, &one, &other), one == other);
    }

    #[test]
    fn no_body_is_too_much(body in ".{0,60}|[\\[\\]{}\",:0-9a-e\\\\ ]{0,60}") {
        let matching = Matching::new()
            .ignore_json_order(true)
            .ignore_json("/**/a")
            .only_json(["/**/b", "/0"])
            .ignore_form_field("a");
        for field in [JSON, FORM, ("content-type", "multipart/form-data; boundary=a")] {
            prop_assert!(same(&matching, field, &body, &body));
        }
    }
}

#[test]
fn the_canonical_form_has_a_bounded_length() {
    // Copying the rest for each value would copy 100,000,000,000 bytes.
    let name = "b".repeat(1_000_000);
    let body = |value: u8| {
        let values = format!("{{\"c\":1,\"d\":{value}}},").repeat(50_000);
        format!("{{\"\\u0061{name}\":[{values}1]}}")
    };
    let json = [("content-type", "application/json")];
    let [one, two] = [1, 2].map(|value| request("POST", "/", &json, &body(value)));
    let matching = Matching::new().only_json(["/**/c"]);
    // The body is compared byte by byte.
    assert_eq!(matching.key(&one), matching.key(&one.clone()));
    assert_ne!(matching.key(&one), matching.key(&two));
    let matching = Matching::new().ignore_json("/a/*").ignore_json("/a/*/d");
    assert_ne!(matching.key(&one), matching.key(&two));
}
