use std::time::Duration;

/// Waits that double, each cut at random by up to a half, so that many who failed together do not
/// come back together.
#[derive(Clone, Debug)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    count: u32,
}

impl Backoff {
    /// While somebody waits for the outcome.
    pub(super) fn for_a_waiting_caller() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(2))
    }

    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            count: 0,
        }
    }

    pub(super) fn next(&mut self) -> Duration {
        let whole = self.first.saturating_mul(1 << self.count.min(30));
        self.count = self.count.saturating_add(1);
        whole.min(self.longest).mul_f64(1.0 - fastrand::f64() / 2.0)
    }

    pub(super) fn reset(&mut self) {
        self.count = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_doubles_up_to_the_longest_with_jitter() {
        let mut backoff = Backoff::new(Duration::from_secs(1), Duration::from_secs(10));
        for whole in [1, 2, 4, 8, 10, 10] {
            let whole = Duration::from_secs(whole);
            let wait = backoff.next();
            assert!(whole / 2 <= wait && wait <= whole, "{wait:?} of {whole:?}");
        }
        backoff.reset();
        assert!(backoff.next() <= Duration::from_secs(1));
    }
}
