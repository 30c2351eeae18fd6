//! Decompression bombs: `DebugDump` bounds their memory and output.

// Separate test binary: the test measures the memory of the whole process.
#![cfg(target_os = "linux")]

use std::{
    fs,
    io::{self, Read, Write},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use flate2::{Compression, read::GzEncoder};
use support::{Origin, ask, post, soon, with};
use tower::Layer;
use tower_traffic::DebugDump;

const LIMIT: usize = 2 << 20;

/// A writer that counts the written bytes.
struct Scale(Arc<AtomicUsize>);

impl Write for Scale {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.0.fetch_add(text.len(), Ordering::Relaxed);
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn gzip(content: impl Read) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = GzEncoder::new(content, Compression::best());
    encoder.read_to_end(&mut out).expect("memory");
    out
}

fn unhex(hex: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).expect("hex");
    (0..hex.len()).step_by(2).map(byte).collect()
}

/// Returns 1 GiB of zeros as a sequence of gzip members.
fn gzip_bomb() -> Vec<u8> {
    gzip(io::repeat(0).take(1 << 20)).repeat(1 << 10)
}

/// Returns 1 GiB of zeros as written by Google's encoder, whose output repeats after the start.
fn brotli_bomb() -> Vec<u8> {
    let unit = unhex(
        "effff8ffff078004401c1680eefd1fffffff00900088c302d0bdffe3ffff1f001200715800baf77ffcffff03\
         4002200e0b40f7fe8fffff7f004800c46101e8defff1ffff0f000980382c00ddfb3ffeffff012001108705a0\
         7bffc7ffff3f002400e2b00074",
    );
    let start = unhex("cbffff3f002400e2b14072");
    [&start[..], &unit.repeat(15), &unit[..90], &[0x37]].concat()
}

/// Returns 1 GiB of zeros as RLE blocks of 128 KiB (RFC 8878, 3.1.1.2).
fn zstd_bomb() -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x38];
    frame.extend([0x02, 0, 0x10, 0].repeat((1 << 13) - 1));
    frame.extend([0x03, 0, 0x10, 0]);
    frame
}

/// Returns the peak memory of the process, in bytes.
fn peak() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.expect("a peak").trim().trim_end_matches(" kB");
    kibibytes.parse::<usize>().expect("a number") << 10
}

#[tokio::test]
async fn a_bomb_costs_neither_memory_nor_output() {
    let bombs = [
        ("gzip", gzip_bomb()),
        ("br", brotli_bomb()),
        ("zstd", zstd_bomb()),
        // Nested bombs, and bombs with an invalid inner coding.
        ("br, gzip", gzip(&brotli_bomb()[..])),
        ("gzip, gzip", gzip(&gzip_bomb()[..])),
        ("gzip, br", brotli_bomb()),
        ("zstd, zstd, br", brotli_bomb()),
    ];
    let written = Arc::new(AtomicUsize::new(0));
    let dump = DebugDump::new(Scale(written.clone())).max_body_bytes(LIMIT);
    let printer = dump.printer();
    let service = dump.layer(Origin::saying(""));
    let before = peak();
    for (coding, bomb) in bombs {
        assert!(bomb.len() < LIMIT, "{coding}");
        let request = with(post("/", bomb), "content-encoding", coding);
        let request = with(request, "content-type", "application/octet-stream");
        ask(&service, request).await;
        soon(printer.flush()).await;
        let output = written.swap(0, Ordering::Relaxed);
        assert!((100..1_000).contains(&output), "{coding}: {output}");
        // Text output takes four characters per zero.
        let more = peak() - before;
        assert!(more < 64 << 20, "{coding}: {more}");
    }
    assert_eq!(printer.not_printed(), 0);
}
