//! Time limits and timestamps.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;

/// A hundred years, the maximum of timeouts that a user sets: `Instant + Duration::MAX` panics.
pub(crate) const FOREVER: Duration = Duration::from_hours(100 * 365 * 24);

/// Delay of a body's error. When a body fails, a server or client discards what it has not sent,
/// even the head, and `curl` over HTTP/2 what it has not read. The delay is more than the 40 ms by
/// which Linux delays the acknowledgement that Nagle's algorithm waits for (`TCP_DELACK_MIN`).
#[cfg(any(feature = "chaos", feature = "forward"))]
pub(crate) const BODY_ERROR_DELAY: Duration = Duration::from_millis(100);

/// Returns `time` as a timestamp from 1970 to 9999, the range of RFC 3339. A time outside of the
/// range is clamped, because a wrong clock is no reason to lose an exchange.
///
/// `{:.3}` formats a timestamp with three digits of the second's fraction.
pub(crate) fn timestamp(time: SystemTime) -> Timestamp {
    if time < SystemTime::UNIX_EPOCH {
        return Timestamp::UNIX_EPOCH;
    }
    Timestamp::try_from(time).unwrap_or(Timestamp::MAX)
}
