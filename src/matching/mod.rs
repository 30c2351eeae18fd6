//! Match keys: how a request finds its recording.

mod body;
mod describe;
mod json;
mod match_key;
mod selection;
mod user_functions;

pub use self::match_key::MatchKey;
use self::{
    body::Contents, json::Canonical, selection::NameSelection, user_functions::MatchFunctions,
};
use crate::{content::json_pointer::Pointer, message::RecordedRequest, redact::Redact};

/// Selects the parts of a request that a recorded request must have in common with it: by default
/// method, URI and body.
///
/// The selected parts are hashed into a [`MatchKey`], once per request; a look-up compares only
/// keys. Secrets are replaced first ([`Redact::default`]) in the recorded request and in the new
/// one, so that a request with a new token finds its recording.
///
/// The URI is compared in the form that the layer receives: path and query at an HTTP/1 server;
/// with scheme and authority in a client, in a proxy and over HTTP/2. A recording made over HTTP/2
/// at one address and replayed at another needs [`ignore_authority`](Self::ignore_authority).
///
/// ```
/// use tower_traffic::Matching;
///
/// let matching = Matching::new()
///     .header("accept")               // the same URI may come as JSON and as HTML
///     .ignore_query("nonce")          // new in every request
///     .ignore_json_order(true)        // written by different libraries
///     .ignore_json("/sent_at");       // and at different times
/// # let _ = matching;
/// ```
///
/// # Bodies
///
/// Bodies are compared byte by byte by default. With [`ignore_json_order`], [`ignore_json`] or
/// [`only_json`], JSON is compared by its values: white space and the way of escaping are
/// irrelevant. Numbers are compared as they are written: `1.0` is not `1`, and no digit is lost.
/// Invalid JSON, JSON nested deeper than 128, and compressed bodies are compared byte by byte.
///
/// The `content-type` decides whether a body is JSON, a form or multipart. A form that is JSON, and a
/// body of another type or without a type that begins with `{` or `[`, is treated as JSON.
///
/// [`ignore_json_order`]: Self::ignore_json_order
/// [`ignore_json`]: Self::ignore_json
/// [`only_json`]: Self::only_json
#[derive(Clone, Debug)]
#[must_use]
pub struct Matching {
    headers: NameSelection,
    query: NameSelection,
    body: bool,
    contents: Contents,
    authority: bool,
    functions: MatchFunctions,
    redact: Redact,
}

impl Default for Matching {
    fn default() -> Self {
        Self {
            headers: NameSelection::none(),
            query: NameSelection::all(),
            body: true,
            contents: Contents::default(),
            authority: true,
            functions: MatchFunctions::default(),
            redact: Redact::default(),
        }
    }
}

impl Matching {
    /// Matches by method, URI and body, and ignores headers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Includes the header `name` in the match key. `name` is case-insensitive.
    pub fn header(mut self, name: impl AsRef<str>) -> Self {
        self.headers.add(name.as_ref());
        self
    }

    /// Includes every header except `names`, which are case-insensitive, in the match key. Replaces
    /// all earlier selections of headers.
    pub fn all_headers_except<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.headers = NameSelection::except(names);
        self
    }

    /// Ignores the query parameter `name`, which is case-insensitive.
    pub fn ignore_query(mut self, name: impl AsRef<str>) -> Self {
        self.query.remove(name.as_ref());
        self
    }

    /// Ignores every query parameter except `names`, which are case-insensitive; without names, the
    /// whole query. Replaces all earlier selections of query parameters.
    pub fn only_query<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.query = NameSelection::only(names);
        self
    }

    /// Sets whether the body is ignored. An ignored body is not buffered before a look-up.
    ///
    /// With the body, headers are ignored that redaction may change: `content-length`, digests, and
    /// `content-encoding` if you have named secrets in bodies.
    pub fn ignore_body(mut self, ignore: bool) -> Self {
        self.body = !ignore;
        self
    }

    /// Sets whether the order of members in JSON objects is ignored. The order of array elements,
    /// and of members with the same name, stays part of the match key.
    ///
    /// ```
    /// use bytes::Bytes;
    /// use http::Request;
    /// use tower_traffic::{Matching, RecordedRequest};
    ///
    /// let matching = Matching::new().ignore_json_order(true);
    /// let key = |body: &'static str| {
    ///     let request = Request::post("/users").header("content-type", "application/json");
    ///     let request = request.body(Bytes::from(body)).expect("a request");
    ///     matching.key(&RecordedRequest::from(request))
    /// };
    /// assert_eq!(key(r#"{"name": "bob", "age": 5}"#), key(r#"{"age":5,"name":"bob"}"#));
    /// assert_ne!(key(r#"{"name": "bob", "age": 5}"#), key(r#"{"age":5.0,"name":"bob"}"#));
    /// ```
    pub fn ignore_json_order(mut self, ignore: bool) -> Self {
        self.json().ignores_order = ignore;
        self.contents.json = self.contents.json.filter(|json| !json.is_default());
        self
    }

    /// Ignores the JSON value at `pointer`, whether the value is present or not. In the pointer
    /// (RFC 6901), `*` stands for any name or index and `**` for any number of steps. The leading
    /// slash may be left out.
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

    /// Ignores every JSON value except those at `pointers`, written as in
    /// [`ignore_json`](Self::ignore_json), and the positions of the values. Replaces earlier
    /// pointers of this method. Bodies that are not JSON are compared byte by byte, and so are
    /// bodies whose selected values, with their paths, are more than 16 times as long as the body
    /// (plus 1 MiB).
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

    /// Ignores the form field `name`, which is case-insensitive: in
    /// `application/x-www-form-urlencoded`, and the part of this name in `multipart/form-data`.
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

    /// Ignores every form field except `names`, which are case-insensitive, in the same kinds of
    /// bodies as [`ignore_form_field`](Self::ignore_form_field); without names, every field.
    /// Replaces all earlier selections of form fields.
    pub fn only_form_fields<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.contents.form = NameSelection::only(names);
        self
    }

    /// Sets whether the boundary between the parts of `multipart/...` bodies is ignored, which many
    /// clients choose anew for each request. The boundary is ignored in the body, and in
    /// `content-type` if that header is part of the match key. The methods for form fields ignore
    /// the boundary too.
    ///
    /// ```
    /// use tower_traffic::Matching;
    ///
    /// let matching = Matching::new().ignore_boundary(true);
    /// # let _ = matching;
    /// ```
    pub fn ignore_boundary(mut self, ignore: bool) -> Self {
        self.contents.boundary = !ignore;
        self
    }

    /// Sets whether scheme and authority are ignored. Path and query are always compared.
    pub fn ignore_authority(mut self, ignore: bool) -> Self {
        self.authority = !ignore;
        self
    }

    /// Includes the result of `function` in the match key.
    ///
    /// The function takes the redacted request, with its body unless the body is
    /// [ignored](Self::ignore_body). The function is called on the request path for each look-up,
    /// and for each recorded request when a recording is opened. A panic is logged once, and the
    /// request then matches no recording.
    ///
    /// ```
    /// use tower_traffic::Matching;
    ///
    /// // The first of the accepted languages.
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

    /// Matches only by the result of `function`, and of other functions set before or after.
    /// `function` is called as in [`also_by`](Self::also_by).
    ///
    /// ```
    /// use tower_traffic::Matching;
    ///
    /// // All paths `/jobs/<any id>/status` match one another.
    /// let matching = Matching::new().ignore_body(true).only_by(|request| {
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

    /// Sets the redaction that is applied to recorded and new requests before they are compared.
    /// Use the redaction of the recorder.
    pub fn redact(mut self, redact: Redact) -> Self {
        self.redact = redact;
        self
    }

    fn json(&mut self) -> &mut Canonical {
        self.contents.json.get_or_insert_default()
    }

    /// Whether a look-up needs the request body.
    pub(crate) fn needs_body(&self) -> bool {
        self.body
    }

    /// Returns the headers that are never part of the match key, because their redacted values are
    /// unknown without the body.
    fn left_out(&self) -> &'static [&'static str] {
        if self.body {
            return &[];
        }
        self.redact.changed_with_bodies()
    }
}
