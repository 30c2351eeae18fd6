//! Where control APIs are: what is meant for them is spared, or chaos could not be switched off.

use std::sync::{
    RwLock,
    atomic::{AtomicBool, Ordering},
};

use axum::extract::MatchedPath;
use http::Request;

use crate::util::sync::{read, write};

/// What stands behind a control API's path, as routes of axum.
pub(in crate::chaos) const STATUS: &str = "/status";
pub(in crate::chaos) const ACTIVATE: &str = "/activate";
pub(in crate::chaos) const ACTIVATE_NEW: &str = "/activate/new";
pub(in crate::chaos) const DEACTIVATE: &str = "/deactivate";
pub(in crate::chaos) const TOGGLE: &str = "/toggle";
pub(in crate::chaos) const STATE: &str = "/state";
pub(in crate::chaos) const DECISIONS: &str = "/decisions";
pub(in crate::chaos) const ACTIVATE_AGAIN: &str = "/activate/again";
pub(in crate::chaos) const PAGE: &str = "/ui";
/// All that is none of them.
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

/// The paths of an engine's control APIs. None costs a load.
#[derive(Default)]
pub(in crate::chaos) struct ControlPaths {
    are_any: AtomicBool,
    paths: RwLock<Vec<Box<str>>>,
}

impl ControlPaths {
    pub(in crate::chaos) fn add(&self, base: &str) {
        // At the root it has a server of its own, and everything else is below its path.
        if base.is_empty() {
            return;
        }
        let mut paths = write(&self.paths);
        if !paths.iter().any(|path| **path == *base) {
            paths.push(base.into());
        }
        self.are_any.store(true, Ordering::Relaxed);
    }

    #[inline]
    pub(in crate::chaos) fn has<B>(&self, request: &Request<B>) -> bool {
        self.are_any.load(Ordering::Relaxed) && self.is_below_one(request)
    }

    fn is_below_one<B>(&self, request: &Request<B>) -> bool {
        let matched = request.extensions().get::<MatchedPath>();
        let route = matched.map_or(request.uri().path(), MatchedPath::as_str);
        read(&self.paths).iter().any(|base| {
            let rest = route.strip_prefix(&**base);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
                || is_nested(route, base)
        })
    }
}

/// Whether it is a route of the API behind some other path, under which it is nested. Before a request
/// has got there, nobody knows that path.
fn is_nested(route: &str, base: &str) -> bool {
    ROUTES.iter().any(|tail| {
        let before = route.strip_suffix(tail);
        before.is_some_and(|before| before.ends_with(base))
    })
}
