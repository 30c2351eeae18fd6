//! Faults of the bytes of a connection.

use std::{
    future::Future,
    io,
    num::NonZeroU64,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use hyper::rt::{Read, ReadBuf, ReadBufCursor, Write};
use tokio::time::{Sleep, sleep_until};

use super::error::ConnectionFault;
use crate::chaos::{
    apply::{faults::corrupt, pace::Pace},
    model::random::{Draw, Random},
};

/// The size of the buffer for data to be sent, in bytes.
const BUFFER_BYTES: usize = 8 << 10;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Limits {
    pub(super) break_after: Option<u64>,
    pub(super) stall_after: Option<u64>,
    pub(super) rate: Option<NonZeroU64>,
    /// The largest number of bytes per read or write.
    pub(super) max_part: Option<usize>,
    pub(super) every: Duration,
    /// The percentage of bytes to be replaced.
    pub(super) corrupt: f64,
}

#[derive(Debug)]
pub(super) struct Faults {
    limits: Limits,
    /// The number of bytes that passed, in both directions together.
    passed: u64,
    received: Direction,
    sent: Direction,
    room: Box<[u8]>,
}

/// The state of one direction of a connection.
#[derive(Debug)]
struct Direction {
    passed: u64,
    pace: Pace,
    /// The time at which the next part may pass.
    next: Option<Pin<Box<Sleep>>>,
    /// The task to be woken when the connection is reset.
    waiting: Option<Waker>,
    random: Random,
    draw: Draw,
}

impl Direction {
    fn new(limits: &Limits, random: Random, draw: Draw) -> Self {
        Self {
            passed: 0,
            draw,
            pace: Pace::new(limits.every, limits.rate),
            next: None,
            waiting: None,
            random,
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(next) = &mut self.next {
            ready!(next.as_mut().poll(cx));
            self.next = None;
        }
        Poll::Ready(())
    }

    fn has_passed(&mut self, bytes: usize) {
        self.passed += bytes as u64;
        let next = self.pace.after(bytes);
        self.next = next.map(|next| Box::pin(sleep_until(next)));
    }

    fn corrupt(&self, bytes: &mut [u8], percent: f64) {
        if percent > 0.0 {
            corrupt(bytes, self.passed, percent, self.random, self.draw);
        }
    }

    /// Registers the task, to be woken when the connection is reset.
    fn wait(&mut self, cx: &Context<'_>) {
        match &mut self.waiting {
            Some(waker) => waker.clone_from(cx.waker()),
            None => self.waiting = Some(cx.waker().clone()),
        }
    }
}

/// Whether bytes may pass.
enum Gate {
    /// At most this number of bytes may pass.
    Open(usize),
    /// No more bytes will pass.
    Stalled,
    Broken(ConnectionFault),
}

impl Limits {
    fn gate(&self, passed: u64) -> Gate {
        if let Some(after) = self.break_after.filter(|after| passed >= *after) {
            return Gate::Broken(ConnectionFault::Reset { after });
        }
        if self.stall_after.is_some_and(|after| passed >= after) {
            return Gate::Stalled;
        }
        let mut len = self.max_part.unwrap_or(BUFFER_BYTES).min(BUFFER_BYTES);
        for limit in [self.break_after, self.stall_after].into_iter().flatten() {
            len = len.min(usize::try_from(limit - passed).unwrap_or(BUFFER_BYTES));
        }
        Gate::Open(len)
    }
}

impl Faults {
    pub(super) fn new(limits: Limits, random: Random) -> Self {
        Self {
            limits,
            passed: 0,
            received: Direction::new(&limits, random, Draw::Bytes),
            sent: Direction::new(&limits, random, Draw::SentBytes),
            room: vec![0; BUFFER_BYTES].into(),
        }
    }

    /// Whether the connection has stalled.
    pub(super) fn is_stalled(&self) -> bool {
        matches!(self.limits.gate(self.passed), Gate::Stalled)
    }

    pub(super) fn poll_read<I: Read>(
        &mut self,
        inner: Pin<&mut I>,
        cx: &mut Context<'_>,
        mut buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let len = match self.limits.gate(self.passed) {
            Gate::Open(len) => len.min(self.received.pace.max_part()).min(buf.remaining()),
            Gate::Stalled => return Poll::Pending,
            Gate::Broken(fault) => return Poll::Ready(Err(fault.into())),
        };
        self.received.wait(cx);
        ready!(self.received.poll_next(cx));
        let mut part = ReadBuf::new(&mut self.room[..len]);
        ready!(inner.poll_read(cx, part.unfilled()))?;
        let bytes = part.filled().len();
        let read = &mut self.room[..bytes];
        self.received.corrupt(read, self.limits.corrupt);
        buf.put_slice(read);
        self.received.has_passed(bytes);
        self.have_passed(bytes);
        Poll::Ready(Ok(()))
    }

    pub(super) fn poll_write<I: Write>(
        &mut self,
        inner: Pin<&mut I>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let len = match self.limits.gate(self.passed) {
            Gate::Open(len) => len.min(self.sent.pace.max_part()).min(buf.len()),
            Gate::Stalled => return Poll::Pending,
            Gate::Broken(fault) => return Poll::Ready(Err(fault.into())),
        };
        self.sent.wait(cx);
        ready!(self.sent.poll_next(cx));
        let part = &mut self.room[..len];
        part.copy_from_slice(&buf[..len]);
        self.sent.corrupt(part, self.limits.corrupt);
        let bytes = ready!(inner.poll_write(cx, part))?;
        self.sent.has_passed(bytes);
        self.have_passed(bytes);
        Poll::Ready(Ok(bytes))
    }

    fn have_passed(&mut self, bytes: usize) {
        self.passed += bytes as u64;
        if !matches!(self.limits.gate(self.passed), Gate::Open(_)) {
            // The limit counts both directions, and the inner connection wakes only one.
            for way in [&mut self.received, &mut self.sent] {
                if let Some(waiting) = way.waiting.take() {
                    waiting.wake();
                }
            }
        }
    }
}
