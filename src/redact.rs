//! What never reaches a store, a key or a terminal.

use std::{ops::Range, sync::Arc};

use http::{HeaderValue, Uri, uri::PathAndQuery};
use percent_encoding::percent_decode_str;

use crate::{BodyEnd, Exchange, HeaderList, NoResponse, RecordedRequest};

/// What stands in a recording where a secret stood.
pub const REDACTED: &str = "REDACTED";

const HEADERS: [&str; 16] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "api-key",
    "x-goog-api-key",
    "x-auth-token",
    "x-access-token",
    "x-amz-security-token",
    "x-csrf-token",
    "x-xsrf-token",
    "x-vault-token",
    "x-forwarded-authorization",
    "authentication-info",
    "cookie2",
];

// `key` and `code` are left out on purpose: in many APIs they are no secrets but what is asked for,
// and then every such request would look alike to a replay.
const QUERY: [&str; 28] = [
    "access_token",
    "refresh_token",
    "id_token",
    "token",
    "auth_token",
    "session_token",
    "api_key",
    "api-key",
    "apikey",
    "x-api-key",
    "client_secret",
    "secret",
    "password",
    "passwd",
    "pwd",
    "jwt",
    "sig",
    "signature",
    "awsaccesskeyid",
    "x-amz-credential",
    "x-amz-security-token",
    "x-amz-signature",
    "x-goog-credential",
    "x-goog-signature",
    "auth",
    "session",
    "session_id",
    "sessionid",
];

// Fields whose value is a URI, and so may carry a secret in its query.
const URI_HEADERS: [&str; 9] = [
    "location",
    "content-location",
    "referer",
    "link",
    "refresh",
    "origin",
    "x-forwarded-uri",
    "x-original-url",
    "x-rewrite-url",
];

/// Which parts of a message are secrets, to be replaced by [`REDACTED`] before anything is stored.
///
/// The default replaces
/// - the values of `authorization`, `proxy-authorization`, `cookie`, `set-cookie`, `x-api-key`, `api-key`, `x-goog-api-key`, `x-auth-token`, `x-access-token`, `x-amz-security-token`, `x-csrf-token`, `x-xsrf-token`, `x-vault-token`, `x-forwarded-authorization`, `authentication-info`, `cookie2`,
/// - every header value marked sensitive ([`HeaderValue::is_sensitive`]),
/// - in the query or the fragment of a URI the values of `access_token`, `refresh_token`, `id_token`, `token`, `auth_token`, `session_token`, `api_key`, `api-key`, `apikey`, `x-api-key`, `client_secret`, `secret`, `password`, `passwd`, `pwd`, `jwt`, `sig`, `signature`, `awsaccesskeyid`, `x-amz-credential`, `x-amz-security-token`, `x-amz-signature`, `x-goog-credential`, `x-goog-signature`, `auth`, `session`, `session_id`, `sessionid`, also as the last part of a name like `user[password]`,
/// - user and password in a URI.
///
/// `key` and `code` are not among them: in many APIs they are what is asked for, and requests for
/// different things would look alike. Where they are secrets, add them with [`query`](Self::query).
///
/// The URIs are the request's, those in fields that hold one (`location`, `referer`, ...) and those in
/// the text of recorded errors.
///
/// The same is done to a request before it is looked up, so that a recording without its secrets
/// still answers. Two requests that differ in nothing but a secret are one to a replay.
///
/// Bodies are left as they are.
///
/// ```
/// use tower_traffic::Redact;
///
/// let redact = Redact::default().header("x-session").query("key").keep_header("set-cookie");
/// # let _ = redact;
/// ```
#[derive(Clone, Debug)]
pub struct Redact {
    // Shared, because every layer and every store holds a copy.
    rules: Arc<Rules>,
}

#[derive(Clone, Debug)]
struct Rules {
    // All names in lower case.
    headers: Vec<String>,
    query: Vec<String>,
    sensitive: bool,
    userinfo: bool,
}

impl Default for Redact {
    fn default() -> Self {
        Self {
            rules: Arc::new(Rules {
                headers: HEADERS.map(String::from).into(),
                query: QUERY.map(String::from).into(),
                sensitive: true,
                userinfo: true,
            }),
        }
    }
}

impl Redact {
    /// Replaces nothing: secrets are stored as they are.
    pub fn none() -> Self {
        Self {
            rules: Arc::new(Rules {
                headers: Vec::new(),
                query: Vec::new(),
                sensitive: false,
                userinfo: false,
            }),
        }
    }

    /// Also replaces the values of this header or trailer field.
    pub fn header(self, name: impl AsRef<str>) -> Self {
        self.change(|rules| rules.headers.push(name.as_ref().to_ascii_lowercase()))
    }

    /// Leaves the values of this field alone, unless they are marked sensitive.
    pub fn keep_header(self, name: impl AsRef<str>) -> Self {
        self.change(|rules| {
            rules
                .headers
                .retain(|n| !n.eq_ignore_ascii_case(name.as_ref()));
        })
    }

    /// Also replaces the values of this query parameter. Case does not matter.
    pub fn query(self, name: impl AsRef<str>) -> Self {
        self.change(|rules| rules.query.push(name.as_ref().to_ascii_lowercase()))
    }

    /// Leaves the values of this query parameter alone.
    pub fn keep_query(self, name: impl AsRef<str>) -> Self {
        self.change(|rules| {
            rules
                .query
                .retain(|n| !n.eq_ignore_ascii_case(name.as_ref()));
        })
    }

    fn change(mut self, change: impl FnOnce(&mut Rules)) -> Self {
        change(Arc::make_mut(&mut self.rules));
        self
    }

    /// Replaces the secrets of an exchange.
    pub fn exchange(&self, exchange: &mut Exchange) {
        self.request(&mut exchange.request);
        match &mut exchange.response {
            Ok(response) => {
                self.headers(&mut response.headers);
                if let Some(trailers) = &mut response.body.trailers {
                    self.headers(trailers);
                }
                self.end(&mut response.body.end);
            }
            Err(NoResponse::Failed(error)) => self.text(error),
            Err(NoResponse::ClientGone) => {}
        }
    }

    /// Replaces the secrets of a request.
    pub fn request(&self, request: &mut RecordedRequest) {
        if let Some(uri) = self.uri(&request.uri) {
            request.uri = uri;
        }
        self.headers(&mut request.headers);
        if let Some(trailers) = &mut request.body.trailers {
            self.headers(trailers);
        }
        self.end(&mut request.body.end);
    }

    /// Replaces the secrets among header fields.
    pub fn headers(&self, headers: &mut HeaderList) {
        headers.replace(|name, value, is_sensitive| self.header_value(name, value, is_sensitive));
    }

    /// What a field's value is replaced by; `None` if it can stay.
    pub(crate) fn header_value(
        &self,
        name: &str,
        value: &[u8],
        is_sensitive: bool,
    ) -> Option<HeaderValue> {
        if (self.rules.sensitive && is_sensitive)
            || self.rules.headers.iter().any(|secret| secret == name)
        {
            return Some(HeaderValue::from_static(REDACTED));
        }
        if URI_HEADERS.contains(&name) {
            return self.redact_bytes(value);
        }
        None
    }

    /// The URI without its secrets; `None` if it has none.
    pub(crate) fn uri(&self, uri: &Uri) -> Option<Uri> {
        let query = uri.query().and_then(|query| self.query_string(query));
        let authority = uri
            .authority()
            .filter(|_| self.rules.userinfo)
            .and_then(|authority| authority.as_str().rsplit_once('@'))
            .and_then(|(_, host)| format!("{REDACTED}@{host}").parse().ok());
        if query.is_none() && authority.is_none() {
            return None;
        }
        let mut parts = uri.clone().into_parts();
        if let Some(query) = query {
            // Cannot fail; if it did, no query is better than one with a secret.
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
        let secret = |pair: &str| {
            pair.split_once('=')
                .is_some_and(|(name, value)| value != REDACTED && self.is_secret_query(name))
        };
        if self.rules.query.is_empty() || !query.split('&').any(secret) {
            return None;
        }
        let mut redacted = String::with_capacity(query.len());
        for (i, pair) in query.split('&').enumerate() {
            if i > 0 {
                redacted.push('&');
            }
            match pair.split_once('=') {
                Some((name, _)) if secret(pair) => {
                    redacted.push_str(name);
                    redacted.push('=');
                    redacted.push_str(REDACTED);
                }
                _ => redacted.push_str(pair),
            }
        }
        Some(redacted)
    }

    fn is_secret_query(&self, name: &str) -> bool {
        let is_secret = |name: &str| {
            let nested = name
                .strip_suffix(']')
                .and_then(|name| name.rsplit_once('['));
            let last = nested.map_or(name, |(_, last)| last);
            let mut secrets = self.rules.query.iter();
            secrets.any(|secret| {
                secret.eq_ignore_ascii_case(name) || secret.eq_ignore_ascii_case(last)
            })
        };
        if name.contains('%') {
            is_secret(&percent_decode_str(name).decode_utf8_lossy())
        } else {
            is_secret(name)
        }
    }

    fn end(&self, end: &mut BodyEnd) {
        if let BodyEnd::Error(error) = end {
            self.text(error);
        }
    }

    fn text(&self, text: &mut String) {
        if let Some(redacted) = self.redact_text(text) {
            *text = redacted;
        }
    }

    fn redact_bytes(&self, value: &[u8]) -> Option<HeaderValue> {
        if let Ok(text) = str::from_utf8(value) {
            return HeaderValue::from_str(&self.redact_text(text)?).ok();
        }
        // Some other encoding: taken for Latin-1, every byte is a character and comes back as it was.
        let text: String = value.iter().copied().map(char::from).collect();
        let redacted = self.redact_text(&text)?;
        let bytes: Vec<u8> = redacted.chars().flat_map(u8::try_from).collect();
        HeaderValue::from_bytes(&bytes).ok()
    }

    /// Replaces the secrets of whatever URIs stand in a text, in user info, query and fragment (OAuth
    /// puts tokens there): clients like to put the URI into the text of an error.
    pub(crate) fn redact_text(&self, text: &str) -> Option<String> {
        let mut redacted = String::new();
        let mut kept = 0;
        for (at, mark) in text.match_indices(['/', '?', '#']) {
            let secret = match mark {
                "/" => self.user_info(text, at),
                _ => self.query_in(text, at + 1),
            };
            if at >= kept
                && let Some((part, clean)) = secret
            {
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

    /// Where user and password stand, if an authority begins here, and what is to stand there.
    fn user_info(&self, text: &str, at: usize) -> Option<(Range<usize>, String)> {
        let rest = text[at..].strip_prefix("//")?;
        // Elsewhere two slashes are a part of a path.
        let begins = |c: char| c.is_whitespace() || matches!(c, ':' | '=' | '"' | '\'' | '<' | '(');
        if !self.rules.userinfo || !text[..at].chars().next_back().is_none_or(begins) {
            return None;
        }
        let is_end = |c: char| matches!(c, '/' | '?' | '#') || ends_uri(c);
        let authority = &rest[..rest.find(is_end).unwrap_or(rest.len())];
        let (user, _) = authority.rsplit_once('@')?;
        Some((at + 2..at + 2 + user.len(), REDACTED.to_owned()))
    }

    /// Where a query or a fragment with secrets stands, if one begins here, and it without them.
    fn query_in(&self, text: &str, start: usize) -> Option<(Range<usize>, String)> {
        let rest = &text[start..];
        let query = &rest[..rest.find(|c| c == '#' || ends_uri(c)).unwrap_or(rest.len())];
        // These may stand in a query, but at its end they are more likely the text's.
        let query = query.trim_end_matches([')', ']', '}', '\'', ',', ';', ':', '.']);
        let clean = self.query_string(query)?;
        Some((start..start + query.len(), clean))
    }
}

/// What cannot stand in a URI.
fn ends_uri(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '<' | '>')
}
