//! Redaction of bodies: no secret is stored, and all other bytes are.

use bytes::Bytes;
use http::{Request, Response};
use tower_traffic::{BodyEnd, REDACTED, RecordedRequest, RecordedResponse, Redact};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

fn post(content_type: &str, body: impl Into<Bytes>) -> RecordedRequest {
    let body = body.into();
    let mut request = Request::post("/").header("content-length", body.len());
    if !content_type.is_empty() {
        request = request.header("content-type", content_type);
    }
    request.body(body).expect("a request").into()
}

/// The redacted body of a request; the body of a response is redacted equally.
fn redacted(redact: &Redact, content_type: &str, body: impl Into<Bytes>) -> String {
    let mut request = post(content_type, body);
    let mut response = RecordedResponse::from(Response::new(request.body.to_bytes()));
    response.headers = request.headers.clone();
    redact.request(&mut request);
    redact.response(&mut response);
    assert_eq!(response.body, request.body);
    assert_eq!(response.headers, request.headers);
    let once = request.clone();
    redact.request(&mut request);
    assert_eq!(request, once, "doing it again changes nothing");
    String::from_utf8_lossy(&request.body.to_bytes()).into_owned()
}

#[track_caller]
fn check(redact: &Redact, content_type: &str, cases: &[(&str, &str)]) {
    for (before, after) in cases {
        assert_eq!(
            redacted(redact, content_type, before.to_string()),
            *after,
            "{before}"
        );
    }
}

fn unchanged(redact: &Redact, content_type: &str, bodies: &[&str]) {
    for body in bodies {
        assert_eq!(redacted(redact, content_type, body.to_string()), *body);
    }
}

// ---- the default

#[test]
fn usual_secrets_are_replaced_in_forms() {
    let default = Redact::default();
    check(
        &default,
        FORM,
        &[
            (
                "grant_type=client_credentials&client_id=a&client_secret=hunter2",
                "grant_type=client_credentials&client_id=a&client_secret=REDACTED",
            ),
            ("user[password]=a+b%20c&x=1", "user[password]=REDACTED&x=1"),
            (
                "password[]=one&password[]=two&x=1",
                "password[]=REDACTED&password[]=REDACTED&x=1",
            ),
            (
                "%70assword=x&Password=",
                "%70assword=REDACTED&Password=REDACTED",
            ),
        ],
    );
    unchanged(
        &default,
        FORM,
        &["a=1&b=password&password", "code=1&key=2", "", "&&=", "%"],
    );
    for content_type in ["text/html", ""] {
        check(
            &default,
            content_type,
            &[
                ("password=a", "password=REDACTED"),
                ("{\"password\":\"a\"}", "{\"password\":\"REDACTED\"}"),
            ],
        );
    }
}

#[test]
fn usual_secrets_are_replaced_in_json_and_the_rest_stays_byte_for_byte() {
    let default = Redact::default();
    check(
        &default,
        JSON,
        &[
            (
                "\u{feff}{ \"user\" : \"b\\u00f6b\",\r\n \"Password\":\"a\\\"b\", \"n\": 1.50E+3 }\n",
                "\u{feff}{ \"user\" : \"b\\u00f6b\",\r\n \"Password\":\"REDACTED\", \"n\": 1.50E+3 }\n",
            ),
            (
                r#"[{"a":[{"accessToken":"x","token_type":"Bearer"}]},"password","x"]"#,
                r#"[{"a":[{"accessToken":"REDACTED","token_type":"Bearer"}]},"password","x"]"#,
            ),
            (
                r#"{"pass\u0077ord":"x"}"#,
                r#"{"pass\u0077ord":"REDACTED"}"#,
            ),
            (
                r#"{"token":5,"password":null,"secret":{"type":"string"},"pwd":false,"jwt":["x"]}"#,
                r#"{"token":"REDACTED","password":null,"secret":"REDACTED","pwd":"REDACTED","jwt":"REDACTED"}"#,
            ),
        ],
    );
    unchanged(
        &default,
        JSON,
        &[
            r#"{"password":null,"has_password":true}"#,
            r#"{"tokens":"a","session":"b"}"#,
            "",
            " ",
            "\"password\"",
        ],
    );
    for content_type in [
        "application/problem+json; charset=utf-8",
        "Application/JSON",
        "application/x-ndjson",
        // Missing or wrong media types.
        "",
        "text/plain",
        FORM,
    ] {
        let after = redacted(&default, content_type, "{\"a\":1}\n{\"token\":\"x\"}\n");
        assert_eq!(
            after, "{\"a\":1}\n{\"token\":\"REDACTED\"}\n",
            "{content_type}"
        );
    }
}

#[test]
fn usual_secrets_are_replaced_in_malformed_json() {
    check(
        &Redact::default(),
        JSON,
        &[
            (
                "{a: 1, \"password\" : \"hunter2\", \"b\": \"token\", \"token\":\"x\"}",
                "{a: 1, \"password\" : \"REDACTED\", \"b\": \"token\", \"token\":\"REDACTED\"}",
            ),
            (
                "it's \" {\"password\":\"hunter2\"}",
                "it's \" {\"password\":\"REDACTED\"}",
            ),
            ("xxx{\"password\":\"hunt", "xxx{\"password\":\"REDACTED\""),
            ("oops", "oops"),
        ],
    );
}

#[test]
fn disabled_body_redaction_replaces_nothing() {
    let keeping = Redact::default().keep_bodies(true);
    unchanged(&keeping, FORM, &["password=x"]);
    unchanged(&keeping, JSON, &["{\"password\":\"x\"}"]);
    let only = keeping.json_field("pin").form_field("pin");
    check(
        &only,
        FORM,
        &[("password=x&pin=1", "password=x&pin=REDACTED")],
    );
    check(
        &only,
        JSON,
        &[(
            r#"{"token":"x","pin":1}"#,
            r#"{"token":"x","pin":"REDACTED"}"#,
        )],
    );
    let none = Redact::none();
    unchanged(&none, FORM, &["password=x"]);
    unchanged(&none, JSON, &["{\"password\":\"x\"}"]);
    let some = Redact::default()
        .keep_json_field("Token")
        .keep_form_field("Token");
    unchanged(&some, FORM, &["token=x"]);
    unchanged(&some, JSON, &["{\"token\":\"x\"}"]);
}

// ---- named secrets

#[test]
fn named_members_with_any_value_are_replaced() {
    check(
        &Redact::none().json_field("PIN"),
        JSON,
        &[(
            r#"{"pin":1234,"a":[{"pin":{"x":[1,{"pin":2}]},"b":1},{"pin":true},{"pin":null},{"pin":[]}]}"#,
            r#"{"pin":"REDACTED","a":[{"pin":"REDACTED","b":1},{"pin":"REDACTED"},{"pin":null},{"pin":"REDACTED"}]}"#,
        )],
    );
}

#[test]
fn values_at_pointers_are_replaced() {
    let redact = Redact::none()
        .json_pointer("/user/password")
        .json_pointer("/cards/*/pin")
        .json_pointer("/list/1")
        .json_pointer("/**/deep/a~1b");
    check(
        &redact,
        JSON,
        &[
            (
                r#"{"password":"kept","user":{"password":"x","name":"y"},"list":["a","b","c"]}"#,
                r#"{"password":"kept","user":{"password":"REDACTED","name":"y"},"list":["a","REDACTED","c"]}"#,
            ),
            (
                r#"{"cards":[{"pin":1,"n":2},{"pin":[3]}],"x":[{"deep":{"a/b":{"c":1},"a":1}}]}"#,
                r#"{"cards":[{"pin":"REDACTED","n":2},{"pin":"REDACTED"}],"x":[{"deep":{"a/b":"REDACTED","a":1}}]}"#,
            ),
        ],
    );
    check(
        &Redact::none().json_pointer(""),
        JSON,
        &[("{\"a\":1} [2]", "\"REDACTED\" \"REDACTED\"")],
    );
    check(
        &Redact::none().json_pointer("a"),
        JSON,
        &[("{\"a\":1}", "{\"a\":\"REDACTED\"}")],
    );
}

#[test]
fn named_members_are_replaced_in_malformed_json() {
    let redact = Redact::none().json_field("pin");
    let deep = "[".repeat(500);
    check(
        &redact,
        JSON,
        &[
            ("{\"a\":1,'pin':1234}", "{\"a\":1,REDACTED"),
            (
                "{\"a\":{\"pin\":[1,}2]},\"b\":3",
                "{\"a\":{\"pin\":\"REDACTED\"",
            ),
            ("pin=1234", "REDACTED"),
            ("hunter2", "REDACTED"),
            ("<pin>1234</pin>", "REDACTED"),
            ("[1 2]", "[1 REDACTED"),
            ("{\"pin\":1}}{", "{\"pin\":\"REDACTED\"}REDACTED"),
            (&deep, &format!("{}REDACTED", "[".repeat(128))),
        ],
    );
    // Outside of JSON, this name is not secret.
    unchanged(&redact, "text/plain", &["[info] pin: 1234"]);
}

#[test]
fn a_cut_body_is_redacted_up_to_its_end() {
    let text = r#"{"a":"b","pin":"hunter2","c":{"pin":{"x":"hunter3"}},"d":[1,2]}"#;
    let redact = Redact::none().json_field("pin");
    for end in 0..text.len() {
        for body_end in [BodyEnd::Limit, BodyEnd::Dropped] {
            let mut request = post(JSON, text[..end].to_owned());
            request.body.end = body_end.clone();
            redact.request(&mut request);
            assert_eq!(request.body.end, body_end);
            let after = String::from_utf8_lossy(&request.body.to_bytes()).into_owned();
            assert!(!after.contains("hun"), "{after}");
            let whole = r#"{"a":"b","pin":"REDACTED","c":{"pin":"REDACTED"},"d":[1,2]}"#;
            assert!(
                whole.starts_with(after.as_str()) || after.ends_with('"'),
                "{after}"
            );
        }
    }
}

#[test]
fn events_lose_their_secrets() {
    let redact = Redact::default().json_field("pin");
    check(
        &redact,
        "text/event-stream",
        &[
            (
                "event: a\r\ndata: {\"token\":\"x\",\"n\":1}\r\n\r\n: c\ndata:{\"pin\":12}\n\ndata: [DONE]\n\n",
                "event: a\r\ndata: {\"token\":\"REDACTED\",\"n\":1}\r\n\r\n: c\ndata:{\"pin\":\"REDACTED\"}\n\ndata: [DONE]\n\n",
            ),
            // One text over several lines.
            (
                "data: {\"a\":1,\ndata:  \"pin\":\ndata: [1,\ndata: 2]}\nid: 7\n\ndata: x {\"a\n",
                "data: {\"a\":1,\ndata:  \"pin\":\ndata: \"REDACTED\"}\ndata:\nid: 7\n\ndata: x {\"a\n",
            ),
            ("data: {\"pin\":\"cut", "data: {\"pin\":\"REDACTED\""),
        ],
    );
    unchanged(&redact, "text/event-stream", &["data: hello\n\n", ""]);
}

#[test]
fn multipart_forms_lose_their_secrets() {
    let body = |password: &str, pin: &str| {
        format!(
            "--b\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\nbob\r\n--b\r\n\
             content-disposition: form-data; name=password\r\n\r\n{password}\r\n--b\r\n\
             Content-Disposition: form-data; name=\"data\"; filename=\"a.json\"\r\n\
             Content-Type: application/json\r\n\r\n{{\"pin\": {pin}}}\r\n--b--\r\n"
        )
    };
    let redact = Redact::default().json_field("pin");
    let content_type = "multipart/form-data; boundary=b";
    check(
        &redact,
        content_type,
        &[(&body("hun\r\nter2", "1"), &body(REDACTED, "\"REDACTED\""))],
    );
    // Without parts, the position of secrets is unknown.
    for content_type in [content_type, "multipart/form-data"] {
        let after = redacted(&redact, content_type, "pin=1");
        assert_eq!(after, REDACTED);
        assert_eq!(redacted(&Redact::default(), content_type, "pin=1"), "pin=1");
    }
}

// ---- headers that describe the body

#[test]
fn redaction_updates_the_length_and_removes_digests() {
    let mut request = post(JSON, "{\"token\":\"x\"}");
    for name in ["content-md5", "digest", "content-digest", "repr-digest"] {
        let mut map = request.headers.to_map();
        map.insert(name, "sum".parse().expect("a value"));
        map.insert("x-after", "kept".parse().expect("a value"));
        request.headers = (&map).into();
    }
    let mut kept = request.clone();
    Redact::default().request(&mut request);
    assert_eq!(request.headers.get("content-length"), Some(&b"20"[..]));
    assert_eq!(request.headers.get("digest"), None);
    let names: Vec<_> = request.headers.iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["content-length", "content-type", "x-after"]);
    // Without a secret, the headers are unchanged.
    let before = kept.clone();
    Redact::default()
        .keep_json_field("token")
        .request(&mut kept);
    assert_eq!(kept, before);
}

#[test]
fn a_length_that_disagrees_with_the_body_is_kept() {
    // The header of a cut body has the original length.
    let mut request = post(JSON, "{\"token\":\"x");
    request.headers = [(
        http::header::CONTENT_LENGTH,
        "1000".parse().expect("a value"),
    )]
    .into_iter()
    .chain([(http::header::CONTENT_TYPE, JSON.parse().expect("a value"))])
    .collect();
    request.body.end = BodyEnd::Limit;
    Redact::default().request(&mut request);
    assert_eq!(request.body.to_bytes(), "{\"token\":\"REDACTED\"");
    assert_eq!(request.headers.get("content-length"), Some(&b"1000"[..]));
}

// ---- compressed

fn compressed(coding: &str, content_type: &str, body: impl Into<Bytes>) -> RecordedRequest {
    let mut request = post(content_type, body);
    let mut map = request.headers.to_map();
    map.insert("content-encoding", coding.parse().expect("a value"));
    request.headers = (&map).into();
    request
}

fn gzip(text: &str) -> Vec<u8> {
    use std::io::Read;
    let mut packed = Vec::new();
    flate2::read::GzEncoder::new(text.as_bytes(), flate2::Compression::fast())
        .read_to_end(&mut packed)
        .expect("bytes");
    packed
}

#[test]
fn a_compressed_body_with_a_named_secret_is_stored_decoded() {
    let packed = gzip("{\"pin\":1,\"a\":2}");
    let mut request = compressed("gzip", JSON, packed.clone());
    Redact::default().json_field("pin").request(&mut request);
    assert_eq!(request.body.to_bytes(), "{\"pin\":\"REDACTED\",\"a\":2}");
    assert_eq!(request.headers.get("content-encoding"), None);
    assert_eq!(request.headers.get("content-length"), Some(&b"24"[..]));

    // Without the feature, the body stays as it is; the same holds for usual names.
    for redact in [Redact::default().json_field("other"), Redact::default()] {
        let mut request = compressed("gzip", JSON, packed.clone());
        let before = request.clone();
        redact.request(&mut request);
        assert_eq!(request, before);
    }
    let mut request = compressed("gzip", JSON, gzip("{\"token\":\"x\"}"));
    let before = request.clone();
    Redact::default().request(&mut request);
    assert_eq!(request, before);
}

#[test]
fn a_cut_compressed_body_is_decoded_up_to_its_end() {
    let numbers = (0..2000_u32).map(|i| i.wrapping_mul(2_654_435_761).to_string());
    let numbers = numbers.collect::<Vec<_>>().join(",");
    let packed = gzip(&format!("{{\"pin\":\"hunter2\",\"a\":[{numbers}]}}"));
    let mut request = compressed("gzip", JSON, packed[..packed.len() / 2].to_vec());
    request.body.end = BodyEnd::Limit;
    Redact::default().json_field("pin").request(&mut request);
    let after = request.body.to_bytes();
    assert!(
        after.starts_with(b"{\"pin\":\"REDACTED\",\"a\":[0,"),
        "{after:?}"
    );
    // The same bytes in a complete body: damaged.
    let mut request = compressed("gzip", JSON, packed[..packed.len() / 2].to_vec());
    Redact::default().json_field("pin").request(&mut request);
    assert_eq!(request.body.to_bytes(), "\"REDACTED\"");
}

#[test]
fn a_body_that_cannot_be_decoded_is_replaced_as_a_whole() {
    let redact = Redact::default().json_field("pin").form_field("pin");
    for (content_type, after) in [
        (JSON, "\"REDACTED\""),
        ("text/event-stream", "data: \"REDACTED\"\n\n"),
        (FORM, "REDACTED"),
        ("multipart/form-data; boundary=b", "REDACTED"),
        ("text/plain", "REDACTED"),
        ("text/html", "unknown"),
    ] {
        let mut request = compressed("x-mine", content_type, "unknown");
        redact.request(&mut request);
        assert_eq!(request.body.to_bytes(), after, "{content_type}");
        let once = request.clone();
        redact.request(&mut request);
        assert_eq!(request, once);
    }
}

#[test]
fn a_bomb_is_replaced_as_a_whole() {
    let packed = gzip(&" ".repeat(64 << 20));
    let mut request = compressed("gzip", JSON, packed);
    Redact::default().json_field("pin").request(&mut request);
    assert_eq!(request.body.to_bytes(), "\"REDACTED\"");
}

// ---- unusual and invalid content

#[test]
fn parts_are_recognized_in_any_notation_of_their_heads() {
    let content_type = "multipart/form-data; boundary=b";
    let form = |head: &str, value: &str| format!("--b\r\n{head}{value}\r\n--b--\r\n");
    for head in [
        "Content-Disposition: form-data;\r\n name=\"pin\"\r\n\r\n",
        "Content-Disposition:\r\n\tform-data; name=pin\r\nx: y\r\n\r\n",
        "x: y\r\n z\r\nContent-Disposition: form-data; name=pin\r\n\r\n",
        "Content-Disposition: form-data; name=pin\n\r\n",
    ] {
        let named = Redact::none().form_field("pin");
        assert_eq!(
            redacted(&named, content_type, form(head, "1234")),
            form(head, REDACTED),
            "{head}"
        );
    }
}

#[test]
fn a_form_that_begins_like_json_is_a_form() {
    let named = Redact::default().form_field("pin");
    check(
        &named,
        FORM,
        &[
            ("[a]=1&pin=1234", "[a]=1&pin=REDACTED"),
            ("{a}=1&password=hunter2", "{a}=1&password=REDACTED"),
            (
                r#"{"password":"a&b", "x":1,}"#,
                r#"{"password":"REDACTED", "x":1,}"#,
            ),
            (
                r#"{"a":"&pin=1","token":"x"#,
                r#"{"a":"&pin=REDACTED","token":"REDACTED""#,
            ),
        ],
    );
}

#[test]
fn a_rule_for_body_headers_hides_no_secret() {
    check(
        &Redact::default().header("content-type"),
        FORM,
        &[("password=x&a=1", "password=REDACTED&a=1")],
    );
}

#[test]
fn events_after_a_byte_order_mark_are_redacted() {
    check(
        &Redact::default(),
        "text/event-stream",
        &[(
            "\u{feff}data: {\"token\":\"x\"}\n\n",
            "\u{feff}data: {\"token\":\"REDACTED\"}\n\n",
        )],
    );
}

#[test]
fn a_long_name_is_read_once() {
    let named = Redact::none().json_pointer("/a/*");
    // Reading the rest of the text for each value would read 200,000,000,000 bytes.
    let name = "b".repeat(1_000_000);
    let body = format!("{{\"\\u0061{name}\":[{}1]}}", "1,".repeat(200_000));
    unchanged(&named, JSON, &[&body]);
}

#[test]
fn json_is_known_after_a_byte_order_mark_and_by_the_first_of_several_types() {
    let redact = Redact::default().json_field("pin");
    for content_type in ["text/plain", "", FORM, JSON] {
        check(
            &redact,
            content_type,
            &[(
                "\u{feff} {\"pin\":1,\"token\":\"x\"}",
                "\u{feff} {\"pin\":\"REDACTED\",\"token\":\"REDACTED\"}",
            )],
        );
    }
    check(
        &redact,
        "application/json, application/json",
        &[("{\"pin\":1}", "{\"pin\":\"REDACTED\"}")],
    );
}

#[test]
fn named_secrets_are_found_in_undeclared_compression() {
    let json = Redact::default().json_field("pin");
    let clean = |redact: &Redact, content_type: &str, packed: Vec<u8>| {
        let mut request = compressed("gzip", content_type, packed);
        if content_type.is_empty() {
            let mut map = request.headers.to_map();
            map.remove("content-type");
            request.headers = (&map).into();
        }
        let before = request.clone();
        redact.request(&mut request);
        let is_changed = request != before;
        assert_eq!(
            request.headers.get("content-encoding").is_none(),
            is_changed
        );
        let once = request.clone();
        redact.request(&mut request);
        assert_eq!(request, once);
        is_changed.then(|| String::from_utf8_lossy(&request.body.to_bytes()).into_owned())
    };
    for content_type in ["text/plain", "", FORM] {
        let found = clean(&json, content_type, gzip("{\"pin\":1}"));
        assert_eq!(
            found.as_deref(),
            Some("{\"pin\":\"REDACTED\"}"),
            "{content_type}"
        );
        let other = clean(&json, content_type, gzip("a=1&b=2"));
        assert_eq!(other, None, "{content_type}");
        let default = clean(&Redact::default(), content_type, gzip("{\"token\":\"x\"}"));
        assert_eq!(default, None, "{content_type}");
    }
    // Too long to decode: content that does not begin like JSON is not JSON.
    let long = "1".repeat(17 << 20);
    let found = clean(&json, "text/plain", gzip(&format!("[{long}]")));
    assert_eq!(found.as_deref(), Some("\"REDACTED\""));
    assert_eq!(clean(&json, "text/plain", gzip(&long)), None);
    let form = Redact::default().form_field("pin");
    let found = clean(&form, FORM, gzip("pin=1&a=2"));
    assert_eq!(found.as_deref(), Some("pin=REDACTED&a=2"));
}

#[test]
fn secrets_in_malformed_parts_are_replaced() {
    let redact = Redact::none().form_field("pin").json_field("pin");
    let content_type = "multipart/form-data; boundary=b";
    let form = |part: &str| format!("--b\r\n{part}\r\n--b--\r\n");
    let pin = "Content-Disposition: form-data; name=\"pin\"";
    let other = "Content-Disposition: form-data; name=\"a\"";
    let urlencoded = "Content-Type: application/x-www-form-urlencoded";
    let json = "Content-Type: application/json";
    for (before, after) in [
        // Without an empty line, or with one in the wrong place.
        (format!("{pin}\r\n1234"), REDACTED.to_owned()),
        (format!("{pin}\r\n1234\r\n\r\n5"), REDACTED.to_owned()),
        ("pin=1234".to_owned(), REDACTED.to_owned()),
        // Names.
        (
            "Content-Disposition: form-data; name=\"p\\in\"\r\n\r\n1234".to_owned(),
            format!("Content-Disposition: form-data; name=\"p\\in\"\r\n\r\n{REDACTED}"),
        ),
        (
            "Content-Disposition: form-data; name=a; Name*=utf-8''p%69n\r\n\r\n1234".to_owned(),
            format!("Content-Disposition: form-data; name=a; Name*=utf-8''p%69n\r\n\r\n{REDACTED}"),
        ),
        (
            "Content-Disposition: form-data; name*0=p; name*1=in\r\n\r\n1234".to_owned(),
            format!("Content-Disposition: form-data; name*0=p; name*1=in\r\n\r\n{REDACTED}"),
        ),
        // Secrets inside of parts.
        (
            format!("{other}\r\n{urlencoded}\r\n\r\nx=1&pin=1234"),
            format!("{other}\r\n{urlencoded}\r\n\r\nx=1&pin={REDACTED}"),
        ),
        (
            format!("{other}\r\n{json}\r\ncontent-transfer-encoding: base64\r\n\r\neyJwaW4iOjF9"),
            format!("{other}\r\n{json}\r\ncontent-transfer-encoding: base64\r\n\r\n{REDACTED}"),
        ),
        (
            format!(
                "{other}\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n{pin}\r\n\r\n1234\
                 \r\n--c\r\n{json}\r\n\r\n{{\"pin\":1}}\r\n--c--"
            ),
            format!(
                "{other}\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n{pin}\r\n\r\n{REDACTED}\
                 \r\n--c\r\n{json}\r\n\r\n{{\"pin\":\"{REDACTED}\"}}\r\n--c--"
            ),
        ),
        (
            format!("{other}\r\nContent-Type: multipart/mixed\r\n\r\n--c\r\n{pin}\r\n\r\n1234"),
            format!("{other}\r\nContent-Type: multipart/mixed\r\n\r\n{REDACTED}"),
        ),
    ] {
        assert_eq!(
            redacted(&redact, content_type, form(&before)),
            form(&after),
            "{before}"
        );
    }
    // Text outside of all parts.
    let whole = form(&format!("{other}\r\n\r\n1"));
    assert_eq!(
        redacted(
            &redact,
            content_type,
            format!("pin=1\r\n{whole}{pin}: 2\r\n--b\r\n3\r\n")
        ),
        format!("REDACTED\r\n{whole}REDACTED\r\n")
    );
    assert_eq!(
        redacted(&redact, content_type, "--b--pin=1"),
        "--b--REDACTED"
    );
    unchanged(
        &redact,
        content_type,
        &[&whole, &format!("\r\n{whole}\r\n"), "--b\r\n\r\n--b--"],
    );
    // Without named secrets, only known places are replaced.
    let password = form("Content-Disposition: form-data; name=password\r\nhunter2");
    assert_eq!(
        redacted(&Redact::default(), content_type, password),
        form(REDACTED)
    );
    unchanged(
        &Redact::default(),
        content_type,
        &[&format!("x\r\n{whole}y"), &form("x")],
    );
}
