//! When something happens.

mod text;

use std::{
    net::{IpAddr, SocketAddr},
    num::NonZeroU64,
    ops::{BitAnd, BitOr, Not, RangeInclusive},
    time::{Duration, SystemTime},
};

#[cfg(feature = "axum")]
use axum::extract::{ConnectInfo, MatchedPath};
use tokio::time::Instant;

use super::{
    decision::Affected, envoy, needs::Needs, network::Network, random::For,
    request_pattern::Requests, seen::Seen,
};

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
/// [route](Self::route), a [status](Self::status) or a [fault](Self::asked) never fires.
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
        begun: Option<Begun>,
    },
    Deadline {
        end: SystemTime,
        begun: Option<Begun>,
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
        begun: Option<Begun>,
    },
    Window {
        from: Duration,
        to: Duration,
        begun: Option<Begun>,
    },
    Client(Network),
    Route(String),
    Asked,
    Status(RangeInclusive<u16>),
}

/// When the engine took it, by both clocks: requests go by the one of tokio, which tests can stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::chaos) struct Begun {
    pub(in crate::chaos) at: Instant,
    pub(in crate::chaos) time: SystemTime,
}

impl Begun {
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
            begun: None,
        })
    }

    /// After this moment. How far away it is, is seen when the engine takes it.
    pub fn deadline(end: SystemTime) -> Self {
        Self(Kind::Deadline { end, begun: None })
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
            begun: None,
        })
    }

    /// From this time to that one, which is no more in it, since the engine took it.
    pub fn window(from: Duration, to: Duration) -> Self {
        Self(Kind::Window {
            from,
            to,
            begun: None,
        })
    }

    /// For clients of this network. The address is that of the connection: `ConnectInfo` of axum
    /// (feature `axum`), or a `SocketAddr` among the request's extensions. Without one it never fires.
    pub fn client(network: Network) -> Self {
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
    pub(in crate::chaos) fn begin(&mut self, now: Begun, next: &mut u32) {
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
                    trigger.begin(now, next);
                }
            }
            Kind::Percentage { number, .. } => {
                *number = *next;
                *next += 1;
            }
            Kind::Countdown { count, left } => *left = *count,
            Kind::Delay { begun, .. }
            | Kind::Deadline { begun, .. }
            | Kind::Window { begun, .. } => *begun = Some(now),
            Kind::Ramp { begun, number, .. } => {
                *begun = Some(now);
                *number = *next;
                *next += 1;
            }
            Kind::Not(trigger) => trigger.begin(now, next),
            Kind::And(triggers) | Kind::Or(triggers) => {
                for trigger in triggers {
                    trigger.begin(now, next);
                }
            }
            Kind::Nth { seen, .. } => *seen = 0,
        }
    }

    /// Asks it, which may change what it counts.
    pub(in crate::chaos) fn fires(&mut self, seen: &Seen<'_>) -> bool {
        match &mut self.0 {
            Kind::Always => true,
            Kind::Once { trigger, has_fired } => {
                if *has_fired {
                    return false;
                }
                *has_fired = trigger.as_mut().is_none_or(|trigger| trigger.fires(seen));
                *has_fired
            }
            Kind::Percentage { percent, number } => drawn(*percent, *number, seen),
            Kind::Countdown { left, .. } => match left.checked_sub(1) {
                Some(fewer) => {
                    *left = fewer;
                    false
                }
                None => true,
            },
            Kind::Delay { period, begun } => elapsed(*begun).is_some_and(|time| time >= *period),
            Kind::Deadline { end, begun } => {
                let left = begun.map(|begun| end.duration_since(begun.time).unwrap_or_default());
                elapsed(*begun) > left
            }
            Kind::Requests(requests) => requests.match_all(seen),
            Kind::Not(trigger) => !trigger.fires(seen),
            Kind::And(triggers) => triggers.iter_mut().all(|trigger| trigger.fires(seen)),
            Kind::Or(triggers) => triggers.iter_mut().any(|trigger| trigger.fires(seen)),
            Kind::Nth { n, seen } => {
                *seen += 1;
                *seen % *n == 0
            }
            Kind::Ramp {
                from,
                to,
                over,
                number,
                begun,
            } => {
                let time = elapsed(*begun).unwrap_or_default();
                let share = if time >= *over {
                    1.0
                } else {
                    time.as_secs_f64() / over.as_secs_f64()
                };
                drawn(*from + (*to - *from) * share, *number, seen)
            }
            Kind::Window { from, to, begun } => {
                elapsed(*begun).is_some_and(|time| (*from..*to).contains(&time))
            }
            Kind::Client(network) => client(seen).is_some_and(|address| network.contains(address)),
            Kind::Route(name) => seen.is == Affected::Request && route(seen) == name,
            Kind::Asked => envoy::is_in(seen.headers),
            Kind::Status(range) => {
                let status = seen.status.map(|status| status.as_u16());
                status.is_some_and(|status| range.contains(&status))
            }
        }
    }

    /// Whether it goes by the clock alone, and does not count.
    pub(in crate::chaos) fn is_of_time(&self) -> bool {
        match &self.0 {
            Kind::Delay { .. } | Kind::Deadline { .. } | Kind::Window { .. } => true,
            Kind::Not(trigger) => trigger.is_of_time(),
            Kind::And(triggers) | Kind::Or(triggers) => triggers.iter().all(Self::is_of_time),
            _ => false,
        }
    }

    /// What it must know of a request.
    pub(in crate::chaos) fn needs(&self) -> Needs {
        Needs {
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

pub(in crate::chaos) fn clamped(percent: f64) -> f64 {
    if percent.is_nan() {
        0.0
    } else {
        percent.clamp(0.0, 100.0)
    }
}

fn drawn(percent: f64, number: u32, seen: &Seen<'_>) -> bool {
    seen.random.unit(For::Trigger(number)) * 100.0 < percent
}

fn elapsed(begun: Option<Begun>) -> Option<Duration> {
    begun.map(|begun| begun.at.elapsed())
}

fn client(seen: &Seen<'_>) -> Option<IpAddr> {
    #[cfg(feature = "axum")]
    if let Some(ConnectInfo(address)) = seen.extensions.get::<ConnectInfo<SocketAddr>>() {
        return Some(address.ip());
    }
    seen.extensions.get::<SocketAddr>().map(SocketAddr::ip)
}

pub(in crate::chaos) fn route<'a>(seen: &Seen<'a>) -> &'a str {
    #[cfg(feature = "axum")]
    if let Some(matched) = seen.extensions.get::<MatchedPath>() {
        return matched.as_str();
    }
    seen.uri.path()
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
