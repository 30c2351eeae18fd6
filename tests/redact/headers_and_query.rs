//! Redaction of headers and URIs: no secret is stored, and a recording without secrets still
//! answers.

use std::{fs, path::Path};

use axum::Router;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use support::{
    Body, Origin, Server, ask, broken, data, fields, frames, full, get, http1, http2, reply,
    request, settled, trailers, with,
};
use tower::{Layer, ServiceExt, service_fn};
use tower_traffic::{
    BodyEnd, Exchange, HeaderList, NoResponse, OnMiss, REDACTED, RecordTraffic, RecordedRequest,
    Redact, ReplayCache, record::RequestBody,
};

const SECRET: &str = "hunter2";

fn headers(redact: &Redact, map: &HeaderMap) -> HeaderList {
    let mut headers = HeaderList::from(map);
    redact.headers(&mut headers);
    headers
}

/// The redacted value of a header.
fn value(redact: &Redact, name: &'static str, value: impl AsRef<[u8]>) -> Vec<u8> {
    let mut map = HeaderMap::new();
    let value = HeaderValue::from_bytes(value.as_ref()).expect("a value");
    map.insert(HeaderName::from_static(name), value);
    let headers = headers(redact, &map);
    headers.get(name).expect("the field").to_vec()
}

fn text(redact: &Redact, name: &'static str, text: &str) -> String {
    String::from_utf8(value(redact, name, text)).expect("text")
}

/// The redacted URI of a request.
fn uri(redact: &Redact, uri: &str) -> String {
    let request = Request::get(uri).body(Bytes::new()).expect("a request");
    let mut request = RecordedRequest::from(request);
    redact.request(&mut request);
    request.uri.to_string()
}

// ---- headers

#[test]
fn the_usual_secret_fields_are_replaced() {
    let default = Redact::default();
    for name in [
        "authorization",
        "proxy-authorization",
        "cookie",
        "set-cookie",
        "x-api-key",
        "x-auth-token",
        "x-amz-security-token",
        "x-csrf-token",
    ] {
        assert_eq!(text(&default, name, SECRET), REDACTED, "{name}");
    }
    assert_eq!(text(&default, "accept", "text/html"), "text/html");
    assert_eq!(text(&default, "x-authorization-hint", "none"), "none");
}

#[test]
fn every_value_of_a_field_is_replaced_and_the_rest_stays_in_its_place() {
    let map = fields([
        ("set-cookie", SECRET),
        ("x-a", "1"),
        ("x-a", "2"),
        ("date", "today"),
    ]);
    let mut map = map;
    map.append("set-cookie", SECRET.parse().expect("a value"));
    let before: Vec<_> = map.keys().map(HeaderName::as_str).collect();
    let after = headers(&Redact::default(), &map);
    let cookies: Vec<_> = after.get_all("set-cookie").collect();
    assert_eq!(cookies, [REDACTED.as_bytes(); 2]);
    assert_eq!(after.get_all("x-a").collect::<Vec<_>>(), [b"1", b"2"]);
    let mut names: Vec<_> = after.iter().map(|(name, _)| name).collect();
    names.dedup();
    assert_eq!(names, before);
}

#[test]
fn values_that_are_marked_sensitive_are_replaced() {
    let mut map = fields([("x-plain", "seen"), ("x-session", SECRET)]);
    let session = map.get_mut("x-session").expect("a value");
    session.set_sensitive(true);
    let after = headers(&Redact::default(), &map);
    assert_eq!(after.get("x-session"), Some(REDACTED.as_bytes()));
    assert_eq!(after.get("x-plain"), Some(&b"seen"[..]));
    // Even if the header is kept by name.
    let after = headers(&Redact::default().keep_header("x-session"), &map);
    assert_eq!(after.get("x-session"), Some(REDACTED.as_bytes()));
}

#[test]
fn fields_can_be_added_and_kept() {
    let redact = Redact::default()
        .header("X-Session")
        .keep_header("Set-Cookie");
    assert_eq!(text(&redact, "x-session", SECRET), REDACTED);
    assert_eq!(text(&redact, "set-cookie", "theme=dark"), "theme=dark");
    assert_eq!(text(&redact, "cookie", SECRET), REDACTED);
}

#[test]
fn disabled_redaction_replaces_nothing() {
    let none = Redact::none();
    assert_eq!(text(&none, "authorization", SECRET), SECRET);
    assert_eq!(
        text(&none, "location", "/?token=hunter2"),
        "/?token=hunter2"
    );
    assert_eq!(
        uri(&none, "http://a:b@host/?token=c"),
        "http://a:b@host/?token=c"
    );
    let mut map = fields([("x-session", SECRET)]);
    map.get_mut("x-session").expect("it").set_sensitive(true);
    let after = headers(&none, &map);
    assert_eq!(after.get("x-session"), Some(SECRET.as_bytes()));
    // Rules can be added to no rules.
    let only = Redact::none().header("x-session").query("nonce");
    assert_eq!(text(&only, "x-session", SECRET), REDACTED);
    assert_eq!(uri(&only, "/?nonce=1&token=2"), "/?nonce=REDACTED&token=2");
}

// ---- URIs

#[test]
fn secret_query_parameters_are_replaced() {
    let default = Redact::default();
    for name in [
        "access_token",
        "refresh_token",
        "id_token",
        "token",
        "api_key",
        "apikey",
        "client_secret",
        "password",
        "signature",
        "sig",
        "X-Amz-Signature",
        "X-Amz-Security-Token",
        "X-Goog-Signature",
        "TOKEN",
        "Password",
        "%74oken",
        "api%5Fkey",
        "%54OKEN",
    ] {
        let replaced = uri(
            &default,
            &format!("/a?b=1&{name}={SECRET}&c=2&{name}={SECRET}"),
        );
        assert_eq!(
            replaced,
            format!("/a?b=1&{name}={REDACTED}&c=2&{name}={REDACTED}")
        );
    }
    for kept in [
        "/a",
        "/a?",
        "/a?token",
        "/a?b=token",
        "/a?tokens=5&key=b&code=c",
        "/token=1?b=2",
        "/a?=1&&b",
        "http://host:80/a?b=1",
    ] {
        assert_eq!(uri(&default, kept), kept);
    }
    assert_eq!(uri(&default, "/?token=a=b=c"), "/?token=REDACTED");
    assert_eq!(uri(&default, "/?token="), "/?token=REDACTED");
    let once = uri(&default, "http://u:p@h/?token=x");
    assert_eq!(uri(&default, &once), once, "doing it again changes nothing");
}

#[test]
fn query_parameters_can_be_added_and_kept() {
    let redact = Redact::default().query("Code").keep_query("SIG");
    assert_eq!(
        uri(&redact, "/?code=1&CODE=2&sig=3&token=4"),
        "/?code=REDACTED&CODE=REDACTED&sig=3&token=REDACTED"
    );
}

#[test]
fn user_and_password_are_replaced() {
    let default = Redact::default();
    for (before, after) in [
        ("http://bob:hunter2@host/a", "http://REDACTED@host/a"),
        ("http://bob@host:81/a?b=1", "http://REDACTED@host:81/a?b=1"),
        ("http://host/a@b", "http://host/a@b"),
        (
            "http://b:hunter2@h/?token=x",
            "http://REDACTED@h/?token=REDACTED",
        ),
    ] {
        assert_eq!(uri(&default, before), after);
    }
}

#[test]
fn fields_that_hold_a_uri_lose_their_secrets() {
    let default = Redact::default();
    for name in [
        "location",
        "content-location",
        "referer",
        "origin",
        "x-forwarded-uri",
        "x-original-url",
        "x-rewrite-url",
    ] {
        for (before, after) in [
            (
                "/back?a=1&token=hunter2&b=2",
                "/back?a=1&token=REDACTED&b=2",
            ),
            (
                "https://h/cb?%74oken=hunter2#top",
                "https://h/cb?%74oken=REDACTED#top",
            ),
            (
                // The implicit grant of OAuth puts its token here.
                "https://h/cb#access_token=hunter2&state=1",
                "https://h/cb#access_token=REDACTED&state=1",
            ),
            (
                "https://h/cb?a=1#x=1&access_token=hunter2",
                "https://h/cb?a=1#x=1&access_token=REDACTED",
            ),
            ("https://bob:hunter2@h/cb", "https://REDACTED@h/cb"),
            ("//bob:hunter2@h/cb", "//REDACTED@h/cb"),
            (
                "https://bob:hunter2@h?token=hunter2",
                "https://REDACTED@h?token=REDACTED",
            ),
            ("https://h/a@b?to=c@d", "https://h/a@b?to=c@d"),
            ("/plain?a=1", "/plain?a=1"),
        ] {
            assert_eq!(text(&default, name, before), after, "{name}");
        }
    }
    assert_eq!(
        text(
            &default,
            "link",
            "</a?sig=hunter2>; rel=next, </b?sig=x>; rel=last"
        ),
        "</a?sig=REDACTED>; rel=next, </b?sig=REDACTED>; rel=last"
    );
    assert_eq!(
        text(&default, "refresh", "5; url=/a?token=hunter2"),
        "5; url=/a?token=REDACTED"
    );
}

#[test]
fn only_the_secrets_of_a_non_utf_8_uri_are_replaced() {
    let before = b"/caf\xe9?token=hunter2&a=\xff";
    assert_eq!(
        value(&Redact::default(), "location", before),
        b"/caf\xe9?token=REDACTED&a=\xff"
    );
}

// ---- other parts of an exchange

fn failed(error: &str) -> Exchange {
    let request = Request::get("/").body(Bytes::new()).expect("a request");
    Exchange::without_response(request, NoResponse::Failed(error.to_owned()))
}

#[test]
fn texts_of_errors_lose_the_secrets_of_uris_in_them() {
    for (before, after) in [
        (
            "error sending request for url (http://h/?token=hunter2&a=1): refused",
            "error sending request for url (http://h/?token=REDACTED&a=1): refused",
        ),
        (
            "two: '/a?sig=hunter2' and \"/b?x=1&sig=hunter2\"",
            "two: '/a?sig=REDACTED' and \"/b?x=1&sig=REDACTED\"",
        ),
        (
            "cannot reach http://bob:hunter2@h/a: refused",
            "cannot reach http://REDACTED@h/a: refused",
        ),
        ("what? why? token", "what? why? token"),
    ] {
        let mut exchange = failed(before);
        let request_end = BodyEnd::Error(before.to_owned());
        exchange.request.body.end = request_end;
        Redact::default().exchange(&mut exchange);
        assert_eq!(exchange.response, Err(NoResponse::Failed(after.to_owned())));
        assert_eq!(exchange.request.body.end, BodyEnd::Error(after.to_owned()));

        let mut exchange = support::recorded_get("/", "half");
        exchange.response.as_mut().expect("one").body.end = BodyEnd::Error(before.to_owned());
        Redact::default().exchange(&mut exchange);
        let response = exchange.response.expect("one");
        assert_eq!(response.body.end, BodyEnd::Error(after.to_owned()));
    }
}

#[test]
fn trailers_lose_their_secrets() {
    let sum = fields([("x-api-key", SECRET), ("x-sum", "1")]);
    let mut exchange = support::recorded_get("/", "found");
    exchange.request.body.trailers = Some(HeaderList::from(&sum));
    exchange.response.as_mut().expect("one").body.trailers = Some(HeaderList::from(&sum));
    Redact::default().exchange(&mut exchange);
    let after = HeaderList::from(&fields([("x-api-key", REDACTED), ("x-sum", "1")]));
    assert_eq!(exchange.request.body.trailers, Some(after.clone()));
    assert_eq!(exchange.response.expect("one").body.trailers, Some(after));
}

#[test]
fn bodies_without_secrets_are_left_as_they_are() {
    let mut exchange = support::exchange("POST", "/", "the password: a", "a=token&b");
    let before = exchange.clone();
    Redact::default().exchange(&mut exchange);
    assert_eq!(exchange, before);
}

// ---- end to end

/// A request with a secret in every place that is searched.
fn all_secrets(base: &str) -> Request<Body> {
    let sent = frames([
        data("content"),
        trailers(fields([("x-api-key", SECRET), ("x-sum", "1")])),
    ]);
    let mut asked = request(
        "POST",
        format!("{base}/users?a=1&token={SECRET}&Api%5FKey={SECRET}"),
        sent,
    );
    for (name, value) in [
        ("authorization", "Bearer hunter2"),
        ("proxy-authorization", "Basic hunter2"),
        ("cookie", "session=hunter2"),
        ("x-api-key", "hunter2"),
        ("referer", "http://h/?password=hunter2"),
    ] {
        asked = with(asked, name, value);
    }
    asked
}

fn secretive() -> Origin {
    Origin::new(|_| {
        let end = trailers(fields([("x-api-key", SECRET)]));
        let mut response = reply(302, frames([data("found"), end]));
        response.headers_mut().extend(fields([
            ("set-cookie", "session=hunter2"),
            ("location", "/next?access_token=hunter2"),
            ("x-kept", "kept"),
        ]));
        let more = "theme=hunter2".parse().expect("a value");
        response.headers_mut().append("set-cookie", more);
        response
    })
}

/// Every byte of every file in a folder and its subfolders.
fn all_bytes(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        bytes.extend(if path.is_dir() {
            all_bytes(&path)
        } else {
            fs::read(path).expect("a file")
        });
    }
    bytes
}

fn contains(bytes: &[u8], text: &str) -> bool {
    bytes
        .windows(text.len())
        .any(|part| part == text.as_bytes())
}

#[tokio::test]
async fn the_files_of_a_recording_contain_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let record = RecordTraffic::disk(folder.path());
    let app = Router::new()
        .fallback_service(secretive())
        .layer(record.clone());
    let server = Server::start(app).await;
    for (number, client) in [http1(), http2()].into_iter().enumerate() {
        let answer = ask(&client, all_secrets(&server.url(""))).await;
        // The client receives the original.
        assert_eq!(answer.headers["set-cookie"], "session=hunter2");
        settled(&record.recorder(), number as u64 + 1).await;
    }
    // The errors of clients and bodies contain the URI.
    let failing = record.layer(service_fn(|_: Request<RequestBody<Body>>| async {
        Err::<Response<Body>, _>("cannot reach http://bob:hunter2@h/?token=hunter2")
    }));
    assert!(
        failing
            .oneshot(all_secrets("http://bob:hunter2@h"))
            .await
            .is_err()
    );
    let breaking = record.layer(Origin::new(|_| {
        reply(200, frames([data("half"), broken("lost /?sig=hunter2")]))
    }));
    let half = breaking.oneshot(get("/")).await.expect("a head");
    drop(http_body_util::BodyExt::collect(half.into_body()).await);
    let stats = record.recorder().flush().await;
    assert_eq!(stats.stored, 4);

    let bytes = all_bytes(folder.path());
    assert!(
        contains(&bytes, "x-kept: kept"),
        "this looks at the recording"
    );
    assert!(contains(&bytes, REDACTED));
    assert!(!contains(&bytes, SECRET));

    // Without redaction, the search above finds every secret.
    let folder = tempfile::tempdir().expect("a folder");
    let record = RecordTraffic::disk(folder.path()).redact(Redact::none());
    ask(&record.layer(secretive()), all_secrets("")).await;
    record.recorder().flush().await;
    assert!(contains(&all_bytes(folder.path()), SECRET));
}

#[tokio::test]
async fn a_miss_is_recorded_without_its_secrets() {
    let folder = tempfile::tempdir().expect("a folder");
    let layer = ReplayCache::disk(folder.path()).on_miss(OnMiss::Record);
    let answer = ask(&layer.layer(secretive()), all_secrets("")).await;
    assert_eq!(answer.headers["set-cookie"], "session=hunter2");
    layer.recorder().flush().await;
    let bytes = all_bytes(folder.path());
    assert!(contains(&bytes, "x-kept: kept"));
    assert!(!contains(&bytes, SECRET));
}

#[tokio::test]
async fn a_recording_without_its_secrets_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let record = RecordTraffic::disk(folder.path());
    ask(&record.layer(secretive()), all_secrets("")).await;
    drop(record);
    let cache = ReplayCache::disk(folder.path())
        .on_miss(OnMiss::Refuse)
        .layer(Origin::new(|_| reply(500, full("passed on"))));
    let answer = ask(&cache, all_secrets("")).await;
    assert_eq!((answer.status, answer.text().as_str()), (302, "found"));
    assert_eq!(answer.headers["set-cookie"], REDACTED);
    let other = all_secrets("").map(|_| full("content"));
    assert_eq!(
        ask(&cache, other).await.status,
        302,
        "trailers do not count"
    );
}

#[test]
fn the_last_part_of_a_nested_name_counts() {
    let uri = uri(
        &Redact::default(),
        "/login?user[password]=hunter2&user[name]=bob&a]=1",
    );
    assert_eq!(uri, "/login?user[password]=REDACTED&user[name]=bob&a]=1");
}

#[test]
fn a_nested_name_that_was_added_counts_as_a_whole_too() {
    let redact = Redact::none().query("filter[owner]");
    let uri = uri(&redact, "/list?filter[owner]=bob&filter[page]=2&owner=1");
    assert_eq!(uri, "/list?filter[owner]=REDACTED&filter[page]=2&owner=1");
}

#[test]
fn a_uri_in_utf_8_loses_its_secrets() {
    let value = HeaderValue::from_bytes("/grüße?token=hunter2&a=ö".as_bytes()).unwrap();
    let mut list: HeaderList = [(http::header::LOCATION, value)].into_iter().collect();
    Redact::default().headers(&mut list);
    assert_eq!(
        list.get("location"),
        Some("/grüße?token=REDACTED&a=ö".as_bytes())
    );
}

#[test]
fn a_query_within_a_query_loses_its_secrets() {
    let redact = Redact::default();
    for (before, after) in [
        ("/a?b?token=x", "/a?b?token=REDACTED"),
        ("/a?b?c?token=x?d&e=1", "/a?b?c?token=REDACTED&e=1"),
        ("/a?b&c?to%6ben=x).", "/a?b&c?to%6ben=REDACTED)."),
        (
            "/a?b?token=REDACTED&c?pwd=y",
            "/a?b?token=REDACTED&c?pwd=REDACTED",
        ),
        ("/a?b?token", "/a?b?token"),
    ] {
        let after = after.as_bytes();
        assert_eq!(value(&redact, "referer", before), after, "{before}");
    }
}

#[test]
fn a_text_of_question_marks_is_read_once() {
    for text in ["?", "?a=", "?a&", "?token=REDACTED&", "#", "://", "#?"] {
        // The square of its length is 10^12.
        let text = format!("/{}", text.repeat(1_000_000 / text.len()));
        assert_eq!(value(&Redact::default(), "referer", &text), text.as_bytes());
    }
}
