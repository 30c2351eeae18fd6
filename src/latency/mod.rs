//! `ReportLatency`: reports how long exchanges take.
//!
//! | reporter | reports to |
//! |---|---|
//! | [`ReportLatency::new`], [`and`](ReportLatency::and) | a function |
//! | [`ReportLatency::labels`] | a function that takes http4k's label too |
//! | [`ReportLatency::tracing`], [`to_tracing`] | `tracing`: one event for each exchange |
//! | `ReportLatency::metrics`, `to_metrics` | the `metrics` crate (feature `metrics`) |
//! | `ReportLatency::histograms`, `Histograms` | memory (feature `histogram`) |
//! | [`ReportLatency::server_timing`] | the client, in a header of the response |

mod body;
mod config;
mod future;
#[cfg(feature = "histogram")]
mod histogram;
mod in_flight;
mod label;
mod layer;
mod measurement;
#[cfg(feature = "metrics")]
mod metrics;
mod route;
mod service;
#[cfg(feature = "histogram")]
mod snapshot;
mod trace;

use std::time::Duration;

#[cfg(feature = "metrics")]
pub use self::metrics::to_metrics;
pub use self::{
    body::ResponseBody, future::ResponseFuture, layer::ReportLatency, measurement::Measurement,
    route::OTHER, service::ReportLatencyService, trace::to_tracing,
};
#[cfg(feature = "histogram")]
pub use self::{
    histogram::Histograms,
    snapshot::{Percentiles, Series, Snapshot},
};

/// Returns a time in milliseconds, rounded to the nanosecond to hide binary fractions.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e9).round() / 1e6
}
