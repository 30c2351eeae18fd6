//! `Behavior::throw`: a panic or an error.

use std::fmt;

/// Implements [`Behavior::throw`](crate::chaos::Behavior::throw).
pub trait Throw<E> {
    /// Panics with `message`, or converts it into an error.
    fn throw(&self, message: &str) -> E;
}

/// Panics, as the default of [`Chaos`](crate::chaos::Chaos).
///
/// A server treats a panic as http4k treats an exception: tower-http's `CatchPanicLayer` responds
/// with 500.
#[derive(Clone, Copy, Debug, Default)]
pub struct Panics;

impl<E> Throw<E> for Panics {
    #[expect(clippy::panic, reason = "the fault is a panic")]
    fn throw(&self, message: &str) -> E {
        panic!("{message}")
    }
}

/// Returns an error, see [`Chaos::with_error`](crate::chaos::Chaos::with_error).
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
