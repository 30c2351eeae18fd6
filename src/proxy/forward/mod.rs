//! `Forward`: an HTTP client as a service that cannot fail.

mod body;
mod client;
mod connect;
mod failure;
mod future;
mod pool;
mod roots;
mod service;
mod tunnel;

pub use self::{
    body::{ForwardBody, UpstreamBodyError},
    client::Forward,
    future::ForwardFuture,
    roots::InvalidCertificate,
};
