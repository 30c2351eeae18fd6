//! One file of a recording: appending to it, and reading it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufReader, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::Arc,
    time::SystemTime,
};

use uuid::Uuid;

use super::{Disk, Repair, contents};
use crate::{
    format::warc::{Depth, Encoder, Item, Reader},
    message::Exchange,
    store::{Compression, StoreError},
};

/// How the names of the files that are read end.
const EXTENSIONS: [&str; 3] = [".warc", ".warc.gz", ".warc.zst"];
const TORN: &str = "torn";
/// How the names of this crate's files begin.
const PREFIX: &str = "traffic-";
const READ_BUFFER: usize = 256 << 10;
const LOOKUP_BUFFER: usize = 8 << 10;
/// Written when it is this full: small enough to stay in the processor's cache until it is copied.
const WRITE_BUFFER: usize = 128 << 10;
/// A buffer that grew beyond this for one large body is given back.
const KEPT_BUFFER: usize = 1 << 20;

/// Whether a file of this name is read.
pub(super) fn is_segment(name: &[u8]) -> bool {
    EXTENSIONS
        .iter()
        .any(|end| name.ends_with(end.as_bytes()) && name.len() > end.len())
}

/// Appends to the recording's files, the current one and those that follow it.
#[derive(Default)]
pub(super) struct Appender {
    segment: Option<Segment>,
    /// Tells this writer's files from those of others.
    name: Option<String>,
    number: u32,
    buffer: Vec<u8>,
}

struct Segment {
    path: Arc<Path>,
    file: File,
    len: u64,
    format: Encoder,
}

impl Appender {
    /// Appends exchanges, all or none; says to which file, and where in it each begins.
    pub(super) fn append(
        &mut self,
        disk: &Disk,
        exchanges: Vec<Arc<Exchange>>,
    ) -> Result<(Arc<Path>, Vec<u64>), StoreError> {
        // A file that was deleted would take everything and keep nothing.
        let segment = match self.segment.take() {
            Some(segment)
                if segment.len < disk.segment_size
                    && !segment.format.has_learned()
                    && segment.path.exists() =>
            {
                segment
            }
            before => self.create(disk, before)?,
        };
        let segment = self.segment.insert(segment);
        let before = segment.len;
        match segment.append(exchanges, &mut self.buffer) {
            Ok(offsets) => Ok((segment.path.clone(), offsets)),
            Err(error) => {
                let error = StoreError::io("append to the file", &segment.path, error);
                segment.len = before;
                self.buffer.clear();
                // Part of the batch may stand there now. If it cannot be taken back, the file ends
                // with a torn tail, and the next batch begins another.
                if segment.file.set_len(before).is_err() {
                    self.segment = None;
                }
                Err(error)
            }
        }
    }

    fn create(&mut self, disk: &Disk, before: Option<Segment>) -> Result<Segment, StoreError> {
        let folder = &*disk.folder;
        contents::create(folder)?;
        let mut format = match before {
            Some(mut before) => before.format.next(disk.compression),
            None => first_encoder(folder, disk.compression),
        }
        .map_err(|error| StoreError::io("compress into the folder", folder, error))?;
        let name = self.name.get_or_insert_with(writer_name);
        self.number += 1;
        let file_name = format!("{name}-{:05}.{}", self.number, disk.compression.extension());
        let path = folder.join(&file_name);
        let failed = |error| StoreError::io("create the file", &path, error);
        let mut file = OpenOptions::new()
            .append(true)
            .create_new(true)
            .open(&path)
            .map_err(failed)?;
        // Held as long as the file is written: it tells a reader not to repair what is not torn.
        // Where a file system has no locks, no reader can take one either, and so none repairs.
        let _ = file.lock();
        let mut opening = Vec::new();
        let opened = format.open(&mut opening, &file_name);
        if let Err(error) = opened.and_then(|()| file.write_all(&opening)) {
            // On a full disk there would otherwise be another empty file with every attempt.
            let _ = fs::remove_file(&path);
            return Err(failed(error));
        }
        Ok(Segment {
            path: path.into(),
            file,
            len: opening.len() as u64,
            format,
        })
    }
}

impl Segment {
    /// Appends exchanges, and says where each begins.
    fn append(
        &mut self,
        exchanges: Vec<Arc<Exchange>>,
        buffer: &mut Vec<u8>,
    ) -> io::Result<Vec<u64>> {
        let mut offsets = Vec::with_capacity(exchanges.len());
        for exchange in exchanges {
            offsets.push(self.len + buffer.len() as u64);
            self.format.exchange(buffer, &exchange)?;
            if buffer.len() >= WRITE_BUFFER {
                self.write(buffer)?;
            }
        }
        self.write(buffer)?;
        Ok(offsets)
    }

    fn write(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        let written = self.file.write_all(buffer);
        self.len += buffer.len() as u64;
        if buffer.capacity() > KEPT_BUFFER {
            *buffer = Vec::new();
        }
        buffer.clear();
        written
    }
}

/// What encodes the first file of a writer.
fn first_encoder(folder: &Path, compression: Compression) -> io::Result<Encoder> {
    #[cfg(feature = "zstd")]
    if compression == Compression::Zstd
        && let Some(encoder) = encoder_beside_the_last(folder)
    {
        return Ok(encoder);
    }
    #[cfg(not(feature = "zstd"))]
    let _ = folder;
    Encoder::new(compression)
}

/// One that knows what the folder's last compressed file of this crate knew.
#[cfg(feature = "zstd")]
fn encoder_beside_the_last(folder: &Path) -> Option<Encoder> {
    let is_ours = |name: &std::ffi::OsString| {
        let name = name.as_encoded_bytes();
        name.starts_with(PREFIX.as_bytes()) && name.ends_with(b".zst")
    };
    let names = fs::read_dir(folder)
        .ok()?
        .flatten()
        .map(|file| file.file_name());
    let last = names.filter(is_ours).max()?;
    let file = File::open(folder.join(last)).ok()?;
    let end = file.metadata().ok()?.len();
    Encoder::zstd_beside(BufReader::new(file), end).ok()
}

/// `traffic-20261120T235959Z-1a2b3c4d`: the files of one writer stand together, writers by age.
fn writer_name() -> String {
    let start = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
    let id = Uuid::new_v4().simple().to_string();
    format!("{PREFIX}{}-{}", start.replace(['-', ':'], ""), &id[..8])
}

/// What a file contains, in order.
pub(in crate::store) enum Event {
    /// An exchange, and where it begins.
    Exchange(u64, Box<Exchange>),
    /// An exchange in a file that is compressed as a whole: it has no place to be read from.
    Unplaced(Box<Exchange>),
    /// A part that cannot be read.
    Skipped(StoreError),
    /// A torn tail.
    Repaired(Repair),
}

/// Reads a file until its end, or until `on_event` returns false.
pub(in crate::store) fn read(
    path: &Path,
    depth: Depth,
    on_event: impl FnMut(Event) -> bool,
) -> Result<(), StoreError> {
    read_with(path, depth, repair, on_event)
}

/// Reads a file as `read` does, and changes nothing: a torn tail is skipped.
pub(in crate::store) fn examine(
    path: &Path,
    mut on_event: impl FnMut(Event) -> bool,
) -> Result<(), StoreError> {
    read_with(path, Depth::Whole, find_torn, |event| {
        on_event(match event {
            Event::Repaired(torn) => {
                let reason = format!(
                    "the file ends within this exchange, after {} bytes",
                    torn.bytes
                );
                Event::Skipped(StoreError::corrupt(path, torn.offset, reason))
            }
            event => event,
        })
    })
}

fn read_with(
    path: &Path,
    depth: Depth,
    torn: fn(&Path, u64, u64) -> Option<Repair>,
    mut on_event: impl FnMut(Event) -> bool,
) -> Result<(), StoreError> {
    let failed = |error| StoreError::io("read the file", path, error);
    let file = File::open(path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    let mut reader =
        Reader::new(BufReader::with_capacity(READ_BUFFER, file), len).map_err(failed)?;
    while let Some(item) = reader.next(depth).map_err(failed)? {
        let event = match item {
            Item::Exchange(offset, exchange) => Event::Exchange(offset, exchange),
            Item::Within(exchange) => Event::Unplaced(exchange),
            Item::Bad(offset, reason) => {
                let error = StoreError::corrupt(path, offset, reason);
                tracing::warn!(%error, "a part of a recording cannot be read");
                Event::Skipped(error)
            }
            Item::Torn(offset) => match torn(path, offset, len) {
                Some(repair) => Event::Repaired(repair),
                None => continue,
            },
        };
        if !on_event(event) {
            break;
        }
    }
    Ok(())
}

/// Cuts a torn tail off; `None` if it is none, because the file is still being written.
fn repair(path: &Path, offset: u64, len: u64) -> Option<Repair> {
    let cut = match cut(path, offset, len) {
        Ok(true) => true,
        Ok(false) => return None,
        Err(error) => {
            tracing::debug!(path = %path.display(), %error, "a torn tail stays where it is");
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
        "the last exchange in a file of the recording is torn: its writer was killed",
    );
    Some(repair)
}

/// A torn tail, left where it is; `None` if it is none, because the file is still being written.
fn find_torn(path: &Path, offset: u64, len: u64) -> Option<Repair> {
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

/// False if the file has a writer, or had one until after it was read.
fn cut(path: &Path, offset: u64, len: u64) -> io::Result<bool> {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    if !name.starts_with(PREFIX.as_bytes()) {
        return Err(io::Error::other("another tool's file is never changed"));
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
    // A wrong length near the end of a file looks just the same, so what is cut is kept.
    let mut tail = File::open(path)?;
    tail.seek(SeekFrom::Start(offset))?;
    let mut kept = File::create(torn_file(path))?;
    io::copy(&mut tail, &mut kept)?;
    file.set_len(offset)?;
    Ok(true)
}

/// Where a torn tail is kept: `traffic-....warc.torn`.
fn torn_file(path: &Path) -> PathBuf {
    path.with_added_extension(TORN)
}

/// Reads the exchange that begins at an offset.
pub(super) fn read_at(path: &Path, offset: u64) -> Result<Arc<Exchange>, StoreError> {
    let failed = |error| StoreError::io("read the file", path, error);
    let mut file = File::open(path).map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    file.seek(SeekFrom::Start(offset)).map_err(failed)?;
    let input = BufReader::with_capacity(LOOKUP_BUFFER, file);
    let item = Reader::new(input, len)
        .and_then(|mut reader| reader.next(Depth::Whole))
        .map_err(failed)?;
    match item {
        Some(Item::Exchange(_, exchange) | Item::Within(exchange)) => Ok(Arc::from(exchange)),
        Some(Item::Bad(_, reason)) => Err(StoreError::corrupt(path, offset, reason)),
        Some(Item::Torn(_)) | None => Err(StoreError::corrupt(
            path,
            offset,
            "the file has become shorter",
        )),
    }
}
