//! What the environment says, in http4k's variables.

use std::{
    env::{self, VarError},
    str::FromStr,
    time::Duration,
};

use super::{latency::Latency, trigger::Trigger};

const LATENCY_MIN: &str = "CHAOS_LATENCY_MS_MIN";
const LATENCY_MAX: &str = "CHAOS_LATENCY_MS_MAX";
const PERCENTAGE: &str = "CHAOS_PERCENTAGE";

/// An environment variable that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {name} {reason}")]
pub struct InvalidVariable {
    name: &'static str,
    reason: String,
}

impl InvalidVariable {
    /// Which one.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

impl Latency {
    /// Between `CHAOS_LATENCY_MS_MIN` and `CHAOS_LATENCY_MS_MAX`, in milliseconds; where one is not set,
    /// it is 100 or 500.
    ///
    /// ```
    /// use tower_traffic::chaos::{Behavior, Chaos, Latency, Stage, Trigger};
    ///
    /// # fn main() -> Result<(), tower_traffic::chaos::InvalidVariable> {
    /// let chaos = Chaos::new().stage(Stage::when(
    ///     Trigger::percentage_from_env()?,
    ///     Behavior::latency(Latency::from_env()?),
    /// ));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// If one is no whole number, or the first is more than the second.
    pub fn from_env() -> Result<Self, InvalidVariable> {
        let min = variable(LATENCY_MIN, "a whole number of milliseconds")?.unwrap_or(100);
        let max = variable(LATENCY_MAX, "a whole number of milliseconds")?.unwrap_or(500);
        if min > max {
            return Err(InvalidVariable {
                name: LATENCY_MIN,
                reason: format!("is {min}, and {LATENCY_MAX} {max}: that is less"),
            });
        }
        let [min, max] = [min, max].map(Duration::from_millis);
        Ok(Self::uniform(min..=max))
    }
}

impl Trigger {
    /// For `CHAOS_PERCENTAGE` of a hundred requests, which may have a fraction; 50 if it is not set.
    ///
    /// # Errors
    ///
    /// If it is no number from 0 to 100.
    pub fn percentage_from_env() -> Result<Self, InvalidVariable> {
        const WANTED: &str = "a number from 0 to 100";
        let percent = variable(PERCENTAGE, WANTED)?.unwrap_or(50.0);
        if (0.0..=100.0).contains(&percent) {
            Ok(Self::percentage(percent))
        } else {
            Err(InvalidVariable {
                name: PERCENTAGE,
                reason: format!("is {percent}, and should be {WANTED}"),
            })
        }
    }
}

fn variable<T: FromStr>(name: &'static str, wanted: &str) -> Result<Option<T>, InvalidVariable> {
    let text = match env::var(name) {
        Ok(text) => text,
        Err(VarError::NotPresent) => return Ok(None),
        Err(VarError::NotUnicode(bytes)) => bytes.to_string_lossy().into_owned(),
    };
    text.trim().parse().map(Some).map_err(|_| InvalidVariable {
        name,
        reason: format!("is {text:?}, and should be {wanted}"),
    })
}
