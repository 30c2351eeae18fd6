//! `MatchKey`: the hash by which a request finds its recording.

use std::fmt;

use bytes::Bytes;
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// The hash by which a request finds its recording: the first 128 bits of a SHA-256 over the parts
/// of the request that [`Matching`](crate::Matching) selects.
///
/// The same request has the same key on every machine. A new minor version of this crate may change
/// keys.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MatchKey([u8; 16]);

impl MatchKey {
    /// A random key, which no request has.
    pub(super) fn of_nothing() -> Self {
        Self(Uuid::new_v4().into_bytes())
    }

    /// The key as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// 32 lower-case hex digits.
impl fmt::Display for MatchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for MatchKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MatchKey({self})")
    }
}

/// A hash over fields, each prefixed with its length, so that different lists of fields differ.
pub(super) struct Fields(Sha256);

impl Fields {
    pub(super) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(super) fn field(&mut self, field: &[u8]) {
        self.0.update((field.len() as u64).to_be_bytes());
        self.0.update(field);
    }

    pub(super) fn chunks<'a>(&mut self, len: usize, chunks: impl Iterator<Item = &'a Bytes>) {
        self.0.update((len as u64).to_be_bytes());
        for chunk in chunks {
            self.0.update(chunk);
        }
    }

    pub(super) fn key(self) -> MatchKey {
        let mut key = [0; 16];
        key.copy_from_slice(&self.0.finalize()[..16]);
        MatchKey(key)
    }
}
