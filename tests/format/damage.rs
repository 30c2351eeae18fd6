//! Random damage of files: no reader panics, and every exchange that the damage did not touch is
//! read.
//!
//! Damage of a HAR or a cassette is within its list of exchanges: the names of the list have no
//! other copy.

use std::{fmt::Write, fs, ops::Range, path::Path};

use futures::executor::block_on;
use proptest::prelude::*;
use support::stores::{exchange_of, record, replay};
use tower_traffic::{
    Exchange,
    store::{self, DiskCache, Har},
};

/// A change of some bytes.
#[derive(Clone, Debug)]
enum Damage {
    Flip(u8),
    Cut(usize),
    Insert(Vec<u8>),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (1..=255_u8).prop_map(Damage::Flip),
        (1..40_usize).prop_map(Damage::Cut),
        prop::collection::vec(any::<u8>(), 1..8).prop_map(Damage::Insert),
        "[\\[\\]{}\",:\\\\ \n-]{1,4}".prop_map(|text| Damage::Insert(text.into_bytes())),
    ]
}

impl Damage {
    /// Damages `text` at `at`. Returns the range that was touched.
    fn apply(&self, text: &mut Vec<u8>, at: usize) -> Range<usize> {
        match self {
            Self::Flip(mask) => {
                text[at] ^= mask;
                at..at + 1
            }
            Self::Cut(length) => {
                let end = text.len().min(at + length);
                text.drain(at..end);
                at..end
            }
            Self::Insert(bytes) => {
                text.splice(at..at, bytes.iter().copied());
                at..at
            }
        }
    }
}

fn read(path: &Path) -> Vec<Exchange> {
    let Ok(recording) = block_on(store::open(path)) else {
        return Vec::new();
    };
    let _ = block_on(recording.report());
    replay(&recording).0
}

/// Damages a file with one exchange in each of `parts`, and checks the others. An exchange is
/// touched together with the bytes around it, which separate it from its neighbors.
fn check(
    name: &str,
    text: &[u8],
    parts: &[Range<usize>],
    damage: &Damage,
    at: prop::sample::Index,
    separator: usize,
) -> Result<(), TestCaseError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap();
    let whole = read(&path);
    prop_assert_eq!(whole.len(), parts.len());

    let list = parts[0].start..parts[parts.len() - 1].end;
    let mut damaged = text.to_vec();
    let touched = damage.apply(&mut damaged, list.start + at.index(list.len()));
    fs::write(&path, &damaged).unwrap();
    let found = read(&path);
    for (exchange, part) in whole.iter().zip(parts) {
        let is_touched =
            touched.start < part.end + separator && part.start <= touched.end + separator;
        prop_assert!(
            is_touched || found.contains(exchange),
            "{} is lost by {damage:?} at {}: {}",
            exchange.request.uri,
            touched.start,
            String::from_utf8_lossy(&damaged)
        );
    }
    Ok(())
}

fn har() -> (Vec<u8>, Vec<Range<usize>>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.har");
    let entry = r#"{"log": {"entries": [{"request": {"a\\": "]}"}}]}}"#;
    let bodies = [entry, "", "{\"\\", "text"];
    let exchanges = bodies.map(|body| exchange_of(&format!("{}", body.len()), body.to_owned()));
    record(&Har::new(&path), exchanges);
    let text = fs::read(&path).unwrap();
    (
        text.clone(),
        parts(&text, b"{\"startedDateTime\"", b"\n]}}"),
    )
}

/// The parts that begin with `start`, up to `end`.
fn parts(text: &[u8], start: &[u8], end: &[u8]) -> Vec<Range<usize>> {
    let find = |needle: &[u8], from: usize| {
        let found = text[from..]
            .windows(needle.len())
            .position(|window| window == needle);
        found.map(|at| from + at)
    };
    let mut starts = Vec::new();
    while let Some(at) = find(start, starts.last().map_or(0, |last| last + 1)) {
        starts.push(at);
    }
    let last = find(end, *starts.last().unwrap()).unwrap_or(text.len());
    let ends = starts.iter().skip(1).copied().chain([last]);
    starts
        .iter()
        .copied()
        .zip(ends)
        .map(|(start, end)| start..end)
        .collect()
}

/// A cassette as `PyYAML` writes it.
fn cassette() -> (Vec<u8>, Vec<Range<usize>>) {
    let mut text = "interactions:\n".to_owned();
    for name in ["one", "two", "three", "four"] {
        write!(
            text,
            "- request:
    body: null
    headers:
      Accept:
      - '*/*'
    method: GET
    uri: http://localhost/{name}
  response:
    body:
      string: \"{{\\\"a\\\": \\\"- b\\\"}}\\n\\
        - {name}\"
    headers:
      Content-Type: [text/plain]
    status:
      code: 200
      message: OK
"
        )
        .unwrap();
    }
    text.push_str("version: 1\n");
    let parts = parts(text.as_bytes(), b"- request", b"version");
    (text.into_bytes(), parts)
}

fn json_cassette() -> (Vec<u8>, Vec<Range<usize>>) {
    let interaction = |name: &str| {
        serde_json::json!({
            "request": {"method": "GET", "uri": format!("http://a/{name}"), "headers": {}, "body": null},
            "response": {"status": {"code": 200}, "headers": {}, "body": {"string": "{\"a\": 1}"}},
        })
    };
    let list = ["one", "two", "three"].map(interaction);
    let text = serde_json::to_vec_pretty(&serde_json::json!({"interactions": list})).unwrap();
    let parts = parts(&text, b"{\n      \"request\"", b"\n  ]");
    (text, parts)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_damaged_har_keeps_the_other_entries(damage in damage(), at: prop::sample::Index) {
        let (text, parts) = har();
        check("x.har", &text, &parts, &damage, at, 2)?;
    }

    #[test]
    fn a_damaged_cassette_keeps_the_other_interactions(damage in damage(), at: prop::sample::Index) {
        let (text, parts) = cassette();
        check("x.yaml", &text, &parts, &damage, at, 2)?;
    }

    #[test]
    fn a_damaged_json_cassette_keeps_the_other_interactions(
        damage in damage(), at: prop::sample::Index,
    ) {
        let (text, parts) = json_cassette();
        check("x.json", &text, &parts, &damage, at, 8)?;
    }

    #[test]
    fn a_damaged_fixture_keeps_the_other_fixtures(damage in damage(), at: prop::sample::Index) {
        let folder = tempfile::tempdir().unwrap();
        let exchanges = ["a", "b", "c"].map(|name| exchange_of(name, format!("{{\"{name}\":1}}")));
        record(&DiskCache::new(folder.path()), exchanges);
        let whole = read(folder.path());
        prop_assert_eq!(whole.len(), 3);
        let mut files = Vec::new();
        let mut open = vec![folder.path().to_owned()];
        while let Some(next) = open.pop() {
            for item in fs::read_dir(next).unwrap() {
                let path = item.unwrap().path();
                if path.is_dir() { open.push(path) } else { files.push(path) }
            }
        }
        files.sort();
        let file = &files[at.index(files.len())];
        let mut text = fs::read(file).unwrap();
        let position = at.index(text.len());
        damage.apply(&mut text, position);
        fs::write(file, &text).unwrap();
        let found = read(folder.path());
        let kept = whole.iter().filter(|exchange| found.contains(exchange)).count();
        prop_assert!(kept >= 2, "{:?}", found);
    }
}
