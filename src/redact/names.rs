//! The names that are usually secret.

/// Headers with secrets, by their usual names.
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
// `key` and `code` are left out: in many APIs they select the response, and different requests
// would look alike.
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

/// Members of JSON objects. The list is shorter than that of query parameters, because a replay
/// returns the values to clients, many of which need the values of `session` or `signature`.
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

/// Headers whose value is a URI, which may have a secret in its query.
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

/// Headers with a digest of the content. A digest is wrong once content is replaced, and is enough
/// to guess a short secret.
pub(super) const DIGESTS: [&str; 4] = ["content-digest", "repr-digest", "digest", "content-md5"];

/// Headers that describe a body and change with it; the first one changes only if the body was
/// compressed.
pub(super) const OF_BODIES: [&str; 6] = [
    "content-encoding",
    "content-length",
    "content-digest",
    "repr-digest",
    "digest",
    "content-md5",
];

/// The names of secrets in one place, such as the query: the usual names, and those that a user has
/// named.
#[derive(Clone, Debug, Default)]
pub(super) struct SecretNames {
    usual: Vec<String>,
    named: Vec<String>,
    /// Whether the usual names are not treated as secret.
    pub(super) keeps_usual: bool,
    /// One bit for each length of a name, the last bit for all longer names: most look-ups end with
    /// this check.
    lengths: u64,
}

/// The reason why a name is secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SecretRule {
    /// The name is usually that of a secret.
    Usual,
    /// A user has named the secret.
    Named,
}

impl SecretNames {
    pub(super) fn usual(names: &[&str]) -> Self {
        Self {
            usual: names.iter().copied().map(String::from).collect(),
            lengths: names.iter().fold(0, |all, name| all | length(name.len())),
            ..Self::default()
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
        self.named.is_empty() && (self.keeps_usual || self.usual.is_empty())
    }

    /// Whether a user has named at least one secret.
    pub(super) fn has_named(&self) -> bool {
        !self.named.is_empty()
    }

    pub(super) fn find(&self, name: &[u8]) -> Option<SecretRule> {
        if self.lengths & length(name.len()) == 0 {
            return None;
        }
        let contains = |names: &[String]| {
            let mut names = names.iter();
            names.any(|other| other.as_bytes().eq_ignore_ascii_case(name))
        };
        if contains(&self.named) {
            return Some(SecretRule::Named);
        }
        (!self.keeps_usual && contains(&self.usual)).then_some(SecretRule::Usual)
    }

    /// Returns the rule that makes `name` secret, like [`find`](Self::find). In a name like
    /// `user[password]`, the last part is looked up too.
    pub(super) fn find_nested(&self, name: &[u8]) -> Option<SecretRule> {
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

/// Returns the bit for a name of `len` bytes.
fn length(len: usize) -> u64 {
    1 << len.min(63)
}
