//! The events of a reader that reads a whole file.

use std::io;

use super::node::InvalidValue;
use crate::message::Exchange;

/// What a reader finds in a file: an exchange, or a problem.
#[derive(Debug)]
pub(crate) enum ReadEvent {
    Exchange(Box<Exchange>),
    /// An entry that is not a valid exchange.
    Skipped(InvalidValue),
    /// An entry was left out, or a part of it was left out or changed and its exchange follows.
    Noted(InvalidValue),
    /// The text is invalid from this position up to a later entry.
    Syntax {
        line: usize,
        column: usize,
        reason: String,
    },
}

/// The reason why a file cannot be read to its end.
#[derive(Debug)]
pub(crate) enum ReadFault {
    Io(io::Error),
    /// The text is invalid from this position.
    Syntax {
        line: usize,
        column: usize,
        reason: String,
    },
}

impl From<io::Error> for ReadFault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Called with each event. Returns false to stop the reader.
pub(crate) type OnEvent<'a> = &'a mut dyn FnMut(ReadEvent) -> bool;

/// Reports the notes of an entry, then its exchange. Returns false if `on_event` has stopped the
/// reader.
pub(super) fn report(
    notes: Vec<InvalidValue>,
    exchange: Result<Exchange, InvalidValue>,
    on_event: OnEvent<'_>,
) -> bool {
    let last = match exchange {
        Ok(exchange) => ReadEvent::Exchange(Box::new(exchange)),
        Err(bad) if bad.is_damage => ReadEvent::Skipped(bad),
        Err(left_out) => ReadEvent::Noted(left_out),
    };
    notes.into_iter().map(ReadEvent::Noted).all(&mut *on_event) && on_event(last)
}

/// Skips the byte order mark at the start of a file.
pub(super) fn skip_mark(input: &mut impl io::BufRead) -> Result<(), ReadFault> {
    let start = input.fill_buf()?;
    let reason = match start {
        [0xef, 0xbb, 0xbf, ..] => {
            input.consume(3);
            return Ok(());
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            "expected UTF-8, found UTF-16: save the file as UTF-8"
        }
        _ => return Ok(()),
    };
    Err(ReadFault::Syntax {
        line: 1,
        column: 1,
        reason: reason.to_owned(),
    })
}
