//! Behaviors of a document.

use std::{collections::BTreeMap, num::NonZeroU64, time};

use bytes::Bytes;
use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::{
    ParseDocumentError, convert_all,
    decision::plural,
    invalid, required,
    value::{
        Count, Difference, Duration, Exponent, GrpcCode, HeaderName, HeaderValue, Percentage,
        Positive, StatusCode, Text,
    },
};
use crate::chaos::model::{
    self,
    behavior::{Answer, Behavior as Model, Change, Destruction, Kind},
    connection::{ConnectionBehavior as Connection, Fault},
    latency::Shape,
};

tagged! {
    /// A fault, which affects a request, a response or a connection.
    #[serde(tag = "type", rename_all = "kebab-case")]
    enum Behavior, read by BehaviorReader as "Behavior", "behavior" {
        /// Waits before the request is passed on, or before the connection is made.
        Latency(Latency),
        /// Panics, or fails with an error made of the message.
        Throw { message: Text, on: Option<Target> },
        /// Responds with a status and an empty body.
        Status { status: StatusCode },
        /// Responds with the given status, headers and body.
        Response {
            status: StatusCode,
            headers: Option<BTreeMap<String, HeaderValue>>,
            body: Option<Text>,
        },
        /// Responds as a gRPC server that fails: with status 200, `grpc-status` and
        /// `grpc-message`, and no body.
        GrpcStatus { status: GrpcCode, message: Option<Text> },
        /// Removes the body of the response.
        Body,
        /// Cuts the body of the response at a random place.
        Snip,
        /// Cuts the body of the request at a random place.
        #[serde(rename = "sniprequest")]
        SnipRequest,
        /// Passes the request, or makes the connection.
        None { on: Option<Target> },
        /// Fills the memory of the process.
        Memory,
        /// Overflows the stack, which ends the process.
        Overflow,
        /// Ends the process.
        Kill,
        /// Calls the inner service, and then blocks the thread forever.
        Block,
        /// Never completes: no response to the request, or no connection.
        Never { on: Option<Target> },
        /// Refuses the connection.
        Refuse { on: Option<OnlyConnection> },
        /// Applies the faults in Envoy's request headers: a delay (`x-envoy-fault-delay-request`,
        /// in milliseconds, up to `atMost`), a status (`x-envoy-fault-abort-request` or
        /// `x-envoy-fault-abort-grpc-request`) and a rate (`x-envoy-fault-throughput-response`, in
        /// KiB per second), each for the percentage in its own header.
        Asked { #[serde(rename = "atMost")] max: Duration },
        /// Sets a header, and removes other headers of the same name.
        SetHeader { name: HeaderName, value: HeaderValue, on: Option<Message> },
        /// Removes a header.
        RemoveHeader { name: HeaderName, on: Option<Message> },
        /// Replaces the bytes in the values of a header.
        GarbleHeader { name: HeaderName, on: Option<Message> },
        /// Replaces a percentage of the bytes.
        Corrupt { percentage: Percentage, on: Option<Target> },
        /// Cuts the data into pieces of this many bytes, and passes one piece per `every`.
        Slice { bytes: Positive, every: Option<Duration>, on: Option<Target> },
        /// Limits the bytes per second.
        Throttle {
            #[serde(rename = "bytesPerSecond")]
            bytes_per_second: Positive,
            on: Option<Target>,
        },
        /// Stops after a number of bytes, without an end.
        Stall { after: Count, on: Option<Target> },
        /// Breaks off after a number of bytes.
        Break { after: Count, on: Option<Target> },
        /// Removes the trailers.
        DropTrailers { on: Option<Message> },
        /// Adds `by` to `Content-Length`, so that it disagrees with the body.
        MisstateLength { by: Difference, on: Option<Message> },
        /// Applies several behaviors: latencies add up, changes apply in order, and the first
        /// response is sent. Either all behaviors are for connections, or none.
        All { #[serde(rename = "behaviours")] behaviors: Vec<Behavior> },
    }
}

/// The time to wait, by its distribution.
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "chaos-api", derive(utoipa::ToSchema))]
#[serde(rename = "latency")]
pub(in crate::chaos) struct Latency {
    /// Absent: `uniform`.
    distribution: Option<Distribution>,
    min: Option<Duration>,
    max: Option<Duration>,
    time: Option<Duration>,
    mean: Option<Duration>,
    /// The standard deviation.
    deviation: Option<Duration>,
    /// The shape of the distribution; a smaller shape has a longer tail.
    shape: Option<Exponent>,
    /// The maximum; longer times are reduced to the maximum.
    cap: Option<Duration>,
    on: Option<Target>,
}

/// A distribution of times.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "chaos-api", derive(utoipa::ToSchema))]
#[serde(rename = "distribution", rename_all = "lowercase")]
pub(in crate::chaos) enum Distribution {
    Uniform,
    Fixed,
    Normal,
    Exponential,
    Pareto,
}

/// The target of a behavior; if absent the response, or the request where only that is possible.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "chaos-api", derive(utoipa::ToSchema))]
#[serde(rename = "on", rename_all = "lowercase")]
pub(in crate::chaos) enum Target {
    Response,
    Request,
    Connection,
}

/// A message that a behavior changes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "chaos-api", derive(utoipa::ToSchema))]
#[serde(rename = "on", rename_all = "lowercase")]
pub(in crate::chaos) enum Message {
    Response,
    Request,
}

/// A connection, which alone can be refused.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "chaos-api", derive(utoipa::ToSchema))]
#[serde(rename = "on", rename_all = "lowercase")]
pub(in crate::chaos) enum OnlyConnection {
    Connection,
}

/// A row for each behavior.
#[rustfmt::skip]
impl TryFrom<Behavior> for Model {
    type Error = ParseDocumentError;

    fn try_from(behavior: Behavior) -> Result<Self, ParseDocumentError> {
        Ok(match behavior {
            Behavior::Latency(latency) => {
                let (on, drawn) = (latency.on, model::latency::Latency::try_from(latency)?);
                let connection = || Connection::latency(drawn.clone());
                by_target(on, connection, |_| Self::latency(drawn.clone()))
            }
            Behavior::Throw { message: Text(text), on } =>
                by_target(on, || Connection::throw(&*text), |_| Self::throw(&*text)),
            Behavior::Status { status } => Self::status(status_code(&status)?),
            Behavior::Response { status, headers, body } => Self(Kind::Answer(Answer {
                status: status_code(&status)?,
                headers: header_map(headers.unwrap_or_default())?,
                body: body.map_or_else(Bytes::new, |body| body.0.into()),
            })),
            Behavior::GrpcStatus { status: GrpcCode(status), message } =>
                Self::grpc_status(status, message.map_or_else(String::new, |message| message.0)),
            Behavior::Body => Self::no_body(),
            Behavior::Snip => Self::snip_body(),
            Behavior::SnipRequest => Self::snip_request_body(),
            Behavior::None { on } => by_target(on, Connection::none, |_| Self::none()),
            Behavior::Memory => destroy(Destruction::Memory)?,
            Behavior::Overflow => destroy(Destruction::Overflow)?,
            Behavior::Kill => destroy(Destruction::Kill)?,
            Behavior::Block => destroy(Destruction::Block)?,
            Behavior::Never { on } => by_target(on, Connection::never, |_| Self::never()),
            Behavior::Refuse { .. } => Connection::refuse().into(),
            Behavior::Asked { max } => Self::envoy_fault_headers(max.0),
            Behavior::SetHeader { name, value, on } =>
                Self::set_header(message(on), name.0, value.0),
            Behavior::RemoveHeader { name, on } => Self::remove_header(message(on), name.0),
            Behavior::GarbleHeader { name, on } => Self::garble_header(message(on), name.0),
            Behavior::Corrupt { percentage: Percentage(share), on } =>
                by_target(on, || Connection::corrupt(share), |on| Self::corrupt(on, share)),
            Behavior::Slice { bytes, every, on } => {
                let bytes = usize::try_from(bytes.0.get()).unwrap_or(usize::MAX);
                let every = every.map_or(time::Duration::ZERO, |every| every.0);
                let connection = || Connection::slice(bytes, every);
                by_target(on, connection, |on| Self::slice(on, bytes, every))
            }
            Behavior::Throttle { bytes_per_second: Positive(limit), on } =>
                by_target(on, || Connection::throttle(limit), |on| Self::throttle(on, limit)),
            Behavior::Stall { after: Count(bytes), on } =>
                by_target(on, || Connection::stall_after(bytes), |on| Self::stall_after(on, bytes)),
            Behavior::Break { after: Count(bytes), on } =>
                by_target(on, || Connection::break_after(bytes), |on| Self::break_after(on, bytes)),
            Behavior::DropTrailers { on } => Self::drop_trailers(message(on)),
            Behavior::MisstateLength { by, on } => Self::misstate_length(message(on), by.0),
            Behavior::All { behaviors } => all(behaviors).map_err(|error| error.at("behaviours"))?,
        })
    }
}

fn by_target(
    on: Option<Target>,
    connection: impl FnOnce() -> Connection,
    message: impl FnOnce(model::behavior::Message) -> Model,
) -> Model {
    match on {
        Some(Target::Connection) => connection().into(),
        Some(Target::Request) => message(model::behavior::Message::Request),
        Some(Target::Response) | None => message(model::behavior::Message::Response),
    }
}

fn message(on: Option<Message>) -> model::behavior::Message {
    match on {
        Some(Message::Request) => model::behavior::Message::Request,
        Some(Message::Response) | None => model::behavior::Message::Response,
    }
}

fn status_code(status: &StatusCode) -> Result<http::StatusCode, ParseDocumentError> {
    http::StatusCode::from_u16(status.0).or_else(|error| invalid("status", error))
}

fn header_map(fields: BTreeMap<String, HeaderValue>) -> Result<HeaderMap, ParseDocumentError> {
    let mut headers = HeaderMap::new();
    for (name, HeaderValue(value)) in fields {
        let Ok(parsed) = name.parse::<http::HeaderName>() else {
            let error = format!("invalid header name: expected a token (RFC 9110), found `{name}`");
            return invalid(&*name, error).map_err(|error| error.at("headers"));
        };
        if headers.contains_key(&parsed) {
            let error = "duplicate header name: expected each name once, in any case";
            return invalid(&*name, error).map_err(|error| error.at("headers"));
        }
        headers.append(parsed, value);
    }
    Ok(headers)
}

fn destroy(destruction: Destruction) -> Result<Model, ParseDocumentError> {
    if cfg!(feature = "chaos-destructive") {
        return Ok(Model(Kind::Destroy(destruction)));
    }
    let reason = "unsupported behavior: needs the feature `chaos-destructive` of tower-traffic";
    invalid("type", reason)
}

fn all(behaviors: Vec<Behavior>) -> Result<Model, ParseDocumentError> {
    let mut all = convert_all(behaviors)?.into_iter().enumerate();
    let (_, first): (_, Model) = all.next().unwrap_or_else(|| (0, Model::none()));
    let affected = first.affects();
    all.try_fold(first, |all, (index, next)| {
        if next.affects() == affected {
            return Ok(all.and(next));
        }
        let expected = plural(affected);
        invalid(
            index,
            format!("invalid behavior: expected one for {expected}, as before it"),
        )
    })
}

impl TryFrom<Latency> for model::latency::Latency {
    type Error = ParseDocumentError;

    fn try_from(latency: Latency) -> Result<Self, ParseDocumentError> {
        let time = |time, field| required(time, field, "duration").map(|Duration(time)| time);
        let min = |min| time(min, "min");
        let mean = |mean| time(mean, "mean");
        let drawn = match latency.distribution.unwrap_or(Distribution::Uniform) {
            Distribution::Uniform => {
                let (min, max) = (min(latency.min)?, time(latency.max, "max")?);
                if max < min {
                    return invalid("max", "invalid duration: expected `min` or longer");
                }
                Self::uniform(min..=max)
            }
            Distribution::Fixed => Self::fixed(time(latency.time, "time")?),
            Distribution::Normal => {
                Self::normal(mean(latency.mean)?, time(latency.deviation, "deviation")?)
            }
            Distribution::Exponential => Self::exponential(mean(latency.mean)?),
            Distribution::Pareto => Self::pareto(
                min(latency.min)?,
                required(latency.shape, "shape", "exponent")?.0,
            ),
        };
        Ok(match latency.cap {
            Some(Duration(cap)) => drawn.max(cap),
            None => drawn,
        })
    }
}

/// A row for each behavior.
#[rustfmt::skip]
impl From<&Model> for Behavior {
    fn from(behavior: &Model) -> Self {
        match &behavior.0 {
            Kind::None => Self::None { on: None },
            Kind::Latency(latency) => Self::Latency(Latency::of(latency, None)),
            Kind::Throw(message) => Self::Throw { message: Text(message.clone()), on: None },
            Kind::Status(status) => Self::Status { status: StatusCode(status.as_u16()) },
            Kind::Answer(answer) => Self::Response {
                status: StatusCode(answer.status.as_u16()),
                headers: Some(answer.headers.iter()
                    .map(|(name, value)| (name.to_string(), HeaderValue(value.clone())))
                    .collect()),
                body: Some(Text(String::from_utf8_lossy(&answer.body).into_owned())),
            },
            Kind::GrpcStatus { status, message } => Self::GrpcStatus {
                status: GrpcCode(*status),
                message: (!message.is_empty()).then(|| Text(message.clone())),
            },
            Kind::NoBody => Self::Body,
            Kind::SnipBody => Self::Snip,
            Kind::SnipRequestBody => Self::SnipRequest,
            Kind::Destroy(Destruction::Memory) => Self::Memory,
            Kind::Destroy(Destruction::Overflow) => Self::Overflow,
            Kind::Destroy(Destruction::Kill) => Self::Kill,
            Kind::Destroy(Destruction::Block) => Self::Block,
            Kind::Never => Self::Never { on: None },
            Kind::EnvoyFault { max_delay } => Self::Asked { max: Duration(*max_delay) },
            Kind::Change { on, change } => Self::of_change(change, *on),
            Kind::All(all) => Self::All { behaviors: all.iter().map(Self::from).collect() },
            Kind::Variable(variable) => Self::from(&variable.get()),
            Kind::Connection(Connection(faults)) => match &**faults {
                [one] => Self::of_fault(one),
                all => Self::All { behaviors: all.iter().map(Self::of_fault).collect() },
            },
        }
    }
}

/// A row for each behavior of messages and of connections, with those that both have at the end.
#[rustfmt::skip]
impl Behavior {
    fn of_change(change: &Change, on: model::behavior::Message) -> Self {
        let (target, on) = match on {
            model::behavior::Message::Request => (Some(Target::Request), Some(Message::Request)),
            model::behavior::Message::Response => (Some(Target::Response), Some(Message::Response)),
        };
        match change {
            Change::SetHeader(name, value) => {
                let (name, value) = (HeaderName(name.clone()), HeaderValue(value.clone()));
                Self::SetHeader { name, value, on }
            }
            Change::RemoveHeader(name) => Self::RemoveHeader { name: HeaderName(name.clone()), on },
            Change::GarbleHeader(name) => Self::GarbleHeader { name: HeaderName(name.clone()), on },
            Change::DropTrailers => Self::DropTrailers { on },
            Change::MisstateLength(by) => Self::MisstateLength { by: Difference(*by), on },
            Change::Corrupt(percent) => Self::corrupt(*percent, target),
            Change::Slice { bytes, every } => Self::slice(*bytes, *every, target),
            Change::Throttle { bytes_per_second } => Self::throttle(*bytes_per_second, target),
            Change::StallAfter(bytes) => Self::Stall { after: Count(*bytes), on: target },
            Change::BreakAfter(bytes) => Self::Break { after: Count(*bytes), on: target },
        }
    }

    fn of_fault(fault: &Fault) -> Self {
        let on = Some(Target::Connection);
        match fault {
            Fault::None => Self::None { on },
            Fault::Latency(latency) => Self::Latency(Latency::of(latency, on)),
            Fault::Never => Self::Never { on },
            Fault::Refuse => Self::Refuse { on: Some(OnlyConnection::Connection) },
            Fault::Throw(message) => Self::Throw { message: Text(message.clone()), on },
            Fault::Corrupt(percent) => Self::corrupt(*percent, on),
            Fault::Slice { bytes, every } => Self::slice(*bytes, *every, on),
            Fault::Throttle { bytes_per_second } => Self::throttle(*bytes_per_second, on),
            Fault::StallAfter(bytes) => Self::Stall { after: Count(*bytes), on },
            Fault::BreakAfter(bytes) => Self::Break { after: Count(*bytes), on },
        }
    }

    fn corrupt(percent: f64, on: Option<Target>) -> Self {
        Self::Corrupt { percentage: Percentage(percent), on }
    }

    fn slice(bytes: usize, every: time::Duration, on: Option<Target>) -> Self {
        let bytes = u64::try_from(bytes).ok().and_then(NonZeroU64::new).unwrap_or(NonZeroU64::MIN);
        Self::Slice { bytes: Positive(bytes), every: Some(Duration(every)), on }
    }

    fn throttle(limit: NonZeroU64, on: Option<Target>) -> Self {
        Self::Throttle { bytes_per_second: Positive(limit), on }
    }
}

impl Latency {
    fn of(latency: &model::latency::Latency, on: Option<Target>) -> Self {
        let mut written = Self {
            cap: latency.cap.map(Duration),
            on,
            ..Self::default()
        };
        match latency.shape {
            // http4k has no `distribution`.
            Shape::Uniform { min, max } => {
                (written.min, written.max) = (Some(Duration(min)), Some(Duration(max)));
            }
            Shape::Normal { mean, deviation } => {
                written.distribution = Some(Distribution::Normal);
                written.mean = Some(Duration(mean));
                written.deviation = Some(Duration(deviation));
            }
            Shape::Exponential { mean } => {
                written.distribution = Some(Distribution::Exponential);
                written.mean = Some(Duration(mean));
            }
            Shape::Pareto { min, shape } => {
                written.distribution = Some(Distribution::Pareto);
                written.min = Some(Duration(min));
                written.shape = Some(Exponent(shape));
            }
        }
        written
    }
}
