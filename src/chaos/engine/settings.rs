//! What can be set.

use std::time::Duration;

/// Of all that the engine steers.
#[derive(Clone)]
pub(in crate::chaos) struct Settings {
    pub(in crate::chaos) seed: u64,
    pub(in crate::chaos) expire_after: Option<Duration>,
    pub(in crate::chaos) max_concurrent: usize,
    pub(in crate::chaos) spared: Vec<String>,
    pub(in crate::chaos) http4k_header: bool,
    pub(in crate::chaos) kept: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: fastrand::u64(..),
            expire_after: None,
            max_concurrent: usize::MAX,
            spared: Vec::new(),
            http4k_header: false,
            kept: 1_000,
        }
    }
}
