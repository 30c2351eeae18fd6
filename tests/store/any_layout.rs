//! Folders of several layouts: report, look-up order and replay order.

use std::fs;

use axum::Router;
use futures::{StreamExt, executor::block_on};
use support::stores::{exchange, exchange_of, files, record, replay};
use support::{Origin, ask, get, soon};
use tempfile::TempDir;
use tower::ServiceBuilder;
use tower_traffic::{
    Exchange, OnMiss, RecordTraffic, ReplayCache, ReplayStream, Resend,
    replay::AnswerOrder,
    store::{Disk, DiskCache, Source, Which},
};

#[test]
fn a_report_lists_every_file_of_a_folder() {
    let folder = mixed();
    let disk = block_on(Disk::open(folder.path())).unwrap();
    let cache = block_on(DiskCache::open(folder.path())).unwrap();
    let found = block_on(disk.report()).unwrap();
    assert_eq!(
        found.to_string(),
        block_on(cache.report()).unwrap().to_string()
    );
    let at = |path: &str| folder.path().join(path).display().to_string();
    assert_eq!(
        found.to_string(),
        format!(
            "6 exchanges\n  2 in 1 WARC file\n  2 entries\n  1 folder of an http4k stream\n  \
             1 folder of an http4k cache\nskipped: 1 part\n  {}:1: expected a status line such as \
             `HTTP/1.1 200 OK`, found `HTTP 1.1`; the entry is skipped\nleft alone: 3 other files\n  \
             {}\n  {}\n  {}",
            at("by hand/bad/response.http"),
            at("README.md"),
            at("by hand/request.body.png"),
            at("deep/er/notes.txt"),
        )
    );
    for path in ["warc", "both", "entry", "stream", "cache"] {
        for source in [&disk as &dyn Look, &cache] {
            assert!(
                source.look(&exchange(path), Which::Latest).is_some(),
                "{path}"
            );
        }
    }
}

#[test]
fn streams_are_replayed_before_unordered_entries() {
    let folder = mixed();
    for read in [
        replay(&Disk::new(folder.path())),
        replay(&DiskCache::new(folder.path())),
    ] {
        let (read, errors) = read;
        let answers: Vec<_> = read.iter().map(text).collect();
        assert_eq!(
            answers,
            ["warc", "recorded", "stream", "edited", "entry", "cache"],
            "{errors:?}"
        );
        assert_eq!(errors.len(), 1);
    }
}

#[test]
fn an_entry_answers_before_a_recording() {
    let folder = mixed();
    let disk = Disk::new(folder.path());
    let cache = DiskCache::new(folder.path());
    for which in [Which::Latest, Which::Nth(0), Which::Nth(1)] {
        assert_eq!(
            disk.look(&exchange("both"), which).as_deref(),
            Some("edited")
        );
        assert_eq!(
            cache.look(&exchange("both"), which).as_deref(),
            Some("edited")
        );
    }
    // A later recording does not answer either: the entry comes first.
    record(&disk, [exchange_of("both", "again")]);
    assert_eq!(
        disk.look(&exchange("both"), Which::Latest).as_deref(),
        Some("edited")
    );

    // It answers when the entry is deleted.
    fs::remove_dir_all(folder.path().join("by hand/both")).unwrap();
    assert_eq!(
        disk.look(&exchange("both"), Which::Latest).as_deref(),
        Some("again")
    );
    assert_eq!(
        disk.look(&exchange("both"), Which::Nth(0)).as_deref(),
        Some("recorded")
    );
    assert_eq!(
        cache.look(&exchange("both"), Which::Latest).as_deref(),
        Some("recorded")
    );
}

#[test]
fn an_entry_answers_before_http4k() {
    let folder = mixed();
    let cache = DiskCache::new(folder.path());
    record(
        &cache,
        [
            exchange_of("cache", "entry"),
            exchange_of("stream", "entry"),
        ],
    );
    for cache in [cache, DiskCache::new(folder.path())] {
        assert_eq!(
            cache.look(&exchange("cache"), Which::Latest).as_deref(),
            Some("entry")
        );
        assert_eq!(
            cache.look(&exchange("stream"), Which::Latest).as_deref(),
            Some("entry")
        );
        assert_eq!(block_on(cache.report()).unwrap().hidden, 1);
    }
}

#[test]
fn hidden_folders_and_links_to_folders_are_passed_over() {
    let folder = TempDir::new().unwrap();
    let entry = |path: &str| {
        let entry = folder.path().join(path);
        fs::create_dir_all(&entry).unwrap();
        fs::write(entry.join("request.http"), "GET /a").unwrap();
        fs::write(entry.join("response.http"), "HTTP/1.1 200").unwrap();
    };
    entry(".git/objects");
    entry("seen");
    fs::write(folder.path().join(".gitignore"), "").unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::symlink;
        symlink(folder.path(), folder.path().join("loop")).unwrap();
        symlink(
            folder.path().join("nowhere"),
            folder.path().join("dangling"),
        )
        .unwrap();
    }
    let found = block_on(Disk::new(folder.path()).report()).unwrap();
    assert_eq!((found.exchanges, found.entries), (1, 1));
    assert_eq!(found.others, if cfg!(unix) { 2 } else { 0 }, "{found}");
}

#[tokio::test]
async fn replay_cache_answers_from_recorded_traffic() {
    let folder = TempDir::new().unwrap();
    let layer = RecordTraffic::disk(folder.path());
    let recorder = layer.recorder();
    let service = ServiceBuilder::new()
        .layer(layer)
        .service(Origin::saying("recorded"));
    assert_eq!(ask(&service, get("/a")).await.text(), "recorded");
    assert_eq!(ask(&service, get("/a")).await.text(), "recorded");
    recorder.flush().await;

    let origin = Origin::saying("live");
    let cache = ReplayCache::disk(folder.path())
        .on_miss(OnMiss::Record)
        .order(AnswerOrder::Recorded);
    let recorder = cache.recorder();
    let service = ServiceBuilder::new().layer(cache).service(origin.clone());
    assert_eq!(ask(&service, get("/a")).await.text(), "recorded");
    assert_eq!(ask(&service, get("/b")).await.text(), "live");
    recorder.flush().await;
    assert_eq!(ask(&service, get("/b")).await.text(), "live");
    assert_eq!(origin.calls(), 1);

    // The miss was recorded as an entry beside the WARC file.
    let found = Disk::open(folder.path())
        .await
        .unwrap()
        .report()
        .await
        .unwrap();
    assert_eq!(
        (found.segments, found.entries, found.exchanges),
        (1, 1, 3),
        "{found}"
    );
}

#[tokio::test]
async fn entries_of_replay_cache_are_replayed_and_resent() {
    let folder = TempDir::new().unwrap();
    let cache = ReplayCache::disk(folder.path()).on_miss(OnMiss::Record);
    let recorder = cache.recorder();
    let service = ServiceBuilder::new()
        .layer(cache)
        .service(Origin::saying("hello"));
    for path in ["/a", "/b"] {
        assert_eq!(ask(&service, get(path)).await.text(), "hello");
    }
    recorder.flush().await;

    let app: Router = Router::new().layer(ReplayStream::disk(folder.path()));
    for path in ["/a", "/b"] {
        assert_eq!(soon(support::ask(&app, get(path))).await.text(), "hello");
    }
    let origin = Origin::saying("hello");
    let resent = Resend::disk(folder.path()).send(origin.clone());
    assert_eq!(soon(resent.count()).await, 2);
    assert_eq!(origin.calls(), 2);
}

#[tokio::test]
async fn a_mistake_in_an_entry_is_reported_and_is_a_miss() {
    let folder = TempDir::new().unwrap();
    record(&DiskCache::new(folder.path()), [exchange("a")]);
    let entry = files(&files(&files(folder.path())[0])[0]).remove(0);
    fs::write(entry.join("response.http"), "HTTP/1.1 200\nno field\n").unwrap();
    let (reported, errors) = std::sync::mpsc::channel();
    let cache = ReplayCache::read_only(DiskCache::new(folder.path()))
        .on_error(move |error| reported.send(error.to_string()).unwrap());
    let service = ServiceBuilder::new()
        .layer(cache)
        .service(Origin::saying("live"));
    assert_eq!(ask(&service, get("/a")).await.text(), "live");
    let file = entry.join("response.http");
    let error = errors.try_recv().unwrap();
    assert!(
        error.starts_with(&format!(
            "{}:2: expected a header such as `name: value`",
            file.display()
        )),
        "{error}"
    );

    // When it is corrected, it answers at once.
    fs::write(file, "HTTP/1.1 200\n\nmended").unwrap();
    assert_eq!(ask(&service, get("/a")).await.text(), "mended");
    assert!(errors.try_recv().is_err());
}

// ---- helpers

/// A folder with WARC files, entries, http4k's folders and other files; `/both` is recorded twice.
fn mixed() -> TempDir {
    let folder = TempDir::new().unwrap();
    record(
        &Disk::new(folder.path()),
        [exchange("warc"), exchange_of("both", "recorded")],
    );
    record(&DiskCache::new(folder.path()), [exchange("entry")]);
    let entry = |path: &str, [request, response]: [&str; 2], texts: [&str; 2]| {
        let entry = folder.path().join(path);
        fs::create_dir_all(&entry).unwrap();
        fs::write(entry.join(request), texts[0]).unwrap();
        fs::write(entry.join(response), texts[1]).unwrap();
    };
    let ours = ["request.http", "response.http"];
    let http4ks = ["request.txt", "response.txt"];
    entry("zzz", ours, ["GET /both", "HTTP/1.1 200\n\nedited"]);
    fs::create_dir(folder.path().join("by hand")).unwrap();
    fs::rename(
        folder.path().join("zzz"),
        folder.path().join("by hand/both"),
    )
    .unwrap();
    entry("by hand/bad", ours, ["GET /bad", "HTTP 1.1\n"]);
    entry(
        "1234567890123",
        http4ks,
        [
            "GET /stream HTTP/1.1\r\n\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n\r\nstream",
        ],
    );
    entry(
        "deep/er/qvTGHdzF6KLavt4PO0gs2a6pQ00=",
        http4ks,
        [
            "GET /cache HTTP/1.1\r\n\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n\r\ncache",
        ],
    );
    fs::write(folder.path().join("README.md"), "Ours.").unwrap();
    fs::write(folder.path().join("by hand/request.body.png"), "").unwrap();
    fs::write(folder.path().join("deep/er/notes.txt"), "Notes.").unwrap();
    folder
}

fn text(exchange: &Exchange) -> String {
    let body = exchange.response.as_ref().unwrap().body.to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

trait Look {
    fn look(&self, exchange: &Exchange, which: Which) -> Option<String>;
}

impl<S: Source> Look for S {
    fn look(&self, exchange: &Exchange, which: Which) -> Option<String> {
        let key = self.matching().key(&exchange.request);
        let found = block_on(self.find(key, which)).unwrap();
        found.map(|exchange| text(&exchange))
    }
}
