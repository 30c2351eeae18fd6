//! http4k's environment variables.

use std::{
    env::{self, VarError},
    str::FromStr,
    time::Duration,
};

use super::{latency::Latency, trigger::Trigger};

const LATENCY_MIN: &str = "CHAOS_LATENCY_MS_MIN";
const LATENCY_MAX: &str = "CHAOS_LATENCY_MS_MAX";
const PERCENTAGE: &str = "CHAOS_PERCENTAGE";

/// An environment variable with an invalid value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid environment variable {name}: {reason}")]
pub struct InvalidVariable {
    name: &'static str,
    reason: String,
}

impl InvalidVariable {
    /// Returns the name of the variable.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }
}

impl Latency {
    /// Creates a uniform delay from `CHAOS_LATENCY_MS_MIN` to `CHAOS_LATENCY_MS_MAX` milliseconds;
    /// 100 and 500 if they are not set.
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
    /// If a variable is not a whole number, or the minimum is more than the maximum.
    pub fn from_env() -> Result<Self, InvalidVariable> {
        let min = variable(LATENCY_MIN, "a whole number of milliseconds")?.unwrap_or(100);
        let max = variable(LATENCY_MAX, "a whole number of milliseconds")?.unwrap_or(500);
        if min > max {
            return Err(InvalidVariable {
                name: LATENCY_MIN,
                reason: format!("{min} is more than {LATENCY_MAX}, which is {max}"),
            });
        }
        let [min, max] = [min, max].map(Duration::from_millis);
        Ok(Self::uniform(min..=max))
    }
}

impl Trigger {
    /// Fires for `CHAOS_PERCENTAGE` percent of requests, 50 if it is not set.
    ///
    /// # Errors
    ///
    /// If the variable is not a number from 0 to 100.
    pub fn percentage_from_env() -> Result<Self, InvalidVariable> {
        const WANTED: &str = "a number from 0 to 100";
        let percent = variable(PERCENTAGE, WANTED)?.unwrap_or(50.0);
        if (0.0..=100.0).contains(&percent) {
            Ok(Self::percentage(percent))
        } else {
            Err(InvalidVariable {
                name: PERCENTAGE,
                reason: format!("expected {WANTED}, found {percent}"),
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
        reason: format!("expected {wanted}, found {text:?}"),
    })
}
