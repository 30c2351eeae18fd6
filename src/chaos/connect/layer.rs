//! `ChaosConnect`: the layer.

use std::time::Duration;

use tower::Layer;

use super::service::{ChaosConnector, OpaqueConnector};
use crate::chaos::{
    engine::{ChaosEngine, Settings},
    model::stage::Stage,
};

/// A layer that injects faults into the connections of a client.
///
/// The layer wraps the client's connector, as [`Chaos`](crate::chaos::Chaos) wraps the client.
/// Connections are refused or delayed, and the bytes of open connections are affected as by a bad
/// network.
///
/// ```
/// use http::Request;
/// use http_body_util::Empty;
/// use hyper_util::{
///     client::legacy::{Client, connect::HttpConnector},
///     rt::TokioExecutor,
/// };
/// use tower::Layer;
/// use tower_traffic::chaos::{ChaosConnect, ConnectionBehavior, Stage, Trigger};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// // The first connection is refused, and each that follows is reset after 10,000 bytes.
/// let chaos = ChaosConnect::on(
///     Stage::when(Trigger::once(), ConnectionBehavior::refuse())
///         .then(Stage::always(ConnectionBehavior::break_after(10_000))),
/// );
/// let engine = chaos.engine();
/// let client = Client::builder(TokioExecutor::new()).build(chaos.layer(HttpConnector::new()));
///
/// let request = Request::get("http://127.0.0.1/").body(Empty::<&[u8]>::new()).unwrap();
/// let error = client.request(request).await.unwrap_err();
/// assert!(error.is_connect());
/// assert_eq!(engine.stats().by_behavior["refuse"], 1);
/// # }
/// ```
///
/// The layer wraps any connector that takes a [`Uri`](http::Uri): hyper-util's `HttpConnector`,
/// below TLS, or hyper-rustls's `HttpsConnector`, around TLS. Below TLS, faults apply to encrypted
/// bytes and may break the handshake; around TLS, they apply to the bytes of HTTP.
///
/// # Decisions
///
/// A decision is made when the client opens a connection. Requests on a pooled connection lead to
/// no further decision, and over HTTP/2 there may be a single connection.
///
/// A [`ConnectionBehavior`](crate::chaos::ConnectionBehavior) is the fault of a connection. In a
/// [document](Stage) it has `"on": "connection"`, or the type `refuse`:
///
/// ```
/// use tower_traffic::chaos::{ChaosConnect, Stage};
///
/// let stage: Stage = r#"{"type": "trigger",
///     "trigger": {"type": "request", "host": "api\\.example\\.com(:\\d+)?"},
///     "behaviour": {"type": "throttle", "on": "connection", "bytesPerSecond": 50000}}"#.parse()?;
/// let chaos = ChaosConnect::on(stage);
/// # Ok::<(), tower_traffic::chaos::ParseDocumentError>(())
/// ```
///
/// The types are `latency`, `never`, `refuse`, `throw`, `throttle`, `slice`, `corrupt`, `stall`,
/// `break`, `none`, and `all`. [Exempt routes](crate::chaos::Chaos::exempt_route) have no effect,
/// because a connection has no route.
///
/// # Lifetime of a fault
///
/// A connection may outlive the stage that affected it. Its faults end when the engine is disabled,
/// expires or is given another stage; the connection behaves normally from then on. A connection
/// that is still being opened keeps its fault.
///
/// # Together with `Chaos`
///
/// One engine can control both layers ([`with_engine`](Self::with_engine)). The engine counts
/// requests and connections separately, so that the same seed leads to the same decisions in
/// whatever order they arrive, and each stage sees only the kind that its behavior applies to.
/// [`max_concurrent`](Self::max_concurrent) limits either kind separately: an idle connection in a
/// pool takes no place of a request. A connection counts while it is delayed, and until it is
/// closed if its bytes are affected.
///
/// ```
/// use tower_traffic::chaos::{Chaos, ChaosConnect};
///
/// let chaos = Chaos::new().seed(7);
/// let below = ChaosConnect::with_engine(&chaos.engine());
/// ```
///
/// # Shared state
///
/// As with [`Chaos`](crate::chaos::Chaos), a setter changes the settings of the engine, for all
/// layers that share it.
#[must_use = "layers do nothing unless applied"]
#[derive(Clone, Debug)]
pub struct ChaosConnect {
    engine: ChaosEngine,
}

impl ChaosConnect {
    /// Creates a layer without faults until its [engine](Self::engine) is enabled.
    pub fn new() -> Self {
        Self {
            engine: ChaosEngine::new(),
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
        }
    }

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

    /// Limits the number of affected connections at the same time; no limit by default.
    ///
    /// Further connections are unaffected, and are counted as
    /// [`capped`](crate::chaos::ChaosStats::capped). With 0, no connection is affected.
    pub fn max_concurrent(self, connections: usize) -> Self {
        self.set(|settings| settings.max_concurrent = connections)
    }

    /// Returns a layer for clients with opaque connections, such as reqwest.
    ///
    /// Neither the host nor the bytes of such a connection are accessible: connections can be
    /// refused, delayed or fail, but a [`host`](crate::chaos::Requests::host) never matches, and
    /// faults of bytes are not applied.
    ///
    /// ```
    /// use tower_traffic::chaos::{ChaosConnect, ConnectionBehavior};
    ///
    /// # #[cfg(feature = "reqwest")]
    /// # async fn f() -> Result<(), reqwest::Error> {
    /// let chaos = ChaosConnect::on(ConnectionBehavior::refuse());
    /// let client = reqwest::Client::builder().connector_layer(chaos.opaque()).build()?;
    /// assert!(client.get("http://127.0.0.1/").send().await.unwrap_err().is_connect());
    /// # Ok(())
    /// # }
    /// ```
    pub fn opaque(&self) -> OpaqueConnect {
        OpaqueConnect {
            engine: self.engine(),
        }
    }

    fn set(self, set: impl FnOnce(&mut Settings)) -> Self {
        self.engine.set(set);
        self
    }
}

impl Default for ChaosConnect {
    fn default() -> Self {
        Self::new()
    }
}

impl<S> Layer<S> for ChaosConnect {
    type Service = ChaosConnector<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ChaosConnector::new(inner, self.engine.clone())
    }
}

/// The layer that [`ChaosConnect::opaque`] returns.
#[must_use = "layers do nothing unless applied"]
#[derive(Clone, Debug)]
pub struct OpaqueConnect {
    engine: ChaosEngine,
}

impl<S> Layer<S> for OpaqueConnect {
    type Service = OpaqueConnector<S>;

    fn layer(&self, inner: S) -> Self::Service {
        OpaqueConnector::new(inner, self.engine.clone())
    }
}
