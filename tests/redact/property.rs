//! A secret in any place that is searched is never stored, and everything else is.

use std::{fmt::Write, fs, path::Path};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, header};
use proptest::{collection, prelude::*, sample};
use support::{Body, Origin, ask, data, frames, trailers};
use tower::Layer;
use tower_traffic::{
    Exchange, HeaderList, Matching, NoResponse, REDACTED, RecordTraffic, RecordedBody,
    RecordedRequest, Redact,
};

/// The place of a secret.
#[derive(Clone, Copy, Debug)]
enum Place {
    Field(&'static str),
    Trailer,
    Query,
    User,
    Location,
    Error,
    Form,
    Multipart,
    MultipartJson,
    Json,
    JsonEscaped,
    JsonPointer,
    JsonLines,
    Events,
    Gzip,
}

const PLACES: [Place; 20] = [
    Place::Field("authorization"),
    Place::Field("cookie"),
    Place::Field("set-cookie"),
    Place::Field("x-api-key"),
    Place::Field("x-mine"),
    Place::Trailer,
    Place::Query,
    Place::User,
    Place::Location,
    Place::Error,
    Place::Form,
    Place::Multipart,
    Place::MultipartJson,
    Place::Json,
    Place::JsonEscaped,
    Place::JsonPointer,
    Place::JsonLines,
    Place::Events,
    Place::Gzip,
    Place::Gzip,
];

fn redact() -> Redact {
    Redact::default()
        .header("x-mine")
        .json_pointer("/cards/*/number")
        .json_field("pin")
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn escaped(text: &str) -> String {
    text.encode_utf16().fold(String::new(), |mut out, unit| {
        write!(out, "\\u{unit:04x}").expect("a string");
        out
    })
}

fn gzip(text: &str) -> Vec<u8> {
    use std::io::Read;
    let mut packed = Vec::new();
    flate2::read::GzEncoder::new(text.as_bytes(), flate2::Compression::fast())
        .read_to_end(&mut packed)
        .expect("bytes");
    packed
}

/// The media type and bytes of a content with a secret.
fn content(place: Place, secret: &str, rest: &str) -> Option<(&'static str, Vec<u8>)> {
    let rest_json = json(rest);
    let secret_json = json(secret);
    let text = match place {
        Place::Form => format!("a=1&user%5Bpassword%5D={secret}&b={}", rest.len()),
        Place::Multipart => format!(
            "--b\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\n{secret}\r\n\
             --b\r\n\r\n{rest}\r\n--b--"
        ),
        Place::MultipartJson => format!(
            "--b\r\nContent-Type: application/json\r\n\r\n[{rest_json},{{\"jwt\":{secret_json}}}]\
             \r\n--b--"
        ),
        Place::Json => {
            format!("[{rest_json}, {{\"access_token\" : {secret_json} ,\"b\":{rest_json}}}]")
        }
        Place::JsonEscaped => format!("{{\"b\":{rest_json},\"pwd\":\"{}\"}}", escaped(secret)),
        Place::JsonPointer => {
            format!("{{\"cards\":[1,{{\"number\":[{secret_json},1]}}],\"b\":{rest_json}}}")
        }
        Place::JsonLines => format!("{{\"b\":{rest_json}}}\n{{\"token\":{secret_json}}}\n"),
        Place::Events => format!(
            "data: {{\"b\":{rest_json}}}\n\nevent: x\ndata: {{\ndata: \"token\":{secret_json}}}\n\n"
        ),
        Place::Gzip => {
            let text = format!("{{\"b\":{rest_json},\"pin\":{secret_json}}}");
            return Some(("application/json", gzip(&text)));
        }
        _ => return None,
    };
    let content_type = match place {
        Place::Form => "application/x-www-form-urlencoded",
        Place::Multipart | Place::MultipartJson => "multipart/form-data; boundary=b",
        Place::JsonLines => "application/x-ndjson",
        Place::Events => "text/event-stream",
        _ => "application/json",
    };
    Some((content_type, text.into()))
}

/// An exchange with a secret in one place of its request, and in the same place of its response.
fn exchange(place: Place, secret: &str, rest: &str) -> Exchange {
    let (content_type, bytes) = content(place, secret, rest).unwrap_or(("text/plain", rest.into()));
    let mut uri = "http://h/a?b=1".to_owned();
    let mut map = HeaderMap::new();
    map.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    map.insert(header::CONTENT_LENGTH, bytes.len().into());
    if matches!(place, Place::Gzip) {
        map.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    let mut sent = RecordedBody::from(bytes);
    match place {
        Place::Field(name) => {
            map.insert(name, secret.parse().expect("a value"));
        }
        Place::Trailer => {
            let field = (
                HeaderName::from_static("cookie"),
                secret.parse().expect("a value"),
            );
            sent.trailers = Some(HeaderList::from_iter([field]));
        }
        Place::Query => uri += &["&token=", secret, "&c=2"].concat(),
        Place::User => uri = format!("http://{secret}@h/a?b=1"),
        Place::Location => {
            let value = format!("/next?a=1#id_token={secret}&x=1");
            map.insert(header::LOCATION, value.parse().expect("a value"));
        }
        _ => {}
    }
    let mut request = Request::post(uri.parse::<Uri>().expect("a URI"))
        .body(Bytes::new())
        .expect("one");
    *request.headers_mut() = map.clone();
    let mut response = Response::new(Bytes::new());
    *response.headers_mut() = map;
    let mut exchange = Exchange::new(request, response);
    exchange.request.body = sent.clone();
    exchange.response.as_mut().expect("one").body = sent;
    if let Place::Error = place {
        let error = format!("cannot reach http://h/?a=1&token={secret}: refused");
        exchange.response = Err(NoResponse::Failed(error));
    }
    exchange
}

/// Every byte of every file in a folder.
fn all_bytes(folder: &Path) -> Vec<u8> {
    let files = fs::read_dir(folder).expect("a folder");
    files
        .flat_map(|file| fs::read(file.expect("a file").path()).expect("a file"))
        .collect()
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|part| part == text)
}

/// A body of these bytes in pieces, with its trailers.
fn body(body: &RecordedBody, pieces: usize) -> Body {
    let bytes = body.to_bytes();
    let mut all: Vec<_> = bytes
        .chunks(bytes.len().div_ceil(pieces).max(1))
        .map(|piece| data(piece.to_vec()))
        .collect();
    all.extend(
        body.trailers
            .as_ref()
            .map(|fields| trailers(fields.to_map())),
    );
    frames(all)
}

/// Sends an exchange through a layer.
async fn pass(record: &RecordTraffic, exchange: &Exchange, pieces: usize) {
    let recorded = &exchange.request;
    let mut request = Request::new(body(&recorded.body, pieces));
    *request.method_mut() = recorded.method.clone();
    *request.uri_mut() = recorded.uri.clone();
    *request.headers_mut() = recorded.headers.to_map();
    let Ok(answer) = exchange.response.clone() else {
        let Err(NoResponse::Failed(error)) = exchange.response.clone() else {
            return;
        };
        let failing =
            tower::service_fn(move |_| std::future::ready(Err::<Response<Body>, _>(error.clone())));
        let failed = tower::ServiceExt::oneshot(record.layer(failing), request).await;
        assert!(failed.is_err());
        return;
    };
    let origin = Origin::new(move |_| {
        let mut response = Response::new(body(&answer.body, pieces));
        *response.headers_mut() = answer.headers.to_map();
        response
    });
    ask(&record.layer(origin), request).await;
}

/// Without redaction, the search below finds the secret, in every place that is stored as it is.
#[tokio::test]
async fn a_secret_that_is_not_redacted_is_in_the_files() {
    for place in &PLACES[..18] {
        let folder = tempfile::tempdir().expect("a folder");
        let record = RecordTraffic::disk(folder.path()).redact(Redact::none());
        pass(&record, &exchange(*place, START, "rest"), 3).await;
        record.recorder().flush().await;
        let bytes = all_bytes(folder.path());
        let is_found = contains(&bytes, START.as_bytes());
        assert!(
            is_found || contains(&bytes, escaped(START).as_bytes()),
            "{place:?}"
        );
    }
}

const START: &str = "zQ7";

fn secret() -> impl Strategy<Value = String> {
    // Characters that every place accepts unescaped, and some that must be escaped.
    "[A-Za-z0-9._~+!-]{5,24}[a-z0-9]".prop_map(|rest| format!("{START}{rest}"))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_files_of_a_recording_contain_no_secret(
        place in sample::select(&PLACES[..]),
        secret in secret(),
        rest in "[a-y \"\\\\]{0,40}",
        pieces in 1_usize..9,
        limit in prop_oneof![Just(1 << 20), 1_usize..200],
        hashes in any::<bool>(),
    ) {
        let exchange = exchange(place, &secret, &rest);
        let folder = tempfile::tempdir().expect("a folder");
        let redact = if hashes { redact().hash_with("key") } else { redact() };
        let record = RecordTraffic::disk(folder.path()).redact(redact).max_body_bytes(limit);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let stats = runtime.expect("a runtime").block_on(async {
            pass(&record, &exchange, pieces).await;
            record.recorder().flush().await
        });
        prop_assert_eq!(stats.stored, 1);
        let bytes = all_bytes(folder.path());
        let text = String::from_utf8_lossy(&bytes);
        prop_assert!(!contains(&bytes, START.as_bytes()), "{text}");
        prop_assert!(!contains(&bytes, escaped(START).as_bytes()), "{text}");
    }

    #[test]
    fn everything_but_secrets_is_unchanged(
        place in sample::select(&PLACES[..18]),
        secret in secret(),
        rest in any::<String>(),
    ) {
        let mut found = exchange(place, &secret, &rest);
        // The replacement of a secret's container is a string.
        let mut expected = match place {
            Place::JsonPointer => {
                let mut expected = exchange(place, REDACTED, &rest);
                redact().exchange(&mut expected);
                expected
            }
            Place::JsonEscaped => {
                let mut expected = exchange(place, REDACTED, &rest);
                let text = String::from_utf8(expected.request.body.to_bytes().to_vec()).expect("text");
                let text = text.replace(&escaped(REDACTED), REDACTED);
                let length = HeaderValue::from(text.len());
                let change = |headers: &mut HeaderList, body: &mut RecordedBody| {
                    let mut map = headers.to_map();
                    map.insert(header::CONTENT_LENGTH, length.clone());
                    *headers = HeaderList::from(&map);
                    body.set_bytes(text.clone());
                };
                change(&mut expected.request.headers, &mut expected.request.body);
                let response = expected.response.as_mut().expect("one");
                change(&mut response.headers, &mut response.body);
                expected
            }
            _ => exchange(place, REDACTED, &rest),
        };
        found.began = expected.began;
        redact().exchange(&mut found);
        prop_assert_eq!(&found, &expected);
        redact().exchange(&mut expected);
        prop_assert_eq!(&found, &expected);
    }

    /// A live request has the key of its recording, whatever the recorder hashes with.
    #[test]
    fn live_and_stored_requests_have_the_same_key(
        place in sample::select(&PLACES[..]),
        secret in secret(),
        other in secret(),
        rest in any::<String>(),
    ) {
        let live = |secret: &str| exchange(place, secret, &rest).request;
        let all = |redact: Redact| {
            Matching::new().all_headers_except([""; 0]).redact(redact)
        };
        for redact in [redact(), redact().hash_with("key")] {
            let mut stored = live(&secret);
            redact.request(&mut stored);
            let matching = all(redact.clone());
            prop_assert_eq!(matching.key(&stored), matching.key(&live(&secret)));
            let once = stored.clone();
            redact.request(&mut stored);
            prop_assert_eq!(&stored, &once);
            // The recording is found without hashing too.
            let plain = all(self::redact());
            if !matches!(place, Place::Gzip) {
                prop_assert_eq!(plain.key(&stored), plain.key(&live(&other)));
            }
        }
        let hashing = all(redact().hash_with("key"));
        let is_seen = !matches!(place, Place::Trailer | Place::Error);
        let differs = hashing.key(&live(&secret)) != hashing.key(&live(&other));
        prop_assert_eq!(differs, is_seen && secret != other);
    }

    #[test]
    fn no_body_is_too_much(
        body in "[\\[\\]{}\":,a\\\\ntruefalse0-9.\\n&=-]{0,80}",
        content_type in sample::select(vec![
            "application/json", "text/event-stream", "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=a", "multipart/form-data", "",
        ]),
        hashes in any::<bool>(),
    ) {
        let redact = Redact::default().json_field("a").form_field("a").json_pointer("/**/u/*");
        let redact = if hashes { redact.hash_with("key") } else { redact };
        let request = Request::post("/").header("content-type", content_type).body(body);
        let mut request = RecordedRequest::from(request.expect("a request"));
        redact.request(&mut request);
        let once = request.clone();
        redact.request(&mut request);
        prop_assert_eq!(request, once);
    }

    #[test]
    fn json_is_found_in_any_json(
        members in collection::vec(("[a-z\"\\\\\u{e9}]{1,5}", any::<String>()), 0..8),
        secret in secret(),
        at in any::<sample::Index>(),
    ) {
        let text: Vec<String> = members.iter().map(|(name, value)| format!("{}: {}", json(name), json(value))).collect();
        let clean = |member: &str| {
            let mut all = text.clone();
            all.insert(at.index(all.len() + 1), member.to_owned());
            format!("{{\"deep\": [{{{}}}]}}", all.join(" ,"))
        };
        let member = format!("\"token\":{}", json(&secret));
        let body = clean(&member);
        let request = Request::post("/").header("content-type", "application/json").body(body);
        let mut request = RecordedRequest::from(request.expect("a request"));
        Redact::default().request(&mut request);
        let expected = clean("\"token\":\"REDACTED\"");
        prop_assert_eq!(request.body.to_bytes(), expected);
    }
}
