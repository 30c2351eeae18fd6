//! A secret under any listed name, in any framing of a message, is never stored: neither in a whole
//! body nor in one that was cut, and its request is found.

use std::fmt::Write;

use bytes::Bytes;
use http::{HeaderValue, Request};
use proptest::{prelude::*, sample};
use tower_traffic::{BodyEnd, Matching, RecordedBody, RecordedRequest, Redact};

/// The start of each planted secret.
const START: &str = "zQ7";

/// Names that are secret in queries, forms and JSON.
const NAMES: [&str; 44] = [
    "access_token",
    "accessToken",
    "access-token",
    "refresh_token",
    "id_token",
    "token",
    "TOKEN",
    "auth_token",
    "session_token",
    "oauth_token",
    "bearerToken",
    "x-gitlab-token",
    "private_token",
    "device_token",
    "subject_token",
    "api_key",
    "api-key",
    "apikey",
    "apiKey",
    "x-api-key",
    "client_secret",
    "clientSecret",
    "secret",
    "password",
    "Password",
    "newPassword",
    "old_password",
    "password_confirmation",
    "passwd",
    "pwd",
    "passphrase",
    "privateKey",
    "private_key",
    "secretAccessKey",
    "AccountKey",
    "jwt",
    "client_assertion",
    "code_verifier",
    "device_code",
    "SAMLResponse",
    "SAMLRequest",
    "id_token_hint",
    "csrf_token",
    "authenticity_token",
];

/// Names that are secret in queries and forms.
const QUERY_NAMES: [&str; 14] = [
    "assertion",
    "auth",
    "authorization",
    "AWSAccessKeyId",
    "bearer",
    "session",
    "session_id",
    "sessionid",
    "sig",
    "signature",
    "ticket",
    "wresult",
    "X-Amz-Signature",
    "X-Goog-Credential",
];

/// Headers that are secret.
const HEADERS: [&str; 52] = [
    "authorization",
    "proxy-authorization",
    "x-forwarded-authorization",
    "cookie",
    "cookie2",
    "set-cookie",
    "set-cookie2",
    "authentication-info",
    "proxy-authentication-info",
    "dpop",
    "token",
    "apikey",
    "api-key",
    "x-api-key",
    "x-apikey",
    "x-api-token",
    "x-token",
    "x-auth",
    "x-auth-key",
    "x-auth-token",
    "x-access-token",
    "x-csrf-token",
    "x-xsrf-token",
    "x-vault-token",
    "x-session-token",
    "x-refresh-token",
    "x-id-token",
    "private-token",
    "job-token",
    "x-gitlab-token",
    "x-github-token",
    "x-shopify-access-token",
    "x-plex-token",
    "x-amz-security-token",
    "x-goog-api-key",
    "dd-api-key",
    "dd-application-key",
    "xi-api-key",
    "anthropic-api-key",
    "x-rapidapi-key",
    "ocp-apim-subscription-key",
    "x-functions-key",
    "cf-access-client-secret",
    "cf-access-jwt-assertion",
    "x-goog-iap-jwt-assertion",
    "x-amzn-oidc-data",
    "x-amzn-oidc-accesstoken",
    "x-amz-server-side-encryption-customer-key",
    "x-goog-encryption-key",
    "x-client-secret",
    "x-password",
    "x-hub-secret",
];

/// Headers that hold a URI.
const URI_HEADERS: [&str; 22] = [
    "location",
    "content-location",
    "referer",
    "link",
    "refresh",
    "origin",
    "destination",
    "sourcemap",
    "x-sourcemap",
    "hx-current-url",
    "hx-redirect",
    "hx-location",
    "hx-push-url",
    "x-forwarded-uri",
    "x-forwarded-url",
    "x-original-uri",
    "x-original-url",
    "x-request-uri",
    "x-rewrite-url",
    "x-envoy-original-path",
    "x-real-url",
    "turbo-location",
];

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(byte.into()),
            _ => write!(out, "%{byte:02X}").expect("a string"),
        }
        out
    })
}

fn utf_16(text: &str, order: fn(u16) -> [u8; 2]) -> Vec<u8> {
    let units = std::iter::once(0xfeff).chain(text.encode_utf16());
    units.flat_map(order).collect()
}

/// Bodies with a JSON member.
fn json_bodies(name: &str, secret: &str) -> Vec<(&'static str, Vec<u8>)> {
    let (quoted_name, quoted) = (json(name), json(secret));
    let object = format!("{{\"a\":1,{quoted_name}:{quoted},\"b\":[2]}}");
    let mut bodies: Vec<(&str, Vec<u8>)> = [
        "application/json",
        "application/vnd.api+json",
        "application/x-amz-json-1.0",
        "application/x-amz-json-1.1",
        "application/csp-report",
        "application/json5",
        "application/octet-stream",
        "application/x-www-form-urlencoded",
        "text/html",
        "text/javascript",
        "text/plain",
        "text/event-stream",
        "multipart/form-data; boundary=none",
        "",
    ]
    .iter()
    .map(|content_type| (*content_type, object.clone().into_bytes()))
    .collect();
    let mut add = |content_type, text: String| bodies.push((content_type, text.into_bytes()));
    let types = [
        "application/json",
        "text/plain",
        "application/octet-stream",
        "",
    ];
    for content_type in types {
        add(content_type, format!("\u{feff}{object}"));
        add(
            content_type,
            format!(" \r\n\t[[{object}],{{\"deep\":{object}}}]"),
        );
        add(
            content_type,
            format!("{{\"a\":1}}\n{object}\n{{\"c\":3}}\n"),
        );
        add(content_type, format!("\u{1e}{{\"a\":1}}\n\u{1e}{object}\n"));
        add(
            content_type,
            format!("{{{quoted_name}:[{quoted},{{\"x\":{quoted}}}]}}"),
        );
        add(
            content_type,
            format!("{{{quoted_name}:{{\"value\":{quoted}}}}}"),
        );
        add(content_type, format!("{{\"payload\":{}}}", json(&object)));
        add(
            content_type,
            format!("{{\"a\":{{\"payload\":{}}}}}", json(&json(&object))),
        );
        add(
            content_type,
            format!("{{\"query\":\"mutation\",\"variables\":{object}}}"),
        );
        add(
            content_type,
            format!("{{\"query\":\"m\",\"variables\":{}}}", json(&object)),
        );
        add(
            content_type,
            format!("{{\"form\":{}}}", json(&format!("a=1&{name}={secret}"))),
        );
        add(
            content_type,
            format!("{{\"url\":\"https://h/x?a=1&{name}={secret}#top\"}}"),
        );
        add(
            content_type,
            format!("{{\"url\":\"https://h/x?a=1\\u0026{name}\\u003d{secret}\"}}"),
        );
        add(
            content_type,
            format!("{{\"a\":1,,{quoted_name} : {quoted}}}"),
        );
    }
    bodies.extend(framed_json(name, secret, &object));
    bodies
}

/// Bodies in which a JSON object stands in another format.
fn framed_json(name: &str, secret: &str, object: &str) -> Vec<(&'static str, Vec<u8>)> {
    let (quoted_name, quoted) = (json(name), json(secret));
    let mut bodies = Vec::new();
    let mut add = |content_type, text: String| bodies.push((content_type, text.into_bytes()));
    add("application/x-ndjson", format!("{object}\n{object}\n"));
    add("application/json-seq", format!("\u{1e}{object}\n"));
    add(
        "text/event-stream",
        format!("event: x\ndata: {object}\n\ndata: [DONE]\n\n"),
    );
    add(
        "text/event-stream",
        format!("data: {{\r\ndata: {quoted_name}:\r\ndata: {quoted}}}\r\n\r\n"),
    );
    add(
        "text/event-stream",
        format!("data: see https://h/?{name}={secret} there\n\n"),
    );
    add("text/html", format!("<script>var x = {object};</script>"));
    add(
        "text/html",
        format!("<a data-x='{}'>", object.replace('"', "&quot;")),
    );
    add("text/javascript", format!("callback({object});"));
    add(
        "text/javascript",
        format!("x = JSON.parse({})", json(object)),
    );
    add("application/json", format!(")]}}',\n{object}"));
    add(
        "application/json5",
        format!("// comment\n{{a: 1, '{name}': '{secret}',}}"),
    );
    add(
        "application/graphql",
        format!("mutation {{ login({}: {quoted}) }}", name.replace('-', "_")),
    );
    for content_type in ["text/xml; charset=utf-8", "application/soap+xml"] {
        let element = format!("<a:{name} b='c'>{secret}</a:{name}>");
        let xml = format!("<?xml version='1.0'?><x>{element}</x>");
        bodies.push((content_type, xml.into_bytes()));
        let xml = format!("<x><{name}><![CDATA[{secret}]]></{name}><y {name} = \"{secret}\"/></x>");
        bodies.push((content_type, xml.into_bytes()));
    }
    bodies.push(("application/json", utf_16(object, u16::to_le_bytes)));
    bodies.push(("text/plain", utf_16(object, u16::to_be_bytes)));
    for part_type in ["application/json", "text/plain", "application/octet-stream"] {
        let part = format!(
            "--b\r\nContent-Disposition: form-data; name=\"a\"; filename=\"a\"\r\nContent-Type: {part_type}\r\n\r\n{object}\r\n--b--\r\n"
        );
        bodies.push(("multipart/form-data; boundary=b", part.clone().into_bytes()));
        let outer =
            format!("--c\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n{part}\r\n--c--\r\n");
        bodies.push(("multipart/mixed; boundary=c", outer.into_bytes()));
    }
    let field =
        format!("--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n{object}\r\n--b--\r\n");
    bodies.push(("multipart/form-data; boundary=b", field.into_bytes()));
    let encoded = format!("a=1&payload={}", percent(object));
    bodies.push(("application/x-www-form-urlencoded", encoded.into_bytes()));
    bodies
}

/// Bodies with a form field.
fn form_bodies(name: &str, secret: &str) -> Vec<(&'static str, Vec<u8>)> {
    let declared = "application/x-www-form-urlencoded";
    let mut bodies = Vec::new();
    let mut add = |content_type, text: String| bodies.push((content_type, text.into_bytes()));
    for content_type in [
        declared,
        "",
        "text/plain",
        "application/octet-stream",
        "text/html",
    ] {
        add(content_type, format!("{name}={secret}"));
        add(content_type, format!("a=1&{name}={secret}&b=2"));
        add(content_type, format!("a=1&user%5B{name}%5D={secret}&b=2"));
        add(content_type, format!("a=1&user[{name}]={secret}&b=2"));
        add(
            content_type,
            format!("a=1&{name}[]={secret}&{name}[0]={secret}"),
        );
        add(
            content_type,
            format!("a=1&user.{name}={secret}&%20{name}={secret}"),
        );
        add(
            content_type,
            format!("a=1&next={}", percent(&format!("/x?{name}={secret}"))),
        );
        add(
            content_type,
            format!(
                "a=1&next={}",
                percent(&percent(&format!("/x?{name}={secret}")))
            ),
        );
        add(content_type, format!("a=1&next=/x?{name}={secret}"));
        add(content_type, format!("\u{feff}a=1&{name}={secret}"));
    }
    add(declared, format!("{{\"&{name}={secret}"));
    add(declared, format!("{{\"a\":\"&{name}={secret}\"}}"));
    add(declared, format!("[&{name}={secret}"));
    let part = |head: &str| format!("--b\r\n{head}\r\n\r\n{secret}\r\n--b--\r\n");
    add(
        "multipart/form-data; boundary=b",
        part(&format!("Content-Disposition: form-data; name=\"{name}\"")),
    );
    add(
        "multipart/form-data; boundary=b",
        part(&format!("content-disposition: form-data; name={name}")),
    );
    add(
        "multipart/form-data; boundary=b",
        part(&format!(
            "content-disposition: form-data; name=\"user[{name}]\""
        )),
    );
    bodies
}

/// URIs with a parameter.
fn uris(name: &str, secret: &str) -> Vec<String> {
    let pair = format!("{name}={secret}");
    let nested = percent(&format!("https://h/x?{pair}&z=1"));
    vec![
        format!("/a?{pair}"),
        format!("/a?b=1&{pair}&c=2"),
        format!("https://h/a?b=1&{pair}"),
        format!("/a?b=1;{pair};c=2"),
        format!("/a;{pair}/b?c=1"),
        format!("/a?%20{pair}&b=1"),
        format!("/a?+{pair}&b=1"),
        format!("/a?user[{pair}").replace('=', "]="),
        format!("/a?user.{pair}"),
        format!("/a?{name}[0]={secret}"),
        format!("/a?{}={secret}", percent(name)),
        format!("/a?next=/x?{pair}"),
        format!("/a?next={nested}&b=1"),
        format!("/a?next={}", percent(&nested)),
        format!("/a?next={}", percent(&format!("/y?next={nested}"))),
        format!(
            "/a?data={}",
            percent(&format!("{{\"b\":[{{{}:{}}}]}}", json("a"), json(&pair)))
        ),
        format!("/a?b='|{{}}&{pair}"),
    ]
}

fn fragments(name: &str, secret: &str) -> Vec<String> {
    let pair = format!("{name}={secret}");
    vec![
        format!("https://h/a#{pair}"),
        format!("https://h/a#b=1&{pair}"),
        format!("https://h/a#!{pair}"),
        format!("https://h/a#/{pair}"),
        format!("https://h/a#!/b?{pair}"),
        format!("https://h/a?b=1#b&{pair}"),
        format!("/a?x=\u{a0}&{pair}"),
        format!("/a?x=\u{85}\u{2003}&{pair}"),
        format!("/a?x=\"'<&{pair}"),
    ]
}

fn holds(bytes: &[u8]) -> bool {
    let contains = |bytes: &[u8]| {
        bytes
            .windows(START.len())
            .any(|part| part == START.as_bytes())
    };
    let plain: Vec<u8> = bytes.iter().copied().filter(|byte| *byte != 0).collect();
    contains(bytes) || contains(&plain)
}

fn post(content_type: &str, body: Vec<u8>) -> RecordedRequest {
    let mut request = Request::post("/");
    if !content_type.is_empty() {
        request = request.header("content-type", content_type);
    }
    request.body(Bytes::from(body)).expect("a request").into()
}

fn get(uri: &str) -> Option<RecordedRequest> {
    Some(Request::get(uri).body(Bytes::new()).ok()?.into())
}

fn with_header(name: &str, value: &str) -> RecordedRequest {
    let value = HeaderValue::from_bytes(value.as_bytes()).expect("a value");
    let request = Request::get("/").header(name, value);
    request.body(Bytes::new()).expect("a request").into()
}

fn shown(request: &RecordedRequest) -> Vec<u8> {
    let mut all = request.uri.to_string().into_bytes();
    for (name, value) in request.headers.iter() {
        all.extend_from_slice(name.as_bytes());
        all.extend_from_slice(value);
    }
    all.extend_from_slice(&request.body.to_bytes());
    all
}

/// Fails if something of the secret is kept, if redaction changes the request again, or if the
/// recorded request is not found.
#[track_caller]
fn check(live: &RecordedRequest, redact: &Redact) {
    let before = String::from_utf8_lossy(&shown(live)).into_owned();
    let mut stored = live.clone();
    redact.request(&mut stored);
    let after = String::from_utf8_lossy(&shown(&stored)).into_owned();
    assert!(!holds(&shown(&stored)), "{before}\nbecame\n{after}");
    let matching = Matching::new()
        .all_headers_except([""; 0])
        .redact(redact.clone());
    assert_eq!(
        matching.key(live),
        matching.key(&stored),
        "{before}\nbecame\n{after}"
    );
    let once = stored.clone();
    redact.request(&mut stored);
    assert_eq!(stored, once, "{before}\nbecame\n{after}");
}

fn names() -> impl Strategy<Value = &'static str> {
    sample::select(&NAMES[..])
}

fn query_names() -> impl Strategy<Value = &'static str> {
    sample::select([&NAMES[..], &QUERY_NAMES[..]].concat())
}

fn secret() -> impl Strategy<Value = String> {
    "[A-Za-z0-9_~-]{0,30}[a-z0-9]".prop_map(|rest| format!("{START}{rest}"))
}

/// Every name in every framing, with one secret.
#[test]
fn no_listed_name_keeps_its_secret() {
    let redact = Redact::default();
    let secret = format!("{START}hunter2");
    for name in NAMES {
        for (content_type, body) in json_bodies(name, &secret) {
            check(&post(content_type, body), &redact);
        }
    }
    for name in NAMES.iter().chain(&QUERY_NAMES) {
        for (content_type, body) in form_bodies(name, &secret) {
            check(&post(content_type, body), &redact);
        }
        for uri in uris(name, &secret) {
            check(&get(&uri).expect("a URI"), &redact);
        }
    }
    for name in HEADERS {
        check(&with_header(name, &secret), &redact);
        check(&with_header(name, &format!("scheme {secret}")), &redact);
    }
}

#[test]
fn no_header_with_a_uri_keeps_its_secret() {
    let redact = Redact::default();
    let secret = format!("{START}hunter2");
    for header in URI_HEADERS {
        for name in ["token", "api_key", "ticket", "X-Amz-Signature"] {
            for uri in uris(name, &secret)
                .into_iter()
                .chain(fragments(name, &secret))
            {
                check(&with_header(header, &uri), &redact);
                let link = format!("<{uri}>; rel=next, </b?{name}={secret}>; rel=\"last\"");
                check(&with_header(header, &link), &redact);
                check(&with_header(header, &format!("5; url={uri}")), &redact);
            }
        }
        check(
            &with_header(header, &format!("https://bob:{secret}@h/a")),
            &redact,
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_planted_secret_is_never_kept_wherever_its_body_is_cut(
        name in names(),
        query_name in query_names(),
        secret in secret(),
        framing in any::<sample::Index>(),
        cut in any::<sample::Index>(),
        hashes in any::<bool>(),
    ) {
        let redact = Redact::default();
        let redact = if hashes { redact.hash_with("key") } else { redact };
        let mut bodies = json_bodies(name, &secret);
        bodies.extend(form_bodies(query_name, &secret));
        let (content_type, body) = bodies.swap_remove(framing.index(bodies.len()));
        check(&post(content_type, body.clone()), &redact);
        let mut request = post(content_type, body[..cut.index(body.len() + 1)].to_vec());
        request.body.end = BodyEnd::Limit;
        check(&request, &redact);
    }

    #[test]
    fn a_planted_secret_is_never_kept_in_a_uri(
        name in query_names(),
        secret in secret(),
        header in sample::select(&URI_HEADERS[..]),
        at in any::<sample::Index>(),
        hashes in any::<bool>(),
    ) {
        let redact = Redact::default();
        let redact = if hashes { redact.hash_with("key") } else { redact };
        let uris = uris(name, &secret);
        let uri = &uris[at.index(uris.len())];
        check(&get(uri).expect("a URI"), &redact);
        check(&with_header(header, uri), &redact);
        let fragments = fragments(name, &secret);
        check(&with_header(header, &fragments[at.index(fragments.len())]), &redact);
    }

    /// Whatever a body is, redaction changes it once.
    #[test]
    fn redaction_is_idempotent_for_any_text(
        pieces in prop::collection::vec(sample::select(vec![
            "{", "}", "[", "]", "\"", "'", "\\", "\\\"", ":", ",", "&", "=", "?", "#", ";", "/", "//",
            "@", "%22", "%3D", "%26", "%25", "+", " ", "\n", "\r\n", "--b", "--", "data:", "token",
            "password", "a", "1", "null", "true", "REDACTED", "\u{feff}", "\u{1e}", "&quot;", "eyJ",
            "eyJhbGciOiJIUzI1NiJ9.", ".", "AKIAIOSFODNN7EXAMPLE", "-----BEGIN PRIVATE KEY-----", "\\u0022", "é",
            "Content-Disposition: form-data; name=token", "pin",
        ]), 0..24),
        content_type in sample::select(vec![
            "application/json", "application/json5", "text/event-stream", "text/plain", "text/html", "",
            "application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "application/octet-stream",
        ]),
        named in any::<bool>(),
        hashes in any::<bool>(),
        is_cut in any::<bool>(),
    ) {
        let mut redact = Redact::default();
        if named {
            redact = redact.json_field("pin").form_field("pin").json_pointer("/a");
        }
        if hashes {
            redact = redact.hash_with("key");
        }
        let text = pieces.concat();
        let mut request = post(content_type, text.clone().into_bytes());
        if is_cut {
            request.body.end = BodyEnd::Limit;
        }
        if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
            let field = |name| (http::HeaderName::from_static(name), value.clone());
            let more = [field("location"), field("link"), field("x-other"), field("sec-websocket-protocol")];
            request.headers = request.headers.to_map().into_iter()
                .filter_map(|(name, value)| Some((name?, value))).chain(more).collect();
        }
        if let Some(uri) = get(&format!("/a?{text}")) {
            request.uri = uri.uri;
        }
        redact.request(&mut request);
        let once = request.clone();
        redact.request(&mut request);
        prop_assert_eq!(request, once);
    }
}

#[test]
fn secrets_are_known_by_their_shape_wherever_they_stand() {
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl_-x";
    let unsigned = "eyJhbGciOiJub25lIn0.eyJzdWIiOiIxMjM0In0.";
    let redact = Redact::default();
    let long = "0123456789abcdefABCDEF0123456789abcdefABCDEF";
    for shape in [
        jwt.to_owned(),
        unsigned.to_owned(),
        "AKIAIOSFODNN7EXAMPLE".to_owned(),
        "ASIAIOSFODNN7EXAMPLE".to_owned(),
        format!("ghp_{}", &long[..36]),
        format!("github_pat_{long}"),
        format!("glpat-{}", &long[..20]),
        format!("xoxb-{long}"),
        format!("sk_live_{long}"),
        format!("AIza{}", &long[..35]),
    ] {
        let clean = |mut request: RecordedRequest| {
            redact.request(&mut request);
            String::from_utf8_lossy(&shown(&request)).into_owned()
        };
        for (content_type, before, after) in [
            (
                "text/plain",
                format!("see {shape} there"),
                "see REDACTED there",
            ),
            ("text/html", format!("<b>{shape}</b>"), "<b>REDACTED</b>"),
            (
                "application/json",
                format!("{{\"a\":[\"{shape}\"]}}"),
                "{\"a\":[\"REDACTED\"]}",
            ),
            (
                "application/x-www-form-urlencoded",
                format!("a={shape}&b=1"),
                "a=REDACTED&b=1",
            ),
            (
                "text/event-stream",
                format!("data: {shape}\n\n"),
                "data: REDACTED\n\n",
            ),
            (
                "multipart/form-data; boundary=b",
                format!("--b\r\n\r\n{shape}\r\n--b--"),
                "--b\r\n\r\nREDACTED\r\n--b--",
            ),
        ] {
            let mut request = post(content_type, before.clone().into_bytes());
            redact.request(&mut request);
            assert_eq!(request.body.to_bytes(), after, "{before}");
            // Cut within the secret.
            let mut request = post(content_type, before.clone().into_bytes());
            let at = before.find(&shape).expect("the secret") + shape.len() / 3;
            request.body = RecordedBody::from(before.as_bytes()[..at].to_vec());
            request.body.end = BodyEnd::Limit;
            redact.request(&mut request);
            let cut = String::from_utf8_lossy(&request.body.to_bytes()).into_owned();
            assert!(!cut.contains(&shape[..shape.len() / 3]), "{cut}");
        }
        assert_eq!(
            clean(get(&format!("/verify/{shape}?a={shape}")).expect("a URI")),
            "/verify/REDACTED?a=REDACTED"
        );
        assert_eq!(
            clean(with_header("x-a", &format!("b {shape}"))),
            "/x-ab REDACTED"
        );
    }
    let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow+/abc=\nxyz\n-----END RSA PRIVATE KEY-----";
    for (content_type, before, after) in [
        (
            "text/plain",
            format!("a\n{key}\nb"),
            "a\nREDACTED\nb".to_owned(),
        ),
        (
            "application/json",
            format!("{{\"a\":{}}}", json(key)),
            "{\"a\":\"REDACTED\"}".to_owned(),
        ),
        (
            "application/x-www-form-urlencoded",
            format!("a={}&b=1", percent(key)),
            "a=REDACTED&b=1".to_owned(),
        ),
    ] {
        let mut request = post(content_type, before.into_bytes());
        redact.request(&mut request);
        assert_eq!(request.body.to_bytes(), after);
    }
}

#[test]
fn text_that_only_resembles_a_secret_stays() {
    let redact = Redact::default();
    for (content_type, body) in [
        (
            "text/plain",
            "eyJ is the start of eyJhbGciOiJIUzI1NiJ9 and of eyJh.x, AKIA, AKIAiosfodnn7example, ghp_short",
        ),
        (
            "text/plain",
            "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        ),
        (
            "application/json",
            r#"{"cursor":"eyJpZCI6MTJ9","next":"eyJpZCI6MTN9"}"#,
        ),
        (
            "text/javascript",
            "var token=getToken();if(a&&b){user.password=e.password}x?token:y;",
        ),
        (
            "text/html",
            "<p>Password: <input name=password></p><p>token=5</p>",
        ),
        (
            "application/json",
            r#"{"has_password":true,"is_secret":false,"reset_password":null}"#,
        ),
        (
            "application/json",
            r#"{"cache_key":"a","partition_key":"b","idempotency_key":"c","public_key":"d","key":"e","code":"f"}"#,
        ),
        (
            "application/json",
            r#"{"tokens":[1,2],"max_tokens":5,"token_type":"Bearer","eos_token":"</s>"}"#,
        ),
    ] {
        let mut request = post(content_type, body.as_bytes().to_vec());
        redact.request(&mut request);
        assert_eq!(request.body.to_bytes(), body);
    }
    let binary = [
        b"\x89PNG\r\n\x1a\n\0\0".as_slice(),
        b"password=x \"token\":\"y\" AKIAIOSFODNN7EXAMPLE",
    ]
    .concat();
    for content_type in ["image/png", "application/octet-stream", ""] {
        let mut request = post(content_type, binary.clone());
        redact.request(&mut request);
        assert_eq!(request.body.to_bytes(), binary);
    }
}

#[test]
fn the_position_in_a_list_is_no_secret() {
    let matching = Matching::new();
    for name in [
        "page_token",
        "pageToken",
        "next_page_token",
        "nextPageToken",
        "nextToken",
        "NextToken",
        "continuationToken",
        "continuation-token",
        "paginationToken",
        "starting_token",
        "syncToken",
        "resume_token",
        "cursor",
        "key",
        "code",
        "partition_key",
        "cache-key",
        "x-idempotency-key",
    ] {
        let keys = |value: &str| {
            let query = get(&format!("/items?{name}={value}")).expect("a URI");
            let form = post(
                "application/x-www-form-urlencoded",
                format!("{name}={value}").into_bytes(),
            );
            let json = post(
                "application/json",
                format!("{{\"{name}\":\"{value}\"}}").into_bytes(),
            );
            [query, form, json].map(|request| matching.key(&request))
        };
        let (first, second) = (keys("eyJpIjoxfQ"), keys("eyJpIjoyfQ"));
        for (first, second) in first.iter().zip(&second) {
            assert_ne!(first, second, "{name}");
        }
    }
    for name in [
        "sec-websocket-key",
        "x-idempotency-key",
        "idempotency-key",
        "x-cache-key",
        "x-next-page-token",
        "etag",
    ] {
        let mut request = with_header(name, "value");
        redact_default(&mut request);
        assert_eq!(request.headers.get(name), Some(&b"value"[..]), "{name}");
    }
}

fn redact_default(request: &mut RecordedRequest) {
    Redact::default().request(request);
}

#[test]
fn protocols_of_web_sockets_lose_their_tokens() {
    for (before, after) in [
        ("graphql-ws", "graphql-ws"),
        ("v12.stomp, mqtt", "v12.stomp, mqtt"),
        ("bearer, hunter2", "bearer, REDACTED"),
        (
            "chat, access_token, hunter2",
            "chat, access_token, REDACTED",
        ),
        (
            "base64url.bearer.authorization.k8s.io.aHVudGVyMg, v4.channel.k8s.io",
            "base64url.bearer.authorization.k8s.io.REDACTED, v4.channel.k8s.io",
        ),
        (
            "realtime, openai-insecure-api-key.hunter2, openai-beta.realtime-v1",
            "realtime, openai-insecure-api-key.REDACTED, openai-beta.realtime-v1",
        ),
        (
            "chat,eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln",
            "chat,REDACTED",
        ),
        ("chat, 9f86d081884c7d659a2feaa0c55ad015", "chat, REDACTED"),
    ] {
        let mut request = with_header("sec-websocket-protocol", before);
        redact_default(&mut request);
        let value = request
            .headers
            .get("sec-websocket-protocol")
            .expect("the header");
        assert_eq!(String::from_utf8_lossy(value), after);
    }
}

#[test]
fn names_are_kept_by_name() {
    let redact = Redact::default()
        .keep_header("X-Gitlab-Token")
        .keep_query("ticket")
        .keep_json_field("new_password")
        .keep_form_field("csrf_token");
    let mut request = with_header("x-gitlab-token", "kept");
    redact.request(&mut request);
    assert_eq!(request.headers.get("x-gitlab-token"), Some(&b"kept"[..]));
    let mut request = get("/?ticket=7&token=x").expect("a URI");
    redact.request(&mut request);
    assert_eq!(request.uri, "/?ticket=7&token=REDACTED");
    let mut request = post(
        "application/json",
        br#"{"newPassword":"kept","password":"x"}"#.to_vec(),
    );
    redact.request(&mut request);
    assert_eq!(
        request.body.to_bytes(),
        r#"{"newPassword":"kept","password":"REDACTED"}"#
    );
    let mut request = post(
        "application/x-www-form-urlencoded",
        b"csrf_token=kept&token=x".to_vec(),
    );
    redact.request(&mut request);
    assert_eq!(request.body.to_bytes(), "csrf_token=kept&token=REDACTED");
}

/// Steps that grow with the square of the length would take hours.
#[test]
fn megabytes_of_hostile_text_are_read_once() {
    for piece in [
        "?a=%",
        "&a=%",
        "?a=",
        ";a",
        ";token",
        "\"token\":",
        "\\\"token\\\":",
        "'token':{",
        "{\"a\":\"",
        "[\"a=%25\",",
        "eyJ",
        "eyJa.",
        "AKIA",
        "-----BEGIN ",
        "-----BEGIN PRIVATE KEY",
        "&quot;token&quot;:",
        "//a@",
        "=//",
        "\\\\\\\\",
        "\"\\",
        "data: a\n",
        "--b\r\n",
        ": ",
        "token : ",
        "%25",
        "a=b&",
        "?token=x",
        "https://h/?a=%3Ftoken%3D",
    ] {
        let text = piece.repeat(400_000 / piece.len());
        for content_type in [
            "application/json",
            "text/plain",
            "text/html",
            "application/x-www-form-urlencoded",
            "text/event-stream",
            "multipart/form-data; boundary=b",
        ] {
            let mut request = post(content_type, text.clone().into_bytes());
            Redact::default().request(&mut request);
        }
        let quoted = post("application/json", json(&text).into_bytes());
        Redact::default().request(&mut { quoted });
    }
}
