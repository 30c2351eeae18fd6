//! What is printed, and where.

use std::{
    env, fmt,
    io::{self, BufWriter, IsTerminal, StdoutLock, Write},
};

use console::Term;
use serde_json::Value;

use crate::{failure::Failure, json::steady, text::clean};

/// The standard output.
pub(crate) struct Output {
    out: BufWriter<StdoutLock<'static>>,
    /// In columns; `None` if it is no terminal.
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

    /// A line of JSON that a terminal shows as it is.
    pub(crate) fn json(&mut self, value: &Value) -> Result<(), Failure> {
        self.line(&steady(&value.to_string()))
    }

    pub(crate) fn raw(&mut self, text: &str) -> Result<(), Failure> {
        self.out.write_all(text.as_bytes()).map_err(Failure::Print)
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.out.flush().map_err(Failure::Print)
    }
}

/// Says something on the standard error.
pub(crate) fn complain(what: fmt::Arguments<'_>) {
    // If nobody hears it, nobody can be told.
    let _ = writeln!(io::stderr(), "{}", clean(&what.to_string()));
}
