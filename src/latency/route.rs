use std::{collections::HashSet, sync::RwLock};

#[cfg(feature = "axum")]
use axum::extract::MatchedPath;
use http::{Extensions, Uri};

use crate::util::sync::{read, write};

/// The route of every request whose path is one too many.
pub const OTHER: &str = "other";

/// The longest route, in bytes.
const MAX_LEN: usize = 256;

/// How many paths stand as routes.
const MAX_PATHS: usize = 200;

/// What a layer knows of where a request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// axum's router has matched it.
    #[cfg(feature = "axum")]
    Matched,
    /// The user has named it.
    Named,
    Path,
}

/// Where a request went. Its fields are set one by one, which is cheaper than to move it.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) kind: Kind,
    #[cfg(feature = "axum")]
    matched: Option<MatchedPath>,
    /// The path or the name.
    text: String,
}

impl Target {
    pub(super) const fn new() -> Self {
        Self {
            kind: Kind::Path,
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

    /// As new, with its buffer.
    #[inline]
    pub(super) fn clear(&mut self) {
        self.kind = Kind::Path;
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
            self.kind = Kind::Matched;
            self.matched = Some(matched.clone());
            return;
        }
        let _ = extensions;
        // A copy, because a clone of the URI would keep the network buffer that it is a slice of.
        match uri.path() {
            // CONNECT has none.
            "" => self.text.push('/'),
            path => push_clean(&mut self.text, path),
        }
    }

    pub(super) fn set_name(&mut self, name: &str) {
        self.kind = Kind::Named;
        push_clean(&mut self.text, name);
    }
}

/// A route is printed: control characters do not belong there.
fn push_clean(text: &mut String, route: &str) {
    let route = &route[..route.floor_char_boundary(MAX_LEN)];
    // Without a way out early, many bytes are looked at at once.
    let is_clean = |clean, byte| clean & matches!(byte, b' '..0x7f);
    if route.bytes().fold(true, is_clean) {
        text.push_str(route);
    } else {
        text.push_str(&route.replace(char::is_control, "_"));
    }
}

/// The paths that stand as routes.
pub(super) struct Paths {
    max: usize,
    known: RwLock<HashSet<Box<str>>>,
}

impl Paths {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            known: RwLock::default(),
        }
    }

    /// Whether a path is one of the first.
    pub(super) fn admits(&self, path: &str) -> bool {
        {
            let known = read(&self.known);
            if known.contains(path) {
                return true;
            }
            if known.len() >= self.max {
                return false;
            }
        }
        let mut known = write(&self.known);
        known.contains(path) || (known.len() < self.max && known.insert(path.into()))
    }
}

impl Default for Paths {
    fn default() -> Self {
        Self::new(MAX_PATHS)
    }
}
