//! Panics of user functions: caught, and logged once.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// Calls user functions, so that their panics do not fail a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guard {
    has_panicked: Arc<AtomicBool>,
}

impl Guard {
    /// Calls a function; `None` if it panics. The first panic is logged under the name `function`.
    #[inline]
    pub(crate) fn call<T>(&self, function: &str, call: impl FnOnce() -> T) -> Option<T> {
        let result = catch_unwind(AssertUnwindSafe(call));
        if result.is_err() {
            self.log(function);
        }
        result.ok()
    }

    #[cold]
    fn log(&self, function: &str) {
        if !self.has_panicked.swap(true, Ordering::Relaxed) {
            tracing::error!(
                function,
                "a function given to a layer panicked; requests are not affected, and later panics \
                 are not logged"
            );
        }
    }
}

/// Calls a function when it is dropped, which is when the code between `new` and `disarm` panics.
pub(crate) struct OnPanic<F: FnMut()>(F);

impl<F: FnMut()> OnPanic<F> {
    /// Guards the code until [`disarm`](Self::disarm). `call` must own nothing: `disarm` does not
    /// drop it.
    #[inline]
    pub(crate) fn new(call: F) -> Self {
        Self(call)
    }

    /// Drops the guard without a call, because the guarded code has returned.
    #[inline]
    pub(crate) fn disarm(self) {
        mem::forget(self);
    }
}

impl<F: FnMut()> Drop for OnPanic<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}
