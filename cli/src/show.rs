//! An exchange in full, as text.

use tower_traffic::{Exchange, Redact, debug::Formatter};

/// Maximum bytes shown of a body; `--json` prints all of it.
const MAX_SHOWN_BYTES: usize = 4 << 20;
/// Maximum bytes shown of a binary body; `--body` saves all of it.
const MAX_HEX_BYTES: usize = 1 << 10;

pub(crate) fn text(number: u64, exchange: &Exchange, is_colored: bool, redact: bool) -> String {
    let redact = if redact {
        Redact::default()
    } else {
        Redact::none()
    };
    Formatter::new()
        .max_body_bytes(MAX_SHOWN_BYTES)
        .indent_json(true)
        .hex(true)
        .max_hex_bytes(MAX_HEX_BYTES)
        .color(is_colored)
        .redact(redact)
        .format(exchange, number)
}
