//! Triggers of a document.

use std::{collections::BTreeMap, ops::RangeInclusive};

use serde::{Deserialize, Serialize};

use super::{
    Convert, ParseDocumentError, convert_all, invalid, required,
    value::{Count, Duration, Network, Pattern, Percentage, Positive, StatusCode, Text, Timestamp},
};
use crate::chaos::model::{
    self,
    request_pattern::{self, InvalidPattern, Part},
    trigger::Kind,
};

tagged! {
    /// A condition: chooses the requests, connections or responses that a behavior affects.
    #[serde(tag = "type", rename_all = "kebab-case")]
    enum Trigger, read by TriggerReader as "Trigger", "trigger" {
        /// Always fires.
        Always,
        /// Fires the first time, or the first time that another trigger fires.
        Once { trigger: Option<Box<Trigger>> },
        /// Fires for a share of the requests, chosen by the seed.
        Percentage { percentage: Percentage },
        /// Fires for every request after the first `count`.
        Countdown { count: Count },
        /// Fires once `period` has elapsed since the document was activated.
        Delay { period: Duration },
        /// Fires after a point in time.
        Deadline { #[serde(rename = "endTime")] end_time: Timestamp },
        /// Fires for requests that match every given field.
        Request(Requests),
        /// Fires when another trigger does not.
        Not { trigger: Box<Trigger> },
        /// Fires when all `triggers` fire. Triggers after the first that does not fire are not
        /// evaluated.
        And { triggers: Vec<Trigger> },
        /// Fires when one of the `triggers` fires. Triggers after the first that fires are not
        /// evaluated.
        Or { triggers: Vec<Trigger> },
        /// Fires for every n-th request.
        Nth { n: Positive },
        /// Fires for a share of the requests that changes linearly from `from` to `to`, and then
        /// stays at `to`.
        Ramp { from: Percentage, to: Percentage, over: Duration },
        /// Fires from `from` to `to`, counted from the activation; `to` must be later than `from`.
        Window { from: Duration, to: Duration },
        /// Fires for clients of a network, by the address of the connection.
        Client { network: Network },
        /// Fires for a route, such as `/users/{id}`, or for a path if the router matched no route.
        Route { route: Text },
        /// Fires for requests with Envoy's fault headers (`x-envoy-fault-delay-request`,
        /// `x-envoy-fault-abort-request`, `x-envoy-fault-abort-grpc-request`,
        /// `x-envoy-fault-throughput-response`), for the percentages in these headers.
        Asked,
        /// Fires for responses by their status: `status`, or the range from `from` to `to`.
        Status(Statuses),
    }
}

/// Fields of a request.
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "chaos-api", derive(utoipa::ToSchema))]
#[serde(rename = "request")]
pub(in crate::chaos) struct Requests {
    /// The method, in any case.
    method: Option<Text>,
    /// The authority of the URI, or else the `host` header.
    host: Option<Pattern>,
    /// The path of the URI, not decoded.
    path: Option<Pattern>,
    /// Query parameters, decoded. One matching value of a repeated parameter is enough.
    queries: Option<BTreeMap<String, Pattern>>,
    /// Headers. One matching value of a repeated header is enough.
    headers: Option<BTreeMap<String, Pattern>>,
    /// A body of at most 64 KiB, in UTF-8.
    body: Option<Pattern>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "chaos-api", derive(utoipa::ToSchema))]
#[serde(rename = "status")]
pub(in crate::chaos) struct Statuses {
    status: Option<StatusCode>,
    from: Option<StatusCode>,
    to: Option<StatusCode>,
}

/// A row for each trigger.
#[rustfmt::skip]
impl TryFrom<Trigger> for model::trigger::Trigger {
    type Error = ParseDocumentError;

    fn try_from(trigger: Trigger) -> Result<Self, ParseDocumentError> {
        let all = |triggers| convert_all(triggers).map_err(|error| error.at("triggers"));
        Ok(match trigger {
            Trigger::Always => Self::always(),
            Trigger::Once { trigger: None } => Self::once(),
            Trigger::Once { trigger: Some(inner) } => Self::once_for((*inner).convert("trigger")?),
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
            Trigger::Window { .. } =>
                return invalid("to", "invalid window: expected `to` later than `from`"),
            Trigger::Client { network } => Self::client(network.0),
            Trigger::Route { route } => Self::route(route.0),
            Trigger::Asked => Self::envoy_fault_headers(),
            Trigger::Status(statuses) => Self::status(statuses.try_into()?),
        })
    }
}

/// A row for each trigger.
#[rustfmt::skip]
impl From<&model::trigger::Trigger> for Trigger {
    fn from(trigger: &model::trigger::Trigger) -> Self {
        let boxed = |trigger: &model::trigger::Trigger| Box::new(Self::from(trigger));
        let list = |triggers: &[_]| triggers.iter().map(Self::from).collect();
        match &trigger.0 {
            Kind::Always => Self::Always,
            Kind::Once { trigger, .. } => Self::Once { trigger: trigger.as_deref().map(boxed) },
            Kind::Percentage { percent, .. } =>
                Self::Percentage { percentage: Percentage(*percent) },
            Kind::Countdown { count, .. } => Self::Countdown { count: Count(*count) },
            Kind::Delay { period, .. } => Self::Delay { period: Duration(*period) },
            Kind::Deadline { end, .. } => Self::Deadline { end_time: Timestamp(*end) },
            Kind::Requests(requests) => Self::of_requests(requests),
            Kind::Not(trigger) => Self::Not { trigger: boxed(trigger) },
            Kind::And(triggers) => Self::And { triggers: list(triggers) },
            Kind::Or(triggers) => Self::Or { triggers: list(triggers) },
            Kind::Nth { n, .. } => Self::Nth { n: Positive(*n) },
            Kind::Ramp { from, to, over, .. } =>
                Self::Ramp { from: Percentage(*from), to: Percentage(*to), over: Duration(*over) },
            Kind::Window { from, to, .. } =>
                Self::Window { from: Duration(*from), to: Duration(*to) },
            Kind::Client(network) => Self::Client { network: Network(*network) },
            Kind::Route(route) => Self::Route { route: Text(route.clone()) },
            Kind::EnvoyFault => Self::Asked,
            Kind::Status(range) => Self::Status(Statuses {
                status: None,
                from: Some(StatusCode(*range.start())),
                to: Some(StatusCode(*range.end())),
            }),
        }
    }
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
            requests = checked("host", requests.host(host))?;
        }
        if let Some(Pattern(path)) = wanted.path {
            requests = checked("path", requests.path(path))?;
        }
        for (name, Pattern(value)) in wanted.queries.unwrap_or_default() {
            let query = checked(&name, requests.query(&*name, value));
            requests = query.map_err(|error| error.at("queries"))?;
        }
        for (name, Pattern(value)) in wanted.headers.unwrap_or_default() {
            let header = checked(&name, requests.header(&*name, value));
            requests = header.map_err(|error| error.at("headers"))?;
        }
        if let Some(Pattern(body)) = wanted.body {
            requests = checked("body", requests.body(body))?;
        }
        Ok(requests)
    }
}

fn checked<T>(step: &str, result: Result<T, InvalidPattern>) -> Result<T, ParseDocumentError> {
    result.or_else(|error| invalid(step, error))
}

impl Trigger {
    /// An object has one condition for each part: more of them are joined with `and`.
    fn of_requests(wanted: &request_pattern::Requests) -> Self {
        let mut all = vec![Requests::default()];
        for part in wanted.parts() {
            if !all.iter_mut().any(|requests| requests.add(part)) {
                let mut requests = Requests::default();
                requests.add(part);
                all.push(requests);
            }
        }
        if all.len() > 1 {
            let triggers = all.into_iter().map(Self::Request).collect();
            return Self::And { triggers };
        }
        Self::Request(all.pop().unwrap_or_default())
    }
}

impl Requests {
    /// Adds a condition. Returns false if there is one for that part.
    fn add(&mut self, part: &Part) -> bool {
        let of = |pattern: &request_pattern::Pattern| Pattern(pattern.to_string());
        match part {
            Part::Method(method) => set(&mut self.method, Text(method.clone())),
            Part::Host(pattern) => set(&mut self.host, of(pattern)),
            Part::Path(pattern) => set(&mut self.path, of(pattern)),
            Part::Body(pattern) => set(&mut self.body, of(pattern)),
            Part::Query(name, pattern) => insert(&mut self.queries, name, of(pattern)),
            Part::Header(name, pattern) => insert(&mut self.headers, name, of(pattern)),
        }
    }
}

fn set<T>(field: &mut Option<T>, value: T) -> bool {
    let is_free = field.is_none();
    field.get_or_insert(value);
    is_free
}

fn insert(field: &mut Option<BTreeMap<String, Pattern>>, name: &str, value: Pattern) -> bool {
    let members = field.get_or_insert_default();
    let is_free = !members.contains_key(name);
    members.entry(name.to_owned()).or_insert(value);
    is_free
}
