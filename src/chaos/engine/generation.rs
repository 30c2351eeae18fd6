//! Generations of the schedule.

use std::sync::atomic::Ordering;

use tokio::time::timeout_at;

use super::{ChaosEngine, verdict::Choice};
use crate::util::sync::lock;

/// A generation of the schedule. It ends when the engine is switched off, expires or gets another
/// stage. Faults of open connections last until their generation ends.
#[derive(Clone)]
pub(in crate::chaos) struct Generation {
    engine: ChaosEngine,
    number: u64,
}

impl Generation {
    pub(in crate::chaos) fn of(choice: &Choice, engine: &ChaosEngine) -> Self {
        Self {
            engine: engine.clone(),
            number: choice.generation,
        }
    }

    pub(in crate::chaos) fn is_current(&self) -> bool {
        let state = &self.engine.state;
        // Only an engine that expires may still have to notice that it is off.
        self.engine.generation() == self.number
            && (!state.may_expire.load(Ordering::Relaxed) || self.engine.is_enabled())
    }

    /// Waits until this generation has ended.
    pub(in crate::chaos) async fn ended(self) {
        while self.is_current() {
            let expiry = lock(&self.engine.state.schedule).expiry;
            let changed = self.engine.state.generation_changed.notified();
            // The generation may have ended before `changed` began to listen.
            if !self.is_current() {
                return;
            }
            match expiry {
                Some(expiry) => drop(timeout_at(expiry, changed).await),
                None => changed.await,
            }
        }
    }
}
