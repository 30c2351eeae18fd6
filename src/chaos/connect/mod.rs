//! `ChaosConnect`: injects faults into connections.

mod error;
mod faults;
mod injection;
mod layer;
mod plan;
mod service;
mod stream;

pub use self::{
    error::ConnectionFault,
    layer::{ChaosConnect, OpaqueConnect},
    service::{ChaosConnector, ConnectFuture, OpaqueConnector},
    stream::{AffectedConnection, ChaosConnection},
};
