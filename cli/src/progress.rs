//! A progress line.

use std::{
    io::{self, IsTerminal},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressStyle};
use tower_traffic::Exchange;

use crate::text;

/// A progress line on the standard error, if that is a terminal.
pub(crate) struct Progress {
    bar: ProgressBar,
    bytes: u64,
}

impl Progress {
    /// Creates a progress line, hidden unless `is_shown`. It must be hidden while the rows of a
    /// list are printed.
    pub(crate) fn new(is_shown: bool) -> Self {
        let bar = if is_shown && io::stderr().is_terminal() {
            ProgressBar::new_spinner()
        } else {
            ProgressBar::hidden()
        };
        if let Ok(style) = ProgressStyle::with_template(
            "{spinner} {human_pos} exchanges, {msg} ({per_sec}, {elapsed})",
        ) {
            bar.set_style(style);
        }
        bar.set_message(format!("{} of bodies", text::size(0)));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, bytes: 0 }
    }

    pub(crate) fn add(&mut self, exchange: &Exchange) {
        self.bytes += bytes(exchange);
        self.bar.inc(1);
        if self.bar.position().is_multiple_of(256) {
            self.bar
                .set_message(format!("{} of bodies", text::size(self.bytes)));
        }
    }

    /// Runs `print` with the progress line cleared.
    pub(crate) fn aside(&self, print: impl FnOnce()) {
        self.bar.suspend(print);
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn bytes(exchange: &Exchange) -> u64 {
    let response = exchange
        .response
        .as_ref()
        .map_or(0, |response| response.body.len());
    (exchange.request.body.len() + response) as u64
}
