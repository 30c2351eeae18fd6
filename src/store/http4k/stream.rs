//! Writing a stream for http4k.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use futures_util::FutureExt;

use super::skipped::Skipped;
use crate::{
    message::Exchange,
    store::{
        BoxFuture, BoxStream, Replay, Sink, StoreError, blocking,
        disk::contents::{self, replay},
        files::Staging,
    },
    util::sync::lock,
};

/// Digits of a name: enough for ever, and names of one length are in the order of their numbers.
const DIGITS: usize = 10;
/// How often somebody else may be faster.
const MOST_ATTEMPTS: usize = 1000;

/// A folder that is a `ReadWriteStream.Disk` of http4k. Clones share it.
///
/// An exchange is in a folder of its own. http4k replays folders in the order of their names
/// (Replay.kt, `sortedBy`): they are numbers, `0000000001` and on, or go on from the last name that is there.
/// Folders appear whole, because http4k stops at one that is not.
///
/// What http4k could not read is not stored, but [counted](Self::skipped): exchanges that are not
/// whole, and other methods than http4k knows.
#[derive(Clone, Debug)]
pub struct Stream {
    folder: Arc<Path>,
    /// The last name.
    last: Arc<Mutex<Option<String>>>,
    /// Whether what is made beside the folder cannot be moved into it.
    is_apart: Arc<AtomicBool>,
    skipped: Arc<Skipped>,
}

impl Stream {
    /// The stream in this folder, whether it exists or not.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into().into(),
            last: Arc::default(),
            is_apart: Arc::default(),
            skipped: Arc::default(),
        }
    }

    /// How many exchanges were not stored, because http4k could not read them. The first is told
    /// through `tracing`.
    pub fn skipped(&self) -> usize {
        self.skipped.count()
    }

    fn write(&self, exchanges: &[Arc<Exchange>]) -> Result<(), StoreError> {
        let mut last = lock(&self.last);
        contents::create(&self.folder)?;
        let mut staging = self.staging()?;
        for (number, exchange) in exchanges.iter().enumerate() {
            let Some((_, files)) = self.skipped.files(exchange) else {
                continue;
            };
            let staged = staging.folder(number);
            files.stage(&staged)?;
            let put = self.put(&staged, last.take());
            let is_apart = |source: &io::Error| source.kind() == io::ErrorKind::CrossesDevices;
            *last = Some(match put {
                Err(StoreError::Io { source, .. }) if is_apart(&source) => {
                    self.is_apart.store(true, Ordering::Relaxed);
                    staging = self.staging()?;
                    let staged = staging.folder(number);
                    files.stage(&staged)?;
                    self.put(&staged, None)?
                }
                put => put?,
            });
        }
        Ok(())
    }

    /// Beside the folder, because http4k reads whatever is in it.
    fn staging(&self) -> Result<Staging, StoreError> {
        let folder = fs::canonicalize(&self.folder).ok();
        let beside = folder.as_ref().and_then(|folder| folder.parent());
        if let Some(beside) = beside
            && !self.is_apart.load(Ordering::Relaxed)
            && let Ok(staging) = Staging::new(beside)
        {
            return Ok(staging);
        }
        // The folder is all that can be written, or a file system of its own.
        Staging::new(&self.folder)
    }

    /// Gives what was staged the next name.
    fn put(&self, staged: &Path, mut last: Option<String>) -> Result<String, StoreError> {
        let mut failed = None;
        for _ in 0..MOST_ATTEMPTS {
            let before = match last.take() {
                Some(name) => Some(name),
                None => self.last_name()?,
            };
            let name = before.map_or_else(|| format!("{:0DIGITS$}", 1), |name| after(&name));
            let path = self.folder.join(&name);
            // Somebody else may have taken the name: the list is read again.
            if path.exists() {
                continue;
            }
            match fs::rename(staged, &path) {
                Ok(()) => return Ok(name),
                Err(error) => {
                    let is_hopeless = error.kind() == io::ErrorKind::CrossesDevices;
                    failed = Some(error);
                    if is_hopeless {
                        break;
                    }
                }
            }
        }
        Err(StoreError::Io {
            action: "write the folder of an exchange",
            path: self.folder.to_path_buf(),
            source: failed.unwrap_or_else(|| io::ErrorKind::AlreadyExists.into()),
        })
    }

    fn last_name(&self) -> Result<Option<String>, StoreError> {
        let failed = |error| StoreError::io("list the folder", &self.folder, error);
        let mut last = None;
        for item in fs::read_dir(&self.folder).map_err(failed)? {
            let name = item.map_err(failed)?.file_name();
            let name = name.to_string_lossy().into_owned();
            if !name.starts_with('.') {
                last = last.max(Some(name));
            }
        }
        Ok(last)
    }
}

/// A name that comes after another: the next number, where it has one of as many digits.
fn after(name: &str) -> String {
    let own = name
        .rsplit_once('-')
        .filter(|(_, number)| number.len() == DIGITS);
    if let Some((before, number)) = own
        && let Some(next) = next(number)
    {
        return format!("{before}-{next}");
    }
    let digits = name.bytes().take_while(u8::is_ascii_digit).count();
    match next(&name[..digits]) {
        Some(next) => next,
        None => format!("{name}-{:0DIGITS$}", 1),
    }
}

fn next(number: &str) -> Option<String> {
    let next = number.parse::<u128>().ok()?.checked_add(1)?;
    let next = format!("{next:0width$}", width = number.len());
    (next.len() == number.len() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(next)
}

impl Sink for Stream {
    fn store(&self, exchanges: Vec<Arc<Exchange>>) -> BoxFuture<'_, Result<(), StoreError>> {
        let this = self.clone();
        blocking(move || this.write(&exchanges)).boxed()
    }
}

impl Replay for Stream {
    /// In the order of the folders' names. A folder that does not exist is an error here.
    fn replay(&self) -> BoxStream<'static, Result<Exchange, StoreError>> {
        replay(self.folder.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_go_on() {
        for (name, expected) in [
            ("0000000001", "0000000002"),
            ("0000000009", "0000000010"),
            ("9", "9-0000000001"),
            ("9-0000000001", "9-0000000002"),
            ("recorded", "recorded-0000000001"),
            (
                "1234567890123456f0b1-11ee-8c90-0242ac120002",
                "1234567890123457",
            ),
            ("a-9999999999", "a-9999999999-0000000001"),
            ("", "-0000000001"),
        ] {
            assert_eq!(after(name), expected);
            assert!(after(name).as_str() > name);
        }
    }
}
