//! Dates as other tools write them.

use std::time::{Duration, SystemTime};

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// A date in ISO 8601 (`2026-11-20T23:59:59.123+01:00`) or in the form of mails and HTTP
/// (`Fri, 20 Nov 2026 23:59:59 GMT`, RFC 5322). Without a zone it is taken for UTC.
pub(super) fn parse(text: &str) -> Option<SystemTime> {
    let text = text.trim();
    let is_iso = text.as_bytes().first()?.is_ascii_digit() && text.as_bytes().get(4) == Some(&b'-');
    let (local, offset) = if is_iso {
        split_offset(text)?
    } else {
        mail(text)?
    };
    let local = humantime::parse_rfc3339_weak(&local).ok()?;
    let seconds = Duration::from_secs(offset.unsigned_abs());
    if offset >= 0 {
        local.checked_sub(seconds)
    } else {
        local.checked_add(seconds)
    }
}

/// The date without its zone, and the zone's offset in seconds.
fn split_offset(text: &str) -> Option<(String, i64)> {
    let text = text.trim_end_matches(['Z', 'z']);
    // After the day, where other signs stand.
    let sign = text.get(10..)?.rfind(['+', '-']).map(|at| at + 10);
    let Some(sign) = sign else {
        return Some((text.replace('t', "T"), 0));
    };
    let (local, zone) = text.split_at(sign);
    Some((local.replace('t', "T"), zone_offset(zone)?))
}

/// `+01:00`, `+0100` or `+01`, in seconds.
fn zone_offset(zone: &str) -> Option<i64> {
    let digits: String = zone.get(1..)?.chars().filter(|&c| c != ':').collect();
    let hours: i64 = digits.get(..2)?.parse().ok()?;
    let minutes: i64 = match digits.get(2..)? {
        "" => 0,
        minutes => minutes.parse().ok()?,
    };
    let seconds = hours * 3600 + minutes * 60;
    Some(if zone.starts_with('-') {
        -seconds
    } else {
        seconds
    })
}

fn mail(text: &str) -> Option<(String, i64)> {
    let date = text.split_once(',').map_or(text, |(_, date)| date);
    let mut words = date.split_ascii_whitespace();
    let day: u8 = words.next()?.parse().ok()?;
    let name = words.next()?;
    let month = MONTHS
        .iter()
        .position(|month| month.eq_ignore_ascii_case(name))?;
    let year: u16 = words.next()?.parse().ok()?;
    let time = words.next()?;
    let offset = match words.next() {
        Some(zone) if zone.starts_with(['+', '-']) => zone_offset(zone)?,
        // The other names are obsolete.
        _ => 0,
    };
    Some((
        format!("{year:04}-{:02}-{day:02}T{time}", month + 1),
        offset,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_all_kinds_are_read() {
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
