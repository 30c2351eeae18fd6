//! What requests look like.

use std::fmt;

use http::{HeaderValue, Uri, header::HOST};
use regex_lite::{Regex, RegexBuilder};

use super::{decision::Affected, observation::Observation};
use crate::{content::form, message::semantics};

/// The largest program that a regular expression may become, in bytes.
const SIZE_LIMIT: usize = 1 << 20;

/// A regular expression that must match in full.
#[derive(Clone, Debug)]
pub(in crate::chaos) struct Pattern {
    regex: Regex,
    text: String,
}

impl Pattern {
    fn new(text: impl Into<String>) -> Result<Self, InvalidPattern> {
        let text = text.into();
        // By itself first: what closes our group would open the rest.
        let compile = |text: &str| RegexBuilder::new(text).size_limit(SIZE_LIMIT).build();
        let regex = compile(&text).and_then(|_| compile(&format!(r"\A(?:{text})\z")));
        match regex {
            Ok(regex) => Ok(Self { regex, text }),
            Err(error) => Err(InvalidPattern {
                reason: error.to_string(),
                text: shortened(text),
            }),
        }
    }

    pub(in crate::chaos) fn matches(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

/// What is huge is not repeated.
fn shortened(mut text: String) -> String {
    const SHOWN: usize = 80;
    if let Some((end, _)) = text.char_indices().nth(SHOWN) {
        text.truncate(end);
        text.push_str("...");
    }
    text
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// A text that is no regular expression, or a huge one.
#[derive(Clone, Debug, thiserror::Error)]
#[error("`{text}` is no regular expression that can be used: {reason}")]
pub struct InvalidPattern {
    text: String,
    reason: String,
}

/// A part of a request.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::chaos) enum Part {
    /// Also one that does not exist: that never comes.
    Method(String),
    Host(Pattern),
    Path(Pattern),
    Query(String, Pattern),
    Header(String, Pattern),
    Body(Pattern),
}

/// What a request looks like: all that is said must be so.
///
/// Patterns are regular expressions ([`regex_lite`]'s) that must match in full. Of a query parameter
/// or header field that is repeated, any one value is enough.
///
/// ```
/// use tower_traffic::chaos::Requests;
///
/// let orders = Requests::any().method("POST").path("/orders/.*")?.header("x-tenant", "acme|bolt")?;
/// assert_eq!(
///     orders.to_string(),
///     "method == POST AND path matches '/orders/.*' AND header 'x-tenant' matches 'acme|bolt'"
/// );
/// # Ok::<(), tower_traffic::chaos::InvalidPattern>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Requests {
    parts: Vec<Part>,
}

impl Requests {
    /// Every request.
    pub fn any() -> Self {
        Self::default()
    }

    /// With this method, in any case. One that does not exist never comes.
    pub fn method(self, method: impl Into<String>) -> Self {
        self.with(Part::Method(method.into()))
    }

    /// For such a host: the URI's authority, if it has one, else the `host` field; with the port, if
    /// there is one.
    ///
    /// # Errors
    /// If the pattern is none.
    pub fn host(self, pattern: impl Into<String>) -> Result<Self, InvalidPattern> {
        Ok(self.with(Part::Host(Pattern::new(pattern)?)))
    }

    /// With such a path, as it stands in the URI.
    ///
    /// # Errors
    /// If the pattern is none.
    pub fn path(self, pattern: impl Into<String>) -> Result<Self, InvalidPattern> {
        Ok(self.with(Part::Path(Pattern::new(pattern)?)))
    }

    /// With such a value of a query parameter, decoded.
    ///
    /// # Errors
    /// If the pattern is none.
    pub fn query(
        self,
        name: impl Into<String>,
        pattern: impl Into<String>,
    ) -> Result<Self, InvalidPattern> {
        Ok(self.with(Part::Query(name.into(), Pattern::new(pattern)?)))
    }

    /// With such a value of a header field.
    ///
    /// # Errors
    /// If the pattern is none.
    pub fn header(
        self,
        name: impl Into<String>,
        pattern: impl Into<String>,
    ) -> Result<Self, InvalidPattern> {
        Ok(self.with(Part::Header(name.into(), Pattern::new(pattern)?)))
    }

    /// With such a body. It is read into memory before the request is passed on; one of more than
    /// 1 MiB does not match, and neither does one that is not UTF-8.
    ///
    /// # Errors
    /// If the pattern is none.
    pub fn body(self, pattern: impl Into<String>) -> Result<Self, InvalidPattern> {
        Ok(self.with(Part::Body(Pattern::new(pattern)?)))
    }

    fn with(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }

    pub(in crate::chaos) fn parts(&self) -> &[Part] {
        &self.parts
    }

    pub(in crate::chaos) fn match_all(&self, observation: &Observation<'_>) -> bool {
        self.parts.iter().all(|part| part.is_in(observation))
    }

    pub(in crate::chaos) fn needs_body(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Body(_)))
    }
}

impl Part {
    fn is_in(&self, observation: &Observation<'_>) -> bool {
        match self {
            Self::Host(pattern) => host(observation).is_some_and(|host| pattern.matches(host)),
            _ if observation.target == Affected::Connection => false,
            Self::Method(method) => observation.method.as_str().eq_ignore_ascii_case(method),
            Self::Path(pattern) => pattern.matches(observation.uri.path()),
            Self::Query(name, pattern) => {
                values(observation.uri, name).any(|value| pattern.matches(&value))
            }
            Self::Header(name, pattern) => {
                let values = observation.headers.get_all(name.as_str()).iter();
                let mut texts = values.filter_map(|value| str::from_utf8(value.as_bytes()).ok());
                texts.any(|text| pattern.matches(text))
            }
            Self::Body(pattern) => {
                let text = observation.body.and_then(|body| str::from_utf8(body).ok());
                text.is_some_and(|text| pattern.matches(text))
            }
        }
    }
}

fn host<'a>(observation: &Observation<'a>) -> Option<&'a str> {
    let header = observation.headers.get(HOST).map(HeaderValue::as_bytes);
    str::from_utf8(semantics::host(observation.uri, header)?).ok()
}

/// The values of a query parameter.
fn values<'a>(uri: &'a Uri, name: &'a str) -> impl Iterator<Item = String> + 'a {
    form::texts(uri.query().unwrap_or_default())
        .filter_map(move |(key, value)| (key == name).then_some(value))
}

impl fmt::Display for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.parts.is_empty() {
            return f.write_str("anything");
        }
        for (index, part) in self.parts.iter().enumerate() {
            if index > 0 {
                f.write_str(" AND ")?;
            }
            match part {
                Part::Method(method) => write!(f, "method == {}", method.to_ascii_uppercase()),
                Part::Host(pattern) => write!(f, "host matches '{pattern}'"),
                Part::Path(pattern) => write!(f, "path matches '{pattern}'"),
                Part::Query(name, pattern) => write!(f, "query '{name}' matches '{pattern}'"),
                Part::Header(name, pattern) => write!(f, "header '{name}' matches '{pattern}'"),
                Part::Body(pattern) => write!(f, "body matches '{pattern}'"),
            }?;
        }
        Ok(())
    }
}
