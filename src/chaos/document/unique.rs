//! A reader of JSON trees that refuses a member name given twice, with its path.

use std::{cell::RefCell, fmt};

use serde::{
    Deserializer,
    de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

use super::{ParseDocumentError, Step};

/// Reads a JSON tree. A duplicate name is an error, which is left here with its path, because the
/// error of a deserializer has none.
#[derive(Clone, Copy)]
pub(super) struct UniqueJson<'a>(pub(super) &'a RefCell<Option<ParseDocumentError>>);

impl UniqueJson<'_> {
    /// Prefixes the path of an error within a value with the step to the value.
    fn within<T, E>(self, step: impl Into<Step>, value: Result<T, E>) -> Result<T, E> {
        if value.is_err() {
            let mut duplicate = self.0.borrow_mut();
            *duplicate = duplicate.take().map(|error| error.at(step));
        }
        value
    }
}

impl<'de> DeserializeSeed<'de> for UniqueJson<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for UniqueJson<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, value: D) -> Result<Value, D::Error> {
        self.deserialize(value)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, value: D) -> Result<Value, D::Error> {
        self.deserialize(value)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = self.within(all.len(), items.next_element_seed(self))? {
            all.push(item);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if all.contains_key(&name) {
                let reason = "duplicate name: expected each name once";
                let error: ParseDocumentError = de::Error::custom(reason);
                *self.0.borrow_mut() = Some(error.at(&*name));
                return Err(de::Error::custom(reason));
            }
            let value = self.within(&*name, members.next_value_seed(self))?;
            all.insert(name, value);
        }
        Ok(Value::Object(all))
    }
}
