//! Durations as documents have them.

use std::{fmt, sync::LazyLock, time::Duration};

use regex_lite::Regex;

/// A duration in ISO 8601, as Java writes it: `PT0.1S`, `PT1M30S`, `PT0S`.
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
        } else if seconds > 0 || self.0.is_zero() || (hours == 0 && minutes == 0) {
            write!(f, "{seconds}S")
        } else {
            Ok(())
        }
    }
}

/// What is wrong with a duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::chaos) enum BadDuration {
    Negative,
    No,
}

/// What Java's `Duration.parse` reads, and weeks:
/// <https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/time/Duration.html#parse(java.lang.CharSequence)>.
static ISO: LazyLock<Regex> = LazyLock::new(|| {
    let units = r"(?:([-+]?\d+)W)?(?:([-+]?\d+)D)?(?:T(?:([-+]?\d+)H)?(?:([-+]?\d+)M)?";
    let seconds = r"(?:([-+]?)(\d+)(?:[.,](\d{0,9}))?S)?)?";
    Regex::new(&format!(r"(?i)\A([-+]?)P{units}{seconds}\z")).expect("it is a constant")
});

/// Reads `PT0.1S`, `P1DT2H`, or `150ms` and the like.
pub(in crate::chaos) fn parse(text: &str) -> Result<Duration, BadDuration> {
    let text = text.trim();
    if !text.trim_start_matches(['-', '+']).starts_with(['P', 'p']) {
        let read = |text| humantime::parse_duration(text).ok();
        return read(text).ok_or_else(|| match text.strip_prefix('-').and_then(read) {
            Some(_) => BadDuration::Negative,
            None => BadDuration::No,
        });
    }
    let nanos = iso(text).ok_or(BadDuration::No)?;
    let nanos = u128::try_from(nanos).map_err(|_| BadDuration::Negative)?;
    let seconds = u64::try_from(nanos / NANOS).map_err(|_| BadDuration::No)?;
    Ok(Duration::new(
        seconds,
        u32::try_from(nanos % NANOS).unwrap_or_default(),
    ))
}

/// A second.
const NANOS: u128 = 1_000_000_000;

/// In nanoseconds. Each part may have a sign of its own.
fn iso(text: &str) -> Option<i128> {
    // What is longer is no time that fits.
    let found = ISO.captures(text).filter(|_| text.len() < 100)?;
    let mut all = 0_i128;
    let mut has_any = false;
    for (group, seconds) in [(2, 604_800), (3, 86_400), (4, 3_600), (5, 60)] {
        if let Some(number) = found.get(group) {
            let number: i128 = number.as_str().parse().ok()?;
            all = all.checked_add(number.checked_mul(seconds * 1_000_000_000)?)?;
            has_any = true;
        }
    }
    if let Some(whole) = found.get(7) {
        let fraction = found.get(8).map_or("", |digits| digits.as_str());
        let nanos: i128 = format!("{}{fraction:0<9}", whole.as_str()).parse().ok()?;
        let is_negative = &found[6] == "-";
        all = all.checked_add(if is_negative { -nanos } else { nanos })?;
        has_any = true;
    }
    // `P`, or a `T` with nothing behind it.
    if !has_any || text.ends_with(['T', 't']) {
        return None;
    }
    Some(if &found[1] == "-" { -all } else { all })
}
