//! Rate limiting for bodies and connections.

use std::{num::NonZeroU64, time::Duration};

use tokio::time::Instant;

use crate::util::time::FOREVER;

/// The interval between parts of a throttled body; small parts arrive less often.
const STEP: Duration = Duration::from_millis(100);

/// The times at which parts may pass. The times are absolute: a timer that fires late delays one
/// part, but not all later parts.
#[derive(Debug, Default)]
pub(in crate::chaos) struct Pace {
    /// The pause after each part.
    pub(in crate::chaos) every: Duration,
    /// Bytes per second.
    pub(in crate::chaos) rate: Option<NonZeroU64>,
    /// The times at which the next part may pass, by `every` and by `rate`.
    next: [Option<Instant>; 2],
}

impl Pace {
    #[cfg(feature = "chaos-connect")]
    pub(in crate::chaos) fn new(every: Duration, rate: Option<NonZeroU64>) -> Self {
        Self {
            every,
            rate,
            next: [None; 2],
        }
    }

    /// Returns the maximum size of a part, in bytes.
    pub(in crate::chaos) fn max_part(&self) -> usize {
        let steps = |rate: NonZeroU64| u128::from(rate.get()) * STEP.as_millis() / 1_000;
        self.rate.map_or(usize::MAX, |rate| {
            usize::try_from(steps(rate)).unwrap_or(usize::MAX).max(1)
        })
    }

    /// Sets the time of the part that follows a part of `bytes` bytes, and returns it; `None` if
    /// the next part may pass at once.
    pub(in crate::chaos) fn after(&mut self, bytes: usize) -> Option<Instant> {
        let now = Instant::now();
        if !self.every.is_zero() {
            let every = self.every.min(FOREVER);
            // A reader that is late starts anew: missed parts are not made up for.
            let is_late = |next: &Instant| now.saturating_duration_since(*next) >= every;
            let from = self.next[0].filter(|next| !is_late(next)).unwrap_or(now);
            self.next[0] = Some(from + every);
        }
        if let Some(rate) = self.rate {
            let nanos = bytes as u128 * 1_000_000_000 / u128::from(rate.get());
            let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
            // Missed bytes are made up for, up to those of one step: a timer has a resolution of a
            // millisecond, in which many small parts may pass.
            let earliest = now.checked_sub(STEP).unwrap_or(now);
            let from = self.next[1].map_or(now, |next| next.max(earliest));
            self.next[1] = Some(from + takes.min(FOREVER));
        }
        let next = self.next.into_iter().flatten().max();
        next.filter(|next| *next > now)
    }
}
