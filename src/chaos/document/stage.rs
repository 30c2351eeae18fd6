//! Stages of a document.

use std::{borrow::Cow, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;

use super::{
    Convert, ParseDocumentError, behavior::Behavior, convert_all, from_deserializer, json, parse,
    read, trigger::Trigger, write,
};
use crate::chaos::model::{
    self,
    pattern::{is_unbounded, literal_start},
};

const MAX_PATTERNS: usize = 100;
/// The maximum number of patterns that read a long text of a request to its end. Each takes 2 to 3
/// µs per KiB.
const MAX_READERS: usize = 3;

tagged! {
    /// A stage, or an array of stages: the first that applies decides.
    #[serde(untagged)]
    enum Document, read by DocumentReader as "Document", "document" {
        /// A single stage.
        One(Stage),
        /// Stages in their order.
        Sequence(Vec<Stage>),
    }
}

tagged! {
    /// A step of the schedule. A stage ends when its `until` trigger fires; `until` is evaluated
    /// before the stage.
    #[serde(tag = "type", rename_all = "kebab-case")]
    enum Stage, read by StageReader as "Stage", "stage" {
        /// Passes every request, and delays the later stages, until `until` fires.
        Wait { until: Option<Trigger> },
        /// Applies a behavior whenever a trigger fires.
        Trigger {
            trigger: Trigger,
            #[serde(rename = "behaviour")]
            behavior: Behavior,
            until: Option<Trigger>,
        },
        /// Runs `stages` in order, and starts again when all stages have ended.
        Repeat { stages: Vec<Stage>, until: Option<Trigger> },
    }
}

impl TryFrom<Document> for model::stage::Stage {
    type Error = ParseDocumentError;

    fn try_from(document: Document) -> Result<Self, ParseDocumentError> {
        match document {
            Document::One(stage) => stage.try_into(),
            Document::Sequence(stages) => Ok(Self::sequence(convert_all(stages)?)),
        }
    }
}

impl TryFrom<Stage> for model::stage::Stage {
    type Error = ParseDocumentError;

    fn try_from(stage: Stage) -> Result<Self, ParseDocumentError> {
        let (stage, until) = match stage {
            Stage::Wait { until } => (Self::wait(), until),
            Stage::Trigger {
                trigger,
                behavior,
                until,
            } => {
                let trigger: model::trigger::Trigger = trigger.convert("trigger")?;
                let behavior: model::behavior::Behavior = behavior.convert("behaviour")?;
                (Self::when(trigger, behavior), until)
            }
            Stage::Repeat { stages, until } => {
                let stages = convert_all(stages).map_err(|error| error.at("stages"))?;
                (Self::sequence(stages).repeat(), until)
            }
        };
        match until {
            Some(until) => Ok(stage.until(until.convert("until")?)),
            None => Ok(stage),
        }
    }
}

impl From<&model::stage::Stage> for Document {
    fn from(stage: &model::stage::Stage) -> Self {
        use model::stage::Kind;
        match stage.kind() {
            Kind::Wait => Self::One(Stage::Wait { until: None }),
            Kind::Trigger {
                trigger, behavior, ..
            } => Self::One(Stage::Trigger {
                trigger: trigger.into(),
                behavior: behavior.into(),
                until: None,
            }),
            Kind::Then(stages) => Self::Sequence(stages.iter().flat_map(stages_of).collect()),
            Kind::Repeat { stages, .. } => Self::One(Stage::Repeat {
                stages: stages_of(stages),
                until: None,
            }),
            // An array has no `until` of its own: each of its stages ends by itself, at the same
            // time.
            Kind::Until { stage, trigger, .. } => match Self::from(&**stage) {
                Self::One(stage) => Self::One(stage.until(trigger)),
                Self::Sequence(stages) => {
                    let stages = stages.into_iter().map(|stage| stage.until(trigger));
                    Self::Sequence(stages.collect())
                }
            },
        }
    }
}

fn stages_of(stage: &model::stage::Stage) -> Vec<Stage> {
    match stage.into() {
        Document::One(stage) => vec![stage],
        Document::Sequence(stages) => stages,
    }
}

impl Stage {
    fn until(mut self, trigger: &model::trigger::Trigger) -> Self {
        let (Self::Wait { until } | Self::Trigger { until, .. } | Self::Repeat { until, .. }) =
            &mut self;
        *until = Some(match until.take() {
            None => trigger.into(),
            Some(first) => Trigger::Or {
                triggers: vec![first, trigger.into()],
            },
        });
        self
    }
}

/// Reads a document of at most 100 regular expressions, of which at most three can match the same
/// text: one that begins with other literal text does not count, nor one without repetition.
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
/// let error = r#"{"type": "wait", "until": {"type": "countdown", "count": -1}}"#.parse::<Stage>();
/// assert_eq!(
///     error.unwrap_err().to_string(),
///     "$.until.count: invalid count: expected a whole number of 0 or more, found -1"
/// );
/// # Ok::<(), tower_traffic::chaos::ParseDocumentError>(())
/// ```
impl FromStr for model::stage::Stage {
    type Err = ParseDocumentError;

    fn from_str(text: &str) -> Result<Self, ParseDocumentError> {
        Self::from_json(text.as_bytes())
    }
}

impl model::stage::Stage {
    pub(in crate::chaos) fn from_json(text: &[u8]) -> Result<Self, ParseDocumentError> {
        Self::from_value(&parse(text, "a stage or an array of stages")?)
    }

    fn from_value(value: &Value) -> Result<Self, ParseDocumentError> {
        let mut patterns = Vec::new();
        collect_patterns(value, &mut patterns);
        let found = patterns.len();
        if found > MAX_PATTERNS {
            let reason = "invalid document: expected at most";
            return Err(de::Error::custom(format!(
                "{reason} {MAX_PATTERNS} regular expressions, found {found}"
            )));
        }
        check_readers(&patterns)?;
        read::<Document>(value)?.try_into()
    }

    /// Returns the stage as a JSON document, indented.
    #[must_use]
    pub fn to_document(&self) -> String {
        format!("{:#}", write(&Document::from(self)))
    }
}

/// Reads a document as [`FromStr`] does. The text of an error begins with the path.
impl<'de> Deserialize<'de> for model::stage::Stage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = from_deserializer(deserializer)?;
        Self::from_value(&value).map_err(de::Error::custom)
    }
}

/// Writes the document of the stage as it was before any request.
impl Serialize for model::stage::Stage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        write(&Document::from(self)).serialize(serializer)
    }
}

/// A regular expression, with the part of a request that it is matched against.
struct FoundPattern<'a> {
    part: &'static str,
    name: &'a str,
    pattern: Cow<'a, str>,
}

/// Collects regular expressions before any is compiled.
fn collect_patterns<'a>(value: &'a Value, found: &mut Vec<FoundPattern<'a>>) {
    let mut add = |part, name, value| {
        found.extend(json::text(value).map(|pattern| FoundPattern {
            part,
            name,
            pattern,
        }));
    };
    match value {
        Value::Object(fields) if fields.get("type").is_some_and(|kind| kind == "request") => {
            for part in ["host", "path", "body"] {
                fields
                    .get(part)
                    .into_iter()
                    .for_each(|value| add(part, "", value));
            }
            for part in ["queries", "headers"] {
                let members = fields.get(part).and_then(Value::as_object);
                for (name, value) in members.into_iter().flatten() {
                    add(part, name, value);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect_patterns(item, found)),
        Value::Object(fields) => fields
            .values()
            .for_each(|item| collect_patterns(item, found)),
        _ => {}
    }
}

/// Limits the number of patterns that can read the same text to its end, for the time that a
/// request may take.
fn check_readers(patterns: &[FoundPattern<'_>]) -> Result<(), ParseDocumentError> {
    let readers = patterns.iter().filter(|found| is_unbounded(&found.pattern));
    let readers: Vec<_> = readers
        .map(|found| (found, literal_start(&found.pattern)))
        .collect();
    for (found, start) in &readers {
        let is_same_text = |other: &FoundPattern<'_>| match found.part {
            "headers" => other.name.eq_ignore_ascii_case(found.name),
            "queries" => other.name == found.name,
            _ => true,
        };
        let together = readers.iter().filter(|(other, other_start)| {
            other.part == found.part && is_same_text(other) && start.starts_with(other_start)
        });
        let count = together.count();
        if count > MAX_READERS {
            let part = found.part;
            let name = match found.name {
                "" => String::new(),
                name => format!(" `{name}`"),
            };
            return Err(de::Error::custom(format!(
                "invalid document: expected at most {MAX_READERS} regular expressions that can \
                 match the same `{part}`{name}, found {count}: join them with `|`, or begin them \
                 with different text"
            )));
        }
    }
    Ok(())
}
