use super::{Measurement, millis};

/// Returns a reporter to `tracing`: one event at level INFO for each exchange, with the target
/// `tower_traffic::latency`.
///
/// | field | value |
/// |---|---|
/// | `http.request.method` | the [known method](Measurement::known_method) |
/// | `http.request.method_original` | the method, if it is an unknown one |
/// | `http.route` | the [matched route](Measurement::matched_route), if there is one |
/// | `url.path` | otherwise the path, without its query |
/// | `http.response.status_code` | the status code, if there was a response |
/// | `time_to_head_ms`, `time_to_end_ms` | the times, in milliseconds |
/// | `ended` | `complete`, `client gone`, or `error: ` and the error |
/// | `error.type` | the [type of error](Measurement::error_type), if there was one |
///
/// ```
/// use tower_traffic::ReportLatency;
///
/// let report = ReportLatency::tracing();
/// ```
pub fn to_tracing() -> impl Fn(&Measurement) + Clone + Send + Sync + 'static {
    |measurement| {
        let (method, known) = (measurement.method().as_str(), measurement.known_method());
        tracing::event!(
            target: "tower_traffic::latency",
            tracing::Level::INFO,
            {
                "http.request.method" = known,
                "http.request.method_original" = (method != known).then_some(method),
                "http.route" = measurement.matched_route(),
                "url.path" = measurement.path(),
                "http.response.status_code" = measurement.status().map(|status| status.as_u16()),
                "time_to_head_ms" = measurement.time_to_head().map(millis),
                "time_to_end_ms" = millis(measurement.time_to_end()),
                "ended" = %measurement.end(),
                "error.type" = measurement.error_type(),
            }
        );
    }
}
