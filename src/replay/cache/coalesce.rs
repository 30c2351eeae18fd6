//! Identical misses that are under way at the same time.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::{runtime::Handle, sync::watch, time::timeout};

use crate::{matching::MatchKey, util::sync::lock};

/// Whoever fetches may be slow, or may wait for the very one who waits for it.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who fetches, for each key that is being fetched.
#[derive(Clone, Default)]
pub(super) struct Coalescer {
    under_way: Arc<Mutex<HashMap<MatchKey, watch::Receiver<()>>>>,
}

/// What a miss is to do.
pub(super) enum Turn {
    /// Fetch, and hold the lead until what came is stored, or will not be.
    Lead(Lead),
    /// Somebody is fetching already.
    Follow(Follow),
}

/// Lets those who follow go on when it is dropped.
pub(super) struct Lead {
    coalescer: Coalescer,
    key: MatchKey,
    _done: watch::Sender<()>,
}

pub(super) struct Follow(watch::Receiver<()>);

impl Coalescer {
    pub(super) fn turn(&self, key: MatchKey) -> Turn {
        match self.lock().entry(key) {
            Entry::Occupied(leader) => Turn::Follow(Follow(leader.get().clone())),
            Entry::Vacant(vacant) => {
                let (sender, receiver) = watch::channel(());
                vacant.insert(receiver);
                Turn::Lead(Lead {
                    coalescer: self.clone(),
                    key,
                    _done: sender,
                })
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<MatchKey, watch::Receiver<()>>> {
        lock(&self.under_way)
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.coalescer.lock().remove(&self.key);
    }
}

impl Follow {
    /// Returns when the leader's lead has ended, or has lasted too long to wait for.
    pub(super) async fn done(mut self) {
        // Nothing is ever sent: the error of a sender that is gone is what is waited for.
        let done = async { while self.0.changed().await.is_ok() {} };
        if Handle::try_current().is_ok() {
            // Too late is no error: whoever waited goes on alone.
            let _ = timeout(PATIENCE, done).await;
        } else {
            done.await;
        }
    }
}
