//! `ReplayCache`: answers from a recording, and calls the inner service on a miss.

mod coalesce;
mod layer;
mod service;

pub(super) use self::service::{Answers, Lookup};
pub use self::{
    layer::{AnswerOrder, OnMiss, ReplayCache},
    service::ReplayCacheService,
};
