//! Imports run one way: a room imports only rooms below it, by their own paths.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Rooms of `src`, from the lowest to the highest. Rooms of one row do not import one another.
const ROWS: [&[&str]; 12] = [
    &["util"],
    &["message"],
    &["content"],
    &["body"],
    &["redact"],
    &["matching"],
    &["format"],
    &["store"],
    &["recorder"],
    &["record", "replay", "proxy", "debug", "latency", "chaos"],
    &["clients", "conformance", "guides"],
    &["lib"],
];

fn row(room: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&room))
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// Code without comments.
fn code(text: &str) -> String {
    let lines = text.lines();
    let code = lines.filter(|line| !line.trim_start().starts_with("//"));
    code.collect::<Vec<_>>().join("\n")
}

/// First names of all paths below `crate::`, also of nested imports.
fn rooms_named(code: &str) -> Vec<String> {
    let mut named = Vec::new();
    for (at, prefix) in code.match_indices("crate::") {
        let rest = &code[at + prefix.len()..];
        if let Some(tree) = rest.strip_prefix('{') {
            let (mut depth, mut is_first, mut name) = (0, true, String::new());
            for char in tree.chars() {
                match char {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        named.push(std::mem::take(&mut name));
                        is_first = true;
                    }
                    ':' => is_first = false,
                    _ if is_first && depth == 0 && !char.is_whitespace() => name.push(char),
                    _ => {}
                }
            }
            named.push(name);
        } else {
            let end = rest.find(|char: char| !char.is_alphanumeric() && char != '_');
            named.push(rest[..end.unwrap_or(rest.len())].to_owned());
        }
    }
    named.retain(|name| !name.is_empty());
    named
}

/// Imports of a file that run upwards or sideways.
fn faults(room: &str, text: &str) -> Vec<String> {
    let Some(own) = row(room) else {
        return vec![format!("room `{room}` is missing from the order")];
    };
    let named = rooms_named(&code(text)).into_iter();
    let wrong = named.filter(|name| name != room && row(name).is_none_or(|other| other >= own));
    wrong.map(|name| format!("imports `{name}`")).collect()
}

#[test]
fn imports_run_downwards() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let mut all = Vec::new();
    for file in files(&src) {
        let path = file.strip_prefix(&src).unwrap();
        let room = path.components().next().unwrap().as_os_str();
        let room = room.to_str().unwrap().trim_end_matches(".rs");
        if ["lib", "bin"].contains(&room) {
            continue;
        }
        let found = faults(room, &fs::read_to_string(&file).unwrap());
        all.extend(
            found
                .iter()
                .map(|fault| format!("{}: {fault}", path.display())),
        );
    }
    assert!(
        all.is_empty(),
        "imports that do not run downwards:\n{}",
        all.join("\n")
    );
}

#[test]
fn an_import_that_runs_back_is_found() {
    let upwards = "use crate::{\n    message::{Exchange, HeaderList},\n    store::Disk,\n};";
    assert_eq!(faults("format", upwards), ["imports `store`"]);
    let sideways = "fn f() { crate::debug::show() }";
    assert_eq!(faults("record", sideways), ["imports `debug`"]);
    let from_the_root = "use crate::Exchange;";
    assert_eq!(faults("store", from_the_root), ["imports `Exchange`"]);
    let fine = "//! See crate::chaos.\nuse crate::{format::warc, util::sync::lock};";
    assert!(faults("store", fine).is_empty());
}
