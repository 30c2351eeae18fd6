//! `ChaosEngine`: the handle.

use std::{
    fmt, mem,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::{
    log::{ChaosStats, DecisionLog},
    schedule::{Schedule, Settings, Switch},
};
use crate::{
    chaos::model::{decision::Decision, stage::Stage},
    util::sync::lock,
};

/// A handle to the chaos engine: switches chaos on and off, and reports what it did.
///
/// The engine belongs to one or more [`Chaos`](crate::chaos::Chaos) layers (and `ChaosConnect`
/// layers). Clones are handles to the same engine.
///
/// ```
/// use http::StatusCode;
/// use tower_traffic::chaos::{Behavior, Chaos};
///
/// let chaos = Chaos::new();
/// let engine = chaos.engine();
/// assert_eq!(engine.to_string(), "none");
///
/// engine.enable_with(Behavior::status(StatusCode::NOT_FOUND));
/// assert_eq!(engine.to_string(), "Always ReturnStatus (404)");
/// engine.disable();
/// ```
#[derive(Clone)]
pub struct ChaosEngine {
    pub(super) state: Arc<State>,
}

#[derive(Default)]
pub(super) struct State {
    /// Whether chaos is enabled; read by every request.
    is_on: AtomicBool,
    pub(super) may_expire: AtomicBool,
    pub(super) requests: AtomicU64,
    pub(super) connections: AtomicU64,
    pub(super) active_requests: Arc<AtomicUsize>,
    pub(super) active_connections: Arc<AtomicUsize>,
    pub(super) schedule: Mutex<Schedule>,
    /// Generation number; incremented whenever the schedule is replaced or switched off.
    generation: AtomicU64,
    pub(super) generation_changed: Notify,
    log: Mutex<DecisionLog>,
    #[cfg(feature = "chaos-api")]
    pub(super) control: super::control::ControlPaths,
}

impl ChaosEngine {
    pub(in crate::chaos) fn new() -> Self {
        Self {
            state: Arc::default(),
        }
    }

    /// Changes the settings for all layers that share this engine.
    pub(in crate::chaos) fn set(&self, set: impl FnOnce(&mut Settings)) {
        self.with_schedule(|schedule| {
            let settings = Arc::make_mut(&mut schedule.settings);
            let before = settings.expire_after;
            set(settings);
            let after = settings.expire_after;
            if after.is_some() {
                self.state.may_expire.store(true, Ordering::Relaxed);
            }
            if after != before && self.is_on(schedule) {
                schedule.set_expiry();
            }
        });
    }

    /// Runs `f` on the schedule, and logs switches after it is unlocked, because a `tracing`
    /// subscriber may call the engine.
    pub(super) fn with_schedule<T>(&self, f: impl FnOnce(&mut Schedule) -> T) -> T {
        let mut schedule = lock(&self.state.schedule);
        let answer = f(&mut schedule);
        let switches = mem::take(&mut schedule.unlogged);
        drop(schedule);
        for switch in switches {
            switch.log();
        }
        answer
    }

    /// Enables chaos with the current stage. The stage keeps the progress that it had before. If
    /// chaos is enabled already, the [expiry](crate::chaos::Chaos::expire_after) is counted anew.
    pub fn enable(&self) {
        self.with_schedule(|schedule| self.switch_on(schedule));
    }

    /// Replaces the active stage by `stage`, starts it, and enables chaos.
    pub fn enable_with(&self, stage: impl Into<Stage>) {
        let stage = stage.into();
        self.with_schedule(|schedule| {
            schedule.replace(stage);
            self.end_generation();
            self.switch_on(schedule);
        });
    }

    /// Repeats recorded [decisions](Self::decisions), and enables chaos.
    ///
    /// Each decision is applied to the request or connection with its ordinal. All other requests
    /// and connections pass; no trigger is evaluated. Ordinals and statistics restart at 0, and the
    /// decision log is cleared.
    pub fn enable_again(&self, decisions: impl IntoIterator<Item = Decision>) {
        let decisions = decisions.into_iter();
        let by_ordinal = decisions.map(|decision| ((decision.on, decision.ordinal), decision));
        let repeated = by_ordinal.collect();
        self.with_schedule(|schedule| {
            schedule.replace(Stage::wait());
            schedule.repeated = Some(repeated);
            self.state.requests.store(0, Ordering::Relaxed);
            self.state.connections.store(0, Ordering::Relaxed);
            // Ordinals in the log must be unique.
            *self.log() = DecisionLog::default();
            self.end_generation();
            self.switch_on(schedule);
        });
    }

    /// Replaces the active stage. If chaos is enabled, it stays enabled and the new stage starts at
    /// once; otherwise chaos stays disabled.
    pub(in crate::chaos) fn prepare(&self, stage: Stage) {
        self.with_schedule(|schedule| {
            let was_on = self.is_on(schedule);
            schedule.replace(stage);
            if was_on {
                self.end_generation();
                self.switch_on(schedule);
            }
        });
    }

    fn switch_on(&self, schedule: &mut Schedule) {
        schedule.start();
        schedule.set_expiry();
        self.state.is_on.store(true, Ordering::Relaxed);
        let chaos = schedule.to_string();
        schedule.unlogged.push(Switch::On { chaos });
    }

    fn end_generation(&self) {
        self.state.generation.fetch_add(1, Ordering::Relaxed);
        self.state.generation_changed.notify_waiters();
    }

    /// Disables chaos.
    ///
    /// Requests in progress keep their faults until they complete. Faults of open connections end
    /// at once.
    pub fn disable(&self) {
        self.with_schedule(|schedule| self.switch_off(schedule));
    }

    fn switch_off(&self, schedule: &mut Schedule) {
        if self.state.is_on.swap(false, Ordering::Relaxed) {
            self.end_generation();
            schedule.unlogged.push(Switch::Off);
        }
    }

    /// Disables chaos if it is enabled, and enables it if it is disabled.
    pub fn toggle(&self) {
        self.with_schedule(|schedule| {
            if self.is_on(schedule) {
                self.switch_off(schedule);
            } else {
                self.switch_on(schedule);
            }
        });
    }

    /// Whether chaos is enabled.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.might_be_on() && self.with_schedule(|schedule| self.is_on(schedule))
    }

    /// Whether chaos is enabled, or was enabled and has expired since the flag was last updated.
    #[inline]
    pub(in crate::chaos) fn might_be_on(&self) -> bool {
        self.state.is_on.load(Ordering::Relaxed)
    }

    pub(super) fn is_on(&self, schedule: &mut Schedule) -> bool {
        let is_expired = || {
            schedule
                .expiry
                .is_some_and(|expiry| expiry <= Instant::now())
        };
        if self.might_be_on() && is_expired() {
            self.switch_off(schedule);
        }
        self.might_be_on()
    }

    /// Returns the counts of this engine.
    #[must_use]
    pub fn stats(&self) -> ChaosStats {
        let log = self.log();
        ChaosStats {
            requests: self.state.requests.load(Ordering::Relaxed),
            connections: self.state.connections.load(Ordering::Relaxed),
            affected: log.counts.values().sum(),
            active: self.state.active_requests.load(Ordering::Relaxed)
                + self.state.active_connections.load(Ordering::Relaxed),
            capped: log.capped,
            by_behavior: log.counts.clone(),
        }
    }

    /// Returns the last decisions, oldest first: at most 1,000, unless
    /// [`max_decisions`](crate::chaos::Chaos::max_decisions) is set.
    ///
    /// `Decision` implements serde's `Serialize`; [`Decision::list_from_json`] reads the JSON.
    #[must_use]
    pub fn decisions(&self) -> Vec<Decision> {
        self.log().decisions.iter().cloned().collect()
    }

    /// Returns the seed of the random values.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.with_schedule(|schedule| schedule.settings.seed)
    }

    /// Returns the active stage with its progress, also while chaos is disabled.
    pub fn stage(&self) -> Stage {
        lock(&self.state.schedule).stage.clone()
    }

    /// Returns the time until chaos [expires](crate::chaos::Chaos::expire_after), or `None` if it
    /// is disabled or does not expire.
    #[must_use]
    pub fn expires_in(&self) -> Option<Duration> {
        self.with_schedule(|schedule| {
            let is_on = self.is_on(schedule);
            let expiry = schedule.expiry.filter(|_| is_on)?;
            Some(expiry.saturating_duration_since(Instant::now()))
        })
    }

    /// Exempts the control API at the path `base` from chaos.
    #[cfg(feature = "chaos-api")]
    pub(in crate::chaos) fn exempt_control(&self, base: &str) {
        self.state.control.add(base);
    }

    pub(super) fn generation(&self) -> u64 {
        self.state.generation.load(Ordering::Relaxed)
    }

    pub(super) fn log(&self) -> MutexGuard<'_, DecisionLog> {
        lock(&self.state.log)
    }
}

/// Writes the active stage in the words of http4k's control API, or `none` while chaos is disabled.
impl fmt::Display for ChaosEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let active =
            self.with_schedule(|schedule| self.is_on(schedule).then(|| schedule.to_string()));
        f.write_str(active.as_deref().unwrap_or("none"))
    }
}

impl fmt::Debug for ChaosEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChaosEngine")
            .field("seed", &self.seed())
            .field("is_on", &self.might_be_on())
            .finish_non_exhaustive()
    }
}
