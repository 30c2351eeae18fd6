//! Reads a HAR entry by entry, with one entry in memory at a time.

use std::{cell::Cell, fmt, io};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::entry;
use crate::format::{
    OnEvent, ReadEvent, ReadFault,
    node::{At, InvalidValue, Node},
    reader_event::{report, skip_mark},
};

const ENTRIES: &str = "$.log.entries";

/// Reads a file until its end, or until `on_event` returns false.
pub(crate) fn read(mut input: impl io::BufRead, on_event: OnEvent<'_>) -> Result<(), ReadFault> {
    skip_mark(&mut input)?;
    let is_stopped = Cell::new(false);
    let mut json = serde_json::Deserializer::from_reader(input);
    let file = Object {
        key: "log",
        path: "$.log",
        inner: Log {
            on_event,
            is_stopped: &is_stopped,
        },
    };
    let read = file.deserialize(&mut json).and_then(|()| json.end());
    match read {
        Ok(()) => Ok(()),
        Err(_) if is_stopped.get() => Ok(()),
        Err(error) if error.is_io() => Err(ReadFault::Io(error.into())),
        Err(error) => Err(ReadFault::Syntax {
            line: error.line(),
            column: error.column(),
            reason: without_place(&error.to_string()).to_owned(),
        }),
    }
}

/// Returns the error without its position, which is reported separately.
fn without_place(error: &str) -> &str {
    error.rfind(" at line ").map_or(error, |at| &error[..at])
}

/// Reads one field of an object and ignores the others.
trait Inner<'a>: Sized {
    /// Reads the field's value.
    fn read<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<(), A::Error>;

    fn missing(&mut self, path: &str);
}

struct Object<I> {
    key: &'static str,
    path: &'static str,
    inner: I,
}

impl<'a, 'de, I: Inner<'a>> DeserializeSeed<'de> for Object<I> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(ObjectVisitor(self, std::marker::PhantomData))
    }
}

struct ObjectVisitor<'a, I>(Object<I>, std::marker::PhantomData<&'a ()>);

impl<'a, 'de, I: Inner<'a>> Visitor<'de> for ObjectVisitor<'a, I> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a HAR: an object with {:?}", self.0.key)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut is_there = false;
        while let Some(key) = map.next_key::<String>()? {
            if key == self.0.key {
                is_there = true;
                self.0.inner.read(&mut map)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        if !is_there {
            self.0.inner.missing(self.0.path);
        }
        Ok(())
    }
}

struct Log<'a> {
    on_event: OnEvent<'a>,
    is_stopped: &'a Cell<bool>,
}

impl<'a> Inner<'a> for Log<'a> {
    fn read<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<(), A::Error> {
        map.next_value_seed(Object {
            key: "entries",
            path: ENTRIES,
            inner: Entries(Log {
                on_event: &mut *self.on_event,
                is_stopped: self.is_stopped,
            }),
        })
    }

    fn missing(&mut self, path: &str) {
        missing(self, path, "an object with `entries`");
    }
}

struct Entries<'a>(Log<'a>);

impl<'a> Inner<'a> for Entries<'a> {
    fn read<'de, A: MapAccess<'de>>(&mut self, map: &mut A) -> Result<(), A::Error> {
        map.next_value_seed(EntryList(&mut self.0))
    }

    fn missing(&mut self, path: &str) {
        missing(&mut self.0, path, "a list of entries");
    }
}

fn missing(log: &mut Log<'_>, path: &str, what: &str) {
    let event = ReadEvent::Skipped(InvalidValue {
        path: path.to_owned(),
        reason: format!("missing {what}"),
    });
    (log.on_event)(event);
}

struct EntryList<'l, 'a>(&'l mut Log<'a>);

impl<'de> DeserializeSeed<'de> for EntryList<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for EntryList<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(node) = list.next_element::<Node>()? {
            let mut notes = Vec::new();
            let at = At::item_of(ENTRIES, index, &node);
            let exchange = entry::read(&at, &mut notes);
            if !report(notes, exchange, self.0.on_event) {
                self.0.is_stopped.set(true);
                return Err(A::Error::custom("stopped"));
            }
            index += 1;
        }
        Ok(())
    }
}
