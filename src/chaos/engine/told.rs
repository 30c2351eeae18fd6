//! What has happened so far.

use std::collections::{BTreeMap, VecDeque};

use crate::chaos::model::decision::Decision;

/// The last decisions, and how many there were.
#[derive(Default)]
pub(super) struct Told {
    pub(super) log: VecDeque<Decision>,
    pub(super) counts: BTreeMap<&'static str, u64>,
    pub(super) capped: u64,
}

impl Told {
    /// Counts it, and keeps so many.
    pub(super) fn add(&mut self, decision: &Decision, kept: usize) {
        *self.counts.entry(decision.behavior.name()).or_default() += 1;
        self.log.push_back(decision.clone());
        if self.log.len() > kept {
            self.log.pop_front();
        }
    }
}

/// What has happened so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChaosStats {
    /// Requests that came while it was on.
    pub requests: u64,
    /// Connections that were about to be made while it was on.
    pub connections: u64,
    /// Of these, those to which something happened.
    pub affected: u64,
    /// Of those, the ones that are not over yet.
    pub active: usize,
    /// Those to which nothing happened because there were too many
    /// ([`Chaos::max_concurrent`](crate::chaos::Chaos::max_concurrent)).
    pub capped: u64,
    /// Those affected by behavior, as documents name it.
    pub by_behavior: BTreeMap<&'static str, u64>,
}
