//! How requests are told apart.

mod body;
mod functions;
mod json;
mod key;
mod names;

use std::{borrow::Cow, fmt::Write};

use http::{HeaderValue, Method, Uri, header, request::Parts};
use percent_encoding::percent_decode_str;

pub use self::key::Key;
use self::{body::Contents, functions::Functions, json::Canonical, key::Fields, names::Names};
use crate::{BodyEnd, Exchange, RecordedBody, RecordedRequest, Redact, media::pointer::Pointer};

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
///     .header("accept")               // the same URI may come as JSON and as HTML
///     .ignore_query("nonce")          // new in every request
///     .ignore_json_order()            // written by different libraries
///     .ignore_json("/sent_at");       // and at different times
/// # let _ = matching;
/// ```
///
/// # Bodies
///
/// A body counts byte for byte, unless something is said of it. With [`ignore_json_order`],
/// [`ignore_json`] or [`only_json`], JSON counts by its values: white space does not, nor how strings
/// are escaped. Numbers count as they are written: `1.0` is not `1`, and none loses a digit. What is
/// no JSON after all, or nested deeper than 128, counts byte for byte, and so does what is compressed.
///
/// A request's body is JSON, a form or multipart by its `content-type`. A form, plain text, or what
/// has no type is taken for JSON if it begins with `{` or `[`.
///
/// [`ignore_json_order`]: Self::ignore_json_order
/// [`ignore_json`]: Self::ignore_json
/// [`only_json`]: Self::only_json
#[derive(Clone, Debug)]
pub struct Matching {
    headers: Names,
    query: Names,
    body: bool,
    contents: Contents,
    authority: bool,
    functions: Functions,
    redact: Redact,
}

impl Default for Matching {
    fn default() -> Self {
        Self {
            headers: Names::none(),
            query: Names::all(),
            body: true,
            contents: Contents::default(),
            authority: true,
            functions: Functions::default(),
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
        self.headers = Names::except(names);
        self
    }

    /// Does not let a query parameter count. Case does not matter.
    pub fn ignore_query(mut self, name: impl AsRef<str>) -> Self {
        self.query.remove(name.as_ref());
        self
    }

    /// Lets only these query parameters count; with none given, the query does not count.
    pub fn only_query<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.query = Names::only(names);
        self
    }

    /// Does not let the body count: it is then not read ahead either.
    ///
    /// What header fields say of its bytes does not count then either, as far as redaction may change
    /// it: `content-length` and digests, and `content-encoding` if you have named secrets of bodies.
    pub fn ignore_body(mut self) -> Self {
        self.body = false;
        self
    }

    /// Does not let the order of members in JSON objects count. That of array elements does, and that
    /// of members of one name.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http::Request;
    /// use tower_traffic::{Matching, RecordedRequest};
    ///
    /// let matching = Matching::new().ignore_json_order();
    /// let key = |body: &'static str| {
    ///     let request = Request::post("/users").header("content-type", "application/json");
    ///     let request = request.body(Bytes::from(body)).expect("a request");
    ///     matching.key(&RecordedRequest::from(request))
    /// };
    /// assert_eq!(key(r#"{"name": "bob", "age": 5}"#), key(r#"{"age":5,"name":"bob"}"#));
    /// assert_ne!(key(r#"{"name": "bob", "age": 5}"#), key(r#"{"age":5.0,"name":"bob"}"#));
    /// ```
    pub fn ignore_json_order(mut self) -> Self {
        self.json().ignores_order = true;
        self
    }

    /// Does not let the JSON value count that this pointer leads to, nor whether there is one. The
    /// pointer is one of RFC 6901, in which `*` stands for any name or number and `**` for any number
    /// of steps.
    ///
    /// ```
    /// use tower_traffic::Matching;
    ///
    /// let matching = Matching::new().ignore_json("/meta/sent_at").ignore_json("/**/nonce");
    /// # let _ = matching;
    /// ```
    pub fn ignore_json(mut self, pointer: impl AsRef<str>) -> Self {
        let pointer = Pointer::new(pointer.as_ref());
        self.json().ignored.push(pointer);
        self
    }

    /// Lets only the JSON values count that these pointers lead to, which are written as in
    /// [`ignore_json`](Self::ignore_json), and where they stand. What is no JSON counts as it is, and so
    /// does a body in which what counts, with its paths, is more than 16 times as long as the body (and
    /// 1 MiB).
    ///
    /// ```
    /// use tower_traffic::Matching;
    ///
    /// let matching = Matching::new().only_json(["/model", "/messages/*/content"]);
    /// # let _ = matching;
    /// ```
    pub fn only_json<N: AsRef<str>>(mut self, pointers: impl IntoIterator<Item = N>) -> Self {
        let pointers = pointers.into_iter();
        self.json().only = Some(pointers.map(|text| Pointer::new(text.as_ref())).collect());
        self
    }

    /// Does not let a field of forms count: in `application/x-www-form-urlencoded`, and a part of
    /// this name in `multipart/form-data`. Case does not matter.
    ///
    /// ```
    /// use tower_traffic::Matching;
    ///
    /// let matching = Matching::new().ignore_form_field("csrf");
    /// # let _ = matching;
    /// ```
    pub fn ignore_form_field(mut self, name: impl AsRef<str>) -> Self {
        self.contents.form.remove(name.as_ref());
        self
    }

    /// Lets only these fields of forms count, as in [`ignore_form_field`](Self::ignore_form_field).
    pub fn only_form_fields<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.contents.form = Names::only(names);
        self
    }

    /// Lets only the parts of `multipart/...` bodies count, and not the boundary between them, which
    /// many clients draw anew for each request; nor in `content-type`, if that counts. The methods for
    /// fields of forms do that too.
    ///
    /// ```
    /// use tower_traffic::Matching;
    ///
    /// let matching = Matching::new().ignore_boundary();
    /// # let _ = matching;
    /// ```
    pub fn ignore_boundary(mut self) -> Self {
        self.contents.boundary = false;
        self
    }

    /// Does not let scheme and authority count, only path and query.
    pub fn ignore_authority(mut self) -> Self {
        self.authority = false;
        self
    }

    /// Lets what this function says of a request count too.
    ///
    /// It is given the request without its secrets, and with its body unless that does
    /// [not count](Self::ignore_body). It runs on the request's path, and whenever a recording is
    /// opened. If it panics, that is told once, and the request is like no other.
    ///
    /// ```
    /// use tower_traffic::Matching;
    ///
    /// // Of a language list, only the first counts.
    /// let matching = Matching::new().also_by(|request| {
    ///     let languages = request.headers.get("accept-language").unwrap_or_default();
    ///     languages.get(..2).unwrap_or_default().to_vec()
    /// });
    /// # let _ = matching;
    /// ```
    pub fn also_by<M: AsRef<[u8]>>(
        mut self,
        function: impl Fn(&RecordedRequest) -> M + Send + Sync + 'static,
    ) -> Self {
        self.functions.add(function);
        self
    }

    /// Lets only what this function says of a request count, and that of others given before or after.
    /// Otherwise as [`also_by`](Self::also_by).
    ///
    /// ```
    /// use tower_traffic::Matching;
    ///
    /// // `/jobs/<any id>/status` is one to the replay.
    /// let matching = Matching::new().ignore_body().only_by(|request| {
    ///     let steps: Vec<_> = request.uri.path().split('/').collect();
    ///     match steps[..] {
    ///         [_, "jobs", _, "status"] => "job status".to_owned(),
    ///         _ => format!("{} {}", request.method, request.uri),
    ///     }
    /// });
    /// # let _ = matching;
    /// ```
    pub fn only_by<M: AsRef<[u8]>>(
        mut self,
        function: impl Fn(&RecordedRequest) -> M + Send + Sync + 'static,
    ) -> Self {
        self.functions.add(function);
        self.functions.only = true;
        self
    }

    /// What is replaced on both sides before they are compared. Give the recorder's.
    pub fn redact(mut self, redact: Redact) -> Self {
        self.redact = redact;
        self
    }

    fn json(&mut self) -> &mut Canonical {
        self.contents.json.get_or_insert_default()
    }

    /// Whether a request's body must be known.
    pub(crate) fn needs_body(&self) -> bool {
        self.body
    }

    /// The key of a recorded request.
    pub fn key(&self, request: &RecordedRequest) -> Key {
        self.try_key(request).unwrap_or_else(Key::of_nothing)
    }

    /// The key of a request; `None` if a function panics.
    fn try_key(&self, request: &RecordedRequest) -> Option<Key> {
        let content_type = request.headers.get("content-type");
        let encodings = request.headers.get_all("content-encoding");
        if self.is_to_be_cleaned(content_type, encodings, &request.body) {
            let mut request = request.clone();
            self.redact.try_request(&mut request).ok()?;
            return self.key_of_clean(&request);
        }
        self.key_of_clean(request)
    }

    /// The key of a request whose body has no secrets any more.
    fn key_of_clean(&self, request: &RecordedRequest) -> Option<Key> {
        if self.functions.is_empty() {
            return Some(self.hash(Request {
                method: &request.method,
                uri: &request.uri,
                headers: request.headers.iter_marked(),
                content_type: request.headers.get("content-type"),
                body: &request.body,
                said: Vec::new(),
            }));
        }
        let mut clean = request.clone();
        self.clean_head(&mut clean);
        clean.headers.remove(self.left_out());
        if !self.body {
            clean.body = RecordedBody::default();
        }
        let said = self.functions.of(&clean).collect::<Option<_>>()?;
        Some(self.hash(Request {
            method: &clean.method,
            uri: &clean.uri,
            headers: clean.headers.iter_marked(),
            content_type: clean.headers.get("content-type"),
            body: &clean.body,
            said,
        }))
    }

    /// The key under which an exchange answers; `None` if it cannot answer, because its response is
    /// missing or cut short, or because its request is and the body counts; nor if a function panics.
    pub fn key_of(&self, exchange: &Exchange) -> Option<Key> {
        let whole = |body: &RecordedBody| body.end == BodyEnd::Complete;
        let response = exchange.response.as_ref().ok()?;
        if !whole(&response.body) || (self.body && !whole(&exchange.request.body)) {
            return None;
        }
        self.try_key(&exchange.request)
    }

    /// The key of a request that has just come.
    pub(crate) fn key_of_parts(&self, parts: &Parts, body: &RecordedBody) -> Key {
        let content_type = parts
            .headers
            .get(header::CONTENT_TYPE)
            .map(HeaderValue::as_bytes);
        let encodings = parts.headers.get_all(header::CONTENT_ENCODING);
        let encodings = encodings.iter().map(HeaderValue::as_bytes);
        if !self.functions.is_empty() || self.is_to_be_cleaned(content_type, encodings, body) {
            let mut request = RecordedRequest::from_parts(parts);
            request.body = body.clone();
            return self.key(&request);
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
            said: Vec::new(),
        })
    }

    /// Whether there is more to be replaced than in URI and header fields, which is done while
    /// hashing.
    fn is_to_be_cleaned<'a>(
        &self,
        content_type: Option<&[u8]>,
        encodings: impl Iterator<Item = &'a [u8]> + 'a,
        body: &RecordedBody,
    ) -> bool {
        let (has_functions, _) = self.redact.has_functions();
        has_functions || self.body && self.redact.changes_body(content_type, encodings, body)
    }

    /// Header fields that never count: where the body is not known, neither is what redaction makes of
    /// these.
    fn left_out(&self) -> &'static [&'static str] {
        if self.body {
            return &[];
        }
        self.redact.changed_with_bodies()
    }

    fn clean_head(&self, request: &mut RecordedRequest) {
        if let Some(uri) = self.redact.uri(&request.uri) {
            request.uri = uri;
        }
        self.redact.headers(&mut request.headers);
    }

    fn hash<'a>(&self, request: Request<'a, impl Iterator<Item = Field<'a>>>) -> Key {
        let mut hash = Fields::new();
        if !self.functions.only {
            hash.field(request.method.as_str().as_bytes());
            let redacted = self.redact.uri(request.uri);
            self.hash_uri(&mut hash, redacted.as_ref().unwrap_or(request.uri));
            self.hash_headers(&mut hash, request.headers);
            self.hash_body(&mut hash, request.content_type, request.body);
        }
        for said in &request.said {
            hash.field(b"function");
            hash.field(said);
        }
        hash.key()
    }

    fn hash_headers<'a>(&self, hash: &mut Fields, headers: impl Iterator<Item = Field<'a>>) {
        let left_out = self.left_out();
        let mut headers: Vec<_> = headers
            .filter(|(name, ..)| self.headers.contains(name) && !left_out.contains(name))
            .collect();
        // Values of one name keep their order; the order of names means nothing (RFC 9110, 5.3).
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

    /// What counts of a request, to be shown to people. Secrets are replaced.
    pub(crate) fn describe(&self, request: &RecordedRequest) -> String {
        const SHOWN: usize = 512;
        let mut clean = request.clone();
        self.redact.request(&mut clean);
        // Writing to a string cannot fail.
        let mut text = format!("{} {}", clean.method, clean.uri);
        let mut show = |what: &str, bytes: &[u8]| {
            let shown = &bytes[..bytes.len().min(SHOWN)];
            let _ = write!(text, "\n  {what}: {}", shown.escape_ascii());
            if shown.len() < bytes.len() {
                text.push_str("...");
            }
        };
        for said in self.functions.of(&clean) {
            let said = said.map_or(Cow::Borrowed(&b"it panicked"[..]), Cow::Owned);
            show("a function says", &said);
        }
        if self.functions.only {
            return text;
        }
        let left_out = self.left_out();
        for (name, value) in clean.headers.iter() {
            if self.headers.contains(name) && !left_out.contains(&name) {
                show(name, value);
            }
        }
        if clean.body.is_empty() || !self.body {
            return text;
        }
        let content_type = clean.headers.get("content-type");
        let len = clean.body.len();
        match self.contents.of(content_type, &clean.body) {
            None => show(&format!("body, {len} bytes"), &clean.body.to_bytes()),
            Some(counted) => show(&format!("of the body's {len} bytes counts"), &counted),
        }
        text
    }
}

/// A header field's name and value, and whether it is marked sensitive.
type Field<'a> = (&'a str, &'a [u8], bool);

/// What there is to be hashed.
struct Request<'a, H> {
    method: &'a Method,
    uri: &'a Uri,
    headers: H,
    content_type: Option<&'a [u8]>,
    body: &'a RecordedBody,
    /// What functions say of it.
    said: Vec<Vec<u8>>,
}
