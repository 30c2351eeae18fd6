//! `RecordTraffic`: hands every exchange to a store.

mod body;
mod future;
mod layer;
mod service;

pub use self::{
    body::{RequestBody, ResponseBody},
    future::ResponseFuture,
    layer::{RecordTraffic, WhenFull},
    service::RecordTrafficService,
};
pub use crate::recorder::{DroppedCounts, Recorder, RecorderStats};
