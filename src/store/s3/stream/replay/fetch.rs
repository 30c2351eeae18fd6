//! Objects as they come, for a reader that may have to go back.

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
    StoreError,
    s3::objects::{Objects, is_transient},
};

/// What of a segment waits for its reader at most, in bytes: most segments are whole then, and
/// no connection waits for a slow reader.
const AHEAD: u32 = 8 << 20;

/// What was read and is kept, in bytes, because a reader that finds damage looks again.
const BEHIND: usize = 1 << 20;

/// How often an object is taken up again where it broke off, without anything having come between.
const RESUMED: u32 = 2;

/// How often a segment is fetched from another place because its reader went back further.
const WENT_BACK: u32 = 1000;

/// An object on its way.
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

/// A part of it, and the room that it takes up until it is read.
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
    /// Fetches it from a place on.
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
                        // Shorter than it was when it was listed: the reader will see.
                        Ok(None) => return Ok(()),
                        Err(error) => break error,
                    }
                },
                // That was tried often enough.
                Err(error) => return Err(error),
            };
            resumed += 1;
            if resumed > RESUMED || !is_transient(&broken) {
                return Err(broken);
            }
            tracing::debug!(error = %broken, from, "an object broke off and is taken up again");
        }
        Ok(())
    }
}

/// An object as a file. For threads that may block.
pub(super) struct Fetched {
    object: Object,
    pieces: mpsc::UnboundedReceiver<Piece>,
    /// What is here: read, being read, and from where on.
    held: VecDeque<Bytes>,
    held_from: u64,
    /// The piece that is being read, and how far.
    piece: usize,
    within: usize,
    position: u64,
    went_back: u32,
    /// Nothing comes any more.
    ended: bool,
}

impl Fetched {
    pub(super) fn new(fetching: Fetching) -> Self {
        Self {
            object: fetching.object,
            pieces: fetching.pieces,
            held: VecDeque::new(),
            held_from: 0,
            piece: 0,
            within: 0,
            position: 0,
            went_back: 0,
            ended: false,
        }
    }

    /// Lets go of what was read long ago.
    fn forget(&mut self) {
        while self.piece > 0
            && let Some(oldest) = self.held.front()
            && self.position - self.held_from > (BEHIND + oldest.len()) as u64
        {
            self.held_from += oldest.len() as u64;
            self.held.pop_front();
            self.piece -= 1;
        }
    }

    fn next_piece(&mut self) -> io::Result<bool> {
        if self.ended {
            return Ok(false);
        }
        match self.pieces.blocking_recv() {
            // Its room is given back: the next can come.
            Some(Ok((bytes, _room))) => {
                if !bytes.is_empty() {
                    self.held.push_back(bytes);
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

    /// Where what is here ends.
    fn held_to(&self) -> u64 {
        let held: usize = self.held.iter().map(Bytes::len).sum();
        self.held_from + held as u64
    }

    /// Goes to a place that is here; false if it is not.
    fn go(&mut self, to: u64) -> bool {
        let Some(mut left) = to.checked_sub(self.held_from) else {
            return false;
        };
        for (piece, bytes) in self.held.iter().enumerate() {
            let len = bytes.len() as u64;
            if left < len {
                (self.piece, self.within) = (piece, usize::try_from(left).unwrap_or_default());
                self.position = to;
                return true;
            }
            left -= len;
        }
        if left == 0 {
            (self.piece, self.within) = (self.held.len(), 0);
            self.position = to;
        }
        left == 0
    }
}

impl BufRead for Fetched {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.piece == self.held.len() {
            if !self.next_piece()? {
                return Ok(&[]);
            }
        }
        Ok(&self.held[self.piece][self.within..])
    }

    fn consume(&mut self, count: usize) {
        self.within += count;
        self.position += count as u64;
        if let Some(piece) = self.held.get(self.piece)
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
        // A little further on: it is on its way.
        while let Some(distance) = to.checked_sub(self.held_to())
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
            self.went_back += 1;
            if self.went_back > WENT_BACK {
                return Err(io::Error::other(
                    "it is damaged in too many places: the rest is skipped",
                ));
            }
            self.pieces = self.object.fetch(to);
            self.ended = false;
        }
        self.held.clear();
        (self.held_from, self.position) = (to, to);
        (self.piece, self.within) = (0, 0);
        Ok(to)
    }
}
