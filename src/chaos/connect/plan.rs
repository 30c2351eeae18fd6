//! The plan for one connection: a fault with all random values drawn.

use std::{future::pending, time::Duration};

use tokio::time::sleep;

use super::{
    error::ConnectionFault,
    faults::{Faults, Limits},
};
use crate::chaos::model::{
    behavior::Behavior,
    connection::{ConnectionBehavior, Fault},
    random::Random,
};

/// A fault of one connection, with all random values drawn.
#[derive(Debug)]
pub(super) struct ConnectionPlan {
    pub(super) delay: Duration,
    end: End,
    limits: Limits,
    random: Random,
    text: String,
}

#[derive(Debug)]
enum End {
    Connect,
    Never,
    Fail(ConnectionFault),
}

impl ConnectionPlan {
    /// Draws the random values of a connection behavior. A behavior for requests gives a plan
    /// without faults.
    pub(super) fn new(behavior: &Behavior, random: Random) -> Self {
        let behavior = behavior
            .connection()
            .unwrap_or_else(ConnectionBehavior::none);
        let mut plan = Self {
            delay: Duration::ZERO,
            end: End::Connect,
            limits: Limits::default(),
            random,
            text: String::new(),
        };
        for fault in &behavior.0 {
            plan.add(fault);
        }
        plan.text = match behavior.0.as_slice() {
            [Fault::Latency(_)] => {
                format!("Latency ({}ms) of the connection", plan.delay.as_millis())
            }
            _ => behavior.to_string(),
        };
        plan
    }

    /// Returns the text of the decision.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    fn add(&mut self, fault: &Fault) {
        match fault {
            Fault::None => {}
            Fault::Latency(latency) => {
                self.delay = self.delay.saturating_add(latency.draw(self.random));
            }
            Fault::Never => self.end(End::Never),
            Fault::Refuse => self.end(End::Fail(ConnectionFault::Refused)),
            Fault::Throw(message) => {
                self.end(End::Fail(ConnectionFault::Thrown(message.clone())));
            }
            Fault::Corrupt(percent) => self.limits.corrupt = *percent,
            Fault::Slice { bytes, every } => {
                self.limits.max_part = Some(*bytes);
                self.limits.every = *every;
            }
            Fault::Throttle { bytes_per_second } => self.limits.rate = Some(*bytes_per_second),
            Fault::StallAfter(bytes) => self.limits.stall_after = Some(*bytes),
            Fault::BreakAfter(bytes) => self.limits.break_after = Some(*bytes),
        }
    }

    fn end(&mut self, end: End) {
        if matches!(self.end, End::Connect) {
            self.end = end;
        }
    }

    /// Waits for the delay, then, if the connection is never made, for ever. Returns an error if
    /// the connection fails.
    pub(super) async fn wait(&mut self) -> Result<(), ConnectionFault> {
        if !self.delay.is_zero() {
            sleep(self.delay).await;
        }
        match &self.end {
            End::Connect => Ok(()),
            End::Never => pending().await,
            End::Fail(fault) => Err(fault.clone()),
        }
    }

    /// Returns the faults that apply to the bytes of the connection; `None` if there are none.
    pub(super) fn faults(&self) -> Option<Faults> {
        (self.limits != Limits::default()).then(|| Faults::new(self.limits, self.random))
    }
}
