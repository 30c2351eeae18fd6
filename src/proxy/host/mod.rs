//! `ProxyHost`: aims requests at their origin.

mod forwarded;
mod future;
mod host_pattern;
mod layer;
mod service;
mod target;
mod via;
mod websocket;

pub use self::{
    future::ProxyHostFuture, layer::ProxyHost, service::ProxyHostService, target::BadUpstream,
};
