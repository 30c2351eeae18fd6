//! Application of a fault to one request and its response.

pub(in crate::chaos) mod destroy;
pub(in crate::chaos) mod faults;
pub(in crate::chaos) mod injection;
pub(in crate::chaos) mod pace;
pub(in crate::chaos) mod plan;
pub(in crate::chaos) mod throw;
