//! When something happens.

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

/// Says for which requests something happens.
///
/// ```
/// use tower_traffic::chaos::{Requests, Trigger};
///
/// let trigger = Trigger::percentage(0.5) & !Trigger::requests(Requests::any().path("/health")?);
/// assert_eq!(trigger.to_string(), "PercentageBased (0.5%) AND NOT path matches '/health'");
/// # Ok::<(), tower_traffic::chaos::InvalidPattern>(())
/// ```
///
/// What a trigger counts is kept by the [engine](crate::chaos::ChaosEngine) that it is given to, from the
/// moment at which it is; of one trigger in two places each counts by itself. A trigger is asked at
/// most once for a request, and of `a & b` and `a | b` the second only if the first leaves it open.
///
/// The same triggers are for connections. Of these there is the host that they go to, and nothing else:
/// what asks for anything else of a [request](Self::requests), for a [client](Self::client), a
/// [route](Self::route), a [status](Self::status) or a [fault](Self::envoy_fault_headers) never fires.
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
    Asked,
    Status(RangeInclusive<u16>),
}

/// When the engine took it, by both clocks: requests go by the one of tokio, which tests can stop.
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
    /// Always.
    pub fn always() -> Self {
        Self(Kind::Always)
    }

    /// The first time.
    pub fn once() -> Self {
        Self(Kind::Once {
            trigger: None,
            has_fired: false,
        })
    }

    /// The first time that this one fires.
    pub fn once_for(trigger: Self) -> Self {
        Self(Kind::Once {
            trigger: Some(Box::new(trigger)),
            has_fired: false,
        })
    }

    /// For so many requests of a hundred, picked by the engine's seed: 0 is never, 100 always, 0.1
    /// one in a thousand. What is below or above counts as these, and what is no number as 0.
    pub fn percentage(percent: f64) -> Self {
        Self(Kind::Percentage {
            percent: clamped(percent),
            number: 0,
        })
    }

    /// After so many requests, for all that follow.
    pub fn countdown(count: u64) -> Self {
        Self(Kind::Countdown { count, left: count })
    }

    /// After this time since the engine took it.
    pub fn delay(period: Duration) -> Self {
        Self(Kind::Delay {
            period,
            start: None,
        })
    }

    /// After this moment. How far away it is, is seen when the engine takes it.
    pub fn deadline(end: SystemTime) -> Self {
        Self(Kind::Deadline { end, start: None })
    }

    /// For requests that look like this.
    pub fn requests(requests: Requests) -> Self {
        Self(Kind::Requests(requests))
    }

    /// For the n-th request, and again for every n-th after it.
    pub fn nth(n: NonZeroU64) -> Self {
        Self(Kind::Nth { n, seen: 0 })
    }

    /// As a [percentage](Self::percentage) that goes from one to another in this time, evenly, and
    /// stays there.
    pub fn ramp(percent: RangeInclusive<f64>, over: Duration) -> Self {
        Self(Kind::Ramp {
            from: clamped(*percent.start()),
            to: clamped(*percent.end()),
            over,
            number: 0,
            start: None,
        })
    }

    /// From this time to that one, which is no more in it, since the engine took it.
    pub fn window(from: Duration, to: Duration) -> Self {
        Self(Kind::Window {
            from,
            to,
            start: None,
        })
    }

    /// For clients of this network. The address is that of the connection: `ConnectInfo` of axum
    /// (feature `axum`), or a `SocketAddr` among the request's extensions. Without one it never fires.
    pub fn client(network: IpNet) -> Self {
        Self(Kind::Client(network))
    }

    /// For this route: axum's `MatchedPath` (feature `axum`), as in `/users/{id}`; where there is
    /// none, the path.
    pub fn route(route: impl Into<String>) -> Self {
        Self(Kind::Route(route.into()))
    }

    /// For requests that ask for a fault ([`Behavior::envoy_fault_headers`](crate::chaos::Behavior::envoy_fault_headers)).
    pub fn envoy_fault_headers() -> Self {
        Self(Kind::Asked)
    }

    /// For responses with such a status. What depends on this is decided when the response is there:
    /// nothing happens to such requests.
    pub fn status(status: RangeInclusive<u16>) -> Self {
        Self(Kind::Status(status))
    }

    /// As the engine takes it: from now on, and with numbers for what is drawn.
    pub(in crate::chaos) fn start(&mut self, now: Start, next: &mut u32) {
        match &mut self.0 {
            Kind::Always
            | Kind::Requests(_)
            | Kind::Client(_)
            | Kind::Route(_)
            | Kind::Asked
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

    /// Asks it, which may change what it counts.
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
            Kind::Asked => envoy::is_in(observation.headers),
            Kind::Status(range) => {
                let status = observation.status.map(|status| status.as_u16());
                status.is_some_and(|status| range.contains(&status))
            }
        }
    }

    /// Whether it goes by the clock alone, and does not count.
    pub(in crate::chaos) fn is_clock(&self) -> bool {
        match &self.0 {
            Kind::Delay { .. } | Kind::Deadline { .. } | Kind::Window { .. } => true,
            Kind::Not(trigger) => trigger.is_clock(),
            Kind::And(triggers) | Kind::Or(triggers) => triggers.iter().all(Self::is_clock),
            _ => false,
        }
    }

    /// What it must know of a request.
    pub(in crate::chaos) fn inputs(&self) -> Inputs {
        Inputs {
            body: self.any(&mut |kind| matches!(kind, Kind::Requests(it) if it.needs_body())),
            response: self.any(&mut |kind| matches!(kind, Kind::Status(_))),
        }
    }

    /// Whether this is so of a part of it.
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
