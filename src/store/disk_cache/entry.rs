//! One entry: a folder with two messages, and the bodies that are no text.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use bytes::Bytes;
use http::Method;

use crate::{
    Exchange, RecordedRequest, RecordedResponse, StoreError,
    format::fixture::{self, Fault, Style, Written},
};

pub(in crate::store) const REQUEST: &str = "request.http";
pub(in crate::store) const RESPONSE: &str = "response.http";
/// How the names of files with bodies begin.
const BODIES: [&str; 2] = ["request.body.", "response.body."];

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
        fs::read(&file).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound if folder.join(other).is_file() => {
                StoreError::HalfEntry { file: file.clone() }
            }
            _ => StoreError::io("read the file", &file, error),
        })
    };
    let mut text = read()?;
    loop {
        let parsed = parse(&text, &mut |name| {
            fs::read(folder.join(name)).map(Bytes::from)
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

/// An entry's files, by name; the last is the request, without which there is no entry.
pub(super) struct Files {
    files: BTreeMap<String, Bytes>,
}

impl Files {
    /// `None` if the exchange has no response.
    pub(super) fn new(exchange: &Exchange, style: Style) -> Option<Self> {
        let request = &exchange.request;
        let response = exchange.response.as_ref().ok()?;
        let mut files = BTreeMap::new();
        let mut add = |name: &str, written: Written| {
            files.insert(name.to_owned(), written.text.into());
            files.extend(written.body.map(|body| (body.name, body.content)));
        };
        add(REQUEST, fixture::write_request(request, style));
        add(
            RESPONSE,
            fixture::write_response(response, &request.method, style),
        );
        Some(Self { files })
    }

    /// Writes them into a folder, which is made.
    pub(super) fn stage(&self, folder: &Path) -> Result<(), StoreError> {
        let failed = |path: &Path, error| StoreError::Io {
            action: "write",
            path: path.to_owned(),
            source: error,
        };
        fs::create_dir(folder).map_err(|error| failed(folder, error))?;
        for (name, content) in &self.files {
            let path = folder.join(name);
            fs::write(&path, content).map_err(|error| failed(&path, error))?;
        }
        Ok(())
    }

    /// Moves what was staged to where it belongs. Whoever reads meanwhile finds the entry as it was
    /// or as it is to be.
    pub(super) fn commit(&self, staged: &Path, folder: &Path) -> Result<(), StoreError> {
        let failed = |path: &Path, error| StoreError::Io {
            action: "write the entry",
            path: path.to_owned(),
            source: error,
        };
        let parent = folder.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(|error| failed(parent, error))?;
        if !folder.exists() && fs::rename(staged, folder).is_ok() {
            return Ok(());
        }
        // There is one already, or somebody was faster: file by file, and a text after the body that
        // it names.
        fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        let (texts, bodies): (Vec<_>, Vec<_>) = self
            .files
            .iter()
            .partition(|(name, _)| [REQUEST, RESPONSE].contains(&name.as_str()));
        for (name, content) in bodies.into_iter().chain(texts) {
            let path = folder.join(name);
            // What is the same is not touched.
            if fs::read(&path).is_ok_and(|there| there == *content) {
                continue;
            }
            fs::rename(staged.join(name), &path).map_err(|error| failed(&path, error))?;
        }
        self.remove_stale(folder);
        Ok(())
    }

    /// Removes the bodies of what stood here before. It does no harm if they stay.
    fn remove_stale(&self, folder: &Path) {
        let Ok(entries) = fs::read_dir(folder) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let is_ours = name
                .to_str()
                .is_some_and(|name| self.files.contains_key(name));
            if is_body(name.as_encoded_bytes()) && !is_ours {
                let _ = fs::remove_file(entry.path());
            }
        }
    }
}

/// Where entries are written before they are moved to their places.
pub(super) struct Staging {
    folder: PathBuf,
}

impl Staging {
    const PREFIX: &str = ".tmp-";
    /// No batch is written for so long.
    const STALE: std::time::Duration = std::time::Duration::from_secs(3600);

    pub(super) fn new(base: &Path) -> Result<Self, StoreError> {
        Self::clean(base);
        let id = uuid::Uuid::new_v4().simple();
        let folder = base.join(format!("{}{id}", Self::PREFIX));
        fs::create_dir(&folder).map_err(|source| StoreError::Io {
            action: "create the folder",
            path: folder.clone(),
            source,
        })?;
        Ok(Self { folder })
    }

    pub(super) fn folder(&self, number: usize) -> PathBuf {
        self.folder.join(number.to_string())
    }

    /// Removes what a writer left that was killed.
    fn clean(base: &Path) {
        let Ok(entries) = fs::read_dir(base) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let age = entry.metadata().and_then(|metadata| metadata.modified());
            let age = age.map(|time| time.elapsed().unwrap_or_default());
            if name.as_encoded_bytes().starts_with(Self::PREFIX.as_bytes())
                && age.is_ok_and(|age| age > Self::STALE)
            {
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
