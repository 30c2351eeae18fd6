//! The user's functions that contribute to match keys.

use std::{fmt, sync::Arc};

use crate::{message::RecordedRequest, util::panic::Guard};

type Function = Arc<dyn Fn(&RecordedRequest) -> Vec<u8> + Send + Sync>;

/// Functions whose results are part of the match key.
#[derive(Clone, Default)]
pub(super) struct MatchFunctions {
    all: Vec<Function>,
    /// Whether the results of the functions are the whole match key.
    pub(super) only: bool,
    guard: Guard,
}

impl MatchFunctions {
    pub(super) fn add<M: AsRef<[u8]>>(
        &mut self,
        function: impl Fn(&RecordedRequest) -> M + Send + Sync + 'static,
    ) {
        let function = move |request: &RecordedRequest| function(request).as_ref().to_vec();
        self.all.push(Arc::new(function));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Returns the result of each function; `None` for one that panicked.
    pub(super) fn of(&self, request: &RecordedRequest) -> impl Iterator<Item = Option<Vec<u8>>> {
        let all = self.all.iter();
        all.map(move |function| self.guard.call("matching", || function(request)))
    }
}

impl fmt::Debug for MatchFunctions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MatchFunctions")
            .field("all", &self.all.len())
            .field("only", &self.only)
            .finish_non_exhaustive()
    }
}
