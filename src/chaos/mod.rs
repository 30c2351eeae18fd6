//! `Chaos`: breaks things on purpose, repeatably, and only while it is meant to.
//!
//! [`Chaos`] is the layer, and [`ChaosEngine`] steers it. What happens is a [`Behavior`], when is a
//! [`Trigger`], and a [`Stage`] puts several of these in their order.

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
    apply::throw::{Fails, Panics, Throw},
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
