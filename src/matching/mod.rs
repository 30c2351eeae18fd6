//! How requests are told apart.

mod body;
mod describe;
mod hash;
mod json;
mod key;
mod selection;
mod user_functions;

pub use self::key::MatchKey;
use self::{body::Contents, json::Canonical, selection::NameSelection, user_functions::Functions};
use crate::{content::json_pointer::Pointer, message::RecordedRequest, redact::Redact};

/// What makes two requests the same to a replay. By default method, URI and body.
///
/// The three are hashed into a [`MatchKey`], once for a request; a lookup compares nothing else. Secrets
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
///     .ignore_json_order(true)            // written by different libraries
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
    headers: NameSelection,
    query: NameSelection,
    body: bool,
    contents: Contents,
    authority: bool,
    functions: Functions,
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
        self.headers = NameSelection::except(names);
        self
    }

    /// Does not let a query parameter count. Case does not matter.
    pub fn ignore_query(mut self, name: impl AsRef<str>) -> Self {
        self.query.remove(name.as_ref());
        self
    }

    /// Lets only these query parameters count; with none given, the query does not count.
    pub fn only_query<N: AsRef<str>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.query = NameSelection::only(names);
        self
    }

    /// Does not let the body count: it is then not read ahead either.
    ///
    /// What header fields say of its bytes does not count then either, as far as redaction may change
    /// it: `content-length` and digests, and `content-encoding` if you have named secrets of bodies.
    pub fn ignore_body(mut self, ignore: bool) -> Self {
        self.body = !ignore;
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
        self.contents.form = NameSelection::only(names);
        self
    }

    /// Lets only the parts of `multipart/...` bodies count, and not the boundary between them, which
    /// many clients draw anew for each request; nor in `content-type`, if that counts. The methods for
    /// fields of forms do that too.
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

    /// Does not let scheme and authority count, only path and query.
    pub fn ignore_authority(mut self, ignore: bool) -> Self {
        self.authority = !ignore;
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

    /// Header fields that never count: where the body is not known, neither is what redaction makes of
    /// these.
    fn left_out(&self) -> &'static [&'static str] {
        if self.body {
            return &[];
        }
        self.redact.changed_with_bodies()
    }
}
