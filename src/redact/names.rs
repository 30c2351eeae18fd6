//! The names that are usually secret, and the comparison of names.

use std::sync::LazyLock;

/// The ends of names that are secret everywhere, such as `x-gitlab-token` and `newPassword`.
///
/// Names are written as [`normal`] returns them. `key` alone is left out: it often selects the
/// response, as in `partition_key`, and different requests would look alike.
const ENDINGS: [&str; 21] = [
    "token",
    "apikey",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "jwt",
    "privatekey",
    "secretkey",
    "accesskey",
    "authkey",
    "signingkey",
    "encryptionkey",
    "masterkey",
    "sharedkey",
    "accountkey",
    "applicationkey",
    "customerkey",
    "functionskey",
    "subscriptionkey",
];

/// The ends of names that are not secret although they have one of the [`ENDINGS`]: positions in a
/// list, and the special tokens of language models.
const NOT_SECRET: [&str; 18] = [
    "pagetoken",
    "nexttoken",
    "prevtoken",
    "previoustoken",
    "continuationtoken",
    "continuetoken",
    "paginationtoken",
    "cursortoken",
    "starttoken",
    "startingtoken",
    "synctoken",
    "deltatoken",
    "skiptoken",
    "resumetoken",
    "bostoken",
    "eostoken",
    "padtoken",
    "unktoken",
];

/// Secret names in queries, forms and JSON, beyond those with one of the [`ENDINGS`].
const PARAMETERS: [&str; 12] = [
    "clientassertion",
    "codeverifier",
    "csrf",
    "devicecode",
    "idtokenhint",
    "oauthsignature",
    "oauthverifier",
    "passwordconfirmation",
    "samlart",
    "samlrequest",
    "samlresponse",
    "xsrf",
];

/// Secret names in queries and forms only. In JSON, many clients need the values of `session` or
/// `signature` in a replayed response, and `ticket` is an object of a domain.
const QUERY: [&str; 18] = [
    "assertion",
    "auth",
    "authorization",
    "awsaccesskeyid",
    "bearer",
    "jsessionid",
    "phpsessid",
    "session",
    "sessionid",
    "sig",
    "signature",
    "ticket",
    "wresult",
    "xamzcredential",
    "xamzsignature",
    "xgoogcredential",
    "xgoogsignature",
    "sharedaccesssignature",
];

/// Secret headers, beyond those with one of the [`ENDINGS`].
const HEADERS: [&str; 9] = [
    "authenticationinfo",
    "cookie",
    "cookie2",
    "dpop",
    "proxyauthenticationinfo",
    "setcookie",
    "setcookie2",
    "xamznoidcdata",
    "xauth",
];

/// The ends of headers that are secret, beyond the [`ENDINGS`].
const HEADER_ENDINGS: [&str; 2] = ["authorization", "jwtassertion"];

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

/// The length of the longest usual name.
const MAX_LEN: usize = 23;

/// The names that are usually secret in one place.
#[derive(Debug)]
pub(super) struct UsualNames {
    names: Vec<&'static str>,
    endings: Vec<&'static str>,
    /// For each letter, one bit for each letter that may follow as the last one: most look-ups end
    /// with this check.
    last_letters: [u32; 26],
}

impl UsualNames {
    pub(super) fn of_headers() -> &'static Self {
        static NAMES: LazyLock<UsualNames> =
            LazyLock::new(|| UsualNames::new(&[&HEADERS], &[&ENDINGS, &HEADER_ENDINGS]));
        &NAMES
    }

    pub(super) fn of_queries() -> &'static Self {
        static NAMES: LazyLock<UsualNames> =
            LazyLock::new(|| UsualNames::new(&[&PARAMETERS, &QUERY], &[&ENDINGS]));
        &NAMES
    }

    pub(super) fn of_json() -> &'static Self {
        static NAMES: LazyLock<UsualNames> =
            LazyLock::new(|| UsualNames::new(&[&PARAMETERS], &[&ENDINGS]));
        &NAMES
    }

    fn new(names: &[&[&'static str]], endings: &[&[&'static str]]) -> Self {
        let (names, endings) = (names.concat(), endings.concat());
        let mut last_letters = [0; 26];
        for name in names.iter().chain(&endings) {
            if let [.., before, last] = name.as_bytes()
                && let (Some(before), Some(last)) = (letter(*before), letter(*last))
            {
                last_letters[before] |= 1 << last;
            }
        }
        Self {
            names,
            endings,
            last_letters,
        }
    }

    /// Returns the rule that makes `name` secret.
    fn find(&self, name: &[u8]) -> Option<SecretRule> {
        let mut last = normal(name).rev();
        let (last, before) = (last.next()?, last.next()?);
        let may_be_secret = match (letter(before), letter(last)) {
            (Some(before), Some(last)) => self.last_letters[before] & 1 << last != 0,
            // `cookie2`
            _ => last.is_ascii_digit(),
        };
        if !may_be_secret {
            return None;
        }
        // The end of the name, one byte longer than any usual name.
        let mut buffer = [0; MAX_LEN + 1];
        let mut start = buffer.len();
        for byte in normal(name).rev().take(buffer.len()) {
            start -= 1;
            buffer[start] = byte;
        }
        let end = &buffer[start..];
        let ends_with = |ending: &&str| end.ends_with(ending.as_bytes());
        let is_ending = |ending: &&&str| ends_with(ending) && end.len() > ending.len();
        if self.names.iter().any(|other| other.as_bytes() == end) {
            return Some(SecretRule::Usual);
        }
        if NOT_SECRET.iter().any(ends_with) {
            return None;
        }
        if self.endings.iter().any(|other| other.as_bytes() == end) {
            return Some(SecretRule::Usual);
        }
        self.endings
            .iter()
            .find(is_ending)
            .map(|_| SecretRule::UsualEnding)
    }
}

/// The names of secrets in one place, such as the query: the usual names, and those that a user has
/// named.
#[derive(Clone, Debug, Default)]
pub(super) struct SecretNames {
    usual: Option<&'static UsualNames>,
    named: Vec<String>,
    kept: Vec<String>,
    /// Whether the usual names are not treated as secret.
    pub(super) keeps_usual: bool,
}

/// The reason why a name is secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SecretRule {
    /// The name is usually that of a secret.
    Usual,
    /// The end of the name is usually that of a secret.
    UsualEnding,
    /// A user has named the secret.
    Named,
}

impl SecretNames {
    pub(super) fn usual(names: &'static UsualNames) -> Self {
        Self {
            usual: Some(names),
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, name: &str) {
        self.kept
            .retain(|other| !is_same(other.as_bytes(), name.as_bytes()));
        self.named.push(name.to_owned());
    }

    pub(super) fn keep(&mut self, name: &str) {
        self.named
            .retain(|other| !is_same(other.as_bytes(), name.as_bytes()));
        self.kept.push(name.to_owned());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.named.is_empty() && self.usual_names().is_none()
    }

    /// Whether a user has named at least one secret.
    pub(super) fn has_named(&self) -> bool {
        !self.named.is_empty()
    }

    /// Whether a user has chosen to keep the values of `name`.
    pub(super) fn keeps(&self, name: &[u8]) -> bool {
        contains(&self.kept, name)
    }

    /// Whether usual names are secret.
    pub(super) fn has_usual(&self) -> bool {
        self.usual_names().is_some()
    }

    fn usual_names(&self) -> Option<&'static UsualNames> {
        self.usual.filter(|_| !self.keeps_usual)
    }

    pub(super) fn contains(&self, name: &[u8]) -> bool {
        self.find(name).is_some()
    }

    /// Returns the rule that makes `name` secret. Names are compared without case, `-`, `_` and
    /// white space. In a name like `user[password]`, the last part is looked up too.
    pub(super) fn find(&self, name: &[u8]) -> Option<SecretRule> {
        let last = last_part(name);
        if !self.named.is_empty() && (contains(&self.named, name) || contains(&self.named, last)) {
            return Some(SecretRule::Named);
        }
        let rule = self.usual_names()?.find(last)?;
        let is_kept = self.keeps(name) || self.keeps(last);
        (!is_kept).then_some(rule)
    }
}

fn contains(names: &[String], name: &[u8]) -> bool {
    names.iter().any(|other| is_same(other.as_bytes(), name))
}

/// Whether two names differ only in case, separators and white space.
fn is_same(a: &[u8], b: &[u8]) -> bool {
    normal(a).eq(normal(b))
}

/// Returns a name in lower case, without separators and white space.
fn normal(name: &[u8]) -> impl DoubleEndedIterator<Item = u8> {
    let is_part = |byte: &u8| !matches!(byte, b'-' | b'_' | 0..=b' ');
    let bytes = name.iter().copied().filter(is_part);
    bytes.map(|byte| byte.to_ascii_lowercase())
}

/// Returns the last part of a name such as `user[password]`, `user.password`, `password[0]` or
/// `!password`.
fn last_part(name: &[u8]) -> &[u8] {
    let mut name = name.trim_ascii();
    // `password[]` and `password[0]` have several values of one name.
    while let Some(inside) = name.strip_suffix(b"]")
        && let Some(open) = memchr::memrchr(b'[', inside)
        && inside[open + 1..].iter().all(u8::is_ascii_digit)
        && open > 0
    {
        name = &inside[..open];
    }
    let name = name.strip_suffix(b"]").unwrap_or(name);
    let is_separator = |byte: &u8| matches!(byte, b'[' | b'.' | b'/' | b'!' | b':' | b'$' | b'@');
    let start = name.iter().rposition(is_separator).map_or(0, |at| at + 1);
    &name[start..]
}

/// Returns the position of a lower-case letter in the alphabet.
fn letter(byte: u8) -> Option<usize> {
    byte.is_ascii_lowercase().then(|| usize::from(byte - b'a'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usual_names_are_normal_and_fit_the_buffer() {
        for names in [
            UsualNames::of_headers(),
            UsualNames::of_queries(),
            UsualNames::of_json(),
        ] {
            for name in names.names.iter().chain(&names.endings) {
                assert!(normal(name.as_bytes()).eq(name.bytes()), "{name}");
                assert!(name.len() <= MAX_LEN, "{name}");
                assert!(names.find(name.as_bytes()).is_some(), "{name}");
            }
        }
    }
}
