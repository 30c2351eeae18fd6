//! The chaos engine: shared, thread-safe state that chooses a fault for each request or connection.

#[cfg(feature = "chaos-api")]
pub(super) mod control;
#[cfg(feature = "chaos-connect")]
mod generation;
mod handle;
mod log;
mod request_verdict;
mod schedule;
mod verdict;

#[cfg(feature = "chaos-connect")]
pub(super) use self::generation::Generation;
pub use self::{handle::ChaosEngine, log::ChaosStats};
pub(super) use self::{
    schedule::Settings,
    verdict::{ActiveGuard, Choice, Pending, Verdict},
};
