//! Compression of segments, in the background.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, BufWriter},
    thread,
};

use super::{
    folder::{FileKind, SpoolFolder},
    name::SegmentName,
};
use crate::{
    format::warc::{Depth, Reader, SegmentItem, pack_gzip},
    store::{StoreError, access::Access, folder::torn_tail::move_tail},
};

const BUFFER: usize = 256 << 10;

/// Moves the torn tail of a killed writer to a file beside the segment (`....warc.torn`). Returns
/// whether the segment has an exchange.
pub(super) fn repair(folder: &SpoolFolder, name: &SegmentName) -> Result<bool, StoreError> {
    let path = folder.file(name, FileKind::Plain);
    let failed = |error| StoreError::io("read the file", &path, error);
    let file = File::open(&path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    let input = BufReader::with_capacity(BUFFER, file);
    let mut reader = Reader::new(input, len).map_err(failed)?;
    let mut has_any = false;
    while let Some(item) = reader.next(Depth::Lookup).map_err(failed)? {
        match item {
            SegmentItem::Torn(offset) => {
                let torn = folder.file(name, FileKind::Torn);
                let opened = OpenOptions::new().write(true).open(&path);
                opened
                    .and_then(|file| move_tail(&path, &file, offset, &torn))
                    .map_err(|error| {
                        StoreError::io("cut the torn tail of the file", &path, error)
                    })?;
                tracing::warn!(
                    file = %path.display(), offset, bytes = len - offset,
                    "torn tail found in the spool: the writer of the file was killed",
                );
            }
            // Unreadable records are kept too.
            _ => has_any = true,
        }
    }
    Ok(has_any)
}

/// Compresses a plain file, deletes it, and returns the size of the compressed file.
///
/// The compressed file gets its final name when it is complete.
pub(super) fn pack(folder: &SpoolFolder, name: &SegmentName) -> io::Result<u64> {
    let plain = folder.file(name, FileKind::Plain);
    let part = folder.file(name, FileKind::Part);
    let input = BufReader::with_capacity(BUFFER, File::open(&plain)?);
    let mut output = BufWriter::with_capacity(BUFFER, Access::default().replace(&part)?);
    let packed = pack_gzip(input, &mut output).and_then(|()| {
        let file = output
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        // A power cut must not lose both files.
        file.sync_all()?;
        Ok(file.metadata()?.len())
    });
    if packed.is_err() {
        let _ = fs::remove_file(&part);
    }
    let size = packed?;
    fs::rename(&part, folder.file(name, FileKind::Packed))?;
    fs::remove_file(&plain)?;
    Ok(size)
}

/// Runs `call` on a new thread with the lowest priority. A thread cannot raise its priority again,
/// hence one thread for each call.
pub(super) fn in_the_background<T: Send>(call: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let run = || {
            lower_priority();
            call()
        };
        let thread = thread::Builder::new()
            .name("tower-traffic-pack".to_owned())
            .spawn_scoped(scope, run)?;
        thread
            .join()
            .map_err(|_| io::Error::other("compressing a segment panicked"))
    })
}

/// Lowers the priority of this thread. Only Linux has a priority per thread; elsewhere this would
/// change the whole process.
fn lower_priority() {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) = rustix::process::setpriority_process(None, 19) {
        tracing::debug!(%error, "segments are compressed at normal priority");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

    #[test]
    fn only_the_background_thread_has_low_priority() {
        let before = getpriority_process(None).unwrap();
        let inside = in_the_background(|| getpriority_process(None).unwrap());
        assert_eq!(inside.unwrap(), 19);
        assert_eq!(getpriority_process(None).unwrap(), before);
    }
}
