//! `RequestFilter`: the user's predicate that selects requests.

use std::{fmt, sync::Arc};

use http::request::Parts;

use super::panic::Guard;

/// Selects the requests that a layer applies to.
#[derive(Clone)]
pub(crate) struct RequestFilter {
    predicate: Arc<dyn Fn(&Parts) -> bool + Send + Sync>,
    guard: Guard,
}

impl RequestFilter {
    pub(crate) fn new(predicate: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        Self {
            predicate: Arc::new(predicate),
            guard: Guard::default(),
        }
    }

    /// Whether the predicate is true for a request; `false` if the predicate panics.
    #[inline]
    pub(crate) fn matches(&self, parts: &Parts) -> bool {
        let matches = self.guard.call("filter", || (self.predicate)(parts));
        matches.unwrap_or(false)
    }
}

impl fmt::Debug for RequestFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestFilter").finish_non_exhaustive()
    }
}
