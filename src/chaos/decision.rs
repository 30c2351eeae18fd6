//! What was decided.

use std::{sync::Arc, time::Duration};

use super::behaviour::Behaviour;

/// That something happens to a request, and what. It is in the extensions of the response.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Decision {
    /// Which request it was, since the engine was made: the first is 0.
    pub ordinal: u64,
    /// With this, and the ordinal, everything is drawn that is left to chance.
    pub seed: u64,
    /// What happens.
    pub behaviour: Behaviour,
    /// How long it is held up.
    pub delay: Duration,
    /// As the response's `x-chaos` says it: `Latency (123ms)`.
    pub text: Arc<str>,
}
