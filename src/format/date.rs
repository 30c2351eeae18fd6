//! Dates as other tools write them.

use std::time::SystemTime;

use jiff::{Timestamp, civil::DateTime, fmt::rfc2822::DateTimeParser, tz::TimeZone};

/// Reads a date in ISO 8601 (`2026-11-20T23:59:59.123+01:00`) or in the form of mail and HTTP
/// (`Fri, 20 Nov 2026 23:59:59 GMT`, RFC 5322). A date without a time zone is in UTC.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    let text = text.trim();
    let in_utc = |date: DateTime| date.to_zoned(TimeZone::UTC).ok();
    let mail = DateTimeParser::new().relaxed_weekday(true);
    let time: Timestamp = (text.parse().ok())
        .or_else(|| Some(in_utc(text.parse().ok()?)?.timestamp()))
        .or_else(|| mail.parse_timestamp(text).ok())
        .or_else(|| mail.parse_timestamp(format!("{text} GMT")).ok())?;
    Some(time.into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn dates_of_other_tools_are_read() {
        let at = |seconds, nanos| Some(SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos));
        let second = 1_795_219_199;
        for (text, expected) in [
            ("2026-11-20T23:59:59Z", at(second, 0)),
            ("2026-11-20T23:59:59.123456789Z", at(second, 123_456_789)),
            ("2026-11-21T01:59:59.5+02:00", at(second, 500_000_000)),
            ("2026-11-20T18:29:59-0530", at(second, 0)),
            ("2026-11-20T23:59:59", at(second, 0)),
            ("2026-11-20 23:59:59", at(second, 0)),
            ("2026-11-20T22:59:59-01", at(second, 0)),
            ("Fri, 20 Nov 2026 23:59:59 GMT", at(second, 0)),
            ("Sat, 21 Nov 2026 00:59:59 +0100", at(second, 0)),
            ("20 nov 2026 23:59:59", at(second, 0)),
            (
                "1970-01-01T00:30:00+01:00",
                at(0, 0).and_then(|t| t.checked_sub(Duration::from_mins(30))),
            ),
            ("", None),
            ("yesterday", None),
            ("2026-13-20T23:59:59Z", None),
            ("2026-11-20T23:59:59+0a:00", None),
            ("2026-é", None),
            ("Fri, 20 Foo 2026 23:59:59 GMT", None),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }
}
