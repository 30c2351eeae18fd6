//! The paths of control APIs: their requests are exempt, or chaos could not be switched off.

use std::sync::{
    RwLock,
    atomic::{AtomicBool, Ordering},
};

use http::Request;

use crate::{
    message::client,
    util::sync::{read, write},
};

// Routes below the path of a control API.
pub(in crate::chaos) const STATUS: &str = "/status";
pub(in crate::chaos) const ACTIVATE: &str = "/activate";
pub(in crate::chaos) const ACTIVATE_NEW: &str = "/activate/new";
pub(in crate::chaos) const DEACTIVATE: &str = "/deactivate";
pub(in crate::chaos) const TOGGLE: &str = "/toggle";
pub(in crate::chaos) const STATE: &str = "/state";
pub(in crate::chaos) const DECISIONS: &str = "/decisions";
pub(in crate::chaos) const ACTIVATE_AGAIN: &str = "/activate/again";
pub(in crate::chaos) const PAGE: &str = "/ui";
/// The route pattern of all other paths.
pub(in crate::chaos) const OTHER: &str = "/{*rest}";

const ROUTES: &[&str] = &[
    "",
    "/",
    STATUS,
    ACTIVATE,
    ACTIVATE_NEW,
    DEACTIVATE,
    TOGGLE,
    STATE,
    DECISIONS,
    ACTIVATE_AGAIN,
    PAGE,
    OTHER,
];

/// The paths of an engine's control APIs. If there are none, a look-up costs one atomic load.
#[derive(Default)]
pub(in crate::chaos) struct ControlPaths {
    is_used: AtomicBool,
    paths: RwLock<Vec<Box<str>>>,
}

impl ControlPaths {
    pub(in crate::chaos) fn add(&self, base: &str) {
        // A control API at the root has a server of its own: every path is below it.
        if base.is_empty() {
            return;
        }
        let mut paths = write(&self.paths);
        if !paths.iter().any(|path| **path == *base) {
            paths.push(base.into());
        }
        self.is_used.store(true, Ordering::Relaxed);
    }

    #[inline]
    pub(in crate::chaos) fn contains<B>(&self, request: &Request<B>) -> bool {
        self.is_used.load(Ordering::Relaxed) && self.is_below_one(request)
    }

    fn is_below_one<B>(&self, request: &Request<B>) -> bool {
        let matched = client::matched_route(request.extensions());
        let route = matched.unwrap_or(request.uri().path());
        read(&self.paths).iter().any(|base| {
            let rest = route.strip_prefix(&**base);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                || is_nested(route, base)
        })
    }
}

/// Whether `route` is a route of a control API that is nested in another router, whose path is part
/// of the matched route.
fn is_nested(route: &str, base: &str) -> bool {
    ROUTES.iter().any(|tail| {
        let before = route.strip_suffix(tail);
        before.is_some_and(|before| before.ends_with(base))
    })
}
