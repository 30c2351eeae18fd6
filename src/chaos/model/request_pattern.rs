//! `Requests`: a pattern of requests.

use std::fmt;

use http::{HeaderValue, Uri, header::HOST};

use super::{decision::Affected, observation::Observation, pattern::TextPattern};
use crate::{content::form, message::head};

/// The longest text that a pattern is matched against, in bytes: matching runs on the thread of the
/// request.
pub(in crate::chaos) const MAX_TEXT_BYTES: usize = 64 << 10;

/// A regular expression that must match the whole text.
#[derive(Clone, Debug)]
pub(in crate::chaos) struct Pattern {
    compiled: TextPattern,
    text: String,
}

impl Pattern {
    fn new(text: impl Into<String>) -> Result<Self, InvalidPattern> {
        let text = text.into();
        match TextPattern::new(&text) {
            Ok(compiled) => Ok(Self { compiled, text }),
            Err(reason) => Err(InvalidPattern {
                reason,
                text: shortened(text),
            }),
        }
    }

    pub(in crate::chaos) fn matches(&self, text: &str) -> bool {
        text.len() <= MAX_TEXT_BYTES && self.compiled.matches(text)
    }
}

/// Shortens a long text, to be part of an error.
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

/// A regular expression that is invalid, or too large when compiled.
#[derive(Clone, Debug, thiserror::Error)]
#[error("invalid regular expression `{text}`: {reason}")]
pub struct InvalidPattern {
    text: String,
    reason: String,
}

/// A condition on one part of a request.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::chaos) enum Part {
    /// The method, compared without regard to case. A request with an unknown method never matches.
    Method(String),
    Host(Pattern),
    Path(Pattern),
    Query(String, Pattern),
    Header(String, Pattern),
    Body(Pattern),
}

/// A pattern of requests: all of its conditions must match.
///
/// Patterns are regular expressions in the syntax of [`regex_lite`], and must match the whole text.
/// A text of more than 64 KiB does not match. A match takes time proportional to the length of the
/// text; for that, a pattern that needs a large automaton, such as `(a{1,50}){1,50}`, is rejected.
/// A query parameter or header with several values matches if one of the values does.
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
#[must_use]
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Requests {
    parts: Vec<Part>,
}

impl Requests {
    /// Matches every request.
    pub fn any() -> Self {
        Self::default()
    }

    /// Requires the method `method`, compared without regard to case.
    pub fn method(self, method: impl Into<String>) -> Self {
        self.with(Part::Method(method.into()))
    }

    /// Requires a matching host: the authority of the URI, else the `Host` header, with its port if
    /// there is one.
    ///
    /// # Errors
    ///
    /// If the pattern is invalid.
    pub fn host(self, pattern: impl Into<String>) -> Result<Self, InvalidPattern> {
        Ok(self.with(Part::Host(Pattern::new(pattern)?)))
    }

    /// Requires a matching path, in its encoded form.
    ///
    /// # Errors
    ///
    /// If the pattern is invalid.
    pub fn path(self, pattern: impl Into<String>) -> Result<Self, InvalidPattern> {
        Ok(self.with(Part::Path(Pattern::new(pattern)?)))
    }

    /// Requires a query parameter `name` whose decoded value matches `pattern`.
    ///
    /// # Errors
    ///
    /// If the pattern is invalid.
    pub fn query(
        self,
        name: impl Into<String>,
        pattern: impl Into<String>,
    ) -> Result<Self, InvalidPattern> {
        Ok(self.with(Part::Query(name.into(), Pattern::new(pattern)?)))
    }

    /// Requires a header `name` whose value matches `pattern`.
    ///
    /// # Errors
    ///
    /// If the pattern is invalid.
    pub fn header(
        self,
        name: impl Into<String>,
        pattern: impl Into<String>,
    ) -> Result<Self, InvalidPattern> {
        Ok(self.with(Part::Header(name.into(), Pattern::new(pattern)?)))
    }

    /// Requires a matching body.
    ///
    /// The body is read into memory before the request is passed on. A body that is longer than 64
    /// KiB or is not UTF-8 does not match.
    ///
    /// # Errors
    ///
    /// If the pattern is invalid.
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
    str::from_utf8(head::host(observation.uri, header)?).ok()
}

/// Returns the decoded values of a query parameter. Only these are decoded, because each pattern
/// reads the whole query.
fn values<'a>(uri: &'a Uri, name: &'a str) -> impl Iterator<Item = String> + 'a {
    form::pairs(uri.query().unwrap_or_default().as_bytes())
        .filter(|pair| !pair.is_empty())
        .map(form::split)
        .filter(|(key, _)| form::decodes_to(key, name))
        .map(|(_, value)| {
            let value = form::decoded(value.unwrap_or_default());
            String::from_utf8_lossy(&value).into_owned()
        })
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
