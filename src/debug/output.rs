//! Where what is printed goes.

use std::{
    env,
    io::{self, IsTerminal, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
};

use tracing::{Level, dispatcher};

use super::message::Context;
use crate::util::sync::lock;

/// The target of events.
const TARGET: &str = "tower_traffic::debug";

#[derive(Clone)]
pub(super) enum Output {
    Stdout,
    Stderr,
    // Shared by the printers of a layer and of its changed clones.
    Writer(Arc<Mutex<dyn Write + Send>>),
    Tracing,
}

impl Output {
    pub(super) fn is_tracing(&self) -> bool {
        matches!(self, Self::Tracing)
    }

    /// Whether there is anybody to print for.
    pub(super) fn is_heard(&self) -> bool {
        !self.is_tracing() || tracing::enabled!(target: TARGET, Level::DEBUG)
    }

    /// Whether it is a terminal whose user did not say no to colour (<https://no-color.org>).
    pub(super) fn wants_color(&self) -> bool {
        let is_terminal = match self {
            Self::Stdout => io::stdout().is_terminal(),
            Self::Stderr => io::stderr().is_terminal(),
            Self::Writer(_) | Self::Tracing => false,
        };
        is_terminal
            && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
            && env::var_os("TERM").is_none_or(|value| value != "dumb")
    }

    /// Writes all of it, with nothing of others between; false if that failed.
    pub(super) fn write(&self, text: &[u8]) -> bool {
        self.with(|writer| writer.write_all(text))
    }

    pub(super) fn flush(&self) -> bool {
        self.with(|writer| writer.flush())
    }

    fn with(&self, call: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> bool {
        let call = AssertUnwindSafe(|| match self {
            Self::Stdout => call(&mut io::stdout().lock()),
            Self::Stderr => call(&mut io::stderr().lock()),
            Self::Writer(writer) => call(&mut *lock(writer)),
            Self::Tracing => Ok(()),
        });
        // A writer is the caller's code.
        catch_unwind(call).is_ok_and(|written| written.is_ok())
    }
}

impl Context {
    pub(super) fn event(&self, text: &str) {
        dispatcher::with_default(&self.dispatch, || {
            self.span
                .in_scope(|| tracing::debug!(target: TARGET, "{text}"));
        });
    }
}
