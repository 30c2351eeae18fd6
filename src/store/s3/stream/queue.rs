//! The segments that wait, and what became of others.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

use super::{name::Name, owner::Owner, stats::S3Stats};
use crate::locks::lock;

/// A sealed segment.
#[derive(Debug)]
pub(super) struct Sealed {
    pub(super) name: Name,
    /// Bytes on disk.
    pub(super) size: u64,
    /// Its end may be torn.
    pub(super) needs_repair: bool,
    /// An attempt may have got through already.
    pub(super) was_tried: bool,
    /// How often it was refused.
    pub(super) refusals: u32,
    /// It was refused for what it is: trying again in this run is of no use.
    pub(super) is_hopeless: bool,
    /// The right to it, held by whoever works on it.
    pub(super) _owner: Arc<Owner>,
}

/// What the writer, the packer and the uploads share.
#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// When the segment that is open is old enough.
    pub(super) open_until: Option<Instant>,
    pub(super) to_pack: VecDeque<Sealed>,
    pub(super) to_send: VecDeque<Sealed>,
    /// Sealed, and neither uploaded nor in quarantine.
    pub(super) pending: BTreeSet<Name>,
    pub(super) in_quarantine: Vec<Sealed>,
    pub(super) refusal: Option<Refusal>,
    /// How often the bucket refused.
    pub(super) refusals: u64,
    pub(super) stats: S3Stats,
    /// Counts those who cannot wait.
    hurries: u64,
    is_closed: bool,
    /// Nothing is uploaded any more.
    pub(super) has_ended: bool,
}

/// The bucket takes nothing at present.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) reason: String,
    pub(super) try_again: Instant,
}

impl Queue {
    /// Looks, or changes something that nobody waits for.
    pub(super) fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut lock(&self.state))
    }

    /// Changes something, and wakes those who wait for that.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = self.with(change);
        self.changed.notify_waiters();
        changed
    }

    /// Waits for an answer.
    pub(super) async fn until<T>(&self, mut ask: impl FnMut(&mut State) -> Option<T>) -> T {
        loop {
            let changed = self.changed.notified();
            // From here on no change is missed.
            if let Some(answer) = self.with(&mut ask) {
                return answer;
            }
            changed.await;
        }
    }

    /// To be taken before what a [`pause`](Self::pause) comes after.
    pub(super) fn hurries(&self) -> u64 {
        self.with(|state| state.hurries)
    }

    /// Waits so long, unless somebody is in a hurry, or was since this was counted.
    pub(super) async fn pause(&self, time: Duration, hurries: u64) {
        tokio::select! {
            () = sleep(time) => {}
            () = self.until(|state| (state.hurries != hurries).then_some(())) => {}
        }
    }

    /// Ends all pauses.
    pub(super) fn hurry(&self) {
        self.change(|state| {
            state.hurries += 1;
            if let Some(refusal) = &mut state.refusal {
                refusal.try_again = Instant::now();
            }
        });
    }

    /// Ends the uploads.
    pub(super) fn close(&self) {
        self.change(|state| state.is_closed = true);
    }

    pub(super) async fn closed(&self) {
        self.until(|state| state.is_closed.then_some(())).await;
    }
}

impl State {
    /// Puts a sealed segment in; false if it is in already.
    pub(super) fn push(&mut self, sealed: Sealed, is_packed: bool) -> bool {
        let is_new = self.pending.insert(sealed.name.clone());
        if is_new && is_packed {
            self.to_send.push_back(sealed);
        } else if is_new {
            self.to_pack.push_back(sealed);
        }
        is_new
    }

    pub(super) fn settle(&mut self, name: &Name) {
        self.pending.remove(name);
    }

    /// Forgets a segment whose file is gone.
    pub(super) fn lose(&mut self, sealed: &Sealed) {
        self.stats.spooled -= 1;
        self.stats.spooled_bytes -= sealed.size;
        self.settle(&sealed.name);
    }

    /// Puts a segment into quarantine.
    pub(super) fn hold(&mut self, sealed: Sealed) {
        self.settle(&sealed.name);
        self.in_quarantine.push(sealed);
        self.stats.quarantined = self.in_quarantine.len() as u64;
    }

    /// Takes those segments out of quarantine that are to be. They are pending from then on, so that
    /// nobody takes their files for those of others.
    pub(super) fn release(&mut self, is_to_be: impl FnMut(&mut Sealed) -> bool) -> Vec<Sealed> {
        let released: Vec<_> = self.in_quarantine.extract_if(.., is_to_be).collect();
        self.stats.quarantined = self.in_quarantine.len() as u64;
        let names = released.iter().map(|sealed| sealed.name.clone());
        self.pending.extend(names);
        released
    }
}
