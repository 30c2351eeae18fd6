//! The writer of WARC files in a folder.

use std::{
    fs::{self, File, OpenOptions},
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

/// Written when it is this full: small enough to stay in the processor's cache until it is copied.
const WRITE_BUFFER: usize = 128 << 10;
/// A buffer that grew beyond this for one large body is given back.
const KEPT_BUFFER: usize = 1 << 20;

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
    Encoder::zstd_beside(io::BufReader::new(file), end).ok()
}

/// `traffic-20261120T235959Z-1a2b3c4d`: the files of one writer stand together, writers by age.
fn writer_name() -> String {
    let start = format!("{:.0}", timestamp(SystemTime::now()));
    let id = Uuid::new_v4().simple().to_string();
    format!("{PREFIX}{}-{}", start.replace(['-', ':'], ""), &id[..8])
}
