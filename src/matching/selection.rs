//! `NameSelection`: a set of names, as a list or as all names except a list.

/// A set of case-insensitive names.
#[derive(Clone, Debug)]
pub(super) enum NameSelection {
    Only(Vec<String>),
    Except(Vec<String>),
}

impl NameSelection {
    pub(super) fn none() -> Self {
        Self::Only(Vec::new())
    }

    pub(super) fn all() -> Self {
        Self::Except(Vec::new())
    }

    pub(super) fn only<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Self {
        Self::Only(owned(names))
    }

    pub(super) fn except<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Self {
        Self::Except(owned(names))
    }

    /// Whether every name is selected.
    pub(super) fn is_all(&self) -> bool {
        matches!(self, Self::Except(names) if names.is_empty())
    }

    pub(super) fn contains(&self, name: &str) -> bool {
        let is_in = |names: &[String]| names.iter().any(|n| n.eq_ignore_ascii_case(name));
        match self {
            Self::Only(names) => is_in(names),
            Self::Except(names) => !is_in(names),
        }
    }

    pub(super) fn add(&mut self, name: &str) {
        match self {
            Self::Only(names) => names.push(name.to_owned()),
            Self::Except(names) => names.retain(|n| !n.eq_ignore_ascii_case(name)),
        }
    }

    pub(super) fn remove(&mut self, name: &str) {
        match self {
            Self::Only(names) => names.retain(|n| !n.eq_ignore_ascii_case(name)),
            Self::Except(names) => names.push(name.to_owned()),
        }
    }
}

fn owned<N: AsRef<str>>(names: impl IntoIterator<Item = N>) -> Vec<String> {
    names
        .into_iter()
        .map(|name| name.as_ref().to_owned())
        .collect()
}
