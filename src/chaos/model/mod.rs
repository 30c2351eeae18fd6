//! The model: behaviors, triggers and stages, and what they are drawn from.

pub(in crate::chaos) mod behavior;
pub(in crate::chaos) mod connection;
pub(in crate::chaos) mod decision;
pub(in crate::chaos) mod duration;
pub(in crate::chaos) mod env;
pub(in crate::chaos) mod envoy;
pub(in crate::chaos) mod latency;
pub(in crate::chaos) mod moment;
pub(in crate::chaos) mod observation;
pub(in crate::chaos) mod pattern;
pub(in crate::chaos) mod random;
pub(in crate::chaos) mod request_pattern;
pub(in crate::chaos) mod stage;
pub(in crate::chaos) mod trigger;
