//! One entry: a folder with two messages, and the bodies that are no text.

use std::{fs, io, path::Path, time::SystemTime};

use bytes::Bytes;
use http::Method;

use crate::{
    format::fixture::{self, Fault, Style, Written},
    message::{Exchange, RecordedRequest, RecordedResponse},
    store::{
        StoreError,
        files::{Files, read_at_most},
    },
};

pub(in crate::store) const REQUEST: &str = "request.http";
pub(in crate::store) const RESPONSE: &str = "response.http";
/// How the names of files with bodies begin.
const BODIES: [&str; 2] = ["request.body.", "response.body."];
/// What a file may have, in bytes: all of it is held in memory, several times while it is read.
const LIMIT: u64 = 256 << 20;

pub(in crate::store) fn is_body(name: &[u8]) -> bool {
    BODIES.iter().any(|body| name.starts_with(body.as_bytes()))
}

/// Reads an entry. One that is not there, or lacks a message, is [`StoreError::NotFound`] or
/// [`StoreError::HalfEntry`].
pub(in crate::store) fn read(folder: &Path) -> Result<Exchange, StoreError> {
    let request = read_request(folder)?;
    let response = read_response(folder, &request.method)?;
    let mut exchange = Exchange::new(request, response);
    exchange.began = SystemTime::UNIX_EPOCH;
    Ok(exchange)
}

pub(in crate::store) fn read_request(folder: &Path) -> Result<RecordedRequest, StoreError> {
    read_message(folder, REQUEST, RESPONSE, |text, load| {
        fixture::read_request(text, load)
    })
}

pub(in crate::store) fn read_response(
    folder: &Path,
    method: &Method,
) -> Result<RecordedResponse, StoreError> {
    read_message(folder, RESPONSE, REQUEST, |text, load| {
        fixture::read_response(text, method, load)
    })
}

fn read_message<T>(
    folder: &Path,
    name: &str,
    other: &str,
    parse: impl Fn(&[u8], &mut dyn FnMut(&str) -> io::Result<Bytes>) -> Result<T, Fault>,
) -> Result<T, StoreError> {
    let file = folder.join(name);
    let read = || {
        read_at_most(&file, LIMIT).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound if folder.join(other).is_file() => {
                StoreError::HalfEntry { file: file.clone() }
            }
            _ => StoreError::io("read the file", &file, error),
        })
    };
    let mut text = read()?;
    loop {
        let parsed = parse(&text, &mut |name| {
            read_at_most(&folder.join(name), LIMIT).map(Bytes::from)
        });
        let fault = match parsed {
            Ok(message) => return Ok(message),
            Err(fault) => fault,
        };
        // A body's file may have gone because the entry has just been written anew.
        let now = read()?;
        if now != text {
            text = now;
            continue;
        }
        return Err(match fault {
            Fault::Syntax { line, expected } => StoreError::BadMessage {
                file,
                line,
                expected,
            },
            Fault::File { name, error } => {
                StoreError::io("read the file", &folder.join(name), error)
            }
        });
    }
}

/// The files of an entry; `None` if the exchange has no response, or one could not be read again.
pub(super) fn write(exchange: &Exchange, style: Style) -> Option<Files> {
    let request = &exchange.request;
    let response = exchange.response.as_ref().ok()?;
    let is_large = |len: usize| len as u64 > LIMIT;
    let told = || {
        let uri = request.uri.path();
        tracing::warn!(uri, limit = LIMIT, "too large for an entry: not stored");
    };
    if is_large(request.body.len()) || is_large(response.body.len()) {
        told();
        return None;
    }
    let mut files = Files::default();
    let mut fits = true;
    let mut add = |name: &str, written: Written| {
        fits &= !is_large(written.text.len());
        files.add_last(name, written.text);
        if let Some(body) = written.body {
            files.add(body.name, body.content);
        }
    };
    // A response may name another body, and a request does not: it comes first.
    add(
        RESPONSE,
        fixture::write_response(response, &request.method, style),
    );
    add(REQUEST, fixture::write_request(request, style));
    if !fits {
        told();
        return None;
    }
    Some(files)
}

/// Removes the bodies of what stood in an entry before these files. It does no harm if they stay.
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
