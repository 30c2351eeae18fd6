//! What happens when.

use std::fmt;

use super::{
    behaviour::{self, Behaviour},
    decision::Affected,
    seen::Seen,
    trigger::{self, Begun, Trigger},
};

/// A part of a course of events.
///
/// ```
/// use std::time::Duration;
///
/// use http::StatusCode;
/// use tower_traffic::chaos::{Behaviour, Stage, Trigger};
///
/// // A hundred requests pass, then each fails for ten seconds, and then it is over.
/// let outage = Stage::wait()
///     .until(Trigger::countdown(100))
///     .then(Stage::always(Behaviour::status(StatusCode::BAD_GATEWAY))
///         .until(Trigger::delay(Duration::from_secs(10))));
/// ```
///
/// Of stages that follow each other the first decides that has something for the request; one whose
/// trigger does not fire leaves it to the next. A stage is over when its [`until`](Self::until) has
/// fired, and one of several when all of them are.
///
/// A [`Behaviour`] is about requests, a [`ConnectionBehaviour`](super::ConnectionBehaviour) about
/// connections, and a stage is asked for what it is about: of the others it has nothing for any, and neither
/// its trigger nor what it is [until](Self::until) counts them. [`wait`](Self::wait) is about both.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage(Kind);

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Wait,
    Trigger {
        trigger: Trigger,
        behaviour: Behaviour,
    },
    Then(Vec<Stage>),
    Repeat {
        stages: Box<Stage>,
        /// As it was before anything happened, and from where its triggers are numbered.
        anew: Option<(Box<Stage>, u32)>,
    },
    Until {
        stage: Box<Stage>,
        trigger: Trigger,
        is_over: bool,
    },
}

/// What a stage has for a request.
pub(super) enum Says {
    /// This, and nobody after it is asked.
    Do(Behaviour),
    /// Nothing, and nobody after it is asked.
    Wait,
    /// Nothing.
    Miss,
    /// Nothing, now or later.
    Over,
}

impl Stage {
    /// Lets everything pass, and whatever follows wait.
    pub fn wait() -> Self {
        Self(Kind::Wait)
    }

    /// Does this whenever the trigger fires.
    pub fn when(trigger: Trigger, behaviour: impl Into<Behaviour>) -> Self {
        let behaviour = behaviour.into();
        Self(Kind::Trigger { trigger, behaviour })
    }

    /// Does this to every request, or connection.
    pub fn always(behaviour: impl Into<Behaviour>) -> Self {
        Self::when(Trigger::always(), behaviour)
    }

    /// This one, and the other for what this one has nothing for.
    pub fn then(self, next: Self) -> Self {
        let mut stages = match self.0 {
            Kind::Then(stages) => stages,
            one => vec![Self(one)],
        };
        stages.push(next);
        Self(Kind::Then(stages))
    }

    /// These, one after the other.
    pub fn sequence(stages: impl IntoIterator<Item = Self>) -> Self {
        Self(Kind::Then(stages.into_iter().collect()))
    }

    /// This one, again and again: it begins anew when it is over.
    pub fn repeat(self) -> Self {
        Self(Kind::Repeat {
            stages: Box::new(self),
            anew: None,
        })
    }

    /// This one, until the trigger fires. It is asked before the stage is, so that until a
    /// [countdown](Trigger::countdown) of 3 there are three.
    pub fn until(self, trigger: Trigger) -> Self {
        Self(Kind::Until {
            stage: Box::new(self),
            trigger,
            is_over: false,
        })
    }

    pub(super) fn kind(&self) -> &Kind {
        &self.0
    }

    /// Whether this is so of one of its triggers that are asked for requests.
    pub(super) fn any_trigger(&self, is_so: &mut impl FnMut(&trigger::Kind) -> bool) -> bool {
        match &self.0 {
            Kind::Wait => false,
            // Connections need nothing.
            Kind::Trigger { behaviour, .. }
                if matches!(behaviour.0, behaviour::Kind::Connection(_)) =>
            {
                false
            }
            Kind::Trigger { trigger, .. } => trigger.any(is_so),
            Kind::Then(stages) => stages.iter().any(|stage| stage.any_trigger(is_so)),
            Kind::Repeat { stages, .. } => stages.any_trigger(is_so),
            Kind::Until { stage, trigger, .. } => stage.any_trigger(is_so) || trigger.any(is_so),
        }
    }

    /// Whether it is about such.
    fn is_about(&self, affected: Affected) -> bool {
        match &self.0 {
            Kind::Wait => true,
            Kind::Trigger { behaviour, .. } => behaviour.affects() == affected,
            Kind::Then(stages) => stages.iter().any(|stage| stage.is_about(affected)),
            Kind::Repeat { stages, .. } => stages.is_about(affected),
            Kind::Until { stage, .. } => stage.is_about(affected),
        }
    }

    /// As the engine takes it.
    pub(super) fn begin(&mut self, now: Begun, next: &mut u32) {
        match &mut self.0 {
            Kind::Wait => {}
            Kind::Trigger { trigger, .. } => trigger.begin(now, next),
            Kind::Then(stages) => stages.iter_mut().for_each(|stage| stage.begin(now, next)),
            Kind::Repeat { stages, anew } => {
                *anew = Some((stages.clone(), *next));
                stages.begin(now, next);
            }
            Kind::Until {
                stage,
                trigger,
                is_over,
            } => {
                *is_over = false;
                stage.begin(now, next);
                trigger.begin(now, next);
            }
        }
    }

    pub(super) fn ask(&mut self, seen: &Seen<'_>) -> Says {
        match &mut self.0 {
            Kind::Wait => Says::Wait,
            Kind::Trigger { trigger, behaviour } => {
                if behaviour.affects() == seen.is && trigger.fires(seen) {
                    Says::Do(behaviour.clone())
                } else {
                    Says::Miss
                }
            }
            Kind::Then(stages) => {
                let mut is_over = true;
                for stage in stages {
                    match stage.ask(seen) {
                        Says::Over => {}
                        Says::Miss => is_over = false,
                        said => return said,
                    }
                }
                if is_over { Says::Over } else { Says::Miss }
            }
            Kind::Repeat { stages, anew } => {
                let said = stages.ask(seen);
                let (Says::Over, Some((pristine, first))) = (&said, anew) else {
                    return said;
                };
                stages.clone_from(pristine);
                stages.begin(Begun::now(), &mut first.clone());
                match stages.ask(seen) {
                    // Over as soon as it begins: there is nothing to repeat.
                    Says::Over => Says::Miss,
                    said => said,
                }
            }
            Kind::Until {
                stage,
                trigger,
                is_over,
            } => {
                if !*is_over && (stage.is_about(seen.is) || trigger.is_of_time()) {
                    *is_over = trigger.fires(seen);
                }
                if *is_over {
                    Says::Over
                } else {
                    stage.ask(seen)
                }
            }
        }
    }
}

/// As http4k says it, with what is left of it.
impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Wait => f.write_str("Wait"),
            Kind::Trigger { trigger, behaviour } => write!(f, "{trigger} {behaviour}"),
            Kind::Then(stages) => then(f, stages),
            Kind::Repeat { stages, .. } => write!(f, "Repeat [{stages}]"),
            Kind::Until { stage, trigger, .. } => write!(f, "{stage} until {trigger}"),
        }
    }
}

/// Two and two, from the first. There may be thousands: no recursion.
fn then(f: &mut fmt::Formatter<'_>, stages: &[Stage]) -> fmt::Result {
    let [first, others @ ..] = stages else {
        return f.write_str("Wait");
    };
    for _ in others {
        f.write_str("[")?;
    }
    write!(f, "{first}")?;
    for (index, stage) in others.iter().enumerate() {
        let opened = if index == 0 { "" } else { "]" };
        write!(f, "{opened}] then [{stage}")?;
    }
    if others.is_empty() {
        Ok(())
    } else {
        f.write_str("]")
    }
}
