//! `DiskCache`: the text of entries, editing, and the responses they serve.

use std::{
    collections::{BTreeMap, HashSet},
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures::executor::block_on;
use http::{Request, Response, StatusCode, Version};
use support::stores::{exchange, exchange_of, find, record, replay};
use tempfile::TempDir;
use tower_traffic::{
    BodyEnd, Exchange, HeaderList, Matching, StoreError,
    store::{DiskCache, Sink, Source},
};

// ---- writing

#[test]
fn an_entry_is_two_texts() {
    let fixtures = Fixtures::new();
    let mut asked = asked(
        "POST",
        "http://api.example.com:8080/users/1?full=yes",
        &[
            ("content-type", "text/plain"),
            ("x-twice", "1"),
            ("x-twice", "2"),
        ],
        "who is it?",
    );
    asked.request.version = Version::HTTP_2;
    let asked = answered(
        asked,
        404,
        &[
            ("content-type", "application/json"),
            ("content-length", "27"),
            ("x-empty", ""),
        ],
        "{\"id\":1,\"names\":[\"a\",\"b\"]}\n",
    );
    fixtures.record([asked.clone()]);
    let entry = fixtures.entry();
    let place = entry.strip_prefix(fixtures.path()).unwrap();
    let place = place.to_str().unwrap().replace('\\', "/");
    let key = Matching::new().key(&asked.request).to_string();
    assert_eq!(
        place,
        format!("api.example.com_8080/users/1/POST-{}", &key[..16])
    );
    assert_eq!(
        fixtures.text("request.http"),
        "POST http://api.example.com:8080/users/1?full=yes HTTP/2\n\
         content-type: text/plain\nx-twice: 1\nx-twice: 2\n\nwho is it?\n"
    );
    assert_eq!(
        fixtures.text("response.http"),
        "# @json compact\n# @final-newlines 1\nHTTP/1.1 404 Not Found\n\
         content-type: application/json\ncontent-length: 27\nx-empty:\n\n\
         {\n  \"id\": 1,\n  \"names\": [\n    \"a\",\n    \"b\"\n  ]\n}\n"
    );
    assert_eq!(names(&entry), ["request.http", "response.http"]);
    fixtures.assert_found(&asked);
}

#[test]
fn recording_the_same_twice_gives_the_same_bytes() {
    let fixtures = Fixtures::new();
    let again = Fixtures::new();
    let all = || {
        vec![
            exchange("a"),
            json(r#"{"a":1}"#),
            picture(b"\x89PNG\r\n\x1a\n\0"),
        ]
    };
    fixtures.record(all());
    let before = fixtures.snapshot();
    let mut later = all();
    for exchange in &mut later {
        exchange.began += Duration::from_secs(1000);
        exchange.time_to_end = Duration::from_secs(1);
    }
    again.record(later.clone());
    assert_eq!(again.snapshot(), before);

    // Equal files keep their modification times, so that file watchers stay idle.
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
    for file in before.keys() {
        let file = fs::File::options()
            .write(true)
            .open(fixtures.path().join(file))
            .unwrap();
        file.set_modified(long_ago).unwrap();
    }
    fixtures.record(later);
    for file in before.keys() {
        let metadata = fs::metadata(fixtures.path().join(file)).unwrap();
        assert_eq!(metadata.modified().unwrap(), long_ago, "{file:?}");
    }
    assert_eq!(fixtures.snapshot(), before);
}

#[test]
fn entries_have_no_times() {
    let fixtures = Fixtures::new();
    fixtures.record([exchange("a")]);
    let found = find(&fixtures.open(), &exchange("a")).unwrap().unwrap();
    assert_eq!(found.began, SystemTime::UNIX_EPOCH);
    assert_eq!(
        (found.time_to_head, found.time_to_end),
        (Some(Duration::ZERO), Duration::ZERO)
    );
}

#[test]
fn directives_above_a_text_describe_the_rest() {
    let fixtures = Fixtures::new();
    let mut special = exchange_of("a", "one\r\ntwo\r\n\r\n");
    special.request.method = "#".parse().unwrap();
    special.request.body.end = BodyEnd::Error("reset: 100%\n".to_owned());
    let response = special.response.as_mut().unwrap();
    response.headers = fields(&[("content-length", "7")]);
    response.body.trailers = Some(fields(&[("x-sum", "12"), ("x-sum", "34")]));
    let matching = Matching::new().ignore_body(true);
    record(
        &fixtures.cache().match_by(matching.clone()),
        [special.clone()],
    );
    assert_eq!(
        fixtures.text("response.http"),
        "# @final-newlines 2\n# @line-ends crlf\n# @content-length kept\n\
         # @trailer x-sum: 12\n# @trailer x-sum: 34\nHTTP/1.1 200 OK\ncontent-length: 7\n\n\
         one\ntwo\n"
    );
    assert_eq!(
        fixtures.text("request.http"),
        "# @body-end error reset: 100%25%0A\n# @start-line\n# /a HTTP/1.1\n"
    );
    let found = find(&fixtures.cache().match_by(matching), &special).unwrap();
    assert_eq!(timeless(found.unwrap()), timeless(special));
}

#[test]
fn json_is_indented_only_where_it_can_be_restored() {
    for (body, is_indented) in [
        (r#"{"a":[1,{"b":"x  y"}]}"#, true),
        ("{\"a\":1}\n\n", true),
        (r#"{"a": 1, "b": [1, 2]}"#, false),
        ("{\n\t\"a\":1}", false),
        (r#"{"a":}"#, false),
        ("[]", false),
    ] {
        for indents in [true, false] {
            let fixtures = Fixtures::new();
            record(&fixtures.cache().indent_json(indents), [json(body)]);
            let has_note = fixtures.text("response.http").contains("# @json compact\n");
            assert_eq!(has_note, is_indented && indents, "{body}");
            fixtures.assert_found(&json(body));
        }
    }
}

#[test]
fn binary_bodies_have_files_of_their_own() {
    let bytes = b"\x89PNG\r\n\x1a\n\0\0";
    let fixtures = Fixtures::new();
    fixtures.record([picture(bytes)]);
    let entry = fixtures.entry();
    assert_eq!(names(&entry).len(), 3, "{:?}", names(&entry));
    let body = names(&entry)
        .into_iter()
        .find(|name| name.starts_with("response.body."))
        .unwrap();
    assert!(
        Path::new(&body).extension().is_some_and(|end| end == "png"),
        "{body}"
    );
    assert_eq!(fs::read(entry.join(&body)).unwrap(), bytes);
    assert_eq!(
        fixtures.text("response.http"),
        format!("# @body {body}\nHTTP/1.1 200 OK\ncontent-type: image/png\ncontent-length: 10\n")
    );
    fixtures.assert_found(&picture(bytes));

    // Another picture replaces it.
    fixtures.record([picture(b"\x89PNG\xff")]);
    assert_eq!(names(&entry).len(), 3, "{:?}", names(&entry));
    fixtures.assert_found(&picture(b"\x89PNG\xff"));
    // And text has no file.
    let mut text = picture(b"no picture");
    text.response.as_mut().unwrap().headers = HeaderList::new();
    fixtures.record([text]);
    assert_eq!(names(&entry), ["request.http", "response.http"]);
}

#[test]
fn bodies_that_an_editor_would_change_have_files_of_their_own() {
    for body in [
        &b"caf\xe9"[..],
        b"a\r\nb\nc",
        b"a\rb",
        &[b'\n'; 17],
        b"\0",
        b"\x1b[31m",
    ] {
        for content_type in ["text/plain", "application/octet-stream"] {
            let fixtures = Fixtures::new();
            let it = answered(exchange("a"), 200, &[("content-type", content_type)], body);
            fixtures.record([it.clone()]);
            let has_file = names(&fixtures.entry()).len() == 3;
            let is_text = body == b"\x1b[31m" && content_type == "text/plain";
            assert_eq!(has_file, !is_text, "{body:?}");
            fixtures.assert_found(&it);
        }
    }
}

// ---- compressed bodies

#[test]
fn compressed_bodies_are_stored_and_served_decoded() {
    let text = "the same again, the same again, the same again\n";
    for (coding, content) in compressed(text) {
        let fixtures = Fixtures::new();
        let length = content.len().to_string();
        let recorded = [
            ("vary", "accept-encoding"),
            ("content-encoding", coding),
            ("content-length", &length),
            ("etag", "\"1\""),
        ];
        fixtures.record([answered(exchange("a"), 200, &recorded, content)]);
        assert_eq!(
            fixtures.text("response.http"),
            format!(
                "# decoded: it came with content-encoding: {coding}\n# @final-newlines 1\n\
                 HTTP/1.1 200 OK\nvary: accept-encoding\ncontent-length: 47\netag: \"1\"\n\n{text}"
            )
        );
        let served = [
            ("vary", "accept-encoding"),
            ("content-length", "47"),
            ("etag", "\"1\""),
        ];
        fixtures.assert_found(&answered(exchange("a"), 200, &served, text));
    }
}

#[test]
fn headers_about_encoded_bytes_keep_a_body_compressed() {
    let gzip = &compressed("text")[0].1;
    for (name, value) in [
        ("content-range", "bytes 0-9/100"),
        ("content-digest", "sha-256=:AAAA:"),
        ("repr-digest", "sha-256=:AAAA:"),
        ("content-md5", "AAAA"),
        ("content-length", "9999"),
        ("content-encoding", "aes128gcm"),
    ] {
        let fixtures = Fixtures::new();
        let recorded = [("content-encoding", "gzip"), (name, value)];
        let it = answered(exchange("a"), 200, &recorded, gzip.clone());
        fixtures.record([it.clone()]);
        assert_eq!(names(&fixtures.entry()).len(), 3, "{name}");
        fixtures.assert_found(&it);
    }
}

#[test]
fn a_body_that_cannot_be_decoded_is_unchanged() {
    let mut truncated = compressed_with_gzip();
    truncated.pop();
    for (coding, content) in [
        ("gzip", truncated),
        ("gzip", b"no gzip".to_vec()),
        ("br", b"\x11\xff\xff".to_vec()),
        ("unknown", b"\xff".to_vec()),
        ("gzip", Vec::new()),
    ] {
        let fixtures = Fixtures::new();
        let it = answered(exchange("a"), 200, &[("content-encoding", coding)], content);
        fixtures.record([it.clone()]);
        fixtures.assert_found(&it);
    }
}

#[test]
fn a_bomb_stays_compressed() {
    use std::io::{Read, Write};
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::copy(&mut std::io::repeat(0).take(65 << 20), &mut gzip).unwrap();
    gzip.flush().unwrap();
    let it = answered(
        exchange("a"),
        200,
        &[("content-encoding", "gzip")],
        gzip.finish().unwrap(),
    );
    let fixtures = Fixtures::new();
    fixtures.record([it.clone()]);
    fixtures.assert_found(&it);
}

#[test]
fn exact_keeps_bytes_as_they_came() {
    let gzip = compressed_with_gzip();
    let all = [
        answered(exchange("a"), 200, &[("content-encoding", "gzip")], gzip),
        answered(
            exchange("b"),
            200,
            &[("content-type", "application/json")],
            r#"{"a":1}"#,
        ),
    ];
    let fixtures = Fixtures::new();
    record(&fixtures.cache().exact(true), all.clone());
    for it in &all {
        fixtures.assert_found(it);
    }
    let ends: Vec<_> = fixtures.snapshot().into_keys().collect();
    assert!(
        ends.iter()
            .any(|file| file.extension().is_some_and(|end| end == "gz")),
        "{ends:?}"
    );
    let text = fixtures
        .snapshot()
        .into_values()
        .find(|text| text.ends_with(b"{\"a\":1}\n"));
    assert!(text.is_some(), "{ends:?}");
}

#[test]
fn a_compressed_request_is_found_until_it_is_edited() {
    let fixtures = Fixtures::new();
    let (coding, gzip) = compressed(r#"{"name":"bob"}"#).swap_remove(0);
    let length = gzip.len().to_string();
    let headers = [("content-encoding", coding), ("content-length", &length)];
    let mut it = asked("POST", "/users", &headers, "");
    it.request.body = gzip.into();
    fixtures.record([it.clone()]);
    assert!(
        fixtures
            .text("request.http")
            .contains("{\n  \"name\": \"bob\"\n}\n")
    );
    fixtures.assert_found(&it);
    assert_eq!(
        find(
            &fixtures.open(),
            &asked("POST", "/users", &[], r#"{"name":"bob"}"#)
        )
        .unwrap(),
        None
    );

    fixtures.edit("request.http", "bob", "alice");
    let edited = asked(
        "POST",
        "/users",
        &[("content-length", "16")],
        r#"{"name":"alice"}"#,
    );
    assert_eq!(find(&fixtures.open(), &it).unwrap(), None);
    fixtures.assert_found(&edited);
}

// ---- editing

#[test]
fn an_edited_response_is_served_at_once() {
    let fixtures = Fixtures::new();
    let recorded = answered(exchange("a"), 200, &[("content-length", "5")], "hello");
    fixtures.record([recorded.clone()]);
    let cache = fixtures.open();
    assert_eq!(body(&cache, &recorded), "hello");

    fixtures.edit("response.http", "hello", "goodbye");
    fixtures.edit("response.http", "200 OK", "203 As I like it");
    fixtures.edit(
        "response.http",
        "content-length: 5",
        "Content-Length:   5\nX-New: yes ",
    );
    let served = [("content-length", "7"), ("x-new", "yes")];
    let expected = answered(exchange("a"), 203, &served, "goodbye");
    assert_eq!(
        find(&cache, &recorded).unwrap().map(timeless),
        Some(timeless(expected))
    );
}

#[test]
fn line_ends_of_editors_do_not_matter() {
    let fixtures = Fixtures::new();
    let all = [
        answered(exchange("a"), 200, &[("x-a", "1")], "one\ntwo"),
        answered(exchange("a"), 200, &[("x-a", "1")], "one\ntwo\n"),
        answered(exchange("a"), 200, &[("x-a", "1")], "one\r\ntwo\r\n\r\n"),
        answered(
            exchange("a"),
            200,
            &[("content-type", "text/json")],
            r#"{"a":1}"#,
        ),
        answered(exchange("a"), 200, &[("x-a", "1")], ""),
        answered(exchange("a"), 200, &[], "\n\n"),
    ];
    for it in all {
        fixtures.record([it.clone()]);
        let text = fixtures.text("response.http");
        for saved in [
            text.clone(),
            text.clone() + "\n",
            text.trim_end_matches('\n').to_owned(),
            text.replace('\n', "\r\n"),
            format!("\u{feff}{text}"),
            format!("# A comment.\n\n{text}"),
        ] {
            fs::write(fixtures.entry().join("response.http"), &saved).unwrap();
            fixtures.assert_found(&it);
        }
    }
}

#[test]
fn json_is_served_without_added_white_space() {
    let fixtures = Fixtures::new();
    fixtures.record([json(r#"{"name":"bob"}"#)]);
    fixtures.edit(
        "response.http",
        "\"bob\"",
        "\"alice\",\n      \"at\" : [ 1 ]",
    );
    assert_eq!(
        body(&fixtures.open(), &json("")),
        r#"{"name":"alice","at":[1]}"#
    );
    fixtures.edit("response.http", "# @json compact\n", "");
    fixtures.edit("response.http", "[ 1 ]", "[ 1");
    assert_eq!(
        body(&fixtures.open(), &json("")),
        "{\n  \"name\": \"alice\",\n      \"at\" : [ 1\n}"
    );
}

#[test]
fn an_edited_request_has_the_key_of_its_new_text() {
    let fixtures = Fixtures::new();
    fixtures.record([exchange("a")]);
    fixtures.edit("request.http", "/a", "/b");
    let cache = fixtures.open();
    assert_eq!(find(&cache, &exchange("a")).unwrap(), None);
    assert_eq!(body(&cache, &exchange("b")), "a");

    // A recording of the old request does not replace it.
    record(&cache, [exchange_of("a", "new")]);
    for cache in [cache, fixtures.open()] {
        assert_eq!(body(&cache, &exchange("a")), "new");
        assert_eq!(body(&cache, &exchange("b")), "a");
    }
    // A recording of the same request does, whatever the name of the entry.
    fixtures.record([exchange_of("b", "newer")]);
    assert_eq!(fixtures.entries().len(), 2);
    assert_eq!(body(&fixtures.open(), &exchange("b")), "newer");
}

#[test]
fn an_entry_may_be_written_by_hand() {
    for (request, response, served) in [
        ("GET /a", "HTTP/1.1 200 OK\n\nby hand", "by hand"),
        (
            "GET /a HTTP/1.1\n\n",
            "HTTP/1.1 200\r\nX-Any: 1\r\n\r\nby hand\r\n",
            "by hand",
        ),
        (
            "# The user.\nGET  /a  HTTP/2\nAccept: */*\n\n\n",
            "\n\nHTTP/2 200\n\n\nby\n\nhand\n\n\n",
            "\nby\n\nhand",
        ),
        ("GET /a", "HTTP/1.1 204", ""),
        (
            "GET /a",
            "# @body response.body.txt\nHTTP/1.1 200\n",
            "from\r\na file\n",
        ),
    ] {
        let fixtures = Fixtures::new();
        let entry = fixtures.path().join("any name");
        fs::create_dir(&entry).unwrap();
        fs::write(entry.join("request.http"), request).unwrap();
        fs::write(entry.join("response.http"), response).unwrap();
        fs::write(entry.join("response.body.txt"), "from\r\na file\n").unwrap();
        assert_eq!(
            body(&fixtures.open(), &exchange("a")),
            served,
            "{response:?}"
        );
    }
}

#[test]
fn a_hand_written_answer_to_head_keeps_its_length() {
    let fixtures = Fixtures::new();
    let entry = fixtures.path().join("head");
    fs::create_dir(&entry).unwrap();
    fs::write(entry.join("request.http"), "HEAD /a").unwrap();
    fs::write(
        entry.join("response.http"),
        "HTTP/1.1 200\ncontent-length: 1234\n",
    )
    .unwrap();
    let mut head = exchange("a");
    head.request.method = http::Method::HEAD;
    let found = find(&fixtures.open(), &head).unwrap().unwrap();
    assert_eq!(
        found.response.unwrap().headers.get("content-length"),
        Some(&b"1234"[..])
    );
}

#[test]
fn a_deleted_entry_is_a_miss_and_recorded_anew() {
    for delete in [
        (|entry| fs::remove_dir_all(entry).unwrap()) as fn(PathBuf),
        |entry| fs::remove_file(entry.join("response.http")).unwrap(),
        |entry| fs::remove_file(entry.join("request.http")).unwrap(),
    ] {
        let fixtures = Fixtures::new();
        fixtures.record([exchange("a")]);
        let cache = fixtures.open();
        delete(fixtures.entry());
        assert_eq!(find(&cache, &exchange("a")).unwrap(), None);
        assert!(block_on(cache.is_empty()).unwrap());
        record(&cache, [exchange_of("a", "new")]);
        assert_eq!(body(&cache, &exchange("a")), "new");
        assert_eq!(fixtures.entries().len(), 1);
        let found = block_on(fixtures.open().report()).unwrap();
        assert!(found.skipped.is_empty(), "{found}");
    }
}

#[test]
fn a_folder_answers_by_another_rule() {
    let fixtures = Fixtures::new();
    fixtures.record([exchange("a?nonce=1")]);
    let rule = Matching::new().ignore_query("nonce");
    let cache = fixtures.cache().match_by(rule);
    assert_eq!(body(&cache, &exchange("a?nonce=2")), "a?nonce=1");
    // A request with the same key by that rule replaces the entry.
    record(&cache, [exchange("a?nonce=3")]);
    assert_eq!(fixtures.entries().len(), 1);
    assert_eq!(body(&fixtures.open(), &exchange("a?nonce=3")), "a?nonce=3");
}

#[test]
fn of_two_entries_for_one_request_the_first_by_path_answers() {
    let fixtures = Fixtures::new();
    fixtures.record([exchange("a")]);
    let (entry, copy) = (fixtures.entry(), fixtures.path().join("a copy"));
    fs::create_dir(&copy).unwrap();
    fs::copy(entry.join("request.http"), copy.join("request.http")).unwrap();
    fs::write(copy.join("response.http"), "HTTP/1.1 200\n\ncopied").unwrap();
    let cache = fixtures.open();
    assert_eq!(body(&cache, &exchange("a")), "copied");
    let found = block_on(cache.report()).unwrap();
    assert_eq!((found.entries, found.hidden), (2, 1));
}

// ---- mistakes

#[cfg(unix)]
#[test]
fn a_pipe_is_an_error_and_does_not_block() {
    let fixtures = Fixtures::new();
    fixtures.record([exchange("a"), exchange("b")]);
    for (entry, name) in fixtures
        .entries()
        .iter()
        .zip(["request.http", "response.http"])
    {
        let pipe = entry.join(name);
        fs::remove_file(&pipe).unwrap();
        make_pipe(&pipe);
    }
    make_pipe(&fixtures.path().join("x.warc"));
    let report = block_on(fixtures.open().report()).unwrap();
    assert_eq!(report.exchanges, 0);
    assert_eq!(report.skipped.len(), 2, "{:?}", report.skipped);
    for error in &report.skipped {
        assert!(
            error.to_string().contains("found a pipe or a device"),
            "{error}"
        );
    }
}

#[cfg(unix)]
fn make_pipe(path: &Path) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.unwrap().success());
}

#[test]
fn a_mistake_in_a_request_is_reported() {
    for (text, line, expected) in [
        (
            "",
            1,
            "a request line such as `GET /users/1 HTTP/1.1`, found nothing",
        ),
        ("GET\n", 1, "a request line"),
        ("GET /a HTTP/7\n", 1, "found `GET /a HTTP/7`"),
        ("G(T /a HTTP/1.1\n", 1, "a request line"),
        ("GET http://[/ HTTP/1.1\n", 1, "a request line"),
        (
            "# one\n\nGET /a HTTP/1.1\nhost example.com\n",
            4,
            "a header such as `name: value`, or an empty line, found `host example.com`",
        ),
        (
            "GET /a HTTP/1.1\nx y: z\n",
            2,
            "a header such as `name: value`",
        ),
        (
            "GET /a HTTP/1.1\nx: \x01\n",
            2,
            "a header such as `name: value`",
        ),
        ("# @json\nGET /a HTTP/1.1\n", 1, "one of `json compact`"),
        ("# @body-end\nGET /a HTTP/1.1\n", 1, "one of `json compact`"),
        (
            "# @body ../../secret\nGET /a HTTP/1.1\n",
            1,
            "the name of a file, `request.body....`, found `../../secret`",
        ),
        (
            "# @body request.body./../../secret\nGET /a HTTP/1.1\n",
            1,
            "the name of a file",
        ),
        (
            "# @body response.body.png\nGET /a HTTP/1.1\n",
            1,
            "the name of a file",
        ),
        (
            "# @body request.body.png\nGET /a HTTP/1.1\n",
            1,
            "a file `request.body.png` beside this one",
        ),
    ] {
        assert_reported("request.http", text, line, expected);
    }
}

#[test]
fn a_mistake_in_a_response_is_reported() {
    for (text, line, expected) in [
        (
            "200 OK\n",
            1,
            "a status line such as `HTTP/1.1 200 OK`, found `200 OK`",
        ),
        ("HTTP/1.1 OK\n", 1, "a status line"),
        ("HTTP/1.1 99\n", 1, "a status line"),
        (
            "# @final-newlines 99999999\nHTTP/1.1 200\n\na",
            1,
            "a number up to 16, found `99999999`",
        ),
        (
            "# @trailer x-sum 12\nHTTP/1.1 200\n\na",
            1,
            "a header such as `name: value`",
        ),
        (
            "# @json compact\nHTTP/1.1 200\nx: y\n\n{\n  \"a\": 1,\n  \"b\" 2\n}\n",
            7,
            "JSON, as line 1 says",
        ),
        (
            "# @json compact\r\nHTTP/1.1 200\r\n\r\n[1,\r\n,2]\r\n",
            5,
            "found `,2]`",
        ),
        (
            "# @body response.body.txt\nHTTP/1.1 200\n\ntext\n",
            3,
            "no text after the header section",
        ),
    ] {
        assert_reported("response.http", text, line, expected);
    }
}

/// Asserts that `text` in an entry is reported with file and line, and that the other entry
/// answers.
fn assert_reported(file: &str, text: &str, line: usize, expected: &str) {
    let fixtures = Fixtures::new();
    fixtures.record([exchange("a")]);
    let bad = fixtures.entry().join(file);
    fixtures.record([exchange("good")]);
    fs::write(&bad, text).unwrap();

    let cache = fixtures.open();
    let is_reported = |error: &StoreError| {
        let StoreError::Damaged { location, reason } = error else {
            panic!("{text:?}: {error}")
        };
        assert_eq!(location.path(), bad, "{text:?}: {reason}");
        assert_eq!(location.line(), Some(line), "{text:?}: {reason}");
        assert!(reason.contains(expected), "{text:?}: {reason}");
        let shown = error.to_string();
        assert!(
            shown.starts_with(&format!("{}:{line}: expected ", bad.display())),
            "{shown}"
        );
    };
    let found = block_on(cache.report()).unwrap();
    assert_eq!(found.skipped.len(), 1, "{text:?}: {found}");
    is_reported(&found.skipped[0]);
    assert_eq!(body(&cache, &exchange("good")), "good");
    let (read, errors) = replay(&cache);
    assert_eq!((read.len(), errors.len()), (1, 1), "{text:?}");
    is_reported(&errors[0]);
}

#[test]
fn a_later_mistake_is_reported_by_the_look_up() {
    let fixtures = Fixtures::new();
    fixtures.record([exchange("a")]);
    let cache = fixtures.open();
    assert_eq!(body(&cache, &exchange("a")), "a");
    fixtures.edit("response.http", "HTTP/1.1", "HTPP/1.1");
    let error = find(&cache, &exchange("a")).unwrap_err();
    assert!(
        matches!(&error, StoreError::Damaged { location, .. } if location.line() == Some(1)),
        "{error}"
    );
    // An entry with a mistake is not replaced.
    record(&fixtures.open(), [exchange_of("a", "new")]);
    assert_eq!(body(&fixtures.open(), &exchange("a")), "new");
    assert!(fixtures.entries().iter().any(|entry| {
        fs::read_to_string(entry.join("response.http"))
            .unwrap()
            .starts_with("HTPP/1.1")
    }));
}

#[test]
fn half_an_entry_is_reported() {
    for (there, missing) in [
        ("request.http", "response.http"),
        ("response.http", "request.http"),
    ] {
        let fixtures = Fixtures::new();
        let entry = fixtures.path().join("half");
        fs::create_dir(&entry).unwrap();
        fs::write(entry.join(there), "").unwrap();
        if there == "request.http" {
            fs::write(entry.join(there), "GET /a").unwrap();
        }
        let found = block_on(fixtures.open().report()).unwrap();
        let [error] = &found.skipped[..] else {
            panic!("{found}")
        };
        assert!(
            matches!(&**error, StoreError::Damaged { location, .. } if location.path() == entry.join(missing)),
            "{error}"
        );
        assert_eq!(found.exchanges, 0);
    }
}

// ---- names

#[test]
fn entries_stay_inside_the_folder() {
    let root = TempDir::new().unwrap();
    let folder = root.path().join("a/b/fixtures");
    let cache = DiskCache::new(&folder);
    let long = format!("/{}/{}", "s".repeat(300), "deep/".repeat(800));
    let mut count = 0;
    for uri in [
        "/../../../escaped",
        "/%2e%2e/%2e%2e/escaped",
        "/..%2f..%2fescaped",
        "/..%5c..%5cescaped",
        "/%00",
        "//etc/passwd",
        "/C:/windows",
        "/c:%5Cwindows",
        "/con",
        "/aux.txt",
        "/a.",
        "/a%20",
        "/.git/config",
        "http://../escaped",
        "http://user:secret@host/a",
        "/caf\u{e9}",
        "/\u{202e}txt",
        &long,
    ] {
        let Ok(uri) = uri.parse() else { continue };
        let mut it = exchange("a");
        it.request.uri = uri;
        it.request.headers = fields(&[("host", "../../escaped")]);
        record(&cache, [it.clone()]);
        count += 1;
        assert!(find(&cache, &it).unwrap().is_some());
    }
    assert!(count > 15);
    assert_eq!(names(root.path()), ["a"]);
    assert_eq!(names(&root.path().join("a")), ["b"]);
    assert_eq!(names(&root.path().join("a/b")), ["fixtures"]);
    let written = snapshot(&folder);
    assert_eq!(written.len(), 2 * count);
    for file in written.keys() {
        assert!(file.as_os_str().len() < 200, "{file:?}");
        for name in file.components() {
            let name = name.as_os_str().to_str().unwrap();
            let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.~@+=,".contains(c);
            assert!(
                name.chars().all(is_plain) && !name.starts_with('.') && !name.ends_with('.'),
                "{name}"
            );
            assert!(!name.contains("secret"), "{name}");
        }
    }
}

#[test]
fn names_that_differ_in_case_alone_do_not_collide() {
    let fixtures = Fixtures::new();
    let paths = ["users", "Users", "USERS", "uSERS"];
    fixtures.record(paths.map(exchange));
    let folded: HashSet<_> = fixtures
        .entries()
        .iter()
        .map(|entry| entry.to_str().unwrap().to_lowercase())
        .collect();
    assert_eq!(folded.len(), paths.len());
}

// ---- leftovers, and other files

#[test]
fn files_of_a_killed_writer_are_removed() {
    let fixtures = Fixtures::new();
    let left = |name: &str| {
        let left = fixtures.path().join(name);
        fs::create_dir_all(left.join("0")).unwrap();
        fs::write(left.join("0/request.http"), "GET /a HT").unwrap();
        left
    };
    let (old, new) = (
        left(".tower-traffic-tmp-old"),
        left(".tower-traffic-tmp-new"),
    );
    let hours_ago = SystemTime::now() - Duration::from_hours(2);
    fs::File::open(&old)
        .unwrap()
        .set_modified(hours_ago)
        .unwrap();

    let found = block_on(fixtures.open().report()).unwrap();
    assert_eq!(found.to_string(), "0 exchanges");
    assert!(replay(&fixtures.cache()).0.is_empty());
    fixtures.record([exchange("a")]);
    assert!(!old.exists());
    assert!(new.exists(), "somebody may be writing there");
    assert_eq!(fixtures.entries().len(), 1);
}

#[test]
fn a_failed_store_leaves_no_files() {
    let root = TempDir::new().unwrap();
    fs::write(root.path().join("file"), "").unwrap();
    for folder in [root.path().join("file"), root.path().join("file/within")] {
        let cache = DiskCache::new(&folder);
        let error = block_on(cache.store(vec![exchange("a").into()])).unwrap_err();
        assert!(matches!(error, StoreError::Unsupported { .. }), "{error:?}");
    }
    // An exchange that cannot answer does not create the folder.
    let cache = DiskCache::new(root.path().join("new"));
    let mut cut = exchange("a");
    cut.response.as_mut().unwrap().body.end = BodyEnd::Dropped;
    record(&cache, [cut]);
    assert_eq!(names(root.path()), ["file"]);
}

// ---- helpers

struct Fixtures {
    root: TempDir,
}

impl Fixtures {
    fn new() -> Self {
        Self {
            root: TempDir::new().unwrap(),
        }
    }

    fn path(&self) -> &Path {
        self.root.path()
    }

    fn cache(&self) -> DiskCache {
        DiskCache::new(self.path())
    }

    fn open(&self) -> DiskCache {
        block_on(DiskCache::open(self.path())).unwrap()
    }

    fn record(&self, exchanges: impl Into<Vec<Exchange>>) {
        record(&self.cache(), exchanges);
    }

    fn entries(&self) -> Vec<PathBuf> {
        let folders: HashSet<_> = self
            .snapshot()
            .into_keys()
            .filter(|file| !file.starts_with(".tower-traffic-tmp-new"))
            .map(|file| self.path().join(file.parent().unwrap()))
            .collect();
        folders.into_iter().collect()
    }

    fn entry(&self) -> PathBuf {
        let mut entries = self.entries();
        assert_eq!(entries.len(), 1, "{entries:?}");
        entries.remove(0)
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.entry().join(name)).unwrap()
    }

    fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.text(name);
        assert!(text.contains(from), "{text}");
        fs::write(self.entry().join(name), text.replacen(from, to, 1)).unwrap();
    }

    fn snapshot(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        snapshot(self.path())
    }

    /// Asserts that the folder has this exchange, without its times.
    fn assert_found(&self, exchange: &Exchange) {
        let found = find(&self.open(), exchange).unwrap().map(timeless);
        assert_eq!(found, Some(timeless(exchange.clone())));
    }
}

/// The files of a folder with their content.
fn snapshot(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for item in support::stores::files(&next) {
            if item.is_dir() {
                open.push(item);
            } else {
                let content = fs::read(&item).unwrap();
                files.insert(item.strip_prefix(folder).unwrap().to_owned(), content);
            }
        }
    }
    files
}

fn names(folder: &Path) -> Vec<String> {
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    support::stores::files(folder).iter().map(name).collect()
}

fn fields(fields: &[(&str, &str)]) -> HeaderList {
    let field = |(name, value): &(&str, &str)| {
        let name: http::HeaderName = name.parse().unwrap();
        (name, value.parse().unwrap())
    };
    fields.iter().map(field).collect()
}

fn asked(method: &str, uri: &str, headers: &[(&str, &str)], body: &'static str) -> Exchange {
    let request = Request::builder().method(method).uri(uri);
    let request = request.body(Bytes::from(body)).unwrap();
    let mut exchange = Exchange::new(request, Response::new(Bytes::from("answer")));
    exchange.request.headers = fields(headers);
    exchange
}

fn answered(
    mut exchange: Exchange,
    status: u16,
    headers: &[(&str, &str)],
    body: impl Into<Vec<u8>>,
) -> Exchange {
    let response = exchange.response.as_mut().unwrap();
    response.status = StatusCode::from_u16(status).unwrap();
    response.headers = fields(headers);
    response.body = body.into().into();
    exchange
}

fn json(body: &str) -> Exchange {
    answered(
        exchange("json"),
        200,
        &[("content-type", "application/json")],
        body,
    )
}

fn picture(bytes: &[u8]) -> Exchange {
    let length = bytes.len().to_string();
    let headers = [("content-type", "image/png"), ("content-length", &*length)];
    answered(exchange("picture"), 200, &headers, bytes)
}

fn timeless(mut exchange: Exchange) -> Exchange {
    exchange.began = SystemTime::UNIX_EPOCH;
    exchange.time_to_head = Some(Duration::ZERO);
    exchange.time_to_end = Duration::ZERO;
    exchange
}

/// The text of the response to a request.
fn body(cache: &DiskCache, exchange: &Exchange) -> String {
    let found = find(cache, exchange).unwrap().expect("an answer");
    String::from_utf8(found.response.unwrap().body.to_bytes().to_vec()).unwrap()
}

/// "text", compressed by Python's gzip.
fn compressed_with_gzip() -> Vec<u8> {
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\x2b\x49\xad\x28\x01\x00\xc7\xa7\x8b\x3b\x04\x00\x00\x00".to_vec()
}

/// A short text in every coding.
fn compressed(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(text.as_bytes()).unwrap();
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    zlib.write_all(text.as_bytes()).unwrap();
    let len = u32::try_from(text.len()).unwrap();
    // One uncompressed meta-block, and an empty last one (RFC 7932, 9.2).
    let mut brotli = ((len - 1) << 4 | 1 << 20).to_le_bytes()[..3].to_vec();
    brotli.extend_from_slice(text.as_bytes());
    brotli.push(3);
    // One frame with one raw block (RFC 8878, 3.1.1).
    let mut zstd = b"\x28\xb5\x2f\xfd\x20".to_vec();
    zstd.push(u8::try_from(len).unwrap());
    zstd.extend_from_slice(&(len << 3 | 1).to_le_bytes()[..3]);
    zstd.extend_from_slice(text.as_bytes());
    vec![
        ("gzip", gzip.finish().unwrap()),
        ("deflate", zlib.finish().unwrap()),
        ("br", brotli),
        ("zstd", zstd),
    ]
}

#[test]
fn a_file_over_the_limit_is_neither_read_nor_written() {
    const LIMIT: usize = 256 << 20;
    let fixtures = Fixtures::new();
    fixtures.record([exchange("a")]);
    fixtures.record([exchange_of("b", vec![0; LIMIT + 1])]);
    let found = block_on(fixtures.cache().report()).unwrap();
    assert_eq!((found.entries, found.skipped.len()), (1, 0), "{found}");

    for name in ["request.http", "response.http"] {
        let file = fixtures.entry().join(name);
        let before = fs::read(&file).unwrap();
        let sparse = fs::File::options().write(true).open(&file).unwrap();
        sparse.set_len(3 << 30).unwrap();
        let found = block_on(fixtures.cache().report()).unwrap();
        assert_eq!((found.entries, found.skipped.len()), (0, 1), "{found}");
        assert!(
            found
                .to_string()
                .contains("the file exceeds 268435456 bytes"),
            "{found}"
        );
        fs::write(&file, before).unwrap();
    }
}
