//! VCR cassettes, in YAML or JSON, read only.
//!
//! One reader is enough for similar dialects:
//! - VCR (Ruby) and the crate `vcr-cassette`: `http_interactions`, bodies as text or as
//!   `{encoding, string}` or `{encoding, base64_string}`
//!   (<https://relishapp.com/vcr/vcr/v/6-0-0/docs/cassettes/cassette-format>),
//! - vcrpy (Python): `interactions`, `version: 1`, bodies as `{string}` or `!!binary`
//!   (<https://github.com/kevin1024/vcrpy>, `vcr/serialize.py`),
//! - go-vcr: `interactions`, `url` for `uri`, `code` beside `status`
//!   (<https://github.com/dnaeon/go-vcr>),
//! - PHP-VCR: the file is the list, one value per header, binary bodies in base64
//!   (<https://github.com/php-vcr/php-vcr>, `src/VCR/Response.php`).

mod body;
mod interaction;
mod yaml;

use std::{collections::HashSet, io::BufRead};

use serde::de::{Deserialize, IgnoredAny};

use super::{
    OnEvent, ReadEvent, ReadFault,
    json_list::{self, Item, ListPath, replace_unpaired},
    reader_event::{report, skip_mark},
};

/// The name of the list of interactions: `http_interactions` in cassettes of VCR and
/// `vcr-cassette`, `interactions` in those of vcrpy and go-vcr.
const LISTS: [&str; 2] = ["http_interactions", "interactions"];

/// Reads a cassette until its end, or until `on_event` returns false. The whole text is in memory,
/// but the parsed values of only one interaction.
pub(crate) fn read(mut input: impl BufRead, on_event: OnEvent<'_>) -> Result<(), ReadFault> {
    skip_mark(&mut input)?;
    let mut text = Vec::new();
    input.read_to_end(&mut text)?;
    let mut reported = HashSet::new();
    let mut missing = None;
    let mut on_item = |item: Item<'_>| match item {
        Item::Entry { at, mut notes } => {
            let exchange = interaction::read(&at, &mut notes, &mut reported);
            report(notes, exchange, on_event)
        }
        Item::Missing(list) => {
            missing = Some(format!("invalid cassette: {}", list.reason));
            true
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
    };
    if is_json(&text) {
        let list = ListPath {
            steps: &[&LISTS],
            may_be_file: true,
        };
        json_list::read(&text[..], list, &mut on_item)?;
    } else {
        yaml::items(&text, &LISTS, &mut on_item)?;
    }
    match missing {
        Some(reason) => Err(ReadFault::Syntax {
            line: 1,
            column: 1,
            reason,
        }),
        None => Ok(()),
    }
}

/// Whether a text is JSON, or is neither JSON nor YAML and begins like JSON.
fn is_json(text: &[u8]) -> bool {
    let is_like_json = matches!(text.trim_ascii_start().first(), Some(b'{' | b'['));
    is_like_json && (is_valid_json(text) || !yaml::is_valid(text))
}

fn is_valid_json(text: &[u8]) -> bool {
    let mut text = text.to_vec();
    replace_unpaired(&mut text, true, |_| ());
    let mut json = serde_json::Deserializer::from_slice(&text);
    IgnoredAny::deserialize(&mut json).is_ok() && json.end().is_ok()
}
