//! Messages as the user's functions leave them.

use http::Uri;

use super::message::{Message, What};
use crate::{
    message::{BodyEnd, HeaderText, RecordedBody, RecordedRequest, RecordedResponse},
    redact::{Panicked, Redact},
};

/// The message as functions leave it that redact whole messages; `None` if there are none for it.
pub(super) fn applied(redact: &Redact, message: &Message) -> Option<Result<Message, Panicked>> {
    let (for_requests, for_responses) = redact.has_functions();
    if !for_requests && !for_responses {
        return None;
    }
    let headers = message.head.to_list();
    let mut prefix = Vec::new();
    let (headers, body) = match &message.what {
        What::Request { method, version } if for_requests => {
            let mut request = RecordedRequest {
                method: method.clone(),
                // Cannot fail: it was taken out of a URI.
                uri: Uri::try_from(message.head.prefix()).unwrap_or_default(),
                version: *version,
                headers,
                body: body(message),
            };
            if let Err(panicked) = redact.try_request(&mut request) {
                return Some(Err(panicked));
            }
            prefix.extend(request.uri.to_string().bytes());
            (request.headers, request.body)
        }
        What::Response {
            status, version, ..
        }
        | What::EventsBegin {
            status, version, ..
        } if for_responses => {
            let mut response = RecordedResponse {
                status: *status,
                version: *version,
                headers,
                body: body(message),
            };
            if let Err(panicked) = redact.try_response(&mut response) {
                return Some(Err(panicked));
            }
            (response.headers, response.body)
        }
        // Functions are given whole responses, and there is none any more.
        What::EventsEnd { .. } if for_responses => (headers, RecordedBody::default()),
        _ => return None,
    };
    let mut head = HeaderText::default();
    head.set(&prefix, &headers.to_map());
    let not_kept = message.seen - message.body.len() as u64;
    Some(Ok(Message {
        id: message.id,
        at: message.at,
        what: message.what.clone(),
        head,
        seen: body.len() as u64 + not_kept,
        body: body.to_bytes().to_vec(),
        trailers: body.trailers,
        end: message.end.clone(),
        ..Message::default()
    }))
}

fn body(message: &Message) -> RecordedBody {
    let mut body = RecordedBody::from(message.body.clone());
    body.trailers.clone_from(&message.trailers);
    if message.seen > message.body.len() as u64 {
        body.end = BodyEnd::Limit;
    }
    body
}
