//! Record, replay, inspect and break HTTP traffic with [`tower`] layers.
//!
//! One layer records an app, another answers from the recording when the app is gone:
//!
//! ```
//! use axum::{
//!     Router,
//!     body::{Body, to_bytes},
//!     http::Request,
//!     routing::get,
//! };
//! use tower::ServiceExt;
//! use tower_traffic::{OnMiss, RecordTraffic, ReplayCache};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let folder = tempfile::tempdir()?;
//!
//!     let record = RecordTraffic::disk(folder.path());
//!     let recorder = record.recorder();
//!     let app = Router::new()
//!         .route("/users/{id}", get(async || "bob"))
//!         .layer(record);
//!     let response = app.oneshot(Request::get("/users/1").body(Body::empty())?).await?;
//!     assert_eq!(to_bytes(response.into_body(), 1024).await?, "bob");
//!     recorder.flush().await;
//!
//!     let replay = ReplayCache::disk(folder.path()).on_miss(OnMiss::Refuse);
//!     let app = Router::new().layer(replay);
//!     let response = app.oneshot(Request::get("/users/1").body(Body::empty())?).await?;
//!     assert_eq!(to_bytes(response.into_body(), 1024).await?, "bob");
//!     Ok(())
//! }
//! ```
//!
//! The [guides] explain each task: [recording](guides::recording), [replaying](guides::replaying),
//! [testing a client](guides::testing_a_client), [gRPC](guides::grpc), [proxies](guides::proxies),
//! [fault injection](guides::chaos), [secrets](guides::secrets), and the
//! [order of layers](guides::stacking).
//!
//! # Layers and services
//!
//! | layer | does |
//! |---|---|
//! | [`RecordTraffic`] | hands each exchange to a [`Sink`](store::Sink), off the request path |
//! | [`ReplayCache`] | answers from a [`Source`](store::Source), or passes through, records, refuses |
//! | [`ReplayStream`] | answers from a [`Replay`](store::Replay) in recorded order |
//! | [`DebugDump`] | prints requests and responses |
//! | [`ReportLatency`] | reports time to head and time to end, by route and status |
//! | [`ProxyHost`] | sends requests to the origin they name, or to one upstream |
//! | [`Chaos`] | injects faults, repeatably; [`ChaosConnect`] does so for connections |
//!
//! | service | does |
//! |---|---|
//! | [`Forward`] | ends a stack: an HTTP client that answers 502 or 504 on failure |
//! | [`Responder`] | ends a stack: answers from a recording, or 503 |
//! | [`Resend`] | sends recorded requests to a service, and compares the responses |
//!
//! A layer's shared state (its queue, its position in a recording) lives in the layer: all clones
//! of a layer, and all services it makes, share that state. Each layer keeps the error type of its
//! inner service, as axum's `Router::layer` requires.
//!
//! # Terms
//!
//! | term | meaning |
//! |---|---|
//! | [exchange](Exchange) | one request and its outcome: a response, an error, or a partial response |
//! | [`Sink`](store::Sink) | takes exchanges |
//! | [`Source`](store::Source) | looks up the recorded response for a request |
//! | [`Replay`](store::Replay) | streams exchanges in recorded order |
//! | cache | a `Sink` and `Source`, laid out for look-up |
//! | stream | a `Sink` and `Replay`, laid out for iteration |
//! | recording | the contents of a store: a folder, a bucket prefix, a file, or a value in memory |
//! | match key | the hash by which a request finds its recording |
//! | origin, upstream | the server behind a proxy; the next hop of a proxy |
//!
//! # Modules
//!
//! The names at the root are those that most programs use. [`record`], [`replay`], [`proxy`],
//! [`debug`], [`latency`] and [`chaos`] hold the other types of each layer, [`clients`] the
//! adapters for reqwest. [`store`] holds the traits of a store and the stores of this crate;
//! [`store::open`] reads a recording in any format. [`conformance`] checks a store of your own.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod body;
#[cfg(feature = "chaos")]
pub mod chaos;
pub mod clients;
#[cfg(feature = "test-util")]
pub mod conformance;
mod content;
pub mod debug;
mod format;
pub mod guides;
pub mod latency;
mod matching;
mod message;
pub mod proxy;
pub mod record;
mod recorder;
mod redact;
pub mod replay;
pub mod store;
mod util;

#[cfg(feature = "chaos-connect")]
pub use self::chaos::ChaosConnect;
#[cfg(feature = "chaos")]
pub use self::chaos::{Chaos, ChaosEngine};
pub use self::{
    debug::DebugDump,
    latency::ReportLatency,
    matching::Matching,
    message::{
        BodyEnd, Exchange, ExchangeEnd, HeaderList, NoResponse, RecordedBody, RecordedRequest,
        RecordedResponse,
    },
    proxy::ProxyHost,
    record::{RecordTraffic, Recorder, WhenFull},
    redact::{REDACTED, Redact},
    replay::{OnMiss, ReplayCache, ReplayStream, Resend, Responder},
    store::StoreError,
};

#[cfg(feature = "forward")]
pub use self::proxy::Forward;
