//! How requests are told apart.

use std::fmt;

use bytes::Bytes;
use http::{Method, Uri, request::Parts};
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};

use crate::{BodyEnd, Exchange, RecordedBody, RecordedRequest, Redact};

/// What makes two requests the same to a replay. By default method, URI and body.
///
/// The three are hashed into a [`Key`], once for a request; a lookup compares nothing else. Secrets
/// are replaced before ([`Redact::default`]), on both sides, so that a request with a new token finds
/// its recording.
///
/// The URI counts as it is seen: at an HTTP/1 server that is path and query; in a client, in a
/// proxy and over HTTP/2 it has scheme and authority too. A recording made over HTTP/2 at one
/// address and replayed at another needs [`ignore_authority`](Self::ignore_authority).
///
/// ```
/// use tower_traffic::Matching;
///
/// let matching = Matching::new()
///     .header("accept")        // the same URI may come as JSON and as HTML
///     .ignore_query("nonce");  // new in every request
/// # let _ = matching;
/// ```
#[derive(Clone, Debug)]
pub struct Matching {
    headers: Names,
    query: Names,
    body: bool,
    authority: bool,
    redact: Redact,
}

/// Which names count.
#[derive(Clone, Debug)]
enum Names {
    Only(Vec<String>),
    Except(Vec<String>),
}

impl Names {
    fn contains(&self, name: &str) -> bool {
        let is_in = |names: &[String]| names.iter().any(|n| n.eq_ignore_ascii_case(name));
        match self {
            Self::Only(names) => is_in(names),
            Self::Except(names) => !is_in(names),
        }
    }

    fn add(&mut self, name: &str) {
        match self {
            Self::Only(names) => names.push(name.to_owned()),
            Self::Except(names) => names.retain(|n| !n.eq_ignore_ascii_case(name)),
        }
    }

    fn remove(&mut self, name: &str) {
        match self {
            Self::Only(names) => names.retain(|n| !n.eq_ignore_ascii_case(name)),
            Self::Except(names) => names.push(name.to_owned()),
        }
    }
}

impl Default for Matching {
    fn default() -> Self {
        Self {
            headers: Names::Only(Vec::new()),
            query: Names::Except(Vec::new()),
            body: true,
            authority: true,
            redact: Redact::default(),
        }
    }
}

impl Matching {
    /// Method, URI and body count, headers do not.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets a header field count too. Case does not matter.
    pub fn header(mut self, name: impl AsRef<str>) -> Self {
        self.headers.add(name.as_ref());
        self
    }

    /// Lets every header field count but these.
    pub fn all_headers_except<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.headers = Names::Except(owned(names));
        self
    }

    /// Does not let a query parameter count. Case does not matter.
    pub fn ignore_query(mut self, name: impl AsRef<str>) -> Self {
        self.query.remove(name.as_ref());
        self
    }

    /// Lets only these query parameters count; with none given, the query does not count.
    pub fn only_query<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.query = Names::Only(owned(names));
        self
    }

    /// Does not let the body count: it is then not read ahead either.
    pub fn ignore_body(mut self) -> Self {
        self.body = false;
        self
    }

    /// Does not let scheme and authority count, only path and query.
    pub fn ignore_authority(mut self) -> Self {
        self.authority = false;
        self
    }

    /// What is replaced on both sides before they are compared. Give the recorder's.
    pub fn redact(mut self, redact: Redact) -> Self {
        self.redact = redact;
        self
    }

    /// Whether a request's body must be known.
    pub(crate) fn needs_body(&self) -> bool {
        self.body
    }

    pub(crate) fn redaction(&self) -> &Redact {
        &self.redact
    }

    /// The header fields that count.
    pub(crate) fn headers_of<'a>(
        &'a self,
        request: &'a RecordedRequest,
    ) -> impl Iterator<Item = (&'a str, &'a [u8])> {
        request
            .headers
            .iter()
            .filter(|(name, _)| self.headers.contains(name))
    }

    /// The key of a recorded request.
    pub fn key(&self, request: &RecordedRequest) -> Key {
        let headers = request
            .headers
            .iter()
            .map(|(name, value)| (name, value, false));
        self.hash(&request.method, &request.uri, headers, &request.body)
    }

    /// The key under which an exchange answers; `None` if it cannot answer, because its response is
    /// missing or cut short, or because its request is and the body counts.
    pub fn key_of(&self, exchange: &Exchange) -> Option<Key> {
        let whole = |body: &RecordedBody| body.end == BodyEnd::Complete;
        let response = exchange.response.as_ref().ok()?;
        let answers = whole(&response.body) && (whole(&exchange.request.body) || !self.body);
        answers.then(|| self.key(&exchange.request))
    }

    /// The key of a request that has just come.
    pub(crate) fn key_of_parts(&self, parts: &Parts, body: &RecordedBody) -> Key {
        let headers = &parts.headers;
        let headers = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes(), value.is_sensitive()));
        self.hash(&parts.method, &parts.uri, headers, body)
    }

    fn hash<'a>(
        &self,
        method: &Method,
        uri: &Uri,
        headers: impl Iterator<Item = (&'a str, &'a [u8], bool)>,
        body: &RecordedBody,
    ) -> Key {
        let mut hash = Fields(Sha256::new());
        hash.field(method.as_str().as_bytes());

        let redacted = self.redact.uri(uri);
        self.hash_uri(&mut hash, redacted.as_ref().unwrap_or(uri));

        let mut headers: Vec<_> = headers
            .filter(|(name, ..)| self.headers.contains(name))
            .collect();
        // Values of one name keep their order; the order of names means nothing (RFC 9110, 5.3).
        headers.sort_by_key(|(name, ..)| *name);
        for (name, value, is_sensitive) in headers {
            hash.field(name.as_bytes());
            match self.redact.header_value(name, value, is_sensitive) {
                Some(redacted) => hash.field(redacted.as_bytes()),
                None => hash.field(value),
            }
        }

        if self.body {
            hash.chunks(body.len(), body.chunks());
        }
        hash.key()
    }

    fn hash_uri(&self, hash: &mut Fields, uri: &Uri) {
        if self.authority
            && let Some(authority) = uri.authority()
        {
            hash.field(uri.scheme_str().unwrap_or_default().as_bytes());
            hash.field(authority.as_str().to_ascii_lowercase().as_bytes());
        }
        hash.field(uri.path().as_bytes());
        let Some(query) = uri.query() else { return };
        if matches!(&self.query, Names::Except(names) if names.is_empty()) {
            hash.field(query.as_bytes());
            return;
        }
        let mut kept = query
            .split('&')
            .filter(|pair| {
                let name = pair.split_once('=').map_or(*pair, |(name, _)| name);
                self.query
                    .contains(&percent_decode_str(name).decode_utf8_lossy())
            })
            .peekable();
        if kept.peek().is_some() {
            hash.field(kept.collect::<Vec<_>>().join("&").as_bytes());
        }
    }
}

fn owned<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Vec<String> {
    names
        .into_iter()
        .map(|name| name.as_ref().to_owned())
        .collect()
}

/// A hash over fields, each with its length before it, so that no two lists of fields are alike.
struct Fields(Sha256);

impl Fields {
    fn field(&mut self, field: &[u8]) {
        self.0.update((field.len() as u64).to_be_bytes());
        self.0.update(field);
    }

    fn chunks<'a>(&mut self, len: usize, chunks: impl Iterator<Item = &'a Bytes>) {
        self.0.update((len as u64).to_be_bytes());
        for chunk in chunks {
            self.0.update(chunk);
        }
    }

    fn key(self) -> Key {
        let mut key = [0; 16];
        key.copy_from_slice(&self.0.finalize()[..16]);
        Key(key)
    }
}

/// What a request is looked up by: the first 128 bits of a SHA-256 over what [`Matching`] lets count.
///
/// The same request has the same key on every machine. A new minor version of this crate may
/// change keys.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key([u8; 16]);

impl Key {
    /// The key as bytes.
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// 32 lower-case hex digits.
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}
