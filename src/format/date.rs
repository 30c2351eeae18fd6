//! Dates as other tools write them.

use std::{borrow::Cow, time::SystemTime};

use jiff::{Timestamp, civil::DateTime, fmt::rfc2822::DateTimeParser, tz::TimeZone};

/// Reads a date in ISO 8601 (`2026-11-20T23:59:59.123+01:00`) or in the form of mail and HTTP
/// (`Fri, 20 Nov 2026 23:59:59 GMT`, RFC 5322). A date without a time zone is in UTC. A date of
/// less precision, such as `2026-11`, is the beginning of that time.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    let text = &*with_nanoseconds(with_a_day(text.trim()));
    let in_utc = |date: DateTime| date.to_zoned(TimeZone::UTC).ok();
    let mail = DateTimeParser::new().relaxed_weekday(true);
    let time: Timestamp = (text.parse().ok())
        .or_else(|| Some(in_utc(text.parse().ok()?)?.timestamp()))
        .or_else(|| mail.parse_timestamp(text).ok())
        .or_else(|| mail.parse_timestamp(format!("{text} GMT")).ok())?;
    Some(time.into())
}

/// Adds the month and the day to a year or a month (W3CDTF).
fn with_a_day(text: &str) -> Cow<'_, str> {
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    match (text.len(), text.split_once('-')) {
        (4, None) if is_number(text) => Cow::Owned(format!("{text}-01-01")),
        (7, Some((year, month))) if year.len() == 4 && is_number(year) && is_number(month) => {
            Cow::Owned(format!("{text}-01"))
        }
        _ => Cow::Borrowed(text),
    }
}

/// Cuts a fraction of a second after nine digits.
fn with_nanoseconds(text: Cow<'_, str>) -> Cow<'_, str> {
    const DIGITS: usize = 9;
    let Some(start) = text.find(['.', ',']).map(|point| point + 1) else {
        return text;
    };
    let digits = text[start..].bytes().take_while(u8::is_ascii_digit).count();
    if digits <= DIGITS {
        return text;
    }
    let (kept, rest) = (&text[..start + DIGITS], &text[start + digits..]);
    Cow::Owned(format!("{kept}{rest}"))
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
            ("2026", at(1_767_225_600, 0)),
            ("2026-11", at(1_793_491_200, 0)),
            ("2026-11-20", at(1_795_132_800, 0)),
            ("2026-11-20T23:59Z", at(second - 59, 0)),
            ("2026-11-21T00:59+01:00", at(second - 59, 0)),
            ("2026-11-20T23:59:59.5Z", at(second, 500_000_000)),
            (
                "2026-11-20T23:59:59.1234567891234Z",
                at(second, 123_456_789),
            ),
            (
                "2026-11-21T00:59:59.0000000000000000001+01:00",
                at(second, 0),
            ),
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
            ("202", None),
            ("2026-1", None),
            ("2026-13", None),
            ("2026-11-20T23:59:59.1234567890123", at(second, 123_456_789)),
            ("Fri, 20 Foo 2026 23:59:59 GMT", None),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }
}
