//! The head of an HTTP message as other tools store it: as it was sent, right or wrong.

use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, Version};

use crate::{format, message::head::version_named};

/// Header lines in order.
pub(super) type Fields = Vec<(HeaderName, HeaderValue)>;

pub(super) struct HttpHead<'a> {
    pub(super) start_line: &'a [u8],
    pub(super) fields: Fields,
    /// The length of the head.
    pub(super) length: usize,
    /// Whether an empty line ends the head.
    pub(super) is_ended: bool,
}

/// Reads a head. A line that is not a header is left out and noted.
pub(super) fn read<'a>(text: &'a [u8], notes: &mut Vec<String>) -> HttpHead<'a> {
    let mut lines = Lines { text, position: 0 };
    // Empty lines before the start line are ignored (RFC 9112, 2.2).
    let start_line = loop {
        match lines.next() {
            Some(b"") => {}
            Some(line) => break line,
            None => break b"",
        }
    };
    let (fields, is_ended) = read_fields(&mut lines, notes);
    HttpHead {
        start_line,
        fields,
        length: lines.position,
        is_ended,
    }
}

/// Reads the lines of a trailer section.
pub(super) fn read_trailers(text: &[u8], notes: &mut Vec<String>) -> Fields {
    read_fields(&mut Lines { text, position: 0 }, notes).0
}

/// Reads header lines to an empty line or the end. Returns whether there is an empty line.
fn read_fields(lines: &mut Lines<'_>, notes: &mut Vec<String>) -> (Fields, bool) {
    let mut fields = Vec::new();
    let mut field: Vec<u8> = Vec::new();
    let is_ended = loop {
        match lines.next() {
            None => break false,
            Some(b"") => break true,
            // A folded line (RFC 9112, 5.2).
            Some(line @ [b' ' | b'\t', ..]) => {
                field.push(b' ');
                field.extend_from_slice(line.trim_ascii());
            }
            Some(line) => {
                add(&field, &mut fields, notes);
                field.clear();
                field.extend_from_slice(line.trim_ascii_end());
            }
        }
    };
    add(&field, &mut fields, notes);
    (fields, is_ended)
}

fn add(line: &[u8], fields: &mut Fields, notes: &mut Vec<String>) {
    if line.is_empty() {
        return;
    }
    let colon = line.iter().position(|&byte| byte == b':');
    let Some((name, value)) = colon.map(|colon| line.split_at(colon)) else {
        notes.push("invalid header: expected `name: value`; the line is left out".to_owned());
        return;
    };
    let Ok(name) = HeaderName::from_bytes(name.trim_ascii_end()) else {
        notes.push("invalid header name; the header is left out".to_owned());
        return;
    };
    match HeaderValue::from_bytes(value[1..].trim_ascii()) {
        Ok(value) => fields.push((name, value)),
        Err(_) => notes.push(format!(
            "invalid value of {name}: control character; the header is left out"
        )),
    }
}

struct Lines<'a> {
    text: &'a [u8],
    position: usize,
}

impl<'a> Iterator for Lines<'a> {
    type Item = &'a [u8];

    /// Returns the next line, without its end. The last line may have none.
    fn next(&mut self) -> Option<&'a [u8]> {
        let rest = &self.text[self.position..];
        if rest.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', rest);
        self.position += end.map_or(rest.len(), |end| end + 1);
        let line = &rest[..end.unwrap_or(rest.len())];
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

/// The parts of a request line. The target is `None` if it is not a URI.
pub(super) struct RequestLine {
    pub(super) method: Method,
    pub(super) target: Option<Uri>,
    pub(super) version: Version,
}

pub(super) fn request_line(line: &[u8]) -> Result<RequestLine, &'static str> {
    let line = line.trim_ascii();
    let end = line.iter().position(u8::is_ascii_whitespace);
    let (method, rest) = line.split_at(end.ok_or("invalid request line: missing target")?);
    let rest = rest.trim_ascii();
    // A target may contain blanks.
    let last = rest.iter().rposition(u8::is_ascii_whitespace);
    let (target, version) = match last.map(|last| rest.split_at(last)) {
        Some((target, version)) if is_version(version) => (target, read_version(version)),
        // A request line of HTTP/0.9 has no version.
        _ => (rest, Some(Version::HTTP_09)),
    };
    Ok(RequestLine {
        method: Method::from_bytes(method).map_err(|_| "invalid method: expected a token")?,
        target: uri(target.trim_ascii()),
        version: version.ok_or("invalid HTTP version")?,
    })
}

pub(super) fn status_line(line: &[u8]) -> Result<(Version, StatusCode), &'static str> {
    let mut words = line.split(u8::is_ascii_whitespace);
    let version = words.next().unwrap_or_default();
    let status = words.find(|word| !word.is_empty()).unwrap_or_default();
    Ok((
        read_version(version).ok_or("invalid status line: expected an HTTP version")?,
        StatusCode::from_bytes(status).map_err(|_| "invalid status code")?,
    ))
}

pub(super) fn is_version(text: &[u8]) -> bool {
    let start = text.trim_ascii().get(..4);
    start.is_some_and(|start| start.eq_ignore_ascii_case(b"HTTP"))
}

fn read_version(text: &[u8]) -> Option<Version> {
    let text = str::from_utf8(text).ok().filter(|_| is_version(text))?;
    version_named(text).or_else(|| {
        // A higher minor version is read as the highest known one (RFC 9110, 2.5).
        let is_http_1 = text.trim().get(..7)?.eq_ignore_ascii_case("HTTP/1.");
        is_http_1.then_some(Version::HTTP_11)
    })
}

pub(super) fn uri(text: &[u8]) -> Option<Uri> {
    format::uri::parse(&String::from_utf8_lossy(text)).ok()
}
