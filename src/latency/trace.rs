use std::time::Duration;

use super::Latency;

/// A reporter to `tracing`: one event at level INFO for each exchange, with the target
/// `tower_traffic::latency`.
///
/// | field | what |
/// |---|---|
/// | `http.request.method` | the [known method](Latency::known_method) |
/// | `http.request.method_original` | the method, if it is not a known one |
/// | `http.route` | the route, if it [really is one](Latency::matched_route) |
/// | `url.path` | else the path, without its query |
/// | `http.response.status_code` | if there was a response |
/// | `time_to_head_ms`, `time_to_end_ms` | the times, in milliseconds |
/// | `ended` | `complete`, `client gone`, or `error: ` and the error |
/// | `error.type` | if [something went wrong](Latency::error_type) |
///
/// ```
/// use tower_traffic::ReportLatency;
///
/// let report = ReportLatency::tracing();
/// ```
pub fn to_tracing() -> impl Fn(&Latency) + Clone + Send + Sync + 'static {
    |latency| {
        let (method, known) = (latency.method().as_str(), latency.known_method());
        tracing::event!(
            target: "tower_traffic::latency",
            tracing::Level::INFO,
            {
                "http.request.method" = known,
                "http.request.method_original" = (method != known).then_some(method),
                "http.route" = latency.matched_route(),
                "url.path" = latency.path(),
                "http.response.status_code" = latency.status().map(|status| status.as_u16()),
                "time_to_head_ms" = latency.time_to_head().map(millis),
                "time_to_end_ms" = millis(latency.time_to_end()),
                "ended" = %latency.end(),
                "error.type" = latency.error_type(),
            }
        );
    }
}

fn millis(time: Duration) -> f64 {
    // To the nanosecond, and not what binary fractions add.
    (time.as_secs_f64() * 1e9).round() / 1e6
}
