//! Secrets in headers.

use http::HeaderValue;

use super::{REDACTED, Rules, names};
use crate::message::HeaderList;

/// The attributes of a cookie, whose values are not secret.
const ATTRIBUTES: [&str; 9] = [
    "domain",
    "expires",
    "httponly",
    "max-age",
    "partitioned",
    "path",
    "priority",
    "samesite",
    "secure",
];

impl Rules {
    /// Returns the replacement of a header value, or `None` if the value is kept.
    pub(super) fn header_value(
        &self,
        name: &str,
        value: &[u8],
        is_sensitive: bool,
    ) -> Option<HeaderValue> {
        if (self.sensitive && is_sensitive) || self.headers.iter().any(|secret| secret == name) {
            if self.mark.is_hashing()
                && let Ok(value) = HeaderValue::from_bytes(&self.hashed(name, value))
            {
                return Some(value);
            }
            return Some(HeaderValue::from_static(REDACTED));
        }
        if names::URI_HEADERS.contains(&name) {
            return self.redact_bytes(value);
        }
        None
    }

    pub(super) fn headers(&self, headers: &mut HeaderList) {
        headers.replace(|name, value, is_sensitive| self.header_value(name, value, is_sensitive));
    }

    /// Returns a header value in which each secret is hashed separately, so that a secret has the
    /// same mark in all headers.
    fn hashed(&self, name: &str, value: &[u8]) -> Vec<u8> {
        let parts = || value.split(|&byte| byte == b';').map(<[u8]>::trim_ascii);
        match name {
            "cookie" => parts()
                .map(|part| self.cookie(part))
                .collect::<Vec<_>>()
                .join(&b"; "[..]),
            "set-cookie" => {
                let cookie = parts().take(1).map(|part| self.cookie(part));
                let is_known = |part: &&[u8]| {
                    let name = part.split(|&byte| byte == b'=').next().unwrap_or_default();
                    let name = name.trim_ascii();
                    let mut known = ATTRIBUTES.iter();
                    known.any(|known| known.as_bytes().eq_ignore_ascii_case(name))
                };
                let attributes = parts().skip(1).filter(is_known).map(<[u8]>::to_vec);
                cookie
                    .chain(attributes)
                    .collect::<Vec<_>>()
                    .join(&b"; "[..])
            }
            // The authentication scheme does not belong to the secret (RFC 9110, 11.4).
            "authorization" | "proxy-authorization" => {
                let space = memchr::memchr(b' ', value);
                self.mark(value[space.map_or(0, |at| at + 1)..].trim_ascii())
            }
            _ => self.mark(value),
        }
    }

    /// Returns a cookie with its value replaced.
    fn cookie(&self, cookie: &[u8]) -> Vec<u8> {
        let (name, value) = match memchr::memchr(b'=', cookie) {
            Some(at) => cookie.split_at(at + 1),
            None => (&b""[..], cookie),
        };
        let bare = value
            .strip_prefix(b"\"")
            .and_then(|value| value.strip_suffix(b"\""));
        [name, &self.mark(bare.unwrap_or(value))].concat()
    }

    fn mark(&self, secret: &[u8]) -> Vec<u8> {
        if self.mark.is_mark(secret) {
            secret.to_vec()
        } else {
            self.mark.of(secret).into_bytes()
        }
    }
}
