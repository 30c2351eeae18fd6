//! A memory of recent misses.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use tokio::time::Instant;

use crate::{
    matching::MatchKey,
    util::{sync::lock, time::FOREVER},
};

/// The maximum number of remembered misses.
const MAX_MISSES: usize = 10_000;

#[derive(Default)]
pub(super) struct Misses {
    /// The time for which a miss is remembered; `None` if misses are not remembered.
    ttl: Option<Duration>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    until: HashMap<MatchKey, Instant>,
    /// The number of stores.
    stored: u64,
}

impl Misses {
    pub(super) fn new(ttl: Duration) -> Self {
        Self {
            ttl: Some(ttl.min(FOREVER)).filter(|ttl| !ttl.is_zero()),
            state: Mutex::default(),
        }
    }

    /// Creates an empty memory of misses with the same time to live.
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

    /// Returns the number of stores so far, for [`add`](Self::add).
    pub(super) fn stores(&self) -> u64 {
        lock(&self.state).stored
    }

    /// Remembers that no recording has `key`, unless the number of stores is no longer
    /// `stores_before`, the result of [`stores`](Self::stores) before the look-up: the new exchange
    /// may have this key.
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
