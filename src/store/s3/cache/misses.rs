//! A memory of recent misses.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use tokio::time::Instant;

use crate::{
    matching::MatchKey,
    util::{sync::lock, time::FOREVER},
};

/// The most misses that are remembered.
const MAX_MISSES: usize = 10_000;

#[derive(Default)]
pub(super) struct Misses {
    /// The time to live; `None` remembers nothing.
    ttl: Option<Duration>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    until: HashMap<MatchKey, Instant>,
    /// Number of stores.
    stored: u64,
}

impl Misses {
    pub(super) fn new(ttl: Duration) -> Self {
        Self {
            ttl: Some(ttl.min(FOREVER)).filter(|ttl| !ttl.is_zero()),
            state: Mutex::default(),
        }
    }

    /// An empty memory with the same time to live.
    pub(super) fn emptied(&self) -> Self {
        Self {
            ttl: self.ttl,
            state: Mutex::default(),
        }
    }

    pub(super) fn contains(&self, key: MatchKey) -> bool {
        self.ttl.is_some() && {
            let state = lock(&self.state);
            let until = state.until.get(&key);
            until.is_some_and(|until| *until > Instant::now())
        }
    }

    /// The number of stores, for [`add`](Self::add).
    pub(super) fn stores(&self) -> u64 {
        lock(&self.state).stored
    }

    /// Remembers a miss of `key`, unless something was stored since the look-up began.
    pub(super) fn add(&self, key: MatchKey, stores_before: u64) {
        let Some(ttl) = self.ttl else { return };
        let now = Instant::now();
        let mut state = lock(&self.state);
        if state.stored != stores_before {
            return;
        }
        if state.until.len() >= MAX_MISSES {
            state.until.retain(|_, until| *until > now);
        }
        if state.until.len() < MAX_MISSES {
            state.until.insert(key, now + ttl);
        }
    }

    pub(super) fn forget(&self, key: MatchKey) {
        if self.ttl.is_some() {
            let mut state = lock(&self.state);
            state.stored += 1;
            state.until.remove(&key);
        }
    }
}
