//! A serde deserializer over a JSON tree, with the path of every error.
//!
//! serde's reader of internally tagged enums buffers the object, and errors inside it lose their
//! path (`serde_path_to_error` cannot bring it back). Here the variant is looked up in the object
//! itself.

use std::{borrow::Cow, iter};

use serde::{
    Deserializer,
    de::{
        self, DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor,
        value::{BorrowedStrDeserializer, CowStrDeserializer},
    },
    forward_to_deserialize_any,
};
use serde_json::{Map, Value};

use super::ParseDocumentError;

static NULL: Value = Value::Null;

/// The enums whose objects name their variant in `type`.
const TAGGED: [&str; 3] = ["stage", "trigger", "behavior"];

/// A value in a JSON tree. A missing field is `null`, and unknown fields are ignored.
#[derive(Clone, Copy)]
pub(super) struct Json<'de>(pub(super) &'de Value);

/// Returns a string, number or boolean as text, because http4k reads numbers and booleans as text.
pub(super) fn text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(flag) => Some(Cow::Owned(flag.to_string())),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// Returns the error text `invalid {what}: expected {expected}, found {value}`.
pub(super) fn invalid(what: &str, expected: &str, value: &Value) -> String {
    const SHOWN: usize = 80;
    let found = match value {
        Value::Null => return format!("missing {what}: expected {expected}"),
        Value::Array(_) => "an array".to_owned(),
        Value::Object(_) => "an object".to_owned(),
        Value::String(text) => match text.char_indices().nth(SHOWN) {
            Some((end, _)) => format!("`{}...`", &text[..end]),
            None => format!("`{text}`"),
        },
        Value::Number(_) | Value::Bool(_) => value.to_string(),
    };
    format!("invalid {what}: expected {expected}, found {found}")
}

/// Fails if a field is missing and the object has it in American spelling: the names are http4k's.
fn check_spelling(object: &Map<String, Value>, fields: &[&str]) -> Result<(), ParseDocumentError> {
    for (name, found) in [("behaviour", "behavior"), ("behaviours", "behaviors")] {
        if fields.contains(&name) && !object.contains_key(name) && object.contains_key(found) {
            let reason = format!("unknown field `{found}`: expected `{name}`");
            return Err(<ParseDocumentError as de::Error>::custom(reason).at(found));
        }
    }
    Ok(())
}

impl<'de> Json<'de> {
    fn error(self, what: &str, expected: &str) -> ParseDocumentError {
        de::Error::custom(invalid(what, expected, self.0))
    }

    fn variant(self, of: &'static str, known: &[&str]) -> Result<Variant<'de>, ParseDocumentError> {
        let body = self;
        let (key, name) = match self.0 {
            Value::Array(_) if of == "document" => (None, Some("sequence".into())),
            _ if of == "document" => (None, Some("one".into())),
            Value::Object(fields) if TAGGED.contains(&of) => {
                let tag = fields.get("type").unwrap_or(&NULL);
                (Some(tag), text(tag))
            }
            _ if TAGGED.contains(&of) => return Err(self.error(of, "an object")),
            value => (None, text(value)),
        };
        match name {
            Some(name) if known.contains(&&*name) => Ok(Variant { of, name, body }),
            _ => {
                let expected = format!("one of {}", known.join(", "));
                Err(match key {
                    Some(tag) => Json(tag).error(&format!("{of} type"), &expected).at("type"),
                    None => self.error(of, &expected),
                })
            }
        }
    }
}

impl<'de> Deserializer<'de> for Json<'de> {
    type Error = ParseDocumentError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let value = self.0.deserialize_any(visitor);
        value.map_err(de::Error::custom)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self.0 {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let Value::Array(items) = self.0 else {
            return Err(self.error("list", "an array of one or more items"));
        };
        // Every list of a document has at least one item.
        if items.is_empty() {
            let reason = "invalid list: expected one or more items, found none";
            return Err(de::Error::custom(reason));
        }
        visitor.visit_seq(Items(items.iter().enumerate()))
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let Value::Object(fields) = self.0 else {
            return Err(self.error("map", "an object"));
        };
        let rest = fields.iter().map(|(name, value)| (&**name, value));
        visitor.visit_map(Fields { rest, last: None })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        let Value::Object(object) = self.0 else {
            return Err(self.error(name, "an object"));
        };
        check_spelling(object, fields)?;
        let rest = fields
            .iter()
            .map(|name| (*name, object.get(*name).unwrap_or(&NULL)));
        visitor.visit_map(Fields { rest, last: None })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_enum(self.variant(name, variants)?)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct newtype_struct tuple tuple_struct identifier ignored_any
    }
}

struct Items<'de>(iter::Enumerate<std::slice::Iter<'de, Value>>);

impl<'de> SeqAccess<'de> for Items<'de> {
    type Error = ParseDocumentError;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Self::Error> {
        let next = self.0.next();
        next.map(|(index, value)| {
            seed.deserialize(Json(value))
                .map_err(|error| error.at(index))
        })
        .transpose()
    }
}

struct Fields<'de, I> {
    rest: I,
    last: Option<(&'de str, &'de Value)>,
}

impl<'de, I: Iterator<Item = (&'de str, &'de Value)>> MapAccess<'de> for Fields<'de, I> {
    type Error = ParseDocumentError;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Self::Error> {
        self.last = self.rest.next();
        let name = self.last.map(|(name, _)| name);
        name.map(|name| seed.deserialize(BorrowedStrDeserializer::new(name)))
            .transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, Self::Error> {
        let (name, value) = self.last.unwrap_or(("", &NULL));
        seed.deserialize(Json(value))
            .map_err(|error| error.at(name))
    }
}

struct Variant<'de> {
    of: &'static str,
    name: Cow<'de, str>,
    body: Json<'de>,
}

impl Variant<'_> {
    /// Fails if `on` is `connection` in a behavior that has no field `on`. http4k ignores `on`, but
    /// a fault for connections must not silently affect requests.
    fn check_on(&self, fields: &[&str]) -> Result<(), ParseDocumentError> {
        let on = self.body.0.get("on").unwrap_or(&NULL);
        if self.of != "behavior" || fields.contains(&"on") || *on != "connection" {
            return Ok(());
        }
        let expected = format!("request or response for `{}`", self.name);
        Err(Json(on).error("on", &expected).at("on"))
    }
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = ParseDocumentError;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Self), Self::Error> {
        let name = CowStrDeserializer::<Self::Error>::new(self.name.clone());
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = ParseDocumentError;

    fn unit_variant(self) -> Result<(), Self::Error> {
        self.check_on(&[])
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<T::Value, Self::Error> {
        seed.deserialize(self.body)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Self::Error> {
        self.body.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.check_on(fields)?;
        self.body.deserialize_struct(self.of, fields, visitor)
    }
}
