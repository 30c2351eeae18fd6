//! Folders as http4k makes them, by hand from its sources (commit 38f9a11), and folders for it.
#![cfg(feature = "http4k")]

mod stores;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::SystemTime,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version};
use stores::{exchange, files, find, record, replay, replay_all, report};
use tempfile::TempDir;
use tower_traffic::{
    BodyEnd, Exchange, NoResponse, StoreError,
    store::{Disk, DiskCache, Source, http4k},
};

/// core/core/src/main/kotlin/org/http4k/core/http.kt: `toMessage` joins the first line, the fields
/// and the body with CR LF; Headers.kt: `toHeaderMessage` ends the fields with one more, also where
/// there are none.
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
fn a_stream_round_trips() {
    // The names that this crate gives.
    let folder = stream(&["0000000001", "0000000002", "0000000003"]);
    let written = TempDir::new().unwrap();
    let within = written.path().join("stream");
    record(&http4k::Stream::new(&within), replay_all(folder.path()));
    assert_eq!(snapshot(&within), snapshot(folder.path()));
    // Nothing else is there, where http4k would trip over it, nor beside.
    assert_eq!(files(&within).len(), 3);
    assert_eq!(files(written.path()), [within]);
}

#[test]
fn a_stream_goes_on_where_http4k_left_off() {
    let folder = stream(&IDS);
    record(
        &http4k::Stream::new(folder.path()),
        [exchange("a"), exchange("b")],
    );
    record(&http4k::Stream::new(folder.path()), [exchange("c")]);
    let (read, errors) = replay(&http4k::Stream::new(folder.path()));
    assert!(errors.is_empty());
    let last: Vec<_> = read[3..]
        .iter()
        .map(|exchange| exchange.request.uri.path())
        .collect();
    assert_eq!(last, ["/a", "/b", "/c"]);
}

#[test]
fn several_write_one_stream() {
    const WRITERS: usize = 4;
    let root = TempDir::new().unwrap();
    let folder = root.path().join("stream");
    fs::create_dir(&folder).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let folder = &folder;
                scope.spawn(move || {
                    let stream = http4k::Stream::new(folder);
                    for n in 0..10 {
                        record(&stream, [exchange(&format!("{writer}/{n}"))]);
                    }
                })
            })
            .collect();
        // As http4k reads it: every file in the folder is one with two messages (Replay.kt).
        let http4k = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                for folder in files(&folder) {
                    let messages = ["request.txt", "response.txt"].map(|name| folder.join(name));
                    assert!(messages.iter().all(|file| file.is_file()), "{folder:?}");
                }
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        http4k.join().unwrap();
    });
    assert_eq!(files(root.path()), std::slice::from_ref(&folder));
    let read = replay_all(&folder);
    assert_eq!(read.len(), WRITERS * 10);
    for writer in 0..WRITERS {
        let own = format!("/{writer}/");
        let own: Vec<_> = read
            .iter()
            .filter_map(|exchange| exchange.request.uri.path().strip_prefix(&own))
            .collect();
        assert_eq!(own, ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    }
}

#[test]
fn a_cache_answers_and_round_trips() {
    let folder = cache();
    let found = report(folder.path());
    assert_eq!((found.exchanges, found.http4k_caches), (3, 3), "{found}");
    let read = replay_all(folder.path());
    for exchange in &read {
        for source in [
            &DiskCache::new(folder.path()) as &dyn Look,
            &http4k::Cache::new(folder.path()),
        ] {
            assert_eq!(source.look(exchange).as_ref(), Some(exchange));
        }
    }
    let written = TempDir::new().unwrap();
    let cache = http4k::Cache::new(written.path());
    record(&cache, read.clone());
    assert_eq!(snapshot(written.path()), snapshot(folder.path()));
    assert!(read.iter().all(|exchange| cache.look(exchange).is_some()));
    assert_eq!(cache.skipped(), 0);
}

#[test]
fn what_http4k_would_overwrite_is_overwritten() {
    let folder = TempDir::new().unwrap();
    let cache = http4k::Cache::new(folder.path());
    for answer in ["one", "two"] {
        let mut it = exchange("a");
        it.response.as_mut().unwrap().body = answer.into();
        record(&cache, [it]);
        assert_eq!(text(&cache.look(&exchange("a")).unwrap()), answer);
    }
    assert_eq!(snapshot(folder.path()).len(), 2);
}

#[test]
fn a_stored_request_without_a_response_is_an_exchange_without() {
    // `shouldStore` may say so (Sink.kt).
    let folder = stream(&IDS);
    fs::remove_file(folder.path().join(IDS[1]).join("response.txt")).unwrap();
    fs::remove_file(folder.path().join(IDS[2]).join("request.txt")).unwrap();
    let (read, errors) = replay(&Disk::new(folder.path()));
    assert_eq!(read.len(), 2);
    assert!(matches!(read[1].response, Err(NoResponse::Failed(_))));
    let [StoreError::HalfEntry { file }] = &errors[..] else {
        panic!("{errors:?}")
    };
    assert_eq!(*file, folder.path().join(IDS[2]).join("request.txt"));
    assert_eq!(find(&Disk::new(folder.path()), &read[1]).unwrap(), None);
}

#[test]
fn a_text_that_is_none_is_told_and_the_rest_is_read() {
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
        let [error @ StoreError::Corrupt { file: told, .. }] = &errors[..] else {
            panic!("{bad:?}: {errors:?}")
        };
        assert_eq!(told, &file, "{error}");
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
fn what_http4k_cannot_read_is_counted_and_not_stored() {
    let mut unknown = exchange("a");
    unknown.request.method = Method::CONNECT;
    let mut cut = exchange("a");
    cut.response.as_mut().unwrap().body.end = BodyEnd::Limit;
    let mut none = exchange("a");
    none.response = Err(NoResponse::ClientGone);
    let mut whole = vec![exchange("a"), unknown, cut, none];
    let root = TempDir::new().unwrap();
    let stream = http4k::Stream::new(root.path().join("stream"));
    record(&stream, whole.clone());
    assert_eq!(
        (stream.skipped(), files(&root.path().join("stream")).len()),
        (3, 1)
    );

    for uri in [
        "/../../escaped",
        "/a/./b",
        "/a/..",
        &format!("/{}", "s".repeat(256)),
        &"/deep".repeat(1000),
    ] {
        let mut it = exchange("a");
        it.request.uri = uri.parse().unwrap();
        whole.push(it);
    }
    let folder = root.path().join("a/b/cache");
    let cache = http4k::Cache::new(&folder);
    record(&cache, whole);
    assert_eq!((cache.skipped(), snapshot(&folder).len()), (8, 2));
    assert_eq!(files(&root.path().join("a")).len(), 1);
    assert_eq!(files(&root.path().join("a/b")).len(), 1);
}

#[test]
fn any_bytes_come_back_here() {
    let bodies: [&[u8]; 5] = [b"\r\n\r\nafter", b"a\r\nb\n", b"\xff\0\xfe", b"", b"\r\n"];
    for (number, body) in bodies.into_iter().enumerate() {
        for has_field in [true, false] {
            let root = TempDir::new().unwrap();
            let request = Request::post(format!("/{number}")).version(Version::HTTP_10);
            let response = Response::builder().status(StatusCode::from_u16(799).unwrap());
            let (request, response) = if has_field {
                (
                    request.header("x-latin", "caf\u{e9}"),
                    response.header("x-empty", ""),
                )
            } else {
                (request, response)
            };
            let mut it = Exchange::new(
                request.body(Bytes::from_static(body)).unwrap(),
                response.body(Bytes::from_static(body)).unwrap(),
            );
            it.began = SystemTime::UNIX_EPOCH;
            record(&http4k::Stream::new(root.path().join("s")), [it.clone()]);
            record(&http4k::Cache::new(root.path().join("c")), [it.clone()]);
            for folder in ["s", "c"] {
                assert_eq!(
                    replay_all(root.path().join(folder)),
                    [it.clone()],
                    "{folder}"
                );
            }
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

fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for item in files(&next) {
            if item.is_dir() {
                open.push(item);
            } else {
                let content = fs::read(&item).unwrap();
                found.insert(item.strip_prefix(folder).unwrap().to_owned(), content);
            }
        }
    }
    found
}

fn text(exchange: &Exchange) -> String {
    let body = exchange.response.as_ref().unwrap().body.to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

trait Look {
    fn look(&self, exchange: &Exchange) -> Option<Exchange>;
}

impl<S: Source> Look for S {
    fn look(&self, exchange: &Exchange) -> Option<Exchange> {
        find(self, exchange).unwrap()
    }
}
