//! One exchange, whole.

use tower_traffic::{DebugDump, Exchange, Redact};

/// More of a body than this is not shown, in bytes; `--json` gives all of it.
const SHOWN: usize = 4 << 20;

pub(crate) fn text(number: u64, exchange: &Exchange, is_colored: bool, redact: bool) -> String {
    let redact = if redact {
        Redact::default()
    } else {
        Redact::none()
    };
    DebugDump::stdout()
        .capture_limit(SHOWN)
        .indent_json(true)
        .hex(true)
        .color(is_colored)
        .redact(redact)
        .show(exchange, number)
}
