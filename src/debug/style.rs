//! The colours of what is printed.

use anstyle::{AnsiColor, Style};
use http::StatusCode;

/// What switches each style on, and what switches it off again; nothing without colour.
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
        // Codes above 599 are nobody's, and most likely errors.
        &self.statuses[class.clamp(1, 5) - 1]
    }
}
