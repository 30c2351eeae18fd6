//! Which requests are one to a replay.

use bytes::Bytes;
use http::Request;
use tower_traffic::{Matching, RecordedRequest};

fn request(method: &str, uri: &str, fields: &[(&str, &str)], body: &str) -> RecordedRequest {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let body = Bytes::copy_from_slice(body.as_bytes());
    request.body(body).expect("a request").into()
}

/// Recordings on disk are found by these keys.
#[test]
fn keys_are_what_they_were() {
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
        .ignore_authority();
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
            key(Matching::new().ignore_body(), &asked),
            "3c9c5827b570311caaea77299db2ed19",
        ),
    ] {
        assert_eq!(found, expected);
    }
}
