use super::in_flight::Stopwatch;

crate::body::opaque_tee_body! {
    /// The response body of [`ReportLatency`](super::ReportLatency): the inner service's body,
    /// whose end is timed.
    pub struct ResponseBody<B>(Stopwatch);
}
