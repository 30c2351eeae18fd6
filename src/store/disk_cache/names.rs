//! The paths of entries in a `DiskCache`.
//!
//! Names are for people; no code reads them. They are safe on every file system: a small set of
//! ASCII characters, without names that Windows reserves, without a dot at either end, in paths of
//! about 150 bytes. The key at the end makes a path unique, even if two URIs map to the same name
//! or the file system ignores case.

use std::path::PathBuf;

use crate::{
    matching::MatchKey,
    message::{RecordedRequest, head},
};

const MAX_SEGMENT_LEN: usize = 48;
/// The maximum length of host and path together, in bytes. Windows allows 260 bytes, the
/// recording's folder included.
const MAX_LEN: usize = 112;
const MAX_METHOD_LEN: usize = 16;
const KEY_DIGITS: usize = 16;
const NO_HOST: &str = "no-host";
/// The replacement of the path segments that exceed the maximum length.
const MORE: &str = "_more";

/// Returns the path of an entry: `<host>/<path>/<METHOD>-<key>`, with as many path segments as fit.
pub(super) fn path(request: &RecordedRequest, key: MatchKey) -> PathBuf {
    let mut path = PathBuf::new();
    let mut len = 0;
    let host = host(request);
    let segments = request.uri.path().split('/').filter(|s| !s.is_empty());
    for segment in std::iter::once(host.as_str()).chain(segments) {
        let segment = safe(segment, MAX_SEGMENT_LEN);
        len += segment.len() + 1;
        if len > MAX_LEN {
            path.push(MORE);
            break;
        }
        path.push(segment);
    }
    let key = key.to_string();
    let method: String = safe(request.method.as_str(), MAX_METHOD_LEN);
    path.join(format!("{method}-{}", &key[..KEY_DIGITS]))
}

fn host(request: &RecordedRequest) -> String {
    match head::host(&request.uri, request.headers.get("host")) {
        Some(host) => String::from_utf8_lossy(host).to_ascii_lowercase(),
        None => NO_HOST.to_owned(),
    }
}

fn safe(name: &str, longest: usize) -> String {
    let mut safe: String = name
        .chars()
        .take(longest)
        .map(|c| match c {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' | '.' | '~' | '@' | '+' | '=' | ',' => c,
            _ => '_',
        })
        .collect();
    // A dot would make a hidden file, the parent folder, or a name that Windows truncates.
    for at in [0, safe.len() - 1] {
        if safe.as_bytes()[at] == b'.' {
            safe.replace_range(at..=at, "_");
        }
    }
    if is_reserved(&safe) {
        safe.insert(0, '_');
    }
    // A path segment must not look like an entry.
    if is_entry(&safe) {
        safe.push('_');
    }
    safe
}

/// Whether `name` is a reserved device name on Windows, such as `CON` or `COM1`, with or without an
/// extension.
fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default();
    let stem = stem.to_ascii_uppercase();
    matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL")
        || ["COM", "LPT"].iter().any(|device| {
            stem.strip_prefix(device)
                .is_some_and(|rest| rest.len() == 1 && rest.as_bytes()[0].is_ascii_digit())
        })
}

fn is_entry(name: &str) -> bool {
    name.rsplit_once('-').is_some_and(|(_, key)| {
        key.len() >= KEY_DIGITS && key.bytes().take(KEY_DIGITS).all(|b| b.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use std::path::Component;

    use bytes::Bytes;
    use http::Request;

    use super::*;
    use crate::matching::Matching;

    fn path_of(uri: &str) -> String {
        let request: RecordedRequest = Request::get(uri)
            .header("host", "Example.com:8080")
            .body(Bytes::new())
            .expect("a request")
            .into();
        let path = path(&request, Matching::new().key(&request));
        path.to_str().expect("ASCII").replace('\\', "/")
    }

    #[test]
    fn names_have_host_path_and_method() {
        for (uri, start) in [
            ("/users/1", "example.com_8080/users/1/GET-"),
            ("http://user:pw@api.test/a", "api.test/a/GET-"),
            ("/", "example.com_8080/GET-"),
            ("//a//b/", "example.com_8080/a/b/GET-"),
            (
                "/../%2e%2e/.git/a.",
                "example.com_8080/__/_2e_2e/_git/a_/GET-",
            ),
            (
                "/con/AUX.txt/nul/com1/com10/lpt9.x",
                "example.com_8080/_con/_AUX.txt/_nul/_com1/com10/_lpt9.x/GET-",
            ),
            (
                "/a/GET-0123456789abcdef/b",
                "example.com_8080/a/GET-0123456789abcdef_/b/GET-",
            ),
        ] {
            let path = path_of(uri);
            assert!(path.starts_with(start), "{uri}: {path}");
            assert_eq!(path.len(), start.len() + KEY_DIGITS, "{uri}: {path}");
        }
        let request = Request::get("/a")
            .body(Bytes::new())
            .expect("a request")
            .into();
        let alone = path(&request, Matching::new().key(&request));
        assert!(alone.starts_with("no-host/a"), "{alone:?}");
    }

    #[test]
    fn names_are_safe_everywhere() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut text = |max_len: usize, chars: &[char]| -> String {
            let len = random.usize(..=max_len);
            (0..len)
                .map(|_| chars[random.usize(..chars.len())])
                .collect()
        };
        let printable: Vec<char> = ('!'..='~').collect();
        let in_targets = [&printable[..], &[' ', '\u{e9}', '/', '.']].concat();
        for round in 0..4_000 {
            let target = format!(
                "/{}",
                text(if round % 2 == 0 { 12 } else { 400 }, &in_targets)
            );
            let Ok(request) = Request::get(target)
                .header("host", text(80, &printable))
                .body(Bytes::new())
            else {
                continue;
            };
            let request = RecordedRequest::from(request);
            let path = path(&request, Matching::new().key(&request));
            assert!(
                path.components()
                    .all(|part| matches!(part, Component::Normal(_)))
            );
            assert!(path.as_os_str().len() <= 160, "{path:?}");
            for name in path.components() {
                let name = name.as_os_str().to_str().expect("ASCII");
                assert!(name.len() <= 64);
                assert!(
                    !name.starts_with('.') && !name.ends_with(['.', ' ']),
                    "{name}"
                );
                assert!(!is_reserved(name), "{name}");
                assert!(
                    !name.contains(['<', '>', ':', '"', '/', '\\', '|', '?', '*', '%', '\0', ' '])
                );
                assert!(name.is_ascii());
            }
        }
    }
}
