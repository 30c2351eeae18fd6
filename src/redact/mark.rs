//! `Mark`: the replacement of a secret.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::REDACTED;

/// The number of hex digits in a hashed mark.
const DIGITS: usize = 12;

/// Makes the replacements of secrets: `REDACTED`, or `REDACTED-` and a hash.
#[derive(Clone, Default)]
pub(super) struct Mark {
    /// HMAC-SHA256, initialized with the key.
    hash: Option<Hmac<Sha256>>,
}

impl Mark {
    pub(super) fn hashing(key: &[u8]) -> Self {
        Self {
            // Cannot fail: HMAC accepts keys of every length.
            hash: Hmac::new_from_slice(key).ok(),
        }
    }

    pub(super) fn is_hashing(&self) -> bool {
        self.hash.is_some()
    }

    /// Returns the replacement of `secret`.
    pub(super) fn of(&self, secret: &[u8]) -> String {
        let Some(hash) = &self.hash else {
            return REDACTED.to_owned();
        };
        let hash = hash.clone().chain_update(secret).finalize().into_bytes();
        let digits = hash.iter().flat_map(|byte| [byte >> 4, byte & 15]);
        let digits = digits
            .take(DIGITS)
            .filter_map(|digit| char::from_digit(digit.into(), 16));
        let mut mark = format!("{REDACTED}-");
        mark.extend(digits);
        mark
    }

    /// Whether `text` is the replacement of a secret.
    pub(super) fn is_mark(&self, text: &[u8]) -> bool {
        let Some(rest) = text.strip_prefix(REDACTED.as_bytes()) else {
            return false;
        };
        let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        rest.is_empty()
            || self.is_hashing()
                && rest.len() == DIGITS + 1
                && rest[0] == b'-'
                && rest[1..].iter().all(is_hex)
    }
}

/// Formats the mark without its key.
impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_hashing() {
            "Mark { hash: .. }"
        } else {
            "Mark"
        })
    }
}
