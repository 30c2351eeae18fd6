//! Durations in documents.
//!
//! jiff cannot read or write them: Java's durations have a sign on each part, ours may have more
//! seconds than an `i64` holds, and units come in any order.

use std::{fmt, sync::LazyLock, time::Duration};

use regex_lite::Regex;

/// A duration in ISO 8601, in Java's format: `PT0.1S`, `PT1M30S`, `PT0S`.
#[derive(Clone, Copy, Debug)]
pub(in crate::chaos) struct Iso(pub(in crate::chaos) Duration);

impl fmt::Display for Iso {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.0.as_secs(), self.0.subsec_nanos());
        let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        f.write_str("PT")?;
        if hours > 0 {
            write!(f, "{hours}H")?;
        }
        if minutes > 0 {
            write!(f, "{minutes}M")?;
        }
        if nanos > 0 {
            let fraction = format!("{nanos:09}");
            write!(f, "{seconds}.{}S", fraction.trim_end_matches('0'))
        } else if seconds > 0 || (hours == 0 && minutes == 0) {
            write!(f, "{seconds}S")
        } else {
            Ok(())
        }
    }
}

/// Parses `PT0.1S`, `P1DT2H`, `150ms`, or `0`; a negative duration is invalid.
pub(in crate::chaos) fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    if text == "0" {
        // The one number that needs no unit.
        return Some(Duration::ZERO);
    }
    let nanos = if text.trim_start_matches(['-', '+']).starts_with(['P', 'p']) {
        u128::try_from(iso_nanos(text)?).ok()?
    } else {
        unit_nanos(text)?
    };
    let seconds = u64::try_from(nanos / NANOS_PER_SECOND).ok()?;
    let nanos = u32::try_from(nanos % NANOS_PER_SECOND).ok()?;
    Some(Duration::new(seconds, nanos))
}

/// Parses numbers with units, such as `1h 30m` or `1.5s`, as nanoseconds: their sum, in any order.
fn unit_nanos(text: &str) -> Option<u128> {
    const MINUTE: u128 = 60 * NANOS_PER_SECOND;
    let mut sum = 0_u128;
    let mut rest = text;
    loop {
        let (whole, after) = split_while(rest, |char| char.is_ascii_digit());
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => split_while(after, |char| char.is_ascii_digit()),
            None => ("0", after),
        };
        let (unit, after) = split_while(after.trim_start(), char::is_alphabetic);
        let unit = match unit {
            "ns" | "nsec" | "nanos" => 1,
            "us" | "usec" | "µs" => 1_000,
            "ms" | "msec" | "millis" => 1_000_000,
            "s" | "sec" | "secs" | "second" | "seconds" => NANOS_PER_SECOND,
            "m" | "min" | "mins" | "minute" | "minutes" => MINUTE,
            "h" | "hr" | "hrs" | "hour" | "hours" => 60 * MINUTE,
            "d" | "day" | "days" => 24 * 60 * MINUTE,
            "w" | "wk" | "wks" | "week" | "weeks" => 7 * 24 * 60 * MINUTE,
            _ => return None,
        };
        // More digits are less than a nanosecond, or no duration that fits.
        if fraction.len() > 9 || whole.len() > 30 {
            return None;
        }
        let scale = 10_u128.pow(u32::try_from(fraction.len()).ok()?);
        let fraction = fraction.parse::<u128>().ok()?.checked_mul(unit)? / scale;
        let whole = whole.parse::<u128>().ok()?.checked_mul(unit)?;
        sum = sum.checked_add(whole)?.checked_add(fraction)?;
        rest = after.trim_start();
        if rest.is_empty() {
            return Some(sum);
        }
    }
}

fn split_while(text: &str, is_in: impl Fn(char) -> bool) -> (&str, &str) {
    let end = text.find(|char| !is_in(char)).unwrap_or(text.len());
    text.split_at(end)
}

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// The grammar of Java's `Duration.parse`, and weeks:
/// <https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/time/Duration.html#parse(java.lang.CharSequence)>.
static ISO: LazyLock<Regex> = LazyLock::new(|| {
    let units = r"(?:([-+]?\d+)W)?(?:([-+]?\d+)D)?(?:T(?:([-+]?\d+)H)?(?:([-+]?\d+)M)?";
    let seconds = r"(?:([-+]?)(\d+)(?:[.,](\d{0,9}))?S)?)?";
    Regex::new(&format!(r"(?i)\A([-+]?)P{units}{seconds}\z")).expect("the pattern is constant")
});

/// Parses a duration in ISO 8601, as nanoseconds. Each part may have a sign.
fn iso_nanos(text: &str) -> Option<i128> {
    // A longer text is no duration that fits.
    let found = ISO.captures(text).filter(|_| text.len() < 100)?;
    let mut sum = 0_i128;
    let mut is_empty = true;
    for (group, seconds) in [(2, 604_800), (3, 86_400), (4, 3_600), (5, 60)] {
        if let Some(number) = found.get(group) {
            let number: i128 = number.as_str().parse().ok()?;
            sum = sum.checked_add(number.checked_mul(seconds * 1_000_000_000)?)?;
            is_empty = false;
        }
    }
    if let Some(whole) = found.get(7) {
        let fraction = found.get(8).map_or("", |digits| digits.as_str());
        let nanos: i128 = format!("{}{fraction:0<9}", whole.as_str()).parse().ok()?;
        let is_negative = &found[6] == "-";
        sum = sum.checked_add(if is_negative { -nanos } else { nanos })?;
        is_empty = false;
    }
    // `P`, or `T` without a part after it.
    if is_empty || text.ends_with(['T', 't']) {
        return None;
    }
    Some(if &found[1] == "-" { -sum } else { sum })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_come_in_any_order_and_add_up() {
        for (text, expected) in [
            ("0", Some(Duration::ZERO)),
            ("150ms", Some(Duration::from_millis(150))),
            ("1.5s", Some(Duration::from_millis(1_500))),
            ("30m 1h", Some(Duration::from_mins(90))),
            ("1s2ms", Some(Duration::from_millis(1_002))),
            (
                "9915week 901 us",
                Some(Duration::from_hours(9915 * 168) + Duration::from_micros(901)),
            ),
            ("511045571day", Some(Duration::from_hours(511_045_571 * 24))),
            ("", None),
            ("5", None),
            ("ms", None),
            ("1.s", None),
            ("-1s", None),
            ("1 fortnight", None),
            ("1s x", None),
            ("99999999999999999999999w", None),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }
}
