//! Stages as JSON: what http4k accepts, and more.

mod log;
mod read;
mod write;

use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use super::model::stage::Stage;
use crate::format::{Bad, Node};

/// What is wrong with a document, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct ParseDocumentError {
    path: String,
    reason: String,
}

impl ParseDocumentError {
    /// Where in the document, in the notation of `JSONPath` (RFC 9535): `$[1].trigger.percentage`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What is wrong there.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl From<Bad> for ParseDocumentError {
    fn from(bad: Bad) -> Self {
        Self {
            path: bad.path,
            reason: bad.reason,
        }
    }
}

impl FromStr for Stage {
    type Err = ParseDocumentError;

    /// Reads a document. It may have at most 100 regular expressions, each of which may become large.
    ///
    /// ```
    /// use tower_traffic::chaos::Stage;
    ///
    /// let stage: Stage = r#"[
    ///     {"type": "wait", "until": {"type": "countdown", "count": "2"}},
    ///     {"type": "trigger", "trigger": {"type": "percentage", "percentage": 25},
    ///      "behaviour": {"type": "latency", "min": "PT0.1S", "max": "300ms"}}
    /// ]"#.parse()?;
    /// assert_eq!(
    ///     stage.to_string(),
    ///     "[Wait until Countdown (2 remaining)] then \
    ///      [PercentageBased (25%) Latency (range = PT0.1S to PT0.3S)]"
    /// );
    ///
    /// let bad = r#"{"type": "wait", "until": {"type": "countdown", "count": -1}}"#.parse::<Stage>();
    /// assert_eq!(bad.unwrap_err().path(), "$.until.count");
    /// # Ok::<(), tower_traffic::chaos::ParseDocumentError>(())
    /// ```
    fn from_str(text: &str) -> Result<Self, ParseDocumentError> {
        Self::from_json(text.as_bytes())
    }
}

/// As [`FromStr`] reads it; an error has the path in its text.
impl<'de> Deserialize<'de> for Stage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let node = Node::deserialize(deserializer)?;
        read::stage_of(&node).map_err(|bad| D::Error::custom(ParseDocumentError::from(bad)))
    }
}

/// The document that it came from, or could have: nothing of what has happened is in it.
impl Serialize for Stage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write::stage(self).serialize(serializer)
    }
}

impl Stage {
    /// From JSON, which is in UTF-8.
    pub(super) fn from_json(text: &[u8]) -> Result<Self, ParseDocumentError> {
        let node = node_of(text, "a stage, or an array of stages")?;
        Ok(read::stage_of(&node)?)
    }

    /// The document, indented.
    pub fn to_document(&self) -> String {
        format!("{:#}", write::stage(self))
    }
}

fn node_of(text: &[u8], expected: &str) -> Result<Node, ParseDocumentError> {
    let bad = |reason| ParseDocumentError {
        path: "$".to_owned(),
        reason,
    };
    if text.trim_ascii().is_empty() {
        return Err(bad(format!("a document is missing: {expected}")));
    }
    serde_json::from_slice(text).map_err(|error| bad(format!("this is no JSON: {error}")))
}
