//! Detects the format of a file from its beginning.

use std::{fs, io::Read, path::Path};

use crate::{
    store::{StoreError, file::FileFormat},
    util::printable,
};

/// The maximum number of bytes that are examined.
const MAX_EXAMINED_BYTES: u64 = 64 << 10;

/// Returns the format of a file; `None` for a folder.
pub(super) fn detect(path: &Path) -> Result<Option<FileFormat>, StoreError> {
    let failed = |error| StoreError::io("read", path, error);
    let unknown = |reason: String| StoreError::unsupported(path, reason);
    let kind = fs::metadata(path).map_err(failed)?.file_type();
    if kind.is_dir() {
        return Ok(None);
    }
    if !kind.is_file() {
        let reason = "expected a file or a folder, found a pipe or a device";
        return Err(unknown(reason.to_owned()));
    }
    let mut start = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_EXAMINED_BYTES).read_to_end(&mut start))
        .map_err(failed)?;
    form(&start, path).map(Some).map_err(unknown)
}

fn form(start: &[u8], path: &Path) -> Result<FileFormat, String> {
    let text = start.strip_prefix(b"\xef\xbb\xbf").unwrap_or(start);
    let text = text.trim_ascii_start();
    let extension = path.extension().unwrap_or_default();
    let is_named = |other: &str| extension.eq_ignore_ascii_case(other);
    if start.starts_with(b"WARC/") {
        return Ok(FileFormat::Warc);
    }
    if is_compressed(start) {
        // A WARC file with a damaged start is a WARC file too.
        let decoded = start_of_gzip(start);
        // Hostile content is nested without end.
        let inner = (!is_compressed(&decoded)).then(|| form(&decoded, path));
        return Ok(inner.and_then(Result::ok).unwrap_or(FileFormat::Warc));
    }
    if text.is_empty() {
        return Err(format!(
            "the file is empty; {}",
            if is_named("warc") {
                "its writer has stored nothing"
            } else {
                "give a folder, or a WARC, HAR or VCR file"
            }
        ));
    }
    if text.starts_with(b"[") && has_any(text, &[b"\"request\""]) {
        return Ok(FileFormat::Vcr);
    }
    if text.starts_with(b"{") {
        if first_key(text) == Some(b"log") || is_named("har") {
            return Ok(FileFormat::Har);
        }
        if has_any(text, &[b"\"http_interactions\"", b"\"interactions\""]) {
            return Ok(FileFormat::Vcr);
        }
        if has_any(text, &[b"\"entries\"", b"\"log\""]) {
            return Ok(FileFormat::Har);
        }
        return Err(
            "expected a HAR (`log`) or a VCR cassette (`http_interactions`), found other JSON"
                .to_owned(),
        );
    }
    // The list of PHP-VCR has no name.
    let is_cassette = |line: &[u8]| {
        line.starts_with(b"http_interactions:")
            || line.starts_with(b"interactions:")
            || (text.starts_with(b"-") && line.trim_ascii() == b"request:")
    };
    if text.split(|&byte| byte == b'\n').any(is_cassette) || is_named("yaml") || is_named("yml") {
        return Ok(FileFormat::Vcr);
    }
    let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    if line.starts_with(b"HTTP/") || line.trim_ascii_end().ends_with(b" HTTP/1.1") {
        return Err("a single message of a recording: give the recording's folder".to_owned());
    }
    let shown = &line[..line.len().min(40)];
    Err(format!(
        "expected a folder, a WARC, a HAR or a VCR cassette, found \"{}\"",
        printable::shown(shown)
    ))
}

/// Whether a file begins like gzip (RFC 1952) or zstd (RFC 8878). The first zstd frame may be a
/// skippable frame with a dictionary.
fn is_compressed(start: &[u8]) -> bool {
    matches!(
        start,
        [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..]
    )
}

/// Decodes the start of a file that may be compressed with gzip.
#[cfg(feature = "gzip")]
fn start_of_gzip(start: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    // The start ends within a member.
    let _ = flate2::bufread::MultiGzDecoder::new(start)
        .take(MAX_EXAMINED_BYTES)
        .read_to_end(&mut decoded);
    decoded
}

#[cfg(not(feature = "gzip"))]
fn start_of_gzip(_: &[u8]) -> Vec<u8> {
    Vec::new()
}

/// Returns the first member name of an object.
fn first_key(text: &[u8]) -> Option<&[u8]> {
    let rest = text
        .strip_prefix(b"{")?
        .trim_ascii_start()
        .strip_prefix(b"\"")?;
    let end = memchr::memchr(b'"', rest)?;
    Some(&rest[..end])
}

fn has_any(text: &[u8], words: &[&[u8]]) -> bool {
    words
        .iter()
        .any(|word| memchr::memmem::find(text, word).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_determines_the_format() {
        let form = |start: &[u8], name: &str| form(start, Path::new(name));
        for start in [
            b"WARC/1.1\r\n".as_slice(),
            b"\x1f\x8b\x08",
            b"\x28\xb5\x2f\xfd",
            b"\x5d\x2a\x4d\x18",
        ] {
            assert_eq!(form(start, "x"), Ok(FileFormat::Warc));
        }
        for (start, name) in [
            ("{\"log\": {", "x"),
            ("\u{feff} {\n \"log\"", "x.json"),
            ("{\"comment\": 1, \"log\"", "x"),
            ("{}", "x.HAR"),
        ] {
            assert_eq!(form(start.as_bytes(), name), Ok(FileFormat::Har), "{start}");
        }
        for (start, name) in [
            ("---\nhttp_interactions:\n", "x"),
            ("interactions:\n- request:", "x"),
            ("{\"http_interactions\": [", "x.json"),
            ("{\"version\": 1, \"interactions\": []}", "x"),
            ("# a comment\n", "x.yml"),
            ("\n-\n    request:\n        method: GET", "x"),
            ("[{\"request\": {", "x"),
        ] {
            assert_eq!(form(start.as_bytes(), name), Ok(FileFormat::Vcr), "{start}");
        }
        for start in [
            "",
            " \n",
            "{\"a\": 1}",
            "HTTP/1.1 200 OK\r\n",
            "GET / HTTP/1.1\r\n",
            "\0\0",
        ] {
            assert!(form(start.as_bytes(), "x").is_err(), "{start}");
        }
    }
}
