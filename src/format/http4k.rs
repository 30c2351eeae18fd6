//! Messages as http4k writes them into `request.txt` and `response.txt`.
//!
//! The text is that of `HttpMessage.toMessage()` (org.http4k.core, http.kt, Headers.kt): the first
//! line, the fields joined by CR LF with CR LF after them, CR LF, and the body. Without fields
//! there are therefore two empty lines where one would do.
//!
//! http4k's parser (`Request.parse`, `Response.parse`, parser.kt) splits the whole text at CR LF
//! and joins the lines of the body without it: http4k reads a body without its CR LFs. This reader
//! keeps them.
//!
//! The text is UTF-8: http4k destroys binary bodies, such as compressed ones, when it writes them.

use std::borrow::Cow;

use crate::{
    content::coding,
    format::http_text::{read_request_head, read_response_head},
    message::{BodyEnd, HeaderList, RecordedBody, RecordedRequest, RecordedResponse},
};

pub(crate) fn read_request(text: &[u8]) -> Result<RecordedRequest, String> {
    let mut head = read_request_head(text)?;
    Ok(RecordedRequest {
        method: head.method,
        uri: head.uri,
        version: head.version,
        body: body(&text[head.body..], &mut head.headers),
        headers: head.headers,
    })
}

pub(crate) fn read_response(text: &[u8]) -> Result<RecordedResponse, String> {
    let mut head = read_response_head(text)?;
    Ok(RecordedResponse {
        status: head.status,
        version: head.version,
        body: body(&text[head.body..], &mut head.headers),
        headers: head.headers,
    })
}

/// Returns the body, and removes framing and coding that the text does not have.
fn body(text: &[u8], headers: &mut HeaderList) -> RecordedBody {
    let text = match text.strip_prefix(b"\r\n") {
        Some(rest) if headers.is_empty() => rest,
        _ => text,
    };
    headers.remove(&["transfer-encoding"]);
    let mut body = RecordedBody::from(text.to_vec());
    let codings: Vec<Cow<'_, str>> = coding::codings(headers.get_all("content-encoding")).collect();
    if codings.is_empty() || text.is_empty() || coding::is_encoded(&codings, text) {
        return body;
    }
    if memchr::memmem::find(text, "\u{fffd}".as_bytes()).is_some() {
        // Bytes of the compressed content were replaced.
        body.end = BodyEnd::Limit;
    } else {
        headers.remove(&["content-encoding"]);
    }
    body
}
