//! Time limits and timestamps.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;

/// A hundred years. `Instant + Duration::MAX` panics: timeouts that a user sets are cut to this.
pub(crate) const FOREVER: Duration = Duration::from_hours(100 * 365 * 24);

/// `time` as a timestamp from 1970 to 9999, the range that RFC 3339 can write. A wrong clock is no
/// reason to lose an exchange, so that times outside are clamped.
///
/// `{:.3}` formats a timestamp with three digits of the second's fraction.
pub(crate) fn timestamp(time: SystemTime) -> Timestamp {
    if time < SystemTime::UNIX_EPOCH {
        return Timestamp::UNIX_EPOCH;
    }
    Timestamp::try_from(time).unwrap_or(Timestamp::MAX)
}
