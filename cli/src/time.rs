//! Times and durations as text.

use std::time::{Duration, SystemTime};

use jiff::{Span, SpanRelativeTo, Timestamp, civil::DateTime, tz::TimeZone};
use tower_traffic::Exchange;

/// Returns the time at which an exchange began; `None` if it is unknown, as in fixtures, which the
/// library reads with the Unix epoch.
pub(crate) fn began(exchange: &Exchange) -> Option<SystemTime> {
    Some(exchange.began).filter(|began| *began != SystemTime::UNIX_EPOCH)
}

/// Returns the times to the head and to the end of a response; `None` for each that is unknown.
pub(crate) fn took(exchange: &Exchange) -> (Option<Duration>, Option<Duration>) {
    let is_unknown = began(exchange).is_none() && exchange.time_to_end.is_zero();
    if is_unknown {
        (None, None)
    } else {
        (exchange.time_to_head, Some(exchange.time_to_end))
    }
}

/// Formats `time` by RFC 3339, in UTC and with `digits` decimals of a second.
pub(crate) fn rfc3339(time: SystemTime, digits: usize) -> String {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::MAX);
    format!("{time:.digits$}")
}

/// Parses a time by RFC 3339. A time without an offset is in UTC, and a date is its midnight.
pub(crate) fn parse(text: &str) -> Option<SystemTime> {
    let utc = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok();
    let time = text.parse::<Timestamp>().ok();
    let time = time.or_else(|| Some(utc()?.timestamp()))?;
    Some(time.into())
}

/// Parses a duration such as `100ms` or `1h 30m`.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let span: Span = text.parse().ok()?;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    duration.try_into().ok()
}
