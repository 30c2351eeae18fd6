//! Repeatable random values.

use rand_pcg::Pcg64Dxsm;

use super::decision::Affected;

/// The random values of one request or connection.
///
/// A value depends only on the seed, the ordinal and its [`Draw`], whatever else is drawn before
/// it: seed and ordinal are the state of a PCG generator, and the draw is its stream.
#[derive(Clone, Copy, Debug)]
pub(in crate::chaos) struct Random {
    state: u128,
}

/// The purpose for which a random value is drawn. Each purpose has a random stream of its own, so
/// that one value does not depend on the others.
#[derive(Clone, Copy, Debug)]
pub(in crate::chaos) enum Draw {
    /// A trigger, by its number in the schedule.
    Trigger(u32),
    Latency,
    /// The length to which a body is cut.
    Cut,
    Header,
    /// The changed bytes of a body, or of the data that is received from a connection.
    Bytes,
    /// Whether the faults in Envoy's headers apply.
    EnvoyDelay,
    EnvoyAbort,
    EnvoyRate,
    /// The changed bytes of the data that is sent to a connection.
    #[cfg(feature = "chaos-connect")]
    SentBytes,
}

impl Random {
    pub(in crate::chaos) fn of(target: Affected, seed: u64, ordinal: u64) -> Self {
        // A request and a connection with the same ordinal draw different values.
        let seed = match target {
            Affected::Request => seed,
            Affected::Connection => !seed,
        };
        Self {
            state: (u128::from(seed) << 64) | u128::from(ordinal),
        }
    }

    pub(in crate::chaos) fn generator(self, draw: Draw) -> Pcg64Dxsm {
        let stream = match draw {
            Draw::Trigger(number) => (u128::from(number) << 8) | 1,
            Draw::Latency => 2,
            Draw::Cut => 3,
            Draw::Header => 4,
            Draw::Bytes => 5,
            #[cfg(feature = "chaos-connect")]
            Draw::SentBytes => 6,
            Draw::EnvoyDelay => 7,
            Draw::EnvoyAbort => 8,
            Draw::EnvoyRate => 9,
        };
        Pcg64Dxsm::new(self.state, stream)
    }
}
