//! Helpers that every room uses: the bounded queue with its worker thread, errors, locks, panics of
//! user functions, request filters, a pool of spare values, printable text, time.

pub(crate) mod bounded_queue;
pub(crate) mod error;
pub(crate) mod filter;
pub(crate) mod panic;
pub(crate) mod pool;
pub(crate) mod printable;
#[cfg(feature = "reqwest")]
pub(crate) mod response_url;
pub(crate) mod sync;
pub(crate) mod time;
