//! Numbers and URIs in human-readable form.

use std::{fmt::Write, time::Duration};

/// Formats a number of bytes as `1.2KiB`, without a space, so that columns stay columns in a pipe.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut number = bytes as f64 / 1024.0;
    let mut unit = 0;
    // The number will be rounded to three digits.
    while number >= 999.5 && unit + 1 < UNITS.len() {
        number /= 1024.0;
        unit += 1;
    }
    format!("{number:.*}{}", decimals(number), UNITS[unit])
}

/// Formats a duration as `1.2ms`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let (number, unit) = match seconds {
        s if s < 0.000_999_5 => (s * 1e6, "us"),
        s if s < 0.999_5 => (s * 1e3, "ms"),
        s if s < 3600.0 => (s, "s"),
        s => (s / 3600.0, "h"),
    };
    format!("{number:.*}{unit}", decimals(number))
}

/// Returns the number of decimals that give a number three digits.
fn decimals(number: f64) -> usize {
    match number {
        n if n < 9.995 => 2,
        n if n < 99.95 => 1,
        _ => 0,
    }
}

/// Formats a number as `1,234,567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.char_indices() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a number with its noun: `1 exchange`, `2 exchanges`.
pub(crate) fn counted(number: u64, what: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{} {what}{s}", count(number))
}

/// Returns a URI with every character except printable ASCII percent-encoded.
pub(crate) fn ascii(uri: &str) -> String {
    let mut text = String::with_capacity(uri.len());
    for byte in uri.bytes() {
        if byte.is_ascii_graphic() {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

/// Shortens a URI in ASCII to `width` characters: first its scheme is left out, then the end of its
/// query, then the middle of its path.
pub(crate) fn shortened(uri: &str, width: usize) -> String {
    const MARK: &str = "...";
    if uri.len() <= width || width <= MARK.len() {
        return uri.to_owned();
    }
    let uri = uri.split_once("://").map_or(uri, |(_, rest)| rest);
    if uri.len() <= width {
        return uri.to_owned();
    }
    let kept = width - MARK.len();
    let path = uri.split_once('?').map_or(uri, |(path, _)| path);
    if path.len() < kept {
        return format!("{}{MARK}", &uri[..kept]);
    }
    // The end tells paths apart.
    let start = kept / 3;
    let end = path.len() - (kept - start);
    format!("{}{MARK}{}", &path[..start], &path[end..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits() {
        for (bytes, expected) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.00KiB"),
            (12_345, "12.1KiB"),
            (1_023_999, "0.98MiB"),
            (5 << 30, "5.00GiB"),
            (u64::MAX, "16384PiB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
        for (time, expected) in [
            (Duration::ZERO, "0.00us"),
            (Duration::from_nanos(1500), "1.50us"),
            (Duration::from_micros(12_345), "12.3ms"),
            (Duration::from_millis(999), "999ms"),
            (Duration::from_secs(125), "125s"),
            (Duration::from_hours(30), "30.0h"),
        ] {
            assert_eq!(duration(time), expected);
        }
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(count(100), "100");
        assert_eq!(counted(1, "exchange"), "1 exchange");
    }

    #[test]
    fn uris_are_shortened() {
        assert_eq!(ascii("/a\u{202e}b"), "/a%E2%80%AEb");
        let uri = "http://example.com/a/long/path/to/users/1?and=a&query";
        for (width, expected) in [
            (60, uri),
            (46, "example.com/a/long/path/to/users/1?and=a&query"),
            (40, "example.com/a/long/path/to/users/1?an..."),
            (20, "examp...h/to/users/1"),
            (3, uri),
        ] {
            let short = shortened(uri, width);
            assert_eq!(short, expected);
        }
    }
}
