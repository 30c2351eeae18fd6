//! The segments that wait, and what became of others.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, sleep, sleep_until},
};

use super::{name::Name, owner::Owner, stats::S3Stats};
use crate::{store::s3::backoff::Backoff, util::sync::lock};

/// After a failure that may pass.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// A sealed segment.
#[derive(Clone, Debug)]
pub(super) struct Sealed {
    pub(super) name: Name,
    /// Bytes on disk.
    pub(super) size: u64,
    /// Its end may be torn.
    pub(super) needs_repair: bool,
    /// Between attempts to pack it, and then to upload it.
    pub(super) backoff: Backoff,
    /// An attempt may have got through already.
    pub(super) was_tried: bool,
    /// How often it was refused.
    pub(super) refusals: u32,
    /// It was refused for what it is: trying again in this run is of no use.
    pub(super) is_hopeless: bool,
    /// The right to it, held by whoever works on it.
    pub(super) _owner: Arc<Owner>,
}

impl Sealed {
    /// One that was not refused yet.
    pub(super) fn new(name: Name, size: u64, owner: Arc<Owner>) -> Self {
        Self {
            name,
            size,
            needs_repair: false,
            backoff: Backoff::new(FIRST_PAUSE, LONGEST_PAUSE),
            was_tried: false,
            refusals: 0,
            is_hopeless: false,
            _owner: owner,
        }
    }
}

/// A segment that is to be tried again.
#[derive(Debug)]
struct Later {
    at: Instant,
    sealed: Sealed,
    is_packed: bool,
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
    later: Vec<Later>,
    /// Sealed, and neither uploaded nor in quarantine.
    pub(super) pending: BTreeSet<Name>,
    pub(super) in_quarantine: Vec<Sealed>,
    pub(super) refusal: Option<Refusal>,
    /// How often the bucket refused.
    pub(super) refusals: u64,
    /// Without what is in quarantine, which is counted when it is asked for.
    pub(super) stats: S3Stats,
    /// Counts those who cannot wait.
    hurries: u64,
    /// How many of them still wait.
    hurried: usize,
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

    /// Ends all pauses. While this is held, nothing is put off for the sake of others.
    pub(super) fn hurry(&self) -> Hurry<'_> {
        self.change(|state| {
            state.hurries += 1;
            state.hurried += 1;
            let now = Instant::now();
            state.later.iter_mut().for_each(|later| later.at = now);
            if let Some(refusal) = &mut state.refusal {
                refusal.try_again = now;
            }
        });
        Hurry(self)
    }

    /// Takes a segment up again after its pause; until then the others have their turn.
    pub(super) fn put_back(&self, mut sealed: Sealed, is_packed: bool, hurries: u64) {
        let mut at = Instant::now() + sealed.backoff.next();
        self.change(|state| {
            if state.hurries != hurries {
                at = Instant::now();
            }
            state.later.push(Later {
                at,
                sealed,
                is_packed,
            });
        });
    }

    /// Gives back, when it is time, what was put back.
    pub(super) async fn give_back(&self) {
        let next = |state: &mut State| state.later.iter().map(|later| later.at).min();
        loop {
            let time = self.until(next).await;
            tokio::select! {
                () = sleep_until(time) => self.change(|state| state.give_back(time)),
                // Another is earlier, or somebody is in a hurry.
                () = self.until(|state| (next(state) != Some(time)).then_some(())) => {}
            }
        }
    }

    /// Ends the uploads.
    pub(super) fn close(&self) {
        self.change(|state| state.is_closed = true);
    }

    pub(super) async fn closed(&self) {
        self.until(|state| state.is_closed.then_some(())).await;
    }
}

/// Somebody who cannot wait.
pub(super) struct Hurry<'a>(&'a Queue);

impl Drop for Hurry<'_> {
    fn drop(&mut self) {
        self.0.with(|state| state.hurried -= 1);
    }
}

impl State {
    /// Puts a sealed segment in, if it is not in already.
    pub(super) fn push(&mut self, sealed: Sealed, is_packed: bool) {
        if self.pending.insert(sealed.name.clone()) {
            self.line(is_packed).push_back(sealed);
        }
    }

    fn give_back(&mut self, time: Instant) {
        let due: Vec<_> = self
            .later
            .extract_if(.., |later| later.at <= time)
            .collect();
        for later in due {
            self.line(later.is_packed).push_back(later.sealed);
        }
    }

    /// Where segments wait for what is next.
    fn line(&mut self, is_packed: bool) -> &mut VecDeque<Sealed> {
        if is_packed {
            &mut self.to_send
        } else {
            &mut self.to_pack
        }
    }

    /// Whether somebody cannot wait.
    pub(super) fn is_hurried(&self) -> bool {
        self.hurried > 0
    }

    /// What became of the segments so far.
    pub(super) fn stats(&self) -> S3Stats {
        S3Stats {
            quarantined: self.in_quarantine.len() as u64,
            ..self.stats
        }
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
    }

    /// Takes those segments out of quarantine that are to be. They are pending from then on, so that
    /// nobody takes their files for those of others.
    pub(super) fn release(&mut self, is_to_be: impl FnMut(&mut Sealed) -> bool) -> Vec<Sealed> {
        let released: Vec<_> = self.in_quarantine.extract_if(.., is_to_be).collect();
        let names = released.iter().map(|sealed| sealed.name.clone());
        self.pending.extend(names);
        released
    }
}
