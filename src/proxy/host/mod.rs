//! `ProxyHost`: aims requests at their origin.

mod body;
mod forwarded;
mod future;
mod host_pattern;
mod layer;
mod service;
mod target;
mod via;
mod websocket;

pub use self::{
    body::ResponseBody, future::ResponseFuture, layer::ProxyHost, service::ProxyHostService,
    target::InvalidUpstream,
};
