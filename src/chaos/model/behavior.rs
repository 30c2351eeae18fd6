//! What happens.

use std::{fmt, num::NonZeroU64, sync::Arc, sync::RwLock, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::{
    connection::ConnectionBehavior, decision::Affected, latency::Latency, trigger::clamped,
};
use crate::util::sync::{read, write};

/// What happens to a request for which a [trigger](crate::chaos::Trigger) fires.
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
/// // Both: late, and then this.
/// let down = slow.and(Behavior::status(StatusCode::SERVICE_UNAVAILABLE));
/// ```
///
/// It may also be about connections, as a [`ConnectionBehavior`] is.
#[derive(Clone, Debug, PartialEq)]
pub struct Behavior(pub(in crate::chaos) Kind);

#[derive(Clone, Debug, PartialEq)]
pub(in crate::chaos) enum Kind {
    None,
    Latency(Latency),
    Throw(String),
    Status(StatusCode),
    Answer(Answer),
    NoBody,
    SnipBody,
    SnipRequestBody,
    Destroy(Destruction),
    Never,
    Asked { at_most: Duration },
    Change { on: Message, change: Change },
    All(Vec<Behavior>),
    Variable(Variable),
    Connection(ConnectionBehavior),
}

/// A response of the chaos's own.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::chaos) struct Answer {
    pub(in crate::chaos) status: StatusCode,
    pub(in crate::chaos) headers: HeaderMap,
    pub(in crate::chaos) body: Bytes,
}

/// Which of the two messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Message {
    /// The request, before the service inside sees it.
    Request,
    /// The response, before the caller sees it.
    #[default]
    Response,
}

/// What is done to a message while it passes.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::chaos) enum Change {
    SetHeader(HeaderName, HeaderValue),
    RemoveHeader(HeaderName),
    GarbleHeader(HeaderName),
    /// So many of a hundred bytes, each replaced by another.
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
    /// `Content-Length` says so many bytes more, or fewer, than there are.
    MisstateLength(i64),
}

/// What hurts the whole process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::chaos) enum Destruction {
    Memory,
    Overflow,
    Kill,
    Block,
}

/// A behavior that can be changed while it is in use. Clones share it.
#[derive(Clone, Debug)]
pub struct Variable(Arc<RwLock<Behavior>>);

impl Variable {
    /// Begins with this one.
    pub fn new(behavior: Behavior) -> Self {
        Self(Arc::new(RwLock::new(behavior)))
    }

    /// Is this one from now on.
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
    /// Nothing, and no other either: the request passes.
    pub fn none() -> Self {
        Self(Kind::None)
    }

    /// Waits before the request is passed on, or, where it is
    /// [decided](crate::chaos::Trigger::status) by the response, before that is.
    pub fn latency(latency: Latency) -> Self {
        Self(Kind::Latency(latency))
    }

    /// Panics with this message, which is what an exception is to a server; or fails with the error that
    /// [`Chaos::with_error`](crate::chaos::Chaos::with_error) makes of it.
    pub fn throw(message: impl Into<String>) -> Self {
        Self(Kind::Throw(message.into()))
    }

    /// Answers with this status and nothing else; the service inside is not asked.
    pub fn status(status: StatusCode) -> Self {
        Self(Kind::Status(status))
    }

    /// Answers with this; the service inside is not asked.
    pub fn response(response: http::Response<impl Into<Bytes>>) -> Self {
        let (parts, body) = response.into_parts();
        Self(Kind::Answer(Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.into(),
        }))
    }

    /// The response without its body.
    pub fn no_body() -> Self {
        Self(Kind::NoBody)
    }

    /// The response with its body cut, somewhere, and with a `Content-Length` that agrees. One of unknown
    /// length is cut within its first 8 KiB, more often near its beginning; what is shorter stays whole.
    pub fn snip_body() -> Self {
        Self(Kind::SnipBody)
    }

    /// The request with its body cut, as that of a response is ([`snip_body`](Self::snip_body)).
    pub fn snip_request_body() -> Self {
        Self(Kind::SnipRequestBody)
    }

    /// Never answers: the request waits until its caller gives up.
    pub fn never() -> Self {
        Self(Kind::Never)
    }

    /// What the request asks for, as Envoy's does: a delay (`x-envoy-fault-delay-request`, in
    /// milliseconds), and a status to be answered with (`x-envoy-fault-abort-request`, 200 to 599). No
    /// longer than this.
    pub fn envoy_fault_headers(at_most: Duration) -> Self {
        Self(Kind::Asked { at_most })
    }

    /// Sets a header field, in place of all of that name.
    pub fn set_header(on: Message, name: HeaderName, value: HeaderValue) -> Self {
        Self::change(on, Change::SetHeader(name, value))
    }

    /// Takes a header field away.
    pub fn remove_header(on: Message, name: HeaderName) -> Self {
        Self::change(on, Change::RemoveHeader(name))
    }

    /// Replaces the bytes of a header field's values by others, of which values may be made.
    pub fn garble_header(on: Message, name: HeaderName) -> Self {
        Self::change(on, Change::GarbleHeader(name))
    }

    /// Replaces so many of a hundred bytes of a body, each by another: 0 none, 100 all. What is below or
    /// above counts as these, and what is no number as 0.
    pub fn corrupt(on: Message, percent: f64) -> Self {
        Self::change(on, Change::Corrupt(clamped(percent)))
    }

    /// Cuts a body into frames of at most so many bytes, 1 at least, and lets one through each time.
    pub fn slice(on: Message, bytes: usize, every: Duration) -> Self {
        let bytes = bytes.max(1);
        Self::change(on, Change::Slice { bytes, every })
    }

    /// Lets so many bytes of a body through in a second.
    pub fn throttle(on: Message, bytes_per_second: NonZeroU64) -> Self {
        Self::change(on, Change::Throttle { bytes_per_second })
    }

    /// Lets so many bytes of a body through, and then nothing any more.
    pub fn stall_after(on: Message, bytes: u64) -> Self {
        Self::change(on, Change::StallAfter(bytes))
    }

    /// Breaks a body off after so many bytes: on HTTP/1 the connection closes, on HTTP/2 the stream
    /// is reset. What was let through has 100 ms to arrive first.
    ///
    /// One that has exactly so many is broken off too, where HTTP can say so: over HTTP/1 a body with
    /// `Content-Length` is whole once so many bytes are there. Over HTTP/1.0, without a length, it is the
    /// end of the connection that ends a body, and nobody can tell.
    pub fn break_after(on: Message, bytes: u64) -> Self {
        Self::change(on, Change::BreakAfter(bytes))
    }

    /// A body without its trailers.
    pub fn drop_trailers(on: Message) -> Self {
        Self::change(on, Change::DropTrailers)
    }

    /// A `Content-Length` of so many bytes more than the body has, or fewer: the one behavior with
    /// which they do not agree. Where the length is not known, nothing.
    ///
    /// Over HTTP/1 the end of the body is where `Content-Length` says: of fewer bytes no more are sent,
    /// and after more the connection closes. Over HTTP/2 the receiver sees that they differ.
    pub fn misstate_length(on: Message, by: i64) -> Self {
        Self::change(on, Change::MisstateLength(by))
    }

    /// Both: this one, and the other.
    ///
    /// Latencies add up, changes come in their order, and of several answers it is the first. What
    /// is about requests does not go together with what is about connections: then the other is left
    /// out.
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

    /// What it is about.
    #[inline]
    pub(in crate::chaos) fn affects(&self) -> Affected {
        match &self.0 {
            Kind::Connection(_) => Affected::Connection,
            Kind::Variable(variable) => read(&variable.0).affects(),
            _ => Affected::Request,
        }
    }

    /// The part that applies to connections.
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

    /// Fills memory until there is none.
    #[cfg(feature = "chaos-destructive")]
    pub fn eat_memory() -> Self {
        Self(Kind::Destroy(Destruction::Memory))
    }

    /// Overflows the stack, which ends the process.
    #[cfg(feature = "chaos-destructive")]
    pub fn stack_overflow() -> Self {
        Self(Kind::Destroy(Destruction::Overflow))
    }

    /// Ends the process with status 1, at once.
    #[cfg(feature = "chaos-destructive")]
    pub fn kill_process() -> Self {
        Self(Kind::Destroy(Destruction::Kill))
    }

    /// Asks the service inside, and then blocks the thread for ever.
    #[cfg(feature = "chaos-destructive")]
    pub fn block_thread() -> Self {
        Self(Kind::Destroy(Destruction::Block))
    }

    /// Its name in counters and documents.
    pub fn name(&self) -> &'static str {
        match &self.0 {
            Kind::None => "none",
            Kind::Latency(_) => "latency",
            Kind::Throw(_) => "throw",
            Kind::Status(_) => "status",
            Kind::Answer(_) => "response",
            Kind::NoBody => "body",
            Kind::SnipBody => "snip",
            Kind::SnipRequestBody => "sniprequest",
            Kind::Destroy(Destruction::Memory) => "memory",
            Kind::Destroy(Destruction::Overflow) => "overflow",
            Kind::Destroy(Destruction::Kill) => "kill",
            Kind::Destroy(Destruction::Block) => "block",
            Kind::Never => "never",
            Kind::Asked { .. } => "asked",
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

/// As http4k says it, where http4k has it.
impl fmt::Display for Behavior {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::None => f.write_str("None"),
            Kind::Latency(latency) => write!(f, "Latency {latency}"),
            Kind::Throw(message) => write!(f, "ThrowException RuntimeException {message}"),
            Kind::Status(status) => write!(f, "ReturnStatus ({})", status.as_u16()),
            Kind::Answer(answer) => write!(f, "ReturnResponse({})", answer.status.as_u16()),
            Kind::NoBody | Kind::SnipBody => f.write_str("SnipBody"),
            Kind::SnipRequestBody => f.write_str("SnipRequestBody"),
            Kind::Destroy(Destruction::Memory) => f.write_str("EatMemory"),
            Kind::Destroy(Destruction::Overflow) => f.write_str("StackOverflow"),
            Kind::Destroy(Destruction::Kill) => f.write_str("KillProcess"),
            Kind::Destroy(Destruction::Block) => f.write_str("BlockThread"),
            Kind::Never => f.write_str("NeverAnswer"),
            Kind::Asked { at_most } => {
                write!(f, "Asked (at most {})", super::duration::Iso(*at_most))
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
            // A value may be a secret.
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
