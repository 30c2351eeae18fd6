//! Secrets in headers.

use http::HeaderValue;

use super::{
    REDACTED, Rules,
    edits::Edits,
    pairs::PairSyntax,
    text::{Steps, settled},
};
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
        if (self.sensitive && is_sensitive) || self.headers.contains(name.as_bytes()) {
            if self.mark.is_hashing()
                && let Ok(value) = HeaderValue::from_bytes(&self.hashed(name, value))
            {
                return Some(value);
            }
            return Some(HeaderValue::from_static(REDACTED));
        }
        if self.headers.keeps(name.as_bytes()) {
            return None;
        }
        let clean = settled(
            value,
            |value| match name {
                "sec-websocket-protocol" => self.protocols(value),
                "link" => self.text(value, PairSyntax::LINK, 0),
                _ => self.text(value, PairSyntax::HEADER, 0),
            },
            || self.mark(value),
        )?;
        // Cannot fail: marks are ASCII.
        Some(HeaderValue::from_bytes(&clean).unwrap_or(HeaderValue::from_static(REDACTED)))
    }

    /// Returns the names of WebSocket protocols with the tokens among them replaced: clients that
    /// cannot set a header send their token as a protocol.
    fn protocols(&self, value: &[u8]) -> Option<Vec<u8>> {
        let mut edits = Edits::new(value);
        let is_label = |name: &[u8]| {
            let is_secret = self.headers.has_usual() && name.eq_ignore_ascii_case(b"bearer");
            is_secret || self.headers.contains(name)
        };
        let mut after_label = false;
        let mut start = 0;
        for protocol in value.split(|byte| *byte == b',') {
            let name = protocol.trim_ascii();
            let at = start + (protocol.len() - protocol.trim_ascii_start().len());
            start += protocol.len() + 1;
            let last = memchr::memrchr(b'.', name).map_or(0, |dot| dot + 1);
            let mut labels = name[..last].split(|byte| *byte == b'.');
            let secret = if after_label || self.is_token(name) {
                at..at + name.len()
            } else if labels.any(is_label) {
                at + last..at + name.len()
            } else {
                after_label = is_label(name);
                continue;
            };
            after_label = false;
            if !self.mark.is_mark(&value[secret.clone()]) {
                let mark = self.mark.of(&value[secret.clone()]);
                edits.replace(secret, mark.as_bytes());
            }
        }
        let mut text = Steps::new(value);
        text.then(|_| edits.finish());
        text.then(|text| self.shapes(text, false));
        text.finish()
    }

    /// Whether the name of a protocol is long and random.
    fn is_token(&self, name: &[u8]) -> bool {
        const SHORTEST: usize = 24;
        self.headers.has_usual()
            && name.len() >= SHORTEST
            && !name.contains(&b'.')
            && name.iter().any(u8::is_ascii_digit)
            && name.iter().any(u8::is_ascii_alphabetic)
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
