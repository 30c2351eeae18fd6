//! What happens when, and how far it is.

use std::{collections::HashMap, fmt};

use tokio::time::Instant;

use crate::chaos::{
    decision::{Affected, Decision},
    stage::Stage,
    trigger::{Begun, Kind},
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
}

impl Default for Course {
    fn default() -> Self {
        Self::of(Stage::wait())
    }
}

/// What must be there before it can be decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::chaos) struct Needs {
    pub(in crate::chaos) body: bool,
    pub(in crate::chaos) response: bool,
}

impl Course {
    pub(super) fn of(stage: Stage) -> Self {
        let is_body = &mut |kind: &Kind| match kind {
            Kind::Requests(requests) => requests.needs_body(),
            _ => false,
        };
        let is_status = &mut |kind: &Kind| matches!(kind, Kind::Status(_));
        Self {
            needs: Needs {
                body: stage.any_trigger(is_body),
                response: stage.any_trigger(is_status),
            },
            stage,
            has_begun: false,
            ends: None,
            again: None,
        }
    }

    pub(super) fn begin(&mut self) {
        if !self.has_begun {
            self.stage.begin(Begun::now(), &mut 0);
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
