//! `store::open` detects the format of a recording.

use std::{fs, path::Path};

use futures::executor::block_on;
use http::Request;
use support::stores::{exchange, files, find, record, replay};
use tower_traffic::{
    Exchange, Matching, ReplayStream, StoreError,
    store::{Disk, Format, Recording, Source, open},
};

fn opened(path: impl AsRef<Path>) -> Recording {
    block_on(open(path.as_ref())).unwrap()
}

/// Asserts that a recording replays, finds and reports these exchanges.
fn assert_has(recording: &Recording, exchanges: &[Exchange]) {
    let (read, errors) = replay(recording);
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(read, exchanges);
    for exchange in exchanges {
        assert_eq!(find(recording, exchange).unwrap().as_ref(), Some(exchange));
    }
    let report = block_on(recording.report()).unwrap();
    assert_eq!(report.exchanges, exchanges.len());
    assert!(!block_on(recording.is_empty()).unwrap());
}

#[test]
fn a_folder_and_a_file_in_it_are_opened() {
    let folder = tempfile::tempdir().unwrap();
    let exchanges = [exchange("a"), exchange("b")];
    record(&Disk::new(folder.path()), exchanges.clone());
    let recording = opened(folder.path());
    assert_eq!(recording.format(), Format::Folder);
    assert_has(&recording, &exchanges);

    // Whatever the file name is.
    let file = folder.path().join("renamed");
    fs::rename(&files(folder.path())[0], &file).unwrap();
    let recording = opened(&file);
    assert_eq!(recording.format(), Format::Warc);
    assert_has(&recording, &exchanges);
}

#[test]
fn a_har_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x");
    record(&tower_traffic::store::Har::new(&file), [exchange("a")]);
    let recording = opened(&file);
    assert_eq!(recording.format(), Format::Har);
    assert_has(&recording, &[exchange_in(&recording)]);
}

fn exchange_in(recording: &Recording) -> Exchange {
    replay(recording).0.remove(0)
}

#[test]
fn a_cassette_is_opened_and_matched_by_path() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.yml");
    let text =
        "interactions:\n- request: {method: GET, uri: 'http://a/b'}\n  response: {status: 200}\n";
    fs::write(&file, text).unwrap();
    let recording = opened(&file);
    assert_eq!(recording.format(), Format::Vcr);
    assert_has(&recording, &[exchange_in(&recording)]);

    let by_path = exchange("b");
    assert_eq!(find(&recording, &by_path).unwrap(), None);
    let recording = recording.match_by(Matching::new().ignore_authority(true));
    assert!(find(&recording, &by_path).unwrap().is_some());
}

#[tokio::test]
async fn an_opened_recording_is_a_source_and_a_replay() {
    use tower::{Layer, ServiceExt, service_fn};

    let folder = tempfile::tempdir().unwrap();
    record(&Disk::new(folder.path()), [exchange("a")]);
    let layer = ReplayStream::new(opened(folder.path()));
    let service = layer.layer(service_fn(
        async |_: Request<axum::body::Body>| -> Result<http::Response<axum::body::Body>, std::convert::Infallible> {
            unreachable!()
        },
    ));
    let request = Request::get("/a").body(axum::body::Body::empty()).unwrap();
    assert_eq!(service.oneshot(request).await.unwrap().status(), 200);
}

#[test]
fn a_file_of_another_kind_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x");
    let error = |path: &Path| block_on(open(path)).unwrap_err();
    assert!(matches!(error(&file), StoreError::NotFound { .. }));
    for (content, says) in [
        ("", "the file is empty"),
        ("{\"a\": 1}", "found other JSON"),
        ("HTTP/1.1 200 OK\r\n\r\n", "give the recording's folder"),
        ("GET / HTTP/1.1\r\n\r\n", "give the recording's folder"),
        ("PK\u{3}\u{4}", "PK\\x03\\x04"),
    ] {
        fs::write(&file, content).unwrap();
        let error = error(&file);
        assert!(matches!(error, StoreError::Unsupported { .. }), "{error:?}");
        let text = error.to_string();
        assert!(
            text.contains(says) && text.contains(file.to_str().unwrap()),
            "{text}"
        );
    }
    assert!(error(Path::new("a\0b")).to_string().contains("cannot read"));
}

#[cfg(unix)]
#[test]
fn a_device_is_an_error_and_is_not_read() {
    let error = block_on(open("/dev/zero")).unwrap_err().to_string();
    assert!(error.contains("/dev/zero: "), "{error}");
    assert!(
        error.contains("expected a file or a folder, found a pipe or a device"),
        "{error}"
    );
}
