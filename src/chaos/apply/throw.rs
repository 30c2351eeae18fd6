//! What it means to throw.

use std::fmt;

/// Makes of a message what [`Behavior::throw`](crate::chaos::Behavior::throw) does with it.
pub trait Throw<E> {
    /// The caller's error; or it panics.
    fn throw(&self, message: &str) -> E;
}

/// Panics: that is what an exception is to a server, and tower-http's `CatchPanicLayer` makes a 500 of
/// it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Panics;

impl<E> Throw<E> for Panics {
    #[expect(clippy::panic, reason = "that is what it is for")]
    fn throw(&self, message: &str) -> E {
        panic!("{message}")
    }
}

/// Fails with an error.
#[derive(Clone)]
pub struct Fails<F>(pub(in crate::chaos) F);

impl<E, F: Fn(&str) -> E> Throw<E> for Fails<F> {
    fn throw(&self, message: &str) -> E {
        (self.0)(message)
    }
}

impl<F> fmt::Debug for Fails<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fails").finish_non_exhaustive()
    }
}
