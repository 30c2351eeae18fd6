//! The [`Chaos`] layer: injects faults into requests, responses and connections.
//!
//! A [`Behavior`] is a fault, a [`Trigger`] is the condition under which it is applied, and a
//! [`Stage`] combines them into a schedule. A [`ChaosEngine`] switches the layer on and off at run
//! time.
//!
//! # Examples
//!
//! ```
//! use axum::{Router, routing::get};
//! use http::StatusCode;
//! use tower_traffic::chaos::{Behavior, Chaos, Stage, Trigger};
//!
//! // One request in ten fails.
//! let chaos = Chaos::on(Stage::when(
//!     Trigger::percentage(10.0),
//!     Behavior::status(StatusCode::SERVICE_UNAVAILABLE),
//! ));
//! let app: Router = Router::new()
//!     .route("/users/{id}", get(async || "bob"))
//!     .layer(chaos);
//! ```
//!
//! Disabled at first, and enabled for a minute while the app runs:
//!
//! ```
//! use std::time::Duration;
//!
//! use tower_traffic::chaos::{Behavior, Chaos, Latency};
//!
//! let chaos = Chaos::new().expire_after(Duration::from_secs(60));
//! let engine = chaos.engine();
//! // Later, in a test or behind a route:
//! engine.enable_with(Behavior::latency(Latency::fixed(Duration::from_millis(300))));
//! ```

#[cfg(feature = "chaos-api")]
mod api;
mod apply;
mod body;
#[cfg(feature = "chaos-connect")]
mod connect;
mod document;
mod engine;
mod future;
mod layer;
mod model;
mod service;

#[cfg(feature = "chaos-api")]
pub use self::api::ChaosApi;
#[cfg(feature = "chaos-connect")]
pub use self::connect::{
    AffectedConnection, ChaosConnect, ChaosConnection, ChaosConnector, ConnectFuture,
    ConnectionFault, OpaqueConnect, OpaqueConnector,
};
pub use ipnet::IpNet;

pub use self::{
    apply::throw::{ThrowError, ThrowHandler, ThrowPanic},
    body::{ChaosBody, InjectedError},
    document::ParseDocumentError,
    engine::{ChaosEngine, ChaosStats},
    future::ChaosFuture,
    layer::Chaos,
    model::{
        behavior::{Behavior, Message, Variable},
        connection::ConnectionBehavior,
        decision::{Affected, Decision},
        env::InvalidVariable,
        latency::Latency,
        request_pattern::{InvalidPattern, Requests},
        stage::Stage,
        trigger::Trigger,
    },
    service::ChaosService,
};
