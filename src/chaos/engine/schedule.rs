//! The active schedule, its progress, and the engine's settings.

use std::{collections::HashMap, fmt, sync::Arc, time::Duration};

use rand::{TryRng, rngs::SysRng};
use tokio::time::Instant;

use crate::chaos::model::{
    decision::{Affected, Decision},
    observation::{Inputs, Observation},
    stage::{Numbering, Stage},
    trigger::Start,
};

/// Settings of the engine, shared by all layers that it controls.
#[derive(Clone)]
pub(in crate::chaos) struct Settings {
    pub(in crate::chaos) seed: u64,
    pub(in crate::chaos) expire_after: Option<Duration>,
    pub(in crate::chaos) max_concurrent: usize,
    pub(in crate::chaos) exempt_routes: Vec<String>,
    pub(in crate::chaos) http4k_header: bool,
    pub(in crate::chaos) max_decisions: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            seed: random_seed(),
            expire_after: None,
            max_concurrent: usize::MAX,
            exempt_routes: Vec::new(),
            http4k_header: false,
            max_decisions: 1_000,
        }
    }
}

fn random_seed() -> u64 {
    // Without a source of randomness, any seed will do.
    SysRng.try_next_u64().unwrap_or_default()
}

/// The active schedule: a stage with its progress, or decisions to be repeated.
pub(super) struct Schedule {
    pub(super) stage: Stage,
    has_started: bool,
    /// The inputs that at least one trigger of the stage needs.
    pub(super) inputs: Inputs,
    /// The time at which the engine switches itself off.
    pub(super) expiry: Option<Instant>,
    /// Decisions to be repeated instead of evaluating the stage.
    pub(super) repeated: Option<HashMap<(Affected, u64), Decision>>,
    pub(super) settings: Arc<Settings>,
    /// Switches that are logged as soon as the schedule is unlocked.
    pub(super) unlogged: Vec<Switch>,
}

/// A switch of the engine.
pub(super) enum Switch {
    On { chaos: String },
    Off,
}

impl Switch {
    pub(super) fn log(self) {
        match self {
            Self::On { chaos } => tracing::warn!(chaos, "chaos is on"),
            Self::Off => tracing::warn!("chaos is off"),
        }
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self {
            stage: Stage::wait(),
            has_started: false,
            inputs: Inputs::default(),
            expiry: None,
            repeated: None,
            settings: Arc::default(),
            unlogged: Vec::new(),
        }
    }
}

impl Schedule {
    /// Replaces the stage by `stage`, which is not started yet.
    pub(super) fn replace(&mut self, stage: Stage) {
        self.inputs = stage.inputs();
        self.stage = stage;
        self.has_started = false;
        self.expiry = None;
        self.repeated = None;
    }

    /// Starts the stage, unless it has started.
    pub(super) fn start(&mut self) {
        if !self.has_started {
            self.stage.start(Start::now(), &mut Numbering::default());
            self.has_started = true;
        }
    }

    /// Sets the time at which the engine switches itself off, counted from now.
    pub(super) fn set_expiry(&mut self) {
        let expire_after = self.settings.expire_after;
        self.expiry = expire_after.and_then(|time| Instant::now().checked_add(time));
    }

    /// Whether the request's route is exempt from chaos.
    pub(super) fn exempts(&self, observation: &Observation<'_>) -> bool {
        let exempt = &self.settings.exempt_routes;
        !exempt.is_empty() && {
            let route = observation.route();
            exempt.iter().any(|exempt| exempt == route)
        }
    }
}

/// The stage in http4k's words.
impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.repeated {
            Some(decisions) => write!(f, "Again ({} decisions)", decisions.len()),
            None => self.stage.fmt(f),
        }
    }
}
