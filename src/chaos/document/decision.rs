//! Decisions of a run, as a document to repeat it.

use std::collections::HashSet;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use super::{
    Convert, ParseDocumentError, behavior, from_deserializer, invalid, json, parse, read,
    value::{Count, Duration, Seed, Text},
    write,
};
use crate::chaos::model::decision::{self, Affected};

/// A behavior that was applied to a request or to a connection.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "chaos-api", derive(utoipa::ToSchema))]
#[serde(rename = "decision")]
pub(in crate::chaos) struct Decision {
    /// Number of the request or connection, from 0.
    ordinal: Count,
    /// The target of the behavior; a request if absent.
    on: Option<On>,
    /// The seed that, with the ordinal, determines all random values.
    seed: Seed,
    /// The behavior.
    #[serde(rename = "behaviour")]
    behavior: behavior::Behavior,
    /// The delay; drawn from the seed if absent.
    delay: Option<Duration>,
    /// The text of the `x-chaos` header.
    text: Option<Text>,
}

/// A request or a connection.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[cfg_attr(feature = "chaos-api", derive(utoipa::ToSchema))]
#[serde(rename = "on", rename_all = "lowercase")]
pub(in crate::chaos) enum On {
    Request,
    Connection,
}

pub(super) fn plural(affected: Affected) -> &'static str {
    match affected {
        Affected::Request => "requests",
        Affected::Connection => "connections",
    }
}

impl TryFrom<Decision> for decision::Decision {
    type Error = ParseDocumentError;

    fn try_from(decision: Decision) -> Result<Self, ParseDocumentError> {
        let on = match decision.on {
            None | Some(On::Request) => Affected::Request,
            Some(On::Connection) => Affected::Connection,
        };
        let behavior: crate::chaos::Behavior = decision.behavior.convert("behaviour")?;
        if behavior.affects() != on {
            let expected = plural(on);
            let reason = format!("invalid behavior: expected one for {expected}, as in `on`");
            return invalid("behaviour", reason);
        }
        let text = decision
            .text
            .map(|text| text.0)
            .filter(|text| !text.is_empty());
        Ok(Self {
            ordinal: decision.ordinal.0,
            on,
            seed: decision.seed.0,
            delay: decision
                .delay
                .map_or_else(Default::default, |delay| delay.0),
            text: text.unwrap_or_else(|| behavior.to_string()).into(),
            behavior,
        })
    }
}

impl From<&decision::Decision> for Decision {
    fn from(decision: &decision::Decision) -> Self {
        Self {
            ordinal: Count(decision.ordinal),
            on: Some(match decision.on {
                Affected::Request => On::Request,
                Affected::Connection => On::Connection,
            }),
            seed: Seed(decision.seed),
            behavior: (&decision.behavior).into(),
            delay: Some(Duration(decision.delay)),
            text: Some(Text(decision.text.to_string())),
        }
    }
}

impl decision::Decision {
    /// Reads decisions from a JSON array, as serde writes
    /// [`ChaosEngine::decisions`](crate::chaos::ChaosEngine::decisions).
    ///
    /// ```
    /// use tower_traffic::chaos::{Chaos, Decision};
    ///
    /// let log = r#"[{
    ///     "ordinal": 3, "on": "request", "seed": "7",
    ///     "behaviour": {"type": "latency", "min": "PT0.1S", "max": "PT0.3S"},
    ///     "delay": "PT0.123S", "text": "Latency (123ms)"
    /// }]"#;
    /// let chaos = Chaos::new();
    /// chaos.engine().enable_again(Decision::list_from_json(log)?);
    /// # Ok::<(), tower_traffic::chaos::ParseDocumentError>(())
    /// ```
    ///
    /// `on`, `delay` and `text` are optional; without `on`, the decision is about a request. A seed
    /// is text, because 64 bits are more than a number in JSON is sure to keep; a number is read,
    /// too.
    ///
    /// # Errors
    ///
    /// If the text is not a JSON array of decisions, or has two decisions about one request or
    /// connection.
    pub fn list_from_json(text: &str) -> Result<Vec<Self>, ParseDocumentError> {
        Self::list_from_slice(text.as_bytes())
    }

    pub(in crate::chaos) fn list_from_slice(text: &[u8]) -> Result<Vec<Self>, ParseDocumentError> {
        let value = parse(text, "an array of decisions")?;
        let Value::Array(items) = &value else {
            let reason = json::invalid("decisions", "an array", &value);
            return Err(de::Error::custom(reason));
        };
        let mut seen = HashSet::new();
        let checked = items.iter().enumerate().map(|(index, item)| {
            let decision = read::<Decision>(item).and_then(Self::try_from);
            let decision = decision.map_err(|error| error.at(index))?;
            if seen.insert((decision.on, decision.ordinal)) {
                return Ok(decision);
            }
            let reason = format!(
                "duplicate ordinal: expected one decision for {}",
                decision.ordinal
            );
            invalid("ordinal", reason).map_err(|error| error.at(index))
        });
        checked.collect()
    }
}

/// Writes the decision in the form that [`list_from_json`](Self::list_from_json) reads.
impl Serialize for decision::Decision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write(&Decision::from(self)).serialize(serializer)
    }
}

/// Reads a single decision. [`list_from_json`](Self::list_from_json) also checks the whole list.
impl<'de> Deserialize<'de> for decision::Decision {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = from_deserializer(deserializer)?;
        let decision = read::<Decision>(&value).and_then(Self::try_from);
        decision.map_err(de::Error::custom)
    }
}
