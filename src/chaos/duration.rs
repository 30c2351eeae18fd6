//! Durations as documents have them.

use std::{fmt, time::Duration};

/// A duration in ISO 8601, as Java writes it: `PT0.1S`, `PT1M30S`, `PT0S`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Iso(pub(super) Duration);

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
pub(super) enum BadDuration {
    Negative,
    No,
}

/// Reads `PT0.1S`, `P1DT2H`, or `150ms` and the like.
pub(super) fn parse(text: &str) -> Result<Duration, BadDuration> {
    let text = text.trim();
    if text.trim_start_matches(['-', '+']).starts_with(['P', 'p']) {
        let span: jiff::Span = match text.parse() {
            Ok(span) => span,
            // Java's may have signs within: `PT-1S`.
            Err(_) if text.contains('-') && parse(&text.replace('-', "")).is_ok() => {
                return Err(BadDuration::Negative);
            }
            Err(_) => return Err(BadDuration::No),
        };
        let days = jiff::SpanRelativeTo::days_are_24_hours();
        let signed = span.to_duration(days).map_err(|_| BadDuration::No)?;
        return signed.try_into().map_err(|_| BadDuration::Negative);
    }
    humantime::parse_duration(text).map_err(|_| BadDuration::No)
}
