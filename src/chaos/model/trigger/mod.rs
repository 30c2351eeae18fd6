//! `Trigger`: the condition under which a fault is applied.

mod text;

use std::{
    net::IpAddr,
    num::NonZeroU64,
    ops::{BitAnd, BitOr, Not, RangeInclusive},
    time::{Duration, SystemTime},
};

use ipnet::IpNet;
use rand::RngExt;
use tokio::time::Instant;

use super::{
    decision::Affected,
    envoy,
    observation::{Inputs, Observation},
    random::Draw,
    request_pattern::Requests,
};
use crate::message::client::client_address;

/// The condition under which a fault is applied.
///
/// ```
/// use tower_traffic::chaos::{Requests, Trigger};
///
/// let trigger = Trigger::percentage(0.5) & !Trigger::requests(Requests::any().path("/health")?);
/// assert_eq!(trigger.to_string(), "PercentageBased (0.5%) AND NOT path matches '/health'");
/// # Ok::<(), tower_traffic::chaos::InvalidPattern>(())
/// ```
///
/// # Counters and clocks
///
/// The [engine](crate::chaos::ChaosEngine) starts the counters and clocks of a trigger when it
/// activates the stage. Each occurrence of a trigger counts separately. A trigger is evaluated at
/// most once per request; of `a & b` and `a | b`, the second is evaluated only if the first leaves
/// the result open.
///
/// # Connections
///
/// Triggers apply to connections as well, but of a connection only the host is known. Triggers for
/// a [client](Self::client), a [route](Self::route), a [status](Self::status), a [fault
/// header](Self::envoy_fault_headers) or another part of a [request](Self::requests) never fire.
#[must_use]
#[derive(Clone, Debug, PartialEq)]
pub struct Trigger(pub(in crate::chaos) Kind);

#[derive(Clone, Debug, PartialEq)]
pub(in crate::chaos) enum Kind {
    Always,
    Once {
        trigger: Option<Box<Trigger>>,
        has_fired: bool,
    },
    Percentage {
        percent: f64,
        number: u32,
    },
    Countdown {
        count: u64,
        left: u64,
    },
    Delay {
        period: Duration,
        start: Option<Start>,
    },
    Deadline {
        end: SystemTime,
        start: Option<Start>,
    },
    Requests(Requests),
    Not(Box<Trigger>),
    And(Vec<Trigger>),
    Or(Vec<Trigger>),
    Nth {
        n: NonZeroU64,
        seen: u64,
    },
    Ramp {
        from: f64,
        to: f64,
        over: Duration,
        number: u32,
        start: Option<Start>,
    },
    Window {
        from: Duration,
        to: Duration,
        start: Option<Start>,
    },
    Client(IpNet),
    Route(String),
    EnvoyFault,
    Status(RangeInclusive<u16>),
}

/// The time at which a trigger started, by two clocks. tokio's clock, which tests can pause,
/// decides.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::chaos) struct Start {
    pub(in crate::chaos) at: Instant,
    pub(in crate::chaos) time: SystemTime,
}

impl Start {
    pub(in crate::chaos) fn now() -> Self {
        Self {
            at: Instant::now(),
            time: SystemTime::now(),
        }
    }
}

impl Trigger {
    /// Always fires.
    pub fn always() -> Self {
        Self(Kind::Always)
    }

    /// Fires only for the first request after activation.
    pub fn once() -> Self {
        Self(Kind::Once {
            trigger: None,
            has_fired: false,
        })
    }

    /// Fires only the first time that `trigger` fires.
    pub fn once_for(trigger: Self) -> Self {
        Self(Kind::Once {
            trigger: Some(Box::new(trigger)),
            has_fired: false,
        })
    }

    /// Fires for `percent` percent of requests, chosen by the engine's seed.
    ///
    /// `percent` is clamped to 0 to 100 and may be a fraction; NaN counts as 0.
    pub fn percentage(percent: f64) -> Self {
        Self(Kind::Percentage {
            percent: clamped(percent),
            number: 0,
        })
    }

    /// Fires for every request after the first `count` requests; with 0, for every request.
    pub fn countdown(count: u64) -> Self {
        Self(Kind::Countdown { count, left: count })
    }

    /// Fires once `period` has passed since activation.
    pub fn delay(period: Duration) -> Self {
        Self(Kind::Delay {
            period,
            start: None,
        })
    }

    /// Fires after the time `end`.
    ///
    /// The time left until `end` is measured at activation.
    pub fn deadline(end: SystemTime) -> Self {
        Self(Kind::Deadline { end, start: None })
    }

    /// Fires for requests that match the pattern `requests`.
    pub fn requests(requests: Requests) -> Self {
        Self(Kind::Requests(requests))
    }

    /// Fires for every `n`th request: first for request number `n`, counted from 1.
    pub fn nth(n: NonZeroU64) -> Self {
        Self(Kind::Nth { n, seen: 0 })
    }

    /// Fires for a [percentage](Self::percentage) of requests that changes linearly from the start
    /// to the end of `percent` within `over`, and then stays at the end. If `over` is zero, the
    /// percentage is the end from the beginning.
    pub fn ramp(percent: RangeInclusive<f64>, over: Duration) -> Self {
        Self(Kind::Ramp {
            from: clamped(*percent.start()),
            to: clamped(*percent.end()),
            over,
            number: 0,
            start: None,
        })
    }

    /// Fires between `from` (inclusive) and `to` (exclusive), measured from activation. If `to` is
    /// not after `from`, the trigger never fires.
    pub fn window(from: Duration, to: Duration) -> Self {
        Self(Kind::Window {
            from,
            to,
            start: None,
        })
    }

    /// Fires for clients with an address in `network`.
    ///
    /// The address is that of the connection: axum's `ConnectInfo` (feature `axum`), or a
    /// `SocketAddr` in the request's extensions. An IPv4-mapped IPv6 address counts as IPv4.
    /// Without an address, the trigger never fires.
    ///
    /// ```
    /// use tower_traffic::chaos::Trigger;
    ///
    /// let internal = Trigger::client("10.0.0.0/8".parse()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn client(network: IpNet) -> Self {
        Self(Kind::Client(network))
    }

    /// Fires for requests of `route`: axum's `MatchedPath` (feature `axum`), such as `/users/{id}`,
    /// else the path.
    pub fn route(route: impl Into<String>) -> Self {
        Self(Kind::Route(route.into()))
    }

    /// Fires for requests with Envoy's fault headers, see
    /// [`Behavior::envoy_fault_headers`](crate::chaos::Behavior::envoy_fault_headers).
    pub fn envoy_fault_headers() -> Self {
        Self(Kind::EnvoyFault)
    }

    /// Fires for responses with a status in `status`.
    ///
    /// A fault with this trigger is chosen when the response arrives: it cannot affect the request.
    pub fn status(status: RangeInclusive<u16>) -> Self {
        Self(Kind::Status(status))
    }

    /// Starts clocks and counters, and numbers the triggers that draw random values.
    pub(in crate::chaos) fn start(&mut self, now: Start, next: &mut u32) {
        match &mut self.0 {
            Kind::Always
            | Kind::Requests(_)
            | Kind::Client(_)
            | Kind::Route(_)
            | Kind::EnvoyFault
            | Kind::Status(_) => {}
            Kind::Once { trigger, has_fired } => {
                *has_fired = false;
                if let Some(trigger) = trigger {
                    trigger.start(now, next);
                }
            }
            Kind::Percentage { number, .. } => {
                *number = *next;
                *next += 1;
            }
            Kind::Countdown { count, left } => *left = *count,
            Kind::Delay { start, .. }
            | Kind::Deadline { start, .. }
            | Kind::Window { start, .. } => *start = Some(now),
            Kind::Ramp { start, number, .. } => {
                *start = Some(now);
                *number = *next;
                *next += 1;
            }
            Kind::Not(trigger) => trigger.start(now, next),
            Kind::And(triggers) | Kind::Or(triggers) => {
                for trigger in triggers {
                    trigger.start(now, next);
                }
            }
            Kind::Nth { seen, .. } => *seen = 0,
        }
    }

    /// Whether the trigger fires for `observation`. Evaluation may advance counters.
    pub(in crate::chaos) fn fires(&mut self, observation: &Observation<'_>) -> bool {
        match &mut self.0 {
            Kind::Always => true,
            Kind::Once { trigger, has_fired } => {
                if *has_fired {
                    return false;
                }
                *has_fired = trigger
                    .as_mut()
                    .is_none_or(|trigger| trigger.fires(observation));
                *has_fired
            }
            Kind::Percentage { percent, number } => drawn(*percent, *number, observation),
            Kind::Countdown { left, .. } => match left.checked_sub(1) {
                Some(fewer) => {
                    *left = fewer;
                    false
                }
                None => true,
            },
            Kind::Delay { period, start } => elapsed(*start).is_some_and(|time| time >= *period),
            Kind::Deadline { end, start } => {
                let left = start.map(|start| end.duration_since(start.time).unwrap_or_default());
                elapsed(*start) > left
            }
            Kind::Requests(requests) => requests.match_all(observation),
            Kind::Not(trigger) => !trigger.fires(observation),
            Kind::And(triggers) => triggers
                .iter_mut()
                .all(|trigger| trigger.fires(observation)),
            Kind::Or(triggers) => triggers
                .iter_mut()
                .any(|trigger| trigger.fires(observation)),
            Kind::Nth { n, seen } => {
                *seen += 1;
                *seen % *n == 0
            }
            Kind::Ramp {
                from,
                to,
                over,
                number,
                start,
            } => {
                let time = elapsed(*start).unwrap_or_default();
                let share = if time >= *over {
                    1.0
                } else {
                    time.as_secs_f64() / over.as_secs_f64()
                };
                drawn(*from + (*to - *from) * share, *number, observation)
            }
            Kind::Window { from, to, start } => {
                elapsed(*start).is_some_and(|time| (*from..*to).contains(&time))
            }
            Kind::Client(network) => client_address(observation.extensions)
                .is_some_and(|address| network.contains(&address)),
            Kind::Route(name) => {
                observation.target == Affected::Request && observation.route() == name
            }
            Kind::EnvoyFault => envoy::is_in(observation.headers, observation.random),
            Kind::Status(range) => {
                let status = observation.status.map(|status| status.as_u16());
                status.is_some_and(|status| range.contains(&status))
            }
        }
    }

    /// Whether the trigger depends on time only, and counts nothing.
    pub(in crate::chaos) fn is_clock(&self) -> bool {
        match &self.0 {
            Kind::Delay { .. } | Kind::Deadline { .. } | Kind::Window { .. } => true,
            Kind::Not(trigger) => trigger.is_clock(),
            Kind::And(triggers) | Kind::Or(triggers) => triggers.iter().all(Self::is_clock),
            _ => false,
        }
    }

    /// Returns the inputs that the trigger needs.
    pub(in crate::chaos) fn inputs(&self) -> Inputs {
        Inputs {
            body: self.any(&mut |kind| matches!(kind, Kind::Requests(it) if it.needs_body())),
            response: self.any(&mut |kind| matches!(kind, Kind::Status(_))),
        }
    }

    /// Whether `is_so` is true for at least one part of the trigger.
    fn any(&self, is_so: &mut impl FnMut(&Kind) -> bool) -> bool {
        if is_so(&self.0) {
            return true;
        }
        match &self.0 {
            Kind::Once { trigger, .. } => trigger.iter().any(|trigger| trigger.any(is_so)),
            Kind::Not(trigger) => trigger.any(is_so),
            Kind::And(triggers) | Kind::Or(triggers) => {
                triggers.iter().any(|trigger| trigger.any(is_so))
            }
            _ => false,
        }
    }
}

/// Parses a network, as `10.0.0.0/8`, or a single address.
pub(in crate::chaos) fn parse_network(text: &str) -> Option<IpNet> {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    text.parse().ok().or_else(address)
}

pub(in crate::chaos) fn clamped(percent: f64) -> f64 {
    if percent.is_nan() {
        0.0
    } else {
        percent.clamp(0.0, 100.0)
    }
}

fn drawn(percent: f64, number: u32, observation: &Observation<'_>) -> bool {
    let mut generator = observation.random.generator(Draw::Trigger(number));
    generator.random_bool(clamped(percent) / 100.0)
}

fn elapsed(start: Option<Start>) -> Option<Duration> {
    start.map(|start| start.at.elapsed())
}

impl Not for Trigger {
    type Output = Self;

    fn not(self) -> Self {
        Self(Kind::Not(Box::new(self)))
    }
}

impl BitAnd for Trigger {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(Kind::And(vec![self, other]))
    }
}

impl BitOr for Trigger {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(Kind::Or(vec![self, other]))
    }
}
