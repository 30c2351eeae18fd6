//! The decision log and statistics.

use std::collections::{BTreeMap, VecDeque};

use crate::chaos::model::decision::Decision;

/// The last decisions, and the number of all decisions per behavior.
#[derive(Default)]
pub(super) struct DecisionLog {
    pub(super) decisions: VecDeque<Decision>,
    pub(super) counts: BTreeMap<&'static str, u64>,
    pub(super) capped: u64,
}

impl DecisionLog {
    /// Counts `decision`, and keeps the last `max` decisions.
    pub(super) fn add(&mut self, decision: &Decision, max: usize) {
        *self.counts.entry(decision.behavior.name()).or_default() += 1;
        self.decisions.push_back(decision.clone());
        if self.decisions.len() > max {
            self.decisions.pop_front();
        }
    }
}

/// Counts of an engine, from [`ChaosEngine::stats`](crate::chaos::ChaosEngine::stats).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChaosStats {
    /// Requests that arrived while the engine was enabled.
    pub requests: u64,
    /// Connections that were opened while the engine was enabled.
    pub connections: u64,
    /// Requests and connections that a fault was applied to.
    pub affected: u64,
    /// Affected requests and connections that are still in progress.
    pub active: usize,
    /// Requests and connections that passed unaffected because
    /// [`Chaos::max_concurrent`](crate::chaos::Chaos::max_concurrent) was reached.
    pub capped: u64,
    /// Affected requests and connections per behavior, by its
    /// [name](crate::chaos::Behavior::name).
    pub by_behavior: BTreeMap<&'static str, u64>,
}
