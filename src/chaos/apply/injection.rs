//! A fault on its way into one request or its response.

use http::HeaderMap;

use super::plan::Plan;
use crate::chaos::{
    engine::{ActiveGuard, ChaosEngine, Choice},
    model::decision::Decision,
};

/// A fault for one request, with all random values drawn.
#[derive(Debug)]
pub(in crate::chaos) struct Injection {
    pub(in crate::chaos) plan: Plan,
    pub(in crate::chaos) decision: Decision,
    pub(in crate::chaos) http4k_header: bool,
    pub(in crate::chaos) active: ActiveGuard,
}

impl Injection {
    /// Draws the random values, and records the decision.
    pub(in crate::chaos) fn new(engine: &ChaosEngine, choice: Choice, headers: &HeaderMap) -> Self {
        let plan = Plan::of(&choice.behavior, headers, choice.random());
        let text = match plan.http4k_text() {
            Some(text) => text.to_owned(),
            None => choice.behavior.to_string(),
        };
        Self {
            decision: engine.record(&choice, plan.delay, text),
            plan,
            http4k_header: choice.settings.http4k_header,
            active: choice.active,
        }
    }
}
