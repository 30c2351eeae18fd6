//! From a plain segment to a compressed one.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, BufWriter, Seek, SeekFrom},
    path::Path,
    thread,
};

use super::{
    folder::{Folder, Kind},
    name::Name,
};
use crate::{
    format::warc::{Depth, Item, Reader, pack_gzip},
    store::StoreError,
};

const BUFFER: usize = 256 << 10;

/// Cuts what its writer, which was killed, did not finish, and keeps that beside it
/// (`....warc.torn`). Says whether there is an exchange in it.
pub(super) fn repair(folder: &Folder, name: &Name) -> Result<bool, StoreError> {
    let path = folder.file(name, Kind::Plain);
    let failed = |error| StoreError::io("read the file", &path, error);
    let file = File::open(&path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    let input = BufReader::with_capacity(BUFFER, file);
    let mut reader = Reader::new(input, len).map_err(failed)?;
    let mut has_any = false;
    while let Some(item) = reader.next(Depth::Lookup).map_err(failed)? {
        match item {
            Item::Torn(offset) => {
                cut(&path, &folder.file(name, Kind::Torn), offset).map_err(|error| {
                    StoreError::io("cut the torn end of the file", &path, error)
                })?;
                tracing::warn!(
                    file = %path.display(), offset, bytes = len - offset,
                    "the last exchange in a file of the spool is torn: its writer was killed",
                );
            }
            // Something unreadable is not thrown away either.
            _ => has_any = true,
        }
    }
    Ok(has_any)
}

fn cut(path: &Path, torn: &Path, offset: u64) -> io::Result<()> {
    let mut tail = File::open(path)?;
    tail.seek(SeekFrom::Start(offset))?;
    let mut kept = File::create(torn)?;
    io::copy(&mut tail, &mut kept)?;
    kept.sync_all()?;
    OpenOptions::new().write(true).open(path)?.set_len(offset)
}

/// Makes the compressed file of a plain one, which is deleted then; gives its size.
///
/// It is made under another name: under its own there is only ever a whole one.
pub(super) fn pack(folder: &Folder, name: &Name) -> io::Result<u64> {
    let plain = folder.file(name, Kind::Plain);
    let part = folder.file(name, Kind::Part);
    let input = BufReader::with_capacity(BUFFER, File::open(&plain)?);
    let mut output = BufWriter::with_capacity(BUFFER, File::create(&part)?);
    let packed = pack_gzip(input, &mut output).and_then(|()| {
        let file = output
            .into_inner()
            .map_err(io::IntoInnerError::into_error)?;
        // The plain file goes next, and a power cut must not take both.
        file.sync_all()?;
        Ok(file.metadata()?.len())
    });
    if packed.is_err() {
        let _ = fs::remove_file(&part);
    }
    let size = packed?;
    fs::rename(&part, folder.file(name, Kind::Packed))?;
    fs::remove_file(&plain)?;
    Ok(size)
}

/// Runs a call on a thread of its own, which the system lets run only when others do not need the
/// processor. A thread that was made so cannot be changed back, hence one for each call.
pub(super) fn in_the_background<T: Send>(call: impl FnOnce() -> T + Send) -> io::Result<T> {
    thread::scope(|scope| {
        let run = || {
            yield_to_others();
            call()
        };
        let thread = thread::Builder::new()
            .name("tower-traffic-pack".to_owned())
            .spawn_scoped(scope, run)?;
        thread
            .join()
            .map_err(|_| io::Error::other("packing a segment panicked"))
    })
}

/// On Linux, niceness is a thread's; elsewhere a process's, which is not ours to change.
fn yield_to_others() {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    if let Err(error) = rustix::process::setpriority_process(None, 19) {
        tracing::debug!(%error, "segments are packed at the usual priority");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::getpriority_process;

    use super::*;

    #[test]
    fn only_the_thread_in_the_background_yields() {
        let before = getpriority_process(None).unwrap();
        let inside = in_the_background(|| getpriority_process(None).unwrap());
        assert_eq!(inside.unwrap(), 19);
        assert_eq!(getpriority_process(None).unwrap(), before);
    }
}
