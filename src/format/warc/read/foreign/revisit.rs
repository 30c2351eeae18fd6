//! `revisit` records: a response whose content is in an earlier record.

use std::time::{SystemTime, UNIX_EPOCH};

use super::{super::head::RecordHead, message::replace_content};
use crate::message::{
    BodyEnd, Exchange, RecordedResponse,
    whole_body::{content_length, has_content},
};

/// A name of the record that has the content.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum OriginalKey {
    Id(String),
    /// The target URI, and the date in seconds: tools write it in different precision.
    Capture(String, i64),
    /// The digest of the content.
    Digest(String),
}

/// An exchange whose response has no content of its own.
#[derive(Debug)]
pub(crate) struct Revisit {
    exchange: Exchange,
    has_head: bool,
    /// The names of the record with the content, the most reliable first.
    pub(crate) original: Vec<OriginalKey>,
}

/// A response that revisits may refer to.
#[derive(Debug)]
pub(crate) struct Original {
    pub(crate) keys: Vec<OriginalKey>,
    pub(crate) response: RecordedResponse,
}

impl Revisit {
    pub(super) fn new(exchange: Exchange, has_head: bool, head: &RecordHead) -> Self {
        let id = head.refers_to.clone().map(OriginalKey::Id);
        let uri = head.refers_to_uri.as_ref().or(head.target_uri.as_ref());
        let capture = uri.zip(head.refers_to_date);
        let capture = capture.map(|(uri, date)| OriginalKey::Capture(uri.clone(), seconds(date)));
        Self {
            exchange,
            has_head,
            original: id.into_iter().chain(capture).chain(digest(head)).collect(),
        }
    }

    /// Returns the exchange with the content of `original`, and notes. Without an original, the
    /// exchange is incomplete, or `None` if its response is unknown.
    pub(crate) fn complete(
        self,
        original: Option<&RecordedResponse>,
    ) -> (Option<Exchange>, Vec<String>) {
        let mut notes = Vec::new();
        let mut exchange = self.exchange;
        let method = exchange.request.method.clone();
        let Ok(response) = &mut exchange.response else {
            return (None, notes);
        };
        let is_empty = content_length(response.headers.get_all("content-length")) == Some(0);
        let is_partial = response.body.is_empty() || response.body.end != BodyEnd::Complete;
        let needs_content = has_content(&method, response.status) && is_partial && !is_empty;
        match original {
            _ if self.has_head && !needs_content => {}
            Some(original) if self.has_head => replace_content(response, original, &mut notes),
            Some(original) => *response = original.clone(),
            None if self.has_head => {
                notes.push("revisit of a record that the recording lacks".to_owned());
                let reason = "the content is in a record that the recording lacks";
                response.body.end = BodyEnd::Error(reason.to_owned());
            }
            None => {
                notes.push(
                    "revisit of a record that the recording lacks; the exchange is left out"
                        .to_owned(),
                );
                return (None, notes);
            }
        }
        (Some(exchange), notes)
    }
}

/// Returns the names by which revisits refer to a response record.
pub(in super::super) fn keys(head: &RecordHead) -> Vec<OriginalKey> {
    let id = (!head.id.is_empty()).then(|| OriginalKey::Id(head.id.clone()));
    let capture = head.target_uri.as_ref().zip(head.date);
    let capture = capture.map(|(uri, date)| OriginalKey::Capture(uri.clone(), seconds(date)));
    id.into_iter().chain(capture).chain(digest(head)).collect()
}

fn digest(head: &RecordHead) -> Option<OriginalKey> {
    let digest = head.payload_digest.as_ref()?;
    Some(OriginalKey::Digest(digest.to_ascii_lowercase()))
}

fn seconds(time: SystemTime) -> i64 {
    let seconds = |time: std::time::Duration| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => seconds(since),
        Err(before) => -seconds(before.duration()),
    }
}
