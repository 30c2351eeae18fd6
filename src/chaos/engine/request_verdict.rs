//! Verdicts on requests and connections.

use std::sync::atomic::Ordering;

use http::Request;
#[cfg(feature = "chaos-connect")]
use http::Uri;

use super::{
    ChaosEngine,
    schedule::Schedule,
    verdict::{ActiveGuard, Choice, Pending, Verdict},
};
use crate::chaos::model::{
    behavior::{Behavior, Kind},
    decision::Affected,
    observation::Observation,
    random::Random,
    stage::StageOutcome,
};

impl ChaosEngine {
    /// Decides whether a fault is applied to a request that has just arrived.
    #[inline]
    pub(in crate::chaos) fn decide<B>(&self, request: &Request<B>) -> Verdict {
        #[cfg(feature = "chaos-api")]
        if self.state.control.contains(request) {
            return Verdict::Pass;
        }
        self.with_schedule(|schedule| {
            if !self.is_on(schedule) {
                return Verdict::Pass;
            }
            let ordinal = self.state.requests.fetch_add(1, Ordering::Relaxed);
            let random = Random::of(Affected::Request, schedule.settings.seed, ordinal);
            let observation = Observation::of_request(request, random);
            if schedule.exempts(&observation) {
                return Verdict::Pass;
            }
            self.evaluate(schedule, ordinal, &observation, about_requests)
        })
    }

    /// Decides about a deferred request, now that more of it can be observed.
    pub(in crate::chaos) fn resume(
        &self,
        pending: Pending,
        observation: &Observation<'_>,
    ) -> Verdict {
        self.with_schedule(|schedule| {
            // A schedule that was replaced has no verdict any more.
            if self.generation() == pending.generation {
                self.evaluate(schedule, pending.ordinal, observation, about_requests)
            } else {
                Verdict::Pass
            }
        })
    }

    /// Decides about a connection to `uri` that is about to be opened. For an opaque connector
    /// there is no URI, and only faults that precede the connection apply.
    #[cfg(feature = "chaos-connect")]
    pub(in crate::chaos) fn decide_connection(&self, uri: Option<&Uri>) -> Option<Box<Choice>> {
        let verdict = self.with_schedule(|schedule| {
            if !self.is_on(schedule) {
                return Verdict::Pass;
            }
            let ordinal = self.state.connections.fetch_add(1, Ordering::Relaxed);
            let random = Random::of(Affected::Connection, schedule.settings.seed, ordinal);
            let head = Request::new(());
            let observation = Observation::of_connection(&head, uri, random);
            self.evaluate(schedule, ordinal, &observation, |behavior| {
                let behavior = behavior.connection()?;
                let behavior = match uri {
                    Some(_) => behavior,
                    None => behavior.before_connecting(),
                };
                (!behavior.is_none()).then(|| behavior.into())
            })
        });
        match verdict {
            Verdict::Apply(choice) => Some(choice),
            Verdict::Pass | Verdict::Defer(_) => None,
        }
    }

    /// Evaluates the schedule for an observed request or connection. `applicable` returns the part
    /// of a behavior that applies to the request or connection.
    fn evaluate(
        &self,
        schedule: &mut Schedule,
        ordinal: u64,
        observation: &Observation<'_>,
        applicable: impl FnOnce(Behavior) -> Option<Behavior>,
    ) -> Verdict {
        let target = observation.target;
        let (seed, behavior) = if let Some(decisions) = &schedule.repeated {
            let Some(decision) = decisions.get(&(target, ordinal)) else {
                return Verdict::Pass;
            };
            (decision.seed, decision.behavior.clone())
        } else {
            match schedule.stage.evaluate(observation) {
                StageOutcome::Apply(behavior) => (schedule.settings.seed, behavior),
                StageOutcome::Defer(mut inputs, resume_at) => {
                    // Once the response is there, the request body can no longer be read.
                    inputs.body |= inputs.response && schedule.inputs.body;
                    return Verdict::Defer(Pending {
                        ordinal,
                        inputs,
                        resume_at,
                        random: observation.random,
                        generation: self.generation(),
                    });
                }
                StageOutcome::Pass | StageOutcome::NoMatch | StageOutcome::Finished => {
                    return Verdict::Pass;
                }
            }
        };
        let Some(behavior) = applicable(behavior) else {
            return Verdict::Pass;
        };
        let active = match target {
            Affected::Request => &self.state.active_requests,
            Affected::Connection => &self.state.active_connections,
        };
        let settings = &schedule.settings;
        let Some(active) = ActiveGuard::acquire(active, settings.max_concurrent) else {
            self.log().capped += 1;
            return Verdict::Pass;
        };
        Verdict::Apply(Box::new(Choice {
            target,
            ordinal,
            seed,
            behavior,
            settings: settings.clone(),
            active,
            #[cfg(feature = "chaos-connect")]
            generation: self.generation(),
        }))
    }
}

fn about_requests(behavior: Behavior) -> Option<Behavior> {
    (!matches!(behavior.0, Kind::None)).then_some(behavior)
}
