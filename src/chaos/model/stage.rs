//! What happens when.

use std::fmt;

use super::{
    behavior::{self, Behavior},
    decision::Affected,
    needs::Needs,
    seen::Seen,
    trigger::{Begun, Trigger},
};

/// A part of a course of events.
///
/// ```
/// use std::time::Duration;
///
/// use http::StatusCode;
/// use tower_traffic::chaos::{Behavior, Stage, Trigger};
///
/// // A hundred requests pass, then each fails for ten seconds, and then it is over.
/// let outage = Stage::wait()
///     .until(Trigger::countdown(100))
///     .then(Stage::always(Behavior::status(StatusCode::BAD_GATEWAY))
///         .until(Trigger::delay(Duration::from_secs(10))));
/// ```
///
/// Of stages that follow each other the first decides that has something for the request; one whose
/// trigger does not fire leaves it to the next. A stage is over when its [`until`](Self::until) has
/// fired, and one of several when all of them are.
///
/// A [`Behavior`] is about requests, a [`ConnectionBehavior`](crate::chaos::ConnectionBehavior) about
/// connections, and a stage is asked for what it is about: of the others it has nothing for any, and neither
/// its trigger nor what it is [until](Self::until) counts them. [`wait`](Self::wait) is about both.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage(Kind);

#[derive(Clone, Debug, PartialEq)]
pub(in crate::chaos) enum Kind {
    Wait,
    Trigger {
        trigger: Trigger,
        behavior: Behavior,
        asks: Asks,
    },
    Then(Vec<Stage>),
    Repeat {
        stages: Box<Stage>,
        /// As it was before anything happened, and from where it is numbered.
        anew: Option<(Box<Stage>, Numbers)>,
    },
    Until {
        stage: Box<Stage>,
        trigger: Trigger,
        is_over: bool,
        asks: Asks,
    },
}

/// What there is to know about asking a trigger.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::chaos) struct Asks {
    /// When its turn is.
    place: u32,
    needs: Needs,
}

impl Asks {
    fn of(trigger: &Trigger) -> Self {
        Self {
            place: 0,
            needs: trigger.needs(),
        }
    }
}

/// The next ones.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::chaos) struct Numbers {
    /// Of a trigger that draws.
    draw: u32,
    place: u32,
}

impl Numbers {
    fn next_place(&mut self) -> u32 {
        let place = self.place;
        self.place += 1;
        place
    }
}

/// What a stage has for a request.
pub(in crate::chaos) enum Says {
    /// This, and nobody after it is asked.
    Do(Behavior),
    /// Nothing, and nobody after it is asked.
    Wait,
    /// It must know this first, and is to be asked again from this place.
    Later(Needs, u32),
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
    pub fn when(trigger: Trigger, behavior: impl Into<Behavior>) -> Self {
        let behavior = behavior.into();
        let asks = match behavior.0 {
            // They need nothing.
            behavior::Kind::Connection(_) => Asks::default(),
            _ => Asks::of(&trigger),
        };
        Self(Kind::Trigger {
            trigger,
            behavior,
            asks,
        })
    }

    /// Does this to every request, or connection.
    pub fn always(behavior: impl Into<Behavior>) -> Self {
        Self::when(Trigger::always(), behavior)
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
            is_over: false,
            asks: Asks::of(&trigger),
            trigger,
        })
    }

    pub(in crate::chaos) fn kind(&self) -> &Kind {
        &self.0
    }

    /// What its triggers must know of requests.
    pub(in crate::chaos) fn needs(&self) -> Needs {
        match &self.0 {
            Kind::Wait => Needs::default(),
            Kind::Trigger { asks, .. } => asks.needs,
            Kind::Then(stages) => {
                let all = stages.iter().map(Self::needs);
                all.fold(Needs::default(), Needs::and)
            }
            Kind::Repeat { stages, .. } => stages.needs(),
            Kind::Until { stage, asks, .. } => stage.needs().and(asks.needs),
        }
    }

    /// Whether it is about such.
    fn is_about(&self, affected: Affected) -> bool {
        match &self.0 {
            Kind::Wait => true,
            Kind::Trigger { behavior, .. } => behavior.affects() == affected,
            Kind::Then(stages) => stages.iter().any(|stage| stage.is_about(affected)),
            Kind::Repeat { stages, .. } => stages.is_about(affected),
            Kind::Until { stage, .. } => stage.is_about(affected),
        }
    }

    /// As the engine takes it.
    pub(in crate::chaos) fn begin(&mut self, now: Begun, next: &mut Numbers) {
        match &mut self.0 {
            Kind::Wait => {}
            Kind::Trigger { trigger, asks, .. } => {
                asks.place = next.next_place();
                trigger.begin(now, &mut next.draw);
            }
            Kind::Then(stages) => stages.iter_mut().for_each(|stage| stage.begin(now, next)),
            Kind::Repeat { stages, anew } => {
                *anew = Some((stages.clone(), *next));
                stages.begin(now, next);
            }
            Kind::Until {
                stage,
                trigger,
                is_over,
                asks,
            } => {
                *is_over = false;
                // It is asked before its stage is.
                asks.place = next.next_place();
                stage.begin(now, next);
                trigger.begin(now, &mut next.draw);
            }
        }
    }

    pub(in crate::chaos) fn ask(&mut self, seen: &Seen<'_>) -> Says {
        match &mut self.0 {
            Kind::Wait => Says::Wait,
            Kind::Trigger {
                trigger,
                behavior,
                asks,
            } => {
                if behavior.affects() != seen.is || asks.place < seen.from {
                    Says::Miss
                } else if !asks.needs.are_in(seen.known) {
                    Says::Later(asks.needs, asks.place)
                } else if trigger.fires(seen) {
                    Says::Do(behavior.clone())
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
                asks,
            } => {
                let is_its_turn = !*is_over && asks.place >= seen.from;
                if is_its_turn && (stage.is_about(seen.is) || trigger.is_of_time()) {
                    if !asks.needs.are_in(seen.known) {
                        return Says::Later(asks.needs, asks.place);
                    }
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
            Kind::Trigger {
                trigger, behavior, ..
            } => write!(f, "{trigger} {behavior}"),
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
