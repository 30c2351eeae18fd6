//! Memory use of the replay of decompression bombs. Alone in its process, whose memory is measured.
#![cfg(target_os = "linux")]

use std::{fs, thread, time::Duration};

use futures::{StreamExt, executor::block_on};
use tower_traffic::store::{Disk, Replay};
use zstd::bulk::Compressor;

const BODY: usize = 48 << 20;
const COUNT: usize = 24;

/// The peak memory of this process in bytes.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.unwrap().trim().strip_suffix(" kB").unwrap();
    kibibytes.parse::<usize>().unwrap() << 10
}

#[test]
fn large_bodies_are_not_read_ahead() {
    let folder = tempfile::tempdir().unwrap();
    let mut compressor = Compressor::new(1).unwrap();
    let record = |head: String, block: &str| {
        format!(
            "WARC/1.1\r\n{head}WARC-Date: 2026-11-20T00:00:00Z\r\nContent-Length: {}\r\n\r\n\
             {block}\r\n\r\n",
            block.len()
        )
    };
    let request = "WARC-Type: request\r\nWARC-Record-ID: <urn:x:q>\r\n";
    let response = "WARC-Type: response\r\nWARC-Record-ID: <urn:x:r>\r\n\
                    WARC-Concurrent-To: <urn:x:q>\r\n";
    let pair = [
        record(request.to_owned(), "GET / HTTP/1.1\r\n\r\n"),
        record(
            response.to_owned(),
            &format!("HTTP/1.1 200 OK\r\n\r\n{}", "\0".repeat(BODY)),
        ),
    ];
    let pair = pair.map(|record| compressor.compress(record.as_bytes()).unwrap());
    let file = pair.concat().repeat(COUNT);
    assert!(file.len() < 1 << 20);
    fs::write(folder.path().join("a.warc.zst"), file).unwrap();

    let mut replay = Disk::new(folder.path()).replay();
    let mut count = 0;
    block_on(async {
        while let Some(exchange) = replay.next().await {
            let response = exchange.unwrap().response.unwrap();
            assert_eq!(response.body.len(), BODY);
            count += 1;
            if count == 1 {
                // Time for the reader to read ahead.
                thread::sleep(Duration::from_secs(3));
            }
        }
    });
    assert_eq!(count, COUNT);
    // Creating the file took three times the size of a body.
    assert!(peak() < 6 * BODY, "{} MiB", peak() >> 20);
}
