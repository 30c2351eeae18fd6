//! Who decides.

pub(super) mod active;
mod ask;
#[cfg(feature = "chaos-connect")]
mod connections;
#[cfg(feature = "chaos-api")]
pub(super) mod control;
mod course;
mod requests;
mod settings;
mod told;

use std::{
    fmt, mem,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use super::model::{decision::Decision, stage::Stage};
use crate::util::sync::lock;

#[cfg(feature = "chaos-connect")]
pub(super) use self::connections::{DecidedConnection, Lasting};
pub use self::told::ChaosStats;
pub(super) use self::{
    ask::Later,
    requests::{Decided, Look},
    settings::Settings,
};
use self::{
    course::{Course, News},
    told::Told,
};

/// Steers [`Chaos`](super::Chaos): whether it is on, and what happens. Clones steer the same.
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
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Read by every request.
    is_on: AtomicBool,
    may_expire: AtomicBool,
    requests: AtomicU64,
    connections: AtomicU64,
    active: Arc<AtomicUsize>,
    active_connections: Arc<AtomicUsize>,
    course: Mutex<Course>,
    /// Of the course: another when there is another one, or it is over.
    number: AtomicU64,
    changed: Notify,
    told: Mutex<Told>,
    #[cfg(feature = "chaos-api")]
    control: self::control::ControlPaths,
}

impl ChaosEngine {
    pub(super) fn new() -> Self {
        Self {
            state: Arc::default(),
        }
    }

    pub(super) fn set(&self, set: impl FnOnce(&mut Settings)) {
        self.steer(|course| {
            let settings = Arc::make_mut(&mut course.settings);
            let before = settings.expire_after;
            set(settings);
            let now = settings.expire_after;
            if now.is_some() {
                self.state.may_expire.store(true, Ordering::Relaxed);
            }
            // Also what is on already.
            if now != before && self.is_on(course) {
                course.expire();
            }
        });
    }

    /// Does something with the course, and logs what came of it when that is no longer locked: who
    /// logs may ask the engine.
    fn steer<T>(&self, steer: impl FnOnce(&mut Course) -> T) -> T {
        let mut course = lock(&self.state.course);
        let answer = steer(&mut course);
        let news = mem::take(&mut course.news);
        drop(course);
        for news in news {
            news.log();
        }
        answer
    }

    /// Switches on what was there before. What it counts goes on from where it was.
    pub fn enable(&self) {
        self.steer(|course| self.switch_on(course));
    }

    /// Switches this on, from its beginning.
    pub fn enable_with(&self, stage: impl Into<Stage>) {
        let stage = stage.into();
        self.steer(|course| {
            course.becomes(stage);
            self.change();
            self.switch_on(course);
        });
    }

    /// Does again what was decided before, request for request and connection for connection, whatever
    /// their triggers would say now. They are counted from 0, as is all else, and of what was decided
    /// before nothing is kept.
    pub fn enable_again(&self, decisions: impl IntoIterator<Item = Decision>) {
        let decisions = decisions.into_iter();
        let by_number = decisions.map(|decision| ((decision.on, decision.ordinal), decision));
        let again = by_number.collect();
        self.steer(|course| {
            course.becomes(Stage::wait());
            course.again = Some(again);
            self.state.requests.store(0, Ordering::Relaxed);
            self.state.connections.store(0, Ordering::Relaxed);
            // Or there would be two of one number.
            *lock(&self.state.told) = Told::default();
            self.change();
            self.switch_on(course);
        });
    }

    /// Has this happen when it is switched on; now, if it is.
    pub(super) fn prepare(&self, stage: Stage) {
        self.steer(|course| {
            let was_on = self.is_on(course);
            course.becomes(stage);
            if was_on {
                self.change();
                self.switch_on(course);
            }
        });
    }

    fn switch_on(&self, course: &mut Course) {
        course.begin();
        course.expire();
        self.state.is_on.store(true, Ordering::Relaxed);
        let chaos = course.to_string();
        course.news.push(News::On { chaos });
    }

    /// Lets what lasts know that it is over.
    fn change(&self) {
        self.state.number.fetch_add(1, Ordering::Relaxed);
        self.state.changed.notify_waiters();
    }

    /// Switches it off. Requests that are under way go on as they were meant to; connections that were
    /// made are sound from now on.
    pub fn disable(&self) {
        self.steer(|course| self.switch_off(course));
    }

    fn switch_off(&self, course: &mut Course) {
        if self.state.is_on.swap(false, Ordering::Relaxed) {
            self.change();
            course.news.push(News::Off);
        }
    }

    /// Switches it off if it is on, and on if it is off.
    pub fn toggle(&self) {
        self.steer(|course| {
            if self.is_on(course) {
                self.switch_off(course);
            } else {
                self.switch_on(course);
            }
        });
    }

    /// Whether it is on.
    pub fn is_enabled(&self) -> bool {
        self.might_be_on() && self.steer(|course| self.is_on(course))
    }

    /// Whether it is on, unless its time is up.
    #[inline]
    pub(super) fn might_be_on(&self) -> bool {
        self.state.is_on.load(Ordering::Relaxed)
    }

    fn is_on(&self, course: &mut Course) -> bool {
        if course.ends.is_some_and(|end| end <= Instant::now()) && self.might_be_on() {
            self.switch_off(course);
        }
        self.might_be_on()
    }

    /// What has happened so far.
    pub fn stats(&self) -> ChaosStats {
        let told = lock(&self.state.told);
        ChaosStats {
            requests: self.state.requests.load(Ordering::Relaxed),
            connections: self.state.connections.load(Ordering::Relaxed),
            affected: told.counts.values().sum(),
            active: self.state.active.load(Ordering::Relaxed)
                + self.state.active_connections.load(Ordering::Relaxed),
            capped: told.capped,
            by_behavior: told.counts.clone(),
        }
    }

    /// The last decisions, at most 1,000 unless [more are kept](super::Chaos::max_decisions), in the order
    /// in which they were made. Serde writes them as JSON, and
    /// [`Decision::list_from_json`] reads that.
    pub fn decisions(&self) -> Vec<Decision> {
        lock(&self.state.told).log.iter().cloned().collect()
    }

    /// The seed with which it draws.
    pub fn seed(&self) -> u64 {
        self.steer(|course| course.settings.seed)
    }

    /// What happens while it is on, with what is left of it; also while it is off.
    pub fn stage(&self) -> Stage {
        lock(&self.state.course).stage.clone()
    }

    /// How long it is still on, if it [expires](super::Chaos::expire_after); nothing while it is off.
    pub fn expires_in(&self) -> Option<Duration> {
        let left = |end: Instant| end.saturating_duration_since(Instant::now());
        self.steer(|course| {
            let is_on = self.is_on(course);
            course.ends.filter(|_| is_on).map(left)
        })
    }

    /// Lets everything pass to a control API at this path.
    #[cfg(feature = "chaos-api")]
    pub(super) fn spare_control(&self, base: &str) {
        self.state.control.add(base);
    }

    /// Of the course.
    fn number(&self) -> u64 {
        self.state.number.load(Ordering::Relaxed)
    }

    fn tell(&self, decision: &Decision, kept: usize) {
        lock(&self.state.told).add(decision, kept);
    }
}

/// What is applied, as http4k's control API says it: `none` while it is off.
impl fmt::Display for ChaosEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let applied = self.steer(|course| self.is_on(course).then(|| course.to_string()));
        f.write_str(applied.as_deref().unwrap_or("none"))
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
