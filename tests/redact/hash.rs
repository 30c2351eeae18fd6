//! Hashed secrets: equal secrets have equal marks, and no mark reveals its secret.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request};
use tower_traffic::{HeaderList, Matching, REDACTED, RecordedRequest, Redact};

fn hashing() -> Redact {
    Redact::default().hash_with("key")
}

/// HMAC-SHA256 of `hunter2` under `key`, its first 12 digits, by OpenSSL:
/// `printf hunter2 | openssl dgst -sha256 -hmac key`.
const MARK: &str = "REDACTED-05d210d8af05";

fn value(redact: &Redact, name: &'static str, value: &str) -> String {
    let field = (
        HeaderName::from_static(name),
        HeaderValue::from_str(value).expect("a value"),
    );
    let mut list = HeaderList::from_iter([field]);
    redact.headers(&mut list);
    let once = list.clone();
    redact.headers(&mut list);
    assert_eq!(list, once, "doing it again changes nothing");
    String::from_utf8_lossy(list.get(name).expect("the field")).into_owned()
}

fn request(uri: &str, content_type: &str, body: &str) -> RecordedRequest {
    let request = Request::post(uri).header("content-type", content_type);
    let body = Bytes::copy_from_slice(body.as_bytes());
    request.body(body).expect("a request").into()
}

fn redacted(uri: &str, content_type: &str, body: &str) -> (String, String) {
    let mut request = request(uri, content_type, body);
    hashing().request(&mut request);
    let body = String::from_utf8_lossy(&request.body.to_bytes()).into_owned();
    (request.uri.to_string(), body)
}

#[test]
fn a_secret_has_the_same_hash_everywhere() {
    let all = hashing();
    for (name, before, after) in [
        ("authorization", "Bearer hunter2", MARK.to_owned()),
        ("authorization", "hunter2", MARK.to_owned()),
        ("proxy-authorization", "Basic hunter2", MARK.to_owned()),
        ("x-api-key", "hunter2", MARK.to_owned()),
        ("cookie", "session=hunter2", format!("session={MARK}")),
        (
            "cookie",
            "a=\"hunter2\";b=hunter2",
            format!("a={MARK}; b={MARK}"),
        ),
        ("cookie", "hunter2", MARK.to_owned()),
        (
            "set-cookie",
            "session=hunter2; Path=/a; HttpOnly; other=hunter2; Max-Age = 5; samesite=lax",
            format!("session={MARK}; Path=/a; HttpOnly; Max-Age = 5; samesite=lax"),
        ),
        ("location", "/a?token=hunter2", format!("/a?token={MARK}")),
        ("location", "http://hunter2@h/", format!("http://{MARK}@h/")),
    ] {
        assert_eq!(value(&all, name, before), after);
    }
    let (uri, body) = redacted(
        "http://hunter2@h/?token=hunter%32&a=1",
        "application/x-www-form-urlencoded",
        "password=hunter2&secret=h%75nter2",
    );
    assert_eq!(uri, format!("http://{MARK}@h/?token={MARK}&a=1"));
    assert_eq!(body, format!("password={MARK}&secret={MARK}"));
    let (_, body) = redacted(
        "/",
        "application/json",
        r#"{"token":"h\u0075nter2","pwd":"x"}"#,
    );
    assert!(
        body.starts_with(&format!("{{\"token\":\"{MARK}\",\"pwd\":\"REDACTED-")),
        "{body}"
    );
}

#[test]
fn different_secrets_and_keys_have_different_hashes() {
    let one = value(&hashing(), "x-api-key", "hunter2");
    let other = value(&hashing(), "x-api-key", "hunter3");
    let elsewhere = value(
        &Redact::default().hash_with("other"),
        "x-api-key",
        "hunter2",
    );
    assert!(one != other && one != elsewhere);
    for mark in [one, other, elsewhere] {
        assert_eq!(mark.len(), MARK.len());
        assert!(!mark.contains("hunter"));
    }
}

#[test]
fn a_secret_that_resembles_a_hash_is_hashed() {
    for secret in [
        "REDACTED-short",
        "REDACTED-1a2b3c4d5e6F",
        "REDACTEDx",
        "xREDACTED",
    ] {
        assert_ne!(value(&hashing(), "x-api-key", secret), secret);
    }
    // A mark without a hash is not hashed again.
    assert_eq!(value(&hashing(), "x-api-key", REDACTED), REDACTED);
    assert_eq!(value(&Redact::default(), "x-api-key", MARK), REDACTED);
}

#[test]
fn the_key_is_not_printed() {
    let redact = Redact::default().hash_with("opensesame");
    let matching = Matching::new().redact(redact.clone());
    for text in [
        format!("{redact:?}"),
        format!("{redact:#?}"),
        format!("{matching:?}"),
    ] {
        assert!(!text.contains("opensesame"), "{text}");
        // The output does not contain the secret as decimal bytes either.
        assert!(!text.contains("111, 112, 101, 110"), "{text}");
    }
}

#[test]
fn the_hash_key_distinguishes_requests_with_different_secrets() {
    let ask = |secret: &str| request(&format!("/?token={secret}"), "", "");
    let hashed = Matching::new().redact(hashing());
    assert_ne!(hashed.key(&ask("a")), hashed.key(&ask("b")));
    assert_eq!(
        Matching::new().key(&ask("a")),
        Matching::new().key(&ask("b"))
    );
    // A recording with hashes is found without the key.
    let mut stored = ask("a");
    hashing().request(&mut stored);
    assert_eq!(Matching::new().key(&stored), Matching::new().key(&ask("b")));
    assert_eq!(hashed.key(&stored), hashed.key(&ask("a")));
}
