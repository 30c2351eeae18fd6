//! What is usually secret, by name.

/// Header fields.
pub(super) const HEADERS: [&str; 16] = [
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

/// Query parameters and fields of forms.
// `key` and `code` are left out on purpose: in many APIs they are no secrets but what is asked for,
// and then every such request would look alike to a replay.
pub(super) const QUERY: [&str; 28] = [
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

/// Members of JSON objects: fewer, because a replay gives them to clients, in many of which
/// `session` or `signature` is something to work with.
pub(super) const JSON: [&str; 20] = [
    "access_token",
    "accesstoken",
    "refresh_token",
    "refreshtoken",
    "id_token",
    "idtoken",
    "token",
    "auth_token",
    "authtoken",
    "session_token",
    "sessiontoken",
    "api_key",
    "apikey",
    "client_secret",
    "clientsecret",
    "secret",
    "password",
    "passwd",
    "pwd",
    "jwt",
];

/// Header fields whose value is a URI, and so may carry a secret in its query.
pub(super) const URI_HEADERS: [&str; 9] = [
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

/// Header fields that say what a content is, byte for byte: they are wrong once a part of it was
/// replaced, and would let a short secret be guessed.
pub(super) const DIGESTS: [&str; 4] = ["content-digest", "repr-digest", "digest", "content-md5"];

/// Header fields that change with a body; the first only if it was compressed.
pub(super) const OF_BODIES: [&str; 6] = [
    "content-encoding",
    "content-length",
    "content-digest",
    "repr-digest",
    "digest",
    "content-md5",
];

/// Names in some place: those that are usually secret, and those that somebody has named.
#[derive(Clone, Debug, Default)]
pub(super) struct Names {
    usual: Vec<String>,
    named: Vec<String>,
    /// A bit for each length that a name has, the last also for all that are longer: most names in a
    /// text are no secret's by that alone.
    lengths: u64,
}

/// How sure it is that something is secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Its name makes it likely.
    Usual,
    /// Somebody said so.
    Named,
}

impl Names {
    pub(super) fn usual(names: &[&str]) -> Self {
        Self {
            usual: names.iter().copied().map(String::from).collect(),
            named: Vec::new(),
            lengths: names.iter().fold(0, |all, name| all | length(name.len())),
        }
    }

    pub(super) fn add(&mut self, name: &str) {
        self.lengths |= length(name.len());
        self.named.push(name.to_ascii_lowercase());
    }

    pub(super) fn remove(&mut self, name: &str) {
        self.usual.retain(|other| !other.eq_ignore_ascii_case(name));
        self.named.retain(|other| !other.eq_ignore_ascii_case(name));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.usual.is_empty() && self.named.is_empty()
    }

    /// Whether somebody has named any.
    pub(super) fn has_named(&self) -> bool {
        !self.named.is_empty()
    }

    pub(super) fn find(&self, name: &[u8]) -> Option<Rule> {
        if self.lengths & length(name.len()) == 0 {
            return None;
        }
        let is_in = |names: &[String]| {
            let mut names = names.iter();
            names.any(|other| other.as_bytes().eq_ignore_ascii_case(name))
        };
        if is_in(&self.named) {
            Some(Rule::Named)
        } else {
            is_in(&self.usual).then_some(Rule::Usual)
        }
    }

    /// As [`find`](Self::find); of a name like `user[password]` the last part counts too.
    pub(super) fn find_nested(&self, name: &[u8]) -> Option<Rule> {
        // `password[]` has several values of one name.
        let name = name.strip_suffix(b"[]").unwrap_or(name);
        let nested = name.strip_suffix(b"]");
        let last = nested.and_then(|name| {
            let at = memchr::memrchr(b'[', name)?;
            Some(&name[at + 1..])
        });
        self.find(name).or_else(|| self.find(last?))
    }
}

/// The bit for a length.
fn length(len: usize) -> u64 {
    1 << len.min(63)
}
