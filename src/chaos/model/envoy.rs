//! Fault requests in Envoy's headers.

use std::time::Duration;

use http::{HeaderMap, StatusCode};

/// The delay, in milliseconds.
const DELAY: &str = "x-envoy-fault-delay-request";
/// The status of the response.
const ABORT: &str = "x-envoy-fault-abort-request";

/// The fault that a request asks for in its headers; `None` for each header that is missing or
/// invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::chaos) struct FaultHeaders {
    pub(in crate::chaos) delay: Option<Duration>,
    pub(in crate::chaos) status: Option<StatusCode>,
}

/// Whether a request has one of the fault headers.
pub(in crate::chaos) fn is_in(headers: &HeaderMap) -> bool {
    (headers.contains_key(DELAY) || headers.contains_key(ABORT)) && of(headers) != NOTHING
}

const NOTHING: FaultHeaders = FaultHeaders {
    delay: None,
    status: None,
};

/// Reads the fault headers of a request. A fault header with an invalid value is ignored, as if it
/// were missing.
pub(in crate::chaos) fn of(headers: &HeaderMap) -> FaultHeaders {
    let number = |name| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let status = |number| StatusCode::from_u16(u16::try_from(number).ok()?).ok();
    FaultHeaders {
        delay: number(DELAY).map(Duration::from_millis),
        // Envoy's range of statuses.
        status: number(ABORT)
            .filter(|status| (200..600).contains(status))
            .and_then(status),
    }
}
