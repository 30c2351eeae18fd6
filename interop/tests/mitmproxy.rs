//! `mitmdump` (from `PyPI`) reads the HAR files of this crate, and this crate reads those of
//! `mitmdump`.
//!
//! Without `mitmdump`, these tests are reported as ignored.

use std::{
    fs,
    path::Path,
    process::{Command, ExitCode},
};

use bytes::Bytes;
use http::{Request, Response, Version};
use libtest_mimic::{Arguments, Trial};
use serde_json::{Value, json};
use support::stores::{record, replay};
use tower_traffic::{BodyEnd, Exchange, NoResponse, store::Har};

fn main() -> ExitCode {
    let is_there = Command::new("mitmdump")
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success());
    if !is_there {
        eprintln!("ignored: `mitmdump` does not run here; `pip install mitmproxy` brings it");
    }
    let trial = |name, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
        .with_ignored_flag(!is_there)
    };
    let trials = vec![
        trial("mitmproxy_reads_our_har", mitmproxy_reads_our_har),
        trial("we_read_the_har_of_mitmproxy", we_read_the_har_of_mitmproxy),
        trial(
            "we_read_what_mitmproxy_decodes_and_cannot_decode",
            we_read_what_mitmproxy_decodes_and_cannot_decode,
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Prints a line of JSON for each flow.
const SCRIPT: &str = r#"
import base64, json

def show(flow):
    text = lambda content: base64.b64encode(content or b"").decode()
    print("FLOW " + json.dumps({
        "method": flow.request.method,
        "url": flow.request.url,
        "version": flow.request.http_version,
        "sent": text(flow.request.content),
        "status": flow.response.status_code,
        "headers": [[k.decode(), v.decode("utf8", "replace")] for k, v in flow.response.headers.fields],
        "got": text(flow.response.content),
    }))

def response(flow):
    show(flow)
"#;

fn mitmdump(arguments: &[&Path]) -> String {
    let output = Command::new("mitmdump")
        .args(["-q", "-n", "--set", "confdir=."])
        .args(arguments)
        .current_dir(arguments[1].parent().unwrap())
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "{text}{complaints}"
    );
    text
}

/// `hello`, by `printf hello | gzip -n`.
const GZIP_OF_HELLO: &[u8] =
    b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xcbH\xcd\xc9\xc9\x07\0\x86\xa6\x106\x05\0\0\0";

/// Bytes that are not valid text.
const BINARY: [u8; 6] = [0, 1, 2, 0xff, 0xfe, 0xfd];

fn exchanges() -> Vec<Exchange> {
    let get = |uri: &str| Request::get(uri).body(Bytes::new()).unwrap();
    let mut h2 = get("https://example.com/h2?a=b%20c&d");
    *h2.version_mut() = Version::HTTP_2;
    let post = Request::post("http://example.com:8080/form")
        // Without a charset, `mitmdump` reads text as Latin-1.
        .header("content-type", "text/plain; charset=utf-8")
        .body(Bytes::from("grüße"))
        .unwrap();
    let gzip = Response::builder()
        .header("content-encoding", "gzip")
        .body(Bytes::from_static(GZIP_OF_HELLO))
        .unwrap();
    let cookies = Response::builder()
        .status(404)
        .header("set-cookie", "a=1")
        .header("set-cookie", "b=2; Expires=Fri, 20 Nov 2026 23:59:59 GMT")
        .body(Bytes::from_iter(BINARY))
        .unwrap();
    vec![
        Exchange::new(h2, Response::new(Bytes::from("{\"name\": \"bob\"}"))),
        Exchange::new(post, Response::new(Bytes::from("thanks"))),
        Exchange::new(get("http://example.com/gzip"), gzip),
        Exchange::new(get("/origin-form"), cookies),
        Exchange::without_response(
            get("http://example.com/down"),
            NoResponse::Failed("refused".to_owned()),
        ),
    ]
}

fn mitmproxy_reads_our_har() {
    let folder = tempfile::tempdir().unwrap();
    let (har, script) = (folder.path().join("x.har"), folder.path().join("show.py"));
    record(&Har::new(&har), exchanges());
    fs::write(&script, SCRIPT).unwrap();

    let text = mitmdump(&[Path::new("-r"), &har, Path::new("-s"), &script]);
    let flows: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("FLOW "))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let flow = |number: usize, names: &[&str]| -> Value {
        let flow = &flows[number];
        names.iter().map(|&name| flow[name].clone()).collect()
    };
    assert_eq!(flows.len(), 5, "{text}");
    let all = ["method", "url", "version", "status", "sent", "got"];
    assert_eq!(
        flow(0, &all),
        json!([
            "GET",
            "https://example.com/h2?a=b%20c&d",
            "HTTP/2",
            200,
            "",
            "eyJuYW1lIjogImJvYiJ9"
        ])
    );
    assert_eq!(
        flow(1, &all),
        json!([
            "POST",
            "http://example.com:8080/form",
            "HTTP/1.1",
            200,
            "Z3LDvMOfZQ==",
            "dGhhbmtz"
        ])
    );
    // `mitmdump` compresses the decoded content of the HAR again, and decodes it for the script.
    assert_eq!(flow(2, &["status", "got"]), json!([200, "aGVsbG8="]));
    assert_eq!(
        flow(3, &["url", "status", "got", "headers"]),
        json!([
            "http://unknown.invalid/origin-form",
            404,
            "AAEC//79",
            [
                ["set-cookie", "a=1"],
                ["set-cookie", "b=2; Expires=Fri, 20 Nov 2026 23:59:59 GMT"],
            ]
        ])
    );
    assert_eq!(
        flow(4, &["url", "status"]),
        json!(["http://example.com/down", 0])
    );
}

fn we_read_the_har_of_mitmproxy() {
    let folder = tempfile::tempdir().unwrap();
    let (har, again) = (folder.path().join("x.har"), folder.path().join("again.har"));
    let written = exchanges();
    // `mitmdump` does not write failures that it has read from a HAR.
    record(&Har::new(&har), &written[..4]);
    let option = format!("hardump={}", again.display());
    mitmdump(&[
        Path::new("-r"),
        &har,
        Path::new("--set"),
        Path::new(&option),
    ]);

    let (read, errors) = replay(&Har::new(&again));
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(read.len(), 4);
    for (read, written) in read.iter().zip(&written) {
        assert_eq!(read.request.method, written.request.method);
        assert_eq!(read.request.version, written.request.version);
        assert_eq!(read.request.body, written.request.body);
        let (read, written) = (
            read.response.as_ref().unwrap(),
            written.response.as_ref().unwrap(),
        );
        assert_eq!(read.status, written.status);
        if written.headers.get("content-encoding").is_some() {
            assert_eq!(read.body.to_bytes(), "hello");
            assert_eq!(read.headers.get("content-encoding"), None);
        } else {
            assert_eq!(read.body, written.body);
        }
    }
}

/// Encodes each response with the coding that its path names.
const ENCODE: &str = r#"
def response(flow):
    coding = flow.request.path[1:]
    if coding in ("br", "deflate", "gzip", "zstd"):
        flow.response.encode(coding)
    if coding == "text":
        flow.response.raw_content = b"caf\xe9"
        flow.response.headers["content-type"] = "text/plain; charset=utf-8"
"#;

fn we_read_what_mitmproxy_decodes_and_cannot_decode() {
    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01";

    let folder = tempfile::tempdir().unwrap();
    let (har, again) = (folder.path().join("x.har"), folder.path().join("again.har"));
    let script = folder.path().join("encode.py");
    fs::write(&script, ENCODE).unwrap();
    let codings = ["br", "deflate", "gzip", "zstd", "text", "plain"];
    let exchanges = codings.map(|coding| {
        let request = Request::get(format!("http://example.com/{coding}"));
        let response = Response::builder().header("content-type", "image/png");
        Exchange::new(
            request.body(Bytes::new()).unwrap(),
            response.body(Bytes::from_static(PNG)).unwrap(),
        )
    });
    record(&Har::new(&har), exchanges);
    let option = format!("hardump={}", again.display());
    mitmdump(&[
        Path::new("-r"),
        &har,
        Path::new("-s"),
        &script,
        Path::new("--set"),
        Path::new(&option),
    ]);

    let (read, errors) = replay(&Har::new(&again));
    assert!(errors.is_empty(), "{errors:?}");
    assert_eq!(read.len(), codings.len());
    for (exchange, coding) in read.iter().zip(codings) {
        let response = exchange.response.as_ref().unwrap();
        assert_eq!(response.body.end, BodyEnd::Complete, "{coding}");
        assert_eq!(response.headers.get("content-encoding"), None, "{coding}");
        if coding == "text" {
            assert_eq!(response.body.to_bytes(), "caf\u{fffd}");
        } else {
            assert_eq!(response.body.to_bytes(), PNG, "{coding}");
        }
    }
}
