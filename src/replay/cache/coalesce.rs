//! `Coalescer`: fetches concurrent misses of one match key once.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::{runtime::Handle, sync::watch, time::timeout};

use crate::{matching::MatchKey, util::sync::lock};

/// The maximum wait of a follower: the leader may be slow, or may itself wait for the follower.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// The match keys for which a response is being fetched. Each has a channel that closes when the
/// leader is done.
#[derive(Clone, Default)]
pub(super) struct Coalescer {
    leaders: Arc<Mutex<HashMap<MatchKey, watch::Receiver<()>>>>,
}

/// The role of a request that is a miss.
pub(super) enum Role {
    /// The first miss for the key: it fetches the response, and keeps the lead until the response
    /// is stored or given up.
    Leader(LeaderGuard),
    /// A miss while another request for the same key fetches the response.
    Follower(Follower),
}

/// Releases the followers of a match key when it is dropped.
pub(super) struct LeaderGuard {
    coalescer: Coalescer,
    key: MatchKey,
    _done: watch::Sender<()>,
}

pub(super) struct Follower(watch::Receiver<()>);

impl Coalescer {
    pub(super) fn join(&self, key: MatchKey) -> Role {
        match self.leaders().entry(key) {
            Entry::Occupied(leader) => Role::Follower(Follower(leader.get().clone())),
            Entry::Vacant(vacant) => {
                let (sender, receiver) = watch::channel(());
                vacant.insert(receiver);
                Role::Leader(LeaderGuard {
                    coalescer: self.clone(),
                    key,
                    _done: sender,
                })
            }
        }
    }

    fn leaders(&self) -> MutexGuard<'_, HashMap<MatchKey, watch::Receiver<()>>> {
        lock(&self.leaders)
    }
}

impl Drop for LeaderGuard {
    fn drop(&mut self) {
        self.coalescer.leaders().remove(&self.key);
    }
}

impl Follower {
    /// Waits until the leader is done, for at most [`MAX_WAIT`]. Without a runtime, the wait has no
    /// limit.
    pub(super) async fn wait(mut self) {
        // The channel carries no values: it closes with the lead.
        let closed = async { while self.0.changed().await.is_ok() {} };
        if Handle::try_current().is_ok() {
            // After a timeout the follower fetches for itself.
            let _ = timeout(MAX_WAIT, closed).await;
        } else {
            closed.await;
        }
    }
}
