//! Reads an entry of a `DiskCache`: two messages, and the bodies that are not text.

use std::{io, path::Path, time::SystemTime};

use bytes::Bytes;
use http::Method;

use crate::{
    format::fixture::{self, FixtureError},
    message::{Exchange, RecordedRequest, RecordedResponse},
    store::{
        Location, StoreError,
        atomic_dir::{read_at_most, read_own},
    },
};

pub(in crate::store) const REQUEST: &str = "request.http";
pub(in crate::store) const RESPONSE: &str = "response.http";
/// The prefixes of body file names.
const BODY_PREFIXES: [&str; 2] = ["request.body.", "response.body."];
/// The maximum size of a file, which is held in memory several times while it is read.
pub(in crate::store) const MAX_FILE_BYTES: u64 = 256 << 20;

pub(in crate::store) fn is_body(name: &[u8]) -> bool {
    BODY_PREFIXES
        .iter()
        .any(|body| name.starts_with(body.as_bytes()))
}

/// Reads an entry.
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
    parse: impl Fn(&[u8], &mut dyn FnMut(&str) -> io::Result<Bytes>) -> Result<T, FixtureError>,
) -> Result<T, StoreError> {
    let file = folder.join(name);
    let read = || {
        read_at_most(&file, MAX_FILE_BYTES).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound if folder.join(other).is_file() => incomplete(&file),
            _ => StoreError::io("read the file", &file, error),
        })
    };
    let mut text = read()?;
    loop {
        let parsed = parse(&text, &mut |name| {
            read_own(&folder.join(name), MAX_FILE_BYTES).map(Bytes::from)
        });
        let fault = match parsed {
            Ok(message) => return Ok(message),
            Err(fault) => fault,
        };
        // A missing body file may mean that the entry was replaced meanwhile.
        let now = read()?;
        if now != text {
            text = now;
            continue;
        }
        return Err(match fault {
            FixtureError::Syntax { line, expected } => StoreError::damaged(
                Location::new(file).at_line(line),
                format!("expected {expected}"),
            ),
            FixtureError::File { name, error } => {
                StoreError::io("read the file", &folder.join(name), error)
            }
        });
    }
}

/// Returns the error of an entry that has one message only.
pub(super) fn incomplete(missing: &Path) -> StoreError {
    let reason = "incomplete entry: this file is missing; create it or delete the folder";
    StoreError::damaged(missing, reason)
}
