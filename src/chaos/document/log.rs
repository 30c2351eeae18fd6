//! Decisions as JSON, so that what happened in one process can be done again in another.

use std::collections::HashSet;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::json;

use super::{ParseDocumentError, node_of, read, write};
use crate::{
    chaos::model::{
        decision::{Affected, Decision},
        duration::Iso,
    },
    format::{At, Bad, Node},
};

impl Decision {
    /// Reads decisions from JSON: an array, as [`ChaosEngine::decisions`](super::super::ChaosEngine)
    /// is written by serde.
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
    /// `on`, `delay` and `text` may be missing: a request, and what the seed gives. A seed is a text,
    /// because 64 bits are more than numbers in JSON are sure to keep; a number is read, too.
    ///
    /// # Errors
    ///
    /// If this is no JSON or no such array, something in it is wrong, or a request or connection is in it
    /// twice.
    pub fn list_from_json(text: &str) -> Result<Vec<Self>, ParseDocumentError> {
        Self::list_of(text.as_bytes())
    }

    /// From JSON, which is in UTF-8.
    pub(in crate::chaos) fn list_of(text: &[u8]) -> Result<Vec<Self>, ParseDocumentError> {
        let node = node_of(text, "an array of decisions")?;
        Ok(decisions(&At::root(&node))?)
    }
}

fn decisions(at: &At<'_>) -> Result<Vec<Decision>, Bad> {
    if !at.is_list() {
        return Err(at.expected("an array of decisions"));
    }
    let mut seen = HashSet::new();
    at.items()?
        .map(|item| {
            let decision = decision(&item)?;
            if seen.insert((decision.on, decision.ordinal)) {
                Ok(decision)
            } else {
                let ordinal = decision.ordinal;
                Err(item
                    .get("ordinal")
                    .bad(format!("there is another decision about {ordinal}")))
            }
        })
        .collect()
}

fn decision(at: &At<'_>) -> Result<Decision, Bad> {
    let on = at.get("on");
    let affected = match on.some().map(|on| on.text()).transpose()?.as_deref() {
        None | Some("request") => Affected::Request,
        Some("connection") => Affected::Connection,
        Some(other) => {
            let reason = format!("{other:?} is neither `request` nor `connection`");
            return Err(on.bad(reason));
        }
    };
    let place = at.get("behaviour");
    let behavior = read::behavior(&place)?;
    if behavior.affects() != affected {
        return Err(place.bad("this is not for what the decision is `on`"));
    }
    let delay = at.get("delay").some();
    let text = at.get("text").text_or_empty()?;
    Ok(Decision {
        ordinal: read::whole(&at.get("ordinal"))?,
        on: affected,
        seed: read::whole(&at.get("seed"))?,
        delay: delay.map_or(Ok(<_>::default()), |delay| read::time(&delay))?,
        text: match &*text {
            "" => behavior.to_string().into(),
            text => text.into(),
        },
        behavior,
    })
}

/// As [`Decision::list_from_json`] reads it.
impl Serialize for Decision {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json!({
            "ordinal": self.ordinal,
            "on": match self.on {
                Affected::Request => "request",
                Affected::Connection => "connection",
            },
            "seed": self.seed.to_string(),
            "behaviour": write::behavior(&self.behavior),
            "delay": Iso(self.delay).to_string(),
            "text": &*self.text,
        })
        .serialize(serializer)
    }
}

/// One alone; of several, [`Decision::list_from_json`] also says where something is wrong.
impl<'de> Deserialize<'de> for Decision {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = Node::deserialize(deserializer)?;
        decision(&At::root(&node)).map_err(|bad| D::Error::custom(ParseDocumentError::from(bad)))
    }
}
