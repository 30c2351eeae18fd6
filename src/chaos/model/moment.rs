//! Moments as documents have them.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use humantime::{
    format_rfc3339_micros, format_rfc3339_millis, format_rfc3339_nanos, format_rfc3339_seconds,
};
use jiff::Timestamp;

/// The end of the year 9999.
const LAST: Duration = Duration::new(253_402_300_799, 999_999_999);

/// A moment in ISO 8601, as Java writes it: with 0, 3, 6 or 9 digits behind the second. One after the
/// year 9999 is its end.
#[derive(Clone, Copy, Debug)]
pub(in crate::chaos) struct Moment(pub(in crate::chaos) SystemTime);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(since) = self.0.duration_since(UNIX_EPOCH) else {
            return before_1970(self.0, f);
        };
        let since = since.min(LAST);
        let time = UNIX_EPOCH + since;
        match since.subsec_nanos() {
            0 => format_rfc3339_seconds(time).fmt(f),
            nanos if nanos % 1_000_000 == 0 => format_rfc3339_millis(time).fmt(f),
            nanos if nanos % 1_000 == 0 => format_rfc3339_micros(time).fmt(f),
            _ => format_rfc3339_nanos(time).fmt(f),
        }
    }
}

fn before_1970(time: SystemTime, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::MIN);
    let nanos = time.as_nanosecond().rem_euclid(1_000_000_000);
    let digits = match nanos {
        0 => 0,
        nanos if nanos % 1_000_000 == 0 => 3,
        nanos if nanos % 1_000 == 0 => 6,
        _ => 9,
    };
    write!(f, "{time:.digits$}")
}

/// Reads one; `None` if it is none.
pub(in crate::chaos) fn parse(text: &str) -> Option<SystemTime> {
    let text = text.trim();
    // The first ends with the year 9999 and begins with 1970, the other ends a little earlier.
    let read = humantime::parse_rfc3339(text).ok();
    read.or_else(|| Some(text.parse::<Timestamp>().ok()?.into()))
}
