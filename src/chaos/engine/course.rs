//! What happens when, and how far it is.

use std::{collections::HashMap, fmt, sync::Arc};

use tokio::time::Instant;

use super::settings::Settings;
use crate::chaos::model::{
    decision::{Affected, Decision},
    needs::Needs,
    seen::Seen,
    stage::{Numbers, Stage},
    trigger::{self, Begun},
};

/// What happens when.
pub(super) struct Course {
    pub(super) stage: Stage,
    has_begun: bool,
    pub(super) needs: Needs,
    /// When it switches itself off.
    pub(super) ends: Option<Instant>,
    /// What was decided before, to be done again.
    pub(super) again: Option<HashMap<(Affected, u64), Decision>>,
    pub(super) settings: Arc<Settings>,
    /// To be logged when this is no longer locked.
    pub(super) news: Vec<News>,
}

/// What somebody should know.
pub(super) enum News {
    On { chaos: String },
    Off,
}

impl News {
    pub(super) fn log(self) {
        match self {
            Self::On { chaos } => tracing::warn!(chaos, "chaos is on"),
            Self::Off => tracing::warn!("chaos is off"),
        }
    }
}

impl Default for Course {
    fn default() -> Self {
        Self {
            stage: Stage::wait(),
            has_begun: false,
            needs: Needs::default(),
            ends: None,
            again: None,
            settings: Arc::default(),
            news: Vec::new(),
        }
    }
}

impl Course {
    /// Another course, from its beginning.
    pub(super) fn becomes(&mut self, stage: Stage) {
        self.needs = stage.needs();
        self.stage = stage;
        self.has_begun = false;
        self.ends = None;
        self.again = None;
    }

    /// Is over when it should be, counted from now.
    pub(super) fn expire(&mut self) {
        let expire_after = self.settings.expire_after;
        self.ends = expire_after.and_then(|time| Instant::now().checked_add(time));
    }

    /// Whether it is never to be affected.
    pub(super) fn spares(&self, seen: &Seen<'_>) -> bool {
        let spared = &self.settings.spared;
        !spared.is_empty() && {
            let route = trigger::route(seen);
            spared.iter().any(|spared| spared == route)
        }
    }

    pub(super) fn begin(&mut self) {
        if !self.has_begun {
            self.stage.begin(Begun::now(), &mut Numbers::default());
            self.has_begun = true;
        }
    }
}

/// As http4k says it.
impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.again {
            Some(decisions) => write!(f, "Again ({} decisions)", decisions.len()),
            None => self.stage.fmt(f),
        }
    }
}
