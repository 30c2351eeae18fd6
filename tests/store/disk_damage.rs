//! Damaged WARC files: intact exchanges are read, damage is reported with file and offset, only
//! torn tails are cut, and no exchange is invented.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures::executor::block_on;
use http::{HeaderName, HeaderValue, Request, Response, Version};
use support::stores::{exchange, exchange_of, files, find, record, replay, replay_all, report};
use tempfile::TempDir;
use tower_traffic::{
    BodyEnd, Exchange, HeaderList, NoResponse, StoreError,
    store::{Compression, Disk, Source},
};

// ---- torn tails

#[test]
fn a_torn_tail_is_cut_and_reported() {
    let good = Recorded::new(varied());
    let last = good.starts[2];
    for len in last + 1..good.bytes.len() {
        good.assert_torn(len, last, 2);
    }
    // The others in steps that hit every part of a record.
    for (n, &start) in good.starts[..2].iter().enumerate() {
        for len in (start + 1..good.starts[n + 1]).step_by(17) {
            good.assert_torn(len, start, n);
        }
    }
    for len in (1..good.starts[0]).step_by(17) {
        good.assert_torn(len, 0, 0);
    }
}

#[test]
fn a_file_cut_between_two_exchanges_is_whole() {
    let good = Recorded::new(varied());
    for (n, &len) in good.starts.iter().enumerate() {
        let damaged = good.with(&good.bytes[..len]);
        assert_eq!(replay_all(damaged.folder()), good.exchanges[..n]);
        assert!(report(damaged.folder()).repairs.is_empty());
        assert_eq!(damaged.bytes().len(), len);
    }
}

#[test]
fn a_replay_cuts_a_torn_tail_too() {
    let good = Recorded::new(varied());
    let damaged = good.with(&good.bytes[..good.bytes.len() - 1]);
    assert_eq!(replay_all(damaged.folder()), good.exchanges[..2]);
    assert_eq!(damaged.bytes().len(), good.starts[2]);
}

#[test]
fn a_file_that_is_being_written_is_not_cut() {
    let folder = tempfile::tempdir().unwrap();
    let writer = Disk::new(folder.path());
    record(&writer, [exchange("whole")]);
    let file = files(folder.path()).remove(0);
    // As if the writer were writing its next exchange.
    append(&file, b"WARC/1.1\r\nWARC-Type: request\r\n");
    let before = fs::read(&file).unwrap();

    let found = report(folder.path());
    assert_eq!(found.exchanges, 1);
    assert!(
        found.repairs.is_empty() && found.skipped.is_empty(),
        "{found:?}"
    );
    assert_eq!(replay_all(folder.path()), replay(&writer).0);
    assert_eq!(fs::read(&file).unwrap(), before);

    drop(writer);
    let found = report(folder.path());
    assert_eq!(found.repairs.len(), 1, "{found:?}");
    assert!(found.repairs[0].cut);
    assert!(fs::read(&file).unwrap().len() < before.len());
}

// ---- damage inside a file

#[test]
fn a_flipped_byte_costs_one_exchange_at_most() {
    // One bit of every byte. Then all bits, and the bit that is the case of a letter, in some; with
    // the exchanges in another order, so that each kind stands first, in the middle and last.
    for (order, step) in [(0, 1), (1, 5), (2, 5)] {
        let mut exchanges = varied();
        exchanges.rotate_left(order);
        let good = Recorded::new(exchanges);
        for position in (0..good.bytes.len()).step_by(step) {
            let mask = [1 << (position % 8), 0xff, 0x20][order];
            let mut bytes = good.bytes.clone();
            bytes[position] ^= mask;
            good.assert_one_is_damaged(position, &bytes, &format!("{position} ^ {mask:#04x}"));
        }
    }
}

#[test]
fn a_wrong_length_costs_one_exchange_at_most() {
    let good = Recorded::new(varied());
    for field in good.lengths() {
        let right: usize = str::from_utf8(&good.bytes[field.clone()])
            .unwrap()
            .parse()
            .unwrap();
        let rest = good.bytes.len() - field.end;
        let numbers = [
            0,
            right - 1,
            right - 4,
            right + 1,
            right + 4,
            right * 2,
            rest,
            1 << 40,
        ];
        let texts = [
            "",
            "-1",
            "0x10",
            "many",
            "18446744073709551615",
            "99999999999999999999",
        ];
        let wrong = numbers.map(|number| number.to_string());
        for wrong in wrong.iter().map(String::as_str).chain(texts) {
            let bytes = [
                &good.bytes[..field.start],
                wrong.as_bytes(),
                &good.bytes[field.end..],
            ]
            .concat();
            let what = format!("{right} at {} is {wrong:?}", field.start);
            good.assert_one_is_damaged(field.start, &bytes, &what);
        }
    }
}

#[test]
fn a_deleted_range_costs_only_its_exchanges() {
    let good = Recorded::new(varied());
    let (first, second) = (good.starts[0], good.starts[1]);
    for start in (first..second).step_by(23) {
        let bytes = [&good.bytes[..start], &good.bytes[second..]].concat();
        let damaged = good.with(&bytes);
        let (read, errors) = replay(&Disk::new(damaged.folder()));
        assert_eq!(read, good.exchanges[1..], "without {start}..{second}");
        assert_eq!(
            errors.is_empty(),
            start == first,
            "without {start}..{second} of {first}"
        );
        assert_eq!(damaged.bytes(), bytes);
    }
}

#[test]
fn appended_bytes_are_reported_and_kept() {
    let garbage: [&[u8]; 5] = [
        &[0; 5000],
        b"garbage",
        b"garbage\r\n\r\n",
        b"\r\n",
        &[0xff; 300],
    ];
    let good = Recorded::new(varied());
    for garbage in garbage {
        let bytes = [&good.bytes, garbage].concat();
        let damaged = good.with(&bytes);
        let found = report(damaged.folder());
        assert_eq!(found.exchanges, 3);
        assert!(found.repairs.is_empty(), "{found:?}");
        assert_reported(&found.skipped, damaged.file, good.bytes.len());
        assert_eq!(replay(&Disk::new(damaged.folder())).0, good.exchanges);
        assert_eq!(damaged.bytes(), bytes);
    }
}

#[test]
fn damage_in_one_file_leaves_the_others_alone() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(folder.path()).max_segment_bytes(1);
    let exchanges = ["1", "2", "3"].map(exchange);
    for exchange in &exchanges {
        record(&disk, [exchange.clone()]);
    }
    drop(disk);
    let file = &files(folder.path())[1];
    let mut bytes = fs::read(file).unwrap();
    bytes[0] = b'w';
    let last = bytes.len() - 5;
    bytes[last] ^= 1;
    fs::write(file, bytes).unwrap();

    let disk = Disk::new(folder.path());
    let (read, errors) = replay(&disk);
    assert_eq!(read, [exchanges[0].clone(), exchanges[2].clone()]);
    assert!(!errors.is_empty());
    assert_eq!(
        find(&disk, &exchanges[2]).unwrap().as_ref(),
        Some(&exchanges[2])
    );
}

#[test]
fn a_look_up_of_a_damaged_response_names_file_and_offset() {
    let good = Recorded::new(vec![
        exchange("1"),
        exchange_of("2", "the body"),
        exchange("3"),
    ]);
    let body = position(&good.bytes, b"the body");
    let mut bytes = good.bytes.clone();
    bytes[body] = b'T';
    let damaged = good.with(&bytes);

    let error = find(&Disk::new(damaged.folder()), &good.exchanges[1]).unwrap_err();
    assert_reported(&[Arc::new(error)], damaged.file, good.starts[1]);
}

// ---- other content

#[test]
fn a_file_without_warc_is_reported_and_kept() {
    let contents: [&[u8]; 6] = [
        b"These are notes.\nOf several lines.\n",
        b"Without a line end",
        b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03 gzip, no line end",
        b"\n",
        b"WARC/2.0\r\n\r\n",
        &[0; 10_000],
    ];
    for content in contents {
        let folder = tempfile::tempdir().unwrap();
        record(&Disk::new(folder.path()), [exchange("recorded")]);
        let file = folder.path().join("notes.warc");
        fs::write(&file, content).unwrap();

        let found = report(folder.path());
        assert_eq!((found.segments, found.exchanges), (2, 1));
        assert!(found.repairs.is_empty(), "{found:?}");
        assert_reported(&found.skipped, &file, 0);
        assert_eq!(replay(&Disk::new(folder.path())).0.len(), 1);
        assert_eq!(fs::read(&file).unwrap(), content);
    }
}

#[test]
fn an_empty_file_is_an_empty_recording() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("traffic.warc"), b"").unwrap();
    let found = report(folder.path());
    assert_eq!((found.segments, found.exchanges), (1, 0));
    assert!(
        found.repairs.is_empty() && found.skipped.is_empty(),
        "{found:?}"
    );
    assert!(replay_all(folder.path()).is_empty());
}

#[test]
fn a_folder_called_warc_and_other_files_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    record(&Disk::new(folder.path()), [exchange("recorded")]);
    fs::create_dir(folder.path().join("folder.warc")).unwrap();
    fs::write(folder.path().join("notes.txt"), b"These are notes.").unwrap();
    let found = report(folder.path());
    assert_eq!((found.segments, found.exchanges), (1, 1));
    assert!(found.skipped.is_empty(), "{found:?}");
    assert_eq!(replay_all(folder.path()).len(), 1);
}

#[test]
fn another_tools_file_is_read_and_never_cut() {
    let pair = |n: usize| {
        let response = format!("HTTP/1.1 200 OK\r\n\r\nanswer {n}");
        let request = format!("GET /{n} HTTP/1.1\r\n\r\n");
        foreign_record("response", &format!("r{n}"), "", &response)
            + &foreign_record("request", &format!("q{n}"), &format!("r{n}"), &request)
    };
    let info = foreign_record("warcinfo", "info", "", "software: another\r\n");
    let bodies = |folder: &Path| -> Vec<_> {
        let (read, _) = replay(&Disk::new(folder));
        let body = |exchange: Exchange| exchange.response.unwrap().body.to_bytes();
        read.into_iter().map(body).collect()
    };

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("archive.warc");
    let whole = info.clone() + &pair(1) + &pair(2) + &pair(3);
    fs::write(&file, &whole).unwrap();
    assert_eq!(bodies(folder.path()), ["answer 1", "answer 2", "answer 3"]);

    // A truncated file.
    fs::write(&file, &whole[..whole.len() - 10]).unwrap();
    assert_eq!(bodies(folder.path()), ["answer 1", "answer 2"]);
    let found = report(folder.path());
    assert_eq!(found.repairs.len(), 1, "{found:?}");
    assert!(!found.repairs[0].cut);
    assert_eq!(fs::read(&file).unwrap().len(), whole.len() - 10);

    // One is longer than it says.
    let broken = info + &pair(1) + &pair(2).replace("Length: 27", "Length: 9999") + &pair(3);
    fs::write(&file, &broken).unwrap();
    assert_eq!(bodies(folder.path()), ["answer 1", "answer 3"]);
    assert_eq!(fs::read(&file).unwrap(), broken.as_bytes());
}

// ---- bodies that look like recordings

/// A body with a recording in it, which a reader could take for exchanges.
fn body_with_fakes() -> Vec<u8> {
    let stolen = Recorded::new(vec![exchange("fake"), exchange("fake2")]);
    let text = foreign_record("request", "q", "", "GET /fake HTTP/1.1\r\n\r\n")
        + &foreign_record("response", "r", "q", "HTTP/1.1 200 OK\r\n\r\nfake");
    let info = foreign_record("warcinfo", "info", "", "software: fake\r\n");
    [
        b"\r\n\r\n",
        &stolen.bytes[..],
        b"\r\n\r\n",
        info.as_bytes(),
        text.as_bytes(),
        text.as_bytes(),
        b"the end",
    ]
    .concat()
}

#[test]
fn exchanges_in_a_recorded_body_are_never_read() {
    let fakes = body_with_fakes();
    let good = Recorded::new(vec![
        exchange("1"),
        exchange_of("2", fakes.clone()),
        exchange("3"),
    ]);
    let (start, end) = (good.starts[1], good.starts[2]);
    let is_recorded = |exchange: &Exchange| good.exchanges.contains(exchange);

    // Torn within the body.
    for len in (start + 1..end).step_by(31) {
        good.assert_torn(len, start, 1);
    }
    // Lost before the body, with good exchanges after it.
    for broken in start..position(&good.bytes, &fakes) {
        let mut bytes = good.bytes.clone();
        bytes[broken] ^= 0xff;
        let damaged = good.with(&bytes);
        let disk = Disk::new(damaged.folder());
        let (read, _) = replay(&disk);
        assert!(read.iter().all(is_recorded), "{broken}: {read:#?}");
        assert!(read.contains(&good.exchanges[2]), "{broken}: {read:#?}");
        assert_eq!(find(&disk, &exchange("fake")).unwrap(), None);
        assert_eq!(damaged.bytes(), bytes);
    }
}

/// A wrong length that points to a record inside the body.
#[test]
fn a_wrong_length_into_a_body_finds_no_record() {
    let fakes = body_with_fakes();
    let good = Recorded::new(vec![exchange("1"), exchange_of("2", fakes), exchange("3")]);
    let (start, end) = (good.starts[1], good.starts[2]);
    let field = good
        .lengths()
        .into_iter()
        .filter(|field| (start..end).contains(&field.start))
        .nth(1)
        .unwrap();
    let block = field.end + 4;
    let record_ends = (block..end - 4).filter(|&at| good.bytes[at..].starts_with(b"\r\n\r\nWARC"));
    let mut tried = 0;
    for record_end in record_ends {
        let bytes = [
            &good.bytes[..field.start],
            (record_end - block).to_string().as_bytes(),
            &good.bytes[field.end..],
        ]
        .concat();
        let damaged = good.with(&bytes);
        let disk = Disk::new(damaged.folder());
        let (read, errors) = replay(&disk);
        let recorded = [good.exchanges[0].clone(), good.exchanges[2].clone()];
        assert_eq!(read, recorded, "{record_end}");
        assert!(!errors.is_empty());
        assert_eq!(find(&disk, &exchange("fake")).unwrap(), None);
        assert_eq!(damaged.bytes(), bytes);
        tried += 1;
    }
    assert!(tried > 5, "{tried}");
}

// ---- compressed, with a member for each record

#[test]
fn a_compressed_torn_tail_is_cut_and_reported() {
    for good in compressed(&varied()) {
        let last = good.starts[2];
        for len in last + 1..good.bytes.len() {
            good.assert_torn(len, last, 2);
        }
        for (n, &start) in good.starts[..2].iter().enumerate() {
            for len in (start + 1..good.starts[n + 1]).step_by(7) {
                good.assert_torn(len, start, n);
            }
        }
        // The first record begins after the dictionary.
        let first = good.dictionary_end();
        for len in (1..first).step_by(7) {
            good.assert_torn(len, 0, 0);
        }
        for len in first + 1..good.starts[0] {
            good.assert_torn(len, first, 0);
        }
        assert!(replay_all(good.with(&good.bytes[..first]).folder()).is_empty());
        for (n, &len) in good.starts.iter().enumerate() {
            let damaged = good.with(&good.bytes[..len]);
            assert_eq!(replay_all(damaged.folder()), good.exchanges[..n]);
            assert!(report(damaged.folder()).repairs.is_empty());
        }
    }
}

#[test]
fn a_flipped_byte_in_a_compressed_file_costs_one_exchange_at_most() {
    for (order, step) in [(0, 1), (1, 3), (2, 3)] {
        let mut exchanges = varied();
        exchanges.rotate_left(order);
        for good in compressed(&exchanges) {
            for position in (good.dictionary_end()..good.bytes.len()).step_by(step) {
                let mask = [1 << (position % 8), 0xff, 0x20][order];
                let mut bytes = good.bytes.clone();
                bytes[position] ^= mask;
                good.assert_one_is_damaged(position, &bytes, &format!("{position} ^ {mask:#04x}"));
            }
        }
    }
}

#[test]
fn a_damaged_dictionary_is_reported() {
    let good = Recorded::compressed(varied(), Compression::Zstd);
    let end = good.dictionary_end();
    assert!(end > 500, "{end}");
    let mut unharmed = 0;
    // Every byte before the content, and some within.
    for position in (0..20).chain((20..end).step_by(7)) {
        let mut bytes = good.bytes.clone();
        bytes[position] ^= 1 << (position % 8);
        let damaged = good.with(&bytes);
        let (read, errors) = replay(&Disk::new(damaged.folder()));
        // A slightly wrong length and an unused bit do not change the dictionary.
        let is_unharmed = read == good.exchanges;
        let is_reported = read.is_empty() && !errors.is_empty();
        assert!(
            is_unharmed || is_reported,
            "{position}: {read:?} {errors:?}"
        );
        unharmed += usize::from(is_unharmed);
        for error in &errors {
            assert_names(error, damaged.file);
        }
        let found = report(damaged.folder());
        assert!(found.repairs.is_empty(), "{position}: {found:?}");
        assert_eq!(damaged.bytes(), bytes, "{position}");
    }
    assert!(unharmed < 10, "{unharmed}");
}

#[test]
fn a_deleted_range_of_a_compressed_file_costs_only_its_exchanges() {
    for good in compressed(&varied()) {
        let (first, second) = (good.starts[0], good.starts[1]);
        for start in (first..second).step_by(11) {
            let bytes = [&good.bytes[..start], &good.bytes[second..]].concat();
            let damaged = good.with(&bytes);
            let (read, errors) = replay(&Disk::new(damaged.folder()));
            // Where only the end of the member is missing, its record is still whole.
            let is_whole = read.len() == good.exchanges.len();
            let left = &good.exchanges[usize::from(!is_whole)..];
            assert_eq!(read, left, "without {start}..{second}");
            assert_eq!(errors.is_empty(), start == first, "{start}");
            assert_eq!(damaged.bytes(), bytes);
        }
    }
}

#[test]
fn bytes_appended_to_a_compressed_file_are_reported_and_kept() {
    let garbage: [&[u8]; 5] = [&[0; 5000], b"garbage", b"\r\n", b"\0", &[0xff; 300]];
    for good in compressed(&varied()) {
        for garbage in garbage {
            let bytes = [&good.bytes, garbage].concat();
            let damaged = good.with(&bytes);
            let found = report(damaged.folder());
            assert_eq!(found.exchanges, 3);
            assert!(found.repairs.is_empty(), "{found:?}");
            assert_reported(&found.skipped, damaged.file, good.bytes.len());
            assert_eq!(replay(&Disk::new(damaged.folder())).0, good.exchanges);
            assert_eq!(damaged.bytes(), bytes);
        }
    }
}

/// A recorded download of a recording, which does not compress further.
#[test]
fn members_in_a_recorded_body_are_never_read() {
    for fakes in compressed(&[exchange("fake"), exchange("fake2")]) {
        for good in compressed(&[
            exchange("1"),
            exchange_of("2", fakes.bytes.clone()),
            exchange("3"),
        ]) {
            let (start, end) = (good.starts[1], good.starts[2]);
            for len in (start + 1..end).step_by((end - start) / 100) {
                good.assert_torn(len, start, 1);
            }
            for position in (start..end).step_by((end - start) / 150) {
                let mut bytes = good.bytes.clone();
                bytes[position] ^= 0xff;
                good.assert_one_is_damaged(position, &bytes, &format!("{position}"));
                let disk = Disk::new(good.folder.path());
                assert_eq!(find(&disk, &exchange("fake")).unwrap(), None);
            }
        }
    }
}

// ---- helpers

/// A file in each compressed form.
fn compressed(exchanges: &[Exchange]) -> Vec<Recorded> {
    let forms = [Compression::Gzip, Compression::Zstd];
    let record = |compression| Recorded::compressed(exchanges.to_vec(), compression);
    forms.into_iter().map(record).collect()
}

/// Records enough exchanges for a dictionary.
fn teach(folder: &Path) {
    let disk = Disk::new(folder).compress(Compression::Zstd);
    for n in 0..6 {
        let batch: Vec<_> = (0..100).map(|m| exchange(&format!("{n}/{m}"))).collect();
        record(&disk, batch);
    }
    assert_eq!(files(folder).len(), 2);
}

/// An intact file and its exchanges.
struct Recorded {
    exchanges: Vec<Exchange>,
    bytes: Vec<u8>,
    /// The offset of each exchange.
    starts: Vec<usize>,
    folder: TempDir,
    file: PathBuf,
}

impl Recorded {
    fn new(exchanges: Vec<Exchange>) -> Self {
        Self::compressed(exchanges, Compression::None)
    }

    fn compressed(exchanges: Vec<Exchange>, compression: Compression) -> Self {
        let folder = tempfile::tempdir().unwrap();
        if compression == Compression::Zstd {
            teach(folder.path());
        }
        let taught = files(folder.path());
        let disk = Disk::new(folder.path()).compress(compression);
        record(&disk, []);
        for file in taught {
            fs::remove_file(file).unwrap();
        }
        let file = files(folder.path()).remove(0);
        let mut starts = Vec::new();
        for exchange in &exchanges {
            starts.push(usize::try_from(fs::metadata(&file).unwrap().len()).unwrap());
            record(&disk, [exchange.clone()]);
        }
        Self {
            exchanges,
            bytes: fs::read(&file).unwrap(),
            starts,
            folder,
            file,
        }
    }

    /// Replaces the file's content.
    fn with(&self, bytes: &[u8]) -> Damaged<'_> {
        fs::write(&self.file, bytes).unwrap();
        Damaged {
            folder: self.folder.path(),
            file: &self.file,
        }
    }

    /// The file ends within the exchange that begins at `start`, and `before` stand before it.
    fn assert_torn(&self, len: usize, start: usize, before: usize) {
        let damaged = self.with(&self.bytes[..len]);
        let found = report(damaged.folder());
        assert_eq!(found.exchanges, before, "{len}");
        assert!(found.skipped.is_empty(), "{len}: {found:?}");
        assert_eq!(found.repairs.len(), 1, "{len}: {found:?}");
        let repair = &found.repairs[0];
        assert_eq!(repair.file, damaged.file, "{len}");
        assert_eq!(repair.offset, start as u64, "{len}");
        assert_eq!(repair.bytes, (len - start) as u64, "{len}");
        assert!(repair.cut, "{len}");
        assert_eq!(damaged.bytes(), self.bytes[..start], "{len}");
        // The cut bytes are kept.
        let kept = fs::read(damaged.file.with_added_extension("torn")).unwrap();
        assert_eq!(kept, self.bytes[start..len], "{len}");
        assert_eq!(
            replay_all(damaged.folder()),
            self.exchanges[..before],
            "{len}"
        );

        let again = report(damaged.folder());
        assert_eq!(again.exchanges, before, "{len}");
        assert!(
            again.repairs.is_empty() && again.skipped.is_empty(),
            "{again:?}"
        );
    }

    /// Asserts that a file with damage in one place gives all other exchanges, and the damaged one
    /// unchanged or as an error.
    fn assert_one_is_damaged(&self, at: usize, bytes: &[u8], what: &str) {
        let damaged = self.with(bytes);
        let hit = self.starts.iter().rposition(|&start| start <= at);
        let disk = Disk::new(damaged.folder());
        let (read, errors) = replay(&disk);
        let found = block_on(disk.report()).unwrap();

        // No wrong exchange, and no other exchange missing.
        let mut left = self.exchanges.clone();
        if read.len() < left.len()
            && let Some(hit) = hit
        {
            left.remove(hit);
            let reported = !errors.is_empty() || !found.repairs.is_empty();
            assert!(
                reported || damaged.bytes() != bytes,
                "{what}: lost silently"
            );
        }
        assert_eq!(read, left, "{what}");

        // Look-ups find the same exchanges.
        for (n, exchange) in self.exchanges.iter().enumerate() {
            let answer = find(&disk, exchange);
            if hit == Some(n) {
                if let Ok(Some(answer)) = answer {
                    assert_eq!(&answer, exchange, "{what}");
                }
            } else if disk.matching().key_of(exchange).is_some() {
                assert_eq!(answer.unwrap().as_ref(), Some(exchange), "{what}");
            }
        }
        if found.exchanges < self.exchanges.len() {
            let reported = !found.skipped.is_empty() || !found.repairs.is_empty();
            // The replay before it has cut it already.
            assert!(reported || damaged.bytes() != bytes, "{what}: {found:?}");
        }
        for error in &errors {
            assert_names(error, damaged.file);
        }

        // Only a damage in the last exchange can look like a torn tail.
        let left = damaged.bytes();
        if left != bytes {
            let last = *self.starts.last().unwrap();
            assert!(at >= last, "{what}");
            assert_eq!(left.len(), last, "{what}: {errors:?}");
            assert_eq!(left, bytes[..last], "{what}");
        }
    }

    /// The end of the dictionary at the start of the file.
    fn dictionary_end(&self) -> usize {
        match self.bytes.split_at_checked(8) {
            Some(([0x5d, 0x2a, 0x4d, 0x18, length @ ..], _)) => {
                8 + u32::from_le_bytes(length.try_into().unwrap()) as usize
            }
            _ => 0,
        }
    }

    /// The positions of the lengths of records.
    fn lengths(&self) -> Vec<Range<usize>> {
        const FIELD: &[u8] = b"\r\nContent-Length: ";
        let mut lengths = Vec::new();
        for at in self.starts[0]..self.bytes.len() {
            if self.bytes[at..].starts_with(FIELD) {
                let start = at + FIELD.len();
                lengths.push(start..start + position(&self.bytes[start..], b"\r"));
            }
        }
        lengths
    }
}

struct Damaged<'a> {
    folder: &'a Path,
    file: &'a Path,
}

impl Damaged<'_> {
    fn folder(&self) -> &Path {
        self.folder
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.file).unwrap()
    }
}

/// Three exchanges that between them use every field of the format.
fn varied() -> Vec<Exchange> {
    let headers = |fields: &[(&'static str, &[u8])]| -> HeaderList {
        fields
            .iter()
            .map(|(name, value)| {
                let value = HeaderValue::from_bytes(value).unwrap();
                (HeaderName::from_static(name), value)
            })
            .collect()
    };

    let mut whole = exchange_of("whole?a=1", "{\"name\":\"bob\"}");
    whole.time_to_end = Duration::from_millis(12);
    whole.request.version = Version::HTTP_2;
    whole.request.headers = headers(&[("host", b"example.com"), ("x-latin", b"caf\xe9")]);
    let response = whole.response.as_mut().unwrap();
    response.version = Version::HTTP_2;
    response.headers = headers(&[("set-cookie", b"a=1"), ("set-cookie", b"b=2")]);
    response.body.trailers = Some(headers(&[("x-checksum", b"a&b")]));

    let mut cut = Exchange::new(
        Request::post("/cut").body(Bytes::from("sent")).unwrap(),
        Response::new(Bytes::from("the beginn")),
    );
    cut.request.body.end = BodyEnd::Limit;
    cut.response.as_mut().unwrap().body.end = BodyEnd::Error("reset by peer".to_owned());

    let failed = Exchange::without_response(
        Request::put("/failed").body(Bytes::from("sent")).unwrap(),
        NoResponse::Failed("refused".to_owned()),
    );
    vec![whole, cut, failed]
}

/// A minimal record, as other tools write it.
fn foreign_record(kind: &str, id: &str, concurrent_to: &str, block: &str) -> String {
    let concurrent_to = match concurrent_to {
        "" => String::new(),
        id => format!("WARC-Concurrent-To: <urn:x:{id}>\r\n"),
    };
    format!(
        "WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:x:{id}>\r\n{concurrent_to}\
         WARC-Date: 2026-11-20T00:00:00Z\r\nContent-Length: {}\r\n\r\n{block}\r\n\r\n",
        block.len()
    )
}

/// Asserts that the only error names file and offset.
fn assert_reported(errors: &[Arc<StoreError>], file: &Path, offset: usize) {
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_names(&errors[0], file);
    let text = errors[0].to_string();
    assert!(text.contains(&format!("at byte {offset}:")), "{text}");
}

fn assert_names(error: &StoreError, file: &Path) {
    assert!(matches!(error, StoreError::Damaged { .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.contains(file.to_str().unwrap()), "{text}");
    assert!(text.contains("at byte "), "{text}");
}

fn append(file: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().append(true).open(file).unwrap();
    file.write_all(bytes).unwrap();
}

fn position(bytes: &[u8], part: &[u8]) -> usize {
    bytes
        .windows(part.len())
        .position(|window| window == part)
        .unwrap()
}
