//! `Behavior::throw`: a panic or an error.

use std::fmt;

/// The effect of [`Behavior::throw`](crate::chaos::Behavior::throw): a panic or an error.
pub trait ThrowHandler<E> {
    /// Panics with `message`, or converts it into an error.
    fn throw(&self, message: &str) -> E;
}

/// Panics with the message of [`Behavior::throw`](crate::chaos::Behavior::throw): the default.
///
/// A server treats a panic as http4k treats an exception: tower-http's `CatchPanicLayer` responds
/// with 500.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThrowPanic;

impl<E> ThrowHandler<E> for ThrowPanic {
    #[expect(clippy::panic, reason = "the fault is a panic")]
    fn throw(&self, message: &str) -> E {
        panic!("{message}")
    }
}

/// Returns the error that the function of [`Chaos::with_error`](crate::chaos::Chaos::with_error)
/// makes of the message.
#[derive(Clone)]
pub struct ThrowError<F>(pub(in crate::chaos) F);

impl<E, F: Fn(&str) -> E> ThrowHandler<E> for ThrowError<F> {
    fn throw(&self, message: &str) -> E {
        (self.0)(message)
    }
}

impl<F> fmt::Debug for ThrowError<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThrowError").finish_non_exhaustive()
    }
}
