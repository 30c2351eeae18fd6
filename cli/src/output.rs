//! The standard output and the standard error.

use std::{
    env, fmt,
    io::{self, BufWriter, IsTerminal, StdoutLock, Write},
};

use console::Term;
use serde_json::Value;

use crate::{escape, failure::Failure};

/// The standard output.
pub(crate) struct Output {
    out: BufWriter<StdoutLock<'static>>,
    /// Width in columns; `None` unless the output is a terminal.
    pub(crate) width: Option<usize>,
    pub(crate) is_colored: bool,
}

impl Output {
    pub(crate) fn stdout() -> Self {
        let is_terminal = io::stdout().is_terminal();
        let width = is_terminal.then(|| usize::from(Term::stdout().size().1));
        Self {
            out: BufWriter::with_capacity(64 << 10, io::stdout().lock()),
            width,
            // https://no-color.org
            is_colored: is_terminal
                && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
                && env::var_os("TERM").is_none_or(|value| value != "dumb"),
        }
    }

    pub(crate) fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.raw(text)?;
        self.out.write_all(b"\n").map_err(Failure::Print)
    }

    /// Prints a line of JSON, with unprintable characters escaped.
    pub(crate) fn json(&mut self, value: &Value) -> Result<(), Failure> {
        self.line(&escape::json(&value.to_string()))
    }

    pub(crate) fn raw(&mut self, text: &str) -> Result<(), Failure> {
        self.out.write_all(text.as_bytes()).map_err(Failure::Print)
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(Failure::Print)
    }
}

/// Prints a line to the standard error.
pub(crate) fn complain(what: fmt::Arguments<'_>) {
    // A failure to report an error cannot be reported.
    let _ = writeln!(io::stderr(), "{}", escape::text(&what.to_string()));
}
