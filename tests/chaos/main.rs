//! `Chaos`: behaviors, triggers, documents, connections and the control API.

mod api;
mod bodies;
mod clients;
mod connect;
mod connect_tls;
mod decisions;
mod documents;
mod env;
mod http4k;
mod log;
mod numbers;
mod triggers;
