//! The recording that a command reads.

use std::ffi::OsStr;

use futures_util::StreamExt;
use tower_traffic::{
    Exchange, Redact, StoreError,
    store::{self, BoxStream, Format, Note, Recording, Replay},
};

use crate::failure::Failure;

pub(crate) struct Source {
    stream: BoxStream<'static, Result<Exchange, StoreError>>,
    redact: Option<Redact>,
    /// The number of exchanges read.
    pub(crate) count: u64,
    /// The number of parts that could not be read.
    pub(crate) damaged: u64,
}

pub(crate) async fn open(location: &OsStr) -> Result<Recording, Failure> {
    Ok(store::open(location).await?)
}

/// Returns the corrections of a file of another program. Corrections are no damage.
pub(crate) async fn notes(recording: &Recording) -> Result<Vec<Note>, Failure> {
    Ok(match recording.format() {
        Format::Har | Format::Vcr | Format::Warc => recording.report().await?.notes,
        // The report of a folder would repair its files.
        _ => Vec::new(),
    })
}

impl Source {
    pub(crate) fn new(recording: &Recording, redact: bool) -> Self {
        Self {
            stream: recording.replay(),
            redact: redact.then(Redact::default),
            count: 0,
            damaged: 0,
        }
    }

    /// Returns the next exchange, and calls `complain` with each damaged part before it. Fails if
    /// nothing of the recording can be read.
    pub(crate) async fn next(
        &mut self,
        mut complain: impl FnMut(&StoreError),
    ) -> Result<Option<Exchange>, Failure> {
        while let Some(item) = self.stream.next().await {
            match item {
                Ok(mut exchange) => {
                    self.count += 1;
                    if let Some(redact) = &self.redact {
                        redact.exchange(&mut exchange);
                    }
                    return Ok(Some(exchange));
                }
                Err(error) if self.count > 0 || is_damage(&error) => {
                    self.damaged += 1;
                    complain(&error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }
}

fn is_damage(error: &StoreError) -> bool {
    match error {
        StoreError::Damaged { .. } => true,
        StoreError::Io { source, .. } => source.is::<std::io::Error>(),
        _ => false,
    }
}
