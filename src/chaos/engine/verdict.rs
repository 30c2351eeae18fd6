//! The engine's verdict on one request or connection.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use super::{ChaosEngine, schedule::Settings};
use crate::chaos::model::{
    behavior::Behavior,
    decision::{Affected, Decision},
    observation::Inputs,
    random::Random,
};

/// The verdict on one request or connection. A fault is boxed, so that the verdict without a fault
/// is small.
pub(in crate::chaos) enum Verdict {
    Pass,
    Apply(Box<Choice>),
    /// A trigger needs more of the request before it can decide.
    Defer(Pending),
}

/// A fault that was chosen for one request or connection.
pub(in crate::chaos) struct Choice {
    pub(in crate::chaos) target: Affected,
    pub(in crate::chaos) ordinal: u64,
    pub(in crate::chaos) seed: u64,
    pub(in crate::chaos) behavior: Behavior,
    pub(in crate::chaos) settings: Arc<Settings>,
    pub(in crate::chaos) active: ActiveGuard,
    /// The generation of the schedule that chose the fault.
    #[cfg(feature = "chaos-connect")]
    pub(in crate::chaos) generation: u64,
}

impl Choice {
    pub(in crate::chaos) fn random(&self) -> Random {
        Random::of(self.target, self.seed, self.ordinal)
    }
}

/// A request on which the verdict is deferred.
#[derive(Clone, Copy)]
pub(in crate::chaos) struct Pending {
    pub(in crate::chaos) ordinal: u64,
    /// The inputs that the deferring trigger needs.
    pub(in crate::chaos) inputs: Inputs,
    /// The position in the schedule from which evaluation resumes.
    pub(in crate::chaos) resume_at: u32,
    pub(in crate::chaos) random: Random,
    pub(super) generation: u64,
}

/// RAII guard that counts one affected request or connection.
#[derive(Debug)]
pub(in crate::chaos) struct ActiveGuard(Arc<AtomicUsize>);

impl ActiveGuard {
    /// Increments `count`, or returns `None` if `count` has reached `max`.
    pub(super) fn acquire(count: &Arc<AtomicUsize>, max: usize) -> Option<Self> {
        count
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |active| {
                (active < max).then(|| active + 1)
            })
            .ok()?;
        Some(Self(count.clone()))
    }
}

impl Drop for ActiveGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl ChaosEngine {
    /// Counts and logs the fault, after its random values are drawn: the `delay`, and the `text`
    /// that describes the fault.
    pub(in crate::chaos) fn record(
        &self,
        choice: &Choice,
        delay: Duration,
        text: String,
    ) -> Decision {
        let decision = Decision {
            ordinal: choice.ordinal,
            on: choice.target,
            seed: choice.seed,
            delay,
            text: text.into(),
            behavior: choice.behavior.clone(),
        };
        let (ordinal, text) = (decision.ordinal, &*decision.text);
        match decision.on {
            Affected::Request => {
                tracing::debug!(ordinal, chaos = %text, "chaos affects a request");
            }
            Affected::Connection => {
                tracing::debug!(ordinal, chaos = %text, "chaos affects a connection");
            }
        }
        self.log().add(&decision, choice.settings.max_decisions);
        decision
    }
}
