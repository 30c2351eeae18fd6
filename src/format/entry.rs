//! What readers of whole files have in common.

use std::io;

use super::node::Bad;
use crate::message::Exchange;

/// What a file contains, in order.
#[derive(Debug)]
pub(crate) enum Event {
    Exchange(Box<Exchange>),
    /// An entry that cannot be an exchange.
    Skipped(Bad),
    /// A part of an entry that was left out or changed; the exchange follows.
    Noted(Bad),
}

/// Why a file is not read to its end.
#[derive(Debug)]
pub(crate) enum Fault {
    Io(io::Error),
    /// The text is not what its format asks for, from here on.
    Syntax {
        line: usize,
        column: usize,
        reason: String,
    },
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Called with what is read; false ends the reading.
pub(crate) type OnEvent<'a> = &'a mut dyn FnMut(Event) -> bool;

/// Hands on the notes of an entry, and what came of it; false ends the reading.
pub(super) fn tell(
    notes: Vec<Bad>,
    exchange: Result<Exchange, Bad>,
    on_event: OnEvent<'_>,
) -> bool {
    let last = match exchange {
        Ok(exchange) => Event::Exchange(Box::new(exchange)),
        Err(bad) => Event::Skipped(bad),
    };
    notes.into_iter().map(Event::Noted).all(&mut *on_event) && on_event(last)
}

/// Takes the byte order mark from the start of a file.
pub(super) fn skip_mark(input: &mut impl io::BufRead) -> Result<(), Fault> {
    let start = input.fill_buf()?;
    let reason = match start {
        [0xef, 0xbb, 0xbf, ..] => {
            input.consume(3);
            return Ok(());
        }
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "this is UTF-16: save it as UTF-8",
        _ => return Ok(()),
    };
    Err(Fault::Syntax {
        line: 1,
        column: 1,
        reason: reason.to_owned(),
    })
}
