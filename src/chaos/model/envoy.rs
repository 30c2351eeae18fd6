//! Fault requests in Envoy's headers.

use std::{num::NonZeroU64, time::Duration};

use http::{HeaderMap, StatusCode};
use rand::RngExt;

use super::random::{Draw, Random};

/// The delay, in milliseconds.
const DELAY: &str = "x-envoy-fault-delay-request";
/// The status of the response.
const ABORT: &str = "x-envoy-fault-abort-request";
/// The gRPC status of the response.
const ABORT_GRPC: &str = "x-envoy-fault-abort-grpc-request";
/// The rate of the response body, in KiB per second.
const RATE: &str = "x-envoy-fault-throughput-response";

/// The percentages of requests that are affected, from 0 to 100.
const DELAY_PERCENTAGE: &str = "x-envoy-fault-delay-request-percentage";
const ABORT_PERCENTAGE: &str = "x-envoy-fault-abort-request-percentage";
const RATE_PERCENTAGE: &str = "x-envoy-fault-throughput-response-percentage";

/// The faults that a request asks for in its headers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::chaos) struct FaultHeaders {
    pub(in crate::chaos) delay: Option<Duration>,
    pub(in crate::chaos) abort: Option<Abort>,
    pub(in crate::chaos) bytes_per_second: Option<NonZeroU64>,
}

/// The status of a response in place of the inner service's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::chaos) enum Abort {
    Http(StatusCode),
    Grpc(u32),
}

/// Whether a request asks for a fault, and its percentage includes the request.
pub(in crate::chaos) fn is_in(headers: &HeaderMap, random: Random) -> bool {
    [DELAY, ABORT, ABORT_GRPC, RATE]
        .iter()
        .any(|name| headers.contains_key(*name))
        && of(headers, random) != FaultHeaders::default()
}

/// Reads the fault headers of a request, and draws whether each fault applies. A header with an
/// invalid value is ignored, as if it were missing; without a percentage, the fault always applies.
pub(in crate::chaos) fn of(headers: &HeaderMap, random: Random) -> FaultHeaders {
    let number = |name| headers.get(name)?.to_str().ok()?.trim().parse::<u64>().ok();
    let applies = |name, draw| {
        let percentage = number(name).map_or(100, |percentage| percentage.min(100));
        percentage > random.generator(draw).random_range(0..100)
    };
    // Envoy's range of statuses.
    let status = number(ABORT).filter(|status| (200..600).contains(status));
    let status = status.and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok());
    let grpc = || u32::try_from(number(ABORT_GRPC)?).ok().map(Abort::Grpc);
    let rate = number(RATE).map(|kibibytes| kibibytes.saturating_mul(1024));
    FaultHeaders {
        delay: number(DELAY)
            .map(Duration::from_millis)
            .filter(|_| applies(DELAY_PERCENTAGE, Draw::EnvoyDelay)),
        // The status of HTTP has precedence.
        abort: status
            .map(Abort::Http)
            .or_else(grpc)
            .filter(|_| applies(ABORT_PERCENTAGE, Draw::EnvoyAbort)),
        bytes_per_second: rate
            .and_then(NonZeroU64::new)
            .filter(|_| applies(RATE_PERCENTAGE, Draw::EnvoyRate)),
    }
}
