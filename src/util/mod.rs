//! Helpers that every room uses: errors, locks, panics of user functions, request filters, time.

pub(crate) mod error;
pub(crate) mod filter;
pub(crate) mod panic;
pub(crate) mod pool;
pub(crate) mod sync;
pub(crate) mod time;
pub(crate) mod worker;
