//! Secrets in URIs, and in texts that contain URIs.

use std::ops::Range;

use http::{HeaderValue, Uri, uri::PathAndQuery};

use super::{Rules, form};
use crate::content::form::decoded;

impl Rules {
    /// Returns a URI with its secrets replaced, or `None` if it has no secrets.
    pub(super) fn uri(&self, uri: &Uri) -> Option<Uri> {
        let query = uri.query().and_then(|query| self.query_string(query));
        let authority = uri
            .authority()
            .filter(|_| self.userinfo)
            .and_then(|authority| authority.as_str().rsplit_once('@'))
            .and_then(|(user, host)| format!("{}@{host}", self.user(user)?).parse().ok());
        if query.is_none() && authority.is_none() {
            return None;
        }
        let mut parts = uri.clone().into_parts();
        if let Some(query) = query {
            // Cannot fail; if it did, the query would be dropped rather than its secret kept.
            parts.path_and_query = PathAndQuery::try_from(format!("{}?{query}", uri.path()))
                .or_else(|_| PathAndQuery::try_from(uri.path()))
                .ok();
        }
        if authority.is_some() {
            parts.authority = authority;
        }
        Some(Uri::from_parts(parts).unwrap_or_default())
    }

    fn query_string(&self, query: &str) -> Option<String> {
        let clean = form::urlencoded(query.as_bytes(), &self.query, &self.mark)?;
        // Cannot fail: the marks are ASCII.
        Some(String::from_utf8(clean).unwrap_or_default())
    }

    /// Returns the replacement of user and password.
    fn user(&self, user: &str) -> Option<String> {
        (!self.mark.is_mark(user.as_bytes())).then(|| self.mark.of(user.as_bytes()))
    }

    /// Returns a header value with the secrets in all of its URIs replaced, like
    /// [`redact_text`](Self::redact_text).
    pub(super) fn redact_bytes(&self, value: &[u8]) -> Option<HeaderValue> {
        if let Ok(text) = str::from_utf8(value) {
            return HeaderValue::from_str(&self.redact_text(text)?).ok();
        }
        // In an unknown encoding: read as Latin-1, each byte is a character and is written back
        // unchanged.
        let text: String = value.iter().copied().map(char::from).collect();
        let redacted = self.redact_text(&text)?;
        let bytes: Vec<u8> = redacted.chars().flat_map(u8::try_from).collect();
        HeaderValue::from_bytes(&bytes).ok()
    }

    /// Returns `text` with the secrets in all of its URIs replaced, in user information, query and
    /// fragment (OAuth puts tokens into fragments); `None` if it has no secrets. The texts of
    /// clients' errors often contain URIs.
    pub(super) fn redact_text(&self, text: &str) -> Option<String> {
        let mut redacted = String::new();
        let mut kept = 0;
        // The end of the last query or fragment.
        let mut queried = 0;
        for (at, mark) in text.match_indices(['/', '?', '#']) {
            if at < kept {
                continue;
            }
            let secret = match mark {
                "/" => self.user_info(text, at),
                _ if at < queried => self.pair_in(&text[..queried], at + 1),
                _ => self.query_in(text, at + 1, &mut queried),
            };
            if let Some((part, clean)) = secret {
                redacted.push_str(&text[kept..part.start]);
                redacted.push_str(&clean);
                kept = part.end;
            }
        }
        if kept == 0 {
            return None;
        }
        redacted.push_str(&text[kept..]);
        Some(redacted)
    }

    /// If an authority begins at `at`, returns the range of its user and password, and their
    /// replacement.
    fn user_info(&self, text: &str, at: usize) -> Option<(Range<usize>, String)> {
        let rest = text[at..].strip_prefix("//")?;
        // Elsewhere, two slashes belong to a path.
        let begins = |c: char| c.is_whitespace() || matches!(c, ':' | '=' | '"' | '\'' | '<' | '(');
        if !self.userinfo || !text[..at].chars().next_back().is_none_or(begins) {
            return None;
        }
        let is_end = |c: char| matches!(c, '/' | '?' | '#') || ends_uri(c);
        let authority = &rest[..rest.find(is_end).unwrap_or(rest.len())];
        let (user, _) = authority.rsplit_once('@')?;
        Some((at + 2..at + 2 + user.len(), self.user(user)?))
    }

    /// If a query or fragment with secrets begins at `start`, returns its range and its redacted
    /// text.
    fn query_in(
        &self,
        text: &str,
        start: usize,
        end: &mut usize,
    ) -> Option<(Range<usize>, String)> {
        let rest = &text[start..];
        let query = &rest[..rest.find(|c| c == '#' || ends_uri(c)).unwrap_or(rest.len())];
        // A query may end with these, but more likely they belong to the surrounding text.
        let query = query.trim_end_matches([')', ']', '}', '\'', ',', ';', ':', '.']);
        *end = start + query.len();
        let clean = self.query_string(query)?;
        Some((start..*end, clean))
    }

    /// Returns the range and the redacted text, like [`query_in`](Self::query_in), for the pair
    /// that begins at `start` in a query without secrets as a whole. Only this pair is read,
    /// because there may be many.
    fn pair_in(&self, query: &str, start: usize) -> Option<(Range<usize>, String)> {
        let rest = &query[start..];
        let name = &rest[..rest.find(['=', '&', '?'])?];
        self.query.find_nested(&decoded(name.as_bytes()))?;
        let pair = &rest[..rest.find('&').unwrap_or(rest.len())];
        let clean = self.query_string(pair)?;
        Some((start..start + pair.len(), clean))
    }
}

/// Whether `c` cannot be part of a URI.
fn ends_uri(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '<' | '>')
}
