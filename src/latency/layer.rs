use std::{fmt, sync::Arc};

use http::{request::Parts, uri::Scheme};
use tower::Layer;

#[cfg(feature = "histogram")]
use super::Histograms;
#[cfg(feature = "metrics")]
use super::to_metrics;
use super::{Measurement, ReportLatencyService, config::Config, to_tracing};
use crate::redact::Redact;

/// A layer that reports how long each exchange takes: to the response head, and to the end of the
/// response body.
///
/// ```
/// use axum::{Router, routing::get};
/// use tower_traffic::ReportLatency;
///
/// let app: Router = Router::new()
///     .route("/users/{id}", get(async || "bob"))
///     .layer(ReportLatency::new(|measurement| println!("{measurement}")));
/// // GET /users/{id}: 200 in 1.302ms, head after 1.251ms
/// ```
///
/// The clock starts when the request arrives in the layer. Each exchange is reported exactly once:
/// when the response body ends or is dropped, when the inner service fails or panics, or when the
/// caller drops the response future. [`Measurement::end`] distinguishes these cases.
///
/// The function runs where the exchange ends, possibly inside a drop: it must be quick and must not
/// block. A panic in it is caught, and logged once through `tracing`. Messages pass unchanged; the
/// request body is not wrapped.
///
/// # Routes
///
/// Latency is reported by route, so that there are few groups. The [route](Measurement::route) of an exchange is the first
/// of these:
///
/// 1. the name from [`route`](Self::route);
/// 2. axum's `MatchedPath` (feature `axum`), such as `/users/{id}`. The matched path is present if
///    the layer is added with `Router::layer`, also in and around nested routers. The matched path
///    is absent around the whole router, in a fallback, and below `nest_service`;
/// 3. the path, cut at 256 bytes, for the first 200 different paths
///    ([`max_paths`](Self::max_paths));
/// 4. [`OTHER`](super::OTHER).
///
/// None of these routes contains the query, which may have secrets. Secrets in the text of an error
/// are [redacted](Self::redact).
///
/// # All settings
///
/// With every setting at its default:
///
/// ```
/// use http::uri::Scheme;
/// use tower_traffic::{Redact, ReportLatency};
///
/// let report = ReportLatency::new(|measurement| println!("{measurement}"))
///     .route(|_request| None)         // names of routes
///     .max_paths(200)                 // paths that are routes of their own
///     .scheme(Scheme::HTTP)           // for URIs without a scheme
///     .redact(Redact::default())      // for the text of errors
///     .client(false)                  // the layer is in a server
///     .server_timing(false);          // no `server-timing` header
/// ```
///
/// Clones of the layer, and all services made by it, share the set of paths seen so far.
#[derive(Clone)]
#[must_use = "layers do nothing unless applied"]
pub struct ReportLatency {
    config: Arc<Config>,
}

impl ReportLatency {
    /// Reports each exchange to the function `report`.
    pub fn new(report: impl Fn(&Measurement) + Send + Sync + 'static) -> Self {
        Self {
            config: Arc::default(),
        }
        .and(report)
    }

    /// Reports each exchange to a function, with http4k's [label](Measurement::label).
    ///
    /// ```
    /// use tower_traffic::ReportLatency;
    ///
    /// let report = ReportLatency::labels(|label, measurement| {
    ///     println!("{label}:{}|ms", measurement.time_to_end().as_millis());
    /// });
    /// // GET.users_:id.2xx.200:12|ms
    /// ```
    pub fn labels(report: impl Fn(&str, &Measurement) + Send + Sync + 'static) -> Self {
        Self::new(move |measurement| report(&measurement.label(), measurement))
    }

    /// Reports each latency as a `tracing` event; see [`to_tracing`].
    pub fn tracing() -> Self {
        Self::new(to_tracing())
    }

    /// Reports to the `metrics` crate: see [`to_metrics`].
    #[cfg(feature = "metrics")]
    pub fn metrics() -> Self {
        Self::new(to_metrics())
    }

    /// Reports to histograms in memory: see [`Histograms`].
    #[cfg(feature = "histogram")]
    pub fn histograms(histograms: &Histograms) -> Self {
        Self::new(histograms.reporter())
    }

    /// Adds a function to which each exchange is reported too.
    ///
    /// ```
    /// use tower_traffic::{ReportLatency, latency::to_tracing};
    ///
    /// let report = ReportLatency::new(|measurement| println!("{measurement}")).and(to_tracing());
    /// ```
    pub fn and(self, report: impl Fn(&Measurement) + Send + Sync + 'static) -> Self {
        self.set(|config| config.reporters.push(Arc::new(report)))
    }

    /// Sets the function that names the route of a request. If the function returns `None`, the next
    /// rule under [Routes](#routes) applies.
    ///
    /// The function is called on the request path. The number of names is not limited, so return
    /// one of few. A name is cut at 256 bytes, and its control characters become `_`. A panic
    /// counts as `None`.
    ///
    /// ```
    /// use tower_traffic::ReportLatency;
    ///
    /// let report = ReportLatency::new(|measurement| println!("{measurement}"))
    ///     .route(|request| request.uri.path().starts_with("/assets/").then(|| "assets".into()));
    /// ```
    pub fn route(self, name: impl Fn(&Parts) -> Option<String> + Send + Sync + 'static) -> Self {
        self.set(|config| config.name = Some(Arc::new(name)))
    }

    /// Limits the number of paths that are routes of their own; 200 by default. The route of all
    /// further paths is [`OTHER`](super::OTHER); with 0, every path is reported as
    /// `OTHER`. Applies to all clones and
    /// services of this layer.
    pub fn max_paths(self, paths: usize) -> Self {
        self.config.paths.set_max(paths);
        self
    }

    /// Sets the [scheme](Measurement::scheme) that is reported for requests whose URI has none;
    /// `http` by default.
    pub fn scheme(self, scheme: Scheme) -> Self {
        self.set(|config| config.scheme = scheme)
    }

    /// Selects the secrets to redact in error texts; [`Redact::default`] by default. The error text
    /// of a client often contains the URI.
    pub fn redact(self, redact: Redact) -> Self {
        self.set(|config| config.redact = redact)
    }

    /// Sets whether the layer wraps a client instead of a server; `false` by default. For a client,
    /// a 4xx is an [error](Measurement::error_type) too, and metrics have the names for clients.
    pub fn client(self, is_client: bool) -> Self {
        self.set(|config| config.is_client = is_client)
    }

    /// Sets whether responses tell the client the time to the response head, in milliseconds, as
    /// `server-timing: app;dur=12.345` ([W3C Server Timing](https://www.w3.org/TR/server-timing/));
    /// `false` by default, because the header shows every client how long the app takes. Other
    /// values of the header are kept.
    pub fn server_timing(self, is_sent: bool) -> Self {
        self.set(|config| config.server_timing = is_sent)
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
