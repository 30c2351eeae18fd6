//! Chance that can be repeated.

use super::decision::Affected;

/// Draws from a seed, the ordinal of a request and a place: the same three give the same number,
/// whoever is asked first.
#[derive(Clone, Copy, Debug)]
pub(in crate::chaos) struct Random {
    state: u64,
}

/// What a number is drawn for.
#[derive(Clone, Copy, Debug)]
pub(in crate::chaos) enum For {
    /// A trigger, by its number in the document.
    Trigger(u32),
    Latency,
    /// The second number of a latency that needs two.
    Angle,
    /// Where a body is cut.
    Cut,
    /// What becomes of bytes.
    Bytes,
}

impl Random {
    pub(in crate::chaos) fn of(target: Affected, seed: u64, ordinal: u64) -> Self {
        // A request and a connection with the same ordinal draw different values.
        let seed = match target {
            Affected::Request => seed,
            Affected::Connection => !seed,
        };
        Self {
            state: mix(seed ^ mix(ordinal)),
        }
    }

    /// The same, for a place within.
    pub(in crate::chaos) fn at(self, offset: u64) -> Self {
        Self {
            state: mix(self.state ^ mix(!offset)),
        }
    }

    /// From 0 to 1, without 1.
    pub(in crate::chaos) fn unit(self, place: For) -> f64 {
        // All that a float between them can tell apart.
        #[expect(clippy::cast_precision_loss, reason = "53 bits are what it holds")]
        let (drawn, all) = ((self.number(place) >> 11) as f64, (1_u64 << 53) as f64);
        drawn / all
    }

    pub(in crate::chaos) fn number(self, place: For) -> u64 {
        let place = match place {
            For::Trigger(number) => u64::from(number) << 8,
            For::Latency => 1,
            For::Cut => 2,
            For::Bytes => 3,
            For::Angle => 4,
        };
        mix(self.state.wrapping_add(mix(place)))
    }
}

/// `SplitMix64`: <https://prng.di.unimi.it/splitmix64.c>.
fn mix(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
