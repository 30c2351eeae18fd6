//! `Decision`: a fault that was applied.

use std::{sync::Arc, time::Duration};

use super::behavior::Behavior;

/// A fault that was applied to a request or a connection.
///
/// The extensions of an affected response contain the decision;
/// [`ChaosEngine::decisions`](crate::chaos::ChaosEngine::decisions) returns the last decisions.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Decision {
    /// The number of the request or connection, counted from 0; requests and connections are
    /// counted separately.
    pub ordinal: u64,
    /// Whether the fault applies to a request or to a connection.
    pub on: Affected,
    /// The seed; seed and ordinal determine all random values.
    pub seed: u64,
    /// The fault.
    pub behavior: Behavior,
    /// The delay of the request or connection.
    pub delay: Duration,
    /// The text of the `x-chaos` response header, such as `Latency (123ms)`.
    pub text: Arc<str>,
}

/// The target of a fault.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Affected {
    /// A request or its response, affected by [`Chaos`](crate::chaos::Chaos).
    #[default]
    Request,
    /// A connection, affected by `ChaosConnect` (feature `chaos-connect`).
    Connection,
}
