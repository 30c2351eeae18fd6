//! Repair of WARC files whose writer was killed: finds a torn tail, and cuts it off.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use super::{Repair, segment::PREFIX};
use crate::store::access::Access;

const TORN: &str = "torn";

/// Cuts off a torn tail, and describes it. Returns `None` if the file is still being written.
pub(super) fn repair(path: &Path, offset: u64, len: u64) -> Option<Repair> {
    let cut = match cut(path, offset, len) {
        Ok(true) => true,
        Ok(false) => return None,
        Err(error) => {
            tracing::debug!(path = %path.display(), %error, "torn tail left in place");
            false
        }
    };
    let repair = Repair {
        file: path.to_owned(),
        offset,
        bytes: len - offset,
        cut,
    };
    tracing::warn!(
        file = %path.display(), offset, bytes = repair.bytes, cut,
        "torn tail found: the writer of the file was killed",
    );
    Some(repair)
}

/// Describes a torn tail, without changing the file. Returns `None` if the file is still being
/// written.
pub(super) fn find(path: &Path, offset: u64, len: u64) -> Option<Repair> {
    let file = File::open(path).ok()?;
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        return None;
    }
    let is_as_read = file.metadata().is_ok_and(|now| now.len() == len);
    is_as_read.then(|| Repair {
        file: path.to_owned(),
        offset,
        bytes: len - offset,
        cut: false,
    })
}

/// Cuts off a torn tail. Returns false if a writer has the file open, or has appended to it since.
fn cut(path: &Path, offset: u64, len: u64) -> io::Result<bool> {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    if !name.starts_with(PREFIX.as_bytes()) {
        return Err(io::Error::other("files of other tools are never changed"));
    }
    let file = OpenOptions::new().write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    if file.metadata()?.len() != len {
        return Ok(false);
    }
    move_tail(path, &file, offset, &torn_file(path))?;
    Ok(true)
}

/// Moves the bytes from `offset` on to the file `torn`. They are kept, because a wrong length near
/// the end looks like a torn tail.
pub(in crate::store) fn move_tail(
    path: &Path,
    file: &File,
    offset: u64,
    torn: &Path,
) -> io::Result<()> {
    let mut tail = File::open(path)?;
    tail.seek(SeekFrom::Start(offset))?;
    let mut kept = Access::default().replace(torn)?;
    io::copy(&mut tail, &mut kept)?;
    kept.sync_all()?;
    file.set_len(offset)
}

/// Returns the path of the file to which a torn tail is moved: `traffic-....warc.torn`.
fn torn_file(path: &Path) -> PathBuf {
    path.with_added_extension(TORN)
}
