//! The open segment of a spool.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::PathBuf,
    sync::Arc,
};

use super::{
    folder::{FileKind, SpoolFolder},
    name::SegmentName,
};
use crate::{
    format::warc::Writer,
    message::Exchange,
    store::{StoreError, access::Access},
};

/// The size at which the buffer is written to the file; it fits into the processor's cache.
const WRITE_BUFFER: usize = 128 << 10;
/// The maximum capacity of a buffer that is kept after a large body.
const KEPT_BUFFER: usize = 1 << 20;

/// The uncompressed file to which exchanges are appended.
pub(super) struct OpenSegment {
    pub(super) name: SegmentName,
    pub(super) len: u64,
    /// Whether the segment has no exchanges.
    pub(super) is_empty: bool,
    /// Whether the file may end within an exchange.
    pub(super) is_torn: bool,
    path: PathBuf,
    file: File,
    format: Writer,
}

impl OpenSegment {
    pub(super) fn create(folder: &SpoolFolder, name: SegmentName) -> Result<Self, StoreError> {
        let path = folder.file(&name, FileKind::Plain);
        let failed = |error| StoreError::io("create the file", &path, error);
        let mut file = Access::default()
            .options()
            .append(true)
            .create_new(true)
            .open(&path)
            .map_err(failed)?;
        let format = Writer::new();
        let mut opening = Vec::new();
        format.open(&mut opening, &name.object());
        if let Err(error) = file.write_all(&opening) {
            // On a full disk every attempt would leave an empty file.
            let _ = fs::remove_file(&path);
            return Err(failed(error));
        }
        Ok(Self {
            name,
            len: opening.len() as u64,
            is_empty: true,
            is_torn: false,
            path,
            file,
            format,
        })
    }

    /// Whether the file exists.
    pub(super) fn is_there(&self) -> bool {
        self.path.exists()
    }

    /// Appends exchanges, all or none; false if they need more than `room` bytes.
    pub(super) fn append(
        &mut self,
        exchanges: &[Arc<Exchange>],
        buffer: &mut Vec<u8>,
        room: u64,
    ) -> Result<bool, StoreError> {
        let before = self.len;
        let appended = self.try_append(exchanges, buffer, before.saturating_add(room));
        if let Ok(true) = appended {
            self.is_empty = false;
        } else {
            buffer.clear();
            self.len = before;
            self.is_torn = self.file.set_len(before).is_err();
        }
        appended.map_err(|error| StoreError::io("append to the file", &self.path, error))
    }

    fn try_append(
        &mut self,
        exchanges: &[Arc<Exchange>],
        buffer: &mut Vec<u8>,
        max_len: u64,
    ) -> io::Result<bool> {
        for exchange in exchanges {
            self.format.exchange(buffer, exchange);
            if self.len + buffer.len() as u64 > max_len {
                return Ok(false);
            }
            if buffer.len() >= WRITE_BUFFER {
                self.write(buffer)?;
            }
        }
        self.write(buffer)?;
        Ok(true)
    }

    /// Makes all further writes and truncations fail.
    #[cfg(all(test, target_os = "linux"))]
    pub(super) fn break_file(&mut self) {
        let full = std::fs::OpenOptions::new().append(true).open("/dev/full");
        self.file = full.unwrap();
    }

    fn write(&mut self, buffer: &mut Vec<u8>) -> io::Result<()> {
        self.file.write_all(buffer)?;
        self.len += buffer.len() as u64;
        if buffer.capacity() > KEPT_BUFFER {
            *buffer = Vec::new();
        }
        buffer.clear();
        Ok(())
    }
}
