//! Tests of the command `tower-traffic` as a process.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use interop::s3::TestBucket;
use serde_json::{Value, json};
use support::stores::{exchange, exchange_of, files, record, replay, replay_all};
use tempfile::TempDir;
use tower_traffic::{
    BodyEnd, Exchange, NoResponse,
    store::{Disk, Har},
};

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tower-traffic"));
    command.args(arguments);
    command
}

struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn run(arguments: &[&str]) -> Ran {
    finish(command(arguments))
}

fn finish(mut command: Command) -> Ran {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().unwrap();
    Ran {
        code: status.code().unwrap(),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

/// The standard output of a command that succeeds without output on the standard error.
fn good(arguments: &[&str]) -> String {
    let ran = run(arguments);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    ran.out
}

/// The error message of a command that fails.
fn refused(arguments: &[&str]) -> String {
    let ran = run(arguments);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.err);
    ran.err
}

fn rows(out: &str) -> Vec<Value> {
    out.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// A time on 2026-11-20, in seconds after midnight.
fn at(second: u64) -> SystemTime {
    // 2026-11-20T00:00:00Z
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_132_800 + second)
}

/// One exchange of each kind.
fn kinds() -> Vec<Exchange> {
    let mut exchanges = Vec::new();
    let mut add = |method: Method, uri: &str, status: u16, millis: u64| {
        let request = Request::builder().method(method).uri(uri);
        let request = request
            .header("authorization", "Bearer hunter2")
            .body(Bytes::new())
            .unwrap();
        let response = Response::builder()
            .status(status)
            .header("content-type", "application/json")
            .body(Bytes::from_static(b"{\"name\":\"bob\"}"))
            .unwrap();
        let mut exchange = Exchange::new(request, response);
        exchange.began = at(exchanges.len() as u64);
        exchange.time_to_head = Some(Duration::from_millis(millis));
        exchange.time_to_end = Duration::from_millis(millis);
        exchanges.push(exchange);
    };
    add(Method::GET, "/users/1?token=hunter2", 200, 5);
    add(Method::POST, "/users", 201, 50);
    add(Method::GET, "/missing", 404, 500);
    add(Method::GET, "/broken", 503, 5000);
    add(Method::GET, "/cut", 200, 5);
    add(Method::GET, "/gone", 200, 5);
    add(Method::GET, "/failed", 200, 5);
    for (number, end) in [(4, BodyEnd::Limit), (5, BodyEnd::Dropped)] {
        exchanges[number].response.as_mut().unwrap().body.end = end;
    }
    exchanges[6].response = Err(NoResponse::Failed("refused".to_owned()));
    exchanges[6].time_to_head = None;
    exchanges
}

struct Recorded {
    root: TempDir,
    folder: String,
}

/// A folder with these exchanges.
fn recorded(exchanges: impl Into<Vec<Exchange>>) -> Recorded {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("t");
    record(&Disk::new(&folder), exchanges);
    Recorded {
        folder: folder.to_str().unwrap().to_owned(),
        root,
    }
}

impl Recorded {
    /// The path of another file or folder beside the recording.
    fn place(&self, name: &str) -> String {
        self.root.path().join(name).to_str().unwrap().to_owned()
    }
}

// ---- inspect

#[test]
fn exchanges_are_listed_in_columns_and_in_full_in_a_pipe() {
    let long = format!("/{}", "long/".repeat(100));
    let mut exchanges = kinds();
    exchanges.push(exchange(&long[1..]));
    let recorded = recorded(exchanges);
    let out = good(&["inspect", &recorded.folder]);
    assert!(!out.contains('\u{1b}'), "{out}");
    let lines: Vec<Vec<&str>> = out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        lines[0],
        [
            "#", "TIME", "METHOD", "STATUS", "SENT", "RECEIVED", "HEAD", "END", "ENDED", "URI"
        ]
    );
    let time = "2026-11-20T00:00:00.000Z";
    assert_eq!(
        lines[1],
        [
            "1",
            time,
            "GET",
            "200",
            "0B",
            "14B",
            "5.00ms",
            "5.00ms",
            "ok",
            "/users/1?token=REDACTED"
        ]
    );
    let ended: Vec<_> = lines[1..].iter().map(|line| line[8]).collect();
    assert_eq!(
        ended,
        ["ok", "ok", "ok", "ok", "cut", "gone", "error", "ok"]
    );
    assert_eq!(lines[7][3..7], ["-", "0B", "-", "-"]);
    assert_eq!(lines[8][9], long);
}

#[test]
fn filters_select_exchanges() {
    let recorded = recorded(kinds());
    let numbers = |arguments: &[&str]| -> Vec<u64> {
        let all = [&["inspect", recorded.folder.as_str(), "--json"], arguments].concat();
        rows(&good(&all))
            .iter()
            .map(|row| row["number"].as_u64().unwrap())
            .collect()
    };
    for (arguments, expected) in [
        (&["--method", "post,put"][..], &[2][..]),
        (&["--status", "404"], &[3]),
        (&["--status", "5xx,none"], &[4, 7]),
        (&["--status", "200-299"], &[1, 2, 5, 6]),
        (&["--uri", "/users"], &[1, 2]),
        (&["--uri", "/users/1?token="], &[1]),
        (&["--uri", "^/[gf]"], &[6, 7]),
        (&["--since", "2026-11-20T00:00:05Z"], &[6, 7]),
        (&["--until", "2026-11-20 00:00:01"], &[1]),
        (&["--since", "2026-11-21"], &[]),
        (&["--ended", "limit,client-gone"], &[5, 6]),
        (&["--ended", "error"], &[7]),
        (&["--slower-than", "100ms"], &[3, 4]),
        (&["--limit", "2"], &[1, 2]),
        (
            &["--status", "2xx", "--method", "get", "--limit", "2"],
            &[1, 5],
        ),
    ] {
        assert_eq!(numbers(arguments), expected, "{arguments:?}");
    }
}

#[test]
fn json_has_every_field() {
    let recorded = recorded(kinds());
    let rows = rows(&good(&["inspect", &recorded.folder, "--json"]));
    assert_eq!(
        rows[0],
        json!({
            "number": 1,
            "began": "2026-11-20T00:00:00.000000000Z",
            "method": "GET",
            "uri": "/users/1?token=REDACTED",
            "version": "HTTP/1.1",
            "status": 200,
            "request_bytes": 0,
            "response_bytes": 14,
            "time_to_head_ms": 5.0,
            "time_to_end_ms": 5.0,
            "ended": "complete",
            "error": null,
        })
    );
    let failed = &rows[6];
    assert_eq!(
        json!([failed["status"], failed["ended"], failed["error"]]),
        json!([null, "error", "refused"])
    );
}

#[test]
fn one_exchange_is_shown_whole() {
    let recorded = recorded(kinds());
    let out = good(&["inspect", &recorded.folder, "--show", "2"]);
    for part in [
        "#2 > POST /users HTTP/1.1\n",
        "authorization: REDACTED\n",
        "#2 < HTTP/1.1 201 Created (50.0 ms)\n",
        "\n    {\n      \"name\": \"bob\"\n    }\n",
    ] {
        assert!(out.contains(part), "{part:?} in {out}");
    }
    let out = good(&["inspect", &recorded.folder, "--show", "5"]);
    assert!(out.contains("only the beginning was recorded"), "{out}");
    let out = good(&["inspect", &recorded.folder, "--show", "2", "--json"]);
    assert_eq!(rows(&out)[0]["response"]["body"], "{\"name\":\"bob\"}");
    assert_eq!(
        rows(&out)[0]["request"]["headers"],
        json!([["authorization", "REDACTED"]])
    );
    let error = refused(&["inspect", &recorded.folder, "--show", "8"]);
    assert_eq!(
        error,
        "error: invalid number 8: the recording has 7 exchanges\n"
    );
}

#[test]
fn secrets_are_shown_only_when_asked_for() {
    let recorded = recorded(kinds());
    for arguments in [
        &["--json"][..],
        &[],
        &["--show", "1"],
        &["--show", "1", "--json"],
    ] {
        let arguments = [&["inspect", recorded.folder.as_str()], arguments].concat();
        let out = good(&arguments);
        assert!(!out.contains("hunter2"), "{out}");
        let out = good(&[&arguments[..], &["--no-redact"]].concat());
        assert!(out.contains("hunter2"), "{out}");
    }
}

#[test]
fn terminal_control_characters_are_escaped() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("x.har");
    let entry = json!({
        "startedDateTime": "2026-11-20T00:00:00Z",
        "request": {"method": "GET", "url": "http://example.com/\u{202e}\u{9b}2J"},
        "response": {"status": 200, "content": {"text": "\u{1b}[2J"}},
    });
    let bad = json!({"request": {"method": "GET", "url": "x\u{1b}]0;title\u{7}:"}});
    fs::write(&path, json!({"log": {"entries": [entry, bad]}}).to_string()).unwrap();
    let path = path.to_str().unwrap();
    let missing = "missing\u{1b}[2J";
    for arguments in [
        &["inspect", missing][..],
        &["inspect", path],
        &["inspect", path, "--show", "1"],
        &["verify", path],
    ] {
        let ran = run(arguments);
        let all = ran.out + &ran.err;
        let is_odd = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(!all.contains(is_odd), "{all:?}");
    }
}

#[test]
fn a_closed_pipe_ends_the_command_quietly() {
    let recorded = recorded(
        (0..5000)
            .map(|n| exchange(&n.to_string()))
            .collect::<Vec<_>>(),
    );
    let mut child = command(&["inspect", &recorded.folder])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut [0; 100]).unwrap();
    drop(out);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn an_impossible_command_fails_with_the_reason() {
    let root = tempfile::tempdir().unwrap();
    let missing = root.path().join("missing");
    let missing = missing.to_str().unwrap();
    for command in ["inspect", "verify"] {
        let error = refused(&[command, missing]);
        assert_eq!(
            error,
            format!(
                "error: {missing}: recording not found: record one first, or correct the path\n"
            )
        );
    }
    assert!(
        refused(&["inspect", "Cargo.toml"])
            .contains("Cargo.toml: expected a folder, a WARC, a HAR or a VCR cassette, found")
    );
    assert!(refused(&["inspect", missing, "--status", "7"]).contains("5xx"));
    assert!(refused(&["inspect", missing, "--since", "soon"]).contains("2026-11-20"));
    assert!(refused(&["inspect", missing, "--slower-than", "x"]).contains("100ms"));
    assert!(refused(&["nonsense"]).contains("Usage"));
}

// ---- verify and damage

#[test]
fn a_good_recording_is_good() {
    let recorded = recorded(kinds());
    let out = good(&["verify", &recorded.folder]);
    assert_eq!(out, "folder: 7 exchanges, all good\n");
    let out = good(&["verify", &recorded.folder, "--json"]);
    assert_eq!(rows(&out), [json!({"exchanges": 7, "damaged": 0})]);
}

/// Changes a byte of a recorded body.
fn damage(folder: &str) -> (PathBuf, usize) {
    let file = files(Path::new(folder)).remove(0);
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes
        .windows(3)
        .position(|window| window == b"bob")
        .unwrap();
    bytes[at] = b'B';
    fs::write(&file, &bytes).unwrap();
    let before = &bytes[..at];
    let mark = b"WARC/1.1\r\nWARC-Type: request";
    let start = before
        .windows(mark.len())
        .rposition(|window| window == mark);
    (file, start.unwrap())
}

#[test]
fn damage_is_reported_with_its_location() {
    let recorded = recorded(kinds());
    let (file, offset) = damage(&recorded.folder);
    let ran = run(&["verify", &recorded.folder]);
    let expected = format!(
        "damaged: {}: at byte {offset}: damaged response: wrong checksum; the record is skipped\n\
         folder: 6 exchanges are good, 1 part is damaged\n",
        file.display()
    );
    assert_eq!((ran.code, ran.out), (1, expected));

    let ran = run(&["inspect", &recorded.folder, "--json"]);
    assert_eq!((ran.code, rows(&ran.out).len()), (1, 6));
    assert!(ran.err.starts_with("damaged: "), "{}", ran.err);

    let to = recorded.place("x.har");
    let ran = run(&["convert", &recorded.folder, &to]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.starts_with("damaged, left out: "), "{}", ran.err);
    assert_eq!(replay(&Har::new(&to)).0.len(), 6);
}

#[test]
fn a_torn_file_is_reported_and_unchanged() {
    let recorded = recorded(kinds());
    let file = files(Path::new(&recorded.folder)).remove(0);
    let whole = fs::read(&file).unwrap();
    let torn = &whole[..whole.len() - 10];
    fs::write(&file, torn).unwrap();
    for location in [file.to_str().unwrap(), &recorded.folder] {
        let ran = run(&["verify", location]);
        assert_eq!(ran.code, 1);
        let reported = "the file ends within this exchange";
        assert!(ran.out.contains(reported), "{}", ran.out);
        assert_eq!(run(&["inspect", location]).code, 1);
    }
    assert_eq!(files(Path::new(&recorded.folder)).len(), 1);
    assert_eq!(fs::read(&file).unwrap(), torn);
}

#[test]
fn changed_values_are_noted() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("x.har");
    let entry = json!({
        "startedDateTime": "2026-11-20T00:00:00Z",
        "request": {"method": "GET", "url": "http://a/", "headers": [{"name": "a b", "value": "c"}]},
        "response": {"status": 204},
    });
    fs::write(
        &path,
        json!({"log": {"entries": [entry, entry]}}).to_string(),
    )
    .unwrap();
    let out = good(&["verify", path.to_str().unwrap()]);
    let expected = "note: $.log.entries[0].request.headers[0]: invalid header name \"a b\"; the header is left out \
        (and in one other place)\nHAR: 2 exchanges, all good\n";
    assert_eq!(out, expected);
}

// ---- convert

/// The exchanges as a recorder stores them.
fn redacted(mut exchanges: Vec<Exchange>) -> Vec<Exchange> {
    for exchange in &mut exchanges {
        tower_traffic::Redact::default().exchange(exchange);
    }
    exchanges
}

#[test]
fn a_recording_survives_conversion_through_every_format() {
    let recorded = recorded(kinds());
    let mut from = recorded.folder.clone();
    for name in ["x.har", "x.warc", "y.har", "x.warc.gz", "folder"] {
        let to = recorded.place(name);
        assert_eq!(good(&["convert", &from, &to]), "");
        from = to;
    }
    let zstd = recorded.place("zstd");
    good(&["convert", &from, &zstd, "--to", "warc.zst"]);
    assert_eq!(replay_all(&zstd), redacted(kinds()));
    let error = refused(&["convert", &from, &recorded.place("x.warc.zst")]);
    assert!(error.contains("give a folder"), "{error}");
    // No temporary files are left.
    assert_eq!(files(recorded.root.path()).len(), 7);
    assert!(
        fs::read(recorded.place("x.warc.gz"))
            .unwrap()
            .starts_with(&[0x1f, 0x8b])
    );
}

#[test]
fn a_conversion_reports_what_it_changes_and_leaves_out() {
    let root = tempfile::tempdir().unwrap();
    let har = root.path().join("x.har");
    let entry = |url: &str, content: Value| {
        json!({
            "startedDateTime": "2026-11-20T00:00:00Z",
            "request": {"method": "GET", "url": url},
            "response": {"status": 200, "content": content},
        })
    };
    let entries = [
        entry("data:text/plain,x", json!({"text": "x"})),
        entry("http://a/", json!({"size": -1})),
        entry("http://a/", json!({"text": "x"})),
    ];
    fs::write(&har, json!({"log": {"entries": entries}}).to_string()).unwrap();
    let to = root.path().join("x.warc");
    let ran = run(&["convert", har.to_str().unwrap(), to.to_str().unwrap()]);
    let expected = "note: $.log.entries[0].request.url: the scheme \"data\" is not that of HTTP; the \
        entry is left out\n\
        note: $.log.entries[1].response.content: missing content; the body is incomplete, and the \
        exchange never answers\n";
    assert_eq!((ran.code, ran.err.as_str()), (0, expected));
    let rows = rows(&good(&["inspect", to.to_str().unwrap(), "--json"]));
    let ended: Vec<_> = rows
        .iter()
        .map(|row| row["ended"].as_str().unwrap())
        .collect();
    assert_eq!(ended, ["limit", "complete"]);
}

#[test]
fn fixtures_keep_answerable_exchanges_and_report_the_rest() {
    let mut exchanges = kinds();
    exchanges.push(exchanges[0].clone());
    let recorded = recorded(exchanges);
    let to = recorded.place("fixtures");
    let ran = run(&["convert", &recorded.folder, &to, "--to", "fixtures"]);
    let expected = "left out: 3 exchanges without a whole request and response\n\
        left out: 1 exchange followed by another of the same request\n";
    assert_eq!((ran.code, ran.err.as_str()), (0, expected));
    let rows = rows(&good(&["inspect", &to, "--json"]));
    let mut uris: Vec<_> = rows
        .iter()
        .map(|row| row["uri"].as_str().unwrap())
        .collect();
    uris.sort_unstable();
    assert_eq!(
        uris,
        ["/broken", "/missing", "/users", "/users/1?token=REDACTED"]
    );
}

/// Runs the command with the variables of AWS.
fn run_in(place: &TestBucket, arguments: &[&str]) -> Ran {
    let mut command = command(arguments);
    command
        .env("AWS_ENDPOINT_URL", &place.endpoint)
        .env("AWS_REGION", &place.region)
        .env("AWS_ACCESS_KEY_ID", &place.access_key)
        .env("AWS_SECRET_ACCESS_KEY", &place.secret_key);
    finish(command)
}

#[test]
fn s3_is_written_to_and_read_from() {
    let place = TestBucket::new();
    let recorded = recorded(kinds());
    let at = format!("s3://{}/{}", place.name, place.prefix);
    let nothing = run_in(&place, &["inspect", &at]);
    assert_eq!(nothing.code, 2);
    assert!(
        nothing.err.contains("recording not found"),
        "{}",
        nothing.err
    );

    let ran = run_in(&place, &["convert", &recorded.folder, &at]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let ran = run_in(&place, &["verify", &at]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (0, "S3: 7 exchanges, all good\n")
    );
    let ran = run_in(&place, &["inspect", &at, "--json", "--status", "404"]);
    assert_eq!(rows(&ran.out)[0]["number"], 3);

    let ran = run_in(&place, &["convert", &recorded.folder, &at]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("--force to add to it"), "{}", ran.err);
    let ran = run_in(&place, &["convert", &recorded.folder, &at, "--force"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let back = recorded.place("back.har");
    let ran = run_in(&place, &["convert", &at, &back]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let read = replay(&Har::new(&back)).0;
    assert_eq!(read[..7], redacted(kinds()));
    assert_eq!(read[7..], redacted(kinds()));
}

#[test]
fn json_cannot_steer_a_terminal() {
    let text = "\u{1b}[2J\u{9b}31m\u{202e}\u{7f}b\u{e9}";
    let shown = exchange_of("a", text);
    let recorded = recorded([shown]);
    let out = good(&["inspect", &recorded.folder, "--show", "1", "--json"]);
    assert_eq!(rows(&out)[0]["response"]["body"], text);
    let out = out.trim_end();
    assert!(
        !out.contains(|c: char| c.is_control() || c == '\u{202e}'),
        "{out:?}"
    );
    assert!(out.contains('\u{e9}'), "{out}");
}

#[test]
fn mistakes_in_a_har_are_reported_as_sentences() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("x.har");
    let har = file.to_str().unwrap();
    for (content, says) in [
        ("{\"log\": {}}", "$.log.entries: missing a list of entries"),
        (
            "{\"x\": {}, \"entries\": []}",
            "$.log: missing an object with `entries`",
        ),
        (
            "{\"log\": {\"entries\": [{}, {\"request\": {\"method\": \"GET\", \
             \"url\": \"http://h/\"}, \"response\": {\"status\": 200}}]}}",
            "HAR: 1 exchange is good, 1 part is damaged",
        ),
    ] {
        fs::write(&file, content).unwrap();
        let ran = run(&["verify", har]);
        assert_eq!(ran.code, 1);
        assert!(ran.out.contains(says), "{}", ran.out);
    }
}

#[test]
fn an_unreadable_bucket_is_reported() {
    let place = TestBucket::new();
    let ran = run_in(&place, &["verify", "s3://no-such-bucket/prefix"]);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{}", ran.err);
    assert!(ran.err.contains("s3://no-such-bucket/"), "{}", ran.err);
    assert!(!ran.err.contains(&place.secret_key));
}

#[test]
fn secrets_are_carried_over_only_when_asked_for() {
    let recorded = recorded(kinds());
    let (with, without) = (recorded.place("with"), recorded.place("without"));
    good(&["convert", &recorded.folder, &without]);
    good(&["convert", &recorded.folder, &with, "--no-redact"]);
    assert_eq!(replay_all(&with), kinds());
    assert_eq!(replay_all(&without), redacted(kinds()));
}

#[test]
fn existing_files_are_overwritten_only_with_force() {
    let recorded = recorded([exchange("a")]);
    for name in ["x.har", "x.warc", "folder"] {
        let to = recorded.place(name);
        good(&["convert", &recorded.folder, &to]);
        let error = refused(&["convert", &recorded.folder, &to]);
        assert!(error.contains("--force"), "{error}");
        good(&["convert", &recorded.folder, &to, "--force"]);
    }
    // The target can be the source, which is read to its end first.
    good(&["convert", &recorded.folder, &recorded.folder, "--force"]);
    assert_eq!(replay_all(&recorded.folder).len(), 1);
    assert_eq!(files(recorded.root.path()).len(), 4);
}

#[test]
fn a_folder_with_other_files_is_not_replaced() {
    let recorded = recorded([exchange("a")]);
    let to = recorded.place("to");
    good(&["convert", &recorded.folder, &to, "--to", "fixtures"]);
    let within = Path::new(&to).join("notes");
    fs::create_dir(&within).unwrap();
    for name in [".gitattributes", "README.md"] {
        let other = within.join(name);
        fs::write(&other, "mine").unwrap();
        let error = refused(&["convert", &recorded.folder, &to, "--force"]);
        assert!(error.contains(other.to_str().unwrap()), "{error}");
        assert_eq!(fs::read_to_string(&other).unwrap(), "mine");
        fs::remove_file(&other).unwrap();
    }
    good(&["convert", &recorded.folder, &to, "--force"]);
    assert!(!within.exists());
}

#[test]
fn a_failed_conversion_leaves_no_files() {
    let recorded = recorded([exchange("a")]);
    let missing = recorded.place("missing");
    let to = recorded.place("x.har");
    refused(&["convert", &missing, &to]);
    refused(&[
        "convert",
        &recorded.folder,
        &recorded.place("no/such/../../folder/x/y.har/.."),
    ]);
    let error = refused(&["convert", &recorded.folder, &to, "--to", "warc"]);
    assert!(error.contains("the name implies another format"), "{error}");
    assert_eq!(files(recorded.root.path()).len(), 1);

    let empty = recorded.place("empty.har");
    fs::write(&empty, "{\"log\": {\"entries\": []}}").unwrap();
    let ran = run(&["convert", &empty, &to]);
    assert_eq!(ran.code, 0);
    assert!(ran.err.contains("nothing is written"), "{}", ran.err);
    assert!(!Path::new(&to).exists());
}

/// A URI, headers, and the media type and text of a body.
type Planted<'a> = (&'a str, Vec<(&'a str, String)>, Option<(&'a str, String)>);

/// A HAR with one entry for each request; the response has the same headers.
fn har_of(requests: &[Planted<'_>]) -> String {
    let entries = requests.iter().map(|(url, headers, body)| {
        let content_type = body.iter().map(|(kind, _)| ("content-type", *kind));
        let headers = headers.iter().map(|(name, value)| (*name, value.as_str()));
        let headers: Vec<_> = headers
            .chain(content_type)
            .map(|(name, value)| json!({"name": name, "value": value}))
            .collect();
        let mut request = json!({
            "method": "POST", "url": url, "httpVersion": "HTTP/1.1", "headers": headers,
            "queryString": [], "cookies": [], "headersSize": -1, "bodySize": 0,
        });
        if let Some((content_type, text)) = body {
            request["postData"] = json!({"mimeType": content_type, "text": text});
        }
        json!({
            "startedDateTime": "2026-01-01T00:00:00Z", "time": 1, "request": request,
            "response": {
                "status": 200, "statusText": "", "httpVersion": "HTTP/1.1", "headers": headers,
                "cookies": [], "content": {"size": 0, "mimeType": "", "text": ""},
                "redirectURL": "", "headersSize": -1, "bodySize": 0,
            },
            "cache": {}, "timings": {"send": 0, "wait": 0, "receive": 0},
        })
    });
    let entries: Vec<_> = entries.collect();
    json!({"log": {"version": "1.2", "creator": {"name": "x", "version": "1"}, "entries": entries}})
        .to_string()
}

/// The bytes of a file, or of all files in a folder.
fn everything(path: &Path) -> Vec<u8> {
    if path.is_dir() {
        let items = fs::read_dir(path).unwrap();
        return items
            .flat_map(|item| everything(&item.unwrap().path()))
            .collect();
    }
    fs::read(path).unwrap()
}

#[expect(clippy::too_many_lines, reason = "a list")]
#[test]
fn no_planted_secret_survives_a_conversion() {
    const SECRET: &str = "hunter2SECRET";
    const FORM: &str = "application/x-www-form-urlencoded";
    let folder = TempDir::new().unwrap();
    let headers = [
        "private-token",
        "apikey",
        "x-apikey",
        "x-api-token",
        "x-token",
        "token",
        "x-session-token",
        "x-refresh-token",
        "x-id-token",
        "x-gitlab-token",
        "x-github-token",
        "x-shopify-access-token",
        "x-plex-token",
        "x-auth-key",
        "x-auth",
        "dd-api-key",
        "xi-api-key",
        "anthropic-api-key",
        "x-rapidapi-key",
        "ocp-apim-subscription-key",
        "x-functions-key",
        "cf-access-client-secret",
        "cf-access-jwt-assertion",
        "x-goog-iap-jwt-assertion",
        "x-amzn-oidc-data",
        "dpop",
        "set-cookie2",
        "x-amz-server-side-encryption-customer-key",
    ];
    let uri_headers = [
        "location",
        "referer",
        "x-original-uri",
        "x-forwarded-url",
        "x-request-uri",
        "x-envoy-original-path",
        "destination",
        "hx-current-url",
        "hx-redirect",
    ];
    let uris = [
        "oauth_token=S",
        "access-token=S",
        "bearer=S",
        "ticket=S",
        "passphrase=S",
        "client_assertion=S",
        "assertion=S",
        "code_verifier=S",
        "device_code=S",
        "SAMLResponse=S",
        "token[0]=S",
        "a.token=S",
        "b=1;token=S",
        "%20token=S",
        "next=/x?token=S",
        "next=%2Fx%3Ftoken%3Dhunter2SECRET",
    ]
    .map(|query| format!("http://h/a?{}", query.replace("=S", &format!("={SECRET}"))));
    let mut requests: Vec<Planted<'_>> = Vec::new();
    for name in headers {
        requests.push(("http://h/a", vec![(name, SECRET.to_owned())], None));
    }
    for name in uri_headers {
        for value in [
            "/a?x=\u{a0}&token=S",
            "https://h/#!access_token=S",
            "https://u:S@h/",
        ] {
            requests.push(("http://h/a", vec![(name, value.replace('S', SECRET))], None));
        }
    }
    for uri in &uris {
        requests.push((uri, Vec::new(), None));
    }
    for (content_type, body) in [
        (FORM, "{\"&password=S"),
        (FORM, "a=1&password=S"),
        ("application/octet-stream", "{\"password\":\"S\"}"),
        ("text/html", "{\"password\":\"S\"}"),
        ("text/javascript", "{\"password\":\"S\"}"),
        ("application/x-amz-json-1.1", "{\"api-key\":\"S\"}"),
        ("application/csp-report", "{\"access-token\":[\"S\"]}"),
        (
            "application/json",
            "{\"newPassword\":{\"a\":\"S\"},\"privateKey\":\"S\"}",
        ),
    ] {
        requests.push((
            "http://h/a",
            Vec::new(),
            Some((content_type, body.replace('S', SECRET))),
        ));
    }
    let from = folder.path().join("planted.har");
    fs::write(&from, har_of(&requests)).unwrap();
    let from = from.to_str().unwrap();
    for (name, options) in [
        ("a.har", &[][..]),
        ("a.warc", &[]),
        ("folder", &[]),
        ("fixtures", &["--to", "fixtures"]),
    ] {
        let to = folder.path().join(name);
        let arguments = [&["convert", from, to.to_str().unwrap()], options].concat();
        assert_eq!(run(&arguments).code, 0);
        let bytes = everything(&to);
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("REDACTED"), "{name}");
        let kept: Vec<_> = text.lines().filter(|line| line.contains(SECRET)).collect();
        assert!(kept.is_empty(), "{name}: {kept:?}");
    }
    let shown = run(&["inspect", from, "--json", "--show", "1"]).out;
    assert!(!shown.contains(SECRET), "{shown}");
}

#[cfg(unix)]
#[test]
fn converted_files_are_private_unless_they_are_shared() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    let from = folder.path().join("from.har");
    fs::write(&from, har_of(&[("http://h/a", Vec::new(), None)])).unwrap();
    let from = from.to_str().unwrap();
    let mode = |name: &str| {
        let found = fs::metadata(folder.path().join(name)).unwrap();
        found.permissions().mode() & 0o777
    };
    // The umask decides about this one.
    let probe = mode("from.har");
    for name in ["a.har", "a.warc", "a.warc.gz"] {
        let to = folder.path().join(name);
        let to = to.to_str().unwrap();
        good(&["convert", from, to]);
        assert_eq!(mode(name), 0o600, "{name}");
        good(&["convert", from, to, "--force", "--shared"]);
        assert_eq!(mode(name), probe, "{name}");
    }
    for format in ["warc", "fixtures"] {
        let to = folder.path().join(format);
        good(&["convert", from, to.to_str().unwrap(), "--to", format]);
        assert_eq!(mode(format), 0o700, "{format}");
    }
}

// ---- names, words and bodies

#[test]
fn a_name_of_another_format_is_refused() {
    let recorded = recorded([exchange("a")]);
    for name in [
        "y.json", "y.yaml", "y.har.gz", "y.zip", "y.tar.gz", "y.mine",
    ] {
        let to = recorded.place(name);
        let error = refused(&["convert", &recorded.folder, &to]);
        assert!(error.contains("NAME.har"), "{error}");
        assert!(!Path::new(&to).exists(), "{to}");
    }
    for format in ["warc", "warc.gz", "warc.zst", "fixtures"] {
        let to = recorded.place("z.json");
        refused(&["convert", &recorded.folder, &to, "--to", format]);
        assert!(!Path::new(&to).exists(), "{to}");
    }
    // HAR is JSON.
    let har = recorded.place("h.json");
    good(&["convert", &recorded.folder, &har, "--to", "har"]);
    assert_eq!(replay(&Har::new(&har)).0.len(), 1);
    for (name, options) in [
        ("folder", &[][..]),
        ("v1.2", &[]),
        ("with.dot/", &[]),
        ("my.app", &["--to", "warc"]),
        (".hidden", &[]),
    ] {
        let to = recorded.place(name);
        good(&[&["convert", recorded.folder.as_str(), to.as_str()], options].concat());
        assert!(Path::new(&to).is_dir(), "{to}");
    }
}

#[test]
fn the_words_of_the_list_are_those_of_the_filter() {
    let recorded = recorded(kinds());
    for (word, old, numbers) in [
        ("ok", "complete", vec![1, 2, 3, 4]),
        ("cut", "limit", vec![5]),
        ("gone", "client-gone", vec![6]),
        ("error", "error", vec![7]),
    ] {
        for word in [word, old] {
            let out = good(&["inspect", &recorded.folder, "--json", "--ended", word]);
            let found: Vec<_> = rows(&out)
                .iter()
                .map(|row| row["number"].as_u64())
                .collect();
            let expected: Vec<_> = numbers.iter().map(|n| Some(*n)).collect();
            assert_eq!(found, expected, "{word}");
        }
        let out = good(&["inspect", &recorded.folder, "--ended", word]);
        let listed: Vec<_> = out.lines().skip(1).collect();
        assert_eq!(listed.len(), numbers.len());
        assert!(
            listed
                .iter()
                .all(|line| line.contains(&format!(" {word} "))),
            "{out}"
        );
    }
    for status in ["6xx", "0xx", "500-400"] {
        let error = refused(&["inspect", &recorded.folder, "--status", status]);
        assert!(
            error.contains("expected 404, 5xx, 400-499 or none"),
            "{error}"
        );
    }
}

/// An exchange whose response has these headers and this body.
fn answered(headers: &[(&str, &str)], body: impl Into<Bytes>) -> Exchange {
    let mut response = Response::builder();
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    let request = Request::get("/a").body(Bytes::new()).unwrap();
    Exchange::new(request, response.body(body.into()).unwrap())
}

#[test]
fn a_binary_body_is_shown_in_part_and_saved_whole() {
    let content: Vec<u8> = (0..5000_u32).map(|n| (n * 7).to_le_bytes()[0]).collect();
    let binary = answered(&[("content-type", "image/png")], content.clone());
    let recorded = recorded([binary, kinds().remove(6)]);
    let out = good(&["inspect", &recorded.folder, "--show", "1"]);
    assert!(out.lines().count() < 100, "{out}");
    assert!(out.contains("the first 1024 bytes"), "{out}");

    let file = recorded.place("body.png");
    good(&["inspect", &recorded.folder, "--show", "1", "--body", &file]);
    assert_eq!(fs::read(&file).unwrap(), content);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(
            fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
    let error = refused(&["inspect", &recorded.folder, "--show", "1", "--body", &file]);
    assert!(error.contains("already exists"), "{error}");
    let other = recorded.place("other");
    let error = refused(&["inspect", &recorded.folder, "--show", "2", "--body", &other]);
    assert!(error.contains("no response"), "{error}");
    assert!(!Path::new(&other).exists());
    assert!(refused(&["inspect", &recorded.folder, "--body", &other]).contains("--show"));
}

#[test]
fn the_unknown_time_of_a_fixture_is_no_date() {
    let recorded = recorded(kinds());
    let to = recorded.place("fixtures");
    run(&["convert", &recorded.folder, &to, "--to", "fixtures"]);
    for arguments in [
        &[][..],
        &["--show", "1"],
        &["--json"],
        &["--show", "1", "--json"],
    ] {
        let out = good(&[&["inspect", to.as_str()], arguments].concat());
        assert!(!out.contains("1970") && !out.contains("0.00us"), "{out}");
    }
    let out = good(&["inspect", &to]);
    let row: Vec<_> = out.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!([row[1], row[6], row[7]], ["-", "-", "-"], "{out}");
    let rows = rows(&good(&["inspect", &to, "--json"]));
    for field in ["began", "time_to_head_ms", "time_to_end_ms"] {
        assert_eq!(rows[0][field], Value::Null, "{field}");
    }
    assert!(good(&["inspect", &to, "--show", "1"]).contains("unknown time #1 > "));
    for option in ["--since", "--until"] {
        let ran = run(&["inspect", &to, "--json", option, "1970-01-01"]);
        assert_eq!((ran.code, ran.out.as_str()), (0, ""));
    }
}

#[test]
fn a_failure_of_grpc_is_not_a_200() {
    let grpc = |trailer: Option<&str>, header: Option<&str>| {
        let header = header.map(|status| ("grpc-status", status));
        let content_type = ("content-type", "application/grpc+proto");
        let headers: Vec<_> = [content_type].into_iter().chain(header).collect();
        let mut exchange = answered(&headers, "");
        if let Some(status) = trailer {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", status.parse().unwrap());
            exchange.response.as_mut().unwrap().body.trailers = Some((&trailers).into());
        }
        exchange
    };
    let recorded = recorded([
        grpc(Some("0"), None),
        grpc(Some("14"), None),
        grpc(None, Some("5")),
        grpc(None, None),
        exchange("not-grpc"),
    ]);
    let out = good(&["inspect", &recorded.folder]);
    let statuses: Vec<_> = out
        .lines()
        .skip(1)
        .map(|line| line.split_whitespace().nth(3).unwrap())
        .collect();
    assert_eq!(statuses, ["200/0", "200/14", "200/5", "200/-", "200"]);
    let rows = rows(&good(&["inspect", &recorded.folder, "--json"]));
    let statuses: Vec<_> = rows.iter().map(|row| row.get("grpc_status")).collect();
    assert_eq!(
        statuses,
        [
            Some(&json!(0)),
            Some(&json!(14)),
            Some(&json!(5)),
            Some(&Value::Null),
            None
        ]
    );
}
