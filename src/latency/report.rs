use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::{Method, StatusCode, Version, uri::Scheme};
use tokio::time::Instant;

use super::{
    route::{Kind, OTHER},
    stopwatch::Known,
};
use crate::message::ExchangeEnd;

/// How long an exchange took, and which it was.
///
/// Times run from the moment when the request arrived in the layer, by tokio's clock.
pub struct Latency {
    known: Box<Known>,
    end: Instant,
    ended: ExchangeEnd,
    has_panicked: bool,
    /// Whether the path stands as a route: found out when it is asked for.
    is_admitted: OnceLock<bool>,
}

impl Latency {
    #[inline]
    pub(super) fn new(known: Box<Known>, ended: ExchangeEnd, has_panicked: bool) -> Self {
        Self {
            end: Instant::now(),
            known,
            ended,
            has_panicked,
            is_admitted: OnceLock::new(),
        }
    }

    /// Tells the reporters.
    #[inline]
    pub(super) fn report(self) {
        if let Some(config) = &self.known.config {
            config.report(&self);
        }
        self.known.give_back();
    }

    /// The request's method, as it was sent: there is no end of different ones.
    pub fn method(&self) -> &Method {
        &self.known.method
    }

    /// The request's method if it is one of RFC 9110's or `PATCH`, and else `_OTHER`, as
    /// OpenTelemetry has it.
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

    /// The route: one of few. See [`ReportLatency`](super::ReportLatency#routes).
    pub fn route(&self) -> &str {
        match self.path() {
            Some(path) if !self.is_admitted(path) => OTHER,
            _ => self.known.target.as_str(),
        }
    }

    /// The route, if that is what it really is: what axum matched, or what the user named it, and
    /// not a path.
    pub fn matched_route(&self) -> Option<&str> {
        let target = &self.known.target;
        (target.kind != Kind::Path).then(|| target.as_str())
    }

    /// The path, where there is no better name.
    pub(super) fn path(&self) -> Option<&str> {
        let target = &self.known.target;
        (target.kind == Kind::Path).then(|| target.as_str())
    }

    fn is_admitted(&self, path: &str) -> bool {
        let config = self.known.config.as_ref();
        let admits = || config.is_some_and(|config| config.paths.admits(path));
        *self.is_admitted.get_or_init(admits)
    }

    /// The response's status code; `None` if there was no response.
    pub fn status(&self) -> Option<StatusCode> {
        self.known.head.as_ref().map(|head| head.status)
    }

    /// Until the response's head was there; `None` if it never came.
    pub fn time_to_head(&self) -> Option<Duration> {
        let head = self.known.head.as_ref()?;
        Some(head.at - self.known.began)
    }

    /// Until the response's body had ended, or until it was clear that none would come.
    pub fn time_to_end(&self) -> Duration {
        self.end - self.known.began
    }

    /// How it ended: [`Complete`](ExchangeEnd::Complete); [`ClientGone`](ExchangeEnd::ClientGone), with a status
    /// if that was in the middle of the body; or [`Error`](ExchangeEnd::Error), with a status if the body
    /// broke off, and without if the service failed or panicked. Never [`Limit`](ExchangeEnd::Limit).
    ///
    /// How the request's body ended does not matter.
    pub fn end(&self) -> &ExchangeEnd {
        &self.ended
    }

    /// What went wrong, if anything did, as one of few words: OpenTelemetry's `error.type`.
    ///
    /// | it is | when |
    /// |---|---|
    /// | the status code | it is 5xx, and in a [client](super::ReportLatency::client) if it is 4xx |
    /// | `body_error` | the response's body broke off |
    /// | `client_gone` | the caller went away before the end |
    /// | `panic` | the service panicked |
    /// | `service_error` | the service failed |
    pub fn error_type(&self) -> Option<&str> {
        if let Some(head) = &self.known.head {
            let status = head.status;
            let is_error =
                status.is_server_error() || (self.is_client() && status.is_client_error());
            if is_error {
                return Some(head.status.as_str());
            }
        }
        match &self.ended {
            ExchangeEnd::Complete | ExchangeEnd::Limit => None,
            ExchangeEnd::ClientGone => Some("client_gone"),
            ExchangeEnd::Error(_) if self.has_panicked => Some("panic"),
            ExchangeEnd::Error(_) if self.status().is_some() => Some("body_error"),
            ExchangeEnd::Error(_) => Some("service_error"),
        }
    }

    /// The protocol version, which in a client is known from the response.
    pub fn version(&self) -> Version {
        match &self.known.head {
            Some(head) if self.is_client() => head.version,
            _ => self.known.version,
        }
    }

    /// The URI's scheme if it is `http` or `https`, and in a
    /// [client](super::ReportLatency::client) whatever it is; else what
    /// [`ReportLatency::scheme`](super::ReportLatency::scheme) says.
    pub fn scheme(&self) -> &Scheme {
        let said = self.known.server.as_ref();
        // At a server whoever asks could make up any number of others.
        let is_one_of_few = |scheme: &&Scheme| {
            self.is_client() || **scheme == Scheme::HTTP || **scheme == Scheme::HTTPS
        };
        let default = || self.known.config.as_ref().map(|config| &config.scheme);
        said.and_then(|server| server.scheme.as_ref())
            .filter(is_one_of_few)
            .or_else(default)
            .unwrap_or(&Scheme::HTTP)
    }

    /// The server's name or address and its port, if the URI says it: in a client, in a proxy and in
    /// HTTP/2. The port is the scheme's if the URI has none.
    pub fn server(&self) -> Option<(&str, Option<u16>)> {
        let server = self.known.server.as_ref()?;
        let default = || match self.scheme().as_str() {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        };
        Some((&server.host, server.port.or_else(default)))
    }

    /// Whether the layer stands in a [client](super::ReportLatency::client).
    pub fn is_client(&self) -> bool {
        let config = self.known.config.as_ref();
        config.is_some_and(|config| config.is_client)
    }
}

/// A clone may be kept for as long as you like: it keeps nothing of the layer alive but its settings.
impl Clone for Latency {
    fn clone(&self) -> Self {
        let mut known = self.known.clone();
        // Else a reporter that keeps clones would keep itself.
        known.config = known
            .config
            .map(|config| Arc::new(config.without_functions()));
        Self {
            known,
            end: self.end,
            ended: self.ended.clone(),
            has_panicked: self.has_panicked,
            is_admitted: self.is_admitted.clone(),
        }
    }
}

/// In one line: `GET /users/{id}: 200 in 1.302ms, head after 1.251ms`.
impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.method(), self.route())?;
        if let Some(status) = self.status() {
            write!(f, "{} ", status.as_u16())?;
        }
        if self.ended != ExchangeEnd::Complete {
            write!(f, "{} ", self.ended)?;
        }
        write!(f, "in {:.3?}", self.time_to_end())?;
        match self.time_to_head() {
            Some(time) => write!(f, ", head after {time:.3?}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Latency")
            .field("method", self.method())
            .field("route", &self.route())
            .field("status", &self.status())
            .field("time_to_head", &self.time_to_head())
            .field("time_to_end", &self.time_to_end())
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}
