//! Timestamps in documents.

use std::{fmt, time::SystemTime};

use jiff::{
    Timestamp,
    civil::{Date, DateTime, date},
    tz::Offset,
};

const EPOCH: DateTime = date(1970, 1, 1).at(0, 0, 0, 0);
const LAST_DAY: Date = Date::MAX;

/// A timestamp in ISO 8601, in Java's format: with 0, 3, 6 or 9 digits of the second's fraction.
///
/// A timestamp outside of jiff's range is written as the nearest end of the range.
#[derive(Clone, Copy, Debug)]
pub(in crate::chaos) struct Moment(pub(in crate::chaos) SystemTime);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As civil time, which ends with the year 9999; a `Timestamp` ends a day earlier.
        let time = if let Ok(time) = self.0.duration_since(SystemTime::UNIX_EPOCH) {
            EPOCH.saturating_add(time)
        } else {
            let time = Timestamp::try_from(self.0).unwrap_or(Timestamp::MIN);
            Offset::UTC.to_datetime(time)
        };
        let digits = match time.subsec_nanosecond() {
            0 => 0,
            nanos if nanos % 1_000_000 == 0 => 3,
            nanos if nanos % 1_000 == 0 => 6,
            _ => 9,
        };
        write!(f, "{time:.digits$}Z")
    }
}

/// Parses a timestamp in ISO 8601.
pub(in crate::chaos) fn parse(text: &str) -> Option<SystemTime> {
    let text = text.trim();
    if let Ok(time) = text.parse::<Timestamp>() {
        return Some(time.into());
    }
    // The last hours of the year 9999.
    let (_, time) = text.strip_suffix(['Z', 'z'])?.split_once("9999-12-31T")?;
    let time: DateTime = LAST_DAY.to_datetime(time.parse().ok()?);
    Some(SystemTime::UNIX_EPOCH + time.duration_since(EPOCH).unsigned_abs())
}
