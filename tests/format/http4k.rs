//! Folders in the layout of http4k, written by hand after its sources (commit 38f9a11).

use std::{fs, path::Path, time::SystemTime};

use http::{Method, Version};
use support::stores::{find, replay, replay_all, report};
use tempfile::TempDir;
use tower_traffic::{
    Exchange, NoResponse, StoreError,
    store::{Disk, DiskCache},
};

/// core/core/src/main/kotlin/org/http4k/core/http.kt: `toMessage` joins the first line, the headers
/// and the body with CR LF; Headers.kt: `toHeaderMessage` adds a CR LF after the headers, also to
/// an empty list.
const PLAIN: [&str; 2] = [
    "GET /users/1?full=yes HTTP/1.1\r\n\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\r\n\r\nbob",
];
const FIELDS: [&str; 2] = [
    "POST http://localhost:8080/users HTTP/1.1\r\naccept: */*\r\nx-twice: 1\r\nx-twice: 2\r\n\r\n{\"name\":\"bob\"}\n",
    "HTTP/1.1 429 Too many requests\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n\r\nno\n\n",
];
const HTTP2: [&str; 2] = [
    "HEAD / HTTP/2\r\n\r\n\r\n",
    "HTTP/2 204 No Content\r\netag: \"1\"\r\n\r\n",
];

/// `System.nanoTime().toString() + UUID.randomUUID().toString()` (Sink.kt, `DiskStream`).
const IDS: [&str; 3] = [
    "10413876543210aab3c9d4-8f1e-4a57-9d3b-1f2e3d4c5b6a",
    "10413876599999b7e2f1a0-1c2d-4e3f-8a9b-0c1d2e3f4a5b",
    "10413876600001c1d2e3f4-5a6b-4c7d-8e9f-a0b1c2d3e4f5",
];

/// `MessageDigest.getInstance("SHA1").digest(toString().toByteArray()).base64Encode()` with `_` for
/// `/`, in a folder of the URI's path (internal.kt, `toFolder`). The digests are those of
/// `printf '...' | openssl sha1 -binary | base64`.
const CACHED: [(&str, [&str; 2]); 3] = [
    ("users/1/z8_KqyeghQOvtJ+Nj22OrhJGMy4=", PLAIN),
    ("users/HvX6aSENBTs_2JDYxi62GyDY+QE=", FIELDS),
    ("+HXQ7jY7GAdq23sMdgEjdnL+8fM=", HTTP2),
];

#[test]
fn a_stream_is_replayed_in_the_order_of_its_names() {
    let folder = stream(&IDS);
    let read = replay_all(folder.path());
    let uris: Vec<_> = read
        .iter()
        .map(|exchange| exchange.request.uri.to_string())
        .collect();
    assert_eq!(
        uris,
        ["/users/1?full=yes", "http://localhost:8080/users", "/"]
    );
    assert_eq!(read[0].request.method, Method::GET);
    assert_eq!(read[0].began, SystemTime::UNIX_EPOCH);
    assert_eq!(text(&read[0]), "bob");
    assert_eq!(read[1].request.body.to_bytes(), "{\"name\":\"bob\"}\n");
    assert_eq!(read[1].request.headers.get_all("x-twice").count(), 2);
    assert_eq!(read[1].response.as_ref().unwrap().status, 429);
    assert_eq!(text(&read[1]), "no\n\n");
    assert_eq!(read[2].request.version, Version::HTTP_2);
    assert_eq!(text(&read[2]), "");

    let found = report(folder.path());
    assert_eq!(
        (found.exchanges, found.http4k_streams, found.http4k_caches),
        (3, 3, 0)
    );
    for exchange in &read {
        let answer = find(&Disk::new(folder.path()), exchange).unwrap();
        assert_eq!(answer.as_ref(), Some(exchange));
    }
}

#[test]
fn a_cache_answers() {
    let folder = cache();
    let found = report(folder.path());
    assert_eq!((found.exchanges, found.http4k_caches), (3, 3), "{found}");
    let read = replay_all(folder.path());
    for exchange in &read {
        let answer = find(&DiskCache::new(folder.path()), exchange).unwrap();
        assert_eq!(answer.as_ref(), Some(exchange));
    }
}

#[test]
fn a_stored_request_without_a_response_is_an_exchange_without() {
    // `shouldStore` can skip responses (Sink.kt).
    let folder = stream(&IDS);
    fs::remove_file(folder.path().join(IDS[1]).join("response.txt")).unwrap();
    fs::remove_file(folder.path().join(IDS[2]).join("request.txt")).unwrap();
    let (read, errors) = replay(&Disk::new(folder.path()));
    assert_eq!(read.len(), 2);
    assert!(matches!(read[1].response, Err(NoResponse::Failed(_))));
    let [StoreError::Damaged { location, .. }] = &errors[..] else {
        panic!("{errors:?}")
    };
    assert_eq!(
        location.path(),
        folder.path().join(IDS[2]).join("request.txt")
    );
    assert_eq!(find(&Disk::new(folder.path()), &read[1]).unwrap(), None);
}

#[test]
fn an_invalid_text_is_reported_and_the_rest_is_read() {
    for (file, bad) in [
        ("request.txt", ""),
        ("request.txt", "GET\r\n\r\n\r\n"),
        ("request.txt", "GET / HTTP/1.1"),
        ("request.txt", "GET / HTTP/1.1\r\nnonsense\r\n\r\n"),
        ("response.txt", "HTTP/1.1 OK 200\r\n\r\n\r\n"),
        ("response.txt", "\0\u{1}"),
    ] {
        let folder = stream(&IDS);
        let file = folder.path().join(IDS[0]).join(file);
        fs::write(&file, bad).unwrap();
        let (read, errors) = replay(&Disk::new(folder.path()));
        assert_eq!(read.len(), 2);
        let [error @ StoreError::Damaged { location, .. }] = &errors[..] else {
            panic!("{bad:?}: {errors:?}")
        };
        assert_eq!(location.path(), file, "{error}");
        assert_eq!(report(folder.path()).skipped.len(), 1);
    }
}

#[test]
fn an_edited_response_has_the_right_length() {
    let folder = stream(&IDS);
    let edited = FIELDS[1].replace("no\n\n", "not now");
    fs::write(folder.path().join(IDS[1]).join("response.txt"), edited).unwrap();
    let response = replay_all(folder.path()).remove(1).response.unwrap();
    assert_eq!(response.headers.get("content-length"), Some(&b"7"[..]));
}

#[test]
fn any_bytes_are_read() {
    let bodies: [&[u8]; 5] = [b"\r\n\r\nafter", b"a\r\nb\n", b"\xff\0\xfe", b"", b"\r\n"];
    for body in bodies {
        for headers in ["\r\n", "x-latin: caf\u{e9}\r\nx-empty: \r\n"] {
            let message =
                |first: &str| [format!("{first}\r\n{headers}\r\n").as_bytes(), body].concat();
            let root = TempDir::new().unwrap();
            let folder = root.path().join(IDS[0]);
            fs::create_dir(&folder).unwrap();
            fs::write(folder.join("request.txt"), message("POST /a HTTP/1.0")).unwrap();
            fs::write(folder.join("response.txt"), message("HTTP/1.1 799 ")).unwrap();
            let exchange = replay_all(root.path()).remove(0);
            assert_eq!(exchange.request.version, Version::HTTP_10);
            assert_eq!(exchange.request.body.to_bytes(), body);
            let response = exchange.response.unwrap();
            assert_eq!(response.status, 799);
            assert_eq!(response.body.to_bytes(), body);
            let latin = (headers.len() > 2).then_some("caf\u{e9}".as_bytes());
            assert_eq!(exchange.request.headers.get("x-latin"), latin);
        }
    }
}

// ---- helpers

fn stream(ids: &[&str; 3]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (id, texts) in ids.iter().zip([PLAIN, FIELDS, HTTP2]) {
        write(&folder.path().join(id), texts);
    }
    folder
}

fn cache() -> TempDir {
    let folder = TempDir::new().unwrap();
    for (path, texts) in CACHED {
        write(&folder.path().join(path), texts);
    }
    folder
}

fn write(folder: &Path, [request, response]: [&str; 2]) {
    fs::create_dir_all(folder).unwrap();
    fs::write(folder.join("request.txt"), request).unwrap();
    fs::write(folder.join("response.txt"), response).unwrap();
}

fn text(exchange: &Exchange) -> String {
    let body = exchange.response.as_ref().unwrap().body.to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}
