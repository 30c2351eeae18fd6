//! What was decided.

use std::{sync::Arc, time::Duration};

use super::behavior::Behavior;

/// That something happens to a request, and what; or to a connection. The former is in the extensions
/// of the response.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Decision {
    /// Which request it was, since the engine was made, or which connection; each are counted by
    /// themselves, and the first is 0.
    pub ordinal: u64,
    /// Which of the two it was.
    pub on: Affected,
    /// With this, and the ordinal, everything is drawn that is left to chance.
    pub seed: u64,
    /// What happens.
    pub behavior: Behavior,
    /// How long it is held up.
    pub delay: Duration,
    /// As the response's `x-chaos` says it: `Latency (123ms)`.
    pub text: Arc<str>,
}

/// What something happens to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Affected {
    /// A request, of which [`Chaos`](crate::chaos::Chaos) decides, or its response.
    #[default]
    Request,
    /// A connection, of which `ChaosConnect` decides when it is about to be made (feature
    /// `chaos-connect`).
    Connection,
}
