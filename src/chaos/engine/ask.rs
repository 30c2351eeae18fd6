//! What the stages say.

use std::sync::Arc;

use super::{ChaosEngine, course::Course, settings::Settings};
use crate::chaos::model::{
    behavior::Behavior, decision::Decision, needs::Needs, random::Random, seen::Seen, stage::Says,
};

/// What the stages say. What just passes is to stay small: the rest is boxed.
pub(super) enum Asked {
    Now(Box<Now>),
    Later(Later),
}

impl Asked {
    fn now(ordinal: u64, seed: u64, behavior: Behavior, settings: &Arc<Settings>) -> Self {
        Self::Now(Box::new(Now {
            ordinal,
            seed,
            behavior,
            settings: settings.clone(),
        }))
    }
}

/// What happens, and with what it is drawn.
pub(super) struct Now {
    pub(super) ordinal: u64,
    pub(super) seed: u64,
    pub(super) behavior: Behavior,
    pub(super) settings: Arc<Settings>,
}

/// It is to be seen when more is known.
#[derive(Clone, Copy)]
pub(in crate::chaos) struct Later {
    pub(in crate::chaos) ordinal: u64,
    pub(in crate::chaos) needs: Needs,
    /// From this place of the course.
    pub(in crate::chaos) from: u32,
    pub(in crate::chaos) random: Random,
    pub(super) course: u64,
}

impl ChaosEngine {
    pub(super) fn ask(&self, course: &mut Course, ordinal: u64, seen: &Seen<'_>) -> Option<Asked> {
        if let Some(again) = &course.again {
            let Decision { seed, behavior, .. } = again.get(&(seen.is, ordinal))?;
            return Some(Asked::now(
                ordinal,
                *seed,
                behavior.clone(),
                &course.settings,
            ));
        }
        match course.stage.ask(seen) {
            Says::Do(behavior) => {
                let settings = &course.settings;
                Some(Asked::now(ordinal, settings.seed, behavior, settings))
            }
            Says::Later(mut needs, from) => {
                // When there is a response, it is too late to read the request.
                needs.body |= needs.response && course.needs.body;
                Some(Asked::Later(Later {
                    ordinal,
                    needs,
                    from,
                    random: seen.random,
                    course: self.number(),
                }))
            }
            Says::Wait | Says::Miss | Says::Over => None,
        }
    }
}
