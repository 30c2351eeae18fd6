//! `MatchKey`: the hash by which a request finds its recording, and its computation.

use std::{borrow::Cow, fmt};

use bytes::Bytes;
use http::{HeaderValue, Method, Uri, header, request::Parts};
use percent_encoding::percent_decode_str;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::Matching;
use crate::{
    message::{BodyEnd, Exchange, RecordedBody, RecordedRequest},
    redact::Panicked,
};

/// The hash by which a request finds its recording: the first 128 bits of a SHA-256 over the parts
/// of the request that [`Matching`](crate::Matching) selects.
///
/// The same request has the same key on every machine. A new minor version of this crate may change
/// keys.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MatchKey([u8; 16]);

impl MatchKey {
    /// Creates a random key, which no request has.
    pub(super) fn of_nothing() -> Self {
        Self(Uuid::new_v4().into_bytes())
    }

    /// Returns the key as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// Writes the key as 32 lower-case hex digits.
impl fmt::Display for MatchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for MatchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MatchKey({self})")
    }
}

impl Matching {
    /// Returns the match key of a recorded request.
    pub fn key(&self, request: &RecordedRequest) -> MatchKey {
        self.try_key(request).unwrap_or_else(MatchKey::of_nothing)
    }

    /// Returns the match key of a request; `None` if a user's function panics.
    fn try_key(&self, request: &RecordedRequest) -> Option<MatchKey> {
        let content_type = request.headers.get("content-type");
        let encodings = request.headers.get_all("content-encoding");
        match self.cleaned(content_type, encodings, &request.body, || request.clone()) {
            Some(clean) => self.key_of_clean(Cow::Owned(clean.ok()?)),
            None => self.key_of_clean(Cow::Borrowed(request)),
        }
    }

    /// Returns the match key of a request whose body is redacted.
    fn key_of_clean(&self, request: Cow<'_, RecordedRequest>) -> Option<MatchKey> {
        if self.functions.is_empty() {
            return Some(self.hash(Request {
                method: &request.method,
                uri: &request.uri,
                headers: request.headers.iter_marked(),
                content_type: request.headers.get("content-type"),
                body: &request.body,
                results: Vec::new(),
            }));
        }
        let mut clean = request.into_owned();
        self.redact.head(&mut clean);
        clean.headers.remove(self.left_out());
        if !self.body {
            clean.body = RecordedBody::default();
        }
        let results = self.functions.of(&clean).collect::<Option<_>>()?;
        Some(self.hash(Request {
            method: &clean.method,
            uri: &clean.uri,
            headers: clean.headers.iter_marked(),
            content_type: clean.headers.get("content-type"),
            body: &clean.body,
            results,
        }))
    }

    /// Returns the match key under which `exchange` answers. Returns `None` if the exchange cannot
    /// answer: its response is missing or incomplete, its request body is incomplete although it is
    /// part of the key, or a user's function panics.
    pub fn key_of(&self, exchange: &Exchange) -> Option<MatchKey> {
        let whole = |body: &RecordedBody| body.end == BodyEnd::Complete;
        let response = exchange.response.as_ref().ok()?;
        if !whole(&response.body) || (self.body && !whole(&exchange.request.body)) {
            return None;
        }
        self.try_key(&exchange.request)
    }

    /// Returns the match key of a request that has arrived.
    pub(crate) fn key_of_parts(&self, parts: &Parts, body: &RecordedBody) -> MatchKey {
        let content_type = parts
            .headers
            .get(header::CONTENT_TYPE)
            .map(HeaderValue::as_bytes);
        let encodings = parts.headers.get_all(header::CONTENT_ENCODING);
        let encodings = encodings.iter().map(HeaderValue::as_bytes);
        let record = || {
            let mut request = RecordedRequest::from_parts(parts);
            request.body = body.clone();
            request
        };
        let clean = self.cleaned(content_type, encodings, body, record);
        if clean.is_some() || !self.functions.is_empty() {
            let clean = clean.unwrap_or_else(|| Ok(record())).ok();
            let key = clean.and_then(|clean| self.key_of_clean(Cow::Owned(clean)));
            return key.unwrap_or_else(MatchKey::of_nothing);
        }
        let headers = &parts.headers;
        self.hash(Request {
            method: &parts.method,
            uri: &parts.uri,
            headers: headers
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_bytes(), value.is_sensitive())),
            content_type,
            body,
            results: Vec::new(),
        })
    }

    /// Returns the redacted request; `None` if only its URI and headers may have secrets, which are
    /// replaced during hashing.
    fn cleaned<'a>(
        &self,
        content_type: Option<&[u8]>,
        encodings: impl Iterator<Item = &'a [u8]> + 'a,
        body: &RecordedBody,
        request: impl FnOnce() -> RecordedRequest,
    ) -> Option<Result<RecordedRequest, Panicked>> {
        let (has_functions, _) = self.redact.has_functions();
        if !has_functions && !self.body {
            return None;
        }
        self.redact.cleaned(content_type, encodings, body, request)
    }

    fn hash<'a>(&self, request: Request<'a, impl Iterator<Item = Field<'a>>>) -> MatchKey {
        let mut hash = Fields::new();
        if !self.functions.only {
            hash.field(request.method.as_str().as_bytes());
            let redacted = self.redact.uri(request.uri);
            self.hash_uri(&mut hash, redacted.as_ref().unwrap_or(request.uri));
            self.hash_headers(&mut hash, request.headers);
            self.hash_body(&mut hash, request.content_type, request.body);
        }
        for result in &request.results {
            hash.field(b"function");
            hash.field(result);
        }
        hash.key()
    }

    fn hash_headers<'a>(&self, hash: &mut Fields, headers: impl Iterator<Item = Field<'a>>) {
        let left_out = self.left_out();
        let mut headers: Vec<_> = headers
            .filter(|(name, ..)| self.headers.contains(name) && !left_out.contains(name))
            .collect();
        // Values of one name keep their order; the order of names is irrelevant (RFC 9110, 5.3).
        headers.sort_by_key(|(name, ..)| *name);
        for (name, value, is_sensitive) in headers {
            hash.field(name.as_bytes());
            match self.redact.header_value(name, value, is_sensitive) {
                Some(redacted) => hash.field(redacted.as_bytes()),
                None if name == "content-type" => hash.field(self.contents.content_type(value)),
                None => hash.field(value),
            }
        }
    }

    fn hash_body(&self, hash: &mut Fields, content_type: Option<&[u8]>, body: &RecordedBody) {
        if !self.body {
            return;
        }
        match self.contents.of(content_type, body) {
            None => hash.chunks(body.len(), body.chunks()),
            Some(counted) => {
                hash.field(b"what counts");
                hash.field(&counted);
            }
        }
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
        if self.query.is_all() {
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

/// The name and value of a header, and whether the value is marked sensitive.
type Field<'a> = (&'a str, &'a [u8], bool);

/// The input of the hash.
struct Request<'a, H> {
    method: &'a Method,
    uri: &'a Uri,
    headers: H,
    content_type: Option<&'a [u8]>,
    body: &'a RecordedBody,
    /// The results of the user's functions.
    results: Vec<Vec<u8>>,
}

/// A hash over fields, each prefixed with its length, so that different lists of fields differ.
pub(super) struct Fields(Sha256);

impl Fields {
    pub(super) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(super) fn field(&mut self, field: &[u8]) {
        self.0.update((field.len() as u64).to_be_bytes());
        self.0.update(field);
    }

    pub(super) fn chunks<'a>(&mut self, len: usize, chunks: impl Iterator<Item = &'a Bytes>) {
        self.0.update((len as u64).to_be_bytes());
        for chunk in chunks {
            self.0.update(chunk);
        }
    }

    pub(super) fn key(self) -> MatchKey {
        let mut key = [0; 16];
        key.copy_from_slice(&self.0.finalize()[..16]);
        MatchKey(key)
    }
}
