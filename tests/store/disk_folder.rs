//! `Disk` with a folder that is missing, a file, read-only, full, deleted or shared.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use futures::executor::block_on;
use support::stores::{
    exchange, exchange_of, files, find, record, replay, replay_all, report, try_record,
};
use tower_traffic::{
    Exchange, StoreError,
    store::{Disk, Source},
};

// ---- odd folders

#[test]
fn a_missing_folder_is_a_miss_and_an_error_of_replay() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("missing");
    let is_reported = |error: &StoreError| {
        assert!(matches!(error, StoreError::NotFound { .. }), "{error:?}");
        assert_names(error, &folder);
    };

    is_reported(&block_on(Disk::open(&folder)).unwrap_err());
    let disk = Disk::new(&folder);
    is_reported(&block_on(disk.report()).unwrap_err());
    let (read, errors) = replay(&disk);
    assert!(read.is_empty());
    assert_eq!(errors.len(), 1);
    is_reported(&errors[0]);

    assert!(block_on(disk.is_empty()).unwrap());
    assert_eq!(find(&disk, &exchange("a")).unwrap(), None);
    assert!(!folder.exists(), "reading makes no folder");

    record(&disk, [exchange("a")]);
    assert!(!block_on(disk.is_empty()).unwrap());
    assert!(find(&disk, &exchange("a")).unwrap().is_some());
}

#[test]
fn a_file_as_a_folder_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, b"content").unwrap();
    for path in [file.clone(), file.join("within")] {
        for error in errors(&path) {
            assert!(matches!(error, StoreError::Unsupported { .. }), "{error:?}");
            assert_names(&error, &path);
        }
    }
    assert_eq!(fs::read(&file).unwrap(), b"content");
}

#[test]
fn a_path_with_nul_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("a\0b");
    for error in errors(&path) {
        assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
        assert_names(&error, &path);
    }
    assert!(files(root.path()).is_empty());
}

#[test]
fn a_path_with_dots_is_the_folder_it_names() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("a")).unwrap();
    let disk = Disk::new(root.path().join("a/../b/./c/../d"));
    fs::create_dir_all(root.path().join("b/c")).unwrap();
    record(&disk, [exchange("1")]);
    assert_eq!(replay(&disk).0.len(), 1);
    assert_eq!(files(&root.path().join("b/d")).len(), 1);
    assert_eq!(files(&root.path().join("a")), Vec::<PathBuf>::new());
}

#[test]
fn a_deleted_folder_is_created_again() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("t");
    let disk = Disk::new(&folder);
    record(&disk, [exchange("1")]);
    assert!(find(&disk, &exchange("1")).unwrap().is_some());
    fs::remove_dir_all(&folder).unwrap();
    let second = exchange("2");
    record(&disk, [second.clone()]);

    assert_eq!(replay_all(&folder), std::slice::from_ref(&second));
    assert_eq!(find(&disk, &second).unwrap(), Some(second));
    // The look-up of a deleted file is an error.
    let error = find(&disk, &exchange("1")).unwrap_err();
    assert_names(&error, &folder);
}

// ---- several writers

#[test]
fn several_writers_share_a_folder() {
    const WRITERS: usize = 4;
    const BATCHES: usize = 40;
    let folder = tempfile::tempdir().unwrap();
    let name = |writer: usize, n: usize| format!("{writer}/{n}");
    let write = |writer: usize| {
        // A separate value, as in another process.
        let disk = Disk::new(folder.path()).max_segment_bytes(4 << 10);
        for batch in 0..BATCHES {
            let batch = [2 * batch, 2 * batch + 1].map(|n| exchange(&name(writer, n)));
            record(&disk, batch);
        }
    };
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| scope.spawn(move || write(writer)))
            .collect();
        // A concurrent reader neither sees nor causes damage.
        let reader = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let found = report(folder.path());
                assert!(
                    found.repairs.is_empty() && found.skipped.is_empty(),
                    "{found:?}"
                );
            }
        });
        for writer in writers {
            writer.join().unwrap();
        }
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });

    let read: Vec<_> = replay_all(folder.path()).iter().map(path).collect();
    assert_eq!(read.len(), WRITERS * BATCHES * 2);
    for writer in 0..WRITERS {
        let own = format!("/{writer}/");
        let of_writer: Vec<_> = read.iter().filter(|path| path.starts_with(&own)).collect();
        let recorded: Vec<_> = (0..BATCHES * 2)
            .map(|n| format!("/{}", name(writer, n)))
            .collect();
        assert_eq!(of_writer, recorded.iter().collect::<Vec<_>>());
    }
    assert!(
        files(folder.path()).len() >= WRITERS * 2,
        "files are rotated"
    );
}

#[test]
fn clones_write_one_file() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(folder.path());
    thread::scope(|scope| {
        for n in 0..4 {
            let disk = disk.clone();
            scope.spawn(move || record(&disk, [exchange(&n.to_string())]));
        }
    });
    assert_eq!(files(folder.path()).len(), 1);
    assert_eq!(replay_all(folder.path()).len(), 4);
}

// ---- no room, no permission: in a process of its own, whose limits or mounts are changed

#[cfg(unix)]
mod confined {
    use std::{
        env,
        fs::{self, OpenOptions},
        io::{ErrorKind, Write},
        path::{Path, PathBuf},
        process::{Command, Output},
    };

    use super::{
        Disk, Exchange, StoreError, assert_names, exchange, exchange_of, files, record, replay_all,
        report, try_record,
    };

    const FOLDER: &str = "CONFINED_TEST_FOLDER";

    /// The folder, in the process that `again` started.
    fn confined_folder() -> Option<PathBuf> {
        env::var_os(FOLDER).map(PathBuf::from)
    }

    /// Runs one of these tests again, after a line of shell that confines the process.
    fn again(test: &str, folder: &Path, confine: &str) -> Output {
        Command::new("sh")
            .args(["-c", &format!("{confine} && exec \"$0\" \"$@\"")])
            .arg(env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(FOLDER, folder)
            .output()
            .unwrap()
    }

    fn assert_passed(output: &Output) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let out = text(&output.stdout) + &text(&output.stderr);
        assert!(output.status.success() && out.contains("1 passed"), "{out}");
    }

    /// The same, where this process may mount in a name space of its own; false if it may not.
    fn again_with_mount(test: &str, folder: &Path, mount: &str) -> bool {
        let unshare = ["unshare --mount", "unshare --user --map-root-user --mount"]
            .into_iter()
            .find(|unshare| {
                let probe = format!("{unshare} mount -t tmpfs tmpfs \"${FOLDER}\"");
                let probe = Command::new("sh")
                    .args(["-c", &probe])
                    .env(FOLDER, folder)
                    .output();
                probe.is_ok_and(|output| output.status.success())
            });
        let Some(unshare) = unshare else { return false };
        let inner = format!("{mount} && exec \\\"\\$0\\\" \\\"\\$@\\\"");
        let confine = format!("exec {unshare} sh -c \"{inner}\" \"$0\" \"$@\"; true");
        assert_passed(&again(test, folder, &confine));
        true
    }

    #[test]
    fn a_file_that_may_not_grow_keeps_complete_exchanges() {
        if let Some(folder) = confined_folder() {
            return record_until_full(&folder, ErrorKind::FileTooLarge);
        }
        let folder = tempfile::tempdir().unwrap();
        let output = again(
            "disk_folder::confined::a_file_that_may_not_grow_keeps_complete_exchanges",
            folder.path(),
            "trap '' XFSZ && ulimit -f 128",
        );
        assert_passed(&output);
    }

    #[test]
    fn a_full_disk_keeps_complete_exchanges() {
        if let Some(folder) = confined_folder() {
            return on_a_disk_of_64_kib(&folder);
        }
        let folder = tempfile::tempdir().unwrap();
        let mount = format!("mount -t tmpfs -o size=64k tmpfs \\\"\\${FOLDER}\\\"");
        let test = "disk_folder::confined::a_full_disk_keeps_complete_exchanges";
        if !again_with_mount(test, folder.path(), &mount) {
            // The same code is tested by the limit on a file's size.
            eprintln!("not tested: this process may not mount a small disk");
        }
    }

    fn on_a_disk_of_64_kib(root: &Path) {
        let filler = root.join("filler");
        fs::write(&filler, vec![0; 20 << 10]).unwrap();
        let folder = root.join("t");
        record_until_full(&folder, ErrorKind::StorageFull);
        let before = replay_all(&folder);

        // Without room for the first record, no empty files are left.
        let mut file = fs::File::create(root.join("more")).unwrap();
        while file.write_all(&[0]).is_ok() {}
        let other = root.join("other");
        let disk = Disk::new(&other);
        for _ in 0..3 {
            assert_io(&try_record(&disk, [exchange("a")]).unwrap_err(), &other);
            assert!(!other.exists() || files(&other).is_empty());
        }

        fs::remove_file(&filler).unwrap();
        record(&disk, [exchange("a")]);
        assert_eq!(replay_all(&other).len(), 1);
        assert_eq!(replay_all(&folder), before);
    }

    fn record_until_full(folder: &Path, kind: ErrorKind) {
        let disk = Disk::new(folder);
        let mut kept = Vec::new();
        let mut keep = |exchange: Exchange| {
            let stored = try_record(&disk, [exchange.clone()]);
            if stored.is_ok() {
                kept.push(exchange);
            }
            stored
        };
        keep(exchange("first")).unwrap();

        // A batch that does not fit is removed completely.
        let large = exchange_of("large", vec![b'x'; 1 << 20]);
        let error = try_record(&disk, [exchange("before"), large]).unwrap_err();
        assert_io(&error, folder);
        assert!(
            matches!(&error, StoreError::Io { source, .. } if source.downcast_ref::<std::io::Error>().map(std::io::Error::kind) == Some(kind)),
            "{error}"
        );

        // There is room again.
        keep(exchange("second")).unwrap();

        let error = (0..1000)
            .find_map(|n| keep(exchange_of(&n.to_string(), vec![b'y'; 3000])).err())
            .expect("it becomes full");
        assert_io(&error, folder);
        assert!(kept.len() > 5, "{}", kept.len());

        assert_eq!(replay_all(folder), kept);
        let found = report(folder);
        assert!(
            found.repairs.is_empty() && found.skipped.is_empty(),
            "{found:?}"
        );
    }

    #[test]
    fn a_read_only_folder_is_read_and_not_written() {
        if let Some(folder) = confined_folder() {
            return read_only(&folder);
        }
        let folder = tempfile::tempdir().unwrap();
        record(&Disk::new(folder.path()), [exchange("1")]);
        let file = files(folder.path()).remove(0);
        let mut torn = OpenOptions::new().append(true).open(&file).unwrap();
        torn.write_all(b"WARC/1.1\r\nWARC-Type: req").unwrap();

        let test = "disk_folder::confined::a_read_only_folder_is_read_and_not_written";
        let here = format!("\\\"\\${FOLDER}\\\"");
        let mount = format!("mount --bind {here} {here} && mount -o remount,ro,bind {here}");
        if again_with_mount(test, folder.path(), &mount) {
            return;
        }
        let mode = |path: &Path, mode| {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(&file, 0o444);
        mode(folder.path(), 0o555);
        if fs::write(folder.path().join("probe"), b"").is_err() {
            read_only(folder.path());
        } else {
            eprintln!("not tested: nothing is read-only to root, and this process may not mount");
        }
        mode(folder.path(), 0o755);
    }

    fn read_only(folder: &Path) {
        let file = files(folder).remove(0);
        let before = fs::read(&file).unwrap();
        let found = report(folder);
        assert_eq!(found.exchanges, 1);
        assert_eq!(found.repairs.len(), 1, "{found:?}");
        assert!(!found.repairs[0].cut);
        assert_eq!(replay_all(folder).len(), 1);

        for folder in [folder.to_owned(), folder.join("within")] {
            let error = try_record(&Disk::new(&folder), [exchange("2")]).unwrap_err();
            assert_io(&error, &folder);
        }
        assert_eq!(fs::read(&file).unwrap(), before);
        assert_eq!(files(folder), [file]);
    }

    fn assert_io(error: &StoreError, path: &Path) {
        assert!(matches!(error, StoreError::Io { .. }), "{error:?}");
        assert_names(error, path);
    }
}

// ---- helpers

/// The error of each use of an unusable folder.
fn errors(folder: &Path) -> Vec<StoreError> {
    let disk = Disk::new(folder);
    let (read, mut errors) = replay(&disk);
    assert!(read.is_empty());
    assert_eq!(errors.len(), 1);
    errors.push(block_on(Disk::open(folder)).unwrap_err());
    errors.push(find(&disk, &exchange("a")).unwrap_err());
    errors.push(block_on(disk.is_empty()).unwrap_err());
    errors.push(try_record(&disk, [exchange("a")]).unwrap_err());
    errors
}

fn assert_names(error: &StoreError, path: &Path) {
    let text = error.to_string();
    assert!(text.contains(&path.display().to_string()), "{text}");
}

fn path(exchange: &Exchange) -> String {
    exchange.request.uri.path().to_owned()
}
