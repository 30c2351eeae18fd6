//! Durations in documents.
//!
//! jiff cannot read or write them: Java's durations have a sign on each part, and ours may have
//! more seconds than an `i64` holds.

use std::{fmt, sync::LazyLock, time::Duration};

use jiff::{SpanRelativeTo, fmt::friendly::SpanParser};
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
    if text.trim_start_matches(['-', '+']).starts_with(['P', 'p']) {
        let nanos = u128::try_from(iso_nanos(text)?).ok()?;
        let seconds = u64::try_from(nanos / NANOS_PER_SECOND).ok()?;
        let nanos = u32::try_from(nanos % NANOS_PER_SECOND).ok()?;
        Some(Duration::new(seconds, nanos))
    } else if text == "0" {
        // The one number that needs no unit.
        Some(Duration::ZERO)
    } else {
        let span = SpanParser::new().parse_span(text).ok()?;
        let time = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
        Duration::try_from(time).ok()
    }
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
