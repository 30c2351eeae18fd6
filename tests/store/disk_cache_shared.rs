//! `DiskCache` with concurrent writers and readers, and with killed writers.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use futures::executor::block_on;
use http::{HeaderName, HeaderValue};
use support::stores::{exchange, find, record, replay};
use tower_traffic::{Exchange, store::DiskCache};

/// An exchange whose texts and body files all contain `writer`.
fn answer(path: &str, writer: u8) -> Exchange {
    let mut it = exchange(path);
    let response = it.response.as_mut().unwrap();
    let body = vec![
        if writer.is_multiple_of(2) {
            b'a' + writer
        } else {
            0x80 | writer
        };
        20_000
    ];
    let name = HeaderName::from_static("x-writer");
    response.headers = [(name, HeaderValue::from(u16::from(writer)))]
        .into_iter()
        .collect();
    response.body = body.into();
    it
}

fn assert_whole(found: &Exchange) {
    let response = found.response.as_ref().unwrap();
    let writer = response.headers.get("x-writer").unwrap();
    let writer: u8 = str::from_utf8(writer).unwrap().parse().unwrap();
    let expected = answer("any", writer).response.unwrap();
    assert!(
        response.body == expected.body,
        "the body is another's than {writer}'s head"
    );
}

#[test]
fn a_reader_sees_complete_entries_during_a_write() {
    const WRITERS: u8 = 4;
    let folder = tempfile::tempdir().unwrap();
    record(&DiskCache::new(folder.path()), [answer("a", 0)]);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let folder = &folder;
                // A separate value, as in another process.
                scope.spawn(move || {
                    let cache = DiskCache::new(folder.path());
                    for round in 0..40 {
                        record(&cache, [answer("a", writer + WRITERS * (round % 2))]);
                    }
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            let cache = block_on(DiskCache::open(folder.path())).unwrap();
            let mut count = 0;
            while !done.load(Ordering::Relaxed) {
                let found = find(&cache, &exchange("a")).unwrap();
                assert_whole(&found.expect("it is there all the time"));
                count += 1;
            }
            count
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 10);
    });
    let found = block_on(DiskCache::new(folder.path()).report()).unwrap();
    assert_eq!(
        (found.entries, found.hidden, found.skipped.len()),
        (1, 0, 0),
        "{found}"
    );
    assert_eq!(found.others, 0, "{found}");
}

#[test]
fn several_writers_make_the_same_entries() {
    const WRITERS: usize = 4;
    let folder = tempfile::tempdir().unwrap();
    thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                let cache = DiskCache::new(folder.path().join("new/fixtures"));
                for n in 0..30 {
                    record(&cache, [exchange(&n.to_string())]);
                }
            });
        }
    });
    let cache = DiskCache::new(folder.path().join("new/fixtures"));
    let found = block_on(cache.report()).unwrap();
    assert_eq!(
        (found.entries, found.hidden, found.skipped.len()),
        (30, 0, 0),
        "{found}"
    );
    let left = support::stores::files(cache.folder());
    assert!(left.iter().all(|path| !is_hidden(path)), "{left:?}");
}

const KILLED: &str = "KILLED_TEST_FOLDER";

#[test]
fn a_writer_that_is_killed_leaves_no_half_entry() {
    if let Some(folder) = env::var_os(KILLED) {
        write_until_killed(&PathBuf::from(folder));
    }
    let folder = tempfile::tempdir().unwrap();
    for round in 0..5 {
        let mut writer = Command::new(env::current_exe().unwrap())
            .args([
                "--exact",
                "disk_cache_shared::a_writer_that_is_killed_leaves_no_half_entry",
            ])
            .env(KILLED, folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let entries = || fs::read_dir(folder.path().join("no-host")).map_or(0, Iterator::count);
        while entries() < 5 * (round + 1) {
            assert!(writer.try_wait().unwrap().is_none());
            thread::sleep(Duration::from_millis(1));
        }
        writer.kill().unwrap();
        writer.wait().unwrap();

        let cache = block_on(DiskCache::open(folder.path())).unwrap();
        let found = block_on(cache.report()).unwrap();
        assert!(found.skipped.is_empty() && found.others == 0, "{found}");
        let (read, errors) = replay(&cache);
        assert!(read.len() > round && errors.is_empty(), "{errors:?}");
        read.iter().for_each(assert_whole);
        // Whoever comes next can write what it was at.
        record(&cache, [answer("next", 0)]);
        assert!(find(&cache, &exchange("next")).unwrap().is_some());
    }
}

fn write_until_killed(folder: &Path) -> ! {
    let cache = DiskCache::new(folder);
    let id = std::process::id();
    for n in 0_u64.. {
        let writer = u8::try_from(n % 8).unwrap();
        // New ones, and one that is written over and over.
        record(
            &cache,
            [answer(&format!("{id}-{n}"), writer), answer("same", writer)],
        );
    }
    unreachable!("it is killed")
}

fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .unwrap()
        .as_encoded_bytes()
        .starts_with(b".")
}
