//! `warcio` (from `PyPI`) checks every segment that this crate writes, and finds every recorded
//! exchange.
//!
//! Without `warcio`, these tests are reported as ignored.

use std::fs;
use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use libtest_mimic::{Arguments, Trial};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use support::stores::{files, record};
use tempfile::TempDir;
use tower_traffic::{
    BodyEnd, Exchange, HeaderList, NoResponse, RecordedRequest, RecordedResponse,
    store::{Compression, Disk},
};

fn main() -> ExitCode {
    let missing = missing_program();
    if let Some(program) = missing {
        eprintln!("ignored: `{program}` does not run here; `pip install warcio` brings it");
    }
    let trial = |name, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
        .with_ignored_flag(missing.is_some())
    };
    let trials = vec![
        trial("warcio_accepts_every_segment", warcio_accepts_every_segment),
        trial("warcio_reads_recordings", warcio_reads_recordings),
        trial("warcio_accepts_objects_in_s3", warcio_accepts_objects_in_s3),
        trial(
            "zstd_and_warcio_accept_every_segment",
            zstd_and_warcio_accept_every_segment,
        )
        .with_ignored_flag(missing.is_some() || !runs("zstd", &["--version"])),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    let output = Command::new(program).args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

fn missing_program() -> Option<&'static str> {
    if !runs("warcio", &["--version"]) {
        return Some("warcio");
    }
    let imports = runs("python3", &["-c", "import warcio"]);
    (!imports).then_some("python3 -c 'import warcio'")
}

/// Recordings in the compressions that `warcio` reads.
fn recordings() -> Vec<Recording> {
    let forms = [Compression::None, Compression::Gzip];
    forms.into_iter().map(Recording::new).collect()
}

fn warcio_accepts_every_segment() {
    let recordings = recordings();
    for file in recordings.iter().flat_map(Recording::files) {
        check(&file);
    }
}

fn check(file: &Path) {
    let output = Command::new("warcio")
        .args(["check", "-v"])
        .arg(file)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{text}");
    // The output names each record, without a complaint.
    let records = text.matches("WARC-Record-ID").count();
    assert!(records >= 3, "{text}");
    let complaints = ["fail", "error", "warn", "invalid", "missing"];
    let lower = text.to_lowercase();
    assert!(
        !complaints.iter().any(|word| lower.contains(word)),
        "{text}"
    );
}

#[tokio::main]
async fn warcio_accepts_objects_in_s3() {
    use std::sync::Arc;

    use tower_traffic::store::{S3, Sink};

    let place = interop::s3::TestBucket::new();
    let folder = tempfile::tempdir().unwrap();
    let store = S3::new(place.bucket())
        .spool(folder.path().join("spool"))
        .max_segment_bytes(1);
    let recorded = varied();
    let count = recorded.len();
    for (exchange, _) in recorded {
        store.store(vec![Arc::new(exchange)]).await.unwrap();
    }
    store.flush().await.unwrap();
    let objects = place.objects().await;
    assert_eq!(objects.len(), count);
    for content in objects.values() {
        let file = folder.path().join("a.warc.gz");
        std::fs::write(&file, content).unwrap();
        check(&file);
    }
}

/// `zstd` needs the dictionary in a separate file, and `warcio` reads only decompressed segments.
fn zstd_and_warcio_accept_every_segment() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Disk::new(folder.path().join("t")).compress(Compression::Zstd);
    for batch in support::corpus::exchanges(1000).chunks(100) {
        record(&disk, batch);
    }
    let (dictionary, plain) = (
        folder.path().join("dictionary"),
        folder.path().join("a.warc"),
    );
    let mut dictionaries = 0;
    for file in files(disk.folder()) {
        let content = fs::read(&file).unwrap();
        let mut zstd = Command::new("zstd");
        if let Some(([0x5d, 0x2a, 0x4d, 0x18, length @ ..], rest)) = content.split_at_checked(8) {
            let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
            let content = zstd::decode_all(&rest[..length]).unwrap();
            fs::write(&dictionary, content).unwrap();
            zstd.arg("-D").arg(&dictionary);
            dictionaries += 1;
        }
        let output = zstd
            .args(["-d", "-f"])
            .arg(&file)
            .arg("-o")
            .arg(&plain)
            .output()
            .unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(runs("warcio", &["check", plain.to_str().unwrap()]));
        assert!(fs::metadata(&plain).unwrap().len() > 500_000);
    }
    assert_eq!(dictionaries, 1);
}

fn warcio_reads_recordings() {
    const SCRIPT: &str = "
import hashlib, json, sys
from warcio.archiveiterator import ArchiveIterator

for path in sys.argv[1:]:
    with open(path, 'rb') as file:
        for record in ArchiveIterator(file):
            head = record.http_headers
            print(json.dumps({
                'type': record.rec_type,
                'uri': record.rec_headers.get_header('WARC-Target-URI'),
                'start': head and (head.get_statuscode() if record.rec_type == 'response'
                                   else head.protocol),
                'sha256': hashlib.sha256(record.raw_stream.read()).hexdigest(),
            }))
";
    for recording in recordings() {
        assert_reads_recording(&recording, SCRIPT);
    }
}

fn assert_reads_recording(recording: &Recording, script: &str) {
    let output = Command::new("python3")
        .args(["-c", script])
        .args(recording.files())
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "{complaints}"
    );

    let read: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|record: &Value| record["type"] != "warcinfo")
        .collect();
    let recorded: Vec<_> = recording.exchanges.iter().flat_map(records).collect();
    assert_eq!(read.len(), recorded.len());
    for (read, recorded) in read.iter().zip(&recorded) {
        assert_eq!(read, recorded);
    }
    let kinds: HashSet<_> = read
        .iter()
        .map(|record| record["type"].to_string())
        .collect();
    assert_eq!(
        kinds.len(),
        3,
        "requests, responses and metadata: {kinds:?}"
    );
}

/// The records that a tool should find for an exchange.
fn records((exchange, target): &(Exchange, &str)) -> [Value; 2] {
    let request = &exchange.request;
    let second = match &exchange.response {
        Ok(response) => json!({
            "type": "response",
            "uri": target,
            "start": response.status.as_str(),
            "sha256": sha256(&response.body.to_bytes()),
        }),
        Err(why) => json!({
            "type": "metadata",
            "uri": target,
            "start": null,
            "sha256": sha256(match why {
                NoResponse::ClientGone => b"ended: client gone\r\n",
                _ => b"ended: error\r\n",
            }),
        }),
    };
    let first = json!({
        "type": "request",
        "uri": target,
        "start": request.method.as_str(),
        "sha256": sha256(&request.body.to_bytes()),
    });
    [first, second]
}

fn sha256(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let digest = Sha256::digest(bytes);
    digest.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

struct Recording {
    folder: TempDir,
    /// Each exchange with the absolute URI under which a tool should find it.
    exchanges: Vec<(Exchange, &'static str)>,
}

impl Recording {
    fn new(compression: Compression) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::new(folder.path())
            .compress(compression)
            .max_segment_bytes(4 << 10);
        let exchanges = varied();
        for (exchange, _) in &exchanges {
            record(&disk, [exchange.clone()]);
        }
        let recording = Self { folder, exchanges };
        assert!(recording.files().len() > 2);
        recording
    }

    fn files(&self) -> Vec<PathBuf> {
        files(self.folder.path())
    }
}

/// Exchanges of every kind, each with its absolute URI.
#[expect(clippy::too_many_lines, reason = "a list")]
fn varied() -> Vec<(Exchange, &'static str)> {
    let mut exchanges = Vec::new();
    let mut add = |method: &str,
                   uri: &str,
                   target: &'static str,
                   change: &dyn Fn(&mut RecordedRequest, &mut RecordedResponse)| {
        let mut exchange = Exchange::new(
            Request::builder()
                .method(method)
                .uri(uri)
                .body(Bytes::new())
                .unwrap(),
            Response::new(Bytes::from_static(b"{\"name\":\"bob\"}")),
        );
        if let Ok(response) = &mut exchange.response {
            change(&mut exchange.request, response);
        }
        exchanges.push((exchange, target));
    };

    // Sources of a record's URI.
    let host =
        |value| move |request: &mut RecordedRequest| request.headers = fields(&[("host", value)]);
    let (named, odd) = (host(b"example.com:8080"), host(b"not a host"));
    add("GET", "/a?b=c", "http://unknown.invalid/a?b=c", &|_, _| {});
    add("GET", "/a", "http://example.com:8080/a", &|request, _| {
        named(request);
    });
    add(
        "GET",
        "/odd",
        "http://unknown.invalid/odd",
        &|request, _| odd(request),
    );
    add(
        "GET",
        "https://example.com/x",
        "https://example.com/x",
        &|_, _| {},
    );
    add(
        "GET",
        "https://example.com?x=1",
        "https://example.com/?x=1",
        &|_, _| {},
    );
    add(
        "GET",
        "/{a}|\"b\"",
        "http://unknown.invalid/%7Ba%7D%7C%22b%22",
        &|_, _| {},
    );
    add(
        "CONNECT",
        "example.com:443",
        "http://example.com:443/",
        &|_, _| {},
    );
    add("OPTIONS", "*", "http://unknown.invalid/", &|_, _| {});
    add("PURGE", "/", "http://unknown.invalid/", &|_, _| {});

    // Bodies, some of which look like the format.
    let target = "http://unknown.invalid/body";
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    for body in [
        Bytes::new(),
        every_byte.into(),
        Bytes::from_static(b"\r\n\r\n"),
        Bytes::from_static(b"\r\n\r\nWARC/1.1\r\nWARC-Type: request\r\nContent-Length: 0\r\n\r\n"),
        Bytes::from_static(b"HTTP/1.1 200 OK\r\n\r\n"),
        vec![b'x'; 1 << 20].into(),
    ] {
        add("POST", "/body", target, &|request, response| {
            request.body = body.clone().into();
            response.body = body.clone().into();
        });
    }

    // Headers that disagree with the stored body.
    let target = "http://unknown.invalid/head";
    let heads = [
        fields(&[("transfer-encoding", b"chunked")]),
        fields(&[("content-length", b"99999")]),
        fields(&[("content-length", b"14"), ("content-length", b"15")]),
        fields(&[("content-encoding", b"gzip")]),
        fields(&[
            ("set-cookie", b"a=1"),
            ("x", b"caf\xe9"),
            ("set-cookie", b"b=2"),
        ]),
    ];
    for head in &heads {
        add("PUT", "/head", target, &|request, response| {
            request.headers = head.clone();
            request.body = Bytes::from_static(b"{\"name\":\"eve\"}").into();
            response.headers = head.clone();
        });
    }
    add("HEAD", "/head", target, &|_, response| {
        response.headers = fields(&[("content-length", b"14")]);
        response.body = Bytes::new().into();
    });
    add("GET", "/head", target, &|_, response| {
        response.status = StatusCode::NO_CONTENT;
        response.body = Bytes::new().into();
    });

    // Values that HTTP/1 text cannot express.
    let target = "http://unknown.invalid/other";
    for version in [Version::HTTP_10, Version::HTTP_2, Version::HTTP_3] {
        add("GET", "/other", target, &|request, response| {
            request.version = version;
            response.version = version;
        });
    }
    for end in [
        BodyEnd::Limit,
        BodyEnd::Dropped,
        BodyEnd::Error("reset\r\nby peer: 100%".to_owned()),
    ] {
        add("GET", "/other", target, &|_, response| {
            response.headers = fields(&[("content-length", b"20")]);
            response.body.end = end.clone();
        });
    }
    add("GET", "/other", target, &|_, response| {
        response.body.trailers = Some(fields(&[("x-checksum", b"a&b=c"), ("x-latin", b"\xe9")]));
    });
    for why in [
        NoResponse::ClientGone,
        NoResponse::Failed("refused\r\n".to_owned()),
    ] {
        let mut request = RecordedRequest::from(Request::new(Bytes::from_static(b"sent")));
        request.method = Method::POST;
        let exchange = Exchange::without_response(request, why);
        exchanges.push((exchange, "http://unknown.invalid/"));
    }
    exchanges
}

fn fields(fields: &[(&'static str, &[u8])]) -> HeaderList {
    fields
        .iter()
        .map(|(name, value)| {
            let value = HeaderValue::from_bytes(value).unwrap();
            (HeaderName::from_static(name), value)
        })
        .collect()
}
