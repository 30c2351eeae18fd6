//! Redaction: replaces secrets before anything is stored, matched or printed.

mod body;
mod edits;
mod events;
mod headers;
mod json;
mod mark;
mod members;
mod multipart;
mod names;
mod pairs;
mod shapes;
mod splice;
mod text;
mod uri;
mod user_functions;
mod xml;

use std::sync::Arc;

use http::{HeaderValue, Uri};

pub(crate) use self::user_functions::Panicked;
use self::{
    body::RedactedBody,
    json::SecretValues,
    mark::Mark,
    names::{SecretNames, UsualNames},
    user_functions::RedactFunctions,
};
use crate::{
    content::json_pointer::Pointer,
    message::{
        BodyEnd, Exchange, HeaderList, NoResponse, RecordedBody, RecordedRequest, RecordedResponse,
        whole_body,
    },
};

/// The text that replaces a secret.
pub const REDACTED: &str = "REDACTED";

#[doc = include_str!("../docs/redact.md")]
#[derive(Clone, Debug)]
#[must_use]
pub struct Redact {
    // Shared, because every layer and store has a copy.
    rules: Arc<Rules>,
}

#[derive(Clone, Debug, Default)]
struct Rules {
    headers: SecretNames,
    query: SecretNames,
    form: SecretNames,
    values: SecretValues,
    sensitive: bool,
    userinfo: bool,
    /// Whether secrets are known by their shape.
    has_shapes: bool,
    mark: Mark,
    functions: RedactFunctions,
}

impl Default for Redact {
    fn default() -> Self {
        Self {
            rules: Arc::new(Rules {
                headers: SecretNames::usual(UsualNames::of_headers()),
                query: SecretNames::usual(UsualNames::of_queries()),
                form: SecretNames::usual(UsualNames::of_queries()),
                values: SecretValues {
                    names: SecretNames::usual(UsualNames::of_json()),
                    pointers: Vec::new(),
                },
                sensitive: true,
                userinfo: true,
                has_shapes: true,
                mark: Mark::default(),
                functions: RedactFunctions::default(),
            }),
        }
    }
}

impl Redact {
    /// Redacts nothing: secrets are stored in clear text.
    pub fn none() -> Self {
        Self {
            rules: Arc::default(),
        }
    }

    /// Also replaces the values of the header or trailer `name`, which is case-insensitive.
    pub fn header(self, name: impl AsRef<str>) -> Self {
        self.change(|rules| rules.headers.add(name.as_ref()))
    }

    /// Keeps the values of the header `name`, which is case-insensitive, unless the values are
    /// marked sensitive.
    pub fn keep_header(self, name: impl AsRef<str>) -> Self {
        self.change(|rules| rules.headers.keep(name.as_ref()))
    }

    /// Also replaces the values of the query parameter `name`, which is case-insensitive.
    pub fn query(self, name: impl AsRef<str>) -> Self {
        self.change(|rules| rules.query.add(name.as_ref()))
    }

    /// Keeps the values of the query parameter `name`.
    pub fn keep_query(self, name: impl AsRef<str>) -> Self {
        self.change(|rules| rules.query.keep(name.as_ref()))
    }

    /// Also replaces the values of the form field `name`, which is case-insensitive: in
    /// `application/x-www-form-urlencoded`, and the content of the part of this name in
    /// `multipart/form-data`.
    ///
    /// ```
    /// use tower_traffic::Redact;
    ///
    /// let redact = Redact::default().form_field("pin");
    /// # let _ = redact;
    /// ```
    pub fn form_field(self, name: impl AsRef<str>) -> Self {
        self.change(|rules| rules.form.add(name.as_ref()))
    }

    /// Keeps the values of the form field `name`.
    pub fn keep_form_field(self, name: impl AsRef<str>) -> Self {
        self.change(|rules| rules.form.keep(name.as_ref()))
    }

    /// Also replaces the value of every member `name` in JSON, at any depth and regardless of case,
    /// `-` and `_`: strings, numbers, `true`, `false`, whole objects and arrays, but not `null`.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http::Request;
    /// use tower_traffic::{RecordedRequest, Redact};
    ///
    /// let redact = Redact::default().json_field("pin");
    /// let mut request = RecordedRequest::from(
    ///     Request::post("/cards")
    ///         .header("content-type", "application/json")
    ///         .body(Bytes::from(r#"{"card": {"pin": 1234, "limit": 1.50}}"#))?,
    /// );
    /// redact.request(&mut request);
    /// assert_eq!(request.body.to_bytes(), r#"{"card": {"pin": "REDACTED", "limit": 1.50}}"#);
    /// # Ok::<(), http::Error>(())
    /// ```
    pub fn json_field(self, name: impl AsRef<str>) -> Self {
        self.change(|rules| rules.values.names.add(name.as_ref()))
    }

    /// Keeps the values of members `name`, unless a pointer leads to them.
    pub fn keep_json_field(self, name: impl AsRef<str>) -> Self {
        self.change(|rules| rules.values.names.keep(name.as_ref()))
    }

    /// Also replaces the value at the JSON pointer `pointer` (RFC 6901) in JSON bodies.
    ///
    /// Beyond the RFC, `*` stands for any name or index, and `**` for any number of steps:
    /// `/users/*/pin`, `/**/card/number`. Case matters. The leading slash may be left out.
    ///
    /// ```
    /// use tower_traffic::Redact;
    ///
    /// let redact = Redact::default().json_pointer("/user/answers/*");
    /// # let _ = redact;
    /// ```
    pub fn json_pointer(self, pointer: impl AsRef<str>) -> Self {
        self.change(|rules| rules.values.pointers.push(Pointer::new(pointer.as_ref())))
    }

    /// Sets whether bodies are kept unchanged, except for fields that you name with
    /// [`form_field`](Self::form_field), [`json_field`](Self::json_field) or
    /// [`json_pointer`](Self::json_pointer).
    pub fn keep_bodies(self, keep: bool) -> Self {
        self.change(|rules| {
            rules.form.keeps_usual = keep;
            rules.values.names.keeps_usual = keep;
        })
    }

    /// Calls `function` with every request, before the other rules are applied.
    ///
    /// `function` is called on the recorder's thread when a request is stored, and on the request
    /// path when a request is looked up. It must therefore be deterministic and idempotent. Replace
    /// a body with [`RecordedBody::set_bytes`]; the header `content-length` is then corrected.
    ///
    /// If the function panics, the exchange is dropped and counted
    /// ([`DroppedCounts::redaction_failed`](crate::record::DroppedCounts::redaction_failed)), and a
    /// lookup is a miss.
    ///
    /// ```
    /// use tower_traffic::Redact;
    ///
    /// let redact = Redact::default().request_with(|request| {
    ///     if request.uri.path().starts_with("/reset-password/") {
    ///         request.uri = "/reset-password/REDACTED".parse().expect("a URI");
    ///     }
    /// });
    /// # let _ = redact;
    /// ```
    pub fn request_with(
        self,
        function: impl Fn(&mut RecordedRequest) + Send + Sync + 'static,
    ) -> Self {
        self.change(|rules| rules.functions.requests.push(Arc::new(function)))
    }

    /// Calls `function` with every response, before the other rules are applied. See
    /// [`request_with`](Self::request_with).
    pub fn response_with(
        self,
        function: impl Fn(&mut RecordedResponse) + Send + Sync + 'static,
    ) -> Self {
        self.change(|rules| rules.functions.responses.push(Arc::new(function)))
    }

    /// Replaces secrets with `REDACTED-1a2b3c4d5e6f`, where the digits are 48 bits of an
    /// HMAC-SHA256 with `key`: equal secrets have equal marks, and different secrets have different
    /// marks.
    ///
    /// Without the key, secrets cannot be found by hashing guesses; with the key, they can. Keep
    /// the key as secret as the secrets, and make it long and random (32 bytes). The key is never
    /// printed.
    ///
    /// Values are hashed decoded, without percent-encoding, escapes or quotes: a token in a JSON
    /// body has the same mark in a query, in a form, and after the scheme of `authorization`. In
    /// `cookie` and `set-cookie`, each value is hashed separately; the names and attributes of
    /// cookies are kept. Among a million secrets, two have the same mark with a probability of 0.2
    /// %.
    ///
    /// ```
    /// use http::{HeaderMap, header};
    /// use tower_traffic::{HeaderList, Redact};
    ///
    /// let redact = Redact::default().hash_with("a long and random key");
    /// let mut map = HeaderMap::new();
    /// map.insert(header::AUTHORIZATION, "Bearer hunter2".parse()?);
    /// map.insert(header::COOKIE, "a=hunter2; b=other".parse()?);
    /// let mut headers = HeaderList::from(&map);
    /// redact.headers(&mut headers);
    /// let mark = String::from_utf8_lossy(headers.get("authorization").unwrap_or_default());
    /// let cookies = String::from_utf8_lossy(headers.get("cookie").unwrap_or_default());
    /// assert!(mark.starts_with("REDACTED-"));
    /// assert!(cookies.starts_with(&format!("a={mark}; b=REDACTED-")));
    /// # Ok::<(), http::header::InvalidHeaderValue>(())
    /// ```
    pub fn hash_with(self, key: impl AsRef<[u8]>) -> Self {
        self.change(|rules| rules.mark = Mark::hashing(key.as_ref()))
    }

    fn change(mut self, change: impl FnOnce(&mut Rules)) -> Self {
        change(Arc::make_mut(&mut self.rules));
        self
    }

    /// Replaces the secrets of an exchange. If a user's function panics, only method, status and
    /// version of the message with which it was called are kept.
    pub fn exchange(&self, exchange: &mut Exchange) {
        self.request(&mut exchange.request);
        match &mut exchange.response {
            Ok(response) => self.response(response),
            Err(NoResponse::Failed(error)) => self.text(error),
            Err(NoResponse::ClientGone) => {}
        }
    }

    /// Replaces the secrets of a request. If a user's function panics, only method and version are
    /// kept.
    pub fn request(&self, request: &mut RecordedRequest) {
        if self.try_request(request).is_err() {
            request.uri = Uri::from_static("/REDACTED");
            clear(&mut request.headers, &mut request.body);
        }
    }

    /// Replaces the secrets of a response. If a user's function panics, only status and version are
    /// kept.
    pub fn response(&self, response: &mut RecordedResponse) {
        if self.try_response(response).is_err() {
            clear(&mut response.headers, &mut response.body);
        }
    }

    /// Replaces the secrets in headers.
    pub fn headers(&self, headers: &mut HeaderList) {
        self.rules.headers(headers);
    }

    /// Replaces the secrets of an exchange, like [`exchange`](Self::exchange), but leaves the
    /// exchange partly redacted if a function panics.
    pub(crate) fn try_exchange(&self, exchange: &mut Exchange) -> Result<(), Panicked> {
        self.try_request(&mut exchange.request)?;
        match &mut exchange.response {
            Ok(response) => self.try_response(response)?,
            Err(NoResponse::Failed(error)) => self.text(error),
            Err(NoResponse::ClientGone) => {}
        }
        Ok(())
    }

    /// Replaces the secrets of a request, like [`request`](Self::request), but leaves the request
    /// partly redacted if a function panics.
    pub(crate) fn try_request(&self, request: &mut RecordedRequest) -> Result<(), Panicked> {
        let functions = &self.rules.functions;
        let before = Before::of(&request.body, !functions.requests.is_empty());
        functions.request(request)?;
        // The body comes first: its headers, such as `content-type`, may be secret themselves.
        self.body(&mut request.headers, &mut request.body, &before);
        self.head(request);
        Ok(())
    }

    /// Replaces the secrets of a response, like [`response`](Self::response), but leaves the
    /// response partly redacted if a function panics.
    pub(crate) fn try_response(&self, response: &mut RecordedResponse) -> Result<(), Panicked> {
        let functions = &self.rules.functions;
        let before = Before::of(&response.body, !functions.responses.is_empty());
        functions.response(response)?;
        self.body(&mut response.headers, &mut response.body, &before);
        self.headers(&mut response.headers);
        Ok(())
    }

    /// Replaces the secrets of a request's URI and headers.
    pub(crate) fn head(&self, request: &mut RecordedRequest) {
        if let Some(uri) = self.uri(&request.uri) {
            request.uri = uri;
        }
        self.headers(&mut request.headers);
    }

    /// Replaces the secrets of a body, and updates the headers that describe its bytes.
    fn body(&self, headers: &mut HeaderList, body: &mut RecordedBody, before: &Before) {
        let clean = self.rules.clean(
            headers.get("content-type"),
            headers.get_all("content-encoding"),
            body,
        );
        self.put(headers, body, before, clean);
    }

    /// Replaces a body by its redacted form, if it has one, and redacts its trailers and its error.
    fn put(
        &self,
        headers: &mut HeaderList,
        body: &mut RecordedBody,
        before: &Before,
        clean: Option<RedactedBody>,
    ) {
        let mut is_changed = before.is_other(body);
        if let Some(clean) = clean {
            if clean.is_decoded {
                headers.remove(&["content-encoding"]);
            }
            body.set_bytes(clean.bytes);
            is_changed = true;
        }
        if let Some(trailers) = &mut body.trailers {
            self.headers(trailers);
        }
        if let BodyEnd::Error(error) = &mut body.end {
            self.text(error);
        }
        if !is_changed {
            return;
        }
        headers.remove(&names::DIGESTS);
        if let Some(trailers) = &mut body.trailers {
            trailers.remove(&names::DIGESTS);
        }
        let len = body.len();
        headers.replace(|name, value, _| {
            let was_right = name == "content-length"
                && whole_body::content_length([value]) == Some(before.len as u64);
            (was_right && len != before.len).then(|| len.into())
        });
    }

    /// Returns the replacement of a header value, or `None` if the value is kept.
    pub(crate) fn header_value(
        &self,
        name: &str,
        value: &[u8],
        is_sensitive: bool,
    ) -> Option<HeaderValue> {
        self.rules.header_value(name, value, is_sensitive)
    }

    /// Returns a URI with its secrets replaced, or `None` if it has no secrets.
    pub(crate) fn uri(&self, uri: &Uri) -> Option<Uri> {
        self.rules.uri(uri)
    }

    /// Returns a text with the secrets in all of its URIs replaced, or `None` if it has no secrets.
    pub(crate) fn redact_text(&self, text: &str) -> Option<String> {
        self.rules.redact_text(text)
    }

    /// Returns uncompressed content with its secrets replaced, or `None` if it has no secrets.
    /// With `is_cut`, the content may end anywhere.
    pub(crate) fn content(
        &self,
        content_type: Option<&[u8]>,
        content: &[u8],
        is_cut: bool,
    ) -> Option<Vec<u8>> {
        if !self.rules.concern_bodies() {
            return None;
        }
        self.rules.clean_content(content_type, content, is_cut)
    }

    /// Returns the redacted request, or `None` if its body has no secrets and there are no
    /// functions. `request` is called only if it is needed, and the body is searched once.
    pub(crate) fn cleaned<'a>(
        &self,
        content_type: Option<&[u8]>,
        encodings: impl Iterator<Item = &'a [u8]> + 'a,
        body: &RecordedBody,
        request: impl FnOnce() -> RecordedRequest,
    ) -> Option<Result<RecordedRequest, Panicked>> {
        if !self.rules.functions.requests.is_empty() {
            let mut request = request();
            return Some(self.try_request(&mut request).map(|()| request));
        }
        let clean = self.rules.clean(content_type, encodings, body)?;
        let mut request = request();
        let before = Before::of(&request.body, false);
        let RecordedRequest { headers, body, .. } = &mut request;
        self.put(headers, body, &before, Some(clean));
        self.head(&mut request);
        Some(Ok(request))
    }

    /// Returns the headers that may change when a request body is redacted.
    pub(crate) fn changed_with_bodies(&self) -> &'static [&'static str] {
        let rules = &self.rules;
        if rules.has_named() {
            &names::OF_BODIES
        } else if rules.concern_bodies() || !rules.functions.requests.is_empty() {
            &names::OF_BODIES[1..]
        } else {
            &[]
        }
    }

    /// Whether there are functions for requests, and whether there are functions for responses.
    pub(crate) fn has_functions(&self) -> (bool, bool) {
        let functions = &self.rules.functions;
        (
            !functions.requests.is_empty(),
            !functions.responses.is_empty(),
        )
    }

    fn text(&self, text: &mut String) {
        if let Some(redacted) = self.redact_text(text) {
            *text = redacted;
        }
    }
}

/// A body before the functions were called with its message.
struct Before {
    len: usize,
    /// The body; `None` if there are no functions.
    body: Option<RecordedBody>,
}

impl Before {
    fn of(body: &RecordedBody, has_functions: bool) -> Self {
        Self {
            len: body.len(),
            body: has_functions.then(|| body.clone()),
        }
    }

    fn is_other(&self, body: &RecordedBody) -> bool {
        let bytes = |body: &RecordedBody| body.to_bytes();
        self.body
            .as_ref()
            .is_some_and(|before| bytes(before) != bytes(body))
    }
}

/// Removes every part of a message that may contain a secret.
fn clear(headers: &mut HeaderList, body: &mut RecordedBody) {
    *headers = HeaderList::new();
    let end = match &body.end {
        BodyEnd::Error(_) => BodyEnd::Error(REDACTED.to_owned()),
        end => end.clone(),
    };
    *body = RecordedBody::from(REDACTED);
    body.end = end;
}
