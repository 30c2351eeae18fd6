//! Panics of the user's functions, which must not become a request's.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use http::request::Parts;

/// Calls functions of the user's.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guard {
    has_panicked: Arc<AtomicBool>,
}

impl Guard {
    /// Calls a function; `None` if it panics. The first time is told, with this name for it.
    #[inline]
    pub(crate) fn call<T>(&self, function: &str, call: impl FnOnce() -> T) -> Option<T> {
        let result = catch_unwind(AssertUnwindSafe(call));
        if result.is_err() {
            self.tell(function);
        }
        result.ok()
    }

    #[cold]
    fn tell(&self, function: &str) {
        if !self.has_panicked.swap(true, Ordering::Relaxed) {
            tracing::error!(
                function,
                "a function given to a layer panicked; requests are not affected, and later panics \
                 are not told"
            );
        }
    }
}

/// Which requests a layer is for.
#[derive(Clone)]
pub(crate) struct Filter {
    function: Arc<dyn Fn(&Parts) -> bool + Send + Sync>,
    guard: Guard,
}

impl Filter {
    pub(crate) fn new(function: impl Fn(&Parts) -> bool + Send + Sync + 'static) -> Self {
        Self {
            function: Arc::new(function),
            guard: Guard::default(),
        }
    }

    /// Whether it is for this one; not, if the function panics.
    #[inline]
    pub(crate) fn takes(&self, parts: &Parts) -> bool {
        let takes = self.guard.call("filter", || (self.function)(parts));
        takes.unwrap_or(false)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Filter").finish_non_exhaustive()
    }
}
