//! Chaos documents: stages and decisions as JSON, as http4k writes them and more.
//!
//! One model reads, writes and describes a document: `stage`, `trigger`, `behavior` and `decision`
//! hold its shape and its conversion to and from the public types, `value` the grammar of single
//! fields.

#![allow(
    clippy::large_enum_variant,
    reason = "documents are read and converted one at a time"
)]
#![cfg_attr(
    feature = "chaos-api",
    allow(clippy::large_stack_arrays, reason = "of the derive of utoipa")
)]

macro_rules! tagged {
    (
        $(#[$attr:meta])*
        enum $name:ident, read by $reader:ident as $remote:literal, $noun:literal { $($variants:tt)* }
    ) => {
        #[derive(Debug, serde::Serialize)]
        #[cfg_attr(feature = "chaos-api", derive(utoipa::ToSchema))]
        $(#[$attr])*
        pub(in crate::chaos) enum $name { $($variants)* }

        // The same without its tag, because `Json` finds the variant: see there.
        #[derive(serde::Deserialize)]
        #[serde(remote = $remote, rename = $noun, rename_all = "kebab-case")]
        enum $reader { $($variants)* }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $reader::deserialize(deserializer)
            }
        }
    };
}

pub(in crate::chaos) mod behavior;
pub(in crate::chaos) mod decision;
mod json;
pub(in crate::chaos) mod stage;
pub(in crate::chaos) mod trigger;
mod unique;
pub(in crate::chaos) mod value;

use std::{cell::RefCell, fmt};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, DeserializeSeed},
};
use serde_json::Value;

use self::{json::Json, unique::UniqueJson};

/// An error in a document, with its place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {reason}")]
pub struct ParseDocumentError {
    path: String,
    reason: String,
}

impl ParseDocumentError {
    /// Returns the place in the document, as a `JSONPath` (RFC 9535): `$[1].trigger.percentage`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Returns the error without its place.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Prefixes the path of the error with `step`.
    fn at(mut self, step: impl Into<Step>) -> Self {
        self.path.insert_str(1, &step.into().0);
        self
    }
}

impl de::Error for ParseDocumentError {
    fn custom<T: fmt::Display>(reason: T) -> Self {
        Self {
            path: "$".to_owned(),
            reason: reason.to_string(),
        }
    }
}

/// A step of a `JSONPath`.
struct Step(String);

impl From<usize> for Step {
    fn from(index: usize) -> Self {
        Self(format!("[{index}]"))
    }
}

impl From<&str> for Step {
    fn from(name: &str) -> Self {
        let is_plain = |c: char| c.is_alphanumeric() || c == '_';
        if !name.is_empty() && name.chars().all(is_plain) {
            Self(format!(".{name}"))
        } else {
            Self(format!("[{name:?}]"))
        }
    }
}

/// Converts a part of a document, and adds its name to the path of an error.
trait Convert<T> {
    fn convert(self, step: impl Into<Step>) -> Result<T, ParseDocumentError>;
}

impl<T, U: TryInto<T, Error = ParseDocumentError>> Convert<T> for U {
    fn convert(self, step: impl Into<Step>) -> Result<T, ParseDocumentError> {
        self.try_into().map_err(|error| error.at(step))
    }
}

/// Converts the items of a list, and adds their index to the path of an error.
fn convert_all<T, U: Convert<T>>(items: Vec<U>) -> Result<Vec<T>, ParseDocumentError> {
    let items = items.into_iter().enumerate();
    items.map(|(index, item)| item.convert(index)).collect()
}

fn invalid<T>(step: impl Into<Step>, reason: impl fmt::Display) -> Result<T, ParseDocumentError> {
    Err(<ParseDocumentError as de::Error>::custom(reason).at(step))
}

fn required<T>(value: Option<T>, step: &str, what: &str) -> Result<T, ParseDocumentError> {
    value.map_or_else(|| invalid(step, format!("missing {what}")), Ok)
}

/// Reads JSON text.
fn parse(text: &[u8], expected: &str) -> Result<Value, ParseDocumentError> {
    if text.trim_ascii().is_empty() {
        return Err(de::Error::custom(format!(
            "missing document: expected {expected}"
        )));
    }
    let mut reader = serde_json::Deserializer::from_slice(text);
    let duplicate = RefCell::new(None);
    let value = UniqueJson(&duplicate).deserialize(&mut reader);
    let value = value.and_then(|value| reader.end().map(|()| value));
    value.map_err(|error| {
        let duplicate = duplicate.into_inner();
        duplicate.unwrap_or_else(|| de::Error::custom(format!("invalid JSON: {error}")))
    })
}

/// Reads a JSON tree from any deserializer. The text of an error begins with the path.
fn from_deserializer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
    let duplicate = RefCell::new(None);
    let value = UniqueJson(&duplicate).deserialize(deserializer);
    value.map_err(|error| match duplicate.into_inner() {
        Some(duplicate) => de::Error::custom(duplicate),
        None => error,
    })
}

/// Reads a part of the model from a JSON tree.
fn read<'de, T: Deserialize<'de>>(value: &'de Value) -> Result<T, ParseDocumentError> {
    T::deserialize(Json(value))
}

/// Writes a part of the model, without the fields that are absent.
fn write(model: &impl Serialize) -> Value {
    let mut value = serde_json::to_value(model).unwrap_or_default();
    drop_nulls(&mut value);
    value
}

fn drop_nulls(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        _ => {}
    }
}
