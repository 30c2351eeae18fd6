//! The route of a request: the group in which its times are counted.

use std::{
    collections::HashSet,
    sync::{
        RwLock,
        atomic::{AtomicUsize, Ordering},
    },
};

#[cfg(feature = "axum")]
use axum::extract::MatchedPath;
use http::{Extensions, Uri};

use crate::util::sync::{read, write};

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
    #[cfg(feature = "axum")]
    Matched,
    /// The user's function.
    Named,
    Path,
}

/// The route or path of a request. The fields are set one by one, which is cheaper than a move.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) source: RouteSource,
    #[cfg(feature = "axum")]
    matched: Option<MatchedPath>,
    /// The path or the name.
    text: String,
}

impl Target {
    pub(super) const fn new() -> Self {
        Self {
            source: RouteSource::Path,
            #[cfg(feature = "axum")]
            matched: None,
            text: String::new(),
        }
    }

    pub(super) fn as_str(&self) -> &str {
        #[cfg(feature = "axum")]
        if let Some(matched) = &self.matched {
            return matched.as_str();
        }
        &self.text
    }

    /// Empties the target, and keeps its buffer.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.source = RouteSource::Path;
        #[cfg(feature = "axum")]
        if self.matched.is_some() {
            self.matched = None;
        }
        self.text.clear();
    }

    #[inline]
    pub(super) fn set(&mut self, uri: &Uri, extensions: &Extensions) {
        #[cfg(feature = "axum")]
        if let Some(matched) = extensions.get::<MatchedPath>() {
            self.source = RouteSource::Matched;
            self.matched = Some(matched.clone());
            return;
        }
        let _ = extensions;
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
