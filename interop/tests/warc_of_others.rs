//! This crate reads the WARC files of GNU Wget and of `warcio`'s `capture_http`.
//!
//! Without `wget` or `warcio`, these tests are reported as ignored.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    thread,
};

use bytes::Bytes;
use flate2::{Compression as Level, write::GzEncoder};
use futures::executor::block_on;
use http::{Method, Request};
use libtest_mimic::{Arguments, Trial};
use support::stores::{files, find, replay, report};
use tower_traffic::{
    BodyEnd, Exchange, RecordedResponse,
    store::{self, Disk, Source, Which},
};

fn main() -> ExitCode {
    let runs = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).output();
        let is_there = output.is_ok_and(|output| output.status.success());
        if !is_there {
            eprintln!(
                "ignored: `{program} {}` does not run here",
                arguments.join(" ")
            );
        }
        is_there
    };
    let trial = |name, is_there: bool, test: fn()| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
        .with_ignored_flag(!is_there)
    };
    let wget = runs("wget", &["--version"]);
    let warcio = runs("python3", &["-c", "import warcio"]);
    let trials = vec![
        trial("files_of_wget_answer", wget, files_of_wget_answer),
        trial(
            "a_file_of_wget_without_duplicates_answers",
            wget,
            a_file_of_wget_without_duplicates_answers,
        ),
        trial(
            "a_response_that_wget_saw_cut_never_answers",
            wget,
            a_response_that_wget_saw_cut_never_answers,
        ),
        trial("files_of_warcio_answer", warcio, files_of_warcio_answer),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// Starts a server whose responses are bytes by path. Returns its address.
fn origin() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client may hang up.
            let _ = respond(stream);
        }
    });
    address
}

fn respond(stream: TcpStream) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut start, mut length) = (String::new(), 0);
    reader.read_line(&mut start)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim().to_ascii_lowercase();
        if line.is_empty() {
            break;
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    reader.by_ref().take(length).read_to_end(&mut Vec::new())?;
    let path = start.split(' ').nth(1).unwrap_or_default().to_owned();
    reader.get_mut().write_all(&response(&path))
}

const CONTENT: &str = "hello, world";

fn response(path: &str) -> Vec<u8> {
    let length = CONTENT.len();
    let (head, content): (String, Vec<u8>) = match path {
        "/chunked" => (
            "Transfer-Encoding: chunked".to_owned(),
            b"7;a=b\r\nhello, \r\n5\r\nworld\r\n0\r\n\r\n".to_vec(),
        ),
        "/gzip" => {
            let content = gzip();
            (
                format!(
                    "Content-Encoding: gzip\r\nContent-Length: {}",
                    content.len()
                ),
                content,
            )
        }
        "/cut" => ("Content-Length: 50".to_owned(), CONTENT.into()),
        "/odd" => (
            format!("X-Folded: a\r\n b\r\nX-Blank : c\r\nContent-Length: {length}"),
            CONTENT.into(),
        ),
        "/redirect" => {
            return b"HTTP/1.1 302 Found\r\nLocation: /plain\r\nContent-Length: 0\r\n\
                Connection: close\r\n\r\n"
                .to_vec();
        }
        "/until-close" => ("X: y".to_owned(), CONTENT.into()),
        _ => (format!("Content-Length: {length}"), CONTENT.into()),
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n{head}\r\n\r\n"
    );
    [head.as_bytes(), &content].concat()
}

fn gzip() -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Level::default());
    encoder.write_all(CONTENT.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

const PATHS: [&str; 7] = [
    "/plain",
    "/chunked",
    "/gzip",
    "/odd",
    "/until-close",
    "/redirect",
    "/plain?a=b",
];

/// Runs `wget`, which writes `{name}.warc` or `{name}.warc.gz`. Returns that file.
fn wget(folder: &Path, name: &str, options: &[&str], urls: &[String]) -> PathBuf {
    let output = Command::new("wget")
        .args([
            "--no-config",
            "--tries=1",
            "--timeout=20",
            "--no-warc-keep-log",
            "-O",
            "/dev/null",
        ])
        .arg(format!("--warc-file={}", folder.join(name).display()))
        .args(options)
        .args(urls)
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let file = files(folder).into_iter().find(|file| {
        let file = file.file_name().unwrap().to_string_lossy();
        file == format!("{name}.warc") || file == format!("{name}.warc.gz")
    });
    file.unwrap_or_else(|| panic!("no file: {log}"))
}

/// Reads a file without damage.
fn exchanges(file: &Path) -> Vec<Exchange> {
    let recording = block_on(store::open(file)).unwrap();
    let (exchanges, errors) = replay(&recording);
    assert!(errors.is_empty(), "{errors:?}");
    exchanges
}

/// Asserts that a request for each path of the origin is answered.
fn assert_answers(source: &impl Source, origin: &str) {
    for path in PATHS {
        let answer = answer(source, &format!("http://{origin}{path}"));
        let answer = answer.unwrap_or_else(|| panic!("{path} is not recorded"));
        assert_eq!(answer.headers.get("transfer-encoding"), None, "{path}");
        let expected = match path {
            "/gzip" => gzip(),
            "/redirect" => Vec::new(),
            _ => CONTENT.into(),
        };
        assert_eq!(answer.body.to_bytes(), expected, "{path}");
        if path == "/odd" {
            // Wget replaces each byte of the fold by a blank.
            let folded = answer.headers.get("x-folded").unwrap();
            let folded = str::from_utf8(folded).unwrap();
            assert_eq!(folded.split_whitespace().collect::<Vec<_>>(), ["a", "b"]);
            assert_eq!(answer.headers.get("x-blank"), Some(&b"c"[..]));
        }
    }
}

fn answer(source: &impl Source, uri: &str) -> Option<RecordedResponse> {
    let request = Request::get(uri).body(Bytes::new()).unwrap();
    let key = source.matching().key(&request.into());
    let found = block_on(source.find(key, Which::Latest)).unwrap()?;
    Some(found.response.clone().unwrap())
}

fn files_of_wget_answer() {
    let origin = origin();
    let urls: Vec<_> = PATHS.map(|path| format!("http://{origin}{path}")).into();
    for options in [
        &["--no-warc-compression"][..],
        &[],
        &["--no-warc-compression", "--no-warc-digests"],
    ] {
        let folder = tempfile::tempdir().unwrap();
        let file = wget(folder.path(), "a", options, &urls);
        let recorded = exchanges(&file);
        // Wget follows the redirect.
        assert_eq!(recorded.len(), PATHS.len() + 1);
        for exchange in &recorded {
            assert_eq!(exchange.request.method, Method::GET);
            let response = exchange.response.as_ref().unwrap();
            assert_eq!(response.body.end, BodyEnd::Complete);
        }
        assert_answers(&block_on(store::open(&file)).unwrap(), &origin);
        let disk = Disk::new(folder.path());
        assert_answers(&disk, &origin);
        for exchange in &recorded {
            assert!(find(&disk, exchange).unwrap().is_some());
        }
        let report = report(folder.path());
        assert!(
            report.skipped.is_empty() && report.notes.is_empty(),
            "{report:?}"
        );
    }
}

fn a_file_of_wget_without_duplicates_answers() {
    let origin = origin();
    let urls = [format!("http://{origin}/plain")];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    wget(path, "first", &["--warc-cdx"], &urls);
    let index = format!("--warc-dedup={}", path.join("first.cdx").display());
    let second = wget(path, "second", &["--no-warc-compression", &index], &urls);
    let text = fs::read(&second).unwrap();
    assert!(String::from_utf8_lossy(&text).contains("WARC-Type: revisit"));

    // The content is in the first file.
    let alone = exchanges(&second);
    assert_eq!(alone.len(), 1);
    assert!(matches!(
        alone[0].response.as_ref().unwrap().body.end,
        BodyEnd::Error(_)
    ));
    let recording = block_on(store::open(&second)).unwrap();
    assert_eq!(answer(&recording, &urls[0]), None);
    assert_eq!(block_on(recording.report()).unwrap().notes.len(), 1);

    let (both, errors) = replay(&Disk::new(path));
    assert!(errors.is_empty());
    assert_eq!(both.len(), 2);
    for exchange in both {
        let body = exchange.response.unwrap().body;
        assert_eq!(body, CONTENT.into());
    }
    let found = answer(&Disk::new(path), &urls[0]).unwrap();
    assert_eq!(found.body.to_bytes(), CONTENT);
}

fn a_response_that_wget_saw_cut_never_answers() {
    let origin = origin();
    let urls = [format!("http://{origin}/cut")];
    let folder = tempfile::tempdir().unwrap();
    let file = wget(folder.path(), "a", &["--no-warc-compression"], &urls);
    let recorded = exchanges(&file);
    assert_eq!(recorded.len(), 1);
    let body = &recorded[0].response.as_ref().unwrap().body;
    assert_eq!(body.to_bytes(), CONTENT);
    assert!(matches!(body.end, BodyEnd::Error(_)));
    assert_eq!(answer(&Disk::new(folder.path()), &urls[0]), None);
    assert_eq!(report(folder.path()).notes.len(), 1);
}

fn files_of_warcio_answer() {
    const SCRIPT: &str = "
import sys
from warcio.capture_http import capture_http
import http.client

file, host, *paths = sys.argv[1:]
with capture_http(file):
    for path in paths:
        connection = http.client.HTTPConnection(host)
        connection.request('GET', path)
        connection.getresponse().read()
        connection.close()
    connection = http.client.HTTPConnection(host)
    connection.request('HEAD', '/plain')
    connection.getresponse().read()
    connection.close()
    connection = http.client.HTTPConnection(host)
    connection.request('POST', '/post', 'a=b', {'Content-Type': 'application/x-www-form-urlencoded'})
    connection.getresponse().read()
    connection.close()
";
    let origin = origin();
    for name in ["a.warc", "a.warc.gz"] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        let output = Command::new("python3")
            .args(["-c", SCRIPT])
            .arg(&file)
            .arg(&origin)
            .args(PATHS)
            .output()
            .unwrap();
        let log = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{log}");
        let recorded = exchanges(&file);
        assert_eq!(recorded.len(), PATHS.len() + 2);
        assert_answers(&block_on(store::open(&file)).unwrap(), &origin);
        assert_answers(&Disk::new(folder.path()), &origin);
        let last = &recorded[PATHS.len() + 1];
        assert_eq!(last.request.method, Method::POST);
        assert_eq!(last.request.body.to_bytes(), "a=b");
    }
}
