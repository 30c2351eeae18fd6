//! Filters of exchanges.

use std::{str::FromStr, time::SystemTime};

use regex_lite::Regex;
use tower_traffic::{Exchange, ExchangeEnd};

use crate::{
    args::{self, EndKind},
    time,
};

impl args::Filter {
    pub(crate) fn matches(&self, exchange: &Exchange) -> bool {
        let any = |is_empty: bool, is_in: bool| is_empty || is_in;
        let method = exchange.request.method.as_str();
        let status = exchange
            .response
            .as_ref()
            .ok()
            .map(|response| response.status.as_u16());
        let ended = EndKind::of(exchange);
        let began = time::began(exchange);
        any(
            self.method.is_empty(),
            self.method.iter().any(|m| m.eq_ignore_ascii_case(method)),
        ) && any(
            self.status.is_empty(),
            self.status.iter().any(|statuses| statuses.contains(status)),
        ) && any(self.ended.is_empty(), self.ended.contains(&ended))
            && self
                .since
                .is_none_or(|PointInTime(since)| began.is_some_and(|began| began >= since))
            && self
                .until
                .is_none_or(|PointInTime(until)| began.is_some_and(|began| began < until))
            && self
                .slower_than
                .is_none_or(|least| exchange.time_to_end > least)
            && self
                .uri
                .as_ref()
                .is_none_or(|pattern| pattern.matches(&exchange.request.uri.to_string()))
    }
}

impl EndKind {
    pub(crate) fn of(exchange: &Exchange) -> Self {
        match exchange.end() {
            ExchangeEnd::Complete => Self::Complete,
            ExchangeEnd::Limit => Self::Limit,
            ExchangeEnd::ClientGone => Self::ClientGone,
            _ => Self::Error,
        }
    }

    /// Returns the name of the outcome in the list and in `--ended`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Complete => "ok",
            Self::Limit => "cut",
            Self::ClientGone => "gone",
            Self::Error => "error",
        }
    }

    /// Returns the name of the outcome in JSON.
    pub(crate) fn json_name(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::Limit => "limit",
            Self::ClientGone => "client-gone",
            Self::Error => "error",
        }
    }
}

/// A set of statuses, parsed from `404`, `5xx`, `400-499`, or `none` for exchanges without a
/// response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Statuses {
    None,
    Between(u16, u16),
}

impl Statuses {
    fn contains(self, status: Option<u16>) -> bool {
        match (self, status) {
            (Self::None, status) => status.is_none(),
            (Self::Between(first, last), Some(status)) => (first..=last).contains(&status),
            (Self::Between(..), None) => false,
        }
    }
}

impl FromStr for Statuses {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = "expected 404, 5xx, 400-499 or none";
        let code = |text: &str| text.parse().ok().filter(|code| (100..=999).contains(code));
        let lower = text.to_ascii_lowercase();
        let range = if lower == "none" {
            return Ok(Self::None);
        } else if let Some(class) = lower.strip_suffix("xx") {
            let class = class.parse().ok().filter(|class| (1..=5).contains(class));
            class.map(|class: u16| (class * 100, class * 100 + 99))
        } else if let Some((first, last)) = lower.split_once('-') {
            let range = code(first).zip(code(last));
            range.filter(|(first, last)| first <= last)
        } else {
            code(&lower).map(|code| (code, code))
        };
        range
            .map(|(first, last)| Self::Between(first, last))
            .ok_or(expected)
    }
}

/// A text, which is also a regular expression if it is a valid one.
#[derive(Clone, Debug)]
pub(crate) struct UriPattern {
    text: String,
    regex: Option<Regex>,
}

impl UriPattern {
    fn matches(&self, uri: &str) -> bool {
        uri.contains(&self.text) || self.regex.as_ref().is_some_and(|regex| regex.is_match(uri))
    }
}

impl FromStr for UriPattern {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self {
            text: text.to_owned(),
            regex: Regex::new(text).ok(),
        })
    }
}

/// A point in time, absolute or relative to now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PointInTime(SystemTime);

impl FromStr for PointInTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let ago = || SystemTime::now().checked_sub(time::parse_duration(text)?);
        time::parse(text)
            .or_else(ago)
            .map(Self)
            .ok_or_else(|| "expected 2026-11-20, 2026-11-20T23:59:59Z (UTC) or 10m".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn statuses_are_read() {
        for (text, expected) in [
            ("404", Some(Statuses::Between(404, 404))),
            ("5xx", Some(Statuses::Between(500, 599))),
            ("2XX", Some(Statuses::Between(200, 299))),
            ("400-410", Some(Statuses::Between(400, 410))),
            ("none", Some(Statuses::None)),
            ("999", Some(Statuses::Between(999, 999))),
            ("0xx", None),
            ("6xx", None),
            ("410-400", None),
            ("99", None),
            ("abc", None),
            ("", None),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }

    #[test]
    fn times_are_read() {
        let at = |text: &str| {
            text.parse::<PointInTime>()
                .ok()
                .map(|PointInTime(time)| time)
        };
        let day = SystemTime::UNIX_EPOCH + Duration::from_hours(498_648);
        assert_eq!(at("2026-11-20"), Some(day));
        assert_eq!(
            at("2026-11-20T00:00:01Z"),
            Some(day + Duration::from_secs(1))
        );
        assert_eq!(
            at("2026-11-20 00:00:01"),
            Some(day + Duration::from_secs(1))
        );
        assert!(at("10m").is_some_and(|time| time < SystemTime::now()));
        assert_eq!(at("yesterday"), None);
    }

    #[test]
    fn patterns_are_texts_and_regular_expressions() {
        let is_in =
            |pattern: &str, uri: &str| pattern.parse::<UriPattern>().is_ok_and(|p| p.matches(uri));
        assert!(is_in("/users?id=1", "http://a/users?id=1"));
        assert!(is_in("^/users/[0-9]+$", "/users/12"));
        assert!(!is_in("^/users/[0-9]+$", "/users/bob"));
        assert!(is_in("a[", "/a[b"), "no regular expression");
        assert!(!is_in("x[", "/a[b"));
    }
}
