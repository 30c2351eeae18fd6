//! `Stage`: a step of a fault schedule.

use std::fmt;

use super::{
    behavior::{self, Behavior},
    decision::Affected,
    observation::{Inputs, Observation},
    trigger::{Start, Trigger},
};

/// A step of a fault schedule: which fault is applied to which requests, and until when.
///
/// ```
/// use std::time::Duration;
///
/// use http::StatusCode;
/// use tower_traffic::chaos::{Behavior, Stage, Trigger};
///
/// // A hundred requests pass, then all requests fail for ten seconds, then the outage is over.
/// let outage = Stage::wait()
///     .until(Trigger::countdown(100))
///     .then(Stage::always(Behavior::status(StatusCode::BAD_GATEWAY))
///         .until(Trigger::delay(Duration::from_secs(10))));
/// ```
///
/// In a sequence of stages, the first stage whose trigger fires decides about the request; a stage
/// whose trigger does not fire leaves the request to the next stage. A stage is finished when its
/// [`until`](Self::until) trigger has fired, a sequence when all of its stages are finished.
///
/// # Requests and connections
///
/// A [`Behavior`] applies to requests, a [`ConnectionBehavior`](crate::chaos::ConnectionBehavior)
/// to connections. A stage sees only the kind that its behavior applies to: the other kind never
/// matches, and neither its trigger nor its `until` counts it. [`wait`](Self::wait) sees both
/// kinds.
#[must_use]
#[derive(Clone, Debug, PartialEq)]
pub struct Stage(Kind);

#[derive(Clone, Debug, PartialEq)]
pub(in crate::chaos) enum Kind {
    Wait,
    Trigger {
        trigger: Trigger,
        behavior: Behavior,
        turn: Turn,
    },
    Then(Vec<Stage>),
    Repeat {
        stages: Box<Stage>,
        /// A copy of the stages before their start and the first number of their triggers, for a
        /// restart.
        pristine: Option<(Box<Stage>, Numbering)>,
    },
    Until {
        stage: Box<Stage>,
        trigger: Trigger,
        is_finished: bool,
        turn: Turn,
    },
}

/// The position of a trigger in the order of evaluation, and the inputs that it needs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::chaos) struct Turn {
    position: u32,
    inputs: Inputs,
}

impl Turn {
    fn of(trigger: &Trigger) -> Self {
        Self {
            position: 0,
            inputs: trigger.inputs(),
        }
    }

    fn is_before(self, observation: &Observation<'_>) -> bool {
        self.position < observation.resume_at
    }

    fn lacks_inputs(self, observation: &Observation<'_>) -> bool {
        !self.inputs.is_subset_of(observation.available)
    }
}

/// The next free numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::chaos) struct Numbering {
    /// Number of a trigger that draws random values.
    draw: u32,
    position: u32,
}

impl Numbering {
    fn next_position(&mut self) -> u32 {
        let position = self.position;
        self.position += 1;
        position
    }
}

/// The outcome of a stage for one request or connection.
pub(in crate::chaos) enum StageOutcome {
    /// The behavior is applied; later stages are not consulted.
    Apply(Behavior),
    /// Nothing is applied; later stages are not consulted.
    Pass,
    /// A trigger needs these inputs; evaluation resumes at this position.
    Defer(Inputs, u32),
    /// The stage does not match: the next stage decides.
    NoMatch,
    /// The stage is finished and will not match again: the next stage decides.
    Finished,
}

impl Stage {
    /// Applies no fault to any request or connection, and keeps later stages from being consulted,
    /// until the stage is [finished](Self::until).
    pub fn wait() -> Self {
        Self(Kind::Wait)
    }

    /// Applies `behavior` whenever `trigger` fires.
    pub fn when(trigger: Trigger, behavior: impl Into<Behavior>) -> Self {
        let behavior = behavior.into();
        let turn = match behavior.0 {
            // Connections have neither a body nor a response.
            behavior::Kind::Connection(_) => Turn::default(),
            _ => Turn::of(&trigger),
        };
        Self(Kind::Trigger {
            trigger,
            behavior,
            turn,
        })
    }

    /// Applies `behavior` to every request, or every connection.
    pub fn always(behavior: impl Into<Behavior>) -> Self {
        Self::when(Trigger::always(), behavior)
    }

    /// Appends `next`, which decides about requests that this stage does not match.
    pub fn then(self, next: Self) -> Self {
        let mut stages = match self.0 {
            Kind::Then(stages) => stages,
            one => vec![Self(one)],
        };
        stages.push(next);
        Self(Kind::Then(stages))
    }

    /// Combines `stages` in their order, as if by [`then`](Self::then).
    pub fn sequence(stages: impl IntoIterator<Item = Self>) -> Self {
        Self(Kind::Then(stages.into_iter().collect()))
    }

    /// Restarts this stage whenever it finishes.
    pub fn repeat(self) -> Self {
        Self(Kind::Repeat {
            stages: Box::new(self),
            pristine: None,
        })
    }

    /// Finishes this stage when `trigger` fires.
    ///
    /// `trigger` is evaluated before the stage: with a [countdown](Trigger::countdown) of 3, the stage
    /// decides about three requests, and the fourth request goes to the next stage.
    pub fn until(self, trigger: Trigger) -> Self {
        Self(Kind::Until {
            stage: Box::new(self),
            is_finished: false,
            turn: Turn::of(&trigger),
            trigger,
        })
    }

    pub(in crate::chaos) fn kind(&self) -> &Kind {
        &self.0
    }

    /// Returns all inputs that at least one trigger of the stage needs.
    pub(in crate::chaos) fn inputs(&self) -> Inputs {
        match &self.0 {
            Kind::Wait => Inputs::default(),
            Kind::Trigger { turn, .. } => turn.inputs,
            Kind::Then(stages) => {
                let all = stages.iter().map(Self::inputs);
                all.fold(Inputs::default(), Inputs::union)
            }
            Kind::Repeat { stages, .. } => stages.inputs(),
            Kind::Until { stage, turn, .. } => stage.inputs().union(turn.inputs),
        }
    }

    /// Whether the stage can apply a fault to a `target`.
    fn sees(&self, target: Affected) -> bool {
        match &self.0 {
            Kind::Wait => true,
            Kind::Trigger { behavior, .. } => behavior.affects() == target,
            Kind::Then(stages) => stages.iter().any(|stage| stage.sees(target)),
            Kind::Repeat { stages, .. } => stages.sees(target),
            Kind::Until { stage, .. } => stage.sees(target),
        }
    }

    /// Starts all clocks and counters, and numbers the triggers.
    pub(in crate::chaos) fn start(&mut self, now: Start, next: &mut Numbering) {
        match &mut self.0 {
            Kind::Wait => {}
            Kind::Trigger { trigger, turn, .. } => {
                turn.position = next.next_position();
                trigger.start(now, &mut next.draw);
            }
            Kind::Then(stages) => stages.iter_mut().for_each(|stage| stage.start(now, next)),
            Kind::Repeat { stages, pristine } => {
                *pristine = Some((stages.clone(), *next));
                stages.start(now, next);
            }
            Kind::Until {
                stage,
                trigger,
                is_finished,
                turn,
            } => {
                *is_finished = false;
                // In the order of evaluation: `trigger` comes before the stage.
                turn.position = next.next_position();
                stage.start(now, next);
                trigger.start(now, &mut next.draw);
            }
        }
    }

    /// Returns the outcome for one request or connection. Evaluation may advance counters.
    pub(in crate::chaos) fn evaluate(&mut self, observation: &Observation<'_>) -> StageOutcome {
        match &mut self.0 {
            Kind::Wait => StageOutcome::Pass,
            Kind::Trigger {
                trigger,
                behavior,
                turn,
            } => {
                if behavior.affects() != observation.target || turn.is_before(observation) {
                    StageOutcome::NoMatch
                } else if turn.lacks_inputs(observation) {
                    StageOutcome::Defer(turn.inputs, turn.position)
                } else if trigger.fires(observation) {
                    StageOutcome::Apply(behavior.clone())
                } else {
                    StageOutcome::NoMatch
                }
            }
            Kind::Then(stages) => {
                let mut is_finished = true;
                for stage in stages {
                    match stage.evaluate(observation) {
                        StageOutcome::Finished => {}
                        StageOutcome::NoMatch => is_finished = false,
                        outcome => return outcome,
                    }
                }
                if is_finished {
                    StageOutcome::Finished
                } else {
                    StageOutcome::NoMatch
                }
            }
            Kind::Repeat { stages, pristine } => {
                let outcome = stages.evaluate(observation);
                let (StageOutcome::Finished, Some((pristine, first))) = (&outcome, pristine) else {
                    return outcome;
                };
                stages.clone_from(pristine);
                stages.start(Start::now(), &mut first.clone());
                match stages.evaluate(observation) {
                    // The stages finish as soon as they start.
                    StageOutcome::Finished => StageOutcome::NoMatch,
                    outcome => outcome,
                }
            }
            Kind::Until {
                stage,
                trigger,
                is_finished,
                turn,
            } => {
                let is_evaluated = !*is_finished
                    && !turn.is_before(observation)
                    && (stage.sees(observation.target) || trigger.is_clock());
                if is_evaluated {
                    if turn.lacks_inputs(observation) {
                        return StageOutcome::Defer(turn.inputs, turn.position);
                    }
                    *is_finished = trigger.fires(observation);
                }
                if *is_finished {
                    StageOutcome::Finished
                } else {
                    stage.evaluate(observation)
                }
            }
        }
    }
}

/// Writes the stage with its progress, in http4k's words.
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

/// Writes `[[a] then [b]] then [c]`, without recursion: there may be thousands of stages.
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
