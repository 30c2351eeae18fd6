use std::{mem, sync::Arc};

use http::{Request, request::Parts, uri::Scheme};

use super::{Measurement, route::Paths};
use crate::{message::ExchangeEnd, redact::Redact, util::panic::Guard};

type Reporter = dyn Fn(&Measurement) + Send + Sync;
type NameRoute = dyn Fn(&Parts) -> Option<String> + Send + Sync;

/// The settings of a layer, shared with its services.
#[derive(Clone)]
pub(super) struct Config {
    pub(super) reporters: Vec<Arc<Reporter>>,
    pub(super) name: Option<Arc<NameRoute>>,
    pub(super) paths: Arc<Paths>,
    pub(super) scheme: Scheme,
    pub(super) is_client: bool,
    pub(super) server_timing: bool,
    pub(super) redact: Redact,
    guard: Guard,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            reporters: Vec::new(),
            name: None,
            paths: Arc::default(),
            scheme: Scheme::HTTP,
            is_client: false,
            server_timing: false,
            redact: Redact::default(),
            guard: Guard::default(),
        }
    }
}

impl Config {
    /// Returns the settings without the user's functions, and so without the values that the
    /// functions own.
    pub(super) fn without_functions(&self) -> Self {
        Self {
            reporters: Vec::new(),
            name: None,
            ..self.clone()
        }
    }

    /// Calls the reporters. Never panics, because the function runs in drops.
    pub(super) fn report(&self, measurement: &Measurement) {
        for report in &self.reporters {
            self.guard.call("report", || report(measurement));
        }
    }

    /// Redacts the text of an error, because the error text of a client often contains the URI.
    pub(super) fn redact(&self, ended: &mut ExchangeEnd) {
        if let ExchangeEnd::Error(error) = ended
            && let Some(redacted) = self.redact.redact_text(error)
        {
            *error = redacted;
        }
    }

    /// Returns the user's name for the request's route.
    #[inline]
    pub(super) fn name<B>(&self, request: &mut Request<B>) -> Option<String> {
        let name = self.name.as_ref()?;
        // The request is not moved: that would cost more than the rest of the layer.
        let (mut parts, ()) = Request::new(()).into_parts();
        swap_parts(&mut parts, request);
        let name = self.guard.call("route", || name(&parts)).flatten();
        swap_parts(&mut parts, request);
        name
    }
}

fn swap_parts<B>(parts: &mut Parts, request: &mut Request<B>) {
    mem::swap(&mut parts.method, request.method_mut());
    mem::swap(&mut parts.uri, request.uri_mut());
    mem::swap(&mut parts.version, request.version_mut());
    mem::swap(&mut parts.headers, request.headers_mut());
    mem::swap(&mut parts.extensions, request.extensions_mut());
}
