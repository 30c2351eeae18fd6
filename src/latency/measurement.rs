use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::{Method, StatusCode, Version, uri::Scheme};
use tokio::time::Instant;

use super::{
    in_flight::Known,
    route::{OTHER, RouteSource},
};
use crate::message::ExchangeEnd;

/// The times of one exchange, its route and its outcome.
///
/// Times start when the request arrives in the layer, and are measured by tokio's clock.
pub struct Measurement {
    known: Box<Known>,
    ended_at: Instant,
    outcome: ExchangeEnd,
    has_panicked: bool,
    /// Whether the path is a route of its own; determined when it is first needed.
    is_admitted: OnceLock<bool>,
}

impl Measurement {
    #[inline]
    pub(super) fn new(known: Box<Known>, outcome: ExchangeEnd, has_panicked: bool) -> Self {
        Self {
            ended_at: Instant::now(),
            known,
            outcome,
            has_panicked,
            is_admitted: OnceLock::new(),
        }
    }

    /// Calls the reporters.
    #[inline]
    pub(super) fn report(self) {
        if let Some(config) = &self.known.config {
            config.report(&self);
        }
        self.known.give_back();
    }

    /// Returns the request's method as it was sent. Clients can invent methods, so the number of
    /// different methods is not limited.
    pub fn method(&self) -> &Method {
        &self.known.method
    }

    /// Returns the request's method if it is defined by RFC 9110 or is `PATCH`, otherwise `_OTHER`,
    /// as in OpenTelemetry.
    pub fn known_method(&self) -> &'static str {
        match *self.method() {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::POST => "POST",
            Method::PUT => "PUT",
            Method::DELETE => "DELETE",
            Method::CONNECT => "CONNECT",
            Method::OPTIONS => "OPTIONS",
            Method::TRACE => "TRACE",
            Method::PATCH => "PATCH",
            _ => "_OTHER",
        }
    }

    /// Returns the route, one of a limited number: see
    /// [`ReportLatency`](super::ReportLatency#routes).
    pub fn route(&self) -> &str {
        match self.path() {
            Some(path) if !self.is_admitted(path) => OTHER,
            _ => self.known.target.as_str(),
        }
    }

    /// Returns the route that axum matched or that
    /// [`ReportLatency::route`](super::ReportLatency::route) named; `None` if the route is only a
    /// path.
    pub fn matched_route(&self) -> Option<&str> {
        let target = &self.known.target;
        (target.source != RouteSource::Path).then(|| target.as_str())
    }

    /// Returns the path if it is the best name for the route, else `None`.
    pub(super) fn path(&self) -> Option<&str> {
        let target = &self.known.target;
        (target.source == RouteSource::Path).then(|| target.as_str())
    }

    fn is_admitted(&self, path: &str) -> bool {
        let config = self.known.config.as_ref();
        let admits = || config.is_some_and(|config| config.paths.admits(path));
        *self.is_admitted.get_or_init(admits)
    }

    /// Returns the response's status code; `None` if there was no response.
    pub fn status(&self) -> Option<StatusCode> {
        self.known.head.as_ref().map(|head| head.status)
    }

    /// Returns the time to the response head; `None` if there was no response.
    pub fn time_to_head(&self) -> Option<Duration> {
        let head = self.known.head.as_ref()?;
        Some(head.at - self.known.began)
    }

    /// Returns the time to the end of the response body, or to the failure of the exchange.
    pub fn time_to_end(&self) -> Duration {
        self.ended_at - self.known.began
    }

    /// Returns how the exchange ended, by its response; the end of the request body does not
    /// matter:
    ///
    /// - [`Complete`](ExchangeEnd::Complete);
    /// - [`ClientGone`](ExchangeEnd::ClientGone), with a [status](Self::status) if the response
    ///   body was dropped before its end;
    /// - [`Error`](ExchangeEnd::Error), with a status if the response body failed, and without one
    ///   if the inner service failed or panicked.
    pub fn end(&self) -> &ExchangeEnd {
        &self.outcome
    }

    /// Returns the type of error, one of a small set: OpenTelemetry's `error.type`. Returns `None`
    /// if there was no error.
    ///
    /// | value | case |
    /// |---|---|
    /// | the status code | a 5xx response; in a [client](super::ReportLatency::client) a 4xx too |
    /// | `body_error` | the response body failed |
    /// | `client_gone` | the caller dropped the future or the response body |
    /// | `panic` | the inner service panicked |
    /// | `service_error` | the inner service failed |
    pub fn error_type(&self) -> Option<&str> {
        if let Some(head) = &self.known.head {
            let status = head.status;
            let is_error =
                status.is_server_error() || (self.is_client() && status.is_client_error());
            if is_error {
                return Some(head.status.as_str());
            }
        }
        match &self.outcome {
            ExchangeEnd::Complete | ExchangeEnd::Limit => None,
            ExchangeEnd::ClientGone => Some("client_gone"),
            ExchangeEnd::Error(_) if self.has_panicked => Some("panic"),
            ExchangeEnd::Error(_) if self.status().is_some() => Some("body_error"),
            ExchangeEnd::Error(_) => Some("service_error"),
        }
    }

    /// Returns the protocol version: in a client the response's, otherwise the request's.
    pub fn version(&self) -> Version {
        match &self.known.head {
            Some(head) if self.is_client() => head.version,
            _ => self.known.version,
        }
    }

    /// Returns the URI's scheme if it is `http` or `https`, in a
    /// [client](super::ReportLatency::client) any scheme; otherwise the default set by
    /// [`ReportLatency::scheme`](super::ReportLatency::scheme).
    pub fn scheme(&self) -> &Scheme {
        let server = self.known.server.as_ref();
        // Clients of a server could invent any number of others.
        let is_one_of_few = |scheme: &&Scheme| {
            self.is_client() || **scheme == Scheme::HTTP || **scheme == Scheme::HTTPS
        };
        let default = || self.known.config.as_ref().map(|config| &config.scheme);
        server
            .and_then(|server| server.scheme.as_ref())
            .filter(is_one_of_few)
            .or_else(default)
            .unwrap_or(&Scheme::HTTP)
    }

    /// Returns the server's name or address, and its port, from the URI. They are present in a
    /// client, in a proxy and in HTTP/2. Without a port in the URI, the port is the default port of
    /// the scheme.
    pub fn server(&self) -> Option<(&str, Option<u16>)> {
        let server = self.known.server.as_ref()?;
        let default = || match self.scheme().as_str() {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        Some((&server.host, server.port.or_else(default)))
    }

    /// Whether the layer wraps a [client](super::ReportLatency::client).
    pub fn is_client(&self) -> bool {
        let config = self.known.config.as_ref();
        config.is_some_and(|config| config.is_client)
    }
}

/// The clone keeps the layer's settings alive, but not its reporters.
impl Clone for Measurement {
    fn clone(&self) -> Self {
        let mut known = self.known.clone();
        // Otherwise a reporter that keeps clones would keep itself alive.
        known.config = known
            .config
            .map(|config| Arc::new(config.without_functions()));
        Self {
            known,
            ended_at: self.ended_at,
            outcome: self.outcome.clone(),
            has_panicked: self.has_panicked,
            is_admitted: self.is_admitted.clone(),
        }
    }
}

/// Writes one line: `GET /users/{id}: 200 in 1.302ms, head after 1.251ms`.
impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.method(), self.route())?;
        if let Some(status) = self.status() {
            write!(f, "{} ", status.as_u16())?;
        }
        if self.outcome != ExchangeEnd::Complete {
            write!(f, "{} ", self.outcome)?;
        }
        write!(f, "in {:.3?}", self.time_to_end())?;
        match self.time_to_head() {
            Some(time) => write!(f, ", head after {time:.3?}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Measurement")
            .field("method", self.method())
            .field("route", &self.route())
            .field("status", &self.status())
            .field("time_to_head", &self.time_to_head())
            .field("time_to_end", &self.time_to_end())
            .field("end", &self.outcome)
            .finish_non_exhaustive()
    }
}
