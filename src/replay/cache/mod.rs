//! `ReplayCache`: answers from a recording, and calls the inner service on a miss.

mod coalesce;
mod layer;
mod service;

pub(super) use self::service::{Lookup, Shared};
pub use self::{
    layer::{OnMiss, Order, ReplayCache},
    service::ReplayCacheService,
};
