use std::sync::Once;

use metrics::{Label, SharedString, Unit, describe_histogram, histogram};

use super::Measurement;
use crate::message::head;

/// The names of the histograms of a server or a client.
struct MetricNames {
    duration: &'static str,
    time_to_head: &'static str,
}

const SERVER: MetricNames = MetricNames {
    duration: "http.server.request.duration",
    time_to_head: "http.server.request.time_to_head",
};

const CLIENT: MetricNames = MetricNames {
    duration: "http.client.request.duration",
    time_to_head: "http.client.request.time_to_head",
};

/// Returns a reporter to the `metrics` crate, with the names of OpenTelemetry's [semantic
/// conventions for HTTP](https://opentelemetry.io/docs/specs/semconv/http/http-metrics/).
///
/// | histogram, in seconds | content |
/// |---|---|
/// | `http.server.request.duration` | time to the end of the response body |
/// | `http.server.request.time_to_head` | time to the response head (no convention) |
///
/// In a [client](super::ReportLatency::client) they are `http.client.request.duration` and
/// `http.client.request.time_to_head`. An exchange without a response has no time to head. The
/// attributes are labels:
///
/// | attribute | value |
/// |---|---|
/// | `http.request.method` | [`known_method`](Measurement::known_method) |
/// | `url.scheme` | [`scheme`](Measurement::scheme) |
/// | `http.route` | [`matched_route`](Measurement::matched_route), if there is one |
/// | `http.response.status_code` | if there was a response |
/// | `error.type` | [`error_type`](Measurement::error_type), if there was an error |
/// | `network.protocol.version` | `1.0`, `1.1`, `2`, `3` |
/// | `server.address`, `server.port` | [`server`](Measurement::server), in a client only |
///
/// In a proxy to any origin, leave out [`client`](super::ReportLatency::client): each address would
/// be a series of its own.
///
/// ```
/// use tower_traffic::ReportLatency;
///
/// let in_the_app = ReportLatency::metrics();
/// let around_a_client = ReportLatency::metrics().client(true);
/// ```
pub fn to_metrics() -> impl Fn(&Measurement) + Send + Sync + 'static {
    let [client, server] = [Once::new(), Once::new()];
    move |measurement| {
        let (names, described) = if measurement.is_client() {
            (CLIENT, &client)
        } else {
            (SERVER, &server)
        };
        // Later than the layer is built: the recorder may be installed after it.
        described.call_once(|| describe(&names));
        let labels = labels(measurement);
        if let Some(time) = measurement.time_to_head() {
            histogram!(names.time_to_head, labels.clone()).record(time);
        }
        histogram!(names.duration, labels).record(measurement.time_to_end());
    }
}

fn describe(names: &MetricNames) {
    describe_histogram!(
        names.duration,
        Unit::Seconds,
        "Time to the end of the response body"
    );
    describe_histogram!(
        names.time_to_head,
        Unit::Seconds,
        "Time to the response head"
    );
}

fn labels(measurement: &Measurement) -> Vec<Label> {
    let mut labels = Vec::with_capacity(7);
    let mut add = |key: &'static str, value: SharedString| labels.push(Label::new(key, value));
    add("http.request.method", measurement.known_method().into());
    add(
        "url.scheme",
        match measurement.scheme().as_str() {
            "http" => "http".into(),
            "https" => "https".into(),
            other => other.to_owned().into(),
        },
    );
    if let Some(route) = measurement.matched_route() {
        add("http.route", route.to_owned().into());
    }
    if let Some(status) = measurement.status() {
        add(
            "http.response.status_code",
            status.as_str().to_owned().into(),
        );
    }
    if let Some(error) = measurement.error_type() {
        add("error.type", error.to_owned().into());
    }
    let version = head::version_name(measurement.version());
    add(
        "network.protocol.version",
        version.trim_start_matches("HTTP/").into(),
    );
    // Clients of a server could invent any number of addresses.
    if let (true, Some((host, port))) = (measurement.is_client(), measurement.server()) {
        add("server.address", host.to_owned().into());
        if let Some(port) = port {
            add("server.port", port.to_string().into());
        }
    }
    labels
}
