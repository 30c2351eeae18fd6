//! The files of one entry: two messages, and the bodies that are not text.

use std::{fs, path::Path};

use crate::{
    format::fixture::{self, FixtureMessage, Style},
    message::Exchange,
    store::{
        atomic_dir::Files,
        folder::{MAX_FILE_BYTES, REQUEST, RESPONSE, is_body},
    },
};

/// Returns the files of an entry; `None` if the exchange has no response, or a file would be too
/// large to read.
pub(super) fn write(exchange: &Exchange, style: Style) -> Option<Files> {
    let request = &exchange.request;
    let response = exchange.response.as_ref().ok()?;
    let is_large = |len: usize| len as u64 > MAX_FILE_BYTES;
    let log_skipped = || {
        let uri = request.uri.path();
        tracing::warn!(
            uri,
            limit = MAX_FILE_BYTES,
            "exchange not stored: too large for an entry"
        );
    };
    if is_large(request.body.len()) || is_large(response.body.len()) {
        log_skipped();
        return None;
    }
    let mut files = Files::default();
    let mut fits = true;
    let mut add = |name: &str, written: FixtureMessage| {
        fits &= !is_large(written.text.len());
        files.add_last(name, written.text);
        if let Some(body) = written.body {
            files.add(body.name, body.content);
        }
    };
    // The response is moved before the request, because only a response may name a different body
    // than before.
    add(
        RESPONSE,
        fixture::write_response(response, &request.method, style),
    );
    add(REQUEST, fixture::write_request(request, style));
    if !fits {
        log_skipped();
        return None;
    }
    Some(files)
}

/// Removes the body files of an earlier version of the entry. Leftovers are harmless.
pub(super) fn remove_stale(folder: &Path, files: &Files) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if is_body(name.as_encoded_bytes()) && !name.to_str().is_some_and(|name| files.has(name)) {
            let _ = fs::remove_file(entry.path());
        }
    }
}
