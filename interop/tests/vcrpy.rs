//! This crate reads the cassettes of `vcrpy` (from `PyPI`).
//!
//! Without `vcrpy`, these tests are reported as ignored.

use std::{
    fs,
    process::{Command, ExitCode},
};

use axum::{Router, routing};
use bytes::Bytes;
use http::HeaderMap;
use libtest_mimic::{Arguments, Trial};
use support::{Server, fields, stores::replay};
use tower_traffic::{BodyEnd, Exchange, store::Vcr};

fn main() -> ExitCode {
    let output = Command::new("python3")
        .args(["-c", "import requests, vcr"])
        .output();
    let is_there = output.is_ok_and(|output| output.status.success());
    if !is_there {
        eprintln!("ignored: `python3 -c 'import vcr'` fails; `pip install vcrpy requests` helps");
    }
    let trial = |name, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
        .with_ignored_flag(!is_there)
    };
    let trials = vec![
        trial("cassettes_in_yaml_are_read", || cassettes_are_read("yaml")),
        trial("cassettes_in_json_are_read", || cassettes_are_read("json")),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Records requests to the origin, with compressed bodies as they are, then decoded.
const SCRIPT: &str = r#"
import io, sys
import requests, vcr

origin, folder, serializer = sys.argv[1:]
for decode in (False, True):
    recorder = vcr.VCR(serializer=serializer, decode_compressed_response=decode)
    with recorder.use_cassette(f"{folder}/{decode}.{serializer}"):
        requests.get(origin + "/text?q=a|b&c=%7C")
        requests.get(origin + "/gzip")
        requests.post(origin + "/echo", data="grüße".encode())
        requests.post(origin + "/echo", data={"a b": "ü&"})
        if serializer == "yaml":
            requests.get(origin + "/png")
            requests.post(origin + "/echo", data=io.BytesIO(b"\xff\x00file"))
        requests.head(origin + "/text")
        requests.get(origin + "/nothing")
"#;

/// `hello`, by `printf hello | gzip -n`.
const GZIP_OF_HELLO: &[u8] =
    b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xcbH\xcd\xc9\xc9\x07\0\x86\xa6\x106\x05\0\0\0";

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";

fn cassettes_are_read(serializer: &str) {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("record.py");
    fs::write(&script, SCRIPT).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::start(origin()));
    let output = Command::new("python3")
        .arg(&script)
        .arg(server.url(""))
        .arg(folder.path())
        .arg(serializer)
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaints}");

    for decoded in ["False", "True"] {
        let path = folder.path().join(format!("{decoded}.{serializer}"));
        let (exchanges, errors) = replay(&Vcr::new(path));
        assert!(errors.is_empty(), "{errors:?}");
        let find = |path: &str| -> Vec<&Exchange> {
            let exchanges = exchanges.iter();
            exchanges
                .filter(|exchange| exchange.request.uri.path() == path)
                .collect()
        };
        let got = |path: &str| {
            let exchanges = find(path);
            let response = exchanges[0].response.as_ref().unwrap();
            assert_eq!(response.body.end, BodyEnd::Complete);
            let coding = response.headers.get("content-encoding").map(<[u8]>::to_vec);
            (response.body.to_bytes(), coding)
        };
        assert_eq!(got("/text").0, "hello");
        assert_eq!(find("/text")[0].request.uri.query(), Some("q=a%7Cb&c=%7C"));
        // The coding is named only where the bytes are in it.
        let (body, coding) = got("/gzip");
        match coding {
            Some(_) => assert_eq!(body, GZIP_OF_HELLO),
            None => assert_eq!(body, "hello"),
        }
        assert_eq!(got("/nothing").0, "");
        let sent = |number: usize| find("/echo")[number].request.body.clone();
        assert_eq!(sent(0).to_bytes(), "grüße");
        assert_eq!(sent(1).to_bytes(), "a+b=%C3%BC%26");
        if serializer == "yaml" {
            assert_eq!(got("/png").0, PNG);
            // The file object is stored, or its content.
            let file = sent(2);
            assert!(file.end == BodyEnd::Limit || file.to_bytes() == b"\xff\0file"[..]);
        }
    }
}

fn origin() -> Router {
    let coded = |coding, body: &'static [u8]| {
        let headers: HeaderMap = fields([("content-encoding", coding)]);
        routing::get(async move || (headers, Bytes::from_static(body)))
    };
    Router::new()
        .route("/text", routing::get(async || "hello"))
        .route("/gzip", coded("gzip", GZIP_OF_HELLO))
        .route("/png", routing::get(async || Bytes::from_static(PNG)))
        .route("/nothing", routing::get(async || ""))
        .route("/echo", routing::post(async |body: Bytes| body))
}
