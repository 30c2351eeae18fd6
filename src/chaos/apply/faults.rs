//! Faults of a body.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use rand::RngExt;
use tokio::time::{Sleep, sleep, sleep_until};
use tower::BoxError;

use super::pace::Pace;
use crate::{
    chaos::{
        body::InjectedError,
        engine::ActiveGuard,
        model::{
            behavior::Change,
            random::{Draw, Random},
        },
    },
    util::time::BODY_ERROR_DELAY,
};

/// The faults of a body, and their progress.
#[derive(Debug, Default)]
pub(in crate::chaos) struct Faults {
    /// The number of bytes after which the body ends.
    end_after: Option<u64>,
    stall_after: Option<u64>,
    break_after: Option<u64>,
    drop_trailers: bool,
    hide_length: bool,
    /// The percentage of bytes to be replaced.
    corrupt: f64,
    random: Option<Random>,
    /// The maximum size of a frame, in bytes.
    max_part: Option<usize>,
    pace: Pace,
    /// The rest of a frame that exceeded the maximum size.
    left: Bytes,
    passed: u64,
    /// The time at which the next frame may pass.
    next: Option<Pin<Box<Sleep>>>,
    has_lingered: bool,
    /// Counts the exchange as active until the body is dropped.
    active: Option<ActiveGuard>,
}

impl Faults {
    pub(in crate::chaos) fn new(random: Random) -> Self {
        Self {
            random: Some(random),
            ..Self::default()
        }
    }

    /// Ends the body after `bytes` bytes.
    pub(in crate::chaos) fn end_after(&mut self, bytes: u64) {
        first(&mut self.end_after, bytes);
    }

    /// Marks the length of the body as unknown, because `Content-Length` states another length.
    pub(in crate::chaos) fn hide_length(&mut self) {
        self.hide_length = true;
    }

    /// Adds a change of the body. Returns `false` for a change of the head.
    pub(in crate::chaos) fn add(&mut self, change: &Change) -> bool {
        match *change {
            Change::Corrupt(percent) => self.corrupt = percent,
            Change::Slice { bytes, every } => {
                first(&mut self.max_part, bytes);
                self.pace.every = self.pace.every.max(every);
            }
            Change::Throttle { bytes_per_second } => {
                first(&mut self.pace.rate, bytes_per_second);
            }
            Change::StallAfter(bytes) => first(&mut self.stall_after, bytes),
            Change::BreakAfter(bytes) => first(&mut self.break_after, bytes),
            Change::DropTrailers => self.drop_trailers = true,
            Change::MisstateLength(_) => self.hide_length(),
            Change::SetHeader(..) | Change::RemoveHeader(_) | Change::GarbleHeader(_) => {
                return false;
            }
        }
        true
    }

    /// Returns the length of the body with faults, if it is `bytes` without faults.
    pub(in crate::chaos) fn length_of(&self, bytes: u64) -> u64 {
        self.end_after.map_or(bytes, |end| end.min(bytes))
    }

    /// Returns the number of bytes after which the body ends, stalls or is aborted.
    fn limit(&self) -> Option<u64> {
        let limits = [self.end_after, self.stall_after, self.break_after];
        limits.into_iter().flatten().min()
    }

    fn linger(&mut self) -> &mut Pin<Box<Sleep>> {
        if !self.has_lingered {
            self.has_lingered = true;
            self.next = None;
        }
        self.next
            .get_or_insert_with(|| Box::pin(sleep(BODY_ERROR_DELAY)))
    }

    /// Splits off the next frame, and schedules the following frame.
    fn part(&mut self) -> Bytes {
        let mut len = self
            .max_part
            .unwrap_or(usize::MAX)
            .min(self.pace.max_part());
        if let Some(limit) = self.limit() {
            let room = limit.saturating_sub(self.passed);
            len = len.min(usize::try_from(room).unwrap_or(usize::MAX));
        }
        let part = self.left.split_to(len.min(self.left.len()));
        self.passed += part.len() as u64;
        if let Some(next) = self.pace.after(part.len()) {
            self.next = Some(Box::pin(sleep_until(next)));
        }
        self.corrupted(part)
    }

    fn corrupted(&self, part: Bytes) -> Bytes {
        let Some(random) = self.random.filter(|_| self.corrupt > 0.0) else {
            return part;
        };
        let first = self.passed - part.len() as u64;
        let mut bytes = BytesMut::from(part);
        corrupt(&mut bytes, first, self.corrupt, random, Draw::Bytes);
        bytes.freeze()
    }

    pub(in crate::chaos) fn poll_frame<B>(
        &mut self,
        mut body: Pin<&mut B>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        loop {
            if self.limit().is_some_and(|limit| self.passed >= limit) {
                let at = Some(self.passed);
                if self.end_after.is_some_and(|end| end <= self.passed) {
                    return Poll::Ready(None);
                }
                if self.break_after <= at && self.break_after.is_some() {
                    ready!(self.linger().as_mut().poll(cx));
                    let after = self.passed;
                    return Poll::Ready(Some(Err(InjectedError { after }.into())));
                }
                // No waker: the body stalls until it is dropped.
                return Poll::Pending;
            }
            if !self.left.is_empty() {
                if let Some(next) = &mut self.next {
                    ready!(next.as_mut().poll(cx));
                    self.next = None;
                }
                return Poll::Ready(Some(Ok(Frame::data(self.part()))));
            }
            match ready!(body.as_mut().poll_frame(cx)) {
                None => return Poll::Ready(None),
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.left = data,
                    Err(_) if self.drop_trailers => return Poll::Ready(None),
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
            }
        }
    }

    pub(in crate::chaos) fn is_end_stream(&self, body: &impl Body) -> bool {
        // `Content-Length` may state more bytes.
        if self.hide_length {
            return false;
        }
        if self.end_after.is_some_and(|end| self.passed >= end) {
            return true;
        }
        let is_stopped = self.limit().is_some_and(|limit| self.passed >= limit);
        !is_stopped && self.left.is_empty() && body.is_end_stream()
    }

    pub(in crate::chaos) fn size_hint(&self, body: &impl Body) -> SizeHint {
        if self.hide_length {
            return SizeHint::default();
        }
        let hint = body.size_hint();
        let left = self.left.len() as u64;
        let passed = self.passed.saturating_add(left);
        let ahead = |bytes| self.length_of(passed.saturating_add(bytes)) - self.passed;
        let mut cut = SizeHint::new();
        if let Some(upper) = hint.upper() {
            cut.set_upper(ahead(upper));
        } else if let Some(end) = self.end_after {
            cut.set_upper(end - self.passed);
        }
        cut.set_lower(ahead(hint.lower()));
        cut
    }

    /// Counts the exchange as active until the body is dropped.
    pub(in crate::chaos) fn counts(&mut self, active: ActiveGuard) {
        self.active = Some(active);
    }
}

/// Lowers `limit` to `other`, if `other` is lower or there is no limit.
fn first<N: Ord + Copy>(limit: &mut Option<N>, other: N) {
    *limit = Some(limit.map_or(other, |before| before.min(other)));
}

/// Replaces `percent` percent of the bytes, each by another; `first` is the offset of the first
/// byte.
pub(in crate::chaos) fn corrupt(
    bytes: &mut [u8],
    first: u64,
    percent: f64,
    random: Random,
    draw: Draw,
) {
    const VALUES_PER_BYTE: u128 = 2;
    let mut generator = random.generator(draw);
    generator.advance(VALUES_PER_BYTE * u128::from(first));
    for byte in bytes {
        let share: f64 = generator.random();
        let step = generator.random::<u64>() % 255 + 1;
        if share * 100.0 < percent {
            #[expect(clippy::cast_possible_truncation, reason = "1 to 255")]
            let other = byte.wrapping_add(step as u8);
            *byte = other;
        }
    }
}
