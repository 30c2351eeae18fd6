//! `Chaos`: the layer.

use std::{fmt, time::Duration};

use tower::Layer;

use super::{
    apply::throw::{ThrowError, ThrowPanic},
    engine::{ChaosEngine, Settings},
    model::{behavior::Behavior, latency::Latency, stage::Stage},
    service::ChaosService,
};

/// A layer that injects faults into requests and responses.
///
/// ```
/// use axum::{Router, routing::get};
/// use http::StatusCode;
/// use tower_traffic::chaos::{Behavior, Chaos, Stage, Trigger};
///
/// let chaos = Chaos::new();
/// let engine = chaos.engine();
/// let app: Router = Router::new()
///     .route("/users/{id}", get(async || "bob"))
///     .layer(chaos);
///
/// // Chaos is disabled until the engine enables it.
/// engine.enable_with(Stage::when(
///     Trigger::percentage(10.0),
///     Behavior::status(StatusCode::SERVICE_UNAVAILABLE),
/// ));
/// ```
///
/// The layer works around servers and clients, and keeps the error type of the inner service.
///
/// # Shared state
///
/// Clones of the layer, and all services that it creates, share one [engine](ChaosEngine) with its
/// stage, counters and settings. A setter changes the shared settings: it applies to every clone,
/// and to services that exist already. Only [`with_error`](Self::with_error) concerns a single
/// layer value.
///
/// # Repeatability
///
/// All random values are drawn from the [seed](Self::seed) and the ordinal of the request. The same
/// seed and the same order of requests lead to the same decisions, in whatever order futures are
/// polled. Stages that need the [status](super::Trigger::status) of a response or the
/// [body](super::Requests::body) of a request decide, and count, in the order in which these
/// responses and bodies arrive.
///
/// An affected response names the fault in the header `x-chaos`, for example `Latency (123ms)`, and
/// has the [`Decision`] among its extensions. [`ChaosEngine::decisions`] returns the last
/// decisions, and [`ChaosEngine::enable_again`] repeats them.
///
/// Delays use tokio's clock, so that tests with a paused clock (`#[tokio::test(start_paused =
/// true)]`) do not wait.
///
/// # Defaults
///
/// ```
/// use tower_traffic::chaos::{Chaos, Stage};
///
/// let chaos = Chaos::new()    // disabled
///     .stage(Stage::wait())   // no fault
///     .max_concurrent(usize::MAX)
///     .max_decisions(1_000)
///     .http4k_header(false);
/// ```
///
/// By default the [seed](Self::seed) is random, chaos does not [expire](Self::expire_after), no
/// route is [exempt](Self::exempt_route), and [`Behavior::throw`] panics.
///
/// [`Decision`]: super::Decision
#[must_use = "layers do nothing unless applied"]
#[derive(Clone)]
pub struct Chaos<T = ThrowPanic> {
    engine: ChaosEngine,
    throw: T,
}

impl Chaos {
    /// Creates a layer without faults until its [engine](Self::engine) is enabled.
    pub fn new() -> Self {
        Self {
            engine: ChaosEngine::new(),
            throw: ThrowPanic,
        }
    }

    /// Creates an enabled layer with `stage`.
    pub fn on(stage: impl Into<Stage>) -> Self {
        let chaos = Self::new();
        chaos.engine.enable_with(stage);
        chaos
    }

    /// Creates a layer that shares `engine` with other layers, together with its settings.
    pub fn with_engine(engine: &ChaosEngine) -> Self {
        Self {
            engine: engine.clone(),
            throw: ThrowPanic,
        }
    }
}

impl Default for Chaos {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Chaos<T> {
    /// Returns a handle to the engine.
    #[must_use]
    pub fn engine(&self) -> ChaosEngine {
        self.engine.clone()
    }

    /// Replaces the stage by `stage`. Chaos stays enabled or disabled.
    pub fn stage(self, stage: impl Into<Stage>) -> Self {
        self.engine.prepare(stage.into());
        self
    }

    /// Sets the seed of all random values.
    pub fn seed(self, seed: u64) -> Self {
        self.set(|settings| settings.seed = seed)
    }

    /// Disables chaos when `time` has passed since chaos was enabled; by default chaos stays
    /// enabled.
    pub fn expire_after(self, time: Duration) -> Self {
        self.set(|settings| settings.expire_after = Some(time))
    }

    /// Limits the number of affected requests that are in progress at the same time; no limit by
    /// default.
    ///
    /// Further requests pass unaffected, and are counted as [`capped`](super::ChaosStats::capped).
    /// With 0, no request is affected.
    pub fn max_concurrent(self, requests: usize) -> Self {
        self.set(|settings| settings.max_concurrent = requests)
    }

    /// Exempts a [route](super::Trigger::route) from chaos, for example that of health checks.
    ///
    /// Each call adds a route.
    pub fn exempt_route(self, route: impl Into<String>) -> Self {
        self.set(|settings| settings.exempt_routes.push(route.into()))
    }

    /// Sets whether affected responses also name the fault in the header `x-http4k-chaos`, as in
    /// http4k; `false` by default.
    pub fn http4k_header(self, enabled: bool) -> Self {
        self.set(|settings| settings.http4k_header = enabled)
    }

    /// Limits the number of [decisions](ChaosEngine::decisions) that are kept; 1,000 by default.
    /// With 0, none are kept.
    pub fn max_decisions(self, decisions: usize) -> Self {
        self.set(|settings| settings.max_decisions = decisions)
    }

    /// Makes [`Behavior::throw`] return an error instead of panicking.
    ///
    /// `error` converts the message into the error type of the inner service.
    ///
    /// ```
    /// use tower::BoxError;
    /// use tower_traffic::chaos::{Behavior, Chaos};
    ///
    /// let chaos = Chaos::on(Behavior::throw("connection reset by peer"))
    ///     .with_error(|message| BoxError::from(message));
    /// ```
    pub fn with_error<F, E>(self, error: F) -> Chaos<ThrowError<F>>
    where
        F: Fn(&str) -> E + Clone,
    {
        Chaos {
            engine: self.engine,
            throw: ThrowError(error),
        }
    }

    fn set(self, set: impl FnOnce(&mut Settings)) -> Self {
        self.engine.set(set);
        self
    }
}

impl<S, T: Clone> Layer<S> for Chaos<T> {
    type Service = ChaosService<S, T>;

    fn layer(&self, inner: S) -> Self::Service {
        ChaosService::new(inner, self.engine.clone(), self.throw.clone())
    }
}

impl<T> fmt::Debug for Chaos<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chaos")
            .field("engine", &self.engine)
            .finish_non_exhaustive()
    }
}

impl From<Behavior> for Stage {
    /// Applies the behavior to every request.
    fn from(behavior: Behavior) -> Self {
        Self::always(behavior)
    }
}

impl From<Latency> for Stage {
    /// Delays every request.
    fn from(latency: Latency) -> Self {
        Behavior::latency(latency).into()
    }
}

impl From<Vec<Self>> for Stage {
    fn from(stages: Vec<Self>) -> Self {
        Self::sequence(stages)
    }
}
