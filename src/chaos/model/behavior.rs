//! `Behavior`: a fault.

use std::{fmt, num::NonZeroU64, sync::Arc, sync::RwLock, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header::CONTENT_TYPE};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::{
    connection::ConnectionBehavior, decision::Affected, latency::Latency, trigger::clamped,
};
use crate::util::sync::{read, write};

/// A fault: what happens to a request for which a [trigger](crate::chaos::Trigger) fires.
///
/// ```
/// use std::time::Duration;
///
/// use http::StatusCode;
/// use tower_traffic::chaos::{Behavior, Latency};
///
/// let slow = Behavior::latency(Latency::uniform(
///     Duration::from_millis(100)..=Duration::from_millis(300),
/// ));
/// assert_eq!(slow.to_string(), "Latency (range = PT0.1S to PT0.3S)");
/// // A delay, followed by a 503 response.
/// let down = slow.and(Behavior::status(StatusCode::SERVICE_UNAVAILABLE));
/// ```
///
/// A [`ConnectionBehavior`], a fault of a connection, converts into a `Behavior`.
#[must_use]
#[derive(Clone, Debug, PartialEq)]
pub struct Behavior(pub(in crate::chaos) Kind);

#[derive(Clone, Debug, PartialEq)]
pub(in crate::chaos) enum Kind {
    None,
    Latency(Latency),
    Throw(String),
    Status(StatusCode),
    Answer(Answer),
    GrpcStatus { status: u32, message: String },
    NoBody,
    SnipBody,
    SnipRequestBody,
    Destroy(Destruction),
    Never,
    EnvoyFault { max_delay: Duration },
    Change { on: Message, change: Change },
    All(Vec<Behavior>),
    Variable(Variable),
    Connection(ConnectionBehavior),
}

/// A response in place of the inner service's.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::chaos) struct Answer {
    pub(in crate::chaos) status: StatusCode,
    pub(in crate::chaos) headers: HeaderMap,
    pub(in crate::chaos) body: Bytes,
}

impl Answer {
    pub(in crate::chaos) fn of_status(status: StatusCode) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }

    /// Returns a response of gRPC whose only part is its head, which stands for the trailers.
    pub(in crate::chaos) fn of_grpc_status(status: u32, message: &str) -> Self {
        // "Percent-Encoded" in the specification of gRPC over HTTP/2.
        const ENCODED: AsciiSet = CONTROLS.add(b'%');
        let mut answer = Self::of_status(StatusCode::OK);
        let headers = &mut answer.headers;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(HeaderName::from_static("grpc-status"), status.into());
        let message = utf8_percent_encode(message, &ENCODED).to_string();
        if let Ok(message) = HeaderValue::try_from(message)
            && !message.is_empty()
        {
            headers.insert(HeaderName::from_static("grpc-message"), message);
        }
        answer
    }
}

/// The message to which a fault applies: the request or the response.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Message {
    /// The request, before the inner service receives it.
    Request,
    /// The response, before the caller sees it.
    #[default]
    Response,
}

/// A change to a passing message.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::chaos) enum Change {
    SetHeader(HeaderName, HeaderValue),
    RemoveHeader(HeaderName),
    GarbleHeader(HeaderName),
    /// Replaces this percentage of the bytes.
    Corrupt(f64),
    Slice {
        bytes: usize,
        every: Duration,
    },
    Throttle {
        bytes_per_second: NonZeroU64,
    },
    StallAfter(u64),
    BreakAfter(u64),
    DropTrailers,
    /// Adds this number to `Content-Length`.
    MisstateLength(i64),
}

/// A fault of the whole process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::chaos) enum Destruction {
    Memory,
    Overflow,
    Kill,
    Block,
}

/// A behavior that can be changed while it is in use. Clones share the behavior.
#[derive(Clone, Debug)]
pub struct Variable(Arc<RwLock<Behavior>>);

impl Variable {
    /// Creates a variable that begins with `behavior`.
    #[must_use]
    pub fn new(behavior: Behavior) -> Self {
        Self(Arc::new(RwLock::new(behavior)))
    }

    /// Replaces the behavior, for all clones.
    pub fn set(&self, behavior: Behavior) {
        *write(&self.0) = behavior;
    }

    pub(in crate::chaos) fn get(&self) -> Behavior {
        read(&self.0).clone()
    }
}

impl PartialEq for Variable {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl From<&Variable> for Behavior {
    fn from(variable: &Variable) -> Self {
        Self(Kind::Variable(variable.clone()))
    }
}

impl Behavior {
    /// Applies no fault. Later stages do not see the request.
    pub fn none() -> Self {
        Self(Kind::None)
    }

    /// Delays the request, or the response if the trigger needs the
    /// [response](crate::chaos::Trigger::status).
    pub fn latency(latency: Latency) -> Self {
        Self(Kind::Latency(latency))
    }

    /// Panics with `message`, which is the equivalent of an exception in http4k.
    ///
    /// With [`Chaos::with_error`](crate::chaos::Chaos::with_error), the service returns an error
    /// instead.
    pub fn throw(message: impl Into<String>) -> Self {
        Self(Kind::Throw(message.into()))
    }

    /// Responds with `status` and an empty body, without calling the inner service.
    pub fn status(status: StatusCode) -> Self {
        Self(Kind::Status(status))
    }

    /// Responds with `response`, without calling the inner service.
    pub fn response(response: http::Response<impl Into<Bytes>>) -> Self {
        let (parts, body) = response.into_parts();
        Self(Kind::Answer(Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.into(),
        }))
    }

    /// Responds as a gRPC server that fails with `status`, without calling the inner service: with
    /// the HTTP status 200, the headers `grpc-status` and `grpc-message`, and no body.
    ///
    /// `status` is a [status code of gRPC](https://grpc.io/docs/guides/status-codes/), such as 14
    /// for `UNAVAILABLE`. An empty `message` is left out.
    ///
    /// ```
    /// use tower_traffic::{Chaos, chaos::Behavior};
    ///
    /// let chaos = Chaos::on(Behavior::grpc_status(14, "try again later"));
    /// ```
    pub fn grpc_status(status: u32, message: impl Into<String>) -> Self {
        Self(Kind::GrpcStatus {
            status,
            message: message.into(),
        })
    }

    /// Removes the body of the response.
    pub fn no_body() -> Self {
        Self(Kind::NoBody)
    }

    /// Cuts the response body at a random length, and adjusts `Content-Length`.
    ///
    /// A body of unknown length is cut within its first 8 KiB, more often near the beginning; a
    /// body that ends before the cut is not changed.
    pub fn snip_body() -> Self {
        Self(Kind::SnipBody)
    }

    /// Cuts the request body at a random length, in the way in which [`snip_body`](Self::snip_body)
    /// cuts the response body.
    pub fn snip_request_body() -> Self {
        Self(Kind::SnipRequestBody)
    }

    /// Never responds: the caller waits until its own time-out.
    pub fn never() -> Self {
        Self(Kind::Never)
    }

    /// Applies the faults that the request's headers ask for, as Envoy's fault filter does.
    ///
    /// | header | fault |
    /// |---|---|
    /// | `x-envoy-fault-delay-request` | a delay in milliseconds, which is shortened to `max_delay` if it is longer |
    /// | `x-envoy-fault-abort-request` | the status of the response, from 200 to 599 |
    /// | `x-envoy-fault-abort-grpc-request` | the [gRPC status](Self::grpc_status) of the response |
    /// | `x-envoy-fault-throughput-response` | the rate of the response body, in KiB per second |
    ///
    /// `x-envoy-fault-delay-request-percentage`, `x-envoy-fault-abort-request-percentage` and
    /// `x-envoy-fault-throughput-response-percentage` limit a fault to that percentage of the
    /// requests, chosen by the seed. The trigger [of the same
    /// name](crate::chaos::Trigger::envoy_fault_headers) fires for requests to which at least one
    /// of the faults applies.
    pub fn envoy_fault_headers(max_delay: Duration) -> Self {
        Self(Kind::EnvoyFault { max_delay })
    }

    /// Sets the header `name` to `value`, in place of all values of that header.
    pub fn set_header(on: Message, name: HeaderName, value: HeaderValue) -> Self {
        Self::change(on, Change::SetHeader(name, value))
    }

    /// Removes the header `name`.
    pub fn remove_header(on: Message, name: HeaderName) -> Self {
        Self::change(on, Change::RemoveHeader(name))
    }

    /// Replaces every character in the values of the header `name` by another random character.
    pub fn garble_header(on: Message, name: HeaderName) -> Self {
        Self::change(on, Change::GarbleHeader(name))
    }

    /// Replaces `percent` percent of the bytes of a body, each by another byte.
    ///
    /// `percent` is clamped to 0 to 100; NaN counts as 0.
    pub fn corrupt(on: Message, percent: f64) -> Self {
        Self::change(on, Change::Corrupt(clamped(percent)))
    }

    /// Cuts a body into frames of at most `bytes` bytes, and passes one frame in each interval of
    /// `every`.
    ///
    /// A `bytes` of 0 counts as 1. If `every` is zero, the frames pass without a delay.
    pub fn slice(on: Message, bytes: usize, every: Duration) -> Self {
        let bytes = bytes.max(1);
        Self::change(on, Change::Slice { bytes, every })
    }

    /// Limits the rate of a body to `bytes_per_second`.
    pub fn throttle(on: Message, bytes_per_second: NonZeroU64) -> Self {
        Self::change(on, Change::Throttle { bytes_per_second })
    }

    /// Passes `bytes` bytes of a body, and then no more bytes. The body does not end.
    pub fn stall_after(on: Message, bytes: u64) -> Self {
        Self::change(on, Change::StallAfter(bytes))
    }

    /// Aborts a body after `bytes` bytes, with an [`InjectedError`](crate::chaos::InjectedError).
    ///
    /// Over HTTP/1 the connection is closed, over HTTP/2 the stream is reset, 100 ms after the last
    /// byte, so that this byte can arrive. A body of exactly `bytes` bytes is aborted as well,
    /// where the protocol can tell: over HTTP/1 a body with `Content-Length` is complete by then,
    /// and a body without a length over HTTP/1.0 always ends with the connection.
    pub fn break_after(on: Message, bytes: u64) -> Self {
        Self::change(on, Change::BreakAfter(bytes))
    }

    /// Removes the trailers of a body.
    pub fn drop_trailers(on: Message) -> Self {
        Self::change(on, Change::DropTrailers)
    }

    /// Adds `by` to `Content-Length`, without changing the body.
    ///
    /// If the length of the body is unknown, the message is not changed. Over HTTP/1 the body ends
    /// where `Content-Length` says: a shorter body is cut off, and after a longer one the
    /// connection is closed. Over HTTP/2 the receiver notices the difference.
    pub fn misstate_length(on: Message, by: i64) -> Self {
        Self::change(on, Change::MisstateLength(by))
    }

    /// Combines two behaviors.
    ///
    /// Latencies add up, changes apply in order, and the first of several responses is sent. A
    /// behavior of requests and a [`ConnectionBehavior`] cannot be combined: `other` is ignored.
    pub fn and(self, other: Self) -> Self {
        let mut all = match (self.0, &other.0) {
            (Kind::Connection(this), Kind::Connection(other)) => {
                return this.and(other.clone()).into();
            }
            (this @ Kind::Connection(_), _) | (this, Kind::Connection(_)) => return Self(this),
            (Kind::All(all), _) => all,
            (one, _) => vec![Self(one)],
        };
        match other.0 {
            Kind::All(others) => all.extend(others),
            one => all.push(Self(one)),
        }
        Self(Kind::All(all))
    }

    /// Returns whether the behavior is for requests or for connections.
    #[inline]
    pub(in crate::chaos) fn affects(&self) -> Affected {
        match &self.0 {
            Kind::Connection(_) => Affected::Connection,
            Kind::Variable(variable) => read(&variable.0).affects(),
            _ => Affected::Request,
        }
    }

    /// Returns the part of the behavior that applies to connections; `None` if there is none.
    #[cfg(feature = "chaos-connect")]
    pub(in crate::chaos) fn connection(&self) -> Option<ConnectionBehavior> {
        match &self.0 {
            Kind::Connection(behavior) => Some(behavior.clone()),
            Kind::Variable(variable) => variable.get().connection(),
            _ => None,
        }
    }

    fn change(on: Message, change: Change) -> Self {
        Self(Kind::Change { on, change })
    }

    /// Allocates memory until none is left.
    #[cfg(feature = "chaos-destructive")]
    pub fn eat_memory() -> Self {
        Self(Kind::Destroy(Destruction::Memory))
    }

    /// Overflows the stack, which aborts the process.
    #[cfg(feature = "chaos-destructive")]
    pub fn stack_overflow() -> Self {
        Self(Kind::Destroy(Destruction::Overflow))
    }

    /// Exits the process with status 1.
    #[cfg(feature = "chaos-destructive")]
    pub fn kill_process() -> Self {
        Self(Kind::Destroy(Destruction::Kill))
    }

    /// Calls the inner service, then blocks the thread for ever.
    #[cfg(feature = "chaos-destructive")]
    pub fn block_thread() -> Self {
        Self(Kind::Destroy(Destruction::Block))
    }

    /// Returns the name of the behavior in statistics and documents.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match &self.0 {
            Kind::None => "none",
            Kind::Latency(_) => "latency",
            Kind::Throw(_) => "throw",
            Kind::Status(_) => "status",
            Kind::Answer(_) => "response",
            Kind::GrpcStatus { .. } => "grpc-status",
            Kind::NoBody => "body",
            Kind::SnipBody => "snip",
            Kind::SnipRequestBody => "sniprequest",
            Kind::Destroy(Destruction::Memory) => "memory",
            Kind::Destroy(Destruction::Overflow) => "overflow",
            Kind::Destroy(Destruction::Kill) => "kill",
            Kind::Destroy(Destruction::Block) => "block",
            Kind::Never => "never",
            Kind::EnvoyFault { .. } => "asked",
            Kind::Change { change, .. } => change.name(),
            Kind::All(_) => "all",
            Kind::Variable(_) => "variable",
            Kind::Connection(behavior) => behavior.name(),
        }
    }
}

impl Change {
    pub(in crate::chaos) fn name(&self) -> &'static str {
        match self {
            Self::SetHeader(..) => "set-header",
            Self::RemoveHeader(_) => "remove-header",
            Self::GarbleHeader(_) => "garble-header",
            Self::Corrupt(_) => "corrupt",
            Self::Slice { .. } => "slice",
            Self::Throttle { .. } => "throttle",
            Self::StallAfter(_) => "stall",
            Self::BreakAfter(_) => "break",
            Self::DropTrailers => "drop-trailers",
            Self::MisstateLength(_) => "misstate-length",
        }
    }
}

/// Writes the behavior in http4k's words, or in similar ones if http4k does not have the behavior.
impl fmt::Display for Behavior {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::None => f.write_str("None"),
            Kind::Latency(latency) => write!(f, "Latency {latency}"),
            Kind::Throw(message) => write!(f, "ThrowException RuntimeException {message}"),
            Kind::Status(status) => write!(f, "ReturnStatus ({})", status.as_u16()),
            Kind::Answer(answer) => write!(f, "ReturnResponse({})", answer.status.as_u16()),
            Kind::GrpcStatus { status, .. } => write!(f, "ReturnGrpcStatus ({status})"),
            Kind::NoBody | Kind::SnipBody => f.write_str("SnipBody"),
            Kind::SnipRequestBody => f.write_str("SnipRequestBody"),
            Kind::Destroy(Destruction::Memory) => f.write_str("EatMemory"),
            Kind::Destroy(Destruction::Overflow) => f.write_str("StackOverflow"),
            Kind::Destroy(Destruction::Kill) => f.write_str("KillProcess"),
            Kind::Destroy(Destruction::Block) => f.write_str("BlockThread"),
            Kind::Never => f.write_str("NeverAnswer"),
            Kind::EnvoyFault { max_delay } => {
                write!(f, "Asked (at most {})", super::duration::Iso(*max_delay))
            }
            Kind::Change { on, change } => match on {
                Message::Request => write!(f, "{change} of the request"),
                Message::Response => change.fmt(f),
            },
            Kind::All(all) => {
                for (index, one) in all.iter().enumerate() {
                    if index > 0 {
                        f.write_str(" and ")?;
                    }
                    one.fmt(f)?;
                }
                Ok(())
            }
            Kind::Variable(variable) => variable.get().fmt(f),
            Kind::Connection(behavior) => behavior.fmt(f),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Without the value, which may be a secret.
            Self::SetHeader(name, _) => write!(f, "SetHeader ({name})"),
            Self::RemoveHeader(name) => write!(f, "RemoveHeader ({name})"),
            Self::GarbleHeader(name) => write!(f, "GarbleHeader ({name})"),
            Self::Corrupt(percent) => write!(f, "CorruptBody ({percent}%)"),
            Self::Slice { bytes, every } => {
                let every = super::duration::Iso(*every);
                write!(f, "SliceBody ({bytes}b every {every})")
            }
            Self::Throttle { bytes_per_second } => {
                write!(f, "ThrottleBody ({bytes_per_second}b a second)")
            }
            Self::StallAfter(bytes) => write!(f, "StallBody (after {bytes}b)"),
            Self::BreakAfter(bytes) => write!(f, "BreakBody (after {bytes}b)"),
            Self::DropTrailers => f.write_str("DropTrailers"),
            Self::MisstateLength(by) => write!(f, "MisstateLength ({by:+}b)"),
        }
    }
}
