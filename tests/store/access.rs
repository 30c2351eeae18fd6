//! Permissions: recordings are private to their user, and links lead nowhere.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, chown, symlink},
    path::Path,
    sync::Arc,
};

use futures::executor::block_on;
use http::{Request, Response};
use support::stores::{exchange, find};
use tower_traffic::{
    Exchange, StoreError,
    store::{Compression, Disk, DiskCache, Har, Sink},
};

/// A new store below a folder.
type NewStore = fn(&Path, bool) -> Box<dyn Sink>;

const STORES: [(&str, NewStore); 5] = [
    ("disk", |folder, shared| {
        Box::new(Disk::new(folder).shared(shared))
    }),
    ("gzip", |folder, shared| {
        let disk = Disk::new(folder).compress(Compression::Gzip);
        Box::new(disk.shared(shared))
    }),
    ("zstd", |folder, shared| {
        let disk = Disk::new(folder).compress(Compression::Zstd);
        Box::new(disk.shared(shared))
    }),
    ("fixtures", |folder, shared| {
        Box::new(DiskCache::new(folder).shared(shared))
    }),
    ("har", |folder, shared| {
        Box::new(Har::new(folder.join("a.har")).shared(shared))
    }),
];

/// An exchange whose fixture has a file for its body.
fn binary() -> Exchange {
    let request = Request::get("/image").body(bytes::Bytes::new());
    let response = Response::new(bytes::Bytes::from_static(b"\x89PNG\r\n\0"));
    Exchange::new(request.unwrap(), response)
}

fn store(sink: &dyn Sink, exchanges: impl IntoIterator<Item = Exchange>) -> Result<(), StoreError> {
    block_on(sink.store(exchanges.into_iter().map(Arc::new).collect()))
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

/// The modes of all folders and files below a folder, and its own.
fn modes(folder: &Path) -> (Vec<u32>, Vec<u32>) {
    let (mut folders, mut files) = (vec![mode(folder)], Vec::new());
    for item in fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            let (more_folders, more_files) = modes(&path);
            folders.extend(more_folders);
            files.extend(more_files);
        } else {
            files.push(mode(&path));
        }
    }
    (folders, files)
}

#[test]
fn new_files_and_folders_are_private_unless_they_are_shared() {
    for (name, new) in STORES {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("new/deep");
        store(&*new(&folder, false), [exchange("a"), binary()]).unwrap();
        let (folders, files) = modes(&base.path().join("new"));
        assert!(folders.len() > 1 && !files.is_empty(), "{name}");
        assert!(
            folders.iter().all(|mode| *mode == 0o700),
            "{name}: {folders:?}"
        );
        assert!(files.iter().all(|mode| *mode == 0o600), "{name}: {files:?}");

        // The umask of the process decides.
        let probe = base.path().join("probe");
        fs::write(&probe, "").unwrap();
        fs::create_dir(base.path().join("probes")).unwrap();
        let expected = (mode(&base.path().join("probes")), mode(&probe));
        let shared = base.path().join("shared/deep");
        store(&*new(&shared, true), [exchange("a"), binary()]).unwrap();
        let (folders, files) = modes(&base.path().join("shared"));
        assert!(
            folders.iter().all(|mode| *mode == expected.0),
            "{name}: {folders:?}"
        );
        assert!(
            files.iter().all(|mode| *mode == expected.1),
            "{name}: {files:?}"
        );
    }
}

#[test]
fn existing_folders_keep_their_permissions() {
    for (name, new) in STORES {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("there");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
        store(&*new(&folder, false), [exchange("a")]).unwrap();
        assert_eq!(mode(&folder), 0o755, "{name}");
    }
}

#[test]
fn a_folder_of_another_user_is_refused_unless_it_is_shared() {
    for (name, new) in &STORES[..4] {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("theirs");
        fs::create_dir(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).unwrap();
        if chown(&folder, Some(12345), None).is_err() {
            // Only the superuser can give a folder away.
            return;
        }
        let error = store(&*new(&folder, false), [exchange("a")]).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(
            source.contains("belongs to another user"),
            "{name}: {source}"
        );
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "{name}");
        store(&*new(&folder, true), [exchange("a")]).unwrap();
    }
}

#[test]
fn a_body_behind_a_link_never_answers() {
    let base = tempfile::tempdir().unwrap();
    let folder = base.path().join("fixtures");
    fs::create_dir_all(folder.join("a")).unwrap();
    fs::write(base.path().join("private"), "private").unwrap();
    fs::write(folder.join("a/request.http"), "GET /a HTTP/1.1\n\n").unwrap();
    let response = "# @body response.body.x\nHTTP/1.1 200 OK\n\n";
    fs::write(folder.join("a/response.http"), response).unwrap();
    symlink(
        base.path().join("private"),
        folder.join("a/response.body.x"),
    )
    .unwrap();
    let asked = exchange("a");
    let found = find(&DiskCache::new(&folder), &asked);
    assert!(!matches!(found, Ok(Some(_))), "{found:?}");
    // A file in its place answers.
    fs::remove_file(folder.join("a/response.body.x")).unwrap();
    fs::write(folder.join("a/response.body.x"), "mine").unwrap();
    let found = find(&DiskCache::new(&folder), &asked).unwrap().unwrap();
    assert_eq!(found.response.unwrap().body.to_bytes(), "mine");
}

#[test]
fn entries_are_not_written_through_links() {
    let base = tempfile::tempdir().unwrap();
    let request = Request::get("http://host/a/b").body(bytes::Bytes::new());
    let response = Response::new(bytes::Bytes::from_static(b"a"));
    let recorded = Exchange::new(request.unwrap(), response);
    for (number, link) in ["host", "host/a", "host/a/b"].into_iter().enumerate() {
        let folder = base.path().join(format!("fixtures-{number}"));
        let outside = base.path().join(format!("outside-{number}"));
        fs::create_dir_all(folder.join(link).parent().unwrap()).unwrap();
        fs::create_dir_all(&outside).unwrap();
        symlink(&outside, folder.join(link)).unwrap();
        let error = store(&DiskCache::new(&folder), [recorded.clone()]).unwrap_err();
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains("found a link"), "{source}");
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    }
}
