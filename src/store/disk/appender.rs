//! The writer of WARC files in a folder.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    sync::Arc,
    time::SystemTime,
};

use uuid::Uuid;

use super::Disk;
use crate::{
    format::warc::Encoder,
    message::Exchange,
    store::{Compression, StoreError, folder::segment::PREFIX},
    util::time::timestamp,
};

/// The size at which the buffer is written to the file; it fits into the processor's cache.
const WRITE_BUFFER: usize = 128 << 10;
/// The maximum capacity of a buffer that is kept after a large body.
const KEPT_BUFFER: usize = 1 << 20;

/// Appends exchanges to the current file, and begins new files.
#[derive(Default)]
pub(super) struct Appender {
    segment: Option<Segment>,
    /// The prefix of this writer's file names.
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
    /// Appends all exchanges, or none if that fails. Returns the file, and the offset of each
    /// exchange.
    pub(super) fn append(
        &mut self,
        disk: &Disk,
        exchanges: Vec<Arc<Exchange>>,
    ) -> Result<(Arc<Path>, Vec<u64>), StoreError> {
        // Exchanges appended to a deleted file would be lost.
        let segment = match self.segment.take() {
            Some(segment)
                if segment.len < disk.max_segment_bytes
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
                // Remove a partly written batch. If that fails, the file keeps a torn tail, and the
                // next batch begins a new file.
                if segment.file.set_len(before).is_err() {
                    self.segment = None;
                }
                Err(error)
            }
        }
    }

    fn create(&mut self, disk: &Disk, before: Option<Segment>) -> Result<Segment, StoreError> {
        let folder = disk.folder.path();
        disk.folder.create()?;
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
        let access = disk.folder.access;
        let mut file = access
            .options()
            .append(true)
            .create_new(true)
            .open(&path)
            .map_err(failed)?;
        let created = file.metadata().map_err(failed)?;
        if let Err(error) = access.check_owner(folder, &created) {
            let _ = fs::remove_file(&path);
            return Err(failed(error));
        }
        // Held while the file is written, so that readers do not repair it. On a file system
        // without locks, readers cannot lock the file either, and never repair it.
        let _ = file.lock();
        let mut opening = Vec::new();
        let opened = format.open(&mut opening, &file_name);
        if let Err(error) = opened.and_then(|()| file.write_all(&opening)) {
            // On a full disk every attempt would leave an empty file.
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
    /// Appends exchanges and returns their offsets.
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

/// Returns the encoder for the first file of a writer.
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

/// Returns an encoder with the dictionary of the last compressed file in `folder` that this crate
/// wrote; `None` if there is no such file, or it cannot be read.
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
    Encoder::zstd_beside(io::BufReader::new(file), end).ok()
}

/// Returns a new prefix of file names, such as `traffic-20261120T235959Z-1a2b3c4d`: it sorts files
/// by writer, and writers by age.
fn writer_name() -> String {
    let start = format!("{:.0}", timestamp(SystemTime::now()));
    let id = Uuid::new_v4().simple().to_string();
    format!("{PREFIX}{}-{}", start.replace(['-', ':'], ""), &id[..8])
}
