//! VCR cassettes, in YAML or JSON, read only.
//!
//! One reader is enough for three similar dialects:
//! - VCR (Ruby) and the crate `vcr-cassette`: `http_interactions`, bodies as text or as
//!   `{encoding, string}` or `{encoding, base64_string}`
//!   (<https://relishapp.com/vcr/vcr/v/6-0-0/docs/cassettes/cassette-format>),
//! - vcrpy (Python): `interactions`, `version: 1`, bodies as `{string}` or `!!binary`
//!   (<https://github.com/kevin1024/vcrpy>, `vcr/serialize.py`),
//! - go-vcr: `interactions`, `url` for `uri`, `code` beside `status`
//!   (<https://github.com/dnaeon/go-vcr>).

mod interaction;
mod yaml;

use std::{collections::HashSet, io::BufRead};

use super::{
    OnEvent, ReadFault,
    node::At,
    reader_event::{report, skip_mark},
};

/// The name of the list of interactions: `http_interactions` in cassettes of VCR and
/// `vcr-cassette`, `interactions` in those of vcrpy and go-vcr.
const LISTS: [&str; 2] = ["http_interactions", "interactions"];

/// Reads a cassette until its end, or until `on_event` returns false. The whole text is in memory,
/// but the parsed values of only one interaction.
pub(crate) fn read(mut input: impl BufRead, on_event: OnEvent<'_>) -> Result<(), ReadFault> {
    skip_mark(&mut input)?;
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        ReadFault::Syntax {
            line: 1 + memchr::memchr_iter(b'\n', good).count(),
            column: good.len() - memchr::memrchr(b'\n', good).map_or(0, |at| at + 1) + 1,
            reason: "expected UTF-8".to_owned(),
        }
    })?;
    let mut reported = HashSet::new();
    yaml::items(&text, &LISTS, &mut |list, index, node| {
        let list = format!("$.{list}");
        let at = At::item_of(&list, index, &node);
        let mut notes = Vec::new();
        let exchange = interaction::read(&at, &mut notes, &mut reported);
        report(notes, exchange, on_event)
    })
}
