//! Faults that requests ask for.

use std::time::Duration;

use http::{HeaderMap, StatusCode};

/// Asks for a delay, in milliseconds (Envoy's).
const DELAY: &str = "x-envoy-fault-delay-request";
/// Asks for an answer with this status (Envoy's).
const ABORT: &str = "x-envoy-fault-abort-request";

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::chaos) struct Asked {
    pub(in crate::chaos) delay: Option<Duration>,
    pub(in crate::chaos) status: Option<StatusCode>,
}

/// Whether something is asked for.
pub(in crate::chaos) fn is_in(headers: &HeaderMap) -> bool {
    (headers.contains_key(DELAY) || headers.contains_key(ABORT)) && of(headers) != NOTHING
}

const NOTHING: Asked = Asked {
    delay: None,
    status: None,
};

/// What is asked for. What cannot be read is not.
pub(in crate::chaos) fn of(headers: &HeaderMap) -> Asked {
    let number = |name| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let status = |number| StatusCode::from_u16(u16::try_from(number).ok()?).ok();
    Asked {
        delay: number(DELAY).map(Duration::from_millis),
        // Envoy's range.
        status: number(ABORT)
            .filter(|status| (200..600).contains(status))
            .and_then(status),
    }
}
