//! A fault on its way into one connection.

use std::sync::Arc;

use super::plan::ConnectionPlan;
use crate::chaos::{
    engine::{ActiveGuard, ChaosEngine, Choice, Generation},
    model::decision::Decision,
};

/// A fault for one connection, with all random values drawn.
pub(super) struct ConnectionInjection {
    pub(super) plan: ConnectionPlan,
    pub(super) decision: Arc<Decision>,
    pub(super) active: ActiveGuard,
    pub(super) generation: Generation,
}

impl ConnectionInjection {
    /// Draws the random values, and records the decision.
    pub(super) fn new(engine: &ChaosEngine, choice: Choice) -> Self {
        let plan = ConnectionPlan::new(&choice.behavior, choice.random());
        let decision = engine.record(&choice, plan.delay, plan.text().to_owned());
        Self {
            plan,
            decision: Arc::new(decision),
            generation: Generation::of(&choice, engine),
            active: choice.active,
        }
    }
}
