//! Compressed recordings: size, look-up and replay, files of other tools, decompression bombs.

use std::{fs, path::Path};

use http::Uri;
use support::stores::{exchange, files, find, record, replay, replay_all, report};
use tower_traffic::{
    Exchange, StoreError,
    store::{Compression, Disk},
};

const CORPUS: usize = 10_000;

fn forms() -> Vec<Compression> {
    vec![Compression::None, Compression::Gzip, Compression::Zstd]
}

// ---- files of this crate

/// The size of the recording per exchange.
fn bytes_per_exchange(compression: Compression) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(folder.path()).compress(compression);
    for batch in support::corpus::exchanges(CORPUS).chunks(100) {
        record(&disk, batch);
    }
    let size = |file: &_| usize::try_from(fs::metadata(file).unwrap().len()).unwrap();
    let bytes: usize = files(folder.path()).iter().map(size).sum();
    let each = bytes.div_ceil(CORPUS);
    println!("{compression:?}: {each} bytes an exchange");
    each
}

#[test]
fn the_corpus_has_the_documented_size() {
    let corpus = support::corpus::exchanges(CORPUS);
    let http: usize = corpus.iter().map(support::corpus::http_len).sum();
    assert_eq!(http / CORPUS, 1200);
    // The size is deterministic.
    let uri: Uri = "/v1/orders/55327416-1bbf-4475-ad5b-ca4696b343b3"
        .parse()
        .unwrap();
    assert_eq!(corpus[0].request.uri, uri);
    assert_eq!(corpus[..10], support::corpus::exchanges(10));
}

#[test]
fn a_small_exchange_takes_1300_bytes_with_gzip() {
    let each = bytes_per_exchange(Compression::Gzip);
    assert!((1000..=1300).contains(&each), "{each}");
}

#[test]
fn a_small_exchange_takes_500_bytes_with_zstd() {
    let each = bytes_per_exchange(Compression::Zstd);
    assert!((300..=500).contains(&each), "{each}");
}

#[test]
fn a_compressed_recording_is_replayed_and_found() {
    let exchanges = support::corpus::exchanges(1500);
    for compression in forms() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path())
            .compress(compression)
            .max_segment_bytes(400 << 10);
        for batch in exchanges.chunks(50) {
            record(&disk, batch);
        }
        assert!(files(folder.path()).len() > 1);
        assert_eq!(replay_all(folder.path()), exchanges, "{compression:?}");
        let found = report(folder.path());
        assert_eq!(found.exchanges, exchanges.len());
        assert!(found.skipped.is_empty() && found.repairs.is_empty());

        // With an index from the files, and with one that grew while recording.
        let reader = Disk::new(folder.path());
        let more = exchange("more");
        assert_eq!(find(&disk, &more).unwrap(), None);
        record(&disk, [more.clone()]);
        assert_eq!(find(&disk, &more).unwrap(), Some(more));
        for exchange in exchanges.iter().step_by(97) {
            assert_eq!(find(&reader, exchange).unwrap().as_ref(), Some(exchange));
            assert_eq!(find(&disk, exchange).unwrap().as_ref(), Some(exchange));
        }
    }
}

#[test]
fn a_folder_may_have_files_of_every_form() {
    let folder = tempfile::tempdir().unwrap();
    let mut recorded = Vec::new();
    for (n, compression) in forms().into_iter().enumerate() {
        let exchange = exchange(&n.to_string());
        let disk = Disk::new(folder.path()).compress(compression);
        record(&disk, [exchange.clone()]);
        recorded.push(exchange);
    }
    let disk = Disk::new(folder.path());
    assert_eq!(replay(&disk).0.len(), recorded.len());
    for exchange in recorded {
        assert_eq!(find(&disk, &exchange).unwrap(), Some(exchange));
    }
}

#[test]
fn a_later_run_begins_with_the_dictionary_of_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let exchanges = support::corpus::exchanges(1200);
    let run = |exchanges: &[Exchange]| {
        let known = files(folder.path());
        let disk = Disk::new(folder.path()).compress(Compression::Zstd);
        for batch in exchanges.chunks(100) {
            record(&disk, batch);
        }
        let is_new = |file: &_| !known.contains(file);
        files(folder.path()).into_iter().filter(is_new).collect()
    };
    let dictionary_magic = [0x5d, 0x2a, 0x4d, 0x18];
    let begins_with = |file: &Path| fs::read(file).unwrap()[..4].to_vec();

    let first: Vec<_> = run(&exchanges[..1000]);
    assert_eq!(first.len(), 2);
    assert_ne!(begins_with(&first[0]), dictionary_magic);
    assert_eq!(begins_with(&first[1]), dictionary_magic);
    let second: Vec<_> = run(&exchanges[1000..]);
    assert_eq!(second.len(), 1);
    assert_eq!(begins_with(&second[0]), dictionary_magic);
    assert_eq!(replay_all(folder.path()).len(), exchanges.len());

    // Each file has its own dictionary, and is read without the others.
    for file in first {
        fs::remove_file(file).unwrap();
    }
    assert_eq!(replay_all(folder.path()), exchanges[1000..]);
}

// ---- files of other tools

/// A minimal request and response, as other tools write them.
fn pair(n: usize) -> [String; 2] {
    let record = |kind: &str, id: String, concurrent_to: &str, block: &str| {
        format!(
            "WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Record-ID: <urn:x:{id}>\r\n{concurrent_to}\
             WARC-Date: 2026-11-20T00:00:00Z\r\nContent-Length: {}\r\n\r\n{block}\r\n\r\n",
            block.len()
        )
    };
    let response = format!("HTTP/1.1 200 OK\r\n\r\nanswer {n}");
    let request = format!("GET /{n} HTTP/1.1\r\n\r\n");
    let belongs = format!("WARC-Concurrent-To: <urn:x:r{n}>\r\n");
    [
        record("response", format!("r{n}"), "", &response),
        record("request", format!("q{n}"), &belongs, &request),
    ]
}

/// The answers of a file in order, and its errors.
fn read(name: &str, content: &[u8]) -> (Vec<String>, Vec<StoreError>) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    fs::write(&file, content).unwrap();
    let (exchanges, errors) = replay(&Disk::new(folder.path()));
    assert_eq!(
        fs::read(&file).unwrap(),
        content,
        "another tool's file is left alone"
    );
    (exchanges.iter().map(answer).collect(), errors)
}

fn answer(exchange: &Exchange) -> String {
    let response = exchange.response.as_ref().unwrap();
    String::from_utf8_lossy(&response.body.to_bytes()).into_owned()
}

fn assert_reads_pairs(name: &str, content: &[u8]) {
    let (answers, errors) = read(name, content);
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(answers, ["answer 1", "answer 2", "answer 3"]);
}

mod gzip {
    use std::io::Write;

    use flate2::{Compression as Level, GzBuilder, write::GzEncoder};

    use super::*;

    fn member(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Level::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn headers_with_every_field_are_read() {
        let mut file = Vec::new();
        for record in (1..4).flat_map(pair) {
            let mut encoder = GzBuilder::new()
                .filename("a record")
                .comment("of another tool")
                .extra(&b"sl\x08\0\0\0\0\0\0\0\0\0"[..])
                .mtime(1)
                .write(Vec::new(), Level::fast());
            encoder.write_all(record.as_bytes()).unwrap();
            file.extend(encoder.finish().unwrap());
        }
        assert_reads_pairs("a.warc.gz", &file);

        // A checksum of the header (RFC 1952, 2.3.1), which readers here ignore.
        let mut member = member(pair(1).concat().as_bytes());
        member[3] |= 1 << 1;
        member.splice(10..10, [0, 0]);
        assert_eq!(read("a.warc.gz", &member).0, ["answer 1"]);
    }

    #[test]
    fn a_record_may_have_several_members() {
        let parts = |text: String| {
            let (first, second) = text.split_at(text.len() / 2);
            [
                member(first.as_bytes()),
                member(b""),
                member(second.as_bytes()),
            ]
            .concat()
        };
        let file: Vec<_> = (1..4).flat_map(pair).flat_map(parts).collect();
        assert_reads_pairs("a.warc.gz", &file);
    }

    #[test]
    fn a_file_compressed_as_a_whole_is_replayed_but_not_looked_up() {
        let text = (1..4).flat_map(pair).collect::<String>();
        let content = member(text.as_bytes());
        assert_reads_pairs("a.warc.gz", &content);

        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.warc.gz"), content).unwrap();
        let found = report(folder.path());
        assert_eq!(found.exchanges, 3);
        assert!(
            matches!(&*found.skipped[0], StoreError::Damaged { reason, .. } if reason.contains("its 2 exchanges can be replayed")),
            "{found:?}"
        );
        let disk = Disk::new(folder.path());
        let [first, second] = [exchange("1"), exchange("2")];
        // The first exchange has an offset: the start of the file.
        assert_eq!(
            find(&disk, &first).unwrap().as_ref().map(answer).unwrap(),
            "answer 1"
        );
        assert_eq!(find(&disk, &second).unwrap(), None);
    }

    #[test]
    fn the_content_determines_the_compression() {
        let text = (1..4).flat_map(pair).collect::<String>();
        assert_reads_pairs("a.warc.gz", text.as_bytes());
        assert_reads_pairs(
            "a.warc",
            &(1..4)
                .flat_map(pair)
                .flat_map(|r| member(r.as_bytes()))
                .collect::<Vec<_>>(),
        );
    }

    #[test]
    fn a_bomb_costs_only_its_exchange() {
        let (first, [response, request]) = (pair(1), pair(2));
        let zeros = vec![0; 64 << 20];
        let huge = |length: &str| response.replace("Content-Length: 27", length);
        let bombs = [
            // More bytes than declared.
            [response.as_bytes(), &zeros].concat(),
            // As many bytes as declared, more than any memory.
            [huge("Content-Length: 1099511627776").as_bytes(), &zeros].concat(),
            [
                huge("Content-Length: 18446744073709551615").as_bytes(),
                &zeros,
            ]
            .concat(),
            // A head without an end, and a line without one.
            [b"WARC/1.0\r\n".as_slice(), &b"x: y\r\n".repeat(2 << 20)].concat(),
            [b"WARC/1.0\r\nx: ".as_slice(), &zeros].concat(),
            zeros.clone(),
        ];
        for (n, bomb) in bombs.iter().enumerate() {
            let members = [
                first[0].as_bytes(),
                first[1].as_bytes(),
                bomb,
                request.as_bytes(),
            ];
            let mut file: Vec<_> = members.into_iter().flat_map(member).collect();
            file.extend(pair(3).iter().flat_map(|record| member(record.as_bytes())));
            assert!(file.len() < 1 << 20);
            let is_claim = n == 1 || n == 2;
            let (answers, errors) = read("a.warc.gz", &file);
            assert_eq!(answers.first().map(String::as_str), Some("answer 1"), "{n}");
            assert_eq!(answers.last().map(String::as_str), Some("answer 3"), "{n}");
            assert!(!errors.is_empty(), "{n}");
            let text = errors[0].to_string();
            assert_eq!(text.contains("says that it has"), is_claim, "{n}: {text}");
        }
    }

    #[test]
    fn false_member_headers_are_skipped() {
        let mut file = pair(1).map(|record| member(record.as_bytes())).concat();
        file.extend(b"\x1f\x8b\x08\0\0\0\0\0\0\0".repeat(100_000));
        let (answers, errors) = read("a.warc.gz", &file);
        assert_eq!((answers.len(), errors.len()), (1, 1));
    }

    /// The frames have no checksums of this crate.
    #[test]
    fn damage_in_another_tools_file_gives_no_wrong_answer() {
        let good: Vec<_> = (1..4)
            .flat_map(pair)
            .flat_map(|text| member(text.as_bytes()))
            .collect();
        for position in 0..good.len() {
            let mut file = good.clone();
            file[position] ^= 1 << (position % 8);
            let (answers, errors) = read("a.warc.gz", &file);
            let all = ["answer 1", "answer 2", "answer 3"];
            assert!(
                answers.iter().all(|answer| all.contains(&&**answer)),
                "{position}: {answers:?}"
            );
            assert!(answers.len() >= 2, "{position}: {answers:?} {errors:?}");
            // A header with optional fields.
            assert!(answers.len() == 3 || !errors.is_empty(), "{position}");
        }
    }
}

mod zstandard {
    use zstd::{bulk::Compressor, dict::from_samples, zstd_safe::CParameter};

    use super::*;

    const FRAME: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

    fn frame(compressor: &mut Compressor<'_>, text: &str) -> Vec<u8> {
        compressor
            .set_parameter(CParameter::ChecksumFlag(true))
            .unwrap();
        compressor.compress(text.as_bytes()).unwrap()
    }

    fn skippable(magic: u32, content: &[u8]) -> Vec<u8> {
        let length = u32::try_from(content.len()).unwrap();
        [&magic.to_le_bytes(), &length.to_le_bytes(), content].concat()
    }

    #[test]
    fn files_without_a_dictionary_are_read() {
        let mut compressor = Compressor::new(3).unwrap();
        let frames = (1..4).flat_map(pair);
        let file: Vec<_> = frames
            .flat_map(|text| frame(&mut compressor, &text))
            .collect();
        assert_eq!(file[..4], FRAME);
        assert_reads_pairs("a.warc.zst", &file);
    }

    #[test]
    fn dictionaries_plain_and_compressed_and_other_frames_are_read() {
        let samples: Vec<_> = (0..1000).map(|n| pair(n * 7919).concat()).collect();
        let dictionary = from_samples(&samples, 8 << 10).unwrap();
        assert_eq!(dictionary[..4], [0x37, 0xa4, 0x30, 0xec]);
        let compressed = Compressor::new(9).unwrap().compress(&dictionary).unwrap();
        for dictionary_frame in [&dictionary, &compressed] {
            let mut compressor = Compressor::with_dictionary(3, &dictionary).unwrap();
            let mut file = skippable(0x184d_2a5d, dictionary_frame);
            for record in (1..4).flat_map(pair) {
                // In two frames, with skippable frames between and after them.
                let (first, second) = record.split_at(record.len() / 2);
                file.extend(frame(&mut compressor, first));
                file.extend(skippable(0x184d_2a50, b"an extension"));
                file.extend(frame(&mut compressor, second));
                file.extend(skippable(0x184d_2a5f, b""));
            }
            assert_reads_pairs("a.warc.zst", &file);
        }
    }

    #[test]
    fn a_dictionary_that_is_a_bomb_is_an_error() {
        let zeros = vec![0; 64 << 20];
        let bomb = Compressor::new(3).unwrap().compress(&zeros).unwrap();
        let claim = [0x5d, 0x2a, 0x4d, 0x18, 0xff, 0xff, 0xff, 0x7f];
        for start in [skippable(0x184d_2a5d, &bomb), claim.to_vec()] {
            let mut compressor = Compressor::new(3).unwrap();
            let mut file = start;
            file.extend(
                (1..4)
                    .flat_map(pair)
                    .flat_map(|text| frame(&mut compressor, &text)),
            );
            let (answers, errors) = read("a.warc.zst", &file);
            assert!(answers.is_empty());
            assert_eq!(errors.len(), 1, "{errors:?}");
            assert!(errors[0].to_string().contains("dictionary"), "{errors:?}");
        }
    }

    #[test]
    fn a_bomb_costs_only_its_exchange() {
        let mut compressor = Compressor::new(3).unwrap();
        let zeros = "\0".repeat(64 << 20);
        let [response, request] = pair(2);
        let bombs = [
            format!("{response}{zeros}"),
            response.replace("Content-Length: 27", "Content-Length: 1099511627776") + &zeros,
            zeros,
        ];
        for (n, bomb) in bombs.into_iter().enumerate() {
            let records = pair(1)
                .into_iter()
                .chain([bomb, request.clone()])
                .chain(pair(3));
            let file: Vec<_> = records
                .flat_map(|text| frame(&mut compressor, &text))
                .collect();
            let (answers, errors) = read("a.warc.zst", &file);
            assert_eq!(answers.first().map(String::as_str), Some("answer 1"), "{n}");
            assert_eq!(answers.last().map(String::as_str), Some("answer 3"), "{n}");
            assert!(!errors.is_empty(), "{n}");
        }
    }
}
