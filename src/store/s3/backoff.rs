//! Exponential backoff with jitter.

use std::time::Duration;

use rand::{TryRng, rngs::SysRng};

/// Delays that double up to a maximum, each shortened at random by up to a half, so that many
/// clients do not retry at the same time.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    first: Duration,
    max: Duration,
    count: u32,
}

impl Backoff {
    /// Creates short delays, for an operation whose caller waits.
    pub(super) fn for_a_waiting_caller() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(2))
    }

    pub(super) fn new(first: Duration, max: Duration) -> Self {
        Self {
            first,
            max,
            count: 0,
        }
    }

    pub(super) fn next(&mut self) -> Duration {
        let delay = self.first.saturating_mul(1 << self.count.min(30));
        self.count = self.count.saturating_add(1);
        // Without randomness, the full delay.
        let random = SysRng.try_next_u32().unwrap_or(0);
        let jitter = f64::from(random) / f64::from(u32::MAX);
        delay.min(self.max).mul_f64(1.0 - jitter / 2.0)
    }

    pub(super) fn reset(&mut self) {
        self.count = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_maximum_with_jitter() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));
        for delay in [1, 2, 4, 8, 10, 10] {
            let delay = Duration::from_secs(delay);
            let wait = backoff.next();
            assert!(delay / 2 <= wait && wait <= delay, "{wait:?} of {delay:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_secs(1));
    }
}
