//! `ReportLatency`: reports how long exchanges take.
//!
//! [`ReportLatency`] stands here in full with its service, what it reports, and the reporters that
//! come with the crate:
//!
//! | reporter | reports to |
//! |---|---|
//! | [`ReportLatency::to`], [`and`](ReportLatency::and) | a function of your own |
//! | [`ReportLatency::labels`] | a function that is given http4k's label too |
//! | [`ReportLatency::tracing`], [`to_tracing`] | `tracing`, one event for each exchange |
//! | `ReportLatency::metrics`, `to_metrics` | the `metrics` crate (feature `metrics`) |
//! | `ReportLatency::histograms`, `Histograms` | memory, to be printed or read as JSON (feature `histogram`) |
//! | [`ReportLatency::server_timing`] | the client, in the response's head |

mod config;
#[cfg(feature = "histogram")]
mod histogram;
mod label;
#[cfg(feature = "metrics")]
mod metrics;
mod report;
mod route;
mod service;
#[cfg(feature = "histogram")]
mod snapshot;
mod stopwatch;
mod trace;

use std::{fmt, sync::Arc};

use http::{request::Parts, uri::Scheme};
use tower::Layer;

use self::config::Config;
#[cfg(feature = "metrics")]
pub use self::metrics::to_metrics;
#[cfg(feature = "histogram")]
pub use self::{
    histogram::Histograms,
    snapshot::{Percentiles, Series, Snapshot},
};
pub use self::{
    report::Latency,
    route::OTHER,
    service::{ReportLatencyFuture, ReportLatencyService},
    stopwatch::Stopwatch,
    trace::to_tracing,
};
use crate::redact::Redact;

/// A layer that reports how long each exchange takes: to the response's head, and to its end.
///
/// ```
/// use axum::{Router, routing::get};
/// use tower_traffic::ReportLatency;
///
/// let app: Router = Router::new()
///     .route("/users/{id}", get(async || "bob"))
///     .layer(ReportLatency::to(|latency| println!("{latency}")));
/// // GET /users/{id}: 200 in 1.302ms, head after 1.251ms
/// ```
///
/// The clock starts when the request arrives in the layer. Each exchange is reported exactly once:
/// when the response's body has ended or was let go, when the service has failed or panicked, or
/// when the caller dropped the call. [`Latency`] tells which it was.
///
/// The function runs where the exchange ends, which may be in the middle of a drop: it should be
/// quick, and must not block. If it panics, that is told once through `tracing`, and nothing else
/// comes of it. Messages pass unchanged; the body of the request is not even looked at.
///
/// # Routes
///
/// Times are of use only if they fall into few groups. A [route](Latency::route) is the first of
///
/// 1. what [`route`](Self::route) names it;
/// 2. axum's `MatchedPath` (feature `axum`): `/users/{id}`. It is there if the layer is added with
///    `Router::layer`, also in and around nested routers. It is not there around the whole router,
///    in a fallback, nor for what `nest_service` has below it;
/// 3. the path, for the first 200 different ones ([`max_paths`](Self::max_paths)), cut at 256
///    bytes;
/// 4. [`OTHER`].
///
/// The query, where secrets are, is in none of them. In the text of an error they are
/// [replaced](Self::redact).
///
/// # Everything that can be set, at its default
///
/// ```
/// use tower_traffic::{Redact, ReportLatency};
///
/// let report = ReportLatency::to(|latency| println!("{latency}"))
///     .route(|_request| None)                     // names for routes
///     .max_paths(200)                             // paths that stand as routes
///     .scheme(http::uri::Scheme::HTTP)            // where a request does not say it
///     .redact(Redact::default());                 // in the texts of errors
/// ```
///
/// Off by default are [`client`](Self::client) and [`server_timing`](Self::server_timing).
///
/// Clones of the layer, and all services made by it, share the paths that were seen.
#[derive(Clone)]
pub struct ReportLatency {
    config: Arc<Config>,
}

impl ReportLatency {
    /// Reports to a function.
    pub fn to(report: impl Fn(&Latency) + Send + Sync + 'static) -> Self {
        Self {
            config: Arc::default(),
        }
        .and(report)
    }

    /// Reports to a function, with http4k's [label](Latency::label).
    ///
    /// ```
    /// use tower_traffic::ReportLatency;
    ///
    /// let report = ReportLatency::labels(|label, latency| {
    ///     println!("{label}:{}|ms", latency.time_to_end().as_millis());
    /// });
    /// // GET.users_:id.2xx.200:12|ms
    /// ```
    pub fn labels(report: impl Fn(&str, &Latency) + Send + Sync + 'static) -> Self {
        Self::to(move |latency| report(&latency.label(), latency))
    }

    /// Reports to `tracing`: see [`to_tracing`].
    pub fn tracing() -> Self {
        Self::to(to_tracing())
    }

    /// Reports to the `metrics` crate: see [`to_metrics`].
    #[cfg(feature = "metrics")]
    pub fn metrics() -> Self {
        Self::to(to_metrics())
    }

    /// Reports to histograms in memory: see [`Histograms`].
    #[cfg(feature = "histogram")]
    pub fn histograms(histograms: &Histograms) -> Self {
        Self::to(histograms.reporter())
    }

    /// Reports to this function too, after those that are there.
    ///
    /// ```
    /// use tower_traffic::{ReportLatency, latency::to_tracing};
    ///
    /// let report = ReportLatency::to(|latency| println!("{latency}")).and(to_tracing());
    /// ```
    pub fn and(self, report: impl Fn(&Latency) + Send + Sync + 'static) -> Self {
        self.set(|config| config.reporters.push(Arc::new(report)))
    }

    /// Names routes. Where it gives `None`, the route is what it would be without.
    ///
    /// It runs on the request path. There should be few different names: they are not counted. A
    /// name is cut at 256 bytes, and control characters in it become `_`. If the function panics,
    /// that counts as `None`.
    ///
    /// ```
    /// use tower_traffic::ReportLatency;
    ///
    /// let report = ReportLatency::to(|latency| println!("{latency}"))
    ///     .route(|request| request.uri.path().starts_with("/assets/").then(|| "assets".into()));
    /// ```
    pub fn route(self, name: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        self.set(|config| config.name = Some(Arc::new(name)))
    }

    /// How many different paths stand as routes, where there is no better name; 200 by default. All
    /// further ones are one route, [`OTHER`].
    pub fn max_paths(self, paths: usize) -> Self {
        self.set(|config| config.paths = Arc::new(route::Paths::new(paths)))
    }

    /// The [scheme](Latency::scheme) of requests whose URI does not say it; `http` by default.
    pub fn scheme(self, scheme: Scheme) -> Self {
        self.set(|config| config.scheme = scheme)
    }

    /// Which secrets are replaced in the text of an error, where clients like to put the URI;
    /// [`Redact::default`] if not said.
    pub fn redact(self, redact: Redact) -> Self {
        self.set(|config| config.redact = redact)
    }

    /// The layer stands in a client, around what sends the requests: a 4xx is then an
    /// [error](Latency::error_type) too, and metrics have a client's names.
    pub fn client(self) -> Self {
        self.set(|config| config.is_client = true)
    }

    /// Tells the client the time to the response's head, in milliseconds, as `server-timing:
    /// app;dur=12.345` ([W3C Server Timing](https://www.w3.org/TR/server-timing/)), beside values that
    /// are there. More is not known when the head is sent. Off by default: it shows everybody how
    /// long the app takes.
    pub fn server_timing(self) -> Self {
        self.set(|config| config.server_timing = true)
    }

    fn set(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(Arc::make_mut(&mut self.config));
        self
    }
}

impl<S> Layer<S> for ReportLatency {
    type Service = ReportLatencyService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ReportLatencyService::new(inner, self.config.clone())
    }
}

impl fmt::Debug for ReportLatency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReportLatency")
            .field("reporters", &self.config.reporters.len())
            .finish_non_exhaustive()
    }
}
