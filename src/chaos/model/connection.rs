//! What happens to connections.

use std::{fmt, num::NonZeroU64, time::Duration};

use super::{
    behavior::{Behavior, Kind},
    duration::Iso,
    latency::Latency,
    stage::Stage,
};

/// What happens to a connection for which a [trigger](crate::chaos::Trigger) fires. It is for `ChaosConnect`,
/// the layer around connectors (feature `chaos-connect`), and requests never see it.
///
/// ```
/// use std::{num::NonZeroU64, time::Duration};
///
/// use tower_traffic::chaos::{ConnectionBehavior, Latency, Stage, Trigger};
///
/// // One in ten is refused, and the others are late and slow.
/// let kib = NonZeroU64::new(1024).unwrap();
/// let stage = Stage::when(Trigger::percentage(10.0), ConnectionBehavior::refuse()).then(
///     Stage::always(
///         ConnectionBehavior::latency(Latency::fixed(Duration::from_millis(200)))
///             .and(ConnectionBehavior::throttle(kib)),
///     ),
/// );
/// assert_eq!(
///     stage.to_string(),
///     "[PercentageBased (10%) RefuseConnection] then \
///      [Always Latency (range = PT0.2S to PT0.2S) of the connection \
///      and ThrottleConnection (1024b a second)]"
/// );
/// ```
///
/// Bytes are those of the stream that the connector makes: of what is encrypted, if the layer is below
/// TLS, and of what is not, if it is around it.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionBehavior(pub(in crate::chaos) Vec<Fault>);

#[derive(Clone, Debug, PartialEq)]
pub(in crate::chaos) enum Fault {
    None,
    Latency(Latency),
    Never,
    Refuse,
    Throw(String),
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
}

impl ConnectionBehavior {
    /// Nothing, and no other either: the connection is made.
    pub fn none() -> Self {
        Self(vec![Fault::None])
    }

    /// Waits before the connection is made.
    pub fn latency(latency: Latency) -> Self {
        Self(vec![Fault::Latency(latency)])
    }

    /// Never connects: whoever waits for it waits until they give up.
    pub fn never() -> Self {
        Self(vec![Fault::Never])
    }

    /// Refuses it, as a host does where nobody listens: an [`std::io::Error`] of the kind
    /// [`ConnectionRefused`](std::io::ErrorKind::ConnectionRefused).
    pub fn refuse() -> Self {
        Self(vec![Fault::Refuse])
    }

    /// Fails with this message: an [`std::io::Error`] of the kind
    /// [`Other`](std::io::ErrorKind::Other).
    pub fn throw(message: impl Into<String>) -> Self {
        Self(vec![Fault::Throw(message.into())])
    }

    /// Replaces so many of a hundred bytes, each by another, both ways.
    pub fn corrupt(percent: f64) -> Self {
        Self(vec![Fault::Corrupt(percent)])
    }

    /// Lets at most so many bytes pass at once, 1 at least, and so again each time, each way by itself.
    pub fn slice(bytes: usize, every: Duration) -> Self {
        let bytes = bytes.max(1);
        Self(vec![Fault::Slice { bytes, every }])
    }

    /// Lets so many bytes pass in a second, each way by itself.
    pub fn throttle(bytes_per_second: NonZeroU64) -> Self {
        Self(vec![Fault::Throttle { bytes_per_second }])
    }

    /// Lets so many bytes pass, sent and received ones together, and then nothing any more.
    pub fn stall_after(bytes: u64) -> Self {
        Self(vec![Fault::StallAfter(bytes)])
    }

    /// Resets the connection after so many bytes, sent and received ones together: an
    /// [`std::io::Error`] of the kind [`ConnectionReset`](std::io::ErrorKind::ConnectionReset). The
    /// other side sees it closed.
    pub fn break_after(bytes: u64) -> Self {
        Self(vec![Fault::BreakAfter(bytes)])
    }

    /// Both: this one, and the other.
    ///
    /// Latencies add up; of what ends it, the first does, and of two that say the same of the bytes
    /// the last holds.
    pub fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    pub(in crate::chaos) fn name(&self) -> &'static str {
        match self.0.as_slice() {
            [one] => one.name(),
            _ => "all",
        }
    }

    /// Without what is done to its bytes.
    #[cfg(feature = "chaos-connect")]
    pub(in crate::chaos) fn before_connecting(mut self) -> Self {
        self.0.retain(|fault| match fault {
            Fault::None | Fault::Latency(_) | Fault::Never | Fault::Refuse | Fault::Throw(_) => {
                true
            }
            Fault::Corrupt(_)
            | Fault::Slice { .. }
            | Fault::Throttle { .. }
            | Fault::StallAfter(_)
            | Fault::BreakAfter(_) => false,
        });
        self
    }

    #[cfg(feature = "chaos-connect")]
    pub(in crate::chaos) fn is_none(&self) -> bool {
        self.0.iter().all(|fault| *fault == Fault::None)
    }
}

impl From<ConnectionBehavior> for Behavior {
    fn from(behavior: ConnectionBehavior) -> Self {
        Self(Kind::Connection(behavior))
    }
}

impl From<ConnectionBehavior> for Stage {
    /// To every connection.
    fn from(behavior: ConnectionBehavior) -> Self {
        Self::always(behavior)
    }
}

impl Fault {
    pub(in crate::chaos) fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Latency(_) => "latency",
            Self::Never => "never",
            Self::Refuse => "refuse",
            Self::Throw(_) => "throw",
            Self::Corrupt(_) => "corrupt",
            Self::Slice { .. } => "slice",
            Self::Throttle { .. } => "throttle",
            Self::StallAfter(_) => "stall",
            Self::BreakAfter(_) => "break",
        }
    }
}

impl fmt::Display for ConnectionBehavior {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, one) in self.0.iter().enumerate() {
            if index > 0 {
                f.write_str(" and ")?;
            }
            one.fmt(f)?;
        }
        Ok(())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("None of the connection"),
            Self::Latency(latency) => write!(f, "Latency {latency} of the connection"),
            Self::Never => f.write_str("NeverConnect"),
            Self::Refuse => f.write_str("RefuseConnection"),
            Self::Throw(message) => write!(f, "FailConnection {message}"),
            Self::Corrupt(percent) => write!(f, "CorruptConnection ({percent}%)"),
            Self::Slice { bytes, every } => {
                write!(f, "SliceConnection ({bytes}b every {})", Iso(*every))
            }
            Self::Throttle { bytes_per_second } => {
                write!(f, "ThrottleConnection ({bytes_per_second}b a second)")
            }
            Self::StallAfter(bytes) => write!(f, "StallConnection (after {bytes}b)"),
            Self::BreakAfter(bytes) => write!(f, "BreakConnection (after {bytes}b)"),
        }
    }
}
