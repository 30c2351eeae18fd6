//! What was asked for in vain, for a while.

use std::{collections::HashMap, sync::Mutex, time::Duration};

use tokio::time::Instant;

use crate::{
    matching::MatchKey,
    util::{sync::lock, time::FOREVER},
};

/// Beyond that nothing is remembered until some of it is over.
const MOST: usize = 10_000;

#[derive(Default)]
pub(super) struct Misses {
    /// How long; nothing is remembered without it.
    time: Option<Duration>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    until: HashMap<MatchKey, Instant>,
    /// How often something was stored.
    stored: u64,
}

impl Misses {
    pub(super) fn new(time: Duration) -> Self {
        Self {
            time: Some(time.min(FOREVER)).filter(|time| !time.is_zero()),
            state: Mutex::default(),
        }
    }

    /// The same, with nothing in it.
    pub(super) fn anew(&self) -> Self {
        Self {
            time: self.time,
            state: Mutex::default(),
        }
    }

    pub(super) fn has(&self, key: MatchKey) -> bool {
        self.time.is_some() && {
            let state = lock(&self.state);
            let until = state.until.get(&key);
            until.is_some_and(|until| *until > Instant::now())
        }
    }

    /// To be given to [`add`](Self::add) after the answer.
    pub(super) fn asked(&self) -> u64 {
        lock(&self.state).stored
    }

    /// Remembers a miss, unless something was stored since it was asked for: it may have been that.
    pub(super) fn add(&self, key: MatchKey, asked: u64) {
        let Some(time) = self.time else { return };
        let now = Instant::now();
        let mut state = lock(&self.state);
        if state.stored != asked {
            return;
        }
        if state.until.len() >= MOST {
            state.until.retain(|_, until| *until > now);
        }
        if state.until.len() < MOST {
            state.until.insert(key, now + time);
        }
    }

    pub(super) fn forget(&self, key: MatchKey) {
        if self.time.is_some() {
            let mut state = lock(&self.state);
            state.stored += 1;
            state.until.remove(&key);
        }
    }
}
