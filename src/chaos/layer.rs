//! The [`Chaos`] layer.

use std::{fmt, time::Duration};

use tower::Layer;

use super::{
    apply::throw::{Fails, Panics},
    engine::{ChaosEngine, Settings},
    model::{behavior::Behavior, latency::Latency, stage::Stage},
    service::ChaosService,
};

/// A layer that breaks things on purpose.
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
/// // Off until it is switched on.
/// engine.enable_with(Stage::when(
///     Trigger::percentage(10.0),
///     Behavior::status(StatusCode::SERVICE_UNAVAILABLE),
/// ));
/// ```
///
/// It goes around a server or a client, and keeps the error of the service inside. Clones of the layer,
/// and all services made by it, share one [engine](ChaosEngine): what is counted is counted for all of
/// them, and `n` of a hundred are that of all requests together.
///
/// # Repeatable
///
/// All random draws come from a [seed](Self::seed) and the number of the request, in the order of
/// arrival: the same seed and order give the same decisions, whichever request is polled first. A
/// stage that needs the [status](crate::chaos::Trigger::status) or the
/// [body](crate::chaos::Requests::body) waits until it is there, and so do the stages after it: their
/// counts (`once`, `countdown`, `nth`) follow that order.
///
/// Every affected response names its fault (`x-chaos: Latency (123ms)`), and has the
/// [`Decision`](crate::chaos::Decision) among its extensions. [`ChaosEngine::decisions`] has the last
/// decisions, and
/// [`ChaosEngine::enable_again`] does them again.
///
/// All waits are on tokio's clock, so that a test that has it paused (`#[tokio::test(start_paused = true)]`)
/// does not wait.
///
/// # Everything that can be set, at its default
///
/// ```
/// use tower_traffic::chaos::{Chaos, Stage};
///
/// let chaos = Chaos::new()    // off, and nothing happens when it is switched on
///     .stage(Stage::wait())   // what happens then
///     .max_concurrent(usize::MAX)
///     .max_decisions(1_000);
/// ```
///
/// Off by default are [`expire_after`](Self::expire_after), [`exempt_route`](Self::exempt_route),
/// [`http4k_header`](Self::http4k_header) and [`with_error`](Self::with_error); the
/// [seed](Self::seed) is another each time.
#[derive(Clone)]
pub struct Chaos<T = Panics> {
    engine: ChaosEngine,
    throw: T,
}

impl Chaos {
    /// Off, until its [engine](Self::engine) switches it on.
    pub fn new() -> Self {
        Self {
            engine: ChaosEngine::new(),
            throw: Panics,
        }
    }

    /// On from the start, with this.
    pub fn on(stage: impl Into<Stage>) -> Self {
        let chaos = Self::new();
        chaos.engine.enable_with(stage);
        chaos
    }

    /// Steered by this engine, with others that are. What is set here is set for all of them.
    pub fn with_engine(engine: &ChaosEngine) -> Self {
        Self {
            engine: engine.clone(),
            throw: Panics,
        }
    }
}

impl Default for Chaos {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Chaos<T> {
    /// What steers it.
    pub fn engine(&self) -> ChaosEngine {
        self.engine.clone()
    }

    /// What happens when it is switched on.
    pub fn stage(self, stage: impl Into<Stage>) -> Self {
        self.engine.prepare(stage.into());
        self
    }

    /// Draws with this seed.
    pub fn seed(self, seed: u64) -> Self {
        self.set(|settings| settings.seed = seed)
    }

    /// Switches itself off so long after it was switched on.
    pub fn expire_after(self, time: Duration) -> Self {
        self.set(|settings| settings.expire_after = Some(time))
    }

    /// Affects at most so many requests at the same time; what comes then passes, and is counted.
    pub fn max_concurrent(self, requests: usize) -> Self {
        self.set(|settings| settings.max_concurrent = requests)
    }

    /// Exempts a route from chaos, for example a health check. See
    /// [`Trigger::route`](crate::chaos::Trigger::route).
    pub fn exempt_route(self, route: impl Into<String>) -> Self {
        self.set(|settings| settings.exempt_routes.push(route.into()))
    }

    /// Also says what happened as http4k does, in `x-http4k-chaos`.
    pub fn http4k_header(self, enabled: bool) -> Self {
        self.set(|settings| settings.http4k_header = enabled)
    }

    /// Keeps so many [decisions](ChaosEngine::decisions), each with its behavior.
    pub fn max_decisions(self, most: usize) -> Self {
        self.set(|settings| settings.max_decisions = most)
    }

    /// Lets [`Behavior::throw`] fail with an error that is made of its message, where the service inside
    /// has such errors, instead of panicking.
    ///
    /// ```
    /// use tower::BoxError;
    /// use tower_traffic::chaos::{Behavior, Chaos};
    ///
    /// let chaos = Chaos::on(Behavior::throw("connection reset by peer"))
    ///     .with_error(|message| BoxError::from(message));
    /// ```
    pub fn with_error<F, E>(self, error: F) -> Chaos<Fails<F>>
    where
        F: Fn(&str) -> E + Clone,
    {
        Chaos {
            engine: self.engine,
            throw: Fails(error),
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
    /// To every request.
    fn from(behavior: Behavior) -> Self {
        Self::always(behavior)
    }
}

impl From<Latency> for Stage {
    /// For every request.
    fn from(latency: Latency) -> Self {
        Behavior::latency(latency).into()
    }
}

impl From<Vec<Self>> for Stage {
    fn from(stages: Vec<Self>) -> Self {
        Self::sequence(stages)
    }
}
