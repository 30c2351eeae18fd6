//! What it decides about connections.

use std::sync::{Arc, atomic::Ordering};

use http::{Request, Uri};
use tokio::time::timeout_at;

use super::active::Active;
use super::{ChaosEngine, ask::Asked};
use crate::{
    chaos::{
        connect::ConnectionPlan,
        model::{
            behavior::{Behavior, Kind},
            connection::ConnectionBehavior,
            decision::{Affected, Decision},
            needs::Needs,
            random::Random,
            seen::Seen,
        },
    },
    util::sync::lock,
};

/// What is to be done to a connection.
pub(in crate::chaos) struct DecidedConnection {
    pub(in crate::chaos) plan: ConnectionPlan,
    pub(in crate::chaos) decision: Arc<Decision>,
    pub(in crate::chaos) active: Active,
    pub(in crate::chaos) lasting: Lasting,
}

/// What is decided about a connection holds as long as the engine is on, and its stage is the same.
#[derive(Clone)]
pub(in crate::chaos) struct Lasting {
    engine: ChaosEngine,
    course: u64,
}

impl ChaosEngine {
    /// Looks at a connection that is about to be made. Without a URI it is not known where to, and
    /// nobody will see its bytes.
    pub(in crate::chaos) fn look_at_connection(
        &self,
        uri: Option<&Uri>,
    ) -> Option<DecidedConnection> {
        let head = Request::new(());
        let (course, now) = self.steer(|course| {
            if !self.is_on(course) {
                return None;
            }
            let ordinal = self.state.connections.fetch_add(1, Ordering::Relaxed);
            let seen = Seen::of(&head, Random::of_connection(course.settings.seed, ordinal));
            let seen = Seen {
                is: Affected::Connection,
                uri: uri.unwrap_or(seen.uri),
                known: Needs::ALL,
                ..seen
            };
            match self.ask(course, ordinal, &seen)? {
                Asked::Now(now) => Some((self.number(), now)),
                Asked::Later(_) => None,
            }
        })?;
        let ordinal = now.ordinal;
        let behavior = about_connections(now.behavior)?;
        let behavior = if uri.is_some() {
            behavior
        } else {
            behavior.before_connecting()
        };
        if behavior.is_none() {
            return None;
        }
        let most = now.settings.max_concurrent;
        let Some(active) = Active::begin(&self.state.active_connections, most) else {
            lock(&self.state.told).capped += 1;
            return None;
        };
        let plan = ConnectionPlan::of(&behavior, Random::of_connection(now.seed, ordinal));
        let decision = Decision {
            ordinal,
            on: Affected::Connection,
            seed: now.seed,
            delay: plan.delay,
            text: plan.text().into(),
            behavior: behavior.into(),
        };
        tracing::debug!(ordinal, chaos = %decision.text, "chaos affects a connection");
        self.tell(&decision, now.settings.kept);
        Some(DecidedConnection {
            plan,
            decision: Arc::new(decision),
            active,
            lasting: Lasting {
                engine: self.clone(),
                course,
            },
        })
    }
}

fn about_connections(behavior: Behavior) -> Option<ConnectionBehavior> {
    match behavior.0 {
        Kind::Connection(behavior) => Some(behavior),
        Kind::Variable(variable) => about_connections(variable.get()),
        // A decision that was made up.
        _ => None,
    }
}

impl Lasting {
    pub(in crate::chaos) fn goes_on(&self) -> bool {
        let state = &self.engine.state;
        let is_same = || state.number.load(Ordering::Relaxed) == self.course;
        // Only one that expires may be off and not know it.
        is_same() && (!state.may_expire.load(Ordering::Relaxed) || self.engine.is_enabled())
    }

    /// Waits until it does not go on.
    pub(in crate::chaos) async fn over(self) {
        while self.goes_on() {
            let ends = lock(&self.engine.state.course).ends;
            let changed = self.engine.state.changed.notified();
            // Since it was looked at.
            if !self.goes_on() {
                return;
            }
            match ends {
                Some(end) => drop(timeout_at(end, changed).await),
                None => changed.await,
            }
        }
    }
}
