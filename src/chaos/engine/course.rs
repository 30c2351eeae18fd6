//! What happens when, and how far it is.

use std::{collections::HashMap, fmt, mem};

use tokio::time::Instant;

use crate::chaos::{
    decision::{Affected, Decision},
    needs::Needs,
    stage::{Numbers, Stage},
    trigger::Begun,
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
        Self::of(Stage::wait())
    }
}

impl Course {
    pub(super) fn of(stage: Stage) -> Self {
        Self {
            needs: stage.needs(),
            stage,
            has_begun: false,
            ends: None,
            again: None,
            news: Vec::new(),
        }
    }

    /// Does this again.
    pub(super) fn again(decisions: impl IntoIterator<Item = Decision>) -> Self {
        let decisions = decisions.into_iter();
        let by_number = decisions.map(|decision| ((decision.on, decision.ordinal), decision));
        Self {
            again: Some(by_number.collect()),
            ..Self::default()
        }
    }

    /// Another course, of which the news are those of this one.
    pub(super) fn becomes(&mut self, next: Self) {
        let news = mem::take(&mut self.news);
        *self = Self { news, ..next };
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
