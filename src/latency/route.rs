//! The route of a request: the group in which its times are counted.

use std::{
    collections::HashSet,
    sync::{
        RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::{Extensions, Uri};

use crate::{
    message::client::matched_route,
    util::sync::{read, write},
};

/// The route of paths beyond [`max_paths`](super::ReportLatency::max_paths).
pub const OTHER: &str = "other";

/// The maximum length of a route, in bytes.
const MAX_LEN: usize = 256;

/// The default limit of paths that are routes of their own.
const MAX_PATHS: usize = 200;

/// The origin of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RouteSource {
    /// axum's router.
    Matched,
    /// The user's function.
    Named,
    Path,
}

/// The route or path of a request. The fields are set one by one, which is cheaper than a move, and
/// the buffer of the text is reused.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) source: RouteSource,
    text: String,
}

impl Target {
    pub(super) const fn new() -> Self {
        Self {
            source: RouteSource::Path,
            text: String::new(),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        &self.text
    }

    /// Empties the target, and keeps its buffer.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.source = RouteSource::Path;
        self.text.clear();
    }

    #[inline]
    pub(super) fn set(&mut self, uri: &Uri, extensions: &Extensions) {
        if let Some(route) = matched_route(extensions) {
            self.source = RouteSource::Matched;
            self.text.push_str(route);
            return;
        }
        // A clone of the URI would keep the network buffer alive.
        match uri.path() {
            // CONNECT.
            "" => self.text.push('/'),
            path => push_clean(&mut self.text, path),
        }
    }

    pub(super) fn set_name(&mut self, name: &str) {
        self.source = RouteSource::Named;
        push_clean(&mut self.text, name);
    }
}

/// Appends a route without its control characters, because routes are printed.
fn push_clean(text: &mut String, route: &str) {
    let route = &route[..route.floor_char_boundary(MAX_LEN)];
    // Without an early exit, the compiler vectorizes the loop.
    let is_clean = |clean, byte| clean & matches!(byte, b' '..0x7f);
    if route.bytes().fold(true, is_clean) {
        text.push_str(route);
    } else {
        text.push_str(&route.replace(char::is_control, "_"));
    }
}

/// The paths that are routes of their own.
pub(super) struct Paths {
    max: AtomicUsize,
    known: RwLock<HashSet<Box<str>>>,
}

impl Paths {
    pub(super) fn set_max(&self, max: usize) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// Whether `path` is one of the first paths that are routes of their own.
    pub(super) fn admits(&self, path: &str) -> bool {
        let max = self.max.load(Ordering::Relaxed);
        {
            let known = read(&self.known);
            if known.contains(path) {
                return true;
            }
            if known.len() >= max {
                return false;
            }
        }
        let mut known = write(&self.known);
        known.contains(path) || (known.len() < max && known.insert(path.into()))
    }
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            max: AtomicUsize::new(MAX_PATHS),
            known: RwLock::default(),
        }
    }
}
