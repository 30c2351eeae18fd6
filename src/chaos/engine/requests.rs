//! What it decides about requests.

use std::sync::atomic::Ordering;

use http::{HeaderMap, Request};

use super::active::Active;
use super::{
    ChaosEngine,
    ask::{Asked, Later, Now},
};
use crate::{
    chaos::{
        apply::plan::Plan,
        model::{
            behavior::Kind,
            decision::{Affected, Decision},
            random::Random,
            seen::Seen,
        },
    },
    util::sync::lock,
};

/// What there is to do about a request.
pub(in crate::chaos) enum Look {
    Now(Box<Decided>),
    Later(Later),
}

/// What is to be done to a request.
#[derive(Debug)]
pub(in crate::chaos) struct Decided {
    pub(in crate::chaos) plan: Plan,
    pub(in crate::chaos) decision: Decision,
    pub(in crate::chaos) http4k_header: bool,
    pub(in crate::chaos) active: Active,
}

impl ChaosEngine {
    /// Looks at a request that has just come.
    #[inline]
    pub(in crate::chaos) fn look<B>(&self, request: &Request<B>) -> Option<Look> {
        #[cfg(feature = "chaos-api")]
        if self.state.control.has(request) {
            return None;
        }
        let first = self.steer(|course| {
            if !self.is_on(course) {
                return None;
            }
            let ordinal = self.state.requests.fetch_add(1, Ordering::Relaxed);
            let seen = Seen::of(request, Random::of(course.settings.seed, ordinal));
            if course.spares(&seen) {
                return None;
            }
            self.ask(course, ordinal, &seen)
        })?;
        self.look_of(first, request.headers())
    }

    /// Looks again, when more is known.
    pub(in crate::chaos) fn look_again(&self, later: Later, seen: &Seen<'_>) -> Option<Look> {
        let again = self.steer(|course| {
            // Another course knows nothing of it.
            if self.number() != later.course {
                return None;
            }
            self.ask(course, later.ordinal, seen)
        })?;
        self.look_of(again, seen.headers)
    }

    fn look_of(&self, asked: Asked, headers: &HeaderMap) -> Option<Look> {
        match asked {
            Asked::Later(later) => Some(Look::Later(later)),
            Asked::Now(now) => {
                let decided = self.decided(*now, headers)?;
                Some(Look::Now(Box::new(decided)))
            }
        }
    }

    fn decided(
        &self,
        Now {
            ordinal,
            seed,
            behavior,
            settings,
        }: Now,
        headers: &HeaderMap,
    ) -> Option<Decided> {
        if matches!(behavior.0, Kind::None) {
            return None;
        }
        let Some(active) = Active::begin(&self.state.active, settings.max_concurrent) else {
            lock(&self.state.told).capped += 1;
            return None;
        };
        let plan = Plan::of(&behavior, headers, Random::of(seed, ordinal));
        let text = match plan.said() {
            Some(said) => said.into(),
            None => behavior.to_string().into(),
        };
        let decision = Decision {
            ordinal,
            on: Affected::Request,
            seed,
            delay: plan.delay,
            text,
            behavior,
        };
        tracing::debug!(ordinal, chaos = %decision.text, "chaos affects a request");
        self.tell(&decision, settings.kept);
        Some(Decided {
            plan,
            decision,
            http4k_header: settings.http4k_header,
            active,
        })
    }
}
