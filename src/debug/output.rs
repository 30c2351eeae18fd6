//! The destination of blocks, and its colors.

use std::{
    env,
    io::{self, IsTerminal, Write},
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Mutex},
};

use anstyle::{AnsiColor, Style};
use http::StatusCode;
use tracing::{Level, dispatcher};

use super::message::Context;
use crate::util::sync::lock;

/// The target of `tracing` events.
const TARGET: &str = "tower_traffic::debug";

#[derive(Clone)]
pub(super) enum Output {
    Stdout,
    Stderr,
    Writer(Arc<Mutex<dyn Write + Send>>),
    Tracing,
}

impl Output {
    pub(super) fn is_tracing(&self) -> bool {
        matches!(self, Self::Tracing)
    }

    /// Whether blocks reach a reader: always true, except for `tracing` without a subscriber.
    pub(super) fn is_enabled(&self) -> bool {
        !self.is_tracing() || tracing::enabled!(target: TARGET, Level::DEBUG)
    }

    /// Whether the output is a terminal with color, by <https://no-color.org>.
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

    /// Writes a text in one piece. Returns false if that failed.
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
        // A writer is the user's code, and may panic.
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

/// The escape sequences that switch each style on, and `off`, which switches all styles off; empty
/// strings without color.
#[derive(Default)]
pub(super) struct Styles {
    pub(super) time: String,
    pub(super) id: String,
    pub(super) first: String,
    pub(super) name: String,
    pub(super) note: String,
    pub(super) error: String,
    statuses: [String; 5],
    pub(super) off: String,
}

impl Styles {
    pub(super) fn new(is_colored: bool) -> Self {
        if !is_colored {
            return Self::default();
        }
        let on = |style: Style| style.render().to_string();
        let bold = |color: AnsiColor| on(color.on_default().bold());
        Self {
            time: on(Style::new().dimmed()),
            id: bold(AnsiColor::Magenta),
            first: on(Style::new().bold()),
            name: on(AnsiColor::Cyan.on_default()),
            note: on(AnsiColor::Yellow.on_default()),
            error: bold(AnsiColor::Red),
            statuses: [
                bold(AnsiColor::Blue),
                bold(AnsiColor::Green),
                bold(AnsiColor::Cyan),
                bold(AnsiColor::Yellow),
                bold(AnsiColor::Red),
            ],
            off: anstyle::Reset.render().to_string(),
        }
    }

    pub(super) fn status(&self, status: StatusCode) -> &str {
        let class = usize::from(status.as_u16() / 100);
        // Codes above 599 are most likely errors.
        &self.statuses[class.clamp(1, 5) - 1]
    }
}
