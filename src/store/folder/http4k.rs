//! Reads a folder of http4k: one exchange, in one or two messages.

use std::{io, path::Path, time::SystemTime};

use super::fixture::incomplete;
use crate::{
    format::{http_text::with_length, http4k},
    message::{Exchange, NoResponse, whole_body},
    store::{StoreError, atomic_dir::read_regular},
};

pub(super) const REQUEST: &str = "request.txt";
pub(super) const RESPONSE: &str = "response.txt";

/// Whether `name` is a SHA-1 in base64, with `_` for the path separator (internal.kt, `toFolder`).
pub(super) fn is_digest(name: &[u8]) -> bool {
    name.len() == 28
        && name.strip_suffix(b"=").is_some_and(|digits| {
            digits
                .iter()
                .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'_' | b'/'))
        })
}

/// Reads an exchange, without a response if http4k was configured to store none.
pub(super) fn read(folder: &Path) -> Result<Exchange, StoreError> {
    let file = folder.join(REQUEST);
    let Some(text) = read_file(&file)? else {
        return Err(if folder.join(RESPONSE).is_file() {
            incomplete(&file)
        } else {
            StoreError::NotFound {
                location: file.into(),
            }
        });
    };
    let request =
        http4k::read_request(&text).map_err(|reason| StoreError::damaged(&file, reason))?;
    let file = folder.join(RESPONSE);
    let mut exchange = if let Some(text) = read_file(&file)? {
        let mut response =
            http4k::read_response(&text).map_err(|reason| StoreError::damaged(&file, reason))?;
        let len = response.body.len();
        if !whole_body::has_length_of_get(&request.method, response.status, len == 0) {
            response.headers = with_length(response.headers.iter(), len);
        }
        Exchange::new(request, response)
    } else {
        let why = format!("{}: file not found", file.display());
        Exchange::without_response(request, NoResponse::Failed(why))
    };
    exchange.began = SystemTime::UNIX_EPOCH;
    Ok(exchange)
}

fn read_file(file: &Path) -> Result<Option<Vec<u8>>, StoreError> {
    match read_regular(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::io("read the file", file, error)),
    }
}
