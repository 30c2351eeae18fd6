//! An exchange in full, as text.

use tower_traffic::{Exchange, Redact, debug::Formatter};

/// Maximum bytes shown of a body; `--json` prints all of it.
const SHOWN: usize = 4 << 20;
/// Maximum bytes shown of a binary body; `--body` saves all of it.
const SHOWN_AS_HEX: usize = 1 << 10;

pub(crate) fn text(number: u64, exchange: &Exchange, is_colored: bool, redact: bool) -> String {
    let redact = if redact {
        Redact::default()
    } else {
        Redact::none()
    };
    Formatter::new()
        .max_body_bytes(SHOWN)
        .indent_json(true)
        .hex(true)
        .max_hex_bytes(SHOWN_AS_HEX)
        .color(is_colored)
        .redact(redact)
        .format(exchange, number)
}
