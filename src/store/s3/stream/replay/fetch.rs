//! Reads an object while it is fetched, with seeking.

use std::{
    collections::VecDeque,
    io::{self, BufRead, Read, Seek, SeekFrom},
    sync::Arc,
};

use bytes::{Buf, Bytes};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
};

use crate::store::{
    S3Problem, StoreError,
    s3::objects::{Objects, is_transient},
};

/// The maximum number of bytes of a segment that are fetched in advance. This is all of most
/// segments, so that a slow reader does not block a connection.
const AHEAD: u32 = 8 << 20;

/// The number of bytes behind the reader that stay buffered, because a reader that finds damage
/// seeks back.
const BEHIND: usize = 1 << 20;

/// The maximum number of resumes without progress.
const MAX_RESUMES: u32 = 2;

/// The maximum number of new requests for a segment because its reader seeks back behind the
/// buffer.
const MAX_REFETCHES: u32 = 1000;

/// An object that is being fetched.
pub(super) struct Fetching {
    object: Object,
    pieces: mpsc::UnboundedReceiver<Piece>,
}

#[derive(Clone)]
struct Object {
    objects: Objects,
    key: String,
    size: u64,
    runtime: Handle,
}

/// A chunk of the object, with the room in the buffer that it occupies until it is read.
type Piece = Result<(Bytes, OwnedSemaphorePermit), StoreError>;

impl Fetching {
    pub(super) fn begin(objects: Objects, key: String, size: u64, runtime: Handle) -> Self {
        let object = Object {
            objects,
            key,
            size,
            runtime,
        };
        Self {
            pieces: object.fetch(0),
            object,
        }
    }
}

impl Object {
    /// Fetches the object from offset `from`.
    fn fetch(&self, from: u64) -> mpsc::UnboundedReceiver<Piece> {
        let (sender, pieces) = mpsc::unbounded_channel();
        let object = self.clone();
        self.runtime.spawn(async move {
            let gone = sender.clone();
            tokio::select! {
                error = object.send(from, &sender) => {
                    if let Err(error) = error {
                        let _ = sender.send(Err(error));
                    }
                }
                () = gone.closed() => {}
            }
        });
        pieces
    }

    async fn send(
        &self,
        mut from: u64,
        pieces: &mpsc::UnboundedSender<Piece>,
    ) -> Result<(), StoreError> {
        let room = Arc::new(Semaphore::new(AHEAD as usize));
        let mut resumed = 0;
        while from < self.size {
            let broken = match self.objects.get_from(&self.key, from).await {
                Ok(mut download) => loop {
                    match download.chunk().await {
                        Ok(Some(chunk)) => {
                            from += chunk.len() as u64;
                            resumed = 0;
                            let count = u32::try_from(chunk.len()).unwrap_or(AHEAD).min(AHEAD);
                            let permit = room.clone().acquire_many_owned(count).await;
                            let Ok(permit) = permit else { return Ok(()) };
                            if pieces.send(Ok((chunk, permit))).is_err() {
                                return Ok(());
                            }
                        }
                        // A body without a stated length looks complete when it is cut.
                        Ok(None) if from < self.size => {
                            let detail = format!("{from} of {} bytes", self.size);
                            let problem = S3Problem::Transient;
                            break self.objects.error("read", &self.key, problem, detail);
                        }
                        Ok(None) => return Ok(()),
                        Err(error) => break error,
                    }
                },
                // The request has no attempts left.
                Err(error) => return Err(error),
            };
            resumed += 1;
            if resumed > MAX_RESUMES || !is_transient(&broken) {
                return Err(broken);
            }
            tracing::debug!(error = %broken, from, "download interrupted; resuming");
        }
        Ok(())
    }
}

/// A fetched object that is read like a file, on a thread that may block.
pub(super) struct Fetched {
    object: Object,
    pieces: mpsc::UnboundedReceiver<Piece>,
    /// The buffered chunks, and the offset of the first one.
    buffered: VecDeque<Bytes>,
    buffered_from: u64,
    /// The current chunk, and the position in it.
    piece: usize,
    within: usize,
    position: u64,
    refetches: u32,
    /// Whether the fetch has ended.
    ended: bool,
}

impl Fetched {
    pub(super) fn new(fetching: Fetching) -> Self {
        Self {
            object: fetching.object,
            pieces: fetching.pieces,
            buffered: VecDeque::new(),
            buffered_from: 0,
            piece: 0,
            within: 0,
            position: 0,
            refetches: 0,
            ended: false,
        }
    }

    /// Drops chunks that are far behind the reader.
    fn forget(&mut self) {
        while self.piece > 0
            && let Some(oldest) = self.buffered.front()
            && self.position - self.buffered_from > (BEHIND + oldest.len()) as u64
        {
            self.buffered_from += oldest.len() as u64;
            self.buffered.pop_front();
            self.piece -= 1;
        }
    }

    fn next_piece(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        match self.pieces.blocking_recv() {
            // Dropping the permit frees room for the next chunk.
            Some(Ok((bytes, _room))) => {
                if !bytes.is_empty() {
                    self.buffered.push_back(bytes);
                }
                Ok(true)
            }
            Some(Err(error)) => {
                self.ended = true;
                Err(io::Error::other(error))
            }
            None => {
                self.ended = true;
                Ok(false)
            }
        }
    }

    /// Returns the offset of the end of the buffer.
    fn buffered_to(&self) -> u64 {
        let buffered: usize = self.buffered.iter().map(Bytes::len).sum();
        self.buffered_from + buffered as u64
    }

    /// Seeks within the buffer. Returns false if `to` is outside of the buffer.
    fn go(&mut self, to: u64) -> bool {
        let Some(mut left) = to.checked_sub(self.buffered_from) else {
            return false;
        };
        for (piece, bytes) in self.buffered.iter().enumerate() {
            let len = bytes.len() as u64;
            if left < len {
                (self.piece, self.within) = (piece, usize::try_from(left).unwrap_or_default());
                self.position = to;
                return true;
            }
            left -= len;
        }
        if left == 0 {
            (self.piece, self.within) = (self.buffered.len(), 0);
            self.position = to;
        }
        left == 0
    }
}

impl BufRead for Fetched {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.piece == self.buffered.len() {
            if !self.next_piece()? {
                return Ok(&[]);
            }
        }
        Ok(&self.buffered[self.piece][self.within..])
    }

    fn consume(&mut self, count: usize) {
        self.within += count;
        self.position += count as u64;
        if let Some(piece) = self.buffered.get(self.piece)
            && self.within >= piece.len()
        {
            self.piece += 1;
            self.within = 0;
            self.forget();
        }
    }
}

impl Read for Fetched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut bytes = self.fill_buf()?;
        let count = bytes.len().min(buffer.len());
        bytes.copy_to_slice(&mut buffer[..count]);
        self.consume(count);
        Ok(count)
    }
}

impl Seek for Fetched {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(to) => Some(to),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.object.size.checked_add_signed(by),
        };
        let to = to.ok_or(io::ErrorKind::InvalidInput)?;
        if self.go(to) {
            return Ok(to);
        }
        // A short way ahead: read on until it arrives.
        while let Some(distance) = to.checked_sub(self.buffered_to())
            && distance <= u64::from(AHEAD)
            && self.next_piece()?
        {}
        if self.go(to) {
            self.forget();
            return Ok(to);
        }
        if to >= self.object.size {
            self.ended = true;
        } else {
            self.refetches += 1;
            if self.refetches > MAX_REFETCHES {
                return Err(io::Error::other("too much damage: the rest is skipped"));
            }
            self.pieces = self.object.fetch(to);
            self.ended = false;
        }
        self.buffered.clear();
        (self.buffered_from, self.position) = (to, to);
        (self.piece, self.within) = (0, 0);
        Ok(to)
    }
}
