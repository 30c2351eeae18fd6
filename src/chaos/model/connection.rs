//! `ConnectionBehavior`: a fault of a connection.

use std::{fmt, num::NonZeroU64, time::Duration};

use super::{
    behavior::{Behavior, Kind},
    duration::Iso,
    latency::Latency,
    stage::Stage,
};

/// A fault of a connection, applied by `ChaosConnect` (feature `chaos-connect`).
///
/// ```
/// use std::{num::NonZeroU64, time::Duration};
///
/// use tower_traffic::chaos::{ConnectionBehavior, Latency, Stage, Trigger};
///
/// // One in ten connections is refused, the others are delayed and throttled.
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
/// Bytes are those of the connector's stream: encrypted bytes if the layer is below TLS, plain
/// bytes if it is around TLS.
#[must_use]
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectionBehavior(pub(in crate::chaos) Vec<Fault>);

#[derive(Clone, Debug, PartialEq)]
pub(in crate::chaos) enum Fault {
    None,
    Latency(Latency),
    Never,
    Refuse,
    Throw(String),
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
}

impl ConnectionBehavior {
    /// Applies no fault, and keeps later stages from being consulted.
    pub fn none() -> Self {
        Self(vec![Fault::None])
    }

    /// Waits before the connection is opened. The bytes of the open connection are not delayed.
    pub fn latency(latency: Latency) -> Self {
        Self(vec![Fault::Latency(latency)])
    }

    /// Never connects: the client waits until it gives up.
    pub fn never() -> Self {
        Self(vec![Fault::Never])
    }

    /// Refuses the connection, as a host without a listener does.
    ///
    /// The [`std::io::Error`] has the kind
    /// [`ConnectionRefused`](std::io::ErrorKind::ConnectionRefused).
    pub fn refuse() -> Self {
        Self(vec![Fault::Refuse])
    }

    /// Fails the connection with `message`.
    ///
    /// The [`std::io::Error`] has the kind [`Other`](std::io::ErrorKind::Other).
    pub fn throw(message: impl Into<String>) -> Self {
        Self(vec![Fault::Throw(message.into())])
    }

    /// Replaces `percent` percent of the bytes in both directions, each by another byte.
    ///
    /// With 0 or less, or NaN, no byte is replaced; with 100 or more, every byte is.
    pub fn corrupt(percent: f64) -> Self {
        Self(vec![Fault::Corrupt(percent)])
    }

    /// Passes at most `bytes` bytes in each interval of `every`, separately in each direction.
    ///
    /// A `bytes` of 0 counts as 1. If `every` is zero, the bytes are split into parts of at most
    /// `bytes` bytes without a delay.
    pub fn slice(bytes: usize, every: Duration) -> Self {
        let bytes = bytes.max(1);
        Self(vec![Fault::Slice { bytes, every }])
    }

    /// Limits the rate to `bytes_per_second`, separately in each direction.
    pub fn throttle(bytes_per_second: NonZeroU64) -> Self {
        Self(vec![Fault::Throttle { bytes_per_second }])
    }

    /// Passes `bytes` bytes, counted in both directions together, and then no more bytes. The
    /// connection stays open.
    pub fn stall_after(bytes: u64) -> Self {
        Self(vec![Fault::StallAfter(bytes)])
    }

    /// Resets the connection after `bytes` bytes, counted in both directions together.
    ///
    /// The [`std::io::Error`] has the kind
    /// [`ConnectionReset`](std::io::ErrorKind::ConnectionReset). The peer sees the connection
    /// closed.
    pub fn break_after(bytes: u64) -> Self {
        Self(vec![Fault::BreakAfter(bytes)])
    }

    /// Combines two behaviors.
    ///
    /// Latencies add up. The first fault that prevents the connection applies; of two limits of the
    /// same kind, the last applies.
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

    /// Removes the faults that apply to the bytes of a connection.
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
    /// Applies the behavior to every connection.
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
