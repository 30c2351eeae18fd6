//! Reads a HAR entry by entry, with one entry in memory at a time.

use std::io;

use super::entry;
use crate::format::{
    OnEvent, ReadEvent, ReadFault,
    json_list::{self, Item, ListPath},
    reader_event::{report, skip_mark},
};

const ENTRIES: ListPath<'_> = ListPath {
    steps: &[&["log"], &["entries"]],
    may_be_file: false,
};

/// Reads a file until its end, or until `on_event` returns false.
pub(crate) fn read(mut input: impl io::BufRead, on_event: OnEvent<'_>) -> Result<(), ReadFault> {
    skip_mark(&mut input)?;
    json_list::read(input, ENTRIES, &mut |item| match item {
        Item::Entry { at, mut notes } => {
            let exchange = entry::read(&at, &mut notes);
            report(notes, exchange, on_event)
        }
        Item::Missing(mut missing) => {
            missing.reason = match missing.path.as_str() {
                "$.log" => "missing an object with `entries`".to_owned(),
                _ => "missing a list of entries".to_owned(),
            };
            on_event(ReadEvent::Skipped(missing))
        }
        Item::Syntax {
            line,
            column,
            reason,
        } => on_event(ReadEvent::Syntax {
            line,
            column,
            reason,
        }),
    })
}
