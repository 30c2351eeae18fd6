//! Header sections as HTTP/1.1 text, and back.
//!
//! Some headers would contradict the stored body: `transfer-encoding`, because bodies are stored
//! without framing, and a `content-length` that differs from the number of stored bytes (a response
//! to `HEAD`, an incomplete body). They are stored with the prefix `x-archive-orig-`, as archive
//! tools do (pywb), and lose the prefix when they are read.

use std::io::Write;

use http::{HeaderName, HeaderValue, Method, StatusCode, Uri, Version, header};

use crate::message::{HeaderList, RecordedRequest, RecordedResponse, head, whole_body};

const ORIGINAL: &str = "x-archive-orig-";

pub(crate) fn write_request_head(out: &mut Vec<u8>, request: &RecordedRequest) {
    out.extend_from_slice(request.method.as_str().as_bytes());
    out.push(b' ');
    write_target(out, &request.uri);
    out.push(b' ');
    out.extend_from_slice(version_text(request.version).as_bytes());
    out.extend_from_slice(b"\r\n");
    write_fields(out, &request.headers, request.body.len());
}

pub(crate) fn write_response_head(out: &mut Vec<u8>, response: &RecordedResponse) {
    out.extend_from_slice(version_text(response.version).as_bytes());
    out.push(b' ');
    out.extend_from_slice(response.status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(
        response
            .status
            .canonical_reason()
            .unwrap_or_default()
            .as_bytes(),
    );
    out.extend_from_slice(b"\r\n");
    write_fields(out, &response.headers, response.body.len());
}

pub(crate) fn write_target(out: &mut Vec<u8>, uri: &Uri) {
    // Over HTTP/2, `OPTIONS *` has an authority: the text form is a URI without a path
    // (RFC 9112, 3.2.4).
    if let ("*", Some(authority)) = (uri.path(), uri.authority()) {
        let scheme = uri.scheme_str().unwrap_or("http");
        out.extend_from_slice(format!("{scheme}://{authority}").as_bytes());
    } else {
        // Writing to a vector cannot fail.
        let _ = write!(out, "{uri}");
    }
}

/// Returns the version in the text form. Versions after HTTP/1.1 have no name in the text form, and
/// are written as HTTP/1.1; each format stores the actual version elsewhere.
fn version_text(version: Version) -> &'static str {
    head::version_name(version.min(Version::HTTP_11))
}

fn write_fields(out: &mut Vec<u8>, headers: &HeaderList, body_len: usize) {
    let is_wrong_length = |name: &str, value: &[u8]| {
        name == "content-length" && whole_body::content_length([value]) != Some(body_len as u64)
    };
    let contradicts = |name: &str, value: &[u8]| {
        name == "transfer-encoding" || name.starts_with(ORIGINAL) || is_wrong_length(name, value)
    };
    if headers.iter().any(|(name, value)| contradicts(name, value)) {
        let wrong_length = headers
            .iter()
            .any(|(name, value)| is_wrong_length(name, value));
        for (name, value) in headers.iter() {
            // One wrong length moves all of them, so that the last one is the added one.
            if contradicts(name, value) || (wrong_length && name == "content-length") {
                out.extend_from_slice(ORIGINAL.as_bytes());
            }
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value);
            out.extend_from_slice(b"\r\n");
        }
        if wrong_length {
            let _ = write!(out, "content-length: {body_len}\r\n");
        }
    } else {
        out.extend_from_slice(headers.as_text());
    }
    out.extend_from_slice(b"\r\n");
}

/// Returns the headers, with `len` in place of each `content-length`.
pub(crate) fn with_length<'a>(
    fields: impl Iterator<Item = (&'a str, &'a [u8])>,
    len: usize,
) -> HeaderList {
    fields
        .filter_map(|(name, value)| {
            let value = match name {
                "content-length" => Ok(HeaderValue::from(len)),
                _ => HeaderValue::from_bytes(value),
            };
            Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value.ok()?))
        })
        .collect()
}

/// The parsed head of a request, and the position of the content.
pub(crate) struct RequestHead {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) version: Version,
    pub(crate) headers: HeaderList,
    pub(crate) body: usize,
}

/// The parsed head of a response, and the position of the content.
pub(crate) struct ResponseHead {
    pub(crate) status: StatusCode,
    pub(crate) version: Version,
    pub(crate) headers: HeaderList,
    pub(crate) body: usize,
}

pub(crate) fn read_request_head(text: &[u8]) -> Result<RequestHead, String> {
    let mut lines = Lines { text, position: 0 };
    let line = lines.next_line()?;
    // Splits at the first and the last space, because a target may contain spaces.
    let (method, rest) = split_once(line, b' ').ok_or("invalid request line: missing target")?;
    let (target, version) =
        rsplit_once(rest, b' ').ok_or("invalid request line: missing version")?;
    Ok(RequestHead {
        method: Method::from_bytes(method).map_err(|_| "invalid method: expected a token")?,
        uri: Uri::try_from(target).map_err(|error| format!("invalid request target: {error}"))?,
        version: read_version(version)?,
        headers: read_fields(&mut lines)?,
        body: lines.position,
    })
}

pub(crate) fn read_response_head(text: &[u8]) -> Result<ResponseHead, String> {
    let mut lines = Lines { text, position: 0 };
    let line = lines.next_line()?;
    let (version, rest) = split_once(line, b' ').ok_or("invalid status line: missing status")?;
    let status = split_once(rest, b' ').map_or(rest, |(status, _)| status);
    Ok(ResponseHead {
        status: StatusCode::from_bytes(status).map_err(|_| "invalid status code")?,
        version: read_version(version)?,
        headers: read_fields(&mut lines)?,
        body: lines.position,
    })
}

pub(crate) fn read_version(text: &[u8]) -> Result<Version, String> {
    match text {
        b"HTTP/0.9" => Ok(Version::HTTP_09),
        b"HTTP/1.0" => Ok(Version::HTTP_10),
        b"HTTP/1.1" => Ok(Version::HTTP_11),
        b"HTTP/2" | b"HTTP/2.0" => Ok(Version::HTTP_2),
        b"HTTP/3" | b"HTTP/3.0" => Ok(Version::HTTP_3),
        _ => Err(format!(
            "invalid HTTP version {:?}",
            text.escape_ascii().to_string()
        )),
    }
}

fn read_fields(lines: &mut Lines<'_>) -> Result<HeaderList, String> {
    let mut fields = Vec::new();
    let mut own_length = false;
    loop {
        let line = lines.next_line()?;
        if line.is_empty() {
            break;
        }
        let (name, value) = split_once(line, b':').ok_or_else(|| {
            format!(
                "invalid header {:?}: expected `name: value`",
                line.escape_ascii().to_string()
            )
        })?;
        let (name, moved) = match strip_original(name) {
            Some(name) => (name, true),
            None => (name, false),
        };
        let name = HeaderName::from_bytes(name)
            .map_err(|_| format!("invalid header name {:?}", name.escape_ascii().to_string()))?;
        let value = HeaderValue::from_bytes(value.trim_ascii())
            .map_err(|_| format!("invalid value of {name}: control character"))?;
        own_length |= moved && name == header::CONTENT_LENGTH;
        fields.push((name, value, moved));
    }
    Ok(fields
        .into_iter()
        .filter(|(name, _, moved)| *moved || !own_length || *name != header::CONTENT_LENGTH)
        .map(|(name, value, _)| (name, value))
        .collect())
}

fn strip_original(name: &[u8]) -> Option<&[u8]> {
    let (prefix, rest) = name.split_at_checked(ORIGINAL.len())?;
    prefix
        .eq_ignore_ascii_case(ORIGINAL.as_bytes())
        .then_some(rest)
}

struct Lines<'a> {
    text: &'a [u8],
    position: usize,
}

impl<'a> Lines<'a> {
    fn next_line(&mut self) -> Result<&'a [u8], String> {
        let rest = &self.text[self.position..];
        let end = rest
            .iter()
            .position(|&byte| byte == b'\n')
            .ok_or("incomplete header section")?;
        self.position += end + 1;
        let line = &rest[..end];
        Ok(line.strip_suffix(b"\r").unwrap_or(line))
    }
}

fn split_once(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let position = text.iter().position(|&byte| byte == at)?;
    Some((&text[..position], &text[position + 1..]))
}

fn rsplit_once(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let position = text.iter().rposition(|&byte| byte == at)?;
    Some((&text[..position], &text[position + 1..]))
}
