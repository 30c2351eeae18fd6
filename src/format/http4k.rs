//! Messages as http4k writes them into `request.txt` and `response.txt`.
//!
//! The text is that of `HttpMessage.toMessage()` (org.http4k.core, http.kt, Headers.kt): the first
//! line, the fields joined by CR LF with CR LF after them, CR LF, and the body. Without fields
//! there are therefore two empty lines where one would do.
//!
//! http4k's parser (`Request.parse`, `Response.parse`, parser.kt) splits the whole text at CR LF
//! and joins the lines of the body without it: http4k reads a body without its CR LFs. This reader
//! keeps them.

use crate::{
    format::http_text::{read_request_head, read_response_head},
    message::{HeaderList, RecordedBody, RecordedRequest, RecordedResponse},
};

pub(crate) fn read_request(text: &[u8]) -> Result<RecordedRequest, String> {
    let head = read_request_head(text)?;
    Ok(RecordedRequest {
        method: head.method,
        uri: head.uri,
        version: head.version,
        body: body(&text[head.body..], &head.headers),
        headers: head.headers,
    })
}

pub(crate) fn read_response(text: &[u8]) -> Result<RecordedResponse, String> {
    let head = read_response_head(text)?;
    Ok(RecordedResponse {
        status: head.status,
        version: head.version,
        body: body(&text[head.body..], &head.headers),
        headers: head.headers,
    })
}

fn body(text: &[u8], headers: &HeaderList) -> RecordedBody {
    let text = match text.strip_prefix(b"\r\n") {
        Some(rest) if headers.is_empty() => rest,
        _ => text,
    };
    RecordedBody::from(text.to_vec())
}
