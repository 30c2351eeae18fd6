//! `ChaosConnect`: breaks connections.

mod error;
mod faults;
mod injection;
mod plan;
mod service;
mod stream;

use std::time::Duration;

use tower::Layer;

pub use self::{
    error::ConnectionFault,
    service::{ChaosConnector, ConnectFuture, OpaqueConnector},
    stream::{AffectedConnection, ChaosConnection},
};
use super::{
    engine::{ChaosEngine, Settings},
    model::stage::Stage,
};

/// A layer around the connector of a client, as [`Chaos`](super::Chaos) is one around the client: it
/// refuses connections, delays them, and does to those that are made what a bad network does.
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
/// It goes around whatever connects to a [`Uri`](http::Uri): hyper-util's `HttpConnector`, below TLS, or
/// hyper-rustls's `HttpsConnector`, around it. Below TLS bytes are counted, delayed and garbled as they
/// are on the wire, and a handshake may fail of it; around it they are those of HTTP.
///
/// # What is decided, and when
///
/// Connections are what clients make when they need one: one that is pooled is used again and not decided
/// about again, and over HTTP/2 there may be a single one. A [`ConnectionBehavior`](super::ConnectionBehavior) says what happens,
/// and in [documents](Stage) `"on": "connection"`, or a behavior of the type `refuse`:
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
/// Such are `latency`, `never`, `refuse`, `throw`, `throttle`, `slice`, `corrupt`, `stall`, `break`,
/// `none`, and `all` of these. Routes that are [exempt](super::Chaos::exempt_route) do not count: a connection
/// has none.
///
/// # As long as it is meant to
///
/// A connection may outlive the reason for which it was broken. What is done to its bytes ends when the
/// engine is switched off, or expires, or is given another stage, and then it is as sound as any. What is
/// not connected yet stays as it was decided.
///
/// # Together with `Chaos`
///
/// One engine may steer both ([`with_engine`](Self::with_engine)). It counts requests and connections
/// by themselves, so that the same seed gives the same decisions in whatever order the two come, and
/// each stage is for those that its behavior is about. [`max_concurrent`](Self::max_concurrent)
/// holds for either by itself: a connection that is slow and idle in a pool takes no request's place.
/// It counts while it is held up, and as long as it lives if something is done to its bytes.
///
/// ```
/// use tower_traffic::chaos::{Chaos, ChaosConnect};
///
/// let chaos = Chaos::new().seed(7);
/// let below = ChaosConnect::with_engine(&chaos.engine());
/// ```
#[derive(Clone, Debug)]
pub struct ChaosConnect {
    engine: ChaosEngine,
}

impl ChaosConnect {
    /// Off, until its [engine](Self::engine) switches it on.
    pub fn new() -> Self {
        Self {
            engine: ChaosEngine::new(),
        }
    }

    /// On from the start, with this.
    pub fn on(stage: impl Into<Stage>) -> Self {
        let chaos = Self::new();
        chaos.engine.enable_with(stage);
        chaos
    }

    /// Steered by this engine, with others that are.
    pub fn with_engine(engine: &ChaosEngine) -> Self {
        Self {
            engine: engine.clone(),
        }
    }

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

    /// Affects at most so many connections at the same time; what comes then is made as ever, and is
    /// counted.
    pub fn max_concurrent(self, connections: usize) -> Self {
        self.set(|settings| settings.max_concurrent = connections)
    }

    /// For clients that let nobody look into their connections, as reqwest's does: there is no telling
    /// where to one goes, and its bytes are out of reach. Connections are refused, delayed, never made,
    /// and fail; a [`host`](super::Requests::host) is never met, and what would be done to bytes is not.
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

/// The layer of [`ChaosConnect::opaque`].
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
