//! The user's functions that redact messages.

use std::{fmt, sync::Arc};

use crate::{
    message::{RecordedRequest, RecordedResponse},
    util::panic::Guard,
};

type Function<M> = Arc<dyn Fn(&mut M) + Send + Sync>;

/// The user's functions, which are called with each message in the order of registration.
#[derive(Clone, Default)]
pub(super) struct RedactFunctions {
    pub(super) requests: Vec<Function<RecordedRequest>>,
    pub(super) responses: Vec<Function<RecordedResponse>>,
    guard: Guard,
}

/// The error of a user's function that panicked. The message may still contain secrets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Panicked;

impl RedactFunctions {
    pub(super) fn request(&self, request: &mut RecordedRequest) -> Result<(), Panicked> {
        self.call(&self.requests, request)
    }

    pub(super) fn response(&self, response: &mut RecordedResponse) -> Result<(), Panicked> {
        self.call(&self.responses, response)
    }

    fn call<M>(&self, functions: &[Function<M>], message: &mut M) -> Result<(), Panicked> {
        functions.iter().try_for_each(|function| {
            let called = self.guard.call("redact", || function(message));
            called.ok_or(Panicked)
        })
    }
}

impl fmt::Debug for RedactFunctions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedactFunctions")
            .field("requests", &self.requests.len())
            .field("responses", &self.responses.len())
            .finish_non_exhaustive()
    }
}
