//! VCR cassettes, in YAML or JSON, read only.
//!
//! Three dialects have enough in common to be read by one reader:
//! - VCR's own, of Ruby and of the crate `vcr-cassette`: `http_interactions`, bodies as text or as
//!   `{encoding, string}` or `{encoding, base64_string}`
//!   (<https://relishapp.com/vcr/vcr/v/6-0-0/docs/cassettes/cassette-format>),
//! - that of vcrpy (Python): `interactions`, `version: 1`, bodies as `{string}` or `!!binary`
//!   (<https://github.com/kevin1024/vcrpy>, `vcr/serialize.py`),
//! - that of go-vcr: `interactions`, `url` for `uri`, `code` beside `status`
//!   (<https://github.com/dnaeon/go-vcr>).

mod interaction;
mod yaml;

use std::{collections::HashSet, io::BufRead};

use super::{
    Fault, OnEvent,
    entry::{skip_mark, tell},
    node::At,
};

/// The names of the list of interactions.
const LISTS: [&str; 2] = ["http_interactions", "interactions"];

/// Reads a cassette until its end, or until `on_event` returns false. All of its text is held in
/// memory meanwhile, but of its values only one interaction.
pub(crate) fn read(mut input: impl BufRead, on_event: OnEvent<'_>) -> Result<(), Fault> {
    skip_mark(&mut input)?;
    let mut bytes = Vec::new();
    input.read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let good = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        Fault::Syntax {
            line: 1 + memchr::memchr_iter(b'\n', good).count(),
            column: good.len() - memchr::memrchr(b'\n', good).map_or(0, |at| at + 1) + 1,
            reason: "UTF-8 is expected".to_owned(),
        }
    })?;
    let mut told = HashSet::new();
    yaml::items(&text, &LISTS, &mut |list, index, node| {
        let list = format!("$.{list}");
        let at = At::item_of(&list, index, &node);
        let mut notes = Vec::new();
        let exchange = interaction::read(&at, &mut notes, &mut told);
        tell(notes, exchange, on_event)
    })
}
