//! `ReplayStream`: answers from a recording in recorded order.

pub(super) mod cursor;
mod layer;
mod service;

pub use self::{layer::ReplayStream, service::ReplayStreamService};
