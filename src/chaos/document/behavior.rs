//! Behaviors of a document.

use std::{collections::BTreeMap, num::NonZeroU64, time};

use http::HeaderMap;
use serde::{Deserialize, Serialize, de};

use super::{
    ParseDocumentError, convert_all, invalid, required,
    value::{
        Count, Difference, Duration, Exponent, HeaderName, HeaderValue, Percentage, Positive,
        StatusCode, Text,
    },
};
use crate::chaos::model::{
    self,
    behavior::{Answer, Change, Destruction, Kind},
    connection::{ConnectionBehavior, Fault},
    decision::Affected,
    latency::Shape,
};

tagged! {
    /// What happens to a request, a response or a connection.
    #[serde(tag = "type", rename_all = "kebab-case")]
    enum Behavior, read by BehaviorReader as "Behavior", "behavior" {
        /// Waits before the request is passed on, or before the connection is made. The time is drawn anew each time.
        Latency(Latency),
        /// Panics, or fails with an error made of this message.
        Throw {
            /// The message.
            message: Text,
            /// What fails.
            on: Option<Target>,
        },
        /// Answers with a status and an empty body.
        Status {
            /// The status.
            status: StatusCode,
        },
        /// Answers with a response.
        Response {
            /// The status.
            status: StatusCode,
            /// The headers, by name.
            headers: Option<BTreeMap<String, HeaderValue>>,
            /// The body.
            body: Option<Text>,
        },
        /// Removes the body of the response.
        Body,
        /// Cuts the body of the response at a random place.
        Snip,
        /// Cuts the body of the request at a random place.
        #[serde(rename = "sniprequest")]
        SnipRequest,
        /// Passes the request, or makes the connection.
        None {
            /// What passes.
            on: Option<Target>,
        },
        /// Fills the memory of the process.
        Memory,
        /// Overflows the stack, which ends the process.
        Overflow,
        /// Ends the process.
        Kill,
        /// Calls the inner service, and then blocks the thread forever.
        Block,
        /// Never answers, or never connects.
        Never {
            /// What waits.
            on: Option<Target>,
        },
        /// Refuses the connection.
        Refuse {
            /// A connection.
            on: Option<OnlyConnection>,
        },
        /// Does what Envoy's fault headers ask for: a delay (`x-envoy-fault-delay-request`, in milliseconds) and a
        /// status (`x-envoy-fault-abort-request`).
        Asked {
            /// The longest delay.
            #[serde(rename = "atMost")]
            max: Duration,
        },
        /// Sets a header, in place of all of that name.
        SetHeader {
            /// The name.
            name: HeaderName,
            /// The new value.
            value: HeaderValue,
            /// The message; the response if absent.
            on: Option<Message>,
        },
        /// Removes a header.
        RemoveHeader {
            /// The name.
            name: HeaderName,
            /// The message; the response if absent.
            on: Option<Message>,
        },
        /// Replaces the bytes in the values of a header.
        GarbleHeader {
            /// The name.
            name: HeaderName,
            /// The message; the response if absent.
            on: Option<Message>,
        },
        /// Replaces a share of the bytes.
        Corrupt {
            /// The share, in percent.
            percentage: Percentage,
            /// What is corrupted.
            on: Option<Target>,
        },
        /// Cuts the data into small pieces, and passes them one at a time.
        Slice {
            /// Length of a piece, in bytes.
            bytes: Positive,
            /// Time between two pieces; none if absent.
            every: Option<Duration>,
            /// What is cut.
            on: Option<Target>,
        },
        /// Limits the bytes per second.
        Throttle {
            /// The limit.
            #[serde(rename = "bytesPerSecond")]
            bytes_per_second: Positive,
            /// What is limited.
            on: Option<Target>,
        },
        /// Stops after a number of bytes, without an end.
        Stall {
            /// Number of bytes that pass.
            after: Count,
            /// What stops.
            on: Option<Target>,
        },
        /// Breaks off after a number of bytes.
        Break {
            /// Number of bytes that pass.
            after: Count,
            /// What breaks off.
            on: Option<Target>,
        },
        /// Removes the trailers.
        DropTrailers {
            /// The message; the response if absent.
            on: Option<Message>,
        },
        /// Adds to `Content-Length`, so that it disagrees with the body.
        MisstateLength {
            /// The difference, in bytes.
            by: Difference,
            /// The message; the response if absent.
            on: Option<Message>,
        },
        /// Applies several behaviors: latencies add up, changes apply in order, and the first answer is sent. They
        /// are all about connections, or none of them is.
        All {
            /// The behaviors.
            #[serde(rename = "behaviours")]
            behaviors: Vec<Behavior>,
        },
    }
}

/// The time to wait, by its distribution.
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "chaos-api", derive(utoipa::ToSchema))]
#[serde(rename = "latency")]
pub(in crate::chaos) struct Latency {
    /// How the time is drawn; `uniform` if absent.
    distribution: Option<Distribution>,
    /// The shortest time (`uniform`, `pareto`).
    min: Option<Duration>,
    /// The longest time, no shorter than `min` (`uniform`).
    max: Option<Duration>,
    /// The time (`fixed`).
    time: Option<Duration>,
    /// The average (`normal`, `exponential`).
    mean: Option<Duration>,
    /// The standard deviation (`normal`).
    deviation: Option<Duration>,
    /// The exponent (`pareto`): the smaller it is, the longer the tail.
    shape: Option<Exponent>,
    /// The limit: longer times become this one.
    cap: Option<Duration>,
    /// What waits.
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

/// What a behavior affects; if absent the response, or the request where only that is possible.
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

type Model = model::behavior::Behavior;

impl TryFrom<Behavior> for Model {
    type Error = ParseDocumentError;

    fn try_from(behavior: Behavior) -> Result<Self, ParseDocumentError> {
        use ConnectionBehavior as Connection;
        Ok(match behavior {
            Behavior::Latency(latency) => {
                let on = latency.on;
                let latency = model::latency::Latency::try_from(latency)?;
                let connection = || Connection::latency(latency.clone());
                by_target(on, connection, |_| Self::latency(latency.clone()))
            }
            Behavior::Throw { message, on } => by_target(
                on,
                || Connection::throw(&*message.0),
                |_| Self::throw(&*message.0),
            ),
            Behavior::Status { status } => Self::status(status_code(&status)?),
            Behavior::Response {
                status,
                headers,
                body,
            } => Self(Kind::Answer(Answer {
                status: status_code(&status)?,
                headers: header_map(headers.unwrap_or_default())?,
                body: body.map_or_else(Default::default, |body| body.0.into()),
            })),
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
            Behavior::SetHeader { name, value, on } => {
                Self::set_header(message(on), name.0, value.0)
            }
            Behavior::RemoveHeader { name, on } => Self::remove_header(message(on), name.0),
            Behavior::GarbleHeader { name, on } => Self::garble_header(message(on), name.0),
            Behavior::Corrupt { percentage, on } => {
                let share = percentage.0;
                by_target(
                    on,
                    || Connection::corrupt(share),
                    |on| Self::corrupt(on, share),
                )
            }
            Behavior::Slice { bytes, every, on } => {
                let bytes = usize::try_from(bytes.0.get()).unwrap_or(usize::MAX);
                let every = every.map_or(time::Duration::ZERO, |every| every.0);
                let connection = || Connection::slice(bytes, every);
                by_target(on, connection, |on| Self::slice(on, bytes, every))
            }
            Behavior::Throttle {
                bytes_per_second: Positive(limit),
                on,
            } => by_target(
                on,
                || Connection::throttle(limit),
                |on| Self::throttle(on, limit),
            ),
            Behavior::Stall { after, on } => {
                let connection = || Connection::stall_after(after.0);
                by_target(on, connection, |on| Self::stall_after(on, after.0))
            }
            Behavior::Break { after, on } => {
                let connection = || Connection::break_after(after.0);
                by_target(on, connection, |on| Self::break_after(on, after.0))
            }
            Behavior::DropTrailers { on } => Self::drop_trailers(message(on)),
            Behavior::MisstateLength { by, on } => Self::misstate_length(message(on), by.0),
            Behavior::All { behaviors } => {
                all(behaviors).map_err(|error| error.at("behaviours"))?
            }
        })
    }
}

fn by_target(
    on: Option<Target>,
    connection: impl FnOnce() -> ConnectionBehavior,
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
            return invalid(&name, error).map_err(|error| error.at("headers"));
        };
        headers.append(parsed, value);
    }
    Ok(headers)
}

fn destroy(destruction: Destruction) -> Result<Model, ParseDocumentError> {
    if cfg!(feature = "chaos-destructive") {
        return Ok(Model {
            0: Kind::Destroy(destruction),
        });
    }
    invalid(
        "type",
        "unsupported behavior: it affects the whole process; build tower-traffic with the feature \
         `chaos-destructive`",
    )
}

fn all(behaviors: Vec<Behavior>) -> Result<Model, ParseDocumentError> {
    let mut all = convert_all(behaviors)?.into_iter().enumerate();
    let (_, first): (_, Model) = all.next().unwrap_or_else(|| (0, Model::none()));
    let affected = first.affects();
    all.try_fold(first, |all, (index, next)| {
        if next.affects() == affected {
            return Ok(all.and(next));
        }
        let error = match affected {
            Affected::Request => "invalid behavior: expected one for requests, as those before it",
            Affected::Connection => {
                "invalid behavior: expected one for connections, as those before it"
            }
        };
        Err(<ParseDocumentError as de::Error>::custom(error).at(index))
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

impl From<&Model> for Behavior {
    fn from(behavior: &Model) -> Self {
        match &behavior.0 {
            Kind::None => Self::None { on: None },
            Kind::Latency(latency) => Self::Latency(Latency::of(latency, None)),
            Kind::Throw(message) => Self::Throw {
                message: Text(message.clone()),
                on: None,
            },
            Kind::Status(status) => Self::Status {
                status: StatusCode(status.as_u16()),
            },
            Kind::Answer(answer) => Self::Response {
                status: StatusCode(answer.status.as_u16()),
                headers: Some(
                    answer
                        .headers
                        .iter()
                        .map(|(name, value)| (name.to_string(), HeaderValue(value.clone())))
                        .collect(),
                ),
                body: Some(Text(String::from_utf8_lossy(&answer.body).into_owned())),
            },
            Kind::NoBody => Self::Body,
            Kind::SnipBody => Self::Snip,
            Kind::SnipRequestBody => Self::SnipRequest,
            Kind::Destroy(Destruction::Memory) => Self::Memory,
            Kind::Destroy(Destruction::Overflow) => Self::Overflow,
            Kind::Destroy(Destruction::Kill) => Self::Kill,
            Kind::Destroy(Destruction::Block) => Self::Block,
            Kind::Never => Self::Never { on: None },
            Kind::EnvoyFault { max_delay } => Self::Asked {
                max: Duration(*max_delay),
            },
            Kind::Change { on, change } => Self::of_change(change, *on),
            Kind::All(all) => Self::All {
                behaviors: all.iter().map(Self::from).collect(),
            },
            Kind::Variable(variable) => Self::from(&variable.get()),
            Kind::Connection(connection) => match connection.0.as_slice() {
                [one] => Self::of_fault(one),
                all => Self::All {
                    behaviors: all.iter().map(Self::of_fault).collect(),
                },
            },
        }
    }
}

impl Behavior {
    fn of_change(change: &Change, on: model::behavior::Message) -> Self {
        let (target, on) = match on {
            model::behavior::Message::Request => (Some(Target::Request), Some(Message::Request)),
            model::behavior::Message::Response => (Some(Target::Response), Some(Message::Response)),
        };
        match change {
            Change::SetHeader(name, value) => Self::SetHeader {
                name: HeaderName(name.clone()),
                value: HeaderValue(value.clone()),
                on,
            },
            Change::RemoveHeader(name) => Self::RemoveHeader {
                name: HeaderName(name.clone()),
                on,
            },
            Change::GarbleHeader(name) => Self::GarbleHeader {
                name: HeaderName(name.clone()),
                on,
            },
            Change::Corrupt(percent) => Self::corrupt(*percent, target),
            Change::Slice { bytes, every } => Self::slice(*bytes, *every, target),
            Change::Throttle { bytes_per_second } => Self::throttle(*bytes_per_second, target),
            Change::StallAfter(bytes) => Self::stall(*bytes, target),
            Change::BreakAfter(bytes) => Self::r#break(*bytes, target),
            Change::DropTrailers => Self::DropTrailers { on },
            Change::MisstateLength(by) => Self::MisstateLength {
                by: Difference(*by),
                on,
            },
        }
    }

    fn of_fault(fault: &Fault) -> Self {
        let on = Some(Target::Connection);
        match fault {
            Fault::None => Self::None { on },
            Fault::Latency(latency) => Self::Latency(Latency::of(latency, on)),
            Fault::Never => Self::Never { on },
            Fault::Refuse => Self::Refuse {
                on: Some(OnlyConnection::Connection),
            },
            Fault::Throw(message) => Self::Throw {
                message: Text(message.clone()),
                on,
            },
            Fault::Corrupt(percent) => Self::corrupt(*percent, on),
            Fault::Slice { bytes, every } => Self::slice(*bytes, *every, on),
            Fault::Throttle { bytes_per_second } => Self::throttle(*bytes_per_second, on),
            Fault::StallAfter(bytes) => Self::stall(*bytes, on),
            Fault::BreakAfter(bytes) => Self::r#break(*bytes, on),
        }
    }
}

/// Behaviors that messages and connections have in common.
impl Behavior {
    fn corrupt(percent: f64, on: Option<Target>) -> Self {
        let percentage = Percentage(percent);
        Self::Corrupt { percentage, on }
    }

    fn slice(bytes: usize, every: time::Duration, on: Option<Target>) -> Self {
        let bytes = u64::try_from(bytes).ok().and_then(NonZeroU64::new);
        Self::Slice {
            bytes: Positive(bytes.unwrap_or(NonZeroU64::MIN)),
            every: Some(Duration(every)),
            on,
        }
    }

    fn throttle(limit: NonZeroU64, on: Option<Target>) -> Self {
        let bytes_per_second = Positive(limit);
        Self::Throttle {
            bytes_per_second,
            on,
        }
    }

    fn stall(bytes: u64, on: Option<Target>) -> Self {
        let after = Count(bytes);
        Self::Stall { after, on }
    }

    fn r#break(bytes: u64, on: Option<Target>) -> Self {
        let after = Count(bytes);
        Self::Break { after, on }
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
