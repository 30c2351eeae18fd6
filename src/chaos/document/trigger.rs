//! Triggers of a document.

use std::{collections::BTreeMap, ops::RangeInclusive};

use serde::{Deserialize, Serialize};

use super::{
    Convert, ParseDocumentError, convert_all, invalid, required,
    value::{Count, Duration, Network, Pattern, Percentage, Positive, StatusCode, Text, Timestamp},
};
use crate::chaos::model::{
    self,
    request_pattern::{self, Part},
    trigger::Kind,
};

tagged! {
    /// When a behavior applies: the requests, connections or responses that it is for.
    #[serde(tag = "type", rename_all = "kebab-case")]
    enum Trigger, read by TriggerReader as "Trigger", "trigger" {
        /// Always fires.
        Always,
        /// Fires the first time, or the first time that another trigger fires.
        Once {
            /// The trigger that fires once.
            trigger: Option<Box<Trigger>>,
        },
        /// Fires for a share of the requests, chosen by the seed.
        Percentage {
            /// The share, in percent.
            percentage: Percentage,
        },
        /// Fires for every request after the first `count`.
        Countdown {
            /// Number of requests that pass first.
            count: Count,
        },
        /// Fires once this time has elapsed since the document was activated.
        Delay {
            /// Time until it fires.
            period: Duration,
        },
        /// Fires after a point in time.
        Deadline {
            /// The point in time.
            #[serde(rename = "endTime")]
            end_time: Timestamp,
        },
        /// Fires for requests that match every given field.
        Request(Requests),
        /// Fires when another trigger does not.
        Not {
            /// The other trigger.
            trigger: Box<Trigger>,
        },
        /// Fires when all of its triggers fire. They are evaluated in order, up to the first that does not fire.
        And {
            /// The triggers.
            triggers: Vec<Trigger>,
        },
        /// Fires when one of its triggers fires. They are evaluated in order, up to the first that fires.
        Or {
            /// The triggers.
            triggers: Vec<Trigger>,
        },
        /// Fires for every n-th request.
        Nth {
            /// The interval, in requests.
            n: Positive,
        },
        /// Fires for a share of the requests that changes evenly over time, and then stays as it is.
        Ramp {
            /// The share at the start, in percent.
            from: Percentage,
            /// The share at the end, in percent.
            to: Percentage,
            /// Time from start to end.
            over: Duration,
        },
        /// Fires during a period, counted from the activation of the document.
        Window {
            /// Start of the period.
            from: Duration,
            /// End of the period, later than `from`.
            to: Duration,
        },
        /// Fires for clients of a network, by the address of the connection.
        Client {
            /// The network.
            network: Network,
        },
        /// Fires for a route as the router names it, or else for this path.
        Route {
            /// The route.
            route: Text,
        },
        /// Fires for requests with Envoy's fault headers (`x-envoy-fault-delay-request`,
        /// `x-envoy-fault-abort-request`).
        Asked,
        /// Fires for responses by their status: `status`, or a range from `from` to `to`.
        Status(Statuses),
    }
}

/// Of a query parameter or header that is repeated, one matching value is enough.
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "chaos-api", derive(utoipa::ToSchema))]
#[serde(rename = "request")]
pub(in crate::chaos) struct Requests {
    /// The method, in any case.
    method: Option<Text>,
    /// The authority of the URI, or else the `host` header.
    host: Option<Pattern>,
    /// The path, as it stands in the URI.
    path: Option<Pattern>,
    /// Query parameters, decoded, by name.
    queries: Option<BTreeMap<String, Pattern>>,
    /// Headers, by name.
    headers: Option<BTreeMap<String, Pattern>>,
    /// A body of at most 1 MiB, in UTF-8.
    body: Option<Pattern>,
}

#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "chaos-api", derive(utoipa::ToSchema))]
#[serde(rename = "status")]
pub(in crate::chaos) struct Statuses {
    /// The status.
    status: Option<StatusCode>,
    /// The lowest status.
    from: Option<StatusCode>,
    /// The highest status, no lower than `from`.
    to: Option<StatusCode>,
}

impl TryFrom<Trigger> for model::trigger::Trigger {
    type Error = ParseDocumentError;

    fn try_from(trigger: Trigger) -> Result<Self, ParseDocumentError> {
        Ok(match trigger {
            Trigger::Always => Self::always(),
            Trigger::Once { trigger: None } => Self::once(),
            Trigger::Once {
                trigger: Some(trigger),
            } => Self::once_for((*trigger).convert("trigger")?),
            Trigger::Percentage { percentage } => Self::percentage(percentage.0),
            Trigger::Countdown { count } => Self::countdown(count.0),
            Trigger::Delay { period } => Self::delay(period.0),
            Trigger::Deadline { end_time } => Self::deadline(end_time.0),
            Trigger::Request(requests) => Self::requests(requests.try_into()?),
            Trigger::Not { trigger } => Self(Kind::Not(Box::new((*trigger).convert("trigger")?))),
            Trigger::And { triggers } => Self(Kind::And(all(triggers)?)),
            Trigger::Or { triggers } => Self(Kind::Or(all(triggers)?)),
            Trigger::Nth { n } => Self::nth(n.0),
            Trigger::Ramp { from, to, over } => Self::ramp(from.0..=to.0, over.0),
            Trigger::Window { from, to } if from.0 < to.0 => Self::window(from.0, to.0),
            Trigger::Window { .. } => {
                return invalid("to", "invalid window: expected `to` later than `from`");
            }
            Trigger::Client { network } => Self::client(network.0),
            Trigger::Route { route } => Self::route(route.0),
            Trigger::Asked => Self::envoy_fault_headers(),
            Trigger::Status(statuses) => Self::status(statuses.try_into()?),
        })
    }
}

fn all(triggers: Vec<Trigger>) -> Result<Vec<model::trigger::Trigger>, ParseDocumentError> {
    convert_all(triggers).map_err(|error| error.at("triggers"))
}

impl TryFrom<Statuses> for RangeInclusive<u16> {
    type Error = ParseDocumentError;

    fn try_from(statuses: Statuses) -> Result<Self, ParseDocumentError> {
        if let Some(StatusCode(status)) = statuses.status {
            return Ok(status..=status);
        }
        let StatusCode(from) = required(statuses.from, "from", "status")?;
        let StatusCode(to) = required(statuses.to, "to", "status")?;
        if from > to {
            return invalid(
                "to",
                format!("invalid range: expected at least {from}, found {to}"),
            );
        }
        Ok(from..=to)
    }
}

/// In http4k's order.
impl TryFrom<Requests> for request_pattern::Requests {
    type Error = ParseDocumentError;

    fn try_from(wanted: Requests) -> Result<Self, ParseDocumentError> {
        let mut requests = Self::any();
        if let Some(Text(method)) = wanted.method {
            requests = requests.method(method);
        }
        if let Some(Pattern(host)) = wanted.host {
            requests = requests
                .host(host)
                .or_else(|error| invalid("host", error))?;
        }
        if let Some(Pattern(path)) = wanted.path {
            requests = requests
                .path(path)
                .or_else(|error| invalid("path", error))?;
        }
        for (name, Pattern(value)) in wanted.queries.unwrap_or_default() {
            let query = requests
                .query(&*name, value)
                .or_else(|error| invalid(&name, error));
            requests = query.map_err(|error| error.at("queries"))?;
        }
        for (name, Pattern(value)) in wanted.headers.unwrap_or_default() {
            let header = requests
                .header(&*name, value)
                .or_else(|error| invalid(&name, error));
            requests = header.map_err(|error| error.at("headers"))?;
        }
        if let Some(Pattern(body)) = wanted.body {
            requests = requests
                .body(body)
                .or_else(|error| invalid("body", error))?;
        }
        Ok(requests)
    }
}

impl From<&model::trigger::Trigger> for Trigger {
    fn from(trigger: &model::trigger::Trigger) -> Self {
        let list = |triggers: &[_]| triggers.iter().map(Self::from).collect();
        match &trigger.0 {
            Kind::Always => Self::Always,
            Kind::Once { trigger, .. } => Self::Once {
                trigger: trigger.as_deref().map(|trigger| Box::new(trigger.into())),
            },
            Kind::Percentage { percent, .. } => Self::Percentage {
                percentage: Percentage(*percent),
            },
            Kind::Countdown { count, .. } => Self::Countdown {
                count: Count(*count),
            },
            Kind::Delay { period, .. } => Self::Delay {
                period: Duration(*period),
            },
            Kind::Deadline { end, .. } => Self::Deadline {
                end_time: Timestamp(*end),
            },
            Kind::Requests(requests) => Self::Request(requests.into()),
            Kind::Not(trigger) => Self::Not {
                trigger: Box::new((&**trigger).into()),
            },
            Kind::And(triggers) => Self::And {
                triggers: list(triggers),
            },
            Kind::Or(triggers) => Self::Or {
                triggers: list(triggers),
            },
            Kind::Nth { n, .. } => Self::Nth { n: Positive(*n) },
            Kind::Ramp { from, to, over, .. } => Self::Ramp {
                from: Percentage(*from),
                to: Percentage(*to),
                over: Duration(*over),
            },
            Kind::Window { from, to, .. } => Self::Window {
                from: Duration(*from),
                to: Duration(*to),
            },
            Kind::Client(network) => Self::Client {
                network: Network(*network),
            },
            Kind::Route(route) => Self::Route {
                route: Text(route.clone()),
            },
            Kind::EnvoyFault => Self::Asked,
            Kind::Status(statuses) => Self::Status(Statuses {
                status: None,
                from: Some(StatusCode(*statuses.start())),
                to: Some(StatusCode(*statuses.end())),
            }),
        }
    }
}

impl From<&request_pattern::Requests> for Requests {
    fn from(wanted: &request_pattern::Requests) -> Self {
        let mut requests = Self::default();
        for part in wanted.parts() {
            let of = |pattern: &request_pattern::Pattern| Pattern(pattern.to_string());
            match part {
                Part::Method(method) => requests.method = Some(Text(method.clone())),
                Part::Host(pattern) => requests.host = Some(of(pattern)),
                Part::Path(pattern) => requests.path = Some(of(pattern)),
                Part::Body(pattern) => requests.body = Some(of(pattern)),
                Part::Query(name, pattern) => {
                    let queries = requests.queries.get_or_insert_default();
                    queries.insert(name.clone(), of(pattern));
                }
                Part::Header(name, pattern) => {
                    let headers = requests.headers.get_or_insert_default();
                    headers.insert(name.clone(), of(pattern));
                }
            }
        }
        requests
    }
}
