//! Record, replay and inspect HTTP traffic with [`tower`] layers.
//!
//! One line records an app, and another answers from the recording when the app is gone:
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::{
//!     Router,
//!     body::{Body, to_bytes},
//!     http::Request,
//!     routing::get,
//! };
//! use tower::ServiceExt;
//! use tower_traffic::{OnMiss, RecordTraffic, ReplayCache};
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let record = RecordTraffic::disk(folder);
//! let recorder = record.recorder();
//! let app = Router::new()
//!     .route("/users/{id}", get(async || "bob"))
//!     .layer(record);
//! # let ask = || Request::get("/users/1").body(Body::empty());
//! let response = app.oneshot(ask()?).await?;
//! assert_eq!(to_bytes(response.into_body(), 1024).await?, "bob");
//! recorder.flush().await;
//!
//! let replay = ReplayCache::disk(folder).on_miss(OnMiss::Refuse);
//! let app = Router::new().layer(replay);
//! let response = app.oneshot(ask()?).await?;
//! assert_eq!(to_bytes(response.into_body(), 1024).await?, "bob");
//! # Ok(())
//! # }
//! ```
//!
//! # Layers and services
//!
//! | layer | service | does |
//! |---|---|---|
//! | [`ProxyHost`] | [`ProxyHostService`](proxy::ProxyHostService) | aims a request at its origin, or at one upstream, and keeps the rules for proxies |
//! | [`ReportLatency`] | [`ReportLatencyService`](latency::ReportLatencyService) | reports time to head and time to end, by route and status |
//! | [`DebugDump`] | [`DebugDumpService`](debug::DebugDumpService) | prints both messages as they pass |
//! | [`RecordTraffic`] | [`RecordTrafficService`] | hands every exchange to a [`Sink`](store::Sink), off the request path |
//! | [`ReplayCache`] | [`ReplayCacheService`] | answers from a [`Source`](store::Source); on a miss passes through, records, or refuses |
//! | [`ReplayStream`] | [`ReplayStreamService`] | answers from a [`Replay`](store::Replay) in recorded order, checking each request |
//! | `Chaos` (feature `chaos`) | `ChaosService` | breaks requests and responses on purpose, repeatably; `ChaosConnect` does it to connections |
//! | | `Forward` (feature `forward`) | ends a stack: an HTTP client that cannot fail, 502 or 504 where another would |
//! | | [`Responder`] | ends a stack: answers from a recording, 503 when it has nothing |
//!
//! [`Resend`] sends the requests of a recording to a service again, and compares. [`clients`] has the
//! layers around reqwest. [`stacking`] says which layer goes where.
//!
//! What a layer shares (its queue, its place in a recording) lives in the layer and not in the
//! service: clones of a layer, and all services that it makes, share it. Every layer keeps the error
//! type of the service inside, as axum's `Router::layer` needs it.
//!
//! # Words
//!
//! | word | meaning |
//! |---|---|
//! | [exchange](Exchange) | one request and what came of it: a response, or an error, or a response cut short |
//! | [`Sink`](store::Sink) | takes exchanges |
//! | [`Source`](store::Source) | looks up the recorded response for a request |
//! | [`Replay`](store::Replay) | streams exchanges in recorded order |
//! | cache | a `Sink` and `Source`, laid out for retrieval |
//! | stream | a `Sink` and `Replay`, laid out for iteration |
//! | recording | what a store holds: a folder ([`Disk`](store::Disk), [`DiskCache`](store::DiskCache)), a value in memory ([`Memory`](store::Memory)) |
//! | origin | the server whose traffic it is |
//! | upstream | where a proxy sends a request next |
//!
//! # Where things are
//!
//! What most users name stands here at the top. [`proxy`], [`latency`] and [`debug`] have the rest of
//! their layers, and so has `chaos` with what happens, when, and what steers it. [`store`] has the traits
//! that a store implements, and the stores that come with the crate; [`store::open`] reads a recording
//! of any form. [`body`] has the bodies that the layers wrap messages in: they, [`Capture`] and
//! [`RecordTrafficFuture`] are public only because they stand in the layers' signatures. `conformance`
//! (feature `test-util`) checks stores.

#![forbid(unsafe_code)]
// Links lead to what other features bring: on docs.rs all are on.
#![cfg_attr(not(feature = "full"), allow(rustdoc::broken_intra_doc_links))]

#[cfg(all(test, feature = "s3"))]
extern crate self as tower_traffic; // for what unit tests share with those in `tests`

pub mod body;
#[cfg(feature = "chaos")]
pub mod chaos;
pub mod clients;
#[cfg(feature = "test-util")]
pub mod conformance;
mod content;
pub mod debug;
mod format;
pub mod latency;
mod matching;
mod message;
pub mod proxy;
mod record;
mod recorder;
mod redact;
mod replay;
#[doc = include_str!("docs/stacking.md")]
pub mod stacking {}
pub mod store;
mod util;

#[cfg(feature = "chaos-connect")]
pub use self::chaos::ChaosConnect;
#[cfg(feature = "chaos")]
pub use self::chaos::{Chaos, ChaosEngine};
pub use self::{
    debug::DebugDump,
    latency::ReportLatency,
    matching::{Key, Matching},
    message::{
        BodyEnd, Ended, Exchange, HeaderList, NoResponse, RecordedBody, RecordedRequest,
        RecordedResponse,
    },
    proxy::ProxyHost,
    record::{RecordTraffic, RecordTrafficFuture, RecordTrafficService, WhenFull},
    recorder::{Capture, Dropped, Recorder, Stats},
    redact::{REDACTED, Redact},
    replay::{
        Difference, OnMiss, Order, ReplayCache, ReplayCacheService, ReplayStream,
        ReplayStreamService, Resend, Resent, Responder, Summary, Verdict,
    },
    store::StoreError,
};

#[cfg(feature = "forward")]
pub use self::proxy::Forward;

/// The README's code is compiled and run with the tests.
#[doc = include_str!("../README.md")]
#[cfg(all(doctest, feature = "full"))]
pub struct ReadmeDocTests;
