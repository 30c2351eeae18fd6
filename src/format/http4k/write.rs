//! Messages to http4k's text.

use std::io::Write;

use http::{StatusCode, Version};

use crate::{
    format::http_text::write_target,
    message::{HeaderList, RecordedBody, RecordedRequest, RecordedResponse, semantics},
};

pub(crate) fn write_request(request: &RecordedRequest) -> Vec<u8> {
    let mut out = request.method.as_str().as_bytes().to_vec();
    out.push(b' ');
    let mut target = Vec::new();
    write_target(&mut target, &request.uri);
    // `Uri.toString()` (Uri.kt) leaves an empty query out.
    out.extend_from_slice(target.strip_suffix(b"?").unwrap_or(&target));
    let _ = write!(out, " {}\r\n", version(request.version));
    finish(&mut out, &request.headers, &request.body);
    out
}

pub(crate) fn write_response(response: &RecordedResponse) -> Vec<u8> {
    let code = response.status.as_u16();
    let description = description(response.status);
    let mut out = format!("{} {code} {description}\r\n", version(response.version)).into_bytes();
    finish(&mut out, &response.headers, &response.body);
    out
}

fn finish(out: &mut Vec<u8>, headers: &HeaderList, body: &RecordedBody) {
    out.extend_from_slice(headers.as_text());
    if headers.is_empty() {
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    for chunk in body.chunks() {
        out.extend_from_slice(chunk);
    }
}

/// `HttpMessage.HTTP_1_1` and `HTTP_2` (http.kt).
fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/1.1",
        version => semantics::version_name(version),
    }
}

/// As Status.kt has it, where that is not what RFC 9110 says today.
fn description(status: StatusCode) -> &'static str {
    match status.as_u16() {
        203 => "Non-Authoritative Information",
        413 => "Request Entity Too Large",
        414 => "Request-URI Too Long",
        416 => "Requested Range Not Satisfiable",
        429 => "Too many requests",
        _ => status.canonical_reason().unwrap_or_default(),
    }
}
